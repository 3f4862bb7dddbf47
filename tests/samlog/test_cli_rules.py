"""``samlog rules``: what it prints, and the exit codes that scripts rely on."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
import yaml
from click.testing import CliRunner

from samlog.cli.rules_ import command, find_rule
from samlog.clock import SystemClock
from samlog.errors import ConfigError, RuleError

RULE = """\
title: Evil Path
id: 55555555-5555-4555-8555-555555555555
author: Kari
logsource:
  category: webserver
detection:
  selection:
    cs-uri-stem: /evil
  condition: selection
level: high
"""
LINE = '192.0.2.1 - - [10/Jan/2026:14:00:00 +0100] "GET {} HTTP/1.1" 200 1 "-" "æøå"\n'

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call() -> Call:
    """Returns a function that runs the command and gives (exit code, stdout, stderr)."""

    def called(*args: str | Path) -> tuple[int, str, str]:
        result = CliRunner().invoke(command, [str(a) for a in args], standalone_mode=False)
        if result.exception:
            raise result.exception
        return int(result.return_value), result.stdout, result.stderr

    return called


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Returns a folder with one rule and its samples."""
    (tmp_path / "evil.yml").write_text(RULE, "utf-8")
    (tmp_path / "evil.match.log").write_text(LINE.format("/evil"), "utf-8")
    (tmp_path / "evil.nomatch.log").write_text(LINE.format("/good"), "utf-8")
    return tmp_path


def test_our_own_rules_are_linted_strictly_without_findings(call: Call) -> None:
    code, out, err = call("lint")

    assert (code, out) == (0, "")
    assert "0 refused" in err
    assert "0 findings" in err


def test_lint_names_file_and_line_of_every_problem(call: Call, pack: Path) -> None:
    (pack / "a.yml").write_text(RULE.replace("stem:", "stem|endswiht:"), "utf-8")
    (pack / "b.yml").write_text("title: [", "utf-8")

    code, out, err = call("lint", pack)

    assert code == 1
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        f"{pack}/a.yml:6",
        f"{pack}/b.yml:2",
    ]
    assert "1 rules loaded · 0 correlations · 2 refused" in err


def test_lint_as_json_has_one_object_a_finding(call: Call, pack: Path) -> None:
    code, out, _ = call("lint", "--strict", "--json", pack)

    rows = [orjson.loads(line) for line in out.splitlines()]
    assert code == 1
    assert {row["reason"] for row in rows} == {
        "missing_description",
        "missing_falsepositives",
        "missing_status",
        "missing_tags",
    }
    assert rows[0].keys() == {"path", "line", "rule_id", "reason", "text"}


def test_our_own_rules_pass_their_samples(call: Call) -> None:
    code, out, err = call("test")

    verdicts = [line.split()[0] for line in out.splitlines()]
    assert code == 0
    assert set(verdicts) == {"ok"}
    assert err.startswith(f"{len(verdicts)} ok · 0 FAIL · 0 without samples · 0 refused")


def test_a_rule_and_its_samples_are_parsed_and_matched(call: Call, pack: Path) -> None:
    code, out, err = call("test", pack)

    assert code == 0
    assert out.startswith("ok ")
    assert "evil.yml  2 records" in out
    assert "1 ok" in err


def test_a_sample_that_does_not_fire_fails(call: Call, pack: Path) -> None:
    (pack / "evil.match.log").write_text(LINE.format("/evil") + LINE.format("/goood"), "utf-8")

    code, out, _ = call("test", pack)

    assert code == 1
    assert out.startswith("FAIL")
    assert "evil.match.log:2 does not fire" in out


def test_a_rule_without_samples_is_shown_and_fails_only_when_asked_for(
    call: Call, pack: Path
) -> None:
    (pack / "evil.match.log").unlink()
    (pack / "evil.nomatch.log").unlink()

    assert call("test", pack)[0] == 0
    code, out, err = call("test", "--strict", pack)

    assert code == 1
    assert out.startswith("? ")
    assert "no samples (match and nomatch)" in out
    assert "1 without samples" in err


def test_a_broken_rule_fails_the_test(call: Call, pack: Path) -> None:
    (pack / "b.yml").write_text("title: [", "utf-8")

    code, _, err = call("test", pack)

    assert code == 1
    assert f"refused: {pack}/b.yml:2" in err


