"""Drives one step: poll → process → settle → flush → commit, and what happens when that fails.

A position is committed only after every output of every record before it was accepted, and never
past the oldest record that the step holds. A failed batch is repeated from the committed
position; a crash does the same. Nothing here knows what a stage does.
"""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from samlog import deadletter, log
from samlog.bus.base import Bus, Consumer, Message, Producer, Record, TopicPartition
from samlog.clock import Clock
from samlog.deadletter import Quota
from samlog.errors import BadEvent, SamlogError, Unavailable
from samlog.event import DLQ
from samlog.journal import Journal, Range
from samlog.metrics import Metrics
from samlog.step import Rejection, Step, Watcher
from samlog.tally import Counts, Tally

MAX_BACKOFF_S = 30.0
LAG_EVERY_S = 5.0
TICK_S = 0.2


@dataclass(frozen=True)
class Stage:
    """What a loop needs to know of its stage.

    ``gather_s``: a batch that is not full waits so long for more, as often as more comes.

    ``keeps``: the step holds what it has read for as long as it may need it again, so that what
    other processes have not committed says nothing about the end of the input.
    """

    step: Step
    group: str
    topics: Sequence[str]
    outputs: Sequence[str] = ()
    member: str = ""
    batch: int = 1_000
    gather_s: float = 0.0
    keeps: bool = False


