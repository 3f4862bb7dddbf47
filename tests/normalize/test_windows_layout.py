"""Events of a known layout are read as if each were the first, with nothing of another one."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from normalize.parsers import windows
from normalize.windows import flat, layout
from normalize.windows.record import EVENT_DATA, WindowsEvent

NAMES = (
    *("EventID", "Channel", "SourceName", "Provider", "Level", "EventLevel", "Task", "Keywords"),
    *("OpcodeValue", "Opcode", "Category", "EventType", "Version", "ProcessID", "ThreadID"),
    *("ExecutionProcessID", "ExecutionThreadID", "RecordNumber", "EventRecordID", "Hostname"),
    *("Computer", "UserID", "AccountName", "Domain", "AccountType", "Message", "EventTime"),
    *("TimeCreated", "@timestamp", "EventReceivedTime", "tags", "host", "port", "SeverityValue"),
    *("UserData", "EventData", "TargetUserName", "SubjectUserSid", "IpPort", "Image", "User"),
    *("Threat Name", "a..b", "EventType.", "UtcTime", "TargetObject", "Details"),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 4624, 2**63, 2**64 - 1, 1.5, -0.0]),
    st.sampled_from(["", "-", "1", "0x10", "Info", "AUDIT_SUCCESS", "S-1-5-18", "SetValue"]),
    st.sampled_from(["2026-01-10 13:37:01", "2026-01-10T13:37:01.123Z", "HKLM\\a", "{}"]),
    st.sampled_from([[], ["a"], [1, None], {}, {"a": 1}]),
    st.text(max_size=5),
)


def fields(event: WindowsEvent) -> tuple[bytes, Any]:
    """Returns the document up to its EventData in its order, and what else the mapper reads."""
    if event.kind is None:
        for name, value in event.data.items():
            event.out[EVENT_DATA[name]] = value
        event.out["event.kind"] = "event"
    rest = (event.data, event.channel, event.provider, event.code, event.when(), event.irregular)
    return orjson.dumps(list(event.out.items())), rest


@settings(max_examples=600, deadline=None)
@given(
    first=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=12),
    values=st.lists(VALUES, min_size=12, max_size=12),
)
def test_an_event_by_its_layout_is_the_event_by_itself(
    first: dict[str, Any], values: list[Any]
) -> None:
    second = {
        name: other if type(other) is type(value) else value
        for (name, value), other in zip(first.items(), values, strict=False)
    }
    for obj in (first, second, first):
        assert fields(layout.read(obj)) == fields(flat.read(obj))


def logon(user: str, **more: Any) -> dict[str, Any]:
    usual = {"EventID": 4624, "Channel": "Security", "Keywords": 1, "tags": ["a"]}
    return usual | {"TargetUserName": user, "Hostname": "h", "ThreadID": 1} | more


def test_nothing_of_an_event_is_in_the_next_one_of_its_kind() -> None:
    layout.read(logon("kirsten", IpAddress="192.0.2.1"))
    event = layout.read(logon("bo", IpAddress=""))
    assert event.kind is not None
    assert "kirsten" not in repr(event)
    assert "192.0.2.1" not in repr((event, event.kind))


def test_what_is_done_to_one_event_is_not_seen_in_the_next() -> None:
    first = layout.read(logon("kirsten"))
    first.out["winlog.keywords"].append("x")
    first.out["tags"].append("x")
    first.out["y"] = first.data["y"] = "x"
    assert fields(layout.read(logon("kirsten"))) == fields(flat.read(logon("kirsten")))


def test_an_event_with_a_number_beyond_its_range_is_read_by_itself() -> None:
    assert layout.read(logon("kirsten", ThreadID=2**63)).kind is None
    assert "winlog.process.thread.id" not in layout.read(logon("kirsten", ThreadID=2**63)).out


def test_an_event_with_very_many_names_is_read_by_itself() -> None:
    many = {f"Field{number}": "x" for number in range(layout.MAX_NAMES)}
    event = layout.read(logon("kirsten") | many)
    assert event.kind is None
    assert event.data["Field199"] == "x"


def test_long_names_are_not_kept() -> None:
    obj = logon("kirsten") | {"N" * layout.MAX_CHARS: "x"}
    layout.read(obj)
    assert all(tuple(obj) != names for names, _ in layout._LAYOUTS)


def test_the_parser_reads_the_same_object_twice_alike() -> None:
    obj = logon("kirsten")
    assert windows._reader(obj) == "flat"
    assert fields(layout.read(obj)) == fields(layout.read(obj))
