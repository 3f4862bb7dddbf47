"""Shippers that send bare values, rename the System part or wrap the event's XML."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.parsers import windows
from normalize.windows.inserts import names_of
from normalize.windows.tables_fields import FIELDS
from samlog.event import Event, RawEvent

RECEIVED = datetime(2026, 3, 3, 12, tzinfo=UTC)
AUDITING = "Microsoft-Windows-Security-Auditing"
FLUENT = {"ProviderName": AUDITING, "Channel": "Security", "Computer": "pc", "StringInserts": []}
XML = (
    "<Event><System><Provider Name='P'/><EventID>7</EventID><Channel>C</Channel>"
    "<Computer>pc</Computer></System><EventData><Data Name='A'>æ</Data></EventData></Event>"
)


def parse(obj: dict[str, Any]) -> tuple[Event, list[str]]:
    text = orjson.dumps(obj).decode()
    raw = RawEvent("enheda", text.encode(), text, RECEIVED, json=obj, body=text)
    assert windows.matches(raw)
    return windows.parse(raw), raw.tags


def data(event: Event) -> dict[str, Any]:
    prefix = "winlog.event_data."
    return {name[len(prefix) :]: v for name, v in event.items() if name.startswith(prefix)}


class TestStringInserts:
    def test_values_get_the_names_of_the_providers_manifest(self) -> None:
        event, tags = parse(FLUENT | {"EventID": 4634, "StringInserts": ["S-1-5-7", "åse", "D"]})
        assert data(event) == {
            "TargetUserSid": "S-1-5-7",
            "TargetUserName": "åse",
            "TargetDomainName": "D",
        }
        assert event["user.name"] == "åse"
        assert tags == []

    def test_a_version_that_inserted_a_field_is_told_by_the_number_of_values(self) -> None:
        names = names_of(AUDITING, "4624", 28)
        assert len(names) == 28
        assert names.index("RemoteCredentialGuard") == 22
        assert "RemoteCredentialGuard" not in names_of(AUDITING, "4624", 27)

    def test_a_sysmon_without_rule_names_is_told_by_the_time_in_their_place(self) -> None:
        values = ["2026-03-02 17:04:11.204", "{guid}", 4711, "C:\\Værktøj\\a.exe"]
        sysmon = {"ProviderName": "Microsoft-Windows-Sysmon", "EventID": 5, "Channel": "x"}
        event, _ = parse(sysmon | {"StringInserts": values})
        assert event["process.executable"] == "C:\\Værktøj\\a.exe"
        assert event["@timestamp"] == "2026-03-02T17:04:11.204Z"

    def test_values_without_names_are_kept_in_their_order(self) -> None:
        event, _ = parse(
            FLUENT | {"EventID": 1, "ProviderName": "X", "StringInserts": ["a", None, 3]}
        )
        assert data(event) == {"Data": ["a", "", "3"], "param1": "a", "param2": "", "param3": "3"}

    def test_more_values_than_names_are_kept_too(self) -> None:
        event, _ = parse(FLUENT | {"EventID": 4776, "StringInserts": ["p", "u", "w", "0x0", "ny"]})
        assert data(event)["param5"] == "ny"

    def test_the_older_inputs_event_id_carries_its_qualifiers(self) -> None:
        old = {"SourceName": "EventLog", "Channel": "System", "EventID": 0x80000000 | 6008}
        event, _ = parse(old | {"StringInserts": []})
        assert event["event.code"] == "6008"

    def test_ten_thousand_values_are_cut_and_said_to_be(self) -> None:
        event, tags = parse(FLUENT | {"EventID": 1, "StringInserts": ["x"] * 10_000})
        assert len(data(event)) <= 1001
        assert "unparsed_body" in tags

    def test_every_row_of_the_table_names_a_field_once(self) -> None:
        for events in FIELDS.values():
            for listed in events.values():
                names = listed.split()
                assert len(names) == len(set(names)), listed


class TestAzure:
    def test_named_event_data_goes_before_bare_parameters(self) -> None:
        row = {"EventLog": "System", "Source": "Service Control Manager", "EventID": 7036}
        params = {"ParameterXml": "<Param>Spooler</Param><Param>k&#248;rer</Param>"}
        assert data(parse(row | params)[0])["param2"] == "kører"
        named = params | {"EventData": "<EventData><Data Name='param1'>X</Data></EventData>"}
        assert data(parse(row | named)[0]) == {"param1": "X"}

    def test_raw_event_data_is_read_where_azure_could_not_read_it(self) -> None:
        row = {"Provider": "P", "Channel": "C", "EventID": 1, "EventData": None}
        event, _ = parse(row | {"RawEventData": "<EventData><Data Name='A'>ø</Data></EventData>"})
        assert data(event) == {"A": "ø"}

    def test_unreadable_event_data_is_kept_as_it_was_and_tagged(self) -> None:
        row = {"EventLog": "System", "Source": "P", "EventID": 1, "EventData": "{halv"}
        event, tags = parse(row)
        assert event["winlog.shipper.EventData"] == "{halv"
        assert tags == ["unparsed_body"]

    def test_a_record_of_the_event_hub_without_xml_is_read_by_its_properties(self) -> None:
        inner = {"Channel": "System", "EventId": 6005, "ProviderName": "EventLog", "Pid": 4}
        event, _ = parse({"time": "2026-03-02T10:00:00Z", "properties": inner, "category": "c"})
        assert event["event.code"] == "6005"
        assert event["@timestamp"] == "2026-03-02T10:00:00.000Z"
        assert event["winlog.shipper.category"] == "c"


@pytest.mark.parametrize("name", ["System", "_raw", "xml", "event", "message"])
def test_an_event_as_xml_is_found_wherever_a_shipper_puts_it(name: str) -> None:
    event, tags = parse({name: XML, "sourcetype": "XmlWinEventLog"})
    assert event["winlog.event_data.A"] == "æ"
    assert event["winlog.shipper.sourcetype"] == "XmlWinEventLog"
    assert tags == []


def test_the_program_of_a_relays_header_is_no_process(one: Callable[..., Event]) -> None:
    event = one(
        "<14>Jan 10 13:00:00 dc01 Microsoft-Windows-Security-Auditing[700]: "
        '{"EventID": 4634, "Channel": "Security", "TargetUserName": "åse"}'
    )
    assert event["user.name"] == "åse"
    assert not {name for name in event if name.startswith("process.")}


def test_a_log_with_events_and_channels_of_its_own_is_no_windows_event() -> None:
    for obj in (
        {"event_id": 7, "channel": "ordrer", "beløb": 3},
        {"properties": {"Channel": "web"}},
        {"data": {"win": "ja"}},
        {"event": "login", "message": "<Eventyr>"},
    ):
        text = orjson.dumps(obj).decode()
        raw = RawEvent("enheda", text.encode(), text, RECEIVED, json=obj, body=text)
        assert windows.matches(raw) == ("<Event" in text)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = (
    "EventID EventId Channel ProviderName StringInserts EventData UserData ParameterXml RawXml "
    "Level Task Opcode Keywords Version TimeCreated TimeGenerated EventType keyword_names win "
    "system eventdata properties System ProcessID Message EventLog Source RawEventData"
)
KEYS = st.sampled_from(NAMES.split())


@given(st.dictionaries(KEYS, VALUES), st.sampled_from(["named", "wrapped", "wazuh", "xml"]))
def test_any_values_under_the_shippers_names_give_an_event(
    found: dict[str, Any], shape: str
) -> None:
    obj: dict[str, Any] = {
        "named": {"EventID": 1, "Channel": "c", "StringInserts": [], **found},
        "wrapped": {"properties": {"EventId": 1, "Channel": "c", **found}},
        "wazuh": {"win": {"system": {"eventID": "1"}, "eventdata": found}, **found},
        "xml": {**found, "_raw": XML},
    }[shape]
    raw = RawEvent("enheda", b"x", "x", RECEIVED, json=obj, body="x")
    if windows.matches(raw):
        assert windows.parse(raw)["event.kind"] == "event"


def test_a_guid_of_zeros_names_no_process() -> None:
    nobody = "{00000000-0000-0000-0000-000000000000}"
    sysmon = {"EventID": 10, "Channel": "c", "SourceName": "Microsoft-Windows-Sysmon"}
    event, _ = parse(sysmon | {"SourceProcessGUID": nobody})
    assert "process.entity_id" not in event
    assert event["winlog.event_data.SourceProcessGUID"] == nobody


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", ["<Param>", "<Data>", "<Event", "&#1;", '"', "\\", "type: ", " a"])
def test_long_hostile_values_take_linear_work(part: str) -> None:
    """Quadratic work on 64 kB takes minutes and runs into the time-out."""
    long = (part * 64_000)[:64_000]
    row = {"EventLog": "Security", "Source": AUDITING, "EventID": 4688}
    assert parse(row | {"ParameterXml": long, "RenderedDescription": long})[0]["message"] == long
    assert parse(row | {"EventData": long})[0]["event.code"] == "4688"
    inserts = [long] * 15
    event, _ = parse(FLUENT | {"EventID": 4688, "StringInserts": inserts, "Message": long})
    assert event["winlog.event_data.CommandLine"] == long
    assert parse({"_raw": XML + long})[0]["event.code"] == "7"


def test_an_event_of_sysmon_without_any_insert_is_still_an_event() -> None:
    sysmon = {"SourceName": "Microsoft-Windows-Sysmon", "EventID": 1, "StringInserts": []}

    event, _ = parse(FLUENT | sysmon)

    assert event["event.code"] == "1"
