"""What is told of a match: a detection on ``samlog.detections``, or a line in the ledger."""

from collections.abc import Mapping
from itertools import islice
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from detect.counters import Suppressed
from detect.engine import Match
from detect.reload import RuleSet
from detect.rule import Rule
from detect.text import json_text
from samlog.bus.base import Record
from samlog.event import DETECTIONS, FORMAT_VERSION, H_UNIT, H_VERSION, Detection, Event
from samlog.event import detection_id as id_of_detection
from samlog.store.base import PLATFORM_UNIT

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


RULE_SET_ASIDE = str(uuid5(NAMESPACE_URL, "samlog:rule-set-aside"))
"""Id of the rule under which a rule that is not asked any more is told."""


def record_of(found: Detection) -> Record:
    """Returns a detection as a record of ``samlog.detections``, keyed by unit."""
    unit = found["unit"].encode()
    headers = {H_VERSION: FORMAT_VERSION, H_UNIT: unit}
    return Record(DETECTIONS, orjson.dumps(found, default=repr), unit, headers)


def suppressed(
    rule: Rule, facts: tuple[str, str, str, str], event: Event, detected: str
) -> Suppressed:
    """Returns what is listed of a match that is not told; ``facts``: by, entry, owner, reason."""
    return Suppressed(
        id_of_detection(rule.id, event["event.id"]),
        event["samlog.unit"],
        rule.id,
        rule.title,
        *facts,
        event["event.id"],
        stream_of(event),
        event["@timestamp"],
        detected,
    )


def set_aside(rule: Rule, why: str, rules: RuleSet, detected: str) -> Detection:
    """Returns the detection that tells the platform's operators of a rule that is asked no more.

    Its id is a function of rule and rule set: many processes tell it once.
    """
    facts = {
        "id": RULE_SET_ASIDE,
        "title": f"Rule not asked any more: {rule.title}"[:256],
        "level": "high",
        "status": "stable",
        "author": "samlog",
        "tags": [],
        "attack": [],
        "falsepositives": [],
        "log_class": "",
        "entity": "samlog.rule",
        "path": rule.path,
        "sha256": rule.sha256,
        "rule_set": rules.label,
    }
    event_id = id_of_detection(rule.id, rules.sha256)
    return Detection(
        id=id_of_detection(RULE_SET_ASIDE, event_id),
        unit=PLATFORM_UNIT,
        event_id=event_id,
        event_sha256="",
        index=f"logs-samlog.rules-{PLATFORM_UNIT}",
        timestamp=detected,
        detected=detected,
        rule=facts,
        matched={"samlog.rule": rule.id, "samlog.why": why},
        context={"samlog.rule": rule.id},
    )


def detection(match: Match, rule: dict[str, Any], event: Event, detected: str) -> Detection:
    """Returns what is told of one match; the same event and rule give the same id."""
    unit = event["samlog.unit"]
    context = context_of(event)
    entity = match.rule.entity
    if entity and event.get(entity) is not None:
        context[entity] = _short(event[entity])
    return Detection(
        id=id_of_detection(match.rule.id, event["event.id"]),
        unit=unit,
        event_id=event["event.id"],
        event_sha256=str(event.get("event.hash", "")),
        index=stream_of(event),
        timestamp=event["@timestamp"],
        detected=detected,
        rule=rule,
        matched=matched(match.fields),
        context=context,
    )


def context_of(event: Event) -> dict[str, Any]:
    """Returns what an alert is told of an event whatever the rule."""
    return {key: _short(event[key]) for key in CONTEXT if event.get(key) is not None}


def stream_of(event: Event) -> str:
    """Returns the data stream in which an event is stored."""
    dataset = event.get("data_stream.dataset") or event.get("event.dataset") or "samlog.unknown"
    return f"logs-{dataset}-{event['samlog.unit']}"


def rule_facts(rule: Rule, *, rule_set: str = "", level: str = "") -> dict[str, Any]:
    """Returns what a detection says of its rule; the author always (DRL 1.1).

    ``level`` is what the unit's overlay made of it, "" for the rule's own; ``rule_set`` names all
    rules in force.
    """
    return {
        "id": rule.id,
        "title": rule.title,
        "level": level or rule.level,
        "status": rule.status,
        "author": rule.author,
        "tags": list(rule.tags),
        "attack": list(rule.attack),
        "falsepositives": list(rule.falsepositives[:10]),
        "log_class": rule.log_class,
        "entity": rule.entity,
        "path": rule.path,
        "sha256": rule.sha256,
        "rule_set": rule_set,
    }


def matched(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns at most 20 fields with their values, each cut at 256 characters."""
    first = islice(fields.items(), MAX_MATCHED_FIELDS)
    return {key[:MAX_MATCHED_CHARS]: _short(value) for key, value in first}


def _short(value: Any) -> Any:
    if value.__class__ is str:
        return value[:MAX_MATCHED_CHARS]
    if isinstance(value, list):
        return [_short(part) for part in value[:MAX_CONTEXT_MEMBERS]]
    if isinstance(value, dict):
        return json_text(value)[:MAX_MATCHED_CHARS]
    return value
