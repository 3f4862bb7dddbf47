"""What ``ausearch -i`` prints is read as the raw records are, as far as it is certain."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.audit.interpreted import read_interpreted
from normalize.audit.record import Record
from normalize.frame import Normalizer
from normalize.registry import Registry
from normalize.samples_update import SAMPLES
from normalize.step import NormalizeStep
from samlog.bus.base import Message
from samlog.event import H_TZ, Event

One = Callable[..., Event]
Many = Callable[..., list[Event]]
NOW = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
COPENHAGEN = ZoneInfo("Europe/Copenhagen")
STAMP = "10-01-2026 13:37:01.204:7"
SIZE = 64_000
CALL = (
    "arch=x86_64 syscall=execve success=yes exit=0 a0=0x1 a1=0x2 a2=0x3 a3=0x4 items=2 ppid=10 "
    "pid=11 auid=søren uid=root gid=root euid=www-data tty=pts1 ses=unset comm=sh exe=/usr/bin/dash"
)


def line(kind: str, body: str, stamp: str = STAMP) -> str:
    return f"type={kind} msg=audit({stamp}) : {body} "


def record(kind: str, body: str) -> Record:
    found = read_interpreted(line(kind, body), UTC, NOW)
    assert found is not None
    return found.record


def test_an_interpreted_event_gives_what_its_raw_records_give() -> None:
    differing = {"auditd.log.syscall", "user.audit.id", "event.timezone", "log.file.path"}
    differing |= {"event.original"}
    raw = orjson.loads((SAMPLES / "auditd/joined.expected.json").read_bytes())[0]
    made = orjson.loads((SAMPLES / "auditd/interpreted.expected.json").read_bytes())[0]

    assert {name for name in raw | made if raw.get(name) != made.get(name)} <= differing


@pytest.mark.parametrize(
    "date",
    ["2026-01-10", "10-01-2026", "10.01.2026", "10. jan. 2026", "10 Jan 2026", "01/10/2026"]
    + ["01/10/26"],
)
def test_a_date_is_read_in_the_zone_of_its_source(one: One, date: str) -> None:
    text = line("CWD", "cwd=/", f"{date} 13:37:01.204:7")
    event = one(text, {H_TZ: b"Europe/Copenhagen"})

    assert event["@timestamp"] == "2026-01-10T12:37:01.204Z"
    assert event["event.timezone"] == "Europe/Copenhagen"


@pytest.mark.parametrize(
    ("date", "day", "doubtful"),
    [
        ("02/03/2025", "2025-02-03", True),
        ("02/03/25", "2025-02-03", True),
        ("03/03/2025", "2025-03-03", False),
        ("12/25/2025", "2025-12-25", False),
        # a month 25, and a day that is to come
        ("25/12/2025", "2025-12-25", False),
        ("09/01/2026", "2026-01-09", False),
    ],
)
def test_with_slashes_the_month_is_first_where_it_may_be(
    one: One, date: str, day: str, doubtful: bool
) -> None:
    event = one(line("CWD", "cwd=/", f"{date} 13:37:01.204:7"))

    assert event["@timestamp"].startswith(day)
    assert ("ambiguous_date" in event.get("tags", ())) == doubtful


@pytest.mark.parametrize(
    "date", ["32-01-2026", "10-01-26", "26-01-10", "2026年01月10日", "99/99/99"]
)
def test_a_date_that_nobody_can_read_is_not_guessed(one: One, date: str) -> None:
    event = one(line("CWD", "cwd=/srv", f"{date} 13:37:01.204:7"))

    assert event["process.working_directory"] == "/srv"
    assert event["@timestamp"] == "2026-01-10T15:00:00.000Z"
    assert "event.timezone" not in event


def test_the_repeated_hour_is_the_one_nearer_to_the_receipt() -> None:
    text = line("CWD", "cwd=/", "26-10-2025 02:30:00.000:7")
    found = read_interpreted(text, COPENHAGEN, datetime(2025, 10, 26, 1, 31, tzinfo=UTC))
    assert found is not None
    assert found.record.epoch == str(int(datetime(2025, 10, 26, 1, 30, tzinfo=UTC).timestamp())) + (
        ".000"
    )


def test_names_stand_for_numbers_and_root_and_unset_are_numbers_too(one: One) -> None:
    event = one(line("SYSCALL", CALL))

    assert (event["user.id"], event["user.name"]) == ("0", "root")
    assert event["user.effective.name"] == "www-data"
    assert "user.effective.id" not in event
    assert event["user.audit.name"] == "søren"
    assert event["auditd.log.ses"] == "4294967295"
    assert event["auditd.log.a0"] == "1"


def test_a_user_without_a_name_has_a_number() -> None:
    assert record("SYSCALL", "uid=unknown(1004) gid=1005").fields == {"uid": "1004", "gid": "1005"}


def test_arguments_with_spaces_end_where_the_next_number_begins() -> None:
    body = "argc=4 a0=sh a1=-c a2=echo a=b uid=0 a1=x a3= y "
    fields = record("EXECVE", body).fields

    assert [fields[f"a{n}"] for n in range(4)] == ["sh", "-c", "echo a=b uid=0 a1=x", " y"]
    assert set(fields) == {"argc", "a0", "a1", "a2", "a3"}


def test_a_long_argument_comes_in_pieces(one: One) -> None:
    event = one(line("EXECVE", "argc=2 a0=sh a1_len=8 a1[0]=blå a1[1]=bær"))
    assert event["process.args"] == ["sh", "blåbær"]


def test_titles_and_folders_reach_to_the_end_of_the_line() -> None:
    assert record("PROCTITLE", "proctitle=sh -c a=b pid=1").fields["proctitle"] == "sh -c a=b pid=1"
    assert record("CWD", "cwd=/srv/a b=c").fields == {"cwd": "/srv/a b=c"}


def test_a_file_name_may_look_like_a_field_that_no_path_has() -> None:
    assert record("PATH", "item=0 name=/a b=c inode=5 mode=dir,755").fields == {
        "item": "0",
        "name": "/a b=c",
        "inode": "5",
        "mode": "040755",
    }


def test_a_value_that_may_be_two_is_told(one: One) -> None:
    forged = one(line("SYSCALL", CALL.replace("comm=sh", "comm=x exe=/bin/ls")))
    assert "ambiguous_value" in forged["tags"]
    assert "tags" not in one(line("SYSCALL", CALL))


def test_several_keys_are_several_tags(one: One) -> None:
    assert one(line("SYSCALL", CALL + " key=exec key=rødt"))["tags"] == ["exec", "rødt"]


def test_what_an_argument_looks_like_is_never_a_record(one: One) -> None:
    raw = "type=USER_LOGIN msg=audit(1768048621.204:9): acct=root res=success"
    printed = one(line("EXECVE", f"argc=2 a0=echo a1={raw}"))
    assert printed["auditd.log.record_type"] == "EXECVE"

    inner = line("USER_LOGIN", "acct=root res=success")
    event = one(f"type=USER_AUTH msg=audit(1768048621.204:9): pid=1 msg='op=x acct=a {inner}'")
    assert event["auditd.log.record_type"] == "USER_AUTH"


def test_a_refusal_of_selinux_is_read(one: One) -> None:
    body = "avc:  denied  { read write } for  pid=991 comm=httpd name=søren tclass=dir"
    event = one(line("AVC", body))
    assert event["auditd.log.seperms"] == "read write"
    assert (event["process.name"], event["event.outcome"]) == ("httpd", "failure")


LINES = [
    line("PROCTITLE", "proctitle=cat /srv/år"),
    line("PATH", "item=1 name=/lib64/ld.so nametype=NORMAL"),
    line("PATH", "item=0 name=/usr/bin/cat nametype=NORMAL"),
    line("EXECVE", "argc=2 a0=cat a1=/srv/år"),
    line("SYSCALL", CALL),
]
OTHER = [text.replace("204:7)", "204:8)") for text in LINES]


def test_lines_of_one_event_are_one_event_though_the_last_record_comes_first() -> None:
    step = NormalizeStep(Normalizer({"enheda": {}}, Registry()))
    for offset, text in enumerate([*LINES, *OTHER]):
        step.process(Message("samlog.raw.enheda", 0, offset, b"k", text.encode(), {}, 1))
    events = [orjson.loads(made.value) for made in step.flush()]

    assert [event["auditd.log.sequence"] for event in events] == [8]
    assert events[0]["process.command_line"] == "cat /srv/år"
    assert events[0]["auditd.log.name"] == ["/usr/bin/cat", "/lib64/ld.so"]
    assert events[0]["event.action"] == "executed"


def test_a_file_of_ausearch_is_as_many_events_as_it_has(normalize: Many) -> None:
    text = "\n".join(["----", *LINES, "----", *OTHER, ""])
    events = normalize(text)

    assert [event["auditd.log.sequence"] for event in events] == [7, 8]
    assert all(event["process.args"] == ["cat", "/srv/år"] for event in events)
    assert all(event["event.original"].startswith("----\ntype=PROCTITLE") for event in events)


def test_the_separator_of_raw_records_belongs_to_the_event_behind_it(normalize: Many) -> None:
    text = "----\ntime->Sat Jan 10 13:37:01 2026\n"
    records = [f'type=CWD msg=audit(1768048621.204:{n}): cwd="/"' for n in (1, 2)]
    events = normalize("\n".join(text + one for one in records))
    assert [event["event.original"] for event in events] == [text + one for one in records]


@given(st.text(max_size=200), st.sampled_from(["SYSCALL", "EXECVE", "PATH", "USER_AUTH", "AVC"]))
def test_any_text_behind_an_id_is_a_record(text: str, kind: str) -> None:
    assert read_interpreted(line(kind, text), UTC, NOW) is not None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["SYSCALL", "EXECVE", "PATH", "USER_AUTH", "AVC", "CWD"])
@pytest.mark.parametrize(
    "part",
    ["a", " ", "=", "a=b ", " comm=", " a1=", "'", "msg='", "avc:  denied  { ", "argc=9 a0=x a1="]
    + [f"type=CWD msg=audit({STAMP}) : ", "type=CWD msg=audit(", "unknown(", "----\n"],
)
def test_long_hostile_records_take_linear_work(one: One, kind: str, part: str) -> None:
    """Quadratic work on 64 kB takes minutes and runs into the time-out."""
    for start in ("", "argc=99999 a0="):
        text = line(kind, start + (part * (SIZE // len(part) + 1))[:SIZE])
        event = one(text)
        assert event["event.original"].startswith("type=")
        assert len(event) < 400
