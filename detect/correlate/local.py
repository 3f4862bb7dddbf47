"""Correlations over files, without a bus: everything is read, then what is final is told."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from detect.correlate.correlator import FINAL, Limits
from detect.correlate.matches import Feeder
from detect.correlate.step import CorrelateStep
from detect.engine import Engine
from detect.engine import Match as RuleMatch
from detect.overlay import Overlays
from detect.reload import RuleSet
from detect.text import members, moment
from samlog.bus.base import Message, Record
from samlog.clock import Clock, iso_ms
from samlog.event import MATCHES, Event

TIMES = ("@timestamp", "TimeCreated", "SystemTime", "UtcTime", "EventTime", "timestamp", "ts")
"""Where the time of a raw event is looked for."""
_FOR_EVER_MS = 1 << 60


class Local:
    """Feeds matches to the correlate stage's own step, and collects what fired."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        correlations = engine.built.correlations
        self.feeder = Feeder(correlations, engine)
        limits = Limits(lateness_ms=_FOR_EVER_MS)
        rules = RuleSet(engine, Overlays())
        self._step = CorrelateStep(rules, clock, limits=limits, finish=True, tell_all=True)
        self._offset = 0
        self._fired: dict[str, dict[str, Any]] = {}
        self.without_time = 0

    def take(self, matches: Sequence[RuleMatch], event: Event, number: int) -> None:
        """Takes the matches of one event; ``number`` names an event that has no id."""
        if not self.feeder or not matches:
            return
        stamp = next((found for name in TIMES if (found := _time(event.get(name)))), None)
        if stamp is None:
            self.without_time += 1
            return
        own = {"event.id": str(number), "samlog.unit": "-", **event, "@timestamp": stamp}
        self._feed(self.feeder.records(matches, own, "-"))

    def _feed(self, records: Iterable[Record]) -> None:
        waiting = list(records)
        while waiting:
            record = waiting.pop(0)
            if record.topic == MATCHES:
                message = Message(MATCHES, 0, self._offset, record.key, record.value, {}, 0)
                self._offset += 1
                waiting += self._step.process(message)
            else:
                self._note(orjson.loads(record.value))

    def _note(self, detection: dict[str, Any]) -> None:
        if detection["correlation"]["state"] == FINAL:
            self._fired[detection["id"]] = detection
        else:
            self._fired.pop(detection["id"], None)

    def end(self) -> list[dict[str, Any]]:
        """Returns what is to be told of what fired, as detections in the order of time."""
        return [d for d in self.told() if d["rule"]["id"] not in self.feeder.silent]

    def told(self) -> list[dict[str, Any]]:
        """Returns all that fired, also what only other correlations ask for."""
        while records := list(self._step.flush()):
            self._feed(records)
        return sorted(self._fired.values(), key=lambda d: (d["timestamp"], d["rule"]["id"]))

    @property
    def evicted(self) -> int:
        """Matches that did not fit into the limits: then something may not have fired."""
        return int(self._step.figures()["evicted"])


def _time(value: Any) -> str | None:
    text = next(iter(members(value)), None)
    found = moment(text) if text else None
    return iso_ms(found) if found else None
