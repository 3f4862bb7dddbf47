"""What single parsers promise beyond their samples."""

from collections.abc import Callable

import orjson
import pytest

from normalize.community import community_id
from normalize.parsers.aws_cloudtrail import MAX_LEAVES
from normalize.web import set_request, set_url, unescape
from samlog.event import Event

One = Callable[..., Event]
TRAIL = {"eventSource": "ec2.amazonaws.com", "eventName": "RunInstances", "eventTime": "x"}


def test_the_address_of_a_login_is_read_from_the_end_of_the_line(one: One) -> None:
    forged = "root from 192.0.2.1 port 22 ssh2: RSA"
    event = one(f"Jan 10 13:37:01 h sshd[1]: Failed password for {forged} from ::1 port 9 ssh2")
    assert event["source.ip"] == "::1"
    assert event["user.name"] == forged


def test_the_command_of_sudo_may_look_like_its_own_fields(one: One) -> None:
    command = "/bin/echo ; USER=nobody ; COMMAND=/bin/true"
    event = one(f"Jan 10 13:37:01 h sudo:  liv : TTY=x ; PWD=/ ; USER=root ; COMMAND={command}")
    assert event["system.auth.sudo.command"] == command
    assert event["user.effective.name"] == "root"
    assert "process.command_line" not in event  # process.* is sudo itself


def test_a_time_in_a_user_name_does_not_shift_an_access_log_line(one: One) -> None:
    forged = r"x [01/Jan/2020:00:00:00 +0000] \x22GET"
    event = one(
        f'192.0.2.1 - {forged} [10/Jan/2026:13:55:36 +0100] "GET /a HTTP/1.1" 200 5 "-" "-"'
    )
    assert event["@timestamp"] == "2026-01-10T12:55:36.000Z"
    assert event["url.path"] == "/a"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a%2Fb?q=%2e%2e#f", {"url.path": "/a/b", "url.query": "q=..", "url.fragment": "f"}),
        ("http://u:p@h:81/x", {"url.domain": "h", "url.username": "u", "url.port": 81}),
        ("http://[2001:db8::1]/", {"url.domain": "[2001:db8::1]", "url.path": "/"}),
        ("/%ff%fe", {"url.path": "/\ufffd\ufffd"}),
        ("*", {"url.path": "*"}),
    ],
)
def test_urls_are_taken_apart(target: str, expected: Event) -> None:
    event: Event = {}
    set_url(event, target)
    assert event["url.original"] == target
    assert {name: event[name] for name in expected} == expected


def test_a_request_that_is_none_sets_nothing() -> None:
    event: Event = {}
    set_request(event, "\x16\x03\x01")
    assert event == {}


def test_escaped_bytes_become_the_text_that_was_sent() -> None:
    assert unescape(r"bl\xC3\xA5 \"x\" \\") == 'blå "x" \\'


def test_flows_have_the_same_id_in_both_directions() -> None:
    # Baseline of the specification's test suite (community-id-spec, baseline_deflt.json).
    forth = community_id("128.232.110.120", "66.35.250.204", 34855, 80, "tcp")
    back = community_id("66.35.250.204", "128.232.110.120", 80, 34855, "tcp")
    assert forth == back == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="


def test_flows_of_protocols_without_ports_have_one_id_whatever_the_ports() -> None:
    first = community_id("192.0.2.1", "224.0.0.22", 0, 0, "igmp")
    assert first == community_id("224.0.0.22", "192.0.2.1", 7, 9, "igmp")
    assert first != community_id("192.0.2.1", "224.0.0.22", 0, 0, "gre")


def test_what_is_no_flow_has_no_id() -> None:
    assert community_id("x", "192.0.2.1", 1, 2, "tcp") == ""
    assert community_id("192.0.2.1", "192.0.2.2", 1, 2, "carrier pigeon") == ""
    assert community_id("192.0.2.1", "192.0.2.2", 1, 2**16, "tcp") == ""


def test_thousands_of_request_parameters_do_not_become_thousands_of_fields(one: One) -> None:
    parameters = {f"p{n}": n for n in range(5_000)}
    event = one(orjson.dumps(TRAIL | {"requestParameters": parameters}))
    leaves = [name for name in event if ".flattened." in name]
    assert len(leaves) == MAX_LEAVES
    assert '"p4999":4999' in event["aws.cloudtrail.request_parameters"]


def test_deep_request_parameters_are_kept_as_text(one: One) -> None:
    deep: object = "bund"
    for _ in range(100):
        deep = {"d": deep}
    event = one(orjson.dumps(TRAIL | {"requestParameters": deep}))
    assert "bund" in event["event.original"]
    assert orjson.dumps(event)


@pytest.mark.parametrize("seconds", [1e300, -1, True, "0.1", 1e15])
def test_an_impossible_duration_of_zeek_is_left_out(one: One, seconds: object) -> None:
    event = one(orjson.dumps({"_path": "dns", "ts": 1.0, "rtt": seconds}))
    assert "event.duration" not in event


@pytest.mark.parametrize("path", ["x" * 500, "../etc", "CONN", "", 7, None])
def test_the_dataset_of_a_zeek_log_is_never_the_senders_choice(one: One, path: object) -> None:
    event = one(orjson.dumps({"_path": path, "ts": 1.7e9, "uid": "C", "a": 1}))
    assert event["event.dataset"] == "zeek.other"


def test_a_zeek_record_with_too_many_fields_is_cut(one: One) -> None:
    record = {"_path": "dns", "ts": 1.7e9} | {f"f{n}": n for n in range(3_000)}
    assert len(one(orjson.dumps(record))) < 400


@pytest.mark.parametrize("facility", [4, 10])
def test_any_program_of_the_auth_facilities_is_authentication(one: One, facility: int) -> None:
    event = one(f"<{facility * 8 + 6}>Jan 10 13:37:01 h other[1]: by user liv")
    assert event["event.dataset"] == "system.auth"
    assert event["user.name"] == "liv"
