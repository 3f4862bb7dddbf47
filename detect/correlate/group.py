"""The matches of one (correlation, group), in order, and what fired in each slot of time.

Time is divided into slots as long as the correlation's span. A correlation holds *at a match* when
its condition holds for the window that ends there; it fires at the first such match of a slot. So
what fires is a function of the matches of two spans and of nothing before them: the same set gives
the same firings whatever the order of arrival, and nothing has to be remembered over a restart.

Where further matches could undo the condition (``lt``, ``lte``, ``eq``, ``neq``), only windows are
asked to which no match could be added without losing the first.

Matches that come in order cost a step of the window. Others are put in their place, and what they
could change is computed again once a tick, however many there were.
"""

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from detect.correlate.rule import Correlation
from detect.correlate.window import Match, Window, window_kind

MAX_EVIDENCE = 50
NEVER = -(1 << 62)
EVER = 1 << 62


class Firing(NamedTuple):
    """One firing. ``sure_at`` is the time up to which all matches must be known for it to stay.

    ``id`` names rule, group and slot, so that a correction is about the same thing; ``print`` is
    over times and ids of the matches, so that equal firings are known as equal.
    ``evidence`` are the first and last matches of the window, at most 50; ``total`` counts all.
    """

    id: str
    print: bytes
    slot: int
    match: Match
    first_t: int
    total: int
    value: float
    sure_at: int
    evidence: tuple[Match, ...]


