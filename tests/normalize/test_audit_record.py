"""One audit record: quotes, hex, names behind it, addresses, arguments in pieces."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.audit.joined import joined
from normalize.audit.record import Record, caret, read_record, unhex
from normalize.audit.single import lone, timestamp
from normalize.audit.sockaddr import Address, read_address
from normalize.audit.syscalls import syscall_name
from normalize.audit.types import JOINED, NAMES
from samlog.event import Event

One = Callable[..., Event]
HEAD = "msg=audit(1768048621.204:7): "


def record(line: str) -> Record:
    found = read_record(line)
    assert found is not None
    return found


def executed(*lines: str) -> Event:
    return joined([record(f"type={line}") for line in lines])


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("2F746D702FC3A5", "/tmp/å"),
        ("426AF8726E20C5", "Bjørn Å"),
        ("CAFE", "Êþ"),
        ("cafe", "cafe"),
        ("41424344", "41424344"),
        ("ABC", "ABC"),
        ("6370002D72002F6574632F7368616", "cp\0-r\0/etc/sha"),
        ("10", "10"),
        ("", ""),
    ],
)
def test_hex_is_read_where_a_byte_needs_it(written: str, text: str) -> None:
    assert unhex(written) == text


def test_control_characters_are_shown_as_a_terminal_shows_them() -> None:
    assert caret("ls\rcd\x7f\x1b") == "ls^Mcd^?^["


@pytest.mark.parametrize("separator", ["\x1d", "#035"])
def test_names_behind_a_record_are_its_own(separator: str) -> None:
    found = record(f'type=CWD {HEAD}cwd="/"{separator}UID="åse" AUID="unset"')
    assert found.fields == {"cwd": "/"}
    assert found.names == {"UID": "åse", "AUID": "unset"}


def test_values_of_user_space_may_have_spaces() -> None:
    found = record(f"type=ADD_GROUP {HEAD}pid=1 msg='op=adding group to /etc/group id=7 res=1'")
    assert found.inner == {"op": "adding group to /etc/group", "id": "7", "res": "1"}


def test_an_apostrophe_in_a_name_does_not_end_the_message() -> None:
    line = f"type=USER_AUTH {HEAD}pid=1 msg='op=x acct=\"o'neil\" terminal=ssh res=failed'"
    assert record(line).inner["acct"] == "o'neil"


def test_a_message_that_was_cut_is_read_as_far_as_it_goes() -> None:
    found = record(f'type=USER_AUTH {HEAD}pid=1 msg=\'op=x acct="liv" termi')
    assert found.inner == {"op": "x", "acct": "liv"}


def test_what_says_nothing_is_left_out() -> None:
    found = record(
        f'type=USER_AUTH {HEAD}key=(null) msg=\'addr=? hostname=? terminal="" acct="?"\''
    )
    assert found.fields == {} and found.inner == {}


def test_the_kernels_own_line_names_its_type_by_number() -> None:
    found = record('audit: type=1400 audit(1768048621.204:7): apparmor="DENIED" name="/x"')
    assert found.type == "AVC"
    assert lone(found)["event.action"] == "violated-apparmor-policy"


def test_a_type_that_nobody_knows_is_kept_by_its_number() -> None:
    assert record(f"type=UNKNOWN[1999] {HEAD}a=b").type == "UNKNOWN[1999]"


def test_a_line_without_an_audit_id_is_no_record() -> None:
    assert read_record("type=SYSCALL arch=c000003e") is None


@pytest.mark.parametrize(
    ("saddr", "address"),
    [
        ("0200115CC63364190000000000000000", Address("inet", "198.51.100.25", 4444)),
        ("0002115CC6336419", Address("inet", "198.51.100.25", 4444)),
        (
            "0A0001BB00000000" + "20010DB8000000000000000000000019" + "00000000",
            Address("inet6", "2001:db8::19", 443),
        ),
        (
            "0A0001BB00000000" + "00000000000000000000FFFFC0000201" + "00000000",
            Address("inet6", "192.0.2.1", 443),
        ),
        ("01002F72756E2F782F796C6F6700", Address("unix", path="/run/x/ylog")),
        ("0100006162", Address("unix", path="@ab")),
        ("10000000000000000000", Address("netlink")),
        ("1100", Address("packet")),
        ("FD00", Address("253")),
        ("0200", Address("inet")),
        ("0", Address("")),
        ("xx", Address("")),
    ],
)
def test_socket_addresses_are_decoded(saddr: str, address: Address) -> None:
    assert read_address(saddr) == address


@given(st.binary(max_size=200))
def test_any_socket_address_is_read(data: bytes) -> None:
    assert read_address(data.hex()).port in (None, *range(65536))


def test_an_argument_in_pieces_is_one_argument() -> None:
    event = executed(
        f'SYSCALL {HEAD}arch=c000003e syscall=59 success=yes pid=1 exe="/bin/sh"',
        f'EXECVE {HEAD}argc=3 a0="sh" a1="-c" a2_len=12 a2[0]="echo "',
        f'EXECVE {HEAD}a2[1]="længe"',
    )
    assert event["process.args"] == ["sh", "-c", "echo længe"]
    assert event["process.args_count"] == 3
    assert event["process.executable"] == "/bin/sh"


def test_a_question_mark_is_an_argument() -> None:
    event = executed(f'EXECVE {HEAD}argc=2 a0="ls" a1="?"')
    assert event["process.args"] == ["ls", "?"]


def test_hundreds_of_arguments_do_not_become_hundreds_of_fields() -> None:
    many = " ".join(f'a{n}="x"' for n in range(400))
    event = executed(f"EXECVE {HEAD}argc=400 {many}")
    assert len(event["process.args"]) == 400
    assert len(event) < 40


def test_a_record_with_too_many_fields_is_cut() -> None:
    many = " ".join(f"k{n}=x" for n in range(5_000))
    assert len(lone(record(f"type=USER {HEAD}{many}"))) <= 120


def test_the_effective_user_is_named_only_where_it_is_another() -> None:
    same = executed(f"SYSCALL {HEAD}syscall=59 uid=0 euid=0", f'CWD {HEAD}cwd="/"')
    other = executed(f"SYSCALL {HEAD}syscall=59 uid=7 euid=0", f'CWD {HEAD}cwd="/"')
    assert "user.effective.id" not in same
    assert other["user.effective.name"] == "root"


def test_a_record_before_the_system_call_says_what_happened() -> None:
    event = executed(
        f"NETFILTER_CFG {HEAD}table=nat family=2 entries=5",
        f'SYSCALL {HEAD}arch=c000003e syscall=54 success=yes exe="/usr/sbin/iptables"',
    )
    assert event["event.action"] == "loaded-firewall-rule-to"
    assert event["event.category"] == ["configuration", "process"]
    assert event["auditd.log.table"] == "nat"


def test_records_without_a_system_call_are_one_event_as_well() -> None:
    event = executed(f'CWD {HEAD}cwd="/etc"', f'PATH {HEAD}item=0 name="x" nametype=CREATE')
    assert event["process.working_directory"] == "/etc"
    assert event["file.path"] == "x"


def test_several_keys_of_a_rule_are_tags(one: One) -> None:
    line = f"type=SYSCALL {HEAD}arch=c000003e syscall=1 key=61016263"
    assert one(line)["tags"] == ["a", "bc"]


@pytest.mark.parametrize("epoch", ["999999999999.1", "0.0", "253402300800.0"])
def test_an_impossible_time_is_none(epoch: str) -> None:
    assert timestamp(epoch) == "" or timestamp(epoch).startswith("1970")


def test_system_calls_have_a_name_by_architecture() -> None:
    assert syscall_name("x86_64", "59") == "execve"
    assert syscall_name("aarch64", "221") == "execve"
    assert syscall_name("i386", "11") == "execve"
    assert syscall_name("s390x", "11") == "11"
    assert syscall_name("x86_64", "execve") == "execve"
    assert syscall_name("x86_64", "99999") == "99999"


@given(st.text(max_size=300), st.sampled_from(["SYSCALL", "EXECVE", "PATH", "USER_AUTH", "AVC"]))
def test_any_record_is_read(body: str, kind: str) -> None:
    found = record(f"type={kind} {HEAD}{body}")
    assert joined([found, found])["event.kind"] == "event"


@pytest.mark.parametrize(
    ("number", "kind", "action"),
    [
        ("1100", "USER_AUTH", "authenticated"),
        ("1112", "USER_LOGIN", "logged-in"),
        ("1130", "SERVICE_START", "started-service"),
        ("1206", "DAEMON_RESUME", "resumed-audit-logging"),
        ("2100", "ANOM_LOGIN_FAILURES", "failed-log-in-too-many-times-to"),
        ("2214", "RESP_ORIGIN_BLOCK_TIMED", "resp_origin_block_timed"),
        ("2313", "USER_MAC_STATUS", "user_mac_status"),
        ("2409", "CRYPTO_IPSEC_SA", "crypto_ipsec_sa"),
        ("2507", "VIRT_MIGRATE_OUT", "migrated-vm-to"),
        ("1424", "LANDLOCK_DOMAIN", "landlock_domain"),
    ],
)
def test_types_are_known_by_number_where_no_daemon_runs(
    one: One, number: str, kind: str, action: str
) -> None:
    event = one(f"Jan 10 13:37:01 h kernel: audit: type={number} audit(1768048621.204:7): pid=1")
    assert (event["auditd.log.record_type"], event["event.action"]) == (kind, action)


def test_what_user_space_sends_is_never_waited_for() -> None:
    assert JOINED.isdisjoint(name for number, name in NAMES.items() if number[:2] in ("11", "12"))
    assert JOINED.isdisjoint(name for number, name in NAMES.items() if number[0] == "2"
                             and number != "2000")  # fmt: skip


@pytest.mark.parametrize(
    ("saddr", "expected"),
    [
        ("saddr_fam=inet laddr=192.0.2.7 lport=53", Address("inet", "192.0.2.7", 53)),
        ("fam=inet6 laddr=2001:db8::1 lport=x", Address("inet6", "2001:db8::1")),
        ("saddr_fam=local path=/run/a.sock", Address("unix", path="/run/a.sock")),
        ("saddr_fam=inet laddr=nowhere", Address("inet")),
        ("2800000000040000FFFFFFFF", Address("vsock")),
        ("02000035C00002070", Address("inet", "192.0.2.7", 53)),
    ],
)
def test_addresses_are_read_in_words_and_cut_off(saddr: str, expected: Address) -> None:
    assert read_address(saddr) == expected


def test_the_daemons_words_help_where_the_hex_is_damaged() -> None:
    line = f"type=SOCKADDR {HEAD}saddr=0 SADDR={{ saddr_fam=inet laddr=192.0.2.7 lport=53 }}"
    assert lone(record(line))["auditd.log.socket_addr"] == "192.0.2.7"


def test_a_decision_of_user_space_is_read_like_the_kernels() -> None:
    event = lone(record(f"type=USER_AVC {HEAD}pid=1 msg='avc:  denied  {{ start }} for auid=7'"))
    assert (event["auditd.log.seresult"], event["auditd.log.seperms"]) == ("denied", "start")
    assert event["event.outcome"] == "failure"


def test_brackets_of_old_libraries_are_no_part_of_the_result() -> None:
    text = 'PAM: authentication acct="liv" : exe="/bin/su" (hostname=h, addr=::1, res=failed)'
    event = lone(record(f"type=USER_AUTH {HEAD}user pid=1 uid=0 auid=5 msg='{text}'"))
    assert (event["event.outcome"], event["source.ip"]) == ("failure", "::1")


@pytest.mark.parametrize(
    "line",
    [
        f"""type=USER_LOGIN {HEAD}pid=1 msg='op=login id=7 res=success'UID="root" AUID="åse\"""",
        f"""type=USER_LOGIN {HEAD}pid=1 msg='op=login id=7 res=successUID="root" AUID="åse\"""",
        f"""type=SYSCALL {HEAD}arch=c000003e pid=1 key=(null)ARCH=x86_64 UID="root" AUID="åse\"""",
        f"""type=SYSCALL {HEAD}arch=c000003e pid=1 key="exec"ARCH=x86_64 UID="root" AUID="åse\"""",
    ],
)
def test_names_are_found_where_a_collector_dropped_the_separator(line: str) -> None:
    found = record(line)
    assert (found.names["UID"], found.names["AUID"]) == ("root", "åse")
    assert found.inner.get("res", "success") == "success"
    assert found.get("key") in ("", "exec")


