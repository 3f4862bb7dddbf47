"""Snare's lines: what English text gives, and what it cannot be made to give."""

from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.parsers import snare
from normalize.samples_update import RECEIVED, SAMPLES
from normalize.windows import message
from samlog.event import Event, RawEvent

AUDITING = "Microsoft-Windows-Security-Auditing"
SYSMON = "Microsoft-Windows-Sysmon"
HEAD = "<13>Jan 10 15:30:01 dc01 MSWinEventLog\t1\tSecurity\t7\tSat Jan 10 15:30:01 2026\t"
TAIL = f"\t{AUDITING}\tENHEDA\\åse\tUser\tSuccess Audit\tdc01\tLogon\t\t"
CREATED = "Process Information:   New Process ID:  0x1   Process Command Line: {}    "
WHY = "Token Elevation Type indicates the type of token that was assigned to the new process."
SIZE = 64_000


def parse(line: str) -> tuple[Event, list[str]]:
    raw = RawEvent("enheda", line.encode(), line, RECEIVED, body=line)
    return snare.parse(raw), raw.tags


def test_text_in_cp1252_gives_the_fields_that_it_gives_in_utf_8() -> None:
    in_cp1252 = orjson.loads((SAMPLES / "snare/cp1252.expected.json").read_bytes())[0]
    in_utf_8 = orjson.loads((SAMPLES / "snare/events.expected.json").read_bytes())[0]
    assert in_cp1252["user.name"] == in_utf_8["user.name"] == "bjørn"
    assert {name for name in in_utf_8 if in_utf_8[name] != in_cp1252.get(name)} == {
        "tags",
    }


def test_a_command_line_keeps_the_labels_that_it_holds() -> None:
    line = 'cmd /c "   Subject:   Security ID:  S-1-5-18   Token Elevation Type indicates"'
    data = message.read(AUDITING, "4688", CREATED.format(line) + WHY)
    assert data == {"NewProcessId": "0x1", "CommandLine": line}


def test_the_first_value_of_a_field_counts() -> None:
    text = "Subject:   Account Name:  åse   Account Name:  SYSTEM    Subject:   Account Name:  x"
    assert message.read(AUDITING, "4672", text) == {"SubjectUserName": "åse"}


def test_one_label_means_what_its_section_and_its_event_say() -> None:
    ports = "Network Information:   Source Address:  192.0.2.1   Source Port:  7"
    assert message.read(AUDITING, "5156", ports)["SourcePort"] == "7"
    assert message.read(AUDITING, "4625", ports)["IpPort"] == "7"
    accounts = "Subject:   Account Name:  a    Target Account:   Account Name:  b"
    data = message.read(AUDITING, "4724", accounts)
    assert (data["SubjectUserName"], data["TargetUserName"]) == ("a", "b")


def test_sysmons_command_line_neither_hides_nor_replaces_the_fields_behind_it() -> None:
    text = (
        "Process Create:  RuleName: -  Image: C:\\a.exe  CommandLine: a  ParentUser: x  "
        "Image: C:\\b.exe  User: SYSTEM  CurrentDirectory: C:\\  User: ENHEDA\\åse  "
        "ParentImage: C:\\c.exe  ParentCommandLine: c  ParentUser: ENHEDA\\åse"
    )
    data = message.read(SYSMON, "1", text)
    assert data["Image"] == "C:\\a.exe"
    assert data["User"] == "ENHEDA\\åse"
    assert data["ParentImage"] == "C:\\c.exe"
    assert data["CommandLine"] == "a  ParentUser: x  Image: C:\\b.exe  User: SYSTEM"


def test_a_script_block_is_read_whole() -> None:
    text = (
        "Creating Scriptblock text (1 of 2): Get-Item 'ScriptBlock ID: x' ScriptBlock ID: g Path: "
    )
    assert message.read("Microsoft-Windows-PowerShell", "4104", text) == {
        "MessageNumber": "1",
        "MessageTotal": "2",
        "ScriptBlockText": "Get-Item 'ScriptBlock ID: x'",
        "ScriptBlockId": "g",
    }


@pytest.mark.parametrize("text", ["", "En konto kunne ikke logges på.", "Subject:", "::::"])
def test_another_language_gives_no_field(text: str) -> None:
    assert message.read(AUDITING, "4625", text) == {}


def test_the_senders_local_time_is_read_in_the_zone_of_the_source(
    one: Callable[..., Event],
) -> None:
    line = HEAD + "4634" + TAIL + "An account was logged off.\t1"
    assert one(line, {"tz": b"Europe/Copenhagen"})["@timestamp"] == "2026-01-10T14:30:01.000Z"


@pytest.mark.parametrize("when", ["", "Sat Jan 32 15:30:01 2026", "Lør Jan 10 15:30:01 2026"])
def test_a_time_that_is_none_falls_back_to_the_receipt(when: str) -> None:
    line = f"MSWinEventLog\t1\tSecurity\t7\t{when}\t4634{TAIL}x"
    assert parse(line)[0]["@timestamp"] == "2026-01-10T15:00:00.000Z"


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_line_that_was_cut_off_is_kept_and_tagged(kept: int) -> None:
    line = "\t".join((HEAD[25:] + "4634" + TAIL).split("\t")[:kept])
    event, tags = parse(line)
    assert "unparsed_body" in tags or kept > 10
    assert event["event.kind"] == "event"


def test_a_text_about_snare_is_no_event() -> None:
    line = "the tag MSWinEventLog stands before a tab"
    raw = RawEvent("enheda", b"", line, RECEIVED, body=line)
    assert not snare.matches(raw)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("provider", [AUDITING, SYSMON, "Service Control Manager", "x"])
@pytest.mark.parametrize(
    "part",
    ["Subject: ", "Account Name:", " " * 8, "Image: ", "a:", "\t", "CommandLine: ", "Path:", "((("],
)
def test_long_hostile_lines_take_linear_work(provider: str, part: str) -> None:
    """Quadratic work on 64 kB takes minutes and runs into the time-out."""
    for code in ("1", "4688", "7045"):
        text = (part * SIZE)[:SIZE]
        head = f"MSWinEventLog\t1\tSecurity\t7\tx\t{code}\t{provider}\ta\tb\tc\td\te\t"
        assert parse(head + text)[0]["event.code"] == code
        assert parse(head + "\t" + text)[0]["event.code"] == code


@given(st.text(alphabet="MSWinEventLog\t#01: Subject", max_size=200))
def test_any_text_behind_the_mark_gives_an_event(text: str) -> None:
    assert parse("MSWinEventLog\t" + text)[0]["event.kind"] == "event"
