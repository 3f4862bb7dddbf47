"""The collect stage: reads all sources fairly and puts their events on ``samlog.raw.<unit>``.

One round: read → send → flush → save positions and sequence numbers → acknowledge. While the bus is
not there, nothing more is read: what was read is kept and sent again, with the same numbers, until
it is accepted. So a crash at any place repeats events and loses none that a source can repeat.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import structlog

from ingest.checkpoint import Checkpoints
from ingest.cut import Full
from ingest.figures import Counts, Figures
from ingest.source import Captured, Count, Source, constant_headers, count_nothing
from samlog.bus.base import Producer, Record
from samlog.clock import Clock
from samlog.errors import BadEvent, Unavailable
from samlog.event import H_SEQ, raw_topic, sha256_hex

log = structlog.get_logger(__name__)

BATCH_RECORDS = 4_000
BATCH_BYTES = 8 << 20
IDLE_S = 0.2
FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
_SLICE_S = 0.25
_SMALLEST_CUT = 1024

Batch = list[tuple[int, Sequence[Captured]]]
"""Per source, by its index, what it gave."""


class Collector:
    """Drives the sources of one process. Single-threaded.

    ``open_producer`` is called until the bus is there. ``wake`` is the event of the sources'
    context. Sequence numbers go up by one per collector and stream, also over restarts.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        open_producer: Callable[[], Producer],
        checkpoints: Checkpoints,
        clock: Clock,
        *,
        collector: str,
        wake: threading.Event | None = None,
        count: Count = count_nothing,
        drain_timeout_s: float = 30.0,
        jitter: Callable[[], float] = random.random,
        idle_s: float = IDLE_S,
    ) -> None:
        self._sources = list(sources)
        self._open_producer = open_producer
        self._checkpoints = checkpoints
        self._clock = clock
        self._wake = wake or threading.Event()
        self._figures = Figures(count)
        self._drain_timeout_s = drain_timeout_s
        self._jitter = jitter
        self._idle_s = idle_s
        self._producer: Producer | None = None
        self._seqs = checkpoints.seqs()
        self._names = [source.config.collector or collector for source in self._sources]
        self._constants = [
            constant_headers(source.config, name)
            for source, name in zip(self._sources, self._names, strict=True)
        ]
        self._deadline: float | None = None
        self._on_turn: Callable[[], None] | None = None
        self.problem = ""
        """Why the bus does not take events now; "" when it does."""

    @property
    def counts(self) -> Counts:
        return self._figures.counts

    def run(
        self,
        stop: threading.Event,
        *,
        until_idle: bool = False,
        on_turn: Callable[[], None] | None = None,
    ) -> Counts:
        """Collects until ``stop`` is set and what was accepted is delivered, or the input ended.

        It ends by itself when every source is finished; with ``until_idle`` also when only those
        are left that never are: they are drained. ``on_turn`` is called every round, also while
        the bus is waited for (liveness).

        Raises `Unavailable` when, after ``stop``, the bus did not take the rest within the drain
        time-out. Files are read again from there, HTTP senders got no answer and send again; what
        else was accepted is lost and counted, by unit. The sources are closed then.
        """
        draining = False
        self._on_turn = on_turn
        while not all(source.finished for source in self._sources):
            if on_turn:
                on_turn()
            if not draining and (stop.is_set() or (until_idle and self._only_endless_left())):
                draining = True
                self._drain(stop)
            batch = self._read()
            if batch:
                self._deliver(batch, stop)
            else:
                self._wake.wait(self._idle_s)
                self._wake.clear()
            if draining and not batch and self._overdue():
                self._give_up([])
                break
        return self.counts

    def close(self) -> None:
        """Closes sources and producer; safe to call twice."""
        for source in self._sources:
            source.close()
        if self._producer:
            self._producer.close()
            self._producer = None

    def _only_endless_left(self) -> bool:
        return all(source.finished for source in self._sources if source.finite)

    def _drain(self, stop: threading.Event) -> None:
        log.info("draining", sources=len(self._sources))
        if stop.is_set():
            self._deadline = self._clock.monotonic_s() + self._drain_timeout_s
        for source in self._sources:
            source.drain()

    def _overdue(self) -> bool:
        return self._deadline is not None and self._clock.monotonic_s() >= self._deadline

    def _read(self) -> Batch:
        """Gives every source its share of one batch."""
        share = max(1, BATCH_RECORDS // len(self._sources))
        share_bytes = BATCH_BYTES // len(self._sources)
        batch = []
        for index, source in enumerate(self._sources):
            if not source.finished and (captured := source.read(share, share_bytes)):
                batch.append((index, captured))
        return batch

    def _deliver(self, batch: Batch, stop: threading.Event) -> None:
        seqs: dict[tuple[str, str], int] = {}
        records = [
            record for index, captured in batch for record in self._records(index, captured, seqs)
        ]
        delay_s = FIRST_DELAY_S
        while True:
            try:
                shortened = self._send(records)
                self._acknowledge(batch, seqs)
                self.problem = ""
                break
            except Unavailable as error:
                self.problem = str(error)
                self._figures.retried()
                log.warning("waiting_for_the_bus", error=str(error), events=len(records))
                if self._pause(max(delay_s, error.retry_after_s), stop):
                    self._give_up(batch)
                    raise
                delay_s = min(delay_s * 2, MAX_DELAY_S)
        self._seqs |= seqs
        units = [(self._sources[index].config.unit, captured) for index, captured in batch]
        self._figures.delivered(units, shortened)

    def _give_up(self, batch: Batch) -> None:
        """Closes the sources and counts what they accepted that can't be had again."""
        lost = Counter[str]()
        for index, captured in batch:
            if not self._sources[index].repeats:
                lost[self._sources[index].config.unit] += len(captured)
        for source in self._sources:
            source.close()
            while not source.repeats and (rest := source.read(BATCH_RECORDS, BATCH_BYTES)):
                lost[source.config.unit] += len(rest)
        self._figures.lost(lost)
        log.error("gave_up_draining", events_not_delivered=lost.total())

    def _send(self, records: Iterable[Record]) -> Counter[str]:
        """Returns, by topic, how many bytes of too long events the bus did not take."""
        shortened = Counter[str]()
        if self._producer is None:
            self._producer = self._open_producer()
        send = self._producer.send
        for record in records:
            try:
                send(record)
            except BadEvent:
                shortened[record.topic] += self._send_cut(record)
        self._producer.flush()
        return shortened

    def _send_cut(self, record: Record) -> int:
        """The bus takes less than our own limit: sends as much of the event as it takes.

        Returns how many bytes it did not take.
        """
        assert self._producer is not None
        full = Full(len(record.value), sha256_hex(record.value)).headers()
        headers = {**full, **record.headers}
        size = len(record.value) // 2
        while True:
            try:
                value = record.value[:size]
                self._producer.send(Record(record.topic, value, record.key, headers))
                return len(record.value) - len(value)
            except BadEvent:
                if size < _SMALLEST_CUT:
                    raise
                size //= 2

    def _acknowledge(
        self,
        batch: Batch,
        seqs: Mapping[tuple[str, str], int],
    ) -> None:
        with self._checkpoints.transaction():
            self._checkpoints.save_seqs(seqs)
            for index, _ in batch:
                self._sources[index].acknowledge()

    def _records(
        self, index: int, captured: Sequence[Captured], seqs: dict[tuple[str, str], int]
    ) -> Iterable[Record]:
        """Yields the records of one source's events; ``seqs`` gets the numbers to save."""
        collector = self._names[index]
        constants = self._constants[index]
        topic = raw_topic(self._sources[index].config.unit)
        for stream, events in groupby(captured, attrgetter("stream")):
            name = (collector, stream)
            seq = seqs.get(name, self._seqs.get(name, 0))
            key = f"{collector}\x1f{stream}".encode("utf-8", "surrogateescape")
            for _, value, headers in events:
                yield Record(topic, value, key, {**constants, H_SEQ: b"%d" % seq, **headers})
                seq += 1
            seqs[name] = seq

    def _pause(self, seconds: float, stop: threading.Event) -> bool:
        """Waits with jitter; tells whether the time for draining is over."""
        left = seconds * (0.5 + self._jitter())
        while left > 0:
            if self._on_turn:
                self._on_turn()
            if stop.is_set() and self._deadline is None:
                self._deadline = self._clock.monotonic_s() + self._drain_timeout_s
            if self._overdue():
                return True
            self._clock.sleep(min(left, _SLICE_S))
            left -= _SLICE_S
        return False
