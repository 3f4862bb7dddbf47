"""What the store keeps of each topic: events, alert revisions and dead letters as documents."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson

from samlog.bus.base import Message
from samlog.clock import iso_ms
from samlog.deadletter import ORIGINAL_PREFIX, unit_of
from samlog.errors import BadEvent
from samlog.event import ECS_VERSION, H_SOURCE, Event, sha256_hex
from samlog.store.base import PLATFORM_UNIT, Document

ALERTS_DATASET = "samlog.alerts"
REJECTED_DATASET = "samlog.rejected"
MAX_ORIGINAL = 32_768
"""Characters of a dead letter that are kept in the store; the bytes stay on samlog.dlq."""

MAX_MESSAGE = 8_191

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEVERITY = {"informational": 1, "low": 21, "medium": 47, "high": 73, "critical": 99}
"""A rule's level as ``event.severity``, in the numbers that Elastic's own alerts use."""


def event_document(message: Message) -> Document:
    """Returns the normalised event of ``message`` as a document of its unit's data stream.

    Raises `BadEvent` where it is no JSON object or does not say where it belongs.
    """
    event = _object(message)
    dataset = event.get("data_stream.dataset") or event.get("event.dataset")
    unit, id_ = event.get("data_stream.namespace"), event.get("event.id")
    if not (isinstance(dataset, str) and isinstance(unit, str) and isinstance(id_, str)):
        raise BadEvent(
            "event_incomplete", "needs data_stream.dataset, data_stream.namespace and event.id"
        )
    return Document(f"logs-{dataset}-{unit}", id_, event)


def alert_document(message: Message) -> Document:
    """Returns one revision of an alert (soc-alert/1); every revision is a document of its own.

    ``@timestamp`` is when the revision was sent, ``event.start`` and ``event.end`` when its first
    and last event happened, ``event.id`` the events that are its evidence.
    """
    envelope = _object(message)
    try:
        unit = envelope["producer"]["unit"]
        id_ = f"{envelope['id']}.{int(envelope.get('revision') or envelope['seq'])}"
        alert = _alert(envelope, unit)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise BadEvent("alert_incomplete", f"not soc-alert/1: {problem!r}") from problem
    return Document(f"logs-{ALERTS_DATASET}-{unit}", id_, alert)


def _alert(envelope: Mapping[str, Any], unit: str) -> Event:
    time, subject = envelope["time"], envelope["subject"]
    event = _head(ALERTS_DATASET, unit, "alert") | {
        "@timestamp": time["sent"],
        "event.category": ["intrusion_detection"],
        "event.type": ["info"],
        "event.created": time["detected"],
        "event.start": time.get("first_seen"),
        "event.end": time.get("last_seen"),
        "event.id": [item["event_id"] for item in envelope.get("evidence", [])],
        "message": envelope["summary"]["en"],
        "organization.id": subject["municipality"],
        "samlog.zone": subject.get("zone"),
        "samlog.environment": subject.get("environment"),
        "samlog.system": subject.get("system"),
        "samlog.alert.id": envelope["id"],
        "samlog.alert.seq": envelope["seq"],
        "samlog.alert.revision": envelope.get("revision"),
        "samlog.alert.type": envelope["type"],
        "samlog.alert.status": envelope["state"]["status"],
        "samlog.alert.priority": envelope["priority"]["label"],
        "samlog.alert.count": envelope.get("count"),
        "samlog.alert.dedup_key": envelope["dedup_key"],
        "samlog.alert.tlp": envelope["sharing"]["tlp"],
        "samlog.alert.envelope": dict(envelope),
    }
    event |= _rule(envelope.get("rule") or {})
    event |= _seen(envelope.get("observables", []))
    return {name: value for name, value in event.items() if value not in (None, "", [])}


def _rule(rule: Mapping[str, Any]) -> Event:
    techniques = [str(t) for t in rule.get("attack", [])]
    return {
        "event.severity": _SEVERITY.get(rule.get("level", "")),
        "rule.id": rule.get("id"),
        "rule.name": rule.get("title"),
        "rule.author": [rule["author"]] if rule.get("author") else [],
        "rule.version": rule.get("version"),
        "samlog.log_class": rule.get("log_class"),
        "samlog.alert.level": rule.get("level"),
        "threat.framework": "MITRE ATT&CK" if techniques else None,
        "threat.technique.id": sorted({t.partition(".")[0] for t in techniques}),
        "threat.technique.subtechnique.id": sorted({t for t in techniques if "." in t}),
    }


def _seen(observables: Sequence[Mapping[str, Any]]) -> Event:
    """Addresses and hosts of an alert where searches for them look."""
    addresses = [o["value"] for o in observables if o["type"] in ("ipv4-addr", "ipv6-addr")]
    hosts = [o["value"] for o in observables if o["type"] == "hostname"]
    users = [o["value"] for o in observables if o["type"] == "user-token"]
    return {
        "related.ip": sorted(set(addresses)),
        "related.hosts": sorted(set(hosts)),
        "related.user": sorted(set(users)),
        "host.name": hosts[0] if len(hosts) == 1 else None,
    }


def rejected_document(message: Message) -> Document:
    """Returns a dead letter as a document; never raises. What came is decoded leniently and cut.

    The id is made of the position and the bytes: a repeat is recognised.
    """
    words = {name: value.decode("utf-8", "replace") for name, value in message.headers.items()}
    document = minimal_rejected(message)
    text = message.value[: 4 * MAX_ORIGINAL].decode("utf-8", "replace")[:MAX_ORIGINAL]
    event = document.source | {
        "event.original": text,
        "event.hash": sha256_hex(message.value),
        "message": text[:MAX_MESSAGE],
        "error.message": words.get("detail"),
        "samlog.dead_letter.version": words.get("version"),
        "samlog.dead_letter.bytes": len(message.value),
        "samlog.source": words.get(ORIGINAL_PREFIX + H_SOURCE),
    }
    kept = {name: value for name, value in event.items() if value not in (None, "")}
    return document._replace(source=kept)


def minimal_rejected(message: Message, *, unit: str = "") -> Document:
    """Returns a dead letter without its content: only short words, which no store refuses."""
    words = {name: value.decode("utf-8", "replace") for name, value in message.headers.items()}
    unit = unit or unit_of(message)
    unit = PLATFORM_UNIT if unit == "-" else unit
    rejected = _time(words.get("rejected", ""), message.appended_ms)
    event = _head(REJECTED_DATASET, unit, "pipeline_error") | {
        "@timestamp": iso_ms(rejected),
        "event.type": ["error"],
        "error.code": _short(words.get("reason", "unknown")),
        "samlog.dead_letter.stage": _short(words.get("stage", "unknown")),
        "samlog.dead_letter.topic": _short(words.get("topic", "unknown")),
        "samlog.dead_letter.partition": _short(words.get("partition", "")),
        "samlog.dead_letter.offset": _short(words.get("offset", "")),
    }
    place = (words.get("topic"), words.get("partition"), words.get("offset"))
    material = "\x1f".join(str(part) for part in (*place, sha256_hex(message.value)))
    id_ = blake2b(material.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return Document(f"logs-{REJECTED_DATASET}-{unit}", id_, event)


def _head(dataset: str, unit: str, kind: str) -> Event:
    return {
        "ecs.version": ECS_VERSION,
        "event.kind": kind,
        "event.module": "samlog",
        "event.dataset": dataset,
        "data_stream.type": "logs",
        "data_stream.dataset": dataset,
        "data_stream.namespace": unit,
        "samlog.unit": unit,
    }


def _object(message: Message) -> dict[str, Any]:
    try:
        found = orjson.loads(message.value)
    except orjson.JSONDecodeError as problem:
        raise BadEvent("not_json", f"{message.topic} holds JSON objects: {problem}") from problem
    if not isinstance(found, dict):
        raise BadEvent("not_json", f"{message.topic} holds JSON objects, not {type(found)}")
    return found


def _time(text: str, appended_ms: int) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _EPOCH + timedelta(milliseconds=max(0, appended_ms))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _short(text: str) -> str:
    return text[:256]
