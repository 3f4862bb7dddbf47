"""A unit's overlay and correlations: disabled, with another level, without what bases lost."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from detect.correlate.step import CorrelateStep
from detect.engine import Engine
from detect.ledger import Books, Ledger, folder
from detect.overlay import load_overlays
from detect.reload import RuleSet
from detect.step import DetectStep
from samlog.bus.base import Message
from samlog.event import EVENTS, MATCHES
from samlog.metrics import Metrics
from samlog.testing import FakeClock

NOW = datetime(2026, 1, 10, 12, 0, 30, tzinfo=UTC)
BASE_ID = "77777777-0000-4000-8000-000000000002"
MANY_ID = "77777777-0000-4000-8000-000000000001"
RULES = f"""\
title: many
id: {MANY_ID}
author: Kari
level: high
correlation:
  type: event_count
  rules: [evil]
  group-by: [c-ip]
  timespan: 5m
  condition: {{gte: 3}}
---
title: evil
name: evil
id: {BASE_ID}
logsource: {{category: webserver}}
detection: {{selection: {{cs-uri-stem: /evil}}, condition: selection}}
level: low
"""

Told = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def told(load: Callable[..., Engine], tmp_path: Path) -> Told:
    """Returns a function that gives what correlations tell of three events per unit.

    Its arguments are entries of enheda's overlay.
    """

    def run(*entries: dict[str, Any], metrics: Metrics | None = None) -> list[dict[str, Any]]:
        engine = load(RULES, mode="ecs")
        assert not engine.report.refused
        path = tmp_path / "enheda.yaml"
        path.write_text(yaml.safe_dump(list(entries)))
        overlays = load_overlays({"enheda": path}, engine.built)
        assert not overlays.refused
        rules, clock = RuleSet(engine, overlays), FakeClock(NOW)
        detect = DetectStep(rules, clock)
        ledger = Ledger(folder(tmp_path) / "correlate.db")
        correlate = CorrelateStep(rules, clock, metrics=metrics, ledger=ledger)
        found = []
        for n in range(6):
            for record in detect.process(message(n, "enheda" if n % 2 else "enhedb")):
                if record.topic == MATCHES:
                    given = Message(MATCHES, 0, n, record.key, record.value, record.headers, 0)
                    found += [orjson.loads(r.value) for r in correlate.process(given)]
        found += [orjson.loads(r.value) for r in correlate.tick(clock.now()) if r.topic != MATCHES]
        correlate.settle()
        correlate.close()
        return found

    return run


def message(n: int, unit: str) -> Message:
    event = {
        "@timestamp": f"2026-01-10T12:00:{n:02}.000Z",
        "event.id": f"e{n}",
        "event.dataset": "nginx.access",
        "samlog.unit": unit,
        "url.path": "/evil",
        "source.ip": "203.0.113.7",
    }
    return Message(EVENTS, 0, n, unit.encode(), orjson.dumps(event), {}, 0)


def entry(**changes: Any) -> dict[str, Any]:
    said = {"owner": "kari", "reason": "known", "since": NOW.date(), "expires": NOW.date()}
    return {"rules": [MANY_ID], **said, **changes}


def units(found: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(one["unit"], one["rule"]["level"]) for one in found}


def test_without_an_overlay_both_units_are_told(told: Told) -> None:
    assert units(told()) == {("enheda", "high"), ("enhedb", "high")}


def test_a_disabled_correlation_is_silent_in_that_unit_and_listed(
    told: Told, tmp_path: Path
) -> None:
    metrics = Metrics()

    assert units(told(entry(disable=True), metrics=metrics)) == {("enhedb", "high")}
    rows = Books(tmp_path).rows("SELECT unit, rule, kind, owner FROM suppressed")
    assert rows == [("enheda", MANY_ID, "disable", "kari")]
    assert metrics.value("matches_suppressed_total", unit="enheda", by="disable") >= 1


def test_a_changed_level_of_a_correlation_is_told(told: Told) -> None:
    assert units(told(entry(level="low"))) == {("enheda", "low"), ("enhedb", "high")}


def test_what_an_exception_takes_from_a_base_rule_counts_for_no_correlation(told: Told) -> None:
    wanted = entry(rules=["evil"], exception={"selection": {"c-ip": "203.0.113.7"}})

    assert units(told(wanted)) == {("enhedb", "high")}


def test_a_unit_does_not_silence_what_is_counted_over_all_units(
    load: Callable[..., Engine], tmp_path: Path
) -> None:
    engine = load(RULES.replace("level: high", "level: high\nsamlog: {scope: shared}"), mode="ecs")
    path = tmp_path / "enheda.yaml"
    path.write_text(yaml.safe_dump([entry(disable=True)]))

    found = load_overlays({"enheda": path}, engine.built)

    assert [error.reason for error in found.refused] == ["overlay_of_shared"]


def test_an_exception_to_a_correlation_is_refused(
    load: Callable[..., Engine], tmp_path: Path
) -> None:
    engine = load(RULES, mode="ecs")
    path = tmp_path / "enheda.yaml"
    path.write_text(yaml.safe_dump([entry(exception={"selection": {"c-ip": "x"}})]))

    found = load_overlays({"enheda": path}, engine.built)

    assert [error.reason for error in found.refused] == ["exception_to_correlation"]
