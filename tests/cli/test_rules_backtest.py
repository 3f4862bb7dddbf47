"""``samlog rules backtest``: matches per rule, and what a change of the rules changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import orjson
import pytest

from samlog.errors import ConfigError

Call = Callable[..., Any]
LINE = '192.0.2.1 - - [10/Jan/2026:14:00:00 +0100] "GET {} HTTP/1.1" 200 1 "-" "x"\n'
RULE_ID = "55555555-5555-4555-8555-555555555555"
OTHER_ID = "55555555-5555-4555-8555-555555555556"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_text("".join(LINE.format(stem) for stem in ("/evil", "/bad", "/bad", "/good")))
    return path


@pytest.fixture
def baseline(call: Call, rules: Path, logs: Path, tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    assert call("backtest", rules, logs, "--baseline", path, "--accept").code == 0
    return path


def test_matches_are_counted_per_rule(call: Call, rules: Path, logs: Path) -> None:
    answer = call("backtest", rules, logs, "--json")

    assert answer.code == 0
    assert [(row["rule"], row["before"], row["after"]) for row in answer.rows] == [
        (OTHER_ID, None, 2),
        (RULE_ID, None, 1),
    ]
    assert "4 events · 0 rejected · 3 matches of 2 rules · no baseline" in answer.err


def test_nothing_changed(call: Call, rules: Path, logs: Path, baseline: Path) -> None:
    answer = call("backtest", rules, logs, "--baseline", baseline)

    assert answer.code == 0
    assert "0 changes" in answer.err


def test_a_change_that_nobody_accepted_is_an_error_until_it_is(
    call: Call, rules: Path, logs: Path, baseline: Path
) -> None:
    rule = rules / "evil.yml"
    rule.write_text(rule.read_text().replace("cs-uri-stem: /evil", "cs-uri-stem: [/evil, /good]"))

    changed = call("backtest", rules, logs, "--baseline", baseline, "--json")
    accepted = call("backtest", rules, logs, "--baseline", baseline, "--accept")
    after = call("backtest", rules, logs, "--baseline", baseline)

    assert (changed.code, accepted.code, after.code) == (1, 0, 0)
    assert changed.rows[0] == {
        "rule": RULE_ID,
        "title": "Asks for /evil",
        "before": 1,
        "after": 2,
        "change": 1,
        "note": "",
    }
    assert "1 changes" in changed.err


def test_a_rule_that_is_gone_and_one_that_is_new_are_changes(
    call: Call, rules: Path, logs: Path, baseline: Path
) -> None:
    rule = rules / "evil.yml"
    rule.write_text(rule.read_text().replace(RULE_ID, RULE_ID[:-1] + "9"))

    answer = call("backtest", rules, logs, "--baseline", baseline, "--json")

    assert answer.code == 1
    notes = {row["rule"]: row["note"] for row in answer.rows}
    assert notes == {RULE_ID: "gone", RULE_ID[:-1] + "9": "new", OTHER_ID: ""}


def test_other_logs_than_those_of_the_baseline_are_an_error(
    call: Call, rules: Path, logs: Path, baseline: Path
) -> None:
    logs.write_text(logs.read_text() + LINE.format("/other"))

    answer = call("backtest", rules, logs, "--baseline", baseline)

    assert answer.code == 1
    assert "the logs are not those of the baseline" in answer.err


def test_a_baseline_is_made_for_version_control(baseline: Path) -> None:
    content = orjson.loads(baseline.read_bytes())

    assert list(content["rules"]) == [RULE_ID, OTHER_ID]
    assert content["rules"][OTHER_ID] == {"title": "Asks for /bad", "matches": 2}
    assert baseline.read_text().count("\n") > 10
    assert not list(baseline.parent.glob("*.new"))


def test_rejected_records_are_counted(call: Call, rules: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.ndjson"
    bad.write_bytes(b'{"a": 1}\n[1]\nno json\n')

    answer = call("backtest", rules, bad, "--ecs")

    assert answer.code == 0
    assert "1 events · 2 rejected" in answer.err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no such baseline; --accept writes it"),
        (b"[", "is no baseline"),
        (b"[]", "is no baseline"),
        (b'{"format": "other/2"}', "is no baseline of format samlog-backtest/1"),
        (b'{"format": "samlog-backtest/1", "rules": {"a": 1}}', "is no baseline"),
    ],
)
def test_a_file_that_is_no_baseline_is_named(
    call: Call, rules: Path, logs: Path, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "b.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=rf"b\.json: {problem}"):
        call("backtest", rules, logs, "--baseline", path)


@pytest.mark.parametrize("words", [("--accept",), ("--raw", "--ecs")])
def test_options_that_do_not_go_together_are_usage_errors(
    call: Call, rules: Path, logs: Path, words: tuple[str, ...]
) -> None:
    with pytest.raises(click.UsageError):
        call("backtest", rules, logs, *words)


def test_without_any_rule_nothing_is_said_to_be_fine(
    call: Call, logs: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ConfigError, match="no rule could be loaded"):
        call("backtest", tmp_path / "empty", logs)
