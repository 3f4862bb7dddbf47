"""The stage ``alerts``: detections in, alerts out, to samlog.alerts and to the sinks.

A position is committed when its detections are in the alert store. From there on the alert store
remembers what is still to be told to whom: the topic like any other receiver.
"""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeGuard

import orjson

from alerts.correlation import FORGOTTEN_AT_ONCE
from alerts.database import Database
from alerts.dedup import dedup_key, entity
from alerts.delivery import Delivery
from alerts.envelope import Evidence, subject
from alerts.outbox import RESEND, TOPIC, Outbox
from alerts.sink import SinkConfig, open_sink
from alerts.store import AlertStore, Sighting
from samlog import log
from samlog.bus.base import Message, Record, TopicPartition
from samlog.clock import Clock
from samlog.config import UnitDefaults
from samlog.errors import BadEvent, BusError
from samlog.event import ALERTS
from samlog.metrics import Metrics
from samlog.step import Rejection

SINK_TIMEOUT_S = 30.0
FORGET_S = 600.0


class AlertStep:
    """Groups detections into alerts and hands out their revisions."""

    name = "alerts"

    def __init__(
        self,
        folder: Path,
        defaults: Mapping[str, UnitDefaults],
        sinks: Sequence[SinkConfig],
        clock: Clock,
        metrics: Metrics,
        keep: timedelta | None = None,
    ) -> None:
        """``keep``: so long alerts keep the firings that they are made of; None: for ever."""
        self._clock = clock
        self._metrics = metrics
        self._keep = keep
        self._forget_s = clock.monotonic_s()
        self._defaults = defaults
        self._database = Database(folder)
        self._store = AlertStore(self._database, defaults)
        self._outbox = Outbox(self._database)
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._pending: list[Sighting] = []
        self._handed = 0
        self._opened = 0
        self._deliveries = [
            Delivery(folder, config, open_sink(config), self._holder, clock, metrics)
            for config in sinks
        ]
        self._join([delivery.label for delivery in self._deliveries])
        for delivery in self._deliveries:
            delivery.start()

    def _join(self, sinks: Sequence[str]) -> None:
        """Makes the sinks known; tells of those that were renamed or taken out too early."""
        for label in (TOPIC, *sinks):
            self._outbox.join(label)
        for label, count in self._outbox.orphans(sinks).items():
            log.get("alerts").warning(
                "alerts_wait_for_no_sink", sink=label, waiting=count, next=RESEND.format(label)
            )

    def process(self, message: Message) -> Iterable[Record]:
        """Takes one detection (JSON); raises `BadEvent` where it is not one."""
        self._pending.append(self._sighting(message.value))
        return ()

    def _sighting(self, value: bytes) -> Sighting:
        try:
            detection = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadEvent("detection_not_json", str(error)) from error
        if not _is_detection(detection):
            raise BadEvent("detection_incomplete", f"needs {', '.join(sorted(NEEDED))}")
        unit, rule, context = detection["unit"], detection["rule"], detection["context"]
        try:
            moment = datetime.fromisoformat(detection["timestamp"])
        except ValueError as error:
            raise BadEvent("detection_time", str(error)) from error
        _, who = entity(rule, context)
        return Sighting(
            id=detection["id"],
            key=dedup_key(str(rule["id"]), unit, who, moment),
            unit=unit,
            timestamp=detection["timestamp"],
            detected=detection["detected"],
            rule=rule,
            subject=subject(context, self._defaults.get(unit, UnitDefaults())),
            evidence=Evidence(
                detection["index"],
                detection["event_id"],
                detection["event_sha256"],
                str(rule.get("log_class") or ""),
            ),
            context=context,
            correlation=_correlation(detection),
        )

    def settle(self) -> Iterable[Rejection]:
        """Counts the batch's detections, durably."""
        if self._pending:
            for unit, label in self._store.add(self._pending, self._clock.now()):
                self._opened += 1
                self._metrics.count("alerts_total", unit=unit, priority=label)
            self._pending.clear()
        return ()

    def tick(self, now: datetime) -> Iterable[Record]:
        """Makes revisions of what changed and returns those which the topic has not got.

        What the tick before returned was flushed by now (else `reset` came), so it is noted.
        """
        dead = [d.label for d in self._deliveries if not d.alive()]
        if dead:
            raise BusError(f"the thread of sink {dead[0]} ended by a bug; the stage starts again")
        if self._handed:
            self._outbox.sent(TOPIC, self._holder, self._handed)
            self._handed = 0
        if self._store.revise(now):
            for delivery in self._deliveries:
                delivery.nudge()
        self._forget(now)
        revisions = self._outbox.take(TOPIC, self._holder, now)
        if revisions:
            self._handed = revisions[-1].number
        return [
            Record(ALERTS, r.body, r.unit.encode(), {"samlog-v": b"1", "unit": r.unit.encode()})
            for r in revisions
        ]

    def _forget(self, now: datetime) -> None:
        """Takes a step at once while there is more to delete, else one every ten minutes."""
        if self._keep is None or self._clock.monotonic_s() < self._forget_s:
            return
        if self._store.forget(now - self._keep) < FORGOTTEN_AT_ONCE:
            self._forget_s = self._clock.monotonic_s() + FORGET_S

    def flush(self) -> Iterable[Record]:
        """Returns the last revisions, [] when there are none left; then waits for the sinks.

        A sink that reports a problem, or takes longer than 30 s, is not waited for: what it has
        not got goes out after the next start.
        """
        self.settle()
        while self._store.revise(self._clock.now(), everything=True):
            continue
        records = list(self.tick(self._clock.now()))
        if records:
            return records
        self._wait_for_sinks()
        return ()

    def _wait_for_sinks(self) -> None:
        asked = [(delivery, delivery.nudge()) for delivery in self._deliveries]
        for delivery, number in asked:
            delivery.wait(number, SINK_TIMEOUT_S)

    def held(self) -> Mapping[TopicPartition, int]:
        return {}

    def figures(self) -> Mapping[str, float]:
        return {"opened": self._opened}

    def reset(self) -> None:
        self._pending.clear()
        self._handed = 0

    def close(self) -> None:
        for delivery in self._deliveries:
            delivery.stop()
        self._database.close()


NEEDED = {
    "id": str,
    "unit": str,
    "event_id": str,
    "event_sha256": str,
    "index": str,
    "timestamp": str,
    "detected": str,
    "rule": dict,
    "context": dict,
}
SAID = {
    "state": str,
    "type": str,
    "count": int,
    "value": int | float | None,
    "first": str | None,
    "timespan_s": int | None,
}
"""What the envelope shows of a correlation: texts, which it cuts to their room, and numbers."""


def _correlation(detection: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns what a detection says of its correlation; raises `BadEvent` for half of it."""
    said = detection.get("correlation")
    if said is None:
        return None
    if not isinstance(said, dict) or not {"state", "type", "count"} <= said.keys():
        raise BadEvent("detection_incomplete", "correlation needs state, type, count")
    wrong = [name for name, kind in SAID.items() if not isinstance(said.get(name), kind)]
    if wrong:
        raise BadEvent("detection_incomplete", f"correlation has another type of {wrong[0]}")
    return said


def _is_detection(value: Any) -> TypeGuard[dict[str, Any]]:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), kind) for name, kind in NEEDED.items())
        and "id" in value["rule"]
    )
