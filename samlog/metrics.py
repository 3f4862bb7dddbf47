"""All metrics in one table. Code can only name what is in it.

Labels come from bounded sets (stage, unit, reason, sink), never from log content. Each stage is a
process; the supervisor adds their figures up (prometheus-client's multi-process mode).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import prometheus_client as prometheus
from prometheus_client import multiprocess

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300)


class Metric(NamedTuple):
    """``kind`` is counter, gauge or histogram; ``labels`` are its names in order."""

    kind: str
    labels: tuple[str, ...]
    meaning: str


TABLE: Mapping[str, Metric] = {
    "events_received_total": Metric("counter", ("stage", "unit"), "messages that a stage took"),
    "events_sent_total": Metric("counter", ("stage", "topic"), "records that a stage wrote"),
    "events_split_total": Metric("counter", ("stage",), "outputs beyond the first of one input"),
    "events_joined_total": Metric("counter", ("stage",), "inputs that went into another's output"),
    "events_rejected_total": Metric(
        "counter", ("stage", "unit", "reason"), "messages that became dead letters"
    ),
    "events_dropped_total": Metric(
        "counter",
        ("stage", "unit", "reason"),
        "events left out on purpose, or lost: UDP, damaged files, a stop without a bus",
    ),
    "events_unparsed_total": Metric(
        "counter", ("unit", "dataset"), "events stored with the tag unparsed_body"
    ),
    "bytes_cut_total": Metric("counter", ("unit",), "bytes of events too long for us or the bus"),
    "stored_total": Metric("counter", ("outcome",), "documents: created, exists, refused"),
    "detections_total": Metric("counter", ("unit", "level"), "rules that fired on events"),
    "alerts_total": Metric("counter", ("unit", "priority"), "alerts opened"),
    "alerts_sent_total": Metric("counter", ("sink", "outcome"), "deliveries of alert revisions"),
    "rules_loaded": Metric("gauge", (), "Sigma rules in force"),
    "rules_refused": Metric("gauge", ("reason",), "Sigma rules that were not loaded"),
    "rule_errors_total": Metric("counter", (), "rules set aside because they raised"),
    "rule_reloads_total": Metric("counter", ("outcome",), "new rule sets: taken, refused"),
    "rules_set_aside": Metric("gauge", (), "rules not asked: they raised, or took too much time"),
    "matches_suppressed_total": Metric(
        "counter", ("unit", "by"), "matches not told: filter, disable, exception, flood"
    ),
    "events_matched_in_part_total": Metric(
        "counter", ("unit",), "events with values too long to be shown whole to rules"
    ),
    "matches_uncounted_total": Metric(
        "counter", ("rule", "why"), "matches without what a correlation counts: no_group, no_value"
    ),
    "matches_late_total": Metric("counter", (), "matches too late to count in a correlation"),
    "matches_evicted_total": Metric("counter", (), "matches that a correlation's limits forgot"),
    "errors_total": Metric("counter", ("stage", "kind"), "failed batches: unavailable, internal"),
    "gap_records_total": Metric("counter", ("stage",), "records deleted before they were read"),
    "redelivered_total": Metric("counter", ("stage",), "messages below a position seen before"),
    "restarts_total": Metric("counter", ("stage",), "processes started again after a crash"),
    "step_seconds": Metric("histogram", ("stage",), "time of one batch, poll to commit"),
    "end_to_end_seconds": Metric("histogram", ("stage",), "receipt of an event to this stage"),
    "consumer_lag_events": Metric("gauge", ("stage",), "records not yet committed"),
    "source_marked": Metric("gauge", ("unit", "source"), "1: over its limit of dead letters"),
}


class Metrics:
    """Counts what `TABLE` names. Cheap enough for a batch, not for a single event."""

    def __init__(self) -> None:
        self.registry = prometheus.CollectorRegistry()
        self._known: dict[str, Any] = {}
        self._lock = Lock()

    def _find(self, name: str) -> Any:
        found = self._known.get(name)
        return found if found is not None else self._make(name)

    def _make(self, name: str) -> Any:
        with self._lock:
            if name in self._known:
                return self._known[name]
            metric = TABLE[name]
            common: dict[str, Any] = {"namespace": "samlog", "registry": self.registry}
            if metric.kind == "counter":
                made: Any = prometheus.Counter(name, metric.meaning, metric.labels, **common)
            elif metric.kind == "gauge":
                made = prometheus.Gauge(
                    name, metric.meaning, metric.labels, multiprocess_mode="livesum", **common
                )
            else:
                made = prometheus.Histogram(
                    name, metric.meaning, metric.labels, buckets=SECONDS, **common
                )
            self._known[name] = made
        return self._known[name]

    def count(self, name: str, n: float = 1, **labels: str) -> None:
        """Adds ``n`` to a counter."""
        found = self._find(name)
        (found.labels(**labels) if labels else found).inc(n)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        found = self._find(name)
        (found.labels(**labels) if labels else found).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Adds one observation to a histogram."""
        found = self._find(name)
        (found.labels(**labels) if labels else found).observe(value)

    def value(self, name: str, **labels: str) -> float:
        """Returns one series' present value, 0.0 if it was never touched (tests, summaries)."""
        return self.registry.get_sample_value(f"samlog_{name}", labels) or 0.0


def share_between_processes(folder: Path) -> None:
    """Makes this process's children write their figures below ``folder`` (emptied first)."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def exposition(folder: Path) -> bytes:
    """Returns the text format, summed over all processes that wrote below ``folder``."""
    registry = prometheus.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return prometheus.generate_latest(registry)
