"""Whatever bytes come, a `BadEvent` is the worst that happens, and mutated lines are stored.

SAMLOG_FUZZ=1000000 sets the number of mutated inputs (make soak); 100,000 is the usual.
"""

import os
import random
from collections.abc import Callable

import orjson
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from normalize.decode import encode
from normalize.samples_update import SAMPLES
from normalize.step import encode_event
from samlog.ecs_types import coerce
from samlog.errors import BadEvent
from samlog.event import Event

Many = Callable[..., list[Event]]

INPUTS = int(os.environ.get("SAMLOG_FUZZ", "100000"))
PER_EXAMPLE = 200
SEEDS = [
    line
    for path in sorted(SAMPLES.glob("*/*"))
    if path.suffix in (".log", ".xml", ".json") and not path.name.endswith(".expected.json")
    for line in (path.read_bytes().split(b"\n") if path.suffix == ".log" else [path.read_bytes()])
    if line
]
SOURCES = (b"", b"linux_auth", b"linux_syslog", b"zeek_dns", b"apache_access", b"windows", b"x")
PIECES = (
    *(b"\0", b"\xff\xfe", b"\xe6", b"\\", b'"', b"'", b"{", b"}", b"[", b"]", b"<", b">", b"\n"),
    *(
        b"%s" % (b"9" * 40),
        b"-1",
        b"NaN",
        b"null",
        b"true",
        b"1e999",
        b"1e300",
        b"\\ud800",
        b"9999-12-31",
    ),
    *("æøåäö".encode(), b" ; COMMAND=", b" from ", b" port ", b": ", b"<13>", b"<Event>", b"\x1b"),
)


def mutate(chance: random.Random, data: bytes, *, start: int = 0) -> bytes:
    """Returns ``data`` with one to four changes behind ``start``."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(min(start, len(changed)), len(changed))
        kind = chance.randrange(6)
        if kind == 0:
            changed[at:at] = chance.choice(PIECES)
        elif kind == 1:
            del changed[at : at + chance.randint(1, 12)]
        elif kind == 2 and at < len(changed):
            changed[at] = chance.randrange(256)
        elif kind == 3:
            del changed[at:]
        elif kind == 4:
            other = chance.choice(SEEDS)
            cut = chance.randrange(len(other))
            changed[at:] = other[cut : cut + 200]
        else:
            changed[at:at] = changed[at : at + 40] * chance.randint(1, 3)
    return bytes(changed)


def intact(events: list[Event], data: bytes) -> bool:
    """Tells whether each event's original is, byte for byte, a part of what came."""
    return all(
        encode(event["event.original"], event.get("samlog.encoding", "utf-8")) in data
        for event in events
    )


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3_600)
@settings(
    max_examples=max(1, INPUTS // PER_EXAMPLE),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**63))
def test_mutated_records_raise_nothing_but_bad_event_and_give_valid_ecs(
    normalize: Many, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(PER_EXAMPLE):
        data = mutate(chance, chance.choice(SEEDS))
        source = chance.choice(SOURCES)
        try:
            events = normalize(data, {"source": source} if source else {})
        except BadEvent:
            continue
        except Exception:
            note(f"source {source!r}, record {data!r}")
            raise
        for event in events:
            document = orjson.loads(encode_event(event))
            typed = dict(document)
            moved = coerce(typed)
            assert (moved, typed) == ([], document), (source, data)


@settings(max_examples=500, deadline=None, database=None)
@given(data=st.binary(max_size=300), source=st.sampled_from(SOURCES))
def test_any_bytes_raise_nothing_but_bad_event(normalize: Many, data: bytes, source: bytes) -> None:
    try:
        events = normalize(data, {"source": source})
    except BadEvent as bad:
        assert bad.reason in ("empty", "binary")
    else:
        assert intact(events, data)


@settings(max_examples=300, deadline=None, database=None)
@given(
    headers=st.dictionaries(
        st.sampled_from(["tz", "encoding", "received", "origin", "seq", "collector", "host"]),
        st.binary(max_size=60),
    )
)
def test_any_headers_raise_nothing_but_bad_event(
    normalize: Many, headers: dict[str, bytes]
) -> None:
    (event,) = normalize(b"Jan 10 13:37:01 web1 sshd[811]: Invalid user x from ::1", headers)
    assert orjson.loads(encode_event(event))["event.original"].endswith("::1")


def test_of_lines_with_a_mutated_body_95_percent_are_stored_intact(normalize: Many) -> None:
    chance = random.Random(20260110)
    lines = [line for line in SEEDS if not line.startswith((b"{", b"["))]
    total = stored = 0
    for _ in range(4_000):
        line = chance.choice(lines)
        data = mutate(chance, line, start=len(line) // 2)
        total += 1
        try:
            events = normalize(data)
        except BadEvent:
            continue
        assert intact(events, data)
        stored += 1
    assert stored >= 0.95 * total