class Loop:
    """Runs one `Stage` on a bus. Single-threaded."""

    def __init__(
        self,
        stage: Stage,
        bus: Bus,
        journal: Journal,
        clock: Clock,
        metrics: Metrics,
        quota: Quota,
    ) -> None:
        self.stage = stage
        self.tally = Tally(stage.step.name, clock, metrics, quota)
        self.problem = ""
        self._bus = bus
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._dead: Producer | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._begun: set[str] = set()
        self._failures = 0
        self._last_tick = self._last_lag = clock.monotonic_s()
        self._log = log.get("loop", stage=stage.step.name)

    @property
    def counts(self) -> Counts:
        """What was done since the start."""
        return self.tally.counts

    def run(self, draining: Callable[[], bool], stopping: Callable[[], bool]) -> None:
        """Turns until ``stopping``, or until ``draining`` and everything is read and committed.

        Raises `BadRelease`, `ConfigError` and `BusError`; retries `Unavailable` for ever.
        """
        while not stopping():
            taken = self.turn()
            if taken == 0 and draining() and self._failures == 0 and self._drained():
                return
        self._put_down()

    def _put_down(self) -> None:
        """Settles what is under way, so that the next start need not do it again."""
        if self._failures or not self.stage.step.held():
            return
        try:
            self._conclude([], [], [])
        except Unavailable as problem:
            self._log.info("stopped_in_mid_batch", why=str(problem))

    def turn(self) -> int:
        """Does one batch; returns how many messages were taken (0: idle or failed)."""
        started = self._clock.monotonic_s()
        try:
            taken = self._batch()
        except Unavailable as problem:
            self._step_back(problem)
            return 0
        if taken:
            self._metrics.observe(
                "step_seconds", self._clock.monotonic_s() - started, stage=self.stage.step.name
            )
        if self._failures:
            self._log.info("available_again", after_failures=self._failures)
            self._failures = 0
            self.problem = ""
        self._report_lag()
        return taken

    def _batch(self) -> int:
        consumer = self._open()
        messages = self._polled(consumer)
        if self._lost_partitions(consumer):
            return 0
        self.tally.gaps(consumer.take_gaps())
        if messages:
            self.tally.began()
        outputs = self._ticked()
        if not messages and not outputs:
            if self.stage.step.held():
                self._conclude([], [], [])
            return 0
        ranges = _ranges(messages)
        self._note_begin(consumer, messages, ranges)
        careful = [m for m in messages if self._journal.careful(m.topic, m.partition, m.offset)]
        self.tally.given_again(len(careful) + self._journal.given_again(ranges))
        if careful:
            self._one_by_one(messages, outputs)
        else:
            self._journal.begin_batch(ranges)
            self._work(messages, outputs)
        return len(messages)

    def _polled(self, consumer: Consumer) -> Sequence[Message]:
        """Returns the next batch; with ``gather_s`` waits that long for each further part of it."""
        messages = list(consumer.poll(max_messages=self.stage.batch, timeout_s=0.25))
        while self.stage.gather_s and 0 < len(messages) < self.stage.batch:
            left = self.stage.batch - len(messages)
            more = consumer.poll(max_messages=left, timeout_s=self.stage.gather_s)
            if not more:
                break
            messages += more
        return messages

    def _note_begin(
        self, consumer: Consumer, messages: Sequence[Message], ranges: Mapping[str, Range]
    ) -> None:
        """Stores where this group begins, before it has done anything.

        Without a position nobody can tell afterwards that records were deleted before they were
        worked on: a deployment whose store is down from the first day on.
        """
        if ranges.keys() <= self._begun:
            return
        known = consumer.committed()
        first = {m.tp: m.offset for m in reversed(messages) if m.tp not in known}
        if first:
            consumer.commit(first)
        self._begun |= ranges.keys()

    def _one_by_one(self, messages: Sequence[Message], outputs: list[Record]) -> None:
        """Takes a range in which a process died record by record, to find the one that kills."""
        for message in messages:
            where = (message.topic, message.partition, message.offset)
            if self._journal.deadly(*where):
                rejection = Rejection(message, "kills_process", "three processes died on it")
                self._conclude([message], outputs, [rejection])
            else:
                self._journal.begin_single(*where)
                self._work([message], outputs)
            outputs = []

    def _work(self, messages: Sequence[Message], outputs: list[Record]) -> None:
        rejections: list[Rejection] = []
        starts: list[int] = []
        process = self.stage.step.process
        for message in messages:
            starts.append(len(outputs))
            try:
                outputs.extend(process(message))
            except BadEvent as bad:
                rejections.append(Rejection(message, bad.reason, bad.detail))
            except SamlogError:
                raise
            except Exception as bug:  # noqa: BLE001 - the one place: counted, logged, kept
                rejections.append(self.tally.internal_error(message, bug))
        self._conclude(messages, outputs, rejections, starts)

    def _conclude(
        self,
        messages: Sequence[Message],
        outputs: list[Record],
        rejections: list[Rejection],
        starts: Sequence[int] = (),
    ) -> None:
        """Settles, writes and commits one batch; counts only what was committed.

        ``starts`` are where the outputs of each message begin; before the first they are of no
        message.
        """
        rejections += self.stage.step.settle()
        rejections += self._send(outputs, messages, starts)
        assert self._dead is not None
        deadletter.put_aside(self._dead, rejections, self.stage.step.name, self._clock.now())
        for message in messages:
            self._positions[TopicPartition(message.topic, message.partition)] = message.offset + 1
        self._commit()
        if messages:
            # Not what was committed: what a step holds was worked on, and nobody died of it.
            worked_on = {f"{tp.topic}/{tp.partition}": n for tp, n in self._positions.items()}
            self._journal.done(worked_on)
        self.tally.committed(messages, outputs, rejections)

    def _commit(self) -> None:
        """Commits what is not held any more, if that is more than at the last time."""
        upto = dict(self._positions)
        for tp, oldest in self.stage.step.held().items():
            upto[tp] = min(upto.get(tp, oldest), oldest)
        if self._consumer is not None and upto != self._committed:
            self._consumer.commit(upto)
            self._committed = upto

    def _send(
        self, outputs: Sequence[Record], messages: Sequence[Message], starts: Sequence[int]
    ) -> Iterable[Rejection]:
        """Returns what the bus refused: the message that became too much, not what it became."""
        assert self._producer is not None
        refused: dict[int, Rejection] = {}
        for number, record in enumerate(outputs):
            try:
                self._producer.send(record)
            except BadEvent as bad:
                place = bisect_right(starts, number) - 1
                message = messages[place] if place >= 0 else _stand_in(record)
                key = place if place >= 0 else -1 - number
                refused[key] = Rejection(message, bad.reason, bad.detail)
        self._producer.flush()
        return refused.values()

    def _ticked(self) -> list[Record]:
        now = self._clock.monotonic_s()
        if now - self._last_tick < TICK_S:
            return []
        self._last_tick = now
        return list(self.stage.step.tick(self._clock.now()))

    def _drained(self) -> bool:
        """The input has ended: releases what is held; True when nothing is left to read."""
        try:
            if not self._all_read():
                return False
            while released := list(self.stage.step.flush()):
                self._conclude([], released, [])
            self._conclude([], [], [])
            return self._all_read()
        except Unavailable as problem:
            self._step_back(problem)
            return False

    def _all_read(self) -> bool:
        """Tells whether no record is left that somebody would have to read.

        What a step holds is read and not committed: it counts as read where this process reads it.
        Who has no partition yet is still joining and knows nothing.
        """
        behind = self._unread(self._bus.lag(self.stage.group, self.stage.topics))
        self._tell_progress(behind)
        mine = self._consumer.assigned() if self._consumer is not None else frozenset()
        if self.stage.keeps and mine:
            return not any(behind.get(tp, 0) for tp in mine)
        return not any(behind.values())

    def _unread(self, lag: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Returns per partition how many records wait, without those that the step holds."""
        held = self.stage.step.held()
        read = {tp: n - min(n, held.get(tp, n)) for tp, n in self._positions.items()}
        return {tp: max(0, n - read.get(tp, 0)) for tp, n in lag.items()}

    def _tell_progress(self, behind: Mapping[TopicPartition, int]) -> None:
        step = self.stage.step
        if isinstance(step, Watcher) and self._consumer is not None:
            step.watch(self._consumer.assigned(), behind)

    def _open(self) -> Consumer:
        """Connects what is not connected; `Unavailable` here is retried like any other."""
        client = f"samlog-{self.stage.step.name}"
        if self._producer is None:
            self._bus.create_topics([*self.stage.topics, *self.stage.outputs, DLQ])
            self._producer = self._bus.producer(client)
        if self._dead is None:
            self._dead = self._bus.producer(client + "-dlq")
        if self._consumer is None:
            self._consumer = self._bus.consumer(
                self.stage.group, self.stage.topics, member=self.stage.member
            )
        return self._consumer

    def _report_lag(self) -> None:
        now = self._clock.monotonic_s()
        if now - self._last_lag < LAG_EVERY_S:
            return
        self._last_lag = now
        try:
            behind = self._unread(self._bus.lag(self.stage.group, self.stage.topics))
        except Unavailable as problem:
            self._step_back(problem)
            return
        self._tell_progress(behind)
        waiting = sum(behind.values())
        self._metrics.gauge("consumer_lag_events", waiting, stage=self.stage.step.name)

    def _lost_partitions(self, consumer: Consumer) -> bool:
        """Forgets what is held after a rebalance and rewinds; what was just polled comes again."""
        revoked = consumer.take_revoked()
        if not revoked:
            return False
        self._log.info("partitions_revoked", partitions=len(revoked))
        self.stage.step.reset()
        self._positions.clear()
        self._committed.clear()
        self._rewind(consumer)
        return True

    def _rewind(self, consumer: Consumer) -> None:
        """Goes back to the committed positions; where there is none, to the oldest record."""
        positions = dict.fromkeys(consumer.assigned(), 0)
        positions.update(consumer.committed())
        consumer.seek(positions)

    def _step_back(self, problem: Unavailable) -> None:
        """Waits, then repeats from the committed position; nothing is lost by it."""
        self._failures += 1
        self.problem = str(problem)
        name = self.stage.step.name
        self._metrics.count("errors_total", stage=name, kind="unavailable")
        if self._failures in (1, 10) or self._failures % 100 == 0:
            self._log.warning("unavailable", why=str(problem), failures=self._failures)
        self.stage.step.reset()
        self._journal.put_down()
        self._positions.clear()
        self._committed.clear()
        wait = min(MAX_BACKOFF_S, problem.retry_after_s * 2 ** min(self._failures - 1, 6))
        self._clock.sleep(wait * random.uniform(0.5, 1.0))
        if self._consumer is not None:
            try:
                self._consumer.poll(max_messages=1, timeout_s=0.0)
                self._rewind(self._consumer)
            except Unavailable:
                self._consumer.close()
                self._consumer = None

    def close(self) -> None:
        """Leaves the group and releases what was opened; safe to call twice."""
        for part in (self._consumer, self._producer, self._dead, self.stage.step, self._journal):
            if part is not None:
                part.close()
        self._consumer = self._producer = self._dead = None


def _stand_in(output: Record) -> Message:
    """Returns an output that no message made, as a message to put aside."""
    return Message(output.topic, 0, -1, output.key, output.value, output.headers, 0)


def _ranges(messages: Sequence[Message]) -> dict[str, Range]:
    """Returns ``topic/partition`` to the offsets of its first and last record in a batch."""
    found: dict[str, Range] = {}
    for message in messages:
        name = f"{message.topic}/{message.partition}"
        first = found[name][0] if name in found else message.offset
        found[name] = (first, message.offset)
    return found
