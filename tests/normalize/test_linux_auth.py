"""What PAM, sshd and the tools for accounts say in their own words."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.mentions import MAX_MENTIONS, add_mentions
from samlog.event import Event

One = Callable[..., Event]
HEAD = "Jan 10 13:37:01 h "


@pytest.mark.parametrize(
    ("line", "user", "address"),
    [
        (
            "authentication failure; logname= uid=0 rhost=203.0.113.5  user=liv",
            "liv",
            "203.0.113.5",
        ),
        ("received for user liv: 7 (Authentication failure)", "liv", None),
        ("Consecutive login failures for user liv account temporarily locked", "liv", None),
        ("user liv (1000) tally 9, deny 3", "liv", None),
        ("access denied for user `liv' from `2001:db8::5'", "liv", "2001:db8::5"),
        ("user 'ENHED\\liv' denied access (incorrect password)", "ENHED\\liv", None),
        ("Refused user liv for service vsftpd", "liv", None),
        ("account liv has expired (account expired)", "liv", None),
    ],
)
@pytest.mark.parametrize("program", ["sshd", "vsftpd", "gdm-password]", "sudo", "CRON", "passwd"])
def test_a_refusal_by_pam_is_one_whatever_the_program(
    one: One, program: str, line: str, user: str, address: str | None
) -> None:
    event = one(f"{HEAD}{program}[1]: pam_some({program.rstrip(']')}:auth): {line}")
    assert (event["event.outcome"], event["event.category"]) == ("failure", ["authentication"])
    assert (event["user.name"], event.get("source.ip")) == (user, address)
    assert event["process.name"] == program


def test_a_sum_of_failures_is_not_one_more_failure(one: One) -> None:
    line = "PAM 3 more authentication failures; logname= uid=0 rhost=203.0.113.5  user=root"
    event = one(f"{HEAD}sshd[1]: {line}")
    assert "event.outcome" not in event
    assert event["related.ip"] == ["203.0.113.5"]


def test_users_of_a_session_have_their_numbers(one: One) -> None:
    opened = "session opened for user root(uid=0) by liv(uid=1000)"
    event = one(f"{HEAD}sudo: pam_unix(sudo:session): {opened}")
    assert (event["user.name"], event["user.id"]) == ("liv", "1000")
    assert (event["user.effective.name"], event["user.effective.id"]) == ("root", "0")


@pytest.mark.parametrize(
    "line",
    [
        "error: maximum authentication attempts exceeded for invalid user liv from ::1 port 9 ssh2",
        "Disconnecting: Too many authentication failures for liv from ::1 port 9 ssh2 [preauth]",
        "Failed password for liv from ::1 port 9 ssh2 [preauth]",
        "Failed publickey for illegal user liv from ::1 port 9 ssh2: RSA SHA256:x",
    ],
)
def test_too_many_failures_are_a_failed_login(one: One, line: str) -> None:
    event = one(f"{HEAD}sshd[1]: {line}")
    assert (event["event.action"], event["event.outcome"]) == ("ssh_login", "failure")
    assert (event["user.name"], event["source.ip"], event["source.port"]) == ("liv", "::1", 9)


@pytest.mark.parametrize(
    "line",
    [
        "Connection closed by authenticating user liv 203.0.113.5 port 9 [preauth]",
        "Connection reset by invalid user liv 203.0.113.5 port 9 [preauth]",
        "Disconnected from user liv 203.0.113.5 port 9",
        "Disconnecting invalid user liv 203.0.113.5 port 9: Too many authentication failures",
        "User liv from 203.0.113.5 not allowed because not listed in AllowUsers",
        "Starting session: shell on pts/0 for liv from 203.0.113.5 port 9 id 0",
    ],
)
def test_lines_without_fields_are_found_by_whom_and_what_they_mention(one: One, line: str) -> None:
    event = one(f"{HEAD}sshd[1]: {line}")
    assert event["message"] == line
    assert (event["related.user"], event["related.ip"]) == (["liv"], ["203.0.113.5"])
    assert "event.outcome" not in event


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ("useradd", ["user", "creation"]),
        ("userdel", ["user", "deletion"]),
        ("usermod", ["user", "change"]),
        ("groupadd", ["group", "creation"]),
        ("groupdel", ["group", "deletion"]),
        ("groupmod", ["group", "change"]),
    ],
)
@pytest.mark.parametrize(
    "line", ["whatever it says", "failed to do it", "new group: name=a, GID=1"]
)
def test_lines_about_accounts_are_of_their_tools_kind(
    one: One, tool: str, kind: list[str], line: str
) -> None:
    event = one(f"{HEAD}{tool}[1]: {line}")
    assert (event["event.category"], event["event.type"]) == (["iam"], kind)
    assert event["event.outcome"] == ("failure" if "fail" in line else "success")


def test_a_login_without_a_name_has_no_empty_one(one: One) -> None:
    assert "user.name" not in one(f"{HEAD}sshd[1]: Invalid user  from 203.0.113.5 port 9")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", ["sshd", "login", "pkexec", "doas", "polkitd", "useradd", "x"])
@pytest.mark.parametrize(
    "tail",
    [
        " user a from b",
        "x user  from :",
        " for a from b port 1 ssh2 ",
        " for user ",
        ' user "',
        "a: b [USER=r] [TTY=x] [CWD=x] [COMMAND=",
        "a ran command b as c ",
        " FAILED to authenticate (owned by unix-user:",
        "FAILED LOGIN 1 FROM a FOR ",
        "203.0.113.5:",
        "::1 ",
        "new user: name=",
    ],
)
def test_hostile_lines_take_linear_work(one: One, program: str, tail: str) -> None:
    """Quadratic work on 64 kB takes minutes and runs into the time-out."""
    for head in ("", "Invalid user ", "pam_a(b:c): authentication failure; ", "Operator of a"):
        body = (head + tail * (64_000 // len(tail)))[:64_000].rstrip()
        assert one(f"{HEAD}{program}[1]: {body}")["event.original"].endswith(body)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from ::1 port 22:11: Bye", ["::1"]),
        ("on 192.0.2.1:22, from [203.0.113.5]:4000.", ["192.0.2.1", "203.0.113.5"]),
        ("to 2001:db8::1: then 2001:db8::", ["2001:db8::1", "2001:db8::"]),
        ("Server listening on 0.0.0.0 port 22 and :: port 22.", None),
        ("version 1.2.3.4.5 at 10:20:30, added a.b.c.d", None),
    ],
)
def test_addresses_are_found_in_sentences(text: str, found: list[str] | None) -> None:
    event: Event = {}
    add_mentions(event, text)
    assert event.get("related.ip") == found


@given(st.text(alphabet="0123456789abcdef.:[] \u2028user fomby\n", max_size=400))
def test_mentions_are_addresses_and_few(text: str) -> None:
    event: Event = {}
    add_mentions(event, text)
    assert len(event.get("related.ip", ())) <= MAX_MENTIONS
    assert len(event.get("related.user", ())) <= MAX_MENTIONS
    assert all(part in text for part in event.get("related.ip", ()))


def test_dropbears_address_is_the_last_one_whatever_the_user_is_called(one: One) -> None:
    forged = "root' from 192.0.2.1:22"
    event = one(f"{HEAD}dropbear[1]: Bad password attempt for '{forged}' from 203.0.113.9:4000")
    assert (event["event.outcome"], event["source.ip"]) == ("failure", "203.0.113.9")


def test_sudo_may_be_asked_by_a_user_with_a_blank_in_the_name(one: One) -> None:
    event = one(f"{HEAD}sudo: D\\jens hansen : TTY=x ; PWD=/ ; USER=root ; COMMAND=/bin/id : x")
    assert event["user.name"] == "D\\jens hansen"
    assert event["system.auth.sudo.command"] == "/bin/id : x"


@pytest.mark.parametrize("name", ["CRON", "*system*"])
def test_the_daemon_of_cron_is_no_user(one: One, name: str) -> None:
    assert "user.name" not in one(f"{HEAD}cron[1]: ({name}) RELOAD (/etc/crontab)")


@pytest.mark.parametrize(
    ("text", "user", "actor"),
    [
        ("opened for user D\\jens hansen(uid=71) by (uid=0)", "D\\jens hansen", None),
        ("opened for user jens hansen by kari holm(uid=7)", "jens hansen", "kari holm"),
        ("closed for user jens hansen", None, "jens hansen"),
    ],
)
def test_names_in_sessions_may_have_blanks(
    one: One, text: str, user: str | None, actor: str | None
) -> None:
    event = one(f"{HEAD}sshd[1]: pam_sss(sshd:session): session {text}")
    assert (event.get("user.effective.name"), event.get("user.name")) == (user, actor)
