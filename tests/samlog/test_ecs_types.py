"""Events come out in the types of ECS, and nothing is lost on the way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samlog.ecs import FIELDS
from samlog.ecs_types import INVALID, OBJECTS, coerce

MOST = "9223372036854775807"


@pytest.mark.parametrize(
    ("name", "given_value", "expected"),
    [
        ("source.port", "22", 22),
        ("source.port", " 22 ", 22),
        ("process.pid", "0x3e7", 999),
        ("process.pid", 811.0, 811),
        ("source.bytes", MOST, int(MOST)),
        ("event.risk_score", "0.5", 0.5),
        ("event.risk_score", 7, 7),
        ("tls.established", "True", True),
        ("tls.established", 0, False),
        ("source.ip", " 10.0.0.1 ", "10.0.0.1"),
        ("source.ip", "::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("event.created", "2026-01-10T14:37:01+01:00", "2026-01-10T13:37:01.000Z"),
        ("event.created", "2026-01-10 13:37:01", "2026-01-10T13:37:01.000Z"),
        ("event.created", "2026-01-10T13:37:01.123456789Z", "2026-01-10T13:37:01.123Z"),
        ("event.created", "20260110T133701.0000000Z", "2026-01-10T13:37:01.000Z"),
        ("event.created", "2026-W01-1T13:37:01.000Z", "2025-12-29T13:37:01.000Z"),
        ("event.created", "1601-01-01T00:00:00Z", "1601-01-01T00:00:00.000Z"),
        ("event.created", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ("event.created", 1610110112, "2021-01-08T12:48:32.000Z"),
        ("event.created", "1610110112345", "2021-01-08T12:48:32.345Z"),
        ("event.created", 1610110112345678901, "2021-01-08T12:48:32.345Z"),
        ("event.created", 1610110112.5, "2021-01-08T12:48:32.500Z"),
        ("tags", "one", ["one"]),
        ("host.ip", "10.0.0.1", ["10.0.0.1"]),
        ("host.ip", ["10.0.0.1", ["::1"], None], ["10.0.0.1", "::1"]),
        ("user.name", ["a", "b"], ["a", "b"]),
        ("source.geo.location", {"lat": "55.6", "lon": 12}, {"lat": 55.6, "lon": 12}),
        ("source.ip", None, None),
    ],
)
def test_value_gets_the_type_of_its_field(name: str, given_value: Any, expected: Any) -> None:
    event = {name: given_value}

    assert coerce(event) == []

    assert event == {name: expected}
    assert type(event[name]) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("source.port", "ssh", "ssh"),
        ("source.port", "", ""),
        ("source.port", "1_000", "1_000"),
        ("source.port", 22.5, "22.5"),
        ("source.port", True, "true"),
        ("source.bytes", 2**63, str(2**63)),
        ("source.bytes", "9" * 5000, "9" * 5000),
        ("source.bytes", 10**30, "1" + "0" * 30),
        ("event.risk_score", float("nan"), "nan"),
        ("event.risk_score", "1e39", "1e39"),
        ("tls.established", "maybe", "maybe"),
        ("tls.established", 2, "2"),
        ("source.ip", "10.0.0.256", "10.0.0.256"),
        ("source.ip", "fe80::1%eth0", "fe80::1%eth0"),
        ("source.ip", "10.0.0.1\0", "10.0.0.1\0"),
        ("source.ip", 167772161, "167772161"),
        ("event.created", "yesterday", "yesterday"),
        ("event.created", "2026-13-01T00:00:00.000Z", "2026-13-01T00:00:00.000Z"),
        ("event.created", "0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"),
        ("event.created", 10**25, "1" + "0" * 25),
        ("user.name", {"first": "a"}, '{"first":"a"}'),
        ("host", "web1", "web1"),
        ("log.syslog", "x", "x"),
        ("process.tty", "pts/0", "pts/0"),
        ("source.geo.location", "91,0", "91,0"),
    ],
)
def test_value_of_the_wrong_type_is_kept_beside(name: str, value: Any, kept: str) -> None:
    event = {name: value}

    assert coerce(event) == [name]

    assert event == {INVALID + name: kept}


def test_good_elements_of_an_array_stay() -> None:
    event: dict[str, Any] = {"host.ip": ["10.0.0.1", "-", "x"]}

    assert coerce(event) == ["host.ip"]

    assert event == {"host.ip": ["10.0.0.1"], INVALID + "host.ip": ["-", "x"]}


def test_objects_leave_a_list_of_words() -> None:
    event: dict[str, Any] = {"tags": ["a", {"b": 1}], "user.name": ["c", {"d": 2}]}

    assert coerce(event) == ["tags", "user.name"]

    assert event["tags"] == ["a"]
    assert event["user.name"] == ["c"]
    assert event[INVALID + "user.name"] == '{"d":2}'


def test_leaves_of_an_object_are_coerced_too() -> None:
    event: dict[str, Any] = {"dns.answers": [{"ttl": "300", "data": "a"}, {"ttl": "soon"}]}

    assert coerce(event) == ["dns.answers.ttl"]

    assert event["dns.answers"] == [{"ttl": 300, "data": "a"}, {}]
    assert event[INVALID + "dns.answers.ttl"] == "soon"


def test_fields_that_ecs_does_not_know_pass_unchanged() -> None:
    event: dict[str, Any] = {
        "winlog.event_data.LogonType": "3",
        "zeek.conn": {"orig_bytes": "1"},
        "samlog.json": {"source": {"port": "22"}},
    }
    before = dict(event)

    assert coerce(event) == []

    assert event == before


def test_object_nested_a_thousand_deep_does_not_raise() -> None:
    deep: Any = "x"
    for _ in range(1000):
        deep = {"a": [deep]}
    event = {"user.name": deep, "dns.answers": deep, "labels": deep}

    coerce(event)

    assert INVALID + "user.name" in event


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["22", "10.0.0.1", "::1", "2026-01-10T13:37:01Z", "true", "1e999", "-1"])
)
TYPED = sorted(name for name, es_type in FIELDS.items() if es_type != "keyword")
NAMES = st.sampled_from(TYPED) | st.sampled_from(sorted(OBJECTS)) | st.text(max_size=10)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, JSON, max_size=8))
def test_coerce_never_raises_and_a_second_time_changes_nothing(event: dict[str, Any]) -> None:
    coerce(event)
    once = repr(event)

    assert coerce(event) == []

    assert repr(event) == once


@given(st.sampled_from(TYPED), SCALARS)
def test_what_is_moved_is_not_lost(name: str, value: Any) -> None:
    event = {name: value}

    moved = coerce(event)

    assert (name in event) != (INVALID + name in event)
    assert moved == ([name] if INVALID + name in event else [])
