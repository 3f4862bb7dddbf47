"""Firings of correlations: announced, confirmed, grown and withdrawn under one alert."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from alerts.correlation import FORGOTTEN_AT_ONCE
from alerts.envelope import problems
from alerts.register import Register
from alerts.step import FORGET_S, AlertStep
from samlog.bus.base import Message
from samlog.errors import BadEvent
from samlog.event import DETECTIONS
from samlog.metrics import Metrics
from samlog.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def step(tmp_path: Path, clock: FakeClock) -> Iterator[AlertStep]:
    made = AlertStep(tmp_path, {}, (), clock, Metrics(), timedelta(days=30))
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


def said_by(record: int, state: str, count: int) -> Message:
    message = firing(state, count)
    detection = orjson.loads(message.value)
    detection["correlation"]["word"] = [0, record]
    return message._replace(value=orjson.dumps(detection))


def test_words_that_a_successor_repeats_make_no_revision_until_there_is_a_new_one(
    tell: Any,
) -> None:
    tell(said_by(5, "provisional", 3), said_by(9, "final", 12))

    assert tell(said_by(5, "provisional", 3), said_by(7, "withdrawn", 0)) == []
    (grown,) = tell(said_by(9, "final", 12), said_by(11, "final", 13))
    assert grown["correlation"][0]["count"] == 13


def test_a_firing_that_was_none_is_withdrawn_under_its_alert(tell: Any) -> None:
    (first,) = tell(firing("provisional"))
    (gone,) = tell(firing("withdrawn", 0))

    assert gone["id"] == first["id"]
    assert gone["summary"]["en"] == "Many: 0 events (withdrawn)"
    assert gone["correlation"][0]["state"] == "withdrawn"


def test_a_correction_of_a_closed_alert_is_an_update_and_leaves_it_closed(
    tell: Any, step: AlertStep, clock: FakeClock
) -> None:
    (first,) = tell(firing("provisional"))
    Register(step._database).change(first["id"], "closed", "eva", clock.now(), cause="test")
    (closed,) = tell()
    clock.advance(1)

    (sure,) = tell(firing("final"))

    assert [one["type"] for one in (first, closed, sure)] == ["alert", "close", "update"]
    assert sure["state"] == closed["state"]


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


def kept(step: AlertStep) -> set[str]:
    rows = step._database.sql.execute("SELECT detection FROM correlations")
    return {detection for (detection,) in rows}


def test_firings_of_alerts_older_than_the_retention_are_forgotten(
    tell: Any, step: AlertStep, clock: FakeClock
) -> None:
    tell(firing("final", id="old"))
    clock.advance(29 * 86_400)
    tell(firing("final", id="new", timestamp="2026-02-08T12:00:00.000Z"))
    step.tick(clock.now())
    assert kept(step) == {"old", "new"}

    clock.advance(2 * 86_400)
    step.tick(clock.now())

    assert kept(step) == {"new"}


def test_the_time_of_a_sender_does_not_decide_what_is_forgotten(
    tell: Any, step: AlertStep, clock: FakeClock
) -> None:
    tell(firing("final", id="past", timestamp="1999-01-10T12:00:00.000Z"))
    tell(firing("final", id="future", timestamp="2099-01-10T12:00:00.000Z"))
    clock.advance(FORGET_S)
    step.tick(clock.now())
    assert kept(step) == {"past", "future"}

    clock.advance(31 * 86_400)
    step.tick(clock.now())

    assert kept(step) == set()


def test_a_forgotten_firing_told_again_is_not_counted_again(
    tell: Any, step: AlertStep, clock: FakeClock
) -> None:
    tell(firing("final"))
    clock.advance(31 * 86_400)
    step.tick(clock.now())

    assert tell(firing("final")) == []
    assert step._database.sql.execute("SELECT count FROM alerts").fetchall() == [(1,)]


def test_firings_are_forgotten_in_steps_one_a_tick(step: AlertStep, clock: FakeClock) -> None:
    for n in range(FORGOTTEN_AT_ONCE + 5):
        step.process(firing("final", 1, id=f"f{n}"))
    step.settle()
    clock.advance(31 * 86_400)

    step.tick(clock.now())
    assert len(kept(step)) == 5
    step.tick(clock.now())
    assert len(kept(step)) == 0


def test_between_two_lookings_for_old_firings_nothing_is_looked_for(
    tell: Any, step: AlertStep, clock: FakeClock
) -> None:
    tell(firing("final"))
    step._keep = timedelta(0)
    clock.advance(FORGET_S - 1)
    step.tick(clock.now())
    assert kept(step) == {"f1"}

    clock.advance(1)
    step.tick(clock.now())

    assert kept(step) == set()


@pytest.mark.parametrize("wrong", [{"count": "many"}, {"value": {"a": 1}}, {"first": 7}])
def test_a_correlation_with_another_type_of_value_is_a_dead_letter(
    step: AlertStep, wrong: dict[str, Any]
) -> None:
    said = {"state": "final", "type": "event_count", "count": 1} | wrong

    with pytest.raises(BadEvent, match="another type"):
        step.process(firing("final", correlation=said))
