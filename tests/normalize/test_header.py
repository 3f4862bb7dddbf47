"""Syslog headers as standards ask for and as devices send."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.header import Header, program_key, read_header, structured_data

RECEIVED = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)


def read(text: str) -> Header:
    header = read_header(text, UTC, RECEIVED)
    assert header is not None
    return header


def test_the_priority_becomes_facility_and_severity() -> None:
    fields = read("<165>Jan 10 13:37:01 h p[1]: m").fields
    assert fields["log.syslog.facility.name"] == "local4"
    assert fields["log.syslog.severity.name"] == "notice"


@pytest.mark.parametrize("line", ["<192>Jan 10 13:37:01 h p: m", "<999>x", "<>x", "x", "<a>x"])
def test_without_a_valid_priority_or_time_there_is_no_header(line: str) -> None:
    assert read_header(line, UTC, RECEIVED) is None


@pytest.mark.parametrize(
    ("line", "host", "program", "pid", "body"),
    [
        ("Jan 10 13:37:01 h sshd[811]: a: b", "h", "sshd", 811, "a: b"),
        ("Jan 10 13:37:01  sshd[811]: m", "", "sshd", 811, "m"),
        ("Jan 10 13:37:01 sshd[811]: m", "", "sshd", 811, "m"),
        ("Jan 10 13:37:01 h kernel: [1.2] x", "h", "kernel", None, "[1.2] x"),
        ("Jan 10 13:37:01 h su(pam_unix)[2]: m", "h", "su(pam_unix)", 2, "m"),
        ("Jan 10 13:37:01 h postfix/smtpd[3]: m", "h", "postfix/smtpd", 3, "m"),
        ("Jan 10 13:37:01 h Google Chrome[4]: m", "h", "Google Chrome", 4, "m"),
        ("Jan 10 2026 13:37:01 h p: m", "h", "p", None, "m"),
        ("Jan 10 13:37:01.123 h p: m", "h", "p", None, "m"),
        ("2026-01-10T13:37:01+01:00 h p[5]: m", "h", "p", 5, "m"),
        ("<13>h.example p: m", "h.example", "p", None, "m"),
        ("<13>Jan 10 13:37:01 2001:db8::1 p: m", "2001:db8::1", "p", None, "m"),
    ],
)
def test_host_program_and_pid_are_told_apart(
    line: str, host: str, program: str, pid: int | None, body: str
) -> None:
    header = read(line)
    assert (header.host, header.program, header.pid, header.body) == (host, program, pid, body)


def test_a_time_with_its_own_zone_is_marked_as_such() -> None:
    assert read("2026-01-10T13:37:01+01:00 h p: m").zoned
    assert not read("Jan 10 13:37:01 h p: m").zoned


def test_rfc5424_is_read_with_its_structured_data() -> None:
    header = read('<165>1 2026-01-10T12:37:05Z h app 7 ID [a@1 k="v\\"]" n=""][b@1] \ufeffæøå')
    assert header.body == "æøå"
    assert header.pid == 7
    assert header.fields["log.syslog.structured_data"] == {"a@1": {"k": 'v"]', "n": ""}, "b@1": {}}
    assert header.fields["log.syslog.msgid"] == "ID"


def test_broken_structured_data_belongs_to_the_message() -> None:
    assert structured_data('[a@1 k="v" rest', 0) == ({}, 0)


def test_an_impossible_date_leaves_no_time_but_keeps_the_parts() -> None:
    header = read("Feb 31 13:37:01 h p: m")
    assert header.timestamp is None
    assert header.program == "p"


def test_program_names_are_compared_without_path_and_module() -> None:
    assert program_key("/usr/sbin/CRON") == "cron"
    assert program_key("su(pam_unix)") == "su"


@given(st.text(min_size=1, max_size=300))
def test_any_text_is_a_header_or_none(text: str) -> None:
    header = read_header("<13>" + text, UTC, RECEIVED)
    assert header is None or header.body in text


def test_an_object_behind_a_time_is_the_body() -> None:
    header = read('2026-01-10T12:37:01.123Z {"a": "b: c"}')
    assert (header.host, header.program, header.body) == ("", "", '{"a": "b: c"}')
    assert header.timestamp is not None


def test_a_worker_of_gdm_has_a_bracket_in_its_name() -> None:
    header = read("Jan 10 13:37:01 h gdm-password][7]: m")
    assert (header.program, header.pid, header.body) == ("gdm-password]", 7, "m")
    assert program_key(header.program) == "gdm-password"


def test_busybox_names_facility_and_severity_behind_the_host() -> None:
    header = read("Jan 10 13:37:01 gw user.info kernel: m")
    assert (header.host, header.program, header.body) == ("gw", "kernel", "m")
    assert header.fields["log.syslog.facility.name"] == "user"
    assert header.fields["log.syslog.severity.name"] == "informational"
    assert read("Jan 10 13:37:01 gw local0.warn app[7]: m").fields["log.syslog.priority"] == 132
    assert read_header("Jan 10 13:37:01 gw other.info app: m", UTC, RECEIVED) is not None
