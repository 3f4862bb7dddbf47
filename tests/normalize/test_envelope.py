"""Agents' envelopes are taken off; structured logs that look alike are not."""

from collections.abc import Callable

import orjson
import pytest

from samlog.errors import BadEvent
from samlog.event import Event

One = Callable[..., Event]
Many = Callable[..., list[Event]]

LINE = "Jan 10 13:37:01 web1 sshd[811]: Failed password for root from 203.0.113.7 port 40112 ssh2"
FILEBEAT = {
    "@timestamp": "2026-01-10T13:37:02.000Z",
    "@metadata": {"beat": "filebeat"},
    "agent": {"type": "filebeat", "id": "a-1", "hostname": "h"},
    "host": {"name": "web1.example"},
    "log": {"file": {"path": "/var/log/auth.log"}, "offset": 17},
    "message": LINE,
}


def test_the_line_inside_is_the_original_and_the_agent_stays_known(one: One) -> None:
    event = one(orjson.dumps(FILEBEAT))
    assert event["event.original"] == LINE
    assert event["event.dataset"] == "system.auth"
    assert event["agent.id"] == "a-1"
    assert event["log.file.path"] == "/var/log/auth.log"
    assert event["host.name"] == "web1.example"
    assert event["event.created"] == "2026-01-10T13:37:02.000Z"


def test_what_has_no_ecs_field_is_kept_as_json(one: One) -> None:
    assert one(orjson.dumps(FILEBEAT))["samlog.json"]["envelope"] == {"agent.hostname": "h"}


def test_file_and_offset_name_the_line_wherever_it_was_written_on_the_bus(normalize: Many) -> None:
    value = orjson.dumps(FILEBEAT)
    other = orjson.dumps(FILEBEAT | {"@timestamp": "2026-01-10T14:00:00.000Z"})
    first, again = normalize(value, offset=1), normalize(other, offset=2)
    assert first[0]["event.id"] == again[0]["event.id"]


@pytest.mark.parametrize(
    "record",
    [
        {"log": LINE + "\n", "stream": "stdout", "time": "2026-01-10T13:37:02.1Z"},
        {"message": LINE, "source_type": "file", "file": "/var/log/auth.log", "host": "h"},
        {"message": LINE, "event": {"timezone": "+0000"}},
    ],
)
def test_other_agents_lines_are_found_too(one: One, record: dict[str, object]) -> None:
    event = one(orjson.dumps(record))
    assert event["event.original"].strip() == LINE
    assert event["event.action"] == "ssh_login"


SAID = "Failed password for root from 203.0.113.7 port 40112 ssh2"
TAKEN_APART: dict[str, dict[str, object]] = {
    "Vector, syslog": {
        "appname": "sshd", "facility": "auth", "host": "web1", "hostname": "web1", "message": SAID,
        "procid": 811, "severity": "info", "source_type": "syslog",
        "timestamp": "2026-01-10T12:37:01Z", "version": 1,
    },
    "Vector, journald": {
        "message": SAID, "SYSLOG_IDENTIFIER": "sshd", "_PID": "811", "host": "web1",
        "SYSLOG_FACILITY": "4", "PRIORITY": "6", "source_type": "journald",
        "timestamp": "2026-01-10T12:37:01Z",
    },
    "Fluent Bit": {
        "date": 1768048621.0, "pri": "38", "host": "web1", "ident": "sshd", "pid": "811",
        "message": SAID,
    },
    "syslog-ng": {
        "PROGRAM": "sshd", "PRIORITY": "info", "PID": "811", "MESSAGE": SAID, "HOST": "web1",
        "FACILITY": "auth", "DATE": "Jan 10 12:37:01",
    },
    "NXLog": {
        "SyslogFacility": "AUTH", "SyslogSeverity": "INFO", "Hostname": "web1",
        "EventTime": "2026-01-10 12:37:01", "SourceName": "sshd", "ProcessID": "811",
        "Message": SAID,
    },
    "rsyslog": {
        "msg": f" {SAID}", "hostname": "web1", "syslogtag": "sshd[811]:", "programname": "sshd",
        "procid": "811", "syslogfacility": "4", "syslogseverity": "6",
        "timereported": "2026-01-10T13:37:01+01:00",
    },
    "Logstash": {
        "program": "sshd", "pid": "811", "logsource": "web1", "message": SAID,
        "facility_label": "auth", "severity": 6, "timestamp": "Jan 10 12:37:01",
    },
}  # fmt: skip


