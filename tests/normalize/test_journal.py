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
    assert [event["samlog.parser"] for event in events] == ["sshd/1", "sshd/1"]
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
