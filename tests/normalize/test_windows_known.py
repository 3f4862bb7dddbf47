"""Flat Windows events by their shape: the compiled way gives what the plain way gives, bounded."""

from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from normalize.complete import shape_of
from normalize.windows import flat, known
from normalize.windows.mapper import to_ecs
from samlog.ecs_types import coerce
from samlog.event import Event, RawEvent

RECEIVED = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
SYSMON_10 = {
    "EventID": 10,
    "Channel": "Microsoft-Windows-Sysmon/Operational",
    "SourceName": "Microsoft-Windows-Sysmon",
    "Keywords": -9223372036854775808,
    "EventType": "INFO",
    "Hostname": "ærø1.example.dk",
    "UserID": "S-1-5-18",
    "AccountName": "SYSTEM",
    "RecordNumber": 4711,
    "ExecutionProcessID": 3204,
    "tags": ["a", "b"],
    "UtcTime": "2026-01-10 14:59:58.120",
    "EventTime": "2026-01-10 15:59:58",
    "SourceProcessId": "916",
    "SourceImage": "C:\\Windows\\System32\\svchost.exe",
    "RuleName": "-",
    "Threat Name": "x",
    "port": 5044,
}
NAMES = st.sampled_from(
    [
        *flat.TAKEN,
        *SYSMON_10,
        "ThreatName",
        "SubjectUserName",
        "IpAddress",
        "ProcessId",
        "Logon Type",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.sampled_from(["", "-", "0x3e7", "S-1-5-18", "AUDIT_FAILURE", "CreateKey", "10.0.0.1", "4"]),
    st.text(max_size=8),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
)
KINDS = st.fixed_dictionaries(
    {
        "EventID": st.sampled_from([1, 3, 10, 13, 4624, "4656", 4688, 7040, 1116]),
        "Channel": st.sampled_from(["Security", "System", "Microsoft-Windows-Sysmon/Operational"]),
        "SourceName": st.sampled_from(
            ["Microsoft-Windows-Security-Auditing", "Microsoft-Windows-Sysmon", "x", None]
        ),
    }
)


def raw_of(obj: dict[str, Any]) -> RawEvent:
    return RawEvent("enheda", b"{}", "{}", RECEIVED, json=obj)


def plain(obj: dict[str, Any]) -> Event:
    return to_ecs(flat.read(obj, UTC), raw_of(obj))


def compiled(obj: dict[str, Any]) -> Event | None:
    return known.parse(obj, raw_of(obj))


@given(KINDS, st.dictionaries(NAMES, VALUES, max_size=24))
def test_a_known_shape_gives_what_the_plain_way_gives(
    kind: dict[str, Any], more: dict[str, Any]
) -> None:
    obj = more | kind
    event = compiled(obj)
    assert event is None or event == plain(obj)


def test_a_usual_event_is_compiled() -> None:
    event = compiled(SYSMON_10)
    assert event is not None
    assert event == plain(SYSMON_10)
    assert event["winlog.event_data.ThreatName"] == "x"


def test_events_of_one_kind_keep_their_own_values() -> None:
    other = SYSMON_10 | {"SourceProcessId": "77", "Hostname": "web2", "RecordNumber": 1, "tags": []}
    assert compiled(other) == plain(other)
    assert compiled(SYSMON_10) == plain(SYSMON_10)


@given(KINDS, st.dictionaries(NAMES, SCALARS, max_size=24))
def test_what_is_settled_is_right_already(kind: dict[str, Any], more: dict[str, Any]) -> None:
    obj = more | kind
    raw = raw_of(obj)
    event = known.parse(obj, raw)
    if event is None:
        return
    names = list(event)[: raw.settled]
    before = {name: event[name] for name in names}
    assert shape_of(before).reserved == () and shape_of(before).related == ()
    after = dict(before)
    assert coerce(after) == [] and after == before


def test_more_settled_fields_than_there_are_settle_nothing() -> None:
    event = {"samlog.x": 1, "source.ip": "192.0.2.1"}
    assert shape_of(event, 3) == shape_of(event)


def test_the_first_event_of_a_shape_gives_the_same_bytes_as_a_later_one() -> None:
    known.SHAPES.clear()
    known.KINDS.clear()
    first, later = (orjson.dumps(known.parse(SYSMON_10, raw_of(SYSMON_10))) for _ in range(2))
    assert first == later


def test_ever_new_shapes_do_not_grow_memory() -> None:
    for number in range(known.MAX_SHAPES + 100):
        obj = {"EventID": 1, "Channel": "x", f"n{number}": "y"}
        assert known.parse(obj, raw_of(obj)) is not None
    assert len(known.SHAPES) <= known.MAX_SHAPES


def test_too_many_or_too_long_names_go_the_plain_way() -> None:
    many = {f"n{number}": "x" for number in range(known.MAX_NAMES)} | SYSMON_10
    assert compiled(many) is None
    assert compiled(SYSMON_10 | {"n" * known.MAX_CHARS: "x"}) is None


def test_ever_new_kinds_do_not_grow_memory() -> None:
    for number in range(known.MAX_KINDS + 100):
        assert compiled(SYSMON_10 | {"EventID": number}) is not None
    assert len(known.KINDS) <= known.MAX_KINDS


def test_a_kind_with_endless_words_is_read_and_not_kept() -> None:
    endless = SYSMON_10 | {"Channel": "c" * (known.MAX_WORDS + 1)}
    known.KINDS.clear()
    assert compiled(endless) == plain(endless)
    assert not known.KINDS
