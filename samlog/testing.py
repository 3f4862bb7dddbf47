"""Stand-ins for the outside world, for tests of samlog and of plugins."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from samlog.bus.base import Record
from samlog.errors import BadEvent, Unavailable


class FakeClock:
    """A `samlog.clock.Clock` that moves only when it is told or slept on; ``sleep`` returns at
    once.
    """

    def __init__(self, now: datetime = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic_s = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Moves both times on by ``seconds``."""
        self._now += timedelta(seconds=seconds)
        self._monotonic_s += seconds

    def set_wall(self, now: datetime) -> None:
        """Sets the wall time alone, as a correction of the machine's clock does."""
        self._now = now


class CollectingProducer:
    """A `samlog.bus.base.Producer` that keeps what was flushed in ``durable``.

    ``failures`` flushes fail after half of what was sent became durable, as a broker that goes
    away in mid-batch does; ``on_failure`` is then called. Values over ``max_bytes`` are refused.
    """

    def __init__(self, *, failures: int = 0, max_bytes: int = 16 << 20) -> None:
        self.durable: list[Record] = []
        self.failures = failures
        self.flushes = 0
        self.on_failure: Callable[[], None] = lambda: None
        self._max_bytes = max_bytes
        self._sent: list[Record] = []

    def send(self, record: Record) -> None:
        if len(record.value) > self._max_bytes:
            raise BadEvent("record_too_large")
        self._sent.append(record)

    def flush(self, timeout_s: float = 30.0) -> None:
        sent, self._sent = self._sent, []
        if self.failures:
            self.failures -= 1
            self.durable += sent[: len(sent) // 2]
            self.on_failure()
            raise Unavailable("the broker is gone")
        self.flushes += 1
        self.durable += sent

    def close(self) -> None:
        self._sent.clear()
