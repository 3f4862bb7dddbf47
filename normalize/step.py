"""The normalise stage: raw records of every unit in, events out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from normalize.audit.join import Group, Joiner
from normalize.audit.messages import RAW_BEGINNINGS, Label, combine, label_parsed, label_raw
from normalize.audit.single import DATASET as AUDIT
from normalize.frame import Normalizer
from samlog.bus.base import Message, Record, TopicPartition
from samlog.deadletter import unit_of
from samlog.errors import BadEvent
from samlog.event import (
    EVENTS,
    FORMAT_VERSION,
    H_POSITION,
    H_REPLACE,
    H_TOPIC,
    H_VERSION,
    REPLAY,
    Event,
    unit_of_raw,
)
from samlog.step import Rejection

UNPARSED = "unparsed_body"
_HEADERS = {H_VERSION: FORMAT_VERSION}
_REPLACING = _HEADERS | {H_REPLACE: b"1"}


class NormalizeStep:
    """Implements `samlog.step.Step`. Holds back only records of audit events that are not whole
    (`normalize.audit.join`); so a crash costs a repeat and no more.

    ``unparsed`` counts events tagged ``unparsed_body`` per (unit, dataset), ``events`` all events
    per unit; the supervisor turns them into metrics.
    """

    name = "normalize"

    def __init__(self, normalizer: Normalizer) -> None:
        self._normalizer = normalizer
        self._joiner = Joiner()
        self._rejections: list[Rejection] = []
        self.unparsed: Counter[tuple[str, str]] = Counter()
        self.events: Counter[str] = Counter()

    def process(self, message: Message) -> Iterable[Record]:
        """Returns one record for samlog.events per event; raises as `Normalizer.normalize`.

        Of a replayed record the ids are those of its first time, and the header ``replace`` goes on
        to the store. A record of an audit event gives what became whole with it, or nothing.
        """
        unit = _unit_of(message)
        if message.value.startswith(RAW_BEGINNINGS):
            label = label_raw(message, unit)
            if label is not None:
                held, outputs = self._hold(message, label)
                return outputs if held else [*outputs, *self._normalize(message, unit)]
        events = self._events(message, message.value, unit)
        # What anything else pays for joined audit events: 0.1 us of about 20.
        if events[0]["event.dataset"] == AUDIT and len(events) == 1:
            label = label_parsed(message, unit, events[0])
            if label is not None:
                held, outputs = self._hold(message, label)
                return outputs if held else [*outputs, *self._records(events, message, unit)]
        return self._records(events, message, unit)

    def _hold(self, message: Message, label: Label) -> tuple[bool, list[Record]]:
        held, groups = self._joiner.take(message, label.host, label.kind, label.epoch, label.stamp)
        return held, [record for group in groups for record in self._whole(group)]

    def _whole(self, group: Group) -> list[Record]:
        """Returns the event of a group; whatever goes wrong, its messages are accounted for."""
        first = group.messages[0]
        unit = unit_of(first)
        bad = BadEvent("internal_error", "its audit event could not be made")
        records: list[Record] | None = None
        try:
            events = self._events(first, combine(group.messages), unit)
            records = self._records(events, first, unit)
        except BadEvent as refused:
            bad = refused
        finally:
            if records is None:
                self._rejections += [
                    Rejection(message, bad.reason, bad.detail) for message in group.messages
                ]
        return records or []

    def _normalize(self, message: Message, unit: str) -> list[Record]:
        return self._records(self._events(message, message.value, unit), message, unit)

    def _events(self, message: Message, value: bytes, unit: str) -> list[Event]:
        return self._normalizer.normalize(
            value,
            message.headers,
            unit=unit,
            key=message.key,
            position=_first_position(message),
            appended_at=_moment(message.appended_ms),
        )

    def _records(self, events: list[Event], message: Message, unit: str) -> list[Record]:
        self.events[unit] += len(events)
        headers = _REPLACING if _replaces(message) else _HEADERS
        records: list[Record] = []
        for event in events:
            if "tags" in event and UNPARSED in event["tags"]:
                self.unparsed[unit, event["event.dataset"]] += 1
            records.append(Record(EVENTS, encode_event(event), event_key(unit, event), headers))
        return records

    def tick(self, now: datetime) -> Iterable[Record]:
        """Returns the audit events of hosts that have fallen silent."""
        return [record for group in self._joiner.tick(now) for record in self._whole(group)]

    def flush(self) -> Iterable[Record]:
        """Returns the audit events that are still open."""
        return [record for group in self._joiner.flush() for record in self._whole(group)]

    def settle(self) -> Iterable[Rejection]:
        """Returns the records of audit events that could not be made."""
        rejections, self._rejections = self._rejections, []
        return rejections

    def held(self) -> Mapping[TopicPartition, int]:
        """Returns where the oldest audit event begins that is not whole."""
        return self._joiner.held()

    def reset(self) -> None:
        """Forgets the audit records that are held: they are read again."""
        self._joiner.reset()
        self._rejections.clear()

    def figures(self) -> Mapping[str, float]:
        return {"events": self.events.total(), "unparsed": self.unparsed.total()}

    def close(self) -> None:
        """Has nothing to release."""


# A batch is appended within a few milliseconds: 0.05 us instead of 0.3.
@lru_cache(maxsize=64)
def _moment(appended_ms: int) -> datetime:
    return datetime.fromtimestamp(appended_ms / 1000, UTC)


def _unit_of(message: Message) -> str:
    unit = unit_of_raw(_first_position(message)[0])
    if unit is None:
        raise BadEvent("not_a_raw_record", "a replayed record does not say where it first was")
    return unit


def _replaces(message: Message) -> bool:
    return message.topic == REPLAY and H_REPLACE in message.headers


def _first_position(message: Message) -> tuple[str, int, int]:
    if message.topic == REPLAY:
        topic = message.headers.get(H_TOPIC, b"").decode("utf-8", "replace")
        partition, _, offset = message.headers.get(H_POSITION, b"").partition(b"/")
        if partition.isdigit() and offset.isdigit() and len(partition) + len(offset) < 30:
            return topic, int(partition), int(offset)
    return message.topic, message.partition, message.offset


def event_key(unit: str, event: Event) -> bytes:
    """Returns ``unit|host``: events of one host stay in order."""
    host = event.get("host.name") or event.get("host.hostname") or ""
    return f"{unit}|{host}".encode("utf-8", "replace")


def encode_event(event: Event) -> bytes:
    """Returns the flat event as JSON. A value that JSON cannot hold is replaced by its text."""
    try:
        return orjson.dumps(event)
    except TypeError:
        return orjson.dumps({name: _writable(value) for name, value in event.items()})


def _writable(value: object) -> object:
    try:
        orjson.dumps(value)
    except TypeError:
        # a nesting beyond orjson's 254 levels, or an integer beyond 64 bits
        return repr(value)[:1_000].encode("utf-8", "replace").decode()
    return value
