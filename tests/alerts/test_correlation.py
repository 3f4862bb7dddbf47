"""Firings of correlations: announced, confirmed, grown and withdrawn under one alert."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from alerts.envelope import problems
from alerts.step import AlertStep
from samlog.bus.base import Message
from samlog.errors import BadEvent
from samlog.event import DETECTIONS
from samlog.metrics import Metrics
from samlog.testing import FakeClock


@pytest.fixture
def step(tmp_path: Path) -> Iterator[AlertStep]:
    made = AlertStep(tmp_path, {}, (), FakeClock(), Metrics())
    yield made
    made.close()


def firing(state: str, count: int = 3, **given: Any) -> Message:
    events = [
        {"index": "logs-x-enheda", "event_id": f"e{i}", "sha256": "ab" * 32, "log_class": "LC-05"}
        for i in range(count)
    ]
    detection: dict[str, Any] = {
        "id": "f1",
        "unit": "enheda",
        "event_id": "e2",
        "event_sha256": "ab" * 32,
        "index": "logs-x-enheda",
        "timestamp": "2026-01-10T12:00:00.000Z",
        "detected": "2026-01-10T12:00:01.000Z",
        "rule": {"id": "r1", "title": "Many", "level": "high", "author": "A", "tags": []},
        "matched": {"User": "anna"},
        "context": {"user.name": "anna", "samlog.group": "anna"},
        "correlation": {
            "state": state,
            "type": "event_count",
            "group": {"User": "anna"},
            "count": count,
            "value": count,
            "first": "2026-01-10T11:55:00.000Z",
            "timespan_s": 300,
            "evidence": events,
        },
    }
    return Message(DETECTIONS, 0, 1, b"enheda", orjson.dumps(detection | given), {}, 0)


@pytest.fixture
def tell(step: AlertStep) -> Callable[..., list[dict[str, Any]]]:
    """Hands detections in; returns the revisions that they make."""

    def told(*messages: Message) -> list[dict[str, Any]]:
        for message in messages:
            step.process(message)
        found = []
        while records := list(step.flush()):
            found += [orjson.loads(record.value) for record in records]
        assert all(problems(one) == [] for one in found)
        return found

    return told


def test_a_provisional_firing_is_an_alert_at_once(tell: Any) -> None:
    (alert,) = tell(firing("provisional"))

    assert alert["summary"]["en"] == "Many: 3 events (provisional)"
    assert alert["correlation"][0]["state"] == "provisional"
    assert [e["event_id"] for e in alert["evidence"]] == ["e0", "e1", "e2"]


def test_it_is_confirmed_and_counted_on_under_the_same_alert(tell: Any) -> None:
    (first,) = tell(firing("provisional"))
    (sure,) = tell(firing("final"))
    (grown,) = tell(firing("final", 57))

    assert {first["id"]} == {sure["id"], grown["id"]}
    assert sure["summary"]["en"] == "Many: 3 events"
    assert grown["summary"]["en"] == "Many: 57 events"
    assert grown["count"] == 1
    assert len(grown["evidence"]) == 50


def test_the_same_told_again_makes_no_revision(tell: Any) -> None:
    tell(firing("final"))

    assert tell(firing("provisional"), firing("final")) == []


def test_a_firing_that_was_none_is_withdrawn_under_its_alert(tell: Any) -> None:
    (first,) = tell(firing("provisional"))
    (gone,) = tell(firing("withdrawn", 0))

    assert gone["id"] == first["id"]
    assert gone["summary"]["en"] == "Many: 0 events (withdrawn)"
    assert gone["correlation"][0]["state"] == "withdrawn"


def test_what_was_never_told_is_not_withdrawn(tell: Any) -> None:
    assert tell(firing("withdrawn")) == []


def test_a_correction_in_the_next_hour_stays_with_its_alert(tell: Any) -> None:
    (first,) = tell(firing("provisional"))
    (moved,) = tell(firing("final", 4, timestamp="2026-01-10T13:00:00.000Z"))

    assert moved["id"] == first["id"]


def test_no_name_of_a_person_is_in_the_envelope(tell: Any) -> None:
    assert b"anna" not in orjson.dumps(tell(firing("final")))


def test_half_a_correlation_is_a_dead_letter(step: AlertStep) -> None:
    with pytest.raises(BadEvent, match="detection_incomplete"):
        step.process(firing("final", correlation={"state": "final"}))
