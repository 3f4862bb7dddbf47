"""What rules did, kept in memory between two writes of the ledger; and which rule costs too much.

Matches are counted exactly, time is sampled: one event in `detect.engine.SAMPLE` is asked with a
stopwatch; what all counting costs is said there.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from detect.engine import SAMPLE, Engine

LOOKED_AT = 10
"""So many events of a kind and unit are looked at between two writes."""
WINDOW_S = 60.0
MIN_CALLS = 20
"""Fewer sampled calls in a window say nothing about a rule."""
MIN_MEAN_NS = 50_000
"""A rule that takes less each time is asked often, not slow."""


class Suppressed(NamedTuple):
    """A match that was not told. ``id`` is the detection's, ``by`` filter, disable or exception.

    ``entry`` is the filter's id or the overlay entry's; ``owner`` and ``reason`` are the entry's.
    """

    id: str
    unit: str
    rule: str
    title: str
    by: str
    entry: str
    owner: str
    reason: str
    event_id: str
    stream: str
    timestamp: str
    detected: str


@dataclass
class Counters:
    """What happened since the last write. Keys: (unit, rule id)."""

    matches: Counter[tuple[str, str]] = field(default_factory=Counter)
    suppressed: list[Suppressed] = field(default_factory=list)
    times: dict[str, list[int]] = field(default_factory=dict)
    """Rule id → [sampled calls, nanoseconds of these]."""
    seen: Counter[tuple[str, frozenset[int]]] = field(default_factory=Counter)
    """(unit, sources that an event answers to) → events looked at. Indexes of `Built.sources`."""
    fields: dict[tuple[str, frozenset[int]], set[str]] = field(default_factory=dict)
    """The same → which fields that rules read were there."""

    def clear(self) -> None:
        """Forgets what was written."""
        for part in (self.matches, self.suppressed, self.times, self.seen, self.fields):
            part.clear()

    def take_times(self, engine: Engine) -> None:
        """Moves the sampled times of an engine here."""
        for rule_id, (calls, spent) in engine.stats.times.items():
            note = self.times.setdefault(rule_id, [0, 0])
            note[0] += calls
            note[1] += spent
        engine.stats.times.clear()


class TimeShare:
    """Tells which rules take more than their share of the time that goes by."""

    def __init__(self, limit: float, now_s: float) -> None:
        """``limit`` is a share of one core, 0 to 1; 1 sets no rule aside."""
        self._limit = limit
        self._since_s = now_s
        self._spent: dict[str, list[int]] = {}

    def note(self, engine: Engine) -> None:
        """Adds what was sampled since it was asked last; before `Counters.take_times`."""
        for rule_id, (calls, spent) in engine.stats.times.items():
            total = self._spent.setdefault(rule_id, [0, 0])
            total[0] += calls
            total[1] += spent

    def over(self, now_s: float) -> Iterator[tuple[str, str]]:
        """Yields (rule id, why) of each rule that took too much in the minute that is over."""
        elapsed_s = now_s - self._since_s
        if elapsed_s < WINDOW_S:
            return
        spent, self._spent, self._since_s = self._spent, {}, now_s
        for rule_id, (calls, nanoseconds) in spent.items():
            share = nanoseconds * SAMPLE / 1e9 / elapsed_s
            mean = nanoseconds / calls
            if share > self._limit < 1 and calls >= MIN_CALLS and mean >= MIN_MEAN_NS:
                yield (
                    rule_id,
                    f"took {share:.0%} of the time of {elapsed_s:.0f} s, {mean / 1e6:.1f} ms a "
                    f"time; the limit is {self._limit:.0%} (limits.rule_time_share)",
                )
