"""Time, injected: only the command line reads the machine's clock itself."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time and waiting; ``samlog.testing.FakeClock`` stands in for it in tests."""

    def now(self) -> datetime:
        """Returns the wall time, aware, UTC."""

    def monotonic_s(self) -> float:
        """Returns seconds that never go backwards; only differences mean something."""

    def sleep(self, seconds: float) -> None:
        """Blocks for ``seconds``."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def iso_ms(moment: datetime) -> str:
    """Returns ``2026-01-10T13:37:01.000Z``: UTC with milliseconds, as ``@timestamp`` is written.

    Years below 1000 are padded to four digits, as ISO 8601 asks.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
