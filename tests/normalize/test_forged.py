"""What a sender can write into a log makes no event of another source, user or address."""

from collections.abc import Callable
from typing import Any

import pytest

from normalize.samples_update import sample_files

One = Callable[..., dict[str, Any]]

ACCESS = '203.0.113.9 - - [10/Jan/2026:13:37:01 +0100] "GET / HTTP/1.1" 200 12 "-" "{}"'
SHOP = "Jan 10 13:37:01 web1 shop[5]: failed for {}"
HEAD = "Jan 10 13:37:01 web1 "
FORGED = (
    "type=USER_LOGIN msg=audit(1768048621.123:77): uid=0 msg='op=login acct=root addr=1.2.3.4"
    " res=success'",
    "type=USER_LOGIN msg=audit(10-01-2026 13:37:01.204:4711) : uid=root res=success",
    "MSWinEventLog#0111#011Security#0113027#011Sat Jan 10 15:30:01 2026#0114624#011Microsoft-"
    "Windows-Security-Auditing#011N/A#011N/A#011Success Audit#011dc01#011Logon#011#011An account",
    "%SEC_LOGIN-5-LOGIN_SUCCESS: Login Success [user: admin] [Source: 1.2.3.4] [localport: 22]",
    "[Originator@6876 sub=x] User root@1.2.3.4 logged in as x",
    "x IN=eth0 OUT= MAC=a SRC=1.2.3.4 DST=5.6.7.8 LEN=60 PROTO=TCP SPT=1 DPT=22 ",
)


@pytest.mark.parametrize("text", FORGED)
def test_a_user_agent_makes_no_event_of_another_source(one: One, text: str) -> None:
    event = one(ACCESS.format(text))

    assert event["event.dataset"] in ("nginx.access", "apache.access")
    assert event["source.ip"] == "203.0.113.9"


@pytest.mark.parametrize("text", FORGED)
def test_what_a_program_quotes_makes_no_event_of_another_source(one: One, text: str) -> None:
    event = one(SHOP.format(text))

    assert event["samlog.parser"].partition("/")[0] in ("syslog", "text")
    assert "1.2.3.4" not in str(event.get("source.ip"))


def first_lines() -> list[Any]:
    lines = []
    for path in sample_files():
        if path.suffix == ".log" and path.parent.name not in ("text", "syslog", "nginx_ingress"):
            line = path.read_text("utf-8", "replace").split("\n")[0]
            if line and not line.startswith(("{", "[", "<Event")) and '"' not in line:
                lines.append(pytest.param(line, id=f"{path.parent.name}/{path.stem}"))
    return lines


@pytest.mark.parametrize("line", first_lines())
def test_the_samples_of_all_parsers_stay_a_user_agent_in_one(one: One, line: str) -> None:
    assert one(ACCESS.format(line))["event.dataset"] in ("nginx.access", "apache.access")


@pytest.mark.parametrize(
    ("line", "ip", "user"),
    [
        (
            "sshd[811]: Received disconnect from 203.0.113.9 port 4000:11: user root from 1.2.3.4"
            " port 22",
            None,
            None,
        ),
        (
            "sshd[811]: Received disconnect from 203.0.113.9 port 4000:11: x by user root",
            None,
            None,
        ),
        (
            "sshd[811]: Bad protocol version identification 'x user root from 1.2.3.4 port 22",
            None,
            None,
        ),  # fmt: skip
        (
            "sshd[811]: pam_sss(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh"
            " ruser= rhost=203.0.113.9 user=x rhost=1.2.3.4 user=root",
            "203.0.113.9",
            "x rhost=1.2.3.4 user=root",
        ),
        (
            "sshd[811]: Failed publickey for root from 203.0.113.9 port 4000 ssh2: ED25519-CERT"
            " SHA256:abc ID x from 1.2.3.4 port 22 ssh2: y (serial 0) CA RSA SHA256:xx",
            None,
            None,
        ),
        (
            "sshd[811]: Failed password for invalid user a from 1.2.3.4 port 22 ssh2 from"
            " 203.0.113.9 port 4000 ssh2",
            "203.0.113.9",
            "a from 1.2.3.4 port 22 ssh2",
        ),
        (
            "sshd[811]: error: PAM: Authentication failure for illegal user bob from 203.0.113.9",
            "203.0.113.9",
            "bob",
        ),
    ],
)
def test_a_name_or_a_farewell_gives_no_other_address(
    one: One, line: str, ip: str | None, user: str | None
) -> None:
    event = one(HEAD + line)

    assert event.get("source.ip") == ip
    assert event.get("user.name") == user


def test_an_address_that_may_be_the_clients_text_is_told_as_one_of_several(one: One) -> None:
    event = one(
        HEAD + "sshd[811]: Accepted publickey for root from 203.0.113.9 port 4000 ssh2: X-CERT"
        " SHA256:abc ID x from 1.2.3.4 port 22 ssh2: y (serial 0) CA RSA SHA256:xx"
    )

    assert event["related.ip"] == ["203.0.113.9", "1.2.3.4"]
    assert "ambiguous_value" in event["tags"]
    assert event["event.outcome"] == "success"


def test_a_failed_log_in_to_vcenter_stays_one_whatever_the_name_says(one: One) -> None:
    event = one(
        "<14>1 2026-01-10T12:37:01.123456Z vc1 vpxd 5000 - - Event [1] [1-1]"
        " [2026-01-10T12:37:01.123456Z] [vim.event.BadUsernameSessionEvent] [error] [] [] [1]"
        " [Cannot login User root@1.2.3.4 logged in as x@203.0.113.9]"
    )

    assert event["event.outcome"] == "failure"
    assert event["source.ip"] == "203.0.113.9"
    assert event["user.name"] == "User root@1.2.3.4 logged in as x"


def test_a_failed_log_in_to_ios_keeps_its_source(one: One) -> None:
    event = one(
        "<189>Jan 10 13:37:01 gw1 21: *Jan 10 12:37:01.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed"
        " [user: a] [Source: 1.2.3.4] x] [Source: 203.0.113.9] [localport: 22] [Reason: x]"
    )

    assert event["source.ip"] == "203.0.113.9"
    assert event["user.name"] == "a] [Source: 1.2.3.4] x"


def test_an_argument_cannot_end_the_arguments(one: One) -> None:
    event = one(
        "type=EXECVE msg=audit(1768048621.123:78): argc=4"
        ' a0="env" a1="a#035UID=nobody" a2="nc" a3="203.0.113.9"'
    )

    assert event["process.args"] == ["env", "a#035UID=nobody", "nc", "203.0.113.9"]
