"""How each shipper's format is read, and what happens to input that is not whole."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from normalize.parsers import windows
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

RECEIVED = datetime(2026, 3, 3, 12, tzinfo=UTC)
HEAD = (
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
    "<Provider Name='Prøve'/><EventID>{code}</EventID><Channel>Application</Channel>"
    "<EventRecordID>7</EventRecordID><TimeCreated SystemTime='2026-03-02T10:00:00.5Z'/>"
    "<Computer>pc</Computer></System>"
)


def raw_of(value: Any, *, tz: str = "UTC") -> RawEvent:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    obj = None if isinstance(value, str) else value
    return RawEvent("enheda", text.encode(), text, RECEIVED, json=obj, body=text, tz=tz)


def parse(value: Any, *, tz: str = "UTC") -> tuple[Event, list[str]]:
    raw = raw_of(value, tz=tz)
    return windows.parse(raw), raw.tags


def xml(payload: str, code: str = "1") -> tuple[Event, list[str]]:
    return parse(HEAD.format(code=code) + payload + "</Event>")


NXLOG = {
    "SourceModuleType": "im_msvistalog",
    "Channel": "Security",
    "SourceName": "Microsoft-Windows-Security-Auditing",
    "Hostname": "dc01",
    "RecordNumber": 12,
}


class TestXml:
    def test_unnamed_data_are_a_list_and_numbered_parameters(self) -> None:
        event, _ = xml("<EventData><Data>første</Data><Data/><Data>a &lt; b</Data></EventData>")
        assert event["winlog.event_data.Data"] == ["første", "", "a < b"]
        assert event["winlog.event_data.param3"] == "a < b"

    def test_attributes_may_stand_in_either_kind_of_quotes(self) -> None:
        event, tags = xml("<EventData><Data Name=\"A\">1</Data><Data Name='B'>2</Data></EventData>")
        assert (event["winlog.event_data.A"], event["winlog.event_data.B"]) == ("1", "2")
        assert tags == []

    def test_a_name_that_comes_twice_gives_a_list(self) -> None:
        event, _ = xml("<EventData><Data Name='A'>1</Data><Data Name='A'>2</Data></EventData>")
        assert event["winlog.event_data.A"] == ["1", "2"]

    def test_references_become_characters_once(self) -> None:
        event, _ = xml("<EventData><Data Name='A'>&#xE6;&#248;&amp;lt;&#0;</Data></EventData>")
        assert event["winlog.event_data.A"] == "æø&lt;&#0;"

    def test_cdata_and_nested_elements_are_read(self) -> None:
        event, tags = xml(
            "<EventData><Data Name='A'><![CDATA[<b>]]></Data>"
            "<ComplexData Name='C'><x>1</x><y>2</y></ComplexData><Binary>00FF</Binary></EventData>"
        )
        assert event["winlog.event_data.A"] == "<b>"
        assert event["winlog.event_data.C"] == "12"
        assert event["winlog.event_data.Binary"] == "00FF"
        assert tags == []

    def test_user_data_stands_apart_and_is_readable_as_event_data(self) -> None:
        event, _ = xml(
            "<UserData><E xmlns='x'><User>ENHEDA\\åse</User><Channel>Security</Channel></E>"
            "</UserData>"
        )
        assert event["winlog.user_data.Channel"] == "Security"
        assert event["winlog.event_data.Channel"] == "Security"
        assert event["winlog.channel"] == "Application"

    def test_a_truncated_event_keeps_what_was_there_and_says_so(self) -> None:
        whole = HEAD.format(code="4625") + "<EventData><Data Name='A'>1</Data><Data Name='B'>halv"
        event, tags = parse(whole)
        assert event["winlog.event_data.A"] == "1"
        assert event["event.code"] == "4625"
        assert tags == ["unparsed_body"]

    def test_an_entity_bomb_is_not_expanded(self) -> None:
        bomb = "<!DOCTYPE b [<!ENTITY a 'aaaa'><!ENTITY c '&a;&a;&a;'>]>"
        event, tags = parse(
            bomb + HEAD.format(code="1") + "<UserData><x>&c;</x></UserData></Event>"
        )
        assert tags == ["unparsed_body"]
        assert "aaaa" not in str(event)

    def test_a_second_event_in_the_same_text_is_not_passed_over_in_silence(self) -> None:
        one = HEAD.format(code="1") + "<EventData/></Event>"
        assert parse(one)[1] == []
        assert parse(one + one)[1] == ["unparsed_body"]

    def test_an_agents_message_may_hold_the_xml(self) -> None:
        event, _ = parse({"message": HEAD.format(code="9") + "<EventData/></Event>"})
        assert event["event.code"] == "9"


class TestFlat:
    def test_the_relays_clock_tells_the_zone_of_a_local_time(self) -> None:
        event, _ = parse(
            NXLOG
            | {
                "EventID": 4634,
                "EventTime": "2026-07-01 14:00:05",
                "EventReceivedTime": "2026-07-01 14:00:07",
                "@timestamp": "2026-07-01T12:00:07.300Z",
            }
        )
        assert event["@timestamp"] == "2026-07-01T12:00:05.000Z"

    def test_without_a_relay_a_local_time_is_in_the_devices_zone(self) -> None:
        local = NXLOG | {"EventID": 4634, "EventTime": "2026-07-01 14:00:05"}
        assert parse(local, tz="Europe/Oslo")[0]["@timestamp"] == "2026-07-01T12:00:05.000Z"

    def test_the_account_of_the_system_part_is_told_from_event_data_of_the_same_name(self) -> None:
        session = NXLOG | {"EventID": 4778, "AccountName": "åse", "LogonID": "0x1"}
        assert parse(session)[0]["user.name"] == "åse"
        system = NXLOG | {"EventID": 1, "AccountName": "SYSTEM", "UserID": "S-1-5-18"}
        event = parse(system)[0]
        assert event["winlog.user.name"] == "SYSTEM"
        assert "winlog.event_data.AccountName" not in event

    def test_sysmons_event_type_is_told_from_nxlogs(self) -> None:
        own = parse(NXLOG | {"EventID": 12, "EventType": "AUDIT_FAILURE"})[0]
        assert own["event.outcome"] == "failure"
        sysmon = parse(NXLOG | {"EventID": 12, "EventType": "CreateKey"})[0]
        assert sysmon["winlog.event_data.EventType"] == "CreateKey"

    def test_a_signed_keyword_mask_is_also_given_in_hexadecimal_and_in_words(self) -> None:
        event, _ = parse(NXLOG | {"EventID": 4625, "Keywords": -9218868437227405312})
        assert event["winlog.keywords"] == [
            "-9218868437227405312",
            "0x8010000000000000",
            "Audit Failure",
        ]
        assert event["event.outcome"] == "failure"

    def test_the_channel_routes_where_no_provider_is_named(self) -> None:
        event, _ = parse({"Channel": "security", "EventID": 4688, "NewProcessName": "C:\\æ.exe"})
        assert event["process.name"] == "æ.exe"
        assert event["event.dataset"] == "system.security"
        assert event["winlog.channel"] == "security"

    def test_json_text_in_event_data_is_read(self) -> None:
        event, _ = parse(
            {
                "Channel": "Microsoft-Windows-Sysmon/Operational",
                "Provider": "Microsoft-Windows-Sysmon",
                "EventID": 5,
                "EventData": '{"ProcessId":"77","UtcTime":"2026-03-02T09:00:00.1230000Z"}',
                "TimeGenerated": "2026-03-02T09:00:01Z",
            }
        )
        assert event["process.pid"] == 77
        assert event["@timestamp"] == "2026-03-02T09:00:00.123Z"

    def test_event_data_that_cannot_be_read_is_kept_and_tagged(self) -> None:
        event, tags = parse(NXLOG | {"EventID": 1, "EventData": "{halv"})
        assert event["winlog.shipper.EventData"] == "{halv"
        assert tags == ["unparsed_body"]


class TestWinlogbeat:
    def test_dotted_keys_give_the_same_as_nested_ones(self) -> None:
        nested = {
            "winlog": {
                "channel": "Security",
                "event_id": "4634",
                "record_id": 5,
                "computer_name": "dc",
                "event_data": {"TargetUserName": "ægir"},
            }
        }
        dotted = {
            "winlog.channel": "Security",
            "winlog.event_id": "4634",
            "winlog.record_id": 5,
            "winlog.computer_name": "dc",
            "winlog.event_data.TargetUserName": "ægir",
        }
        assert parse(dotted) == parse(nested)

    def test_a_shipper_cannot_write_what_only_samlog_writes(self) -> None:
        event, _ = parse(
            {
                "samlog": {"unit": "enhedb"},
                "data_stream": {"namespace": "enhedb"},
                "winlog": {"channel": "Security", "event_id": 1},
            }
        )
        own = [name for name in event if name.startswith(("samlog.", "data_stream."))]
        assert own == ["samlog.log_class"]

    def test_unknown_fields_of_a_shipper_are_kept_apart(self) -> None:
        event, _ = parse({"sted": {"by": "Ålborg"}, "winlog": {"channel": "X", "event_id": 1}})
        assert event["winlog.shipper.sted.by"] == "Ålborg"


def test_the_origin_is_computer_channel_and_record_number() -> None:
    event, _ = xml("<EventData/>")
    assert event["samlog.origin"] == "pc\x1fApplication\x1f7"


def test_without_a_record_number_there_is_no_origin() -> None:
    assert "samlog.origin" not in parse({"Channel": "Security", "EventID": 1, "Hostname": "x"})[0]


def test_a_field_name_with_spaces_is_there_as_sent_and_as_rules_write_it() -> None:
    event, _ = xml("<EventData><Data Name='Threat Name'>EICAR</Data></EventData>")
    assert event["winlog.event_data.Threat Name"] == "EICAR"
    assert event["winlog.event_data.ThreatName"] == "EICAR"


@pytest.mark.parametrize("name", ["", ".", "a..b", ".a", "a.", " "])
def test_a_name_that_no_store_takes_is_made_safe(name: str) -> None:
    event, _ = parse({"Channel": "X", "EventID": 1, name: "v"})
    (found,) = [field for field, value in event.items() if value == "v"]
    assert all(part.strip() for part in found.split("."))


def test_more_fields_than_allowed_are_cut_and_tagged() -> None:
    many = {f"F{number}": "x" for number in range(5000)}
    event, tags = parse({"Channel": "X", "EventID": 1} | many)
    assert len(event) < 1100
    assert tags == ["fields_cut"]


def test_text_that_is_no_windows_event_is_kept_as_message_and_tagged() -> None:
    event, tags = parse('{"EventID": 4624, "Chan')
    assert event["message"] == '{"EventID": 4624, "Chan'
    assert tags == ["unparsed_body"]


def test_nothing_at_all_is_a_bad_event() -> None:
    with pytest.raises(BadEvent, match="empty_event"):
        parse("\x00\x00")


def test_without_any_time_the_receipt_is_the_time() -> None:
    assert parse({"Channel": "X", "EventID": 1})[0]["@timestamp"] == "2026-03-03T12:00:00.000Z"


@pytest.mark.parametrize(
    "other",
    [
        {"eventVersion": "1.08", "eventSource": "ec2.amazonaws.com"},
        {"message": "sshd[1]: x"},
        {"SyslogMessage": "<Event><System/></Event>", "Type": "Syslog"},
        {"EventID": 5},
    ],
)
def test_other_sources_are_not_claimed(other: dict[str, Any]) -> None:
    assert not windows.matches(raw_of(other))