@pytest.mark.parametrize("text", ["GUID=x", "UID=0", "myUID=", "ARCH=x", "(null)ARCH=x", "it'UID="])
def test_an_argument_that_looks_like_a_name_stays_one(text: str) -> None:
    event = lone(record(f'type=EXECVE {HEAD}argc=3 a0="env" a1="{text}" a2="UID=0"'))
    assert event["process.args"] == ["env", text, "UID=0"]


@pytest.mark.parametrize(
    ("decision", "action", "outcome"),
    [
        ("avc:  denied  { execute } for", "violated-selinux-policy", "failure"),
        ("avc:  granted  { setenforce } for", "avc", "success"),
        ('apparmor="DENIED" operation="open"', "violated-apparmor-policy", "failure"),
        ('apparmor="ALLOWED" operation="open"', "violated-apparmor-policy", "success"),
    ],
)
def test_only_what_was_refused_violates_selinux(decision: str, action: str, outcome: str) -> None:
    event = lone(record(f'type=AVC {HEAD}{decision} pid=7 comm="x" tclass=file'))
    assert (event["event.action"], event["event.outcome"]) == (action, outcome)


def test_a_call_that_seccomp_refused_has_no_direction() -> None:
    refused = lone(record(f"type=SECCOMP {HEAD}pid=7 sig=31 arch=c000003e syscall=44 code=0x0"))
    assert "network.direction" not in refused
    sent = lone(record(f"type=SYSCALL {HEAD}pid=7 arch=c000003e syscall=44 success=yes"))
    assert sent["network.direction"] == "egress"


@pytest.mark.parametrize(
    ("call", "saddr", "expected"),
    [
        ("42", "01002F72756E2F6100", {"destination.address": "/run/a"}),
        ("43", "020001BBC0000201", {"source.ip": "192.0.2.1", "source.port": 443}),
        ("42", "saddr_fam=inet laddr=192.0.2.1", {"destination.ip": "192.0.2.1"}),
        ("49", "020001BBC0000201", {}),
    ],
)
def test_the_other_end_of_a_call_is_an_endpoint(call: str, saddr: str, expected: Event) -> None:
    event = executed(
        f"SYSCALL {HEAD}arch=c000003e syscall={call} success=yes exit=0 pid=1",
        f"SOCKADDR {HEAD}saddr={{ {saddr} }}" if "=" in saddr else f"SOCKADDR {HEAD}saddr={saddr}",
    )
    ends = {name: event[name] for name in event if name.startswith(("source.", "destination."))}
    assert expected.items() <= ends.items()
    assert bool(ends) is bool(expected)
    assert None not in event.values()