class Group:
    """State of one group.

    ``fired``: slot → firing. ``counted``: slot that has ended → its number of matches, as told.
    ``dirty``: times whose windows changed. ``grown``: times of matches that came in order, yet
    behind the watermark.
    """

    __slots__ = (
        "armed",
        "closing",
        "counted",
        "dirty",
        "fired",
        "grown",
        "key",
        "log",
        "rule",
        "window",
    )

    def __init__(self, rule: Correlation, key: bytes) -> None:
        self.rule = rule
        # Asked twice a match: `rule.closing` looks at the bounds each time, 1.3 µs; this 0.03.
        self.closing = rule.closing
        self.key = key
        self.log: list[Match] = []
        self.window = window_kind(rule)(rule)
        self.fired: dict[int, Firing] = {}
        self.counted: dict[int, int] = {}
        self.dirty: list[int] = []
        self.grown: list[int] = []
        self.armed = False

    def insert(self, match: Match) -> bool:
        """Puts a match that is not the newest in its place; False where it is there already."""
        place = bisect_left(self.log, match[:3])
        if place < len(self.log) and self.log[place][:3] == match[:3]:
            return False
        self.log.insert(place, match)
        self.dirty.append(match.t)
        return True

    def remove(self, match_id: str, first_t: int, last_t: int) -> list[Match]:
        """Takes the matches of this id in a range of time out again; returns them."""
        place = bisect_left(self.log, (first_t,))
        gone: list[Match] = []
        while place < len(self.log) and self.log[place].t <= last_t:
            if self.log[place].id == match_id:
                gone.append(self.log.pop(place))
                self.dirty.append(gone[-1].t)
            else:
                place += 1
        return gone

    def push(self, match: Match) -> Firing | None:
        """Takes the newest match; returns what fires by it, at it or at the match before it."""
        window = self.window
        if not self.closing:
            window.push(match)
            slot = match[0] // self.rule.span_ms
            return self.firing(window, slot) if window.holds() and slot not in self.fired else None
        found = self.closed_by(window, match.t, self.fired)
        window.push(match)
        return found

    def closed_by(self, window: Window, t: int, known: Container[int]) -> Firing | None:
        """Returns what fires when no match before ``t`` can join the window any more.

        ``known`` are the slots in which something fired before.
        """
        items = window.items
        if not items or items[0].t >= t - self.rule.span_ms:
            return None
        slot = items[-1].t // self.rule.span_ms
        return self.firing(window, slot) if slot not in known and window.holds() else None

    def firing(self, window: Window, slot: int) -> Firing:
        """Returns the firing of the window as it is. O(its content), once a slot."""
        items = window.items
        named = f"{self.rule.rule.id}\x1f{slot}\x1f".encode() + self.key
        digest = blake2b(digest_size=16)
        for match in items:
            digest.update(f"{match.t} {match.id}\x1f".encode("utf-8", "surrogatepass"))
        half = MAX_EVIDENCE // 2
        shown = list(items)
        if len(shown) > MAX_EVIDENCE:
            shown = shown[:half] + shown[-half:]
        closing = self.rule.closing
        return Firing(
            id=blake2b(named, digest_size=16).hexdigest(),
            print=digest.digest(),
            slot=slot,
            match=items[-1],
            first_t=items[0].t,
            total=len(items),
            value=window.value(),
            sure_at=items[0].t + self.rule.span_ms if closing else items[-1].t,
            evidence=tuple(shown),
        )

    def refreshed(self, watermark: int, edge: int) -> Iterator[tuple[Firing | None, Firing | None]]:
        """Computes again what changed; yields (firing that was, firing that is) where they differ.

        ``edge`` is the time before which matches may be missing: slots that reach back beyond it
        stay as they are.
        """
        span = self.rule.span_ms
        for low, high in _ranges(self.dirty, 2 * span):
            yield from self._again(low, high, watermark, edge)
        self.dirty.clear()

    def _again(
        self, low: int, high: int, watermark: int, edge: int
    ) -> Iterator[tuple[Firing | None, Firing | None]]:
        span = self.rule.span_ms
        first = (low - span * self.rule.closing) // span
        last = (high + span) // span
        found = self._hits(first, last, watermark)
        supported = -((-edge) // span) + 1 if edge > NEVER else NEVER
        for slot in sorted({s for s in self.fired if first <= s <= last} | found.keys()):
            old, new = self.fired.get(slot), found.get(slot)
            if slot < supported or (old and new and old.print == new.print):
                continue
            self.counted.pop(slot, None)
            if new is None:
                del self.fired[slot]
            else:
                self.fired[slot] = new
            yield old, new

    def _hits(self, first: int, last: int, watermark: int) -> dict[int, Firing]:
        """Returns the firings of the slots ``first`` to ``last``, from the matches alone."""
        log, span, closing = self.log, self.rule.span_ms, self.rule.closing
        found: dict[int, Firing] = {}
        window = window_kind(self.rule)(self.rule)
        for i in range(bisect_left(log, ((first - 1) * span,)), len(log)):
            match = log[i]
            if closing:
                _note(self.closed_by(window, match.t, found), first, last, found)
            if match.t >= (last + 1) * span:
                return found
            window.push(match)
            slot = match.t // span
            if not closing and window.holds() and first <= slot and slot not in found:
                found[slot] = self.firing(window, slot)
        self.window = window
        if closing:
            _note(self.closed_by(window, watermark + 1, found), first, last, found)
        return found

    def end_of(self, firing: Firing) -> int:
        """Returns when the slot of a firing ends."""
        return (firing.slot + 1) * self.rule.span_ms

    def count(self, firing: Firing) -> int:
        """Returns the number of matches from the firing's first to the end of its slot.

        It is noted, so that `recounted` finds what changes it.
        """
        first, end = bisect_left(self.log, (firing.first_t,)), self.end_of(firing)
        total = self.counted[firing.slot] = bisect_left(self.log, (end,)) - first
        return total

    def touched(self) -> list[int]:
        """Returns the slots whose number of matches may have changed, and forgets why."""
        span = self.rule.span_ms
        slots = {t // span for t in self.dirty}.union(t // span for t in self.grown)
        self.grown.clear()
        # A window reaches back into the slot before it.
        return sorted(slots.union(slot + 1 for slot in slots))

    def recounted(self, slots: Iterable[int]) -> Iterator[Firing]:
        """Yields the firings whose number of matches is another than was told."""
        for slot in slots:
            told = self.counted.get(slot)
            if told is not None and self.count(self.fired[slot]) != told:
                yield self.fired[slot]

    def trim(self, before: int) -> Sequence[Match]:
        """Forgets the matches before a time, and the slots that ended before it."""
        place = bisect_left(self.log, (before,))
        gone = self.log[:place]
        del self.log[:place]
        span = self.rule.span_ms
        for slot in [s for s in self.fired if (s + 1) * span <= before]:
            del self.fired[slot]
            self.counted.pop(slot, None)
        return gone


def _note(firing: Firing | None, first: int, last: int, found: dict[int, Firing]) -> None:
    if firing is not None and first <= firing.slot <= last:
        found[firing.slot] = firing


def _ranges(times: Sequence[int], gap: int) -> list[tuple[int, int]]:
    """Returns ``times`` as (first, last) of runs in which neighbours are at most ``gap`` apart."""
    found: list[tuple[int, int]] = []
    for t in sorted(times):
        if found and t - found[-1][1] <= gap:
            found[-1] = (found[-1][0], t)
        else:
            found.append((t, t))
    return found
