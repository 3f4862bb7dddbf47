"""LAUREL's JSON gives the documents that auditd's own records of the same events give."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalize.audit.laurel import plain, read_document
from normalize.frame import Normalizer
from normalize.parsers import laurel
from normalize.registry import Registry
from normalize.samples_update import RECEIVED, SAMPLES
from normalize.step import NormalizeStep
from samlog.bus.base import Message
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

One = Callable[..., Event]
ID = "1768048621.204:7"
HEAD = f"msg=audit({ID}):"
AGENT = ("agent.", "host.name", "related.hosts", "log.file.path", "samlog.parser", "event.original")
BEYOND = ("auditd.laurel.", "process.env_vars", "process.parent.executable", "process.parent.name")
BEYOND += ("process.parent.start",)
SIZE = 64_000


def document(**sections: Any) -> bytes:
    return orjson.dumps({"ID": ID, **sections})


def expected(name: str) -> list[Event]:
    found: list[Event] = orjson.loads((SAMPLES / name).read_bytes())
    return found


@pytest.mark.parametrize("number", range(4))
def test_the_document_is_that_of_the_records_beside_what_only_laurel_knows(number: int) -> None:
    by_auditd = expected("auditd/joined.expected.json")[number]
    by_laurel = expected("laurel/events.expected.json")[number]

    raw = {name: by_auditd[name] for name in by_auditd if not name.startswith(AGENT)}
    json = {name: by_laurel[name] for name in by_laurel if not name.startswith((*AGENT, *BEYOND))}

    assert json == raw


def test_the_parent_is_named_by_whatever_version(one: One) -> None:
    parent = {"comm": "b%c3%a5", "exe": "/usr/bin/b%c3%a5", "ppid": 1, "ARGV": ["bå", "-c", "x"]}
    call = {"syscall": 59, "ppid": 10, "pid": 11}

    old = one(document(SYSCALL=call, PARENT_INFO=parent))
    new = one(document(SYSCALL=call | {"PPID": parent | {"START_TIME": "1768048600.5"}}))

    for event in (old, new):
        assert event["process.parent.pid"] == 10
        assert event["process.parent.executable"] == "/usr/bin/bå"
        assert event["process.parent.name"] == "bå"
        assert event["process.parent.command_line"] == "bå -c x"
    assert new["process.parent.start"] == "2026-01-10T12:36:40.500Z"


def test_a_parent_that_laurel_did_not_see_has_no_name(one: One) -> None:
    event = one(document(SYSCALL={"syscall": 59, "ppid": 10, "PPID": {"ppid": 1}}))
    assert "process.parent.executable" not in event


@pytest.mark.parametrize(
    "sections",
    [
        {"CONTAINER_INFO": {"ID": "f5a6"}},
        {"CONTAINER_INFO": {"id": "f5a6"}},
        {"SYSCALL": {"syscall": 59, "PID": {"EVENT_ID": ID, "container": {"id": "f5a6"}}}},
    ],
)
def test_the_container_is_known_by_its_id(one: One, sections: dict[str, Any]) -> None:
    assert one(document(**({"SYSCALL": {"syscall": 59}} | sections)))["container.id"] == "f5a6"


def test_a_process_outside_of_containers_has_none(one: One) -> None:
    event = one(document(SYSCALL={"syscall": 59, "PID": {"EVENT_ID": ID}}))
    assert "container.id" not in event


def test_arguments_in_one_text_are_taken_apart_only_where_that_is_certain(one: One) -> None:
    call = {"syscall": 59, "exe": "/usr/bin/dash"}
    certain = one(document(SYSCALL=call, EXECVE={"argc": 3, "ARGV_STR": "a b%20c d"}))
    open_to_doubt = one(document(SYSCALL=call, EXECVE={"argc": 2, "ARGV_STR": "a b d"}))

    assert certain["process.args"] == ["a", "b c", "d"]
    assert "process.args" not in open_to_doubt
    assert open_to_doubt["process.command_line"] == "a b d"
    assert open_to_doubt["process.executable"] == "/usr/bin/dash"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1))
def test_a_text_with_as_many_gaps_as_arguments_is_exactly_those(arguments: list[str]) -> None:
    line = " ".join(arguments).replace("%", "%25")
    found = read_document(
        {"ID": ID, "EXECVE": {"argc": len(arguments), "ARGV_STR": line, "ARGV": None}}
    )
    fields = found.records[0].fields
    read = [fields[f"a{n}"] for n in range(len(arguments))] if "a0" in fields else None
    assert read in (arguments, None)
    assert (read is None) == any(" " in argument for argument in arguments)


def test_numbers_are_written_as_the_kernel_writes_them(one: One) -> None:
    call = {"arch": "0xc000003e", "syscall": 59, "per": "0x400000", "ARGV": ["0x1", "0xff"]}
    path = {"item": 0, "name": "/0x1", "mode": "0o100755", "cap_fp": "0x0", "ouid": 0}
    event = one(document(SYSCALL=call, PATH=[path], SECCOMP=[{"code": "0x7ffc0000"}]))

    assert event["host.architecture"] == "x86_64"
    assert (event["auditd.log.a1"], event["auditd.log.per"]) == ("ff", "400000")
    assert (event["file.mode"], event["file.path"]) == ("0755", "/0x1")
    assert event["auditd.log.cap_fp"] == ["0"]
    assert event["auditd.log.code"] == "0x7ffc0000"


def test_translations_stand_in_for_numbers_that_were_dropped(one: One) -> None:
    call = {"ARCH": "aarch64", "SYSCALL": "connect", "UID": "søren", "AUID": "unset"}
    words = {"saddr_fam": "inet", "addr": "198.51.100.25", "port": "443"}
    event = one(document(SYSCALL=call, SOCKADDR=[{"SADDR": words}]))

    assert event["event.action"] == "connected-to"
    assert event["network.direction"] == "egress"
    assert (event["destination.ip"], event["destination.port"]) == ("198.51.100.25", 443)
    assert (event["user.name"], event["host.architecture"]) == ("søren", "aarch64")
    assert "user.audit.name" not in event


def test_an_address_in_the_words_of_auditd_is_read_too(one: One) -> None:
    words = "{ saddr_fam=inet laddr=198.51.100.25 lport=443 }"
    event = one(
        document(SYSCALL={"syscall": 42, "arch": "0xc000003e"}, SOCKADDR=[{"SADDR": words}])
    )
    assert event["destination.port"] == 443


def test_a_log_in_is_that_of_its_record_though_a_call_stands_beside_it(one: One) -> None:
    login = {"pid": 7, "uid": 0, "old-auid": 4294967295, "auid": 1004, "old-ses": 1, "ses": 2}
    login |= {"res": 1, "UID": "root", "OLD-AUID": "unset", "AUID": "søren"}
    call = {"arch": "0xc000003e", "syscall": 1, "pid": 7, "uid": 0, "UID": "root", "comm": "cron"}
    text = "pid=7 uid=0 old-auid=4294967295 auid=1004 old-ses=1 ses=2 res=1"
    raw = one(f'type=LOGIN {HEAD} {text}\x1dUID="root" OLD-AUID="unset" AUID="søren"')

    event = one(document(LOGIN=[login], SYSCALL=call))

    said = [name for name in raw if name.startswith(("user.", "event.ac", "event.ca", "event.ty"))]
    assert {name: event.get(name) for name in said} == {name: raw[name] for name in said}
    assert event["auditd.log.record_type"] == ["LOGIN", "SYSCALL"]
    assert event["process.name"] == "cron"


def test_what_user_space_sent_is_read_as_in_its_record(one: One) -> None:
    text = 'op=PAM:authentication acct=426AC3B8726E exe="/usr/bin/su" addr=::1 res=failed'
    values = {"pid": 1, "uid": 0, "auid": 4294967295, "msg": text.replace("%", "%25")}
    record = f"type=USER_AUTH {HEAD} pid=1 uid=0 auid=4294967295 msg='{text}'"
    left_out = ("event.original", "event.id", "event.hash", "samlog.parser")

    for section in (values, [values]):
        made, raw = one(document(USER_AUTH=section)), one(record)
        assert {name for name in raw if made.get(name) != raw[name]} <= {*left_out}
        assert raw["user.effective.name"] == "Bjørn"


def test_a_refusal_of_user_space_is_one(one: One) -> None:
    text = 'avc:  denied  { start } for auid=n/a uid=0 path="/x" tclass=service exe="/x"'
    event = one(document(USER_AVC={"pid": 1, "msg": text}))
    assert event["event.outcome"] == "failure"
    assert event["auditd.log.seperms"] == "start"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("100%25 %2b", "100% +"),
        ("bl%c3%a5", "blå"),
        ("s%f8ren på öst", "søren på öst"),
        ("%", "%"),
        ("%zz%2", "%zz%2"),
        ("a%00b", "a\0b"),
    ],
)
def test_percent_codes_become_the_bytes_that_they_stand_for(written: str, text: str) -> None:
    assert plain(written) == text


def test_several_keys_of_a_rule_are_several_tags(one: One) -> None:
    event = one(document(SYSCALL={"syscall": 59, "key": "exec%01root%c3%b8"}))
    assert event["tags"] == event["auditd.log.key"] == ["exec", "rootø"]


@pytest.mark.parametrize(
    "stranger",
    [
        {"ID": 7, "SYSCALL": {}},
        {"ID": "7", "SYSCALL": {"syscall": 59}},
        {"ID": ID},
        {"ID": ID, "NODE": "h", "SYSCALL": "text"},
        {"ID": ID, "syscall": {"a": 1}},
        {"ID": ID + "\n", "SYSCALL": {}},
        {"ID": "٣" * 10 + ".1:2", "name": {"a": 1}},
        {"id": ID, "SYSCALL": {}},
    ],
)
def test_an_object_that_only_looks_alike_is_another_source(
    one: One, stranger: dict[str, Any]
) -> None:
    event = one(orjson.dumps(stranger))
    assert event["samlog.parser"].startswith("json/")
    with pytest.raises(BadEvent):
        laurel.parse(RawEvent("enheda", b"", "", RECEIVED, stranger))


def test_an_event_whose_argument_looks_like_a_record_is_joined_with_nothing() -> None:
    forged = f"type=SYSCALL {HEAD} arch=c000003e syscall=59"
    step = NormalizeStep(Normalizer({"enheda": {}}, Registry()))
    value = document(EXECVE={"argc": 1, "ARGV": [forged]}, SYSCALL={"syscall": 59})
    made = [
        step.process(Message("samlog.raw.enheda", 0, offset, b"k", value, {}, 1))
        for offset in range(2)
    ]
    assert [len(list(records)) for records in made] == [1, 1]
    assert not list(step.flush())


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ARGV", "ARGV_STR", "argc", "saddr", "SADDR", "PPID", "PID", "ENV"])
            | st.sampled_from(["msg", "key", "mode", "denied", "exe", "container", "START_TIME"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["SYSCALL", "EXECVE", "PATH", "SOCKADDR", "PROCTITLE", "USER_AVC", "AVC"])
        | st.sampled_from(["PARENT_INFO", "CONTAINER_INFO", "NODE", "LOGIN"]),
        _VALUES,
    )
)
def test_sections_of_any_shape_raise_nothing_but_bad_event(sections: dict[str, Any]) -> None:
    raw = RawEvent("enheda", b"", "", RECEIVED, {"ID": ID, **sections})
    assert laurel.matches(raw) in (True, False)
    try:
        event = laurel.parse(raw)
    except BadEvent:
        return
    assert event["event.dataset"] == "auditd.log"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "section",
    [
        {"EXECVE": {"argc": 32_000, "ARGV": ["a"] * 16_000}},
        {"EXECVE": {"argc": 1, "ARGV_STR": "a " * (SIZE // 2)}},
        {"EXECVE": {"argc": 1, "ARGV": ["%25" * (SIZE // 3)]}},
        {"EXECVE": {"argc": 1, "ARGV": ["%" * SIZE]}},
        {"SYSCALL": {f"k{n}": n for n in range(6_000)}},
        {"SYSCALL": {f"K{n}": [n] for n in range(6_000)}},
        {"PATH": [{"name": "x"}] * 5_000},
        {"PATH": {"name": "a b=" * (SIZE // 4)}},
        {"USER_AUTH": {"msg": "a=b " * (SIZE // 4)}},
        {"USER_AVC": {"msg": "avc:  denied  { " * (SIZE // 16)}},
        {"SOCKADDR": [{"saddr": "%02" * (SIZE // 3), "SADDR": "laddr=" * (SIZE // 6)}]},
        {f"K{n}": {} for n in range(5_000)},
    ],
)
def test_long_hostile_documents_take_linear_work(one: One, section: dict[str, Any]) -> None:
    """Quadratic work on 64 kB takes minutes and runs into the time-out."""
    event = one(document(**section))
    assert event["samlog.parser"].startswith("laurel/")
    assert len(event) < 400


def test_samples_hold_names_of_all_our_languages() -> None:
    text = "".join(path.read_text("utf-8") for path in Path(SAMPLES / "laurel").glob("*.json"))
    assert {letter for letter in "æøåäö" if letter not in text} == set()
