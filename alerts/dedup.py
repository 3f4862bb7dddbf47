"""Which detections are one alert (R-78): same rule, unit and entity within the same hour."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

BUCKET_S = 3600
ENTITY_FIELDS = ("user.name", "source.ip", "host.name")


def first(value: Any) -> str:
    """Returns a value as text; of a list its first member; "" where there is nothing."""
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value is None else str(value)


def entity(rule: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[str, str]:
    """Returns (field, value) of whom an alert is about.

    The field that the rule names (``samlog.entity`` in the rule), else the first present of
    user.name, source.ip, host.name, else ("", "").
    """
    named = str(rule.get("entity") or "")
    for name in (named, *ENTITY_FIELDS) if named else ENTITY_FIELDS:
        value = first(context.get(name))
        if value:
            return name, value
    return "", ""


def dedup_key(rule_id: str, unit: str, entity_value: str, event_time: datetime) -> str:
    """Returns ``sha256:…`` over (rule, unit, entity, hour of the event's time).

    A pure function of the detection: order of arrival and number of processes do not matter.
    """
    bucket = int(event_time.timestamp() // BUCKET_S)
    material = "\x1f".join((rule_id, unit, entity_value.lower(), str(bucket)))
    return "sha256:" + sha256(material.encode("utf-8", "surrogatepass")).hexdigest()


def uuid7(now: datetime) -> str:
    """Returns a UUIDv7 (RFC 9562 section 5.7): sorts by its millisecond of creation."""
    milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
    number = (milliseconds << 80) | (0x7 << 76) | (secrets.randbits(12) << 64)
    return str(UUID(int=number | (0b10 << 62) | secrets.randbits(62)))