@pytest.mark.parametrize("agent", TAKEN_APART)
def test_a_header_that_an_agent_has_taken_apart_counts(one: One, agent: str) -> None:
    event = one(orjson.dumps(TAKEN_APART[agent]))
    assert event["@timestamp"] == "2026-01-10T12:37:01.000Z"
    assert (event["event.dataset"], event["user.name"]) == ("system.auth", "root")
    assert (event["host.name"], event["process.name"], event["process.pid"]) == (
        "web1",
        "sshd",
        811,
    )
    assert event["log.syslog.facility.name"] == "auth"
    assert event["log.syslog.severity.code"] == 6
    assert event["event.original"] == SAID


@pytest.mark.parametrize(
    "record",
    [
        {"program": "billing", "message": "paid", "host": "web1"},
        {"program": "billing", "message": "paid", "pid": 1},
        {"program": "a b", "message": "paid", "host": "web1", "pid": 1},
        {"program": {"name": "x"}, "message": "paid", "host": "web1", "pid": 1},
        {"program": "billing", "message": {"text": "paid"}, "host": "web1", "pid": 1},
        {"SourceName": "Application", "Message": "m", "Hostname": "h", "ProcessID": 1},
    ],
)
def test_a_structured_log_with_a_program_is_no_syslog_message(
    one: One, record: dict[str, object]
) -> None:
    assert one(orjson.dumps(record))["event.dataset"] in ("samlog.json", "windows.forwarded")


def test_journald_gives_the_parts_of_the_header_itself(one: One) -> None:
    event = one(
        orjson.dumps(
            {
                "__CURSOR": "s=1;i=2",
                "__REALTIME_TIMESTAMP": "1768048621000000",
                "_HOSTNAME": "web1",
                "_PID": "811",
                "SYSLOG_IDENTIFIER": "sshd",
                "PRIORITY": "6",
                "MESSAGE": "Invalid user admin from 203.0.113.7 port 40112",
            }
        )
    )
    assert event["@timestamp"] == "2026-01-10T12:37:01.000Z"
    assert event["process.pid"] == 811
    assert event["source.ip"] == "203.0.113.7"
    assert event["log.syslog.severity.name"] == "informational"


def test_structured_json_with_a_message_is_no_envelope(one: One) -> None:
    event = one(orjson.dumps({"message": LINE, "order_id": 7}))
    assert event["event.dataset"] == "samlog.json"
    assert event["samlog.json"]["order_id"] == 7


def test_a_hint_makes_any_object_with_a_message_an_envelope(one: One) -> None:
    event = one(orjson.dumps({"message": LINE, "order_id": 7}), {"source": b"linux_auth"})
    assert event["event.dataset"] == "system.auth"


def test_the_zone_that_the_agent_names_counts(one: One) -> None:
    event = one(orjson.dumps({"message": LINE, "event": {"timezone": "GMT-0200"}}))
    assert event["@timestamp"] == "2026-01-10T15:37:01.000Z"


def test_json_inside_an_envelope_finds_its_parser(one: One) -> None:
    inner = '{"_path":"dns","ts":1768049738.0,"query":"a.example","uid":"C"}'
    event = one(orjson.dumps({"message": inner, "agent": {"type": "filebeat"}}))
    assert event["event.dataset"] == "zeek.dns"
    assert event["event.original"] == inner


def test_an_agents_time_from_another_world_decides_nothing(one: One) -> None:
    event = one(orjson.dumps({"message": LINE, "@timestamp": "1601-01-01T00:00:00Z"}))
    assert event["@timestamp"] == "2026-01-10T13:37:01.000Z"


def test_an_empty_line_in_an_envelope_is_refused(one: One) -> None:
    with pytest.raises(BadEvent, match="empty"):
        one(b'{"message":"  ","agent":{"type":"filebeat"}}')


def test_an_agent_cannot_smuggle_in_objects_where_ecs_has_words(one: One) -> None:
    event = one(orjson.dumps({"message": LINE, "host": {"name": {"a": 1}}, "agent": {"id": [{}]}}))
    assert event["event.dataset"] == "system.auth"
    assert not isinstance(event.get("host.name"), dict)


def test_the_zone_that_elastic_agent_sends_along_is_the_lines_zone(one: One) -> None:
    record = {"message": "Jan 10 13:37:01 h cron[1]: x", "_conf": {"tz_offset": "America/Chicago"}}
    event = one(orjson.dumps(record))
    assert event["@timestamp"] == "2026-01-10T19:37:01.000Z"


def test_an_event_may_have_happened_after_the_agents_wrong_clock(one: One) -> None:
    line = orjson.dumps({"eventSource": "x", "eventName": "y", "eventTime": "2026-01-10T12:00:00Z"})
    event = one(orjson.dumps({"message": line.decode(), "@timestamp": "2020-04-28T11:07:58.223Z"}))
    assert event["@timestamp"] == "2026-01-10T12:00:00.000Z"
