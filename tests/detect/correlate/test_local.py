"""Correlations over files: what `samlog detect` and `samlog rules test` say of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detect.correlate.local import Local
from detect.engine import Engine
from detect.explain import Explainer
from detect.trial import trials
from samlog.errors import RuleError
from samlog.event import Event
from samlog.testing import FakeClock

RULES = """\
title: many
id: 77777777-0000-4000-8000-000000000001
author: Kari
level: high
name: many
correlation:
  type: event_count
  rules: [failed]
  group-by: [User]
  timespan: 5m
  condition: {gte: 3}
---
title: failed
name: failed
id: 77777777-0000-4000-8000-000000000002
logsource: {product: windows, category: test}
detection: {selection: {EventID: 4625}, condition: selection}
---
title: ok
name: succeeded
id: 77777777-0000-4000-8000-000000000003
logsource: {product: windows, category: test}
detection: {selection: {EventID: 4624}, condition: selection}
---
title: many and then one
id: 77777777-0000-4000-8000-000000000004
author: Kari
level: critical
correlation:
  type: temporal_ordered
  rules: [many, succeeded]
  group-by: [User]
  timespan: 10m
"""


def event(minute: int, code: int, user: Any = "anna", **extra: Any) -> Event:
    stamp = f"2026-01-10T13:{minute:02}:00Z"
    return {"EventID": code, "User": user, "@timestamp": stamp, **extra}


@pytest.fixture
def engine(load: Callable[..., Engine]) -> Engine:
    made = load(RULES)
    assert made.report.refused == []
    return made


def fired(engine: Engine, *events: Event) -> list[tuple[str, str]]:
    local = Local(engine, FakeClock())
    for number, found in enumerate(events):
        local.take(engine.match(found), found, number)
    return [(d["rule"]["title"], d["matched"]["User"]) for d in local.told()]


def test_a_chain_fires_when_its_parts_come_in_order(engine: Engine) -> None:
    failed = [event(minute, 4625) for minute in (1, 2, 3)]

    assert fired(engine, *failed, event(4, 4624)) == [
        ("many", "anna"),
        ("many and then one", "anna"),
    ]
    assert fired(engine, event(0, 4624), *failed) == [("many", "anna")]


def test_what_only_a_chain_asks_for_is_not_told(engine: Engine) -> None:
    local = Local(engine, FakeClock())
    for minute in (1, 2, 3):
        found = event(minute, 4625)
        local.take(engine.match(found), found, minute)

    assert local.end() == []


def test_groups_are_apart_whatever_the_case_of_their_names(engine: Engine) -> None:
    events = [event(1, 4625, "Anna"), event(2, 4625, "bo"), event(3, 4625, "ANNA")]

    assert fired(engine, *events) == []
    assert fired(engine, *events, event(4, 4625, "anna")) == [("many", "anna")]


def test_an_event_without_the_field_of_the_group_does_not_count(engine: Engine) -> None:
    assert fired(engine, *(event(minute, 4625, None) for minute in (1, 2, 3))) == []


def test_an_event_with_several_values_is_in_each_of_their_groups(engine: Engine) -> None:
    events = [event(1, 4625, ["anna", "bo"]), event(2, 4625, "bo"), event(3, 4625, "bo")]

    assert fired(engine, *events) == [("many", "bo")]


def test_the_window_reaches_back_over_its_span_and_not_further(engine: Engine) -> None:
    assert fired(engine, *(event(m, 4625) for m in (0, 3, 5))) == [("many", "anna")]
    assert fired(engine, *(event(m, 4625) for m in (0, 3, 6))) == []


def test_the_same_event_twice_counts_once(engine: Engine) -> None:
    again = [event(m, 4625, **{"event.id": "e1"}) for m in (1, 1, 1)]

    assert fired(engine, *again) == []


def test_the_time_of_windows_events_is_found(engine: Engine) -> None:
    events = [event(m, 4625) for m in (1, 2, 3)]
    for found in events:
        found["TimeCreated"] = found.pop("@timestamp")

    assert fired(engine, *events) == [("many", "anna")]


def test_events_without_a_time_are_counted_as_such(engine: Engine) -> None:
    local = Local(engine, FakeClock())
    found = {"EventID": 4625, "User": "anna"}

    local.take(engine.match(found), found, 0)

    assert local.without_time == 1
    assert local.told() == []


def test_samples_of_a_correlation_are_tried_as_a_whole(engine: Engine, tmp_path: Path) -> None:
    good = [event(m, 4625) for m in (1, 2, 3)]
    samples = {"rule0.match.json": [*good, event(4, 4624)], "rule0.nomatch.json": good[:2]}
    for name in samples:
        (tmp_path / name).write_text("{}")

    def read(file: Path) -> Any:
        return [(str(i), [found]) for i, found in enumerate(samples[file.name])]

    verdicts = {t.rule.title: t.verdict for t in trials(tmp_path, engine, read)}
    assert verdicts == {"many": "ok", "many and then one": "ok"}

    samples["rule0.nomatch.json"] = [*good, event(4, 4624)]
    problems = [p for t in trials(tmp_path, engine, read) for p in t.problems]
    assert problems == ["rule0.nomatch.json as a whole fires"] * 2


def test_explaining_a_correlation_says_what_it_counts(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(RULES.replace("category: test", "service: security"))

    with pytest.raises(RuleError, match=r"event_count gte 3 of .* by User in 300 s"):
        Explainer(tmp_path / "c.yml", "77777777-0000-4000-8000-000000000001", {})
