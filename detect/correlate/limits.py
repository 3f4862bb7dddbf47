"""What one rule may keep in one process, and what is counted of it."""

from collections import Counter
from dataclasses import dataclass, field

MAX_STREAMS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one rule may keep in one process; beyond it the oldest is evicted and counted.

    ``lateness_ms``: a match that is older than the watermark by more is late and does not count.
    """

    lateness_ms: int = 26 * 3_600_000
    groups: int = 250_000
    matches: int = 1_000_000
    matches_per_group: int = 100_000


@dataclass(slots=True)
class Counts:
    """What happened since the start. ``late``: stream → matches that came too late."""

    matches: int = 0
    repeated: int = 0
    late: Counter[str] = field(default_factory=Counter)
    evicted: Counter[str] = field(default_factory=Counter)
    """Rule id → matches that the limits made it forget before their time."""

    def count_late(self, stream: str) -> None:
        """Counts a late match by its stream; beyond 10,000 streams by none."""
        late = self.late
        late[stream if stream in late or len(late) < MAX_STREAMS else "other streams"] += 1


@dataclass(slots=True)
class Size:
    """What one rule keeps now, in all partitions of one process."""

    groups: int = 0
    matches: int = 0
