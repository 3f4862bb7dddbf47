"""The normalise stage: raw records of every unit in, events out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from normalize.frame import Normalizer
from samlog.bus.base import Message, Record, TopicPartition
from samlog.deadletter import unit_of
from samlog.event import EVENTS, FORMAT_VERSION, H_POSITION, H_REPLACE, H_VERSION, Event
from samlog.step import Rejection

UNPARSED = "unparsed_body"
_HEADERS = {H_VERSION: FORMAT_VERSION}
_REPLACING = _HEADERS | {H_REPLACE: b"1"}


class NormalizeStep:
    """Implements `samlog.step.Step`. Holds nothing back, so a crash costs a repeat and no more.

    ``unparsed`` counts events tagged ``unparsed_body`` per (unit, dataset), ``events`` all events
    per unit; the supervisor turns them into metrics.
    """

    name = "normalize"

    def __init__(self, normalizer: Normalizer) -> None:
        self._normalizer = normalizer
        self.unparsed: Counter[tuple[str, str]] = Counter()
        self.events: Counter[str] = Counter()

    def process(self, message: Message) -> Iterable[Record]:
        """Returns one record for samlog.events per event; raises as `Normalizer.normalize`.

        Of a replayed record the ids are those of its first time, and the header ``replace`` goes on
        to the store.
        """
        unit = unit_of(message)
        events = self._normalizer.normalize(
            message.value,
            message.headers,
            unit=unit,
            key=message.key,
            position=_first_position(message),
            appended_at=_moment(message.appended_ms),
        )
        self.events[unit] += len(events)
        for event in events:
            if UNPARSED in event.get("tags", ()):
                self.unparsed[unit, event["event.dataset"]] += 1
        headers = _REPLACING if H_REPLACE in message.headers else _HEADERS
        return [
            Record(EVENTS, encode_event(event), event_key(unit, event), headers) for event in events
        ]

    def tick(self, now: datetime) -> Iterable[Record]:
        return ()

    def flush(self) -> Iterable[Record]:
        return ()

    def settle(self) -> Iterable[Rejection]:
        return ()

    def held(self) -> Mapping[TopicPartition, int]:
        return {}

    def reset(self) -> None:
        """Has nothing to forget."""

    def figures(self) -> Mapping[str, float]:
        return {"events": self.events.total(), "unparsed": self.unparsed.total()}

    def close(self) -> None:
        """Has nothing to release."""


# A batch is appended within a few milliseconds: 0.05 us instead of 0.3.
@lru_cache(maxsize=64)
def _moment(appended_ms: int) -> datetime:
    return datetime.fromtimestamp(appended_ms / 1000, UTC)


def _first_position(message: Message) -> tuple[str, int, int]:
    if H_POSITION not in message.headers:
        return message.topic, message.partition, message.offset
    partition, _, offset = message.headers.get(H_POSITION, b"").partition(b"/")
    if partition.isdigit() and offset.isdigit() and len(partition) + len(offset) < 30:
        return message.topic, int(partition), int(offset)
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
