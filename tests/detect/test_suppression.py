"""An explanation tells which filters and overlay entries bear on a rule, and what they do."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.engine import Engine
from detect.explain import Explainer, Explanation
from detect.overlay import load_overlays
from detect.reload import RuleSet

OTHER = "22222222-2222-4222-8222-222222222222"
PROCESS = {
    "samlog.unit": "enheda",
    "event.dataset": "system.security",
    "winlog.channel": "Security",
    "event.code": "4688",
    "winlog.event_data.NewProcessName": "C:\\Windows\\cmd.exe",
    "winlog.event_data.CommandLine": "cmd /c WHOAMI",
}
TODAY = date(2026, 3, 1)
SINCE, EXPIRES = date(2026, 1, 1), date(2026, 5, 31)
WHO = {"owner": "kari", "reason": "the backup does this", "since": SINCE, "expires": EXPIRES}


@pytest.fixture
def explained(tmp_path: Path, rule: Callable[..., dict[str, Any]]) -> Callable[..., Explanation]:
    """Returns a function that explains a rule which fires, with a filter and overlay entries."""

    def explain(
        *entries: dict[str, Any],
        unit: str = "enheda",
        selection: dict[str, Any] | None = None,
        named: str = "11111111-1111-4111-8111-111111111111",
        event: dict[str, Any] = PROCESS,
    ) -> Explanation:
        process = {"product": "windows", "category": "process_creation"}
        own = rule({"selection": {"CommandLine|contains": "whoami"}}, logsource=process)
        second = rule({"selection": {"CommandLine": "x"}}, logsource=process) | {"id": OTHER}
        filtering = {
            "title": "ours",
            "id": "33333333-3333-4333-8333-333333333333",
            "logsource": process,
            "filter": {"rules": [named], "s": selection, "condition": "not s"},
        }
        rules = tmp_path / "rules"
        rules.mkdir()
        for n, document in enumerate((own, second, *([filtering] if selection else []))):
            (rules / f"r{n}.yml").write_text(yaml.safe_dump(document), "utf-8")
        overlay = tmp_path / "overlay.yml"
        overlay.write_text(yaml.safe_dump(list(entries)), "utf-8")
        engine = Engine.load([rules])
        overlays = load_overlays({unit: overlay} if entries else {}, engine.built)
        assert not engine.report.refused
        assert not overlays.refused
        around = RuleSet(engine, overlays)
        return Explainer(rules / "r0.yml", "", {}, around, TODAY).explain(event)

    return explain


def entry(**what: Any) -> dict[str, Any]:
    return {"rules": ["11111111-1111-4111-8111-111111111111"], **WHO, **what}


def said(found: Explanation) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.says, one.suppresses) for one in found.bearings]


def test_a_filter_that_takes_the_match_away_is_named(explained: Any) -> None:
    found = explained(selection={"Image|endswith": "\\cmd.exe"})

    assert said(found) == [("filter", "takes it away", True)]
    assert (found.fires, found.told) == (True, False)
    assert found.bearings[0].place == "r2.yml:1"
    assert found.bearings[0].what == "ours"


def test_a_filter_that_lets_it_through_is_named_too(explained: Any) -> None:
    found = explained(selection={"Image|endswith": "\\other.exe"})

    assert said(found) == [("filter", "lets it through", False)]
    assert found.told


def test_filters_and_entries_of_other_rules_are_left_out(explained: Any) -> None:
    found = explained(
        entry(disable=True) | {"rules": [OTHER]}, selection={"Image": "x"}, named=OTHER
    )

    assert said(found) == []
    assert found.told


@pytest.mark.parametrize(
    ("what", "says", "suppresses"),
    [
        ({"disable": True}, "takes it away", True),
        ({"level": "low"}, "makes it low", False),
        ({"exception": {"selection": {"CommandLine|contains": "WhoAmI"}}}, "takes it away", True),
        ({"exception": {"selection": {"CommandLine": "x"}}}, "leaves it alone", False),
        (
            {"disable": True, "expires": date(2026, 2, 28)},
            "expired on 2026-02-28; else it takes it away",
            False,
        ),
        (
            {"disable": True, "since": date(2026, 3, 2)},
            "is not in force yet; else it takes it away",
            False,
        ),
    ],
)
def test_an_entry_says_what_it_does_to_this_match(
    explained: Any, what: dict[str, Any], says: str, suppresses: bool
) -> None:
    found = explained(entry(**what))

    kind = next(name for name in ("disable", "exception", "level") if name in what)
    assert said(found) == [(kind, says, suppresses)]
    assert found.told is not suppresses
    assert (found.bearings[0].unit, found.bearings[0].what) == (
        "enheda",
        "kari: the backup does this",
    )


def test_an_entry_of_another_unit_suppresses_nothing(explained: Any) -> None:
    found = explained(entry(disable=True), unit="enhedb")

    assert said(found) == [("disable", "takes it away, in that unit", False)]
    assert found.told


def test_a_rule_that_does_not_fire_is_not_told_whatever_bears_on_it(explained: Any) -> None:
    found = explained(entry(level="low"), event=PROCESS | {"event.code": "1"})

    assert (found.fires, found.told) == (False, False)
