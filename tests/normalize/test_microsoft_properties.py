"""Whatever types a cloud's JSON holds, each record becomes events that encode and lose nothing."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from normalize.microsoft.record import spread
from normalize.samples_update import SAMPLES
from normalize.step import encode_event
from samlog.event import Event

NAMES = (
    *("entra", "azure_", "m365", "defender", "exchange"),
    *("okta", "duo", "keycloak", "aws_", "kubernetes"),
)
RECORDS = [
    orjson.loads(line)
    for path in sorted(SAMPLES.glob("*/*.log"))
    if path.parent.name.startswith(NAMES) and path.stem != "cp1252"
    for line in path.read_bytes().split(b"\n")
    if line.startswith(b"{")
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yields (container, key) of every value in ``node``."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


@settings(max_examples=300, deadline=None, database=None)
@given(seed=st.integers(0, 2**63), strange=st.lists(JSON, min_size=1, max_size=3))
def test_a_value_of_any_type_anywhere_gives_events(
    normalize: Callable[..., list[Event]], seed: int, strange: list[Any]
) -> None:
    chance = random.Random(seed)
    record = orjson.loads(orjson.dumps(chance.choice(RECORDS)))
    for value in strange:
        container, key = chance.choice(list(places(record)))
        container[key] = value
    data = orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS)
    for event in normalize(data):
        assert orjson.loads(encode_event(event))
        assert event["event.dataset"]


@settings(max_examples=300, deadline=None, database=None)
@given(record=st.dictionaries(st.text(min_size=1, max_size=12), JSON, max_size=12))
def test_spreading_an_object_keeps_every_text_in_it(record: dict[str, Any]) -> None:
    event: Event = {}
    spread(event, "v", record)
    kept = orjson.dumps(event).decode()

    for text in texts(record):
        inside = orjson.dumps(text).decode()[1:-1]
        assert inside in kept or orjson.dumps(inside).decode()[1:-1] in kept


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)
