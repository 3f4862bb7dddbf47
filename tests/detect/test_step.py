"""The stage: events in, one detection for each rule that fired."""

import gc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from detect import step as module
from detect.detection import MAX_MATCHED_CHARS, MAX_MATCHED_FIELDS, matched
from detect.engine import Engine
from detect.step import WRITE_S, DetectStep
from samlog.bus.base import Message
from samlog.errors import BadEvent
from samlog.event import EVENTS, detection_id
from samlog.metrics import Metrics
from samlog.testing import FakeClock

NOW = datetime(2026, 1, 10, 13, 37, 2, tzinfo=UTC)
OWN = "33333333-3333-4333-8333-333333333333"

EVENT = {
    "@timestamp": "2026-01-10T13:37:01.000Z",
    "event.id": "e1",
    "event.hash": "ab" * 32,
    "event.dataset": "system.auth",
    "data_stream.dataset": "system.auth",
    "samlog.unit": "enheda",
    "samlog.zone": "sikker",
    "organization.id": "kommune-x",
    "host.name": "web1",
    "source.ip": "203.0.113.7",
    "user.name": "admin",
    "process.name": "sshd",
    "message": "Failed password for invalid user admin",
}


def message(value: bytes) -> Message:
    return Message(EVENTS, 0, 7, b"k", value, {}, 0)


@pytest.fixture
def step(load: Callable[..., Engine], rule: Any) -> DetectStep:
    engine = load(
        rule(
            {"selection": ["failed password"]},
            logsource={"product": "linux", "service": "sshd"},
            tags=["attack.t1110.001", "samlog.lc-01"],
            samlog={"entity": "process.name"},
        ),
        mode="ecs",
    )
    return DetectStep(engine, FakeClock(NOW))


def detections(step: DetectStep, event: dict[str, Any]) -> list[dict[str, Any]]:
    return [orjson.loads(r.value) for r in step.process(message(orjson.dumps(event)))]


def test_a_detection_holds_what_an_alert_needs(step: DetectStep) -> None:
    record = next(iter(step.process(message(orjson.dumps(EVENT)))))
    found = orjson.loads(record.value)

    assert record.topic == "samlog.detections"
    assert record.key == b"enheda"
    assert found["id"] == detection_id(found["rule"]["id"], "e1")
    assert found["unit"] == "enheda"
    assert found["event_id"] == "e1"
    assert found["event_sha256"] == "ab" * 32
    assert found["index"] == "logs-system.auth-enheda"
    assert found["timestamp"] == "2026-01-10T13:37:01.000Z"
    assert found["detected"] == "2026-01-10T13:37:02.000Z"
    assert found["matched"] == {"keywords": ["failed password"]}
    assert found["rule"]["author"] == "Kari"
    assert found["rule"]["attack"] == ["T1110.001"]
    assert found["rule"]["log_class"] == "LC-01"
    assert found["rule"]["entity"] == "process.name"
    assert found["context"] == {
        "organization.id": "kommune-x",
        "host.name": "web1",
        "source.ip": "203.0.113.7",
        "user.name": "admin",
        "event.dataset": "system.auth",
        "samlog.zone": "sikker",
        "process.name": "sshd",
    }


def test_the_same_event_gives_the_same_detection_id(step: DetectStep) -> None:
    assert detections(step, EVENT)[0]["id"] == detections(step, EVENT)[0]["id"]


def test_an_event_that_no_rule_fires_on_gives_nothing(step: DetectStep) -> None:
    assert detections(step, {**EVENT, "message": "Accepted password"}) == []


def test_a_keyword_is_found_where_the_line_is_not_ascii(step: DetectStep) -> None:
    assert detections(step, {**EVENT, "message": "Failed password for blåbær"})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "event_not_json"),
        (b"{", "event_not_json"),
        (b"[1]", "event_not_json"),
        (b"\xff", "event_not_json"),
        (b"{}", "not_an_event"),
        (b'{"event.id":1,"samlog.unit":"a","@timestamp":"x"}', "not_an_event"),
    ],
)
def test_what_is_no_event_is_a_dead_letter(step: DetectStep, value: bytes, reason: str) -> None:
    with pytest.raises(BadEvent) as raised:
        list(step.process(message(value)))

    assert raised.value.reason == reason


def test_matched_fields_are_cut_in_length_and_number() -> None:
    found = matched({f"f{i}": "x" * 1_000 for i in range(50)} | {"f0": ["y" * 1_000] * 50})

    assert len(found) == MAX_MATCHED_FIELDS
    assert len(found["f1"]) == MAX_MATCHED_CHARS
    assert len(found["f0"]) == 10
    assert len(found["f0"][0]) == MAX_MATCHED_CHARS


def test_the_step_holds_nothing_back(step: DetectStep) -> None:
    detections(step, EVENT)

    assert list(step.tick(NOW)) == list(step.flush()) == list(step.settle()) == []
    assert step.held() == {}
    step.reset()
    step.close()


def test_figures_count_what_was_done(step: DetectStep) -> None:
    detections(step, EVENT)

    assert step.figures() == {"events": 1, "candidates": 1, "matches": 1, "rules_set_aside": 0}


def test_matches_that_a_correlation_cannot_count_are_counted(
    load: Callable[..., Engine], rule: Any
) -> None:
    counted = rule({"selection": {"A": "x"}}, name="counted")
    condition = {"gte": 5, "field": "bytes"}
    section = {"type": "value_sum", "rules": ["counted"], "group-by": ["U"], "timespan": "1m"}
    correlation = {"title": "many", "id": OWN} | {"correlation": section | {"condition": condition}}
    metrics, clock = Metrics(), FakeClock(NOW)
    made = DetectStep(load(counted, correlation, mode="raw"), clock, metrics=metrics)

    detections(made, {**EVENT, "A": "x"})
    detections(made, {**EVENT, "A": "x", "U": "kari", "bytes": "many"})
    clock.advance(WRITE_S)
    list(made.tick(clock.now()))

    for why in ("no_group", "no_value"):
        assert metrics.value("matches_uncounted_total", rule=OWN, why=why) == 1


def test_many_rules_are_taken_from_the_search_for_cycles(
    load: Callable[..., Engine], rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(rule({"selection": {"CommandLine": "x"}}), mode="raw")
    gc.unfreeze()
    try:
        DetectStep(engine, FakeClock())
        assert gc.get_freeze_count() == 0
        monkeypatch.setattr(module, "MANY_RULES", 1)
        DetectStep(engine, FakeClock())
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
