"""Whatever the values are: pairs come back, orders do not matter, bounds hold."""

from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from normalize.parsers.aws_vpcflow import LAYOUTS
from normalize.vendor_object import set_leaves, snake
from samlog.event import Event

One = Callable[..., Event]

NAMES = st.sampled_from(["username", "code_id", "redirect_uri", "auth_type", "scope", "reason"])
VALUES = st.text(st.characters(codec="utf-8", exclude_characters='\\\r\n"'), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=40,
)
LINE = (
    "2 111122223333 eni-0123456789abcdef0 203.0.113.1 192.0.2.1 40000 22 6 20 4249 1768049700 "
    "1768049760 REJECT OK"
)
FLOW = dict(zip(LAYOUTS[14], LINE.split(), strict=True))
OF_THE_LINE = frozenset(("event.original", "event.hash", "event.id"))


@settings(max_examples=200, deadline=None, database=None)
@given(pairs=st.dictionaries(NAMES, VALUES, min_size=1))
def test_quoted_values_of_keycloak_come_back_whole(one: One, pairs: dict[str, str]) -> None:
    body = ", ".join(f'{key}="{value}"' for key, value in pairs.items())
    line = f'2026-01-10 13:56:03,123 WARN  [org.keycloak.events] (t) type="LOGIN", {body}'
    event = one(line)
    got = {"username": event.get("user.name", "")}
    for key in pairs.keys() - {"username"}:
        got[key] = event.get(f"keycloak.login.{snake(key)}", "")
    wanted = {key: "" if value in ("null", "-") else value for key, value in pairs.items()}
    assert {key: got[key] for key in wanted if wanted[key]} == {
        key: value for key, value in wanted.items() if value
    }


@settings(max_examples=100, deadline=None, database=None)
@given(names=st.permutations(list(FLOW)))
def test_the_order_of_a_flows_fields_changes_nothing(one: One, names: list[str]) -> None:
    usual = one(LINE)
    event = one(f"{' '.join(names)}\n{' '.join(FLOW[name] for name in names)}")
    assert {k: v for k, v in event.items() if k not in OF_THE_LINE} == {
        k: v for k, v in usual.items() if k not in OF_THE_LINE
    }


@given(value=JSON, limit=st.integers(0, 20))
def test_any_object_sets_no_more_fields_than_allowed(value: Any, limit: int) -> None:
    event: Event = {}
    set_leaves(event, "v", value, limit=limit)
    assert len(event) <= limit
    assert orjson.loads(orjson.dumps(event)) == event


@given(name=st.text(max_size=40))
def test_a_name_with_underscores_stays_as_it_is(name: str) -> None:
    assert snake(snake(name)) == snake(name)
