"""The shapes that cross the bus, and the ids that make a repeat harmless.

A raw record is bytes plus headers (`Context`). A normalised event is one flat ``dict`` with dotted
ECS names. A detection is a `Detection`. Nothing else is on the bus but alerts (`alerts/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b, sha256
from typing import Any, NotRequired, TypedDict

ECS_VERSION = "9.4.0"
FORMAT_VERSION = b"1"

Event = dict[str, Any]
"""A normalised event: flat, dotted ECS names, JSON values, ``@timestamp`` as ISO 8601 UTC in ms."""

# Headers of a raw record (architecture: wire contract). All optional, all UTF-8.
H_VERSION = "samlog-v"
H_SOURCE = "source"
H_ORIGIN = "origin"
H_COLLECTOR = "collector"
H_SEQ = "seq"
H_RECEIVED = "received"
H_PEER = "peer"
H_HOST = "host"
H_TZ = "tz"
H_ZONE = "zone"
H_ENVIRONMENT = "environment"
H_LOG_CLASS = "log_class"
H_ENCODING = "encoding"
H_TRACEPARENT = "traceparent"
H_UNIT = "unit"
H_FULL_LENGTH = "full-length"
"""Length in bytes of a line that was cut at ``max_event_bytes``; with it comes ``full-sha256``."""
H_FULL_SHA256 = "full-sha256"

H_REPLACE = "replace"
"""Of a replayed record or an event: it is written over what is stored under its id."""
H_TOPIC = "topic"
"""Of a replayed record or a dead letter: the topic where it first was."""
H_POSITION = "position"
"""Of a replayed record: ``partition/offset`` where it first was; its id stays."""

RAW_PREFIX = "samlog.raw."
EVENTS = "samlog.events"
DETECTIONS = "samlog.detections"
MATCHES = "samlog.matches"
ALERTS = "samlog.alerts"
CERT_IN = "samlog.cert.in"
REPLAY = "samlog.replay"
"""Raw records that samlog puts back. No unit writes here, so what their headers say of where they
were and what they replace is believed; on a unit's own topic it is not (ADR 13)."""
DLQ = "samlog.dlq"


def raw_topic(unit: str) -> str:
    """Returns the one topic that ``unit`` may write."""
    return RAW_PREFIX + unit


def unit_of_raw(topic: str) -> str | None:
    """Returns the unit that owns a raw topic; None for any other topic."""
    return topic[len(RAW_PREFIX) :] if topic.startswith(RAW_PREFIX) else None


@dataclass(slots=True)
class RawEvent:
    """One log event as the frame of normalise hands it to a parser.

    ``data`` are the bytes as they came; ``text`` the same decoded (UTF-8, else cp1252; then
    ``encoding`` says so). ``json`` is the parsed object where the text is one JSON object, else
    None. ``body``, ``program`` and ``pid`` are what is left when a syslog header was taken off;
    without one, ``body`` is ``text`` and ``program`` is "". ``fields`` holds ECS fields which the
    frame already knows (syslog header, agent envelope); a parser may override them.

    A parser may set ``settled``: so many fields at the beginning of its event need no look any more
    (their types are right, none is ``samlog.*``, none belongs in ``related.*``).
    """

    unit: str
    data: bytes
    text: str
    received_at: datetime
    json: Mapping[str, Any] | None = None
    body: str = ""
    program: str = ""
    pid: int | None = None
    timestamp: datetime | None = None
    source: str = ""
    tz: str = "UTC"
    host: str = ""
    encoding: str = "utf-8"
    tags: list[str] = field(default_factory=list)
    fields: Event = field(default_factory=dict)
    settled: int = 0


class Detection(TypedDict):
    """One rule fired on one event; JSON on ``samlog.detections``, key = unit."""

    id: str
    unit: str
    event_id: str
    event_sha256: str
    index: str
    timestamp: str
    detected: str
    rule: dict[str, Any]  # its ``rule_set`` is version and SHA-256 of all rules in force then
    matched: dict[str, Any]
    context: dict[str, Any]
    correlation: NotRequired[dict[str, Any]]
    """Of a correlation: state (provisional, final, withdrawn), type, group, count, evidence .."""


def sha256_hex(data: bytes) -> str:
    """Returns the SHA-256 of ``data`` in hex, as ``event.hash`` and evidence carry it."""
    return sha256(data).hexdigest()


def event_id(unit: str, origin: str, number: int, digest: str) -> str:
    """Returns ``event.id``: BLAKE2b-128 over (unit, origin, number within the record, SHA-256).

    The bytes' digest is in it because origins lie: a forged or repeated origin must not make a
    real event vanish. Reading the same thing twice gives the same id.
    """
    material = "\x1f".join((unit, origin, str(number), digest))
    return blake2b(material.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def detection_id(rule_id: str, event_id: str) -> str:
    """Returns the id of "this rule fired on this event"; a redelivery gives the same."""
    material = f"{rule_id}\x1f{event_id}"
    return blake2b(material.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
