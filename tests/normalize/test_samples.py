"""Every parser is held to the same: its samples, ECS names, UTC times, no crash on bad lines."""

import re
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from normalize.registry import Registry
from normalize.samples_update import (
    RECEIVED,
    UNIT,
    expected_of,
    normalizer,
    sample_events,
    sample_files,
)
from samlog.ecs import ALLOWED, ARRAYS, FIELDS
from samlog.event import RawEvent

REGISTRY = Registry()
NORMALIZER = normalizer()
FILES = sample_files()
VENDOR = (
    *("samlog.", "labels.", "system.", "nginx.", "apache.", "aws.", "zeek.", "cisco.", "winlog."),
    *("azure.", "o365.", "m365_defender.", "microsoft."),
    *("okta.", "cisco_duo.", "keycloak.", "freeradius.", "openldap.", "kubernetes."),
    "nginx_ingress_controller.",
    *("auditd.", "vsphere.", "iptables.", "firewalld.", "systemd.", "journald."),
    # who an audit record is about; as Elastic's auditd integration names them
    *("user.audit.", "user.saved.", "user.filesystem.", "user.owner.", "user.selinux."),
    *("user.old_auid.", "user.new_auid.", "user.old-auid.", "file.selinux."),
    "user.terminal",
)
UTC_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
HOSTILE = (
    "a" * 64_000,
    "." + " " * 60_000 + "x",
    "[" * 64_000,
    '"' * 64_000,
    '\\"' * 32_000,
    "=" * 64_000,
    "a=b " * 16_000,
    "for user a by b " * 4_000,
    " from 192.0.2.1 port 1 ssh2" * 2_400,
    " ; USER=root" * 5_000,
    "x" + " - " * 20_000 + "[",
    "((((" * 16_000,
    "%A-1-B: " * 8_000,
    "Jan 10 13:37:01 " * 4_000,
    "<13>" * 16_000,
    "user 'a' " * 7_000,
    "\\x41" * 16_000,
)
HEADS = (
    "",
    "<13>",
    "<165>1 2026-01-10T12:37:05.003Z a b c d [",
    "Jan 10 13:37:01 h {}[1]: ",
    "2026/01/10 13:55:36 [error] 1#1: *1 ",
    "[Sat Jan 10 13:55:36 2026] [error] [client 192.0.2.1] ",
    '192.0.2.1 - - [10/Jan/2026:13:55:36 +0100] "',
    "<189>1: Jan 10 13:40:03.673: %SEC-6-IPACCESSLOGP: list 1 denied tcp ",
    "Failed password for ",
    "pam_unix(sshd:auth): authentication failure; ",
    "type=EXECVE msg=audit(1768048621.204:7): argc=3 a0=",
    "type=USER_AUTH msg=audit(1768048621.204:7): pid=1 msg='op=",
    "Event [1] [1-1] [2026-01-10T12:37:01Z] [vim.event.X] [info] [] [] [1] [User ",
    "%",
)


def ids(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_every_sample_parses_to_what_is_expected(path: Path) -> None:
    expected = path.with_suffix(".expected.json")
    made = orjson.loads(orjson.dumps(expected_of(path, NORMALIZER)))
    assert made == orjson.loads(expected.read_bytes()), (
        "run: python -m normalize.samples_update, then read the diff"
    )


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_samples_hold_only_ecs_fields_and_vendor_fields(path: Path) -> None:
    names = {name for event in sample_events(path, NORMALIZER) for name in event}
    strangers = {name for name in names if name not in FIELDS and not name.startswith(VENDOR)}
    assert not strangers


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_samples_have_utc_times_and_allowed_categories(path: Path) -> None:
    for event in sample_events(path, NORMALIZER):
        assert UTC_MS.fullmatch(event["@timestamp"])
        assert datetime.fromisoformat(event["@timestamp"]).tzinfo is not None
        for name in ("event.kind", "event.outcome"):
            assert event.get(name, "unknown") in ALLOWED[name] | {"unknown"}
        for name in ("event.category", "event.type"):
            assert set(event.get(name, ())) <= ALLOWED[name]
        for name in ARRAYS.intersection(event):
            assert isinstance(event[name], list), name


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_samples_are_read_by_the_parser_that_they_belong_to(path: Path) -> None:
    names = {event["samlog.parser"].partition("/")[0] for event in sample_events(path, NORMALIZER)}
    assert path.parent.name in names


def test_every_parser_of_this_folder_has_samples() -> None:
    sampled = {path.parent.name for path in FILES}
    assert {name for name in REGISTRY.parsers if not name.startswith("windows")} <= sampled


@pytest.mark.parametrize("name", sorted(REGISTRY.parsers))
def test_every_parser_has_a_page_about_itself(name: str) -> None:
    page = REGISTRY.parsers[name].__doc__
    assert page is not None and len(page) > 120


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", sorted(set(REGISTRY.parsers) - {"windows"}))
def test_long_hostile_lines_take_linear_work(name: str) -> None:
    """Quadratic work on 64 kB takes minutes and runs into the time-out."""
    parser = REGISTRY.parsers[name]
    program = min(parser.PROGRAMS, default="prog")
    for head in HEADS:
        for tail in HOSTILE:
            line = (head.replace("{}", program) + tail)[:64_000].encode()
            events = NORMALIZER.normalize(
                line,
                {"source": name.encode()},
                unit=UNIT,
                key=None,
                position=("t", 0, 0),
                appended_at=RECEIVED,
            )
            assert events[0]["event.original"] == line.decode()


@pytest.mark.parametrize("name", sorted(REGISTRY.parsers))
def test_matching_never_raises(name: str) -> None:
    for body in ("", "{", "\x00", "<Event", "[10/Jan/2026", "%ASA-6-302013: x"):
        raw = RawEvent("enheda", body.encode(), body, RECEIVED, body=body)
        assert REGISTRY.parsers[name].matches(raw) in (True, False)
