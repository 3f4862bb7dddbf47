"""The detect stage: every normalised event against every rule that is meant for it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from detect.engine import Engine, Match
from detect.rule import Rule
from detect.text import json_text
from samlog.bus.base import Message, Record, TopicPartition
from samlog.clock import Clock, iso_ms
from samlog.errors import BadEvent
from samlog.event import DETECTIONS, FORMAT_VERSION, H_UNIT, H_VERSION, Detection, Event
from samlog.event import detection_id as id_of_detection
from samlog.step import Rejection

MAX_MATCHED_FIELDS = 20
MAX_MATCHED_CHARS = 256
MAX_CONTEXT_MEMBERS = 10

CONTEXT = (
    "organization.id",
    "host.name",
    "host.ip",
    "user.name",
    "user.domain",
    "source.ip",
    "source.port",
    "destination.ip",
    "destination.port",
    "process.executable",
    "event.dataset",
    "event.code",
    "event.action",
    "event.outcome",
    "samlog.zone",
    "samlog.environment",
    "samlog.system",
    "samlog.layer",
    "samlog.log_class",
    "samlog.collector",
)
"""Fields of the event that an alert is told, where the event has them."""


class DetectStep:
    """Reads ``samlog.events``, writes one record to ``samlog.detections`` for each rule that fired.

    Holds nothing back. An event without ``event.id`` or ``samlog.unit`` is a dead letter
    (``not_an_event``); one that is no JSON object too (``event_not_json``).
    """

    name = "detect"

    def __init__(self, engine: Engine, clock: Clock) -> None:
        engine.prepare()
        self._engine = engine
        self._clock = clock
        self._rules: dict[str, dict[str, Any]] = {}

    def process(self, message: Message) -> Iterable[Record]:
        """Returns the detections on one event; [] for most."""
        event = read_event(message.value)
        matches = self._engine.match(event, line=message.value)
        if not matches:
            return ()
        detected = iso_ms(self._clock.now())
        return [self._record(match, event, detected) for match in matches]

    def _record(self, match: Match, event: Event, detected: str) -> Record:
        rule = self._rules.get(match.rule.id)
        if rule is None:
            rule = self._rules[match.rule.id] = rule_facts(match.rule)
        found = detection(match, rule, event, detected)
        unit = found["unit"].encode()
        headers = {H_VERSION: FORMAT_VERSION, H_UNIT: unit}
        return Record(DETECTIONS, orjson.dumps(found, default=repr), unit, headers)

    def tick(self, now: datetime) -> Iterable[Record]:
        return ()

    def flush(self) -> Iterable[Record]:
        return ()

    def settle(self) -> Iterable[Rejection]:
        return ()

    def held(self) -> Mapping[TopicPartition, int]:
        return {}

    def figures(self) -> Mapping[str, float]:
        """Returns counts since the start: events, candidates, matches, rules set aside."""
        stats = self._engine.stats
        return {
            "events": stats.events,
            "candidates": stats.candidates,
            "matches": stats.matches,
            "rules_set_aside": len(stats.faults),
        }

    def reset(self) -> None:
        """There is nothing to forget."""

    def close(self) -> None:
        """There is nothing to release."""


def read_event(value: bytes) -> Event:
    """Returns the event in a record of ``samlog.events``. Raises `BadEvent`."""
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise BadEvent("event_not_json", str(error)) from error
    if not isinstance(event, dict):
        raise BadEvent("event_not_json", f"a {type(event).__name__}, not an object")
    for key in ("event.id", "samlog.unit", "@timestamp"):
        if not isinstance(event.get(key), str):
            raise BadEvent("not_an_event", f"has no {key}")
    return event


def detection(match: Match, rule: dict[str, Any], event: Event, detected: str) -> Detection:
    """Returns what is told of one match; the same event and rule give the same id."""
    unit = event["samlog.unit"]
    context = {key: _short(event[key]) for key in CONTEXT if event.get(key) is not None}
    entity = match.rule.entity
    if entity and event.get(entity) is not None:
        context[entity] = _short(event[entity])
    dataset = event.get("data_stream.dataset") or event.get("event.dataset") or "samlog.unknown"
    return Detection(
        id=id_of_detection(match.rule.id, event["event.id"]),
        unit=unit,
        event_id=event["event.id"],
        event_sha256=str(event.get("event.hash", "")),
        index=f"logs-{dataset}-{unit}",
        timestamp=event["@timestamp"],
        detected=detected,
        rule=rule,
        matched=matched(match.fields),
        context=context,
    )


def rule_facts(rule: Rule) -> dict[str, Any]:
    """Returns what a detection says of its rule; the author always (DRL 1.1)."""
    return {
        "id": rule.id,
        "title": rule.title,
        "level": rule.level,
        "status": rule.status,
        "author": rule.author,
        "tags": list(rule.tags),
        "attack": list(rule.attack),
        "falsepositives": list(rule.falsepositives[:10]),
        "log_class": rule.log_class,
        "entity": rule.entity,
        "path": rule.path,
        "sha256": rule.sha256,
    }


def matched(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns at most 20 fields with their values, each cut at 256 characters."""
    first = list(fields.items())[:MAX_MATCHED_FIELDS]
    return {key[:MAX_MATCHED_CHARS]: _short(value) for key, value in first}


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_MATCHED_CHARS]
    if isinstance(value, list):
        return [_short(part) for part in value[:MAX_CONTEXT_MEMBERS]]
    if isinstance(value, dict):
        return json_text(value)[:MAX_MATCHED_CHARS]
    return value
