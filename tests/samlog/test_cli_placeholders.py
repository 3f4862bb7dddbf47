"""Every command that loads rules takes the values of placeholders from the configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samlog import pipeline
from samlog.clock import SystemClock
from samlog.metrics import Metrics

RULE = """\
title: Somebody We Watch
id: 66666666-6666-4666-8666-666666666666
author: Kari
logsource:
  category: webserver
detection:
  selection:
    cs-uri-stem|expand: '%watched%'
  condition: selection
level: high
"""
LINE = '192.0.2.1 - - [10/Jan/2026:14:00:00 +0100] "GET /{} HTTP/1.1" 200 1 "-" "x"\n'
FIRED = "Somebody We Watch"


@pytest.fixture
def place(deployment: Any) -> Any:
    """A deployment with one rule on ``%watched%``, whose values are in a file."""
    rules = deployment.folder / "rules"
    rules.mkdir()
    (rules / "watch.yml").write_text(RULE)
    (rules / "watch.match.log").write_text(LINE.format("evil"))
    (rules / "watch.nomatch.log").write_text(LINE.format("good"))
    (deployment.folder / "watched.txt").write_text("/evil\n")
    values = {"watched": str(deployment.folder / "watched.txt"), "others": ["a", "b"]}
    return deployment.write({"rules": [str(rules)], "placeholders": values})


COMMANDS = {
    "detect": ("detect --rules rules rules/watch.match.log", FIRED),
    "test": ("rules test rules", "ok "),
    "lint": ("rules lint rules", ""),
    "explain": ("rules explain watch rules/watch.match.log", ": fires"),
    "backtest": ("rules backtest rules rules/watch.match.log", FIRED),
    "coverage": ("rules coverage --rules --unit enheda", FIRED),
    "stats": ("rules stats --all", FIRED),
    "hunt": ("hunt rules/watch.yml --query", "evil"),
    "list": ("list rules", FIRED),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_values_are_used(place: Any, cli: Callable[..., Any], name: str) -> None:
    words, expected = COMMANDS[name]

    answer = cli(*words.split(), "--config", place.config)

    assert answer.code == 0, answer.err
    assert expected in answer.out


@pytest.mark.parametrize("name", ["detect", "test", "lint", "backtest", "hunt"])
def test_without_them_the_rule_is_refused_by_name(
    place: Any, cli: Callable[..., Any], name: str
) -> None:
    (place.folder / "samlog.yaml").unlink()

    answer = cli(*COMMANDS[name][0].split())

    assert answer.code != 0
    assert "no values are configured for %watched%" in answer.out + answer.err


def test_check_shows_them_and_names_the_rule_that_has_none(
    place: Any, cli: Callable[..., Any]
) -> None:
    answer = cli("check", place.config)
    assert answer.code == 0
    assert "placeholder %watched%: 1 values (" in answer.err
    assert "placeholder %others%: 2 values\n" in answer.err

    (place.folder / "watched.txt").write_text("")
    answer = cli("check", place.config)
    assert answer.code == 1
    assert "no values are configured for %watched%" in answer.err


def test_a_name_with_percent_signs_and_an_empty_value_are_refused(
    place: Any, cli: Callable[..., Any]
) -> None:
    place.write({"placeholders": {"%watched%": ["x"]}})
    assert "placeholders" in cli("check", place.config).err

    place.write({"placeholders": {"watched": [""]}})
    answer = cli("check", place.config)
    assert answer.code == 78
    assert "placeholders.watched" in answer.err


def test_a_file_that_is_gone_stops_the_command(place: Any, cli: Callable[..., Any]) -> None:
    (place.folder / "watched.txt").unlink()

    answer = cli("detect", "--rules", "rules", "rules/watch.match.log")

    assert answer.code == 78
    assert "watched.txt" in answer.err


def test_a_running_stage_takes_new_values_when_the_file_changes(place: Any) -> None:
    settings = pipeline.load_settings(place.config).settings
    clock = SystemClock()
    step = pipeline.build_stage("detect", settings, clock, Metrics()).step
    reloader = pipeline.rule_reloader(settings, step, clock, Metrics())
    before = step.rules.label  # type: ignore[attr-defined]

    (place.folder / "watched.txt").write_text("/evil\n/worse\n")
    reloader.turn(asked=True)

    assert reloader.problem == ""
    assert step.rules.label != before  # type: ignore[attr-defined]
    assert Path(place.folder / "watched.txt") in [Path(s.path) for s in step.rules.stamps]  # type: ignore[attr-defined]
    step.close()
