"""What a loop counts of its batches, and when it gives up on a release."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from samlog import log
from samlog.bus.base import Gap, Message, Record
from samlog.clock import Clock
from samlog.deadletter import Quota, unit_of
from samlog.errors import SamlogError
from samlog.metrics import Metrics
from samlog.step import Rejection

FAILING_RECORDS = 1_000


class BadRelease(SamlogError):
    """The records of all units fail with an internal error: the stage stops, its backlog stays.

    All are those of which a record went well since the process started: what one unit sends does
    not stop the others. Where none did, those that fail.
    """


@dataclass
class Counts:
    """What a loop did since it started; ``began`` and ``ended`` bound the time it had work."""

    taken: int = 0
    sent: int = 0
    rejected: int = 0
    redelivered: int = 0
    batches: int = 0
    began: float = 0.0
    ended: float = 0.0
    by_topic: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


class Tally:
    """Counts for one stage, in its status and in the metrics."""

    def __init__(self, stage: str, clock: Clock, metrics: Metrics, quota: Quota) -> None:
        self.counts = Counts()
        self._stage = stage
        self._clock = clock
        self._metrics = metrics
        self._quota = quota
        self._suspects: Counter[str] = Counter()
        self._well: set[str] = set()
        self._log = log.get("loop", stage=stage)

    def began(self) -> None:
        """Notes when there was work for the first time."""
        if not self.counts.began:
            self.counts.began = self._clock.now().timestamp()

    def given_again(self, number: int) -> None:
        """Counts messages that were worked on before."""
        if number:
            self.counts.redelivered += number
            self._metrics.count("redelivered_total", number, stage=self._stage)

    def committed(
        self,
        messages: Sequence[Message],
        outputs: Sequence[Record],
        rejections: Sequence[Rejection],
    ) -> None:
        """Counts a batch of which all is durable."""
        name, count = self._stage, self._metrics.count
        if messages or outputs:
            self.counts.batches += 1
            self.counts.ended = self._clock.now().timestamp()
        self.counts.taken += len(messages)
        self.counts.sent += len(outputs)
        self.counts.rejected += len(rejections)
        failed = Counter(unit_of(rejection.message) for rejection in rejections)
        for unit, n in Counter(unit_of(m) for m in messages).items():
            count("events_received_total", n, stage=name, unit=unit)
            if failed[unit] < n:
                self._well.add(unit)
        for topic, n in Counter(record.topic for record in outputs).items():
            self.counts.by_topic[topic] += n
            count("events_sent_total", n, stage=name, topic=topic)
        for rejection in rejections:
            unit = unit_of(rejection.message)
            self.counts.reasons[rejection.reason] += 1
            count("events_rejected_total", 1, stage=name, unit=unit, reason=rejection.reason)
            self._mark(rejection)
        if len(rejections) < len(messages):
            self._suspects.clear()

    def _mark(self, rejection: Rejection) -> None:
        marked = self._quota.add(rejection.message, self._clock.now())
        if marked:
            unit, source = marked
            self._metrics.gauge("source_marked", 1, unit=unit, source=source)
            self._log.error(
                "source_over_dead_letter_limit",
                unit=unit,
                source=source,
                reason=rejection.reason,
                next=f"samlog dlq ls --unit {unit}",
            )

    def internal_error(self, message: Message, bug: Exception) -> Rejection:
        """Returns the rejection of a message by a bug. Raises `BadRelease` when all fail by one."""
        unit = unit_of(message)
        self._suspects[unit] += 1
        self._metrics.count("errors_total", stage=self._stage, kind="internal")
        if self._suspects.total() == 1:
            self._log.error("internal_error", unit=unit, offset=message.offset, exc_info=bug)
        # A unit of which records went well may be hit by what another one sends: it goes on.
        if self._suspects.total() >= FAILING_RECORDS and self._well <= self._suspects.keys():
            raise BadRelease(
                f"{FAILING_RECORDS} records in a row failed with an internal error "
                f"(units {', '.join(sorted(self._suspects))}; last: {bug!r}); the backlog stays "
                "on the bus. Go back to the release before, then start again."
            )
        return Rejection(message, "internal_error", f"{type(bug).__name__}: {bug}")

    def gaps(self, gaps: Iterable[Gap]) -> None:
        """Counts and tells what was deleted before this group had read it."""
        for gap in gaps:
            self._metrics.count("gap_records_total", gap.missing, stage=self._stage)
            self._log.error(
                "records_deleted_before_read",
                topic=gap.tp.topic,
                partition=gap.tp.partition,
                first_missing=gap.first_missing,
                missing=gap.missing,
                next="raise retention.bus_hours, or run more processes of this stage",
            )