def test_test_as_json_names_verdict_and_problems(call: Call, pack: Path) -> None:
    (pack / "evil.nomatch.log").write_text(LINE.format("/evil"), "utf-8")

    _, out, _ = call("test", "--json", pack)

    row = orjson.loads(out)
    assert row["verdict"] == "FAIL"
    assert row["problems"] == ["evil.nomatch.log:1 fires"]


def test_explain_shows_what_held_and_the_values(call: Call, pack: Path) -> None:
    code, out, err = call("explain", pack / "evil.yml", pack / "evil.nomatch.log")

    assert code == 0
    assert "Evil Path (Kari) on evil.nomatch.log:0: does not fire" in out
    assert "asked: nginx.access is a log of webserver" in out
    assert "failed cs-uri-stem is '/evil'   url.path = /good" in out
    assert "explained 1 · fires on 0" in err


def test_explain_as_json_is_a_tree(call: Call, pack: Path) -> None:
    _, out, _ = call("explain", pack / "evil.yml", pack / "evil.match.log", "--json")

    row = orjson.loads(out)
    assert (row["fires"], row["asked"], row["author"]) == (True, True, "Kari")
    assert row["condition"]["parts"][0]["looked_at"] == {"url.path": "/evil"}


def test_explain_tells_what_takes_a_match_away(call: Call, pack: Path) -> None:
    today = SystemClock().now().date()
    entry = {"rules": ["55555555-5555-4555-8555-555555555555"], "disable": True, "owner": "kari"}
    entry |= {"reason": "ours", "since": today, "expires": today + timedelta(days=2)}
    (pack / "overlay").write_text(yaml.safe_dump([entry]), "utf-8")
    unit = {"local": {"overlay": str(pack / "overlay")}}
    settings = {"units": unit, "rules": [str(pack / "evil.yml")], "state": str(pack)}
    (pack / "samlog.conf").write_text(yaml.safe_dump(settings), "utf-8")
    words = ("evil", pack / "evil.match.log", "--config", pack / "samlog.conf")

    _, out, err = call("explain", *words)
    _, rows, _ = call("explain", *words, "--json")

    assert "fires, and is not told" in out
    assert "disable of unit local takes it away: kari: ours" in out
    assert "fires on 1 · not told 1" in err
    row = orjson.loads(rows)
    assert (row["fires"], row["told"]) == (True, False)
    assert row["bearings"][0]["suppresses"] is True


def test_explain_takes_events_that_are_normalised(call: Call, pack: Path) -> None:
    event = {"event.dataset": "nginx.access", "url.path": "/evil\x1b[31m"}
    (pack / "stored.ndjson").write_bytes(orjson.dumps(event))

    _, out, _ = call("explain", pack / "evil.yml", pack / "stored.ndjson", "--ecs")

    assert "url.path = /evil\\x1b[31m" in out
    assert "\x1b" not in out


def test_explain_stops_after_the_limit(call: Call, pack: Path) -> None:
    (pack / "many.log").write_text(LINE.format("/evil") * 9, "utf-8")

    _, out, err = call("explain", pack / "evil.yml", pack / "many.log", "--limit", "2")

    assert out.count("Evil Path") == 2
    assert "only the first 2 events" in err


def test_an_event_file_without_events_is_named(call: Call, pack: Path) -> None:
    (pack / "empty.log").write_bytes(b"")

    with pytest.raises(ConfigError, match=r"empty\.log: holds no event"):
        call("explain", pack / "evil.yml", pack / "empty.log")


def test_a_broken_rule_cannot_be_explained(call: Call, pack: Path) -> None:
    (pack / "b.yml").write_text("title: [", "utf-8")

    with pytest.raises(RuleError, match="is not YAML"):
        call("explain", pack / "b.yml", pack / "evil.match.log")


def test_a_rule_is_found_by_file_name_and_by_the_beginning_of_its_id() -> None:
    path, _ = find_rule("linux_sshd_invalid_user", None)
    rule_id = path.read_text("utf-8").split("\nid: ")[1][:36]

    assert path.name == "linux_sshd_invalid_user.yml"
    assert find_rule(rule_id[:8].upper(), None) == (path, rule_id)


@pytest.mark.parametrize(("name", "what"), [("nope", "no rule"), ("", "rules have an id")])
def test_a_rule_that_is_not_there_or_not_one_is_refused(name: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        find_rule(name, None)
