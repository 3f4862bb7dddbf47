"""The alert stage: what it takes, what it gives the topic, and what a crash in between costs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from alerts.sinks.file import Config as FileConfig
from alerts.step import AlertStep
from samlog.bus.base import Message
from samlog.errors import BadEvent
from samlog.event import DETECTIONS
from samlog.metrics import Metrics
from samlog.testing import FakeClock

DETECTION: dict[str, Any] = {
    "id": "d1",
    "unit": "enheda",
    "event_id": "e1",
    "event_sha256": "ab" * 32,
    "index": "logs-system.auth-enheda",
    "timestamp": "2026-01-10T12:00:00.000Z",
    "detected": "2026-01-10T12:00:01.000Z",
    "rule": {"id": "r1", "title": "Rule", "level": "high", "author": "A", "tags": []},
    "matched": {},
    "context": {"user.name": "anna"},
}


def message(value: bytes) -> Message:
    return Message(DETECTIONS, 0, 1, b"enheda", value, {}, 0)


def detection(**given: Any) -> Message:
    return message(orjson.dumps(DETECTION | given))


@pytest.fixture
def new_step(tmp_path: Path) -> Iterator[Callable[..., AlertStep]]:
    made: list[AlertStep] = []

    def make(*sinks: Any) -> AlertStep:
        made.append(AlertStep(tmp_path, {}, sinks, FakeClock(), Metrics()))
        return made[-1]

    yield make
    for step in made:
        step.close()


def drained(step: AlertStep) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    while records := list(step.flush()):
        told += [orjson.loads(record.value) for record in records]
    return told


def test_a_detection_becomes_an_alert_on_the_topic(new_step: Callable[..., AlertStep]) -> None:
    step = new_step()
    step.process(detection())
    step.settle()

    [alert] = drained(step)

    assert alert["producer"]["unit"] == "enheda"
    assert alert["count"] == 1
    assert alert["evidence"][0]["event_id"] == "e1"
    assert step.figures() == {"opened": 1}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        orjson.dumps(DETECTION | {"unit": 7}),
        orjson.dumps(DETECTION | {"rule": {}}),
        orjson.dumps(DETECTION | {"timestamp": "yesterday"}),
    ],
)
def test_what_is_no_detection_is_a_bad_event(
    new_step: Callable[..., AlertStep], value: bytes
) -> None:
    with pytest.raises(BadEvent):
        new_step().process(message(value))


def test_what_was_handed_out_and_not_flushed_is_handed_out_again(
    new_step: Callable[..., AlertStep],
) -> None:
    step = new_step()
    step.process(detection())
    step.settle()
    first = [record.value for record in step.flush()]
    step.reset()

    again = [record.value for record in step.flush()]

    assert first == again
    assert list(step.flush()) == []


def test_a_successor_hands_out_what_its_predecessor_could_not(
    new_step: Callable[..., AlertStep],
) -> None:
    killed = new_step()
    killed.process(detection())
    killed.settle()

    [alert] = drained(new_step())

    assert alert["count"] == 1


def test_a_drained_stage_has_given_its_sinks_everything(
    new_step: Callable[..., AlertStep], tmp_path: Path
) -> None:
    target = tmp_path / "alerts.ndjson"
    step = new_step(FileConfig(path=target))
    for number in range(5):
        step.process(detection(id=f"d{number}", rule=DETECTION["rule"] | {"id": f"r{number}"}))
    step.settle()

    drained(step)

    assert len(target.read_bytes().splitlines()) == 5


def test_a_stage_tells_of_alerts_that_wait_for_a_sink_that_was_renamed(
    new_step: Callable[..., AlertStep], tmp_path: Path
) -> None:
    unwritable = tmp_path / "file"
    unwritable.write_text("")
    step = new_step(FileConfig(name="old", path=unwritable / "alerts.ndjson"))
    step.process(detection())
    step.settle()
    drained(step)
    step.close()

    with structlog.testing.capture_logs() as told:
        new_step(FileConfig(name="new", path=tmp_path / "alerts.ndjson"))

    [warning] = [one for one in told if one["event"] == "alerts_wait_for_no_sink"]
    assert (warning["sink"], warning["waiting"]) == ("old", 1)
    assert warning["next"] == "samlog alerts resend --from-sink 'old' --to NEW"
