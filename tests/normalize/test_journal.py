"""systemd's journal: its JSON, and the export format with binary values."""

from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.journal import entries
from normalize.parsers import kernel
from samlog.event import Event

Many = Callable[..., list[Event]]
One = Callable[..., Event]

ENTRY = {
    "__CURSOR": "s=1;i=2",
    "__REALTIME_TIMESTAMP": "1768048621204000",
    "_HOSTNAME": "web1",
    "SYSLOG_IDENTIFIER": "sshd",
    "_PID": "8",
    "MESSAGE": "Invalid user søren from 203.0.113.7 port 1",
}


def export(*found: dict[str, str]) -> bytes:
    blocks = []
    for entry in found:
        lines = b""
        for name, value in entry.items():
            data = value.encode()
            if b"\n" in data:
                lines += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
            else:
                lines += name.encode() + b"=" + data + b"\n"
        blocks.append(lines)
    return b"\n".join(blocks)


def test_each_entry_of_an_export_is_an_event(normalize: Many) -> None:
    events = normalize(export(ENTRY, ENTRY | {"__CURSOR": "s=1;i=3", "MESSAGE": "anden"}))
    parsers = [event["samlog.parser"].partition("/")[0] for event in events]
    assert parsers == ["sshd", "sshd"]
    assert events[0]["user.name"] == "søren"
    assert events[0]["event.id"] != events[1]["event.id"]


def test_a_binary_value_may_look_like_fields(normalize: Many) -> None:
    (event,) = normalize(export(ENTRY | {"SYSLOG_IDENTIFIER": "app", "MESSAGE": "a\n\nMESSAGE=b"}))
    assert event["message"] == "a\n\nMESSAGE=b"


def test_a_message_of_bytes_is_decoded(one: One) -> None:
    numbers = list(ENTRY["MESSAGE"].encode())
    event = one(orjson.dumps(ENTRY | {"MESSAGE": numbers}))
    assert event["user.name"] == "søren"


def test_the_cursor_makes_two_readings_one_event(one: One) -> None:
    assert one(orjson.dumps(ENTRY))["event.id"] == one(export(ENTRY))["event.id"]


def test_a_journal_field_without_a_place_is_kept(one: One) -> None:
    event = one(orjson.dumps(ENTRY | {"UNIT_RESULT": "oom"}))
    assert event["samlog.json"]["envelope"]["UNIT_RESULT"] == "oom"


@pytest.mark.parametrize("length", [0, 7, 2**63, 2**64 - 1])
def test_a_length_that_lies_takes_what_there_is(length: int) -> None:
    data = b"__CURSOR=x\nMESSAGE\n" + length.to_bytes(8, "little") + b"abc"
    ((_, fields),) = entries(data)
    assert "abc".startswith(fields["MESSAGE"])


@given(st.binary(max_size=400))
def test_any_bytes_give_entries_whose_names_are_text(data: bytes) -> None:
    for own, fields in entries(b"__CURSOR=x\nMESSAGE=y\n" + data):
        assert isinstance(own, bytes)
        assert all(isinstance(name, str) for name in fields)


def test_a_packet_is_known_by_its_words_under_any_program(one: One) -> None:
    line = "IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=60 PROTO=TCP SPT=1 DPT=2 SYN"
    event = one(f"Jan 10 14:20:01 fw1 custom: DROP {line}")
    assert event["samlog.parser"].startswith(kernel.NAME)
    assert event["event.type"] == ["denied", "connection"]


FILEBEAT = {
    "@timestamp": "2026-01-10T12:00:00.123Z",
    "agent": {"type": "filebeat"},
    "host": {"hostname": "srv-112"},
    "journald": {"uid": 0, "process": {"name": "sshd", "executable": "/usr/sbin/sshd"}},
    "log": {"syslog": {"appname": "sshd", "facility": {"code": 4}, "priority": 6}},
    "systemd": {"unit": "ssh.service", "transport": "syslog"},
    "message": "Failed password for søren from 203.0.113.9 port 50221 ssh2",
    "process": {"pid": 820},
    "user": {"id": "0"},
}
"""What Filebeat's input journald makes of an entry."""


def test_an_entry_that_filebeat_read_goes_to_its_programs_parser(one: One) -> None:
    event = one(orjson.dumps(FILEBEAT))
    assert (event["event.action"], event["user.name"]) == ("ssh_login", "søren")
    assert (event["process.name"], event["process.pid"]) == ("sshd", 820)
    assert (event["host.name"], event["@timestamp"]) == ("srv-112", "2026-01-10T12:00:00.123Z")
    assert event["event.original"] == FILEBEAT["message"]


def test_the_user_of_the_program_is_not_the_user_of_the_event(one: One) -> None:
    event = one(orjson.dumps(FILEBEAT | {"message": "Server listening on :: port 22."}))
    assert event["process.user.id"] == "0"
    assert "user.id" not in event


def test_journalds_priority_is_a_severity(one: One) -> None:
    event = one(orjson.dumps(FILEBEAT))
    assert event["log.syslog.severity.name"] == "informational"
    assert event["log.syslog.facility.name"] == "auth"
    assert "log.syslog.priority" not in event


def test_older_versions_of_the_input_name_the_program_elsewhere(one: One) -> None:
    older = {
        "host": {"name": "srv-112"},
        "syslog": {"identifier": "sudo", "facility": "10", "priority": "5"},
        "systemd": {"unit": "session-3.scope"},
        "process": {"name": "sudo", "pid": 5},
        "message": "liv : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
    }
    event = one(orjson.dumps(older))
    assert (event["process.name"], event["user.effective.name"]) == ("sudo", "root")
    assert event["log.syslog.severity.name"] == "notice"


@pytest.mark.parametrize("systemd", ["x", None, [], 7])
def test_a_word_called_systemd_makes_no_journal(one: One, systemd: object) -> None:
    event = one(orjson.dumps({"message": "by user liv", "systemd": systemd}))
    assert event["event.dataset"] == "samlog.json"
