"""Groups of one partition of ``samlog.matches``: what fires, provisionally and finally.

Plain in and out: matches and watermarks in, `Telling` out. Nothing here knows the bus or the time:
the same calls in the same order tell the same, word for word.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import NamedTuple

from detect.correlate.group import EVER, NEVER, Firing, Group
from detect.correlate.limits import Counts, Size
from detect.correlate.limits import Limits as Limits  # the stages are wired with it
from detect.correlate.rule import KEPT_SPANS, Correlation
from detect.correlate.wheel import Wheel
from detect.correlate.window import Match

PROVISIONAL = "provisional"
FINAL = "final"
WITHDRAWN = "withdrawn"
REPLACED = "replaced"
BUCKET = 12
"""Offsets are counted in buckets of 4,096."""
OWN_STREAM = "samlog.correlate"
"""What matches of correlations come from; then the slot in which they fired."""


class Telling(NamedTuple):
    """Something to be told: ``state`` is provisional, final, withdrawn, or replaced by the next.

    ``total`` is the number of matches in the firing's window; when its slot has ended, of all from
    the beginning of the window to the end of the slot.
    """

    group: Group
    firing: Firing
    state: str
    total: int


class Correlator:
    """State of all groups of one partition. One thread only.

    ``counts`` and ``sizes`` may be shared by several: limits are per process.
    """

    def __init__(
        self,
        limits: Limits,
        counts: Counts | None = None,
        sizes: dict[str, Size] | None = None,
        *,
        edge: int = NEVER,
        slow_edge: int = NEVER,
    ) -> None:
        """``edge`` and ``slow_edge``: both watermarks of the last commit, in a rebuilt state."""
        self.counts = counts or Counts()
        self.watermark = NEVER
        self._edges = (edge, slow_edge)
        self.groups: dict[bytes, Group] = {}
        self.held: defaultdict[int, int] = defaultdict(int)
        self._limits = limits
        self._sizes = sizes if sizes is not None else {}
        self.come = NEVER
        """The watermark as upstream told it; it is not moved by `finish`."""
        self.slow = NEVER
        """The watermark some time before: what correlations tell comes behind the other one."""
        self._late_before = NEVER
        self._changed: set[bytes] = set()
        self._open: list[tuple[int, int, bytes, Firing, bool]] = []
        self._tails: list[tuple[int, int, bytes]] = []
        self._wheels = (Wheel(), Wheel())
        self._number = count()

    def add(self, key: bytes, rule: Correlation, match: Match, stream: str) -> list[Telling]:
        """Takes a match in any order; returns what fires at once. A repeat changes nothing."""
        t = match[0]
        if t < self._late_before and self._is_late(rule, t, stream):
            return []
        group = self.groups.get(key)
        if group is None:
            group = self._new(key, rule)
        log = group.log
        if not log:
            self._remind(group, t)
            log.append(match)
        elif t > log[-1][0] or (t == log[-1][0] and match[:3] > log[-1][:3]):
            log.append(match)
        elif group.insert(match):
            self._changed.add(key)
        else:
            self.counts.repeated += 1
            return []
        self.counts.matches += 1
        self.held[match[6] >> BUCKET] += 1
        size = self._sizes[rule.rule.id]
        size.matches += 1
        if len(log) > self._limits.matches_per_group or size.matches > self._limits.matches:
            self._shed(rule, group)
        behind = t <= self.watermark
        if group.dirty or (behind and group.closing):
            if log and log[-1] is match:
                # It may also close the window of the one before it.
                group.dirty += (t, log[-2].t) if len(log) > 1 else (t,)
                self._changed.add(key)
            return []
        if behind:
            # The number of matches in a slot that has ended may be another now.
            group.grown.append(t)
            self._changed.add(key)
        found = group.push(match)
        if group.closing:
            self._arm(group)
        return [] if found is None else self._fire(group, found)

    def _is_late(self, rule: Correlation, t: int, stream: str) -> bool:
        if not stream.startswith(OWN_STREAM):
            self.counts.count_late(stream)
            return True
        if t >= self.slow - self._limits.lateness_ms - rule.below_ms:
            return False
        # After a restart what fired long ago is told again.
        self.counts.repeated += 1
        return True

    def _new(self, key: bytes, rule: Correlation) -> Group:
        size = self._sizes.setdefault(rule.rule.id, Size())
        if size.groups >= self._limits.groups:
            self._evict_groups(rule)
        size.groups += 1
        group = self.groups[key] = Group(rule, key)
        return group

    def retract(
        self, key: bytes, match_id: str, first_t: int, last_t: int, *, but: int = NEVER
    ) -> None:
        """Takes back what a correlation was told of another in this range of time.

        ``but``: a match of exactly this time stays, for it is told once more.
        """
        group = self.groups.get(key)
        if group is None:
            return
        for low, high in ((first_t, min(but - 1, last_t)), (max(first_t, but + 1), last_t)):
            gone = group.remove(match_id, low, high)
            if gone:
                self._let_go(group.rule, gone)
                self._changed.add(key)

    def _fire(self, group: Group, firing: Firing) -> list[Telling]:
        """Notes a new firing; returns how it is told."""
        group.fired[firing.slot] = firing
        supported = (firing.slot - 1) * group.rule.span_ms >= self._edge_of(group.rule)
        return [self._tell(group, firing)] if supported else []

    def _edge_of(self, rule: Correlation) -> int:
        edge = self._edges[bool(rule.below_ms)]
        return NEVER if edge == NEVER else edge - self._kept_ms(rule)

    def _kept_ms(self, rule: Correlation) -> int:
        return self._limits.lateness_ms + rule.below_ms + KEPT_SPANS * rule.span_ms

    def _tell(self, group: Group, firing: Firing) -> Telling:
        sure = firing.sure_at <= self.watermark
        if sure and group.end_of(firing) <= self.watermark:
            return Telling(group, firing, FINAL, group.count(firing))
        self._await(group, firing, confirmed=sure)
        return Telling(group, firing, FINAL if sure else PROVISIONAL, firing.total)

    def _await(self, group: Group, firing: Firing, *, confirmed: bool) -> None:
        """Has `_confirmed` look again: when the firing is sure, then when its slot has ended."""
        due = max(group.end_of(firing), firing.sure_at) if confirmed else firing.sure_at
        heapq.heappush(self._open, (due, next(self._number), group.key, firing, confirmed))

    @property
    def unsettled(self) -> bool:
        """Tells whether matches came that only the next `advance` takes into account."""
        return bool(self._changed)

    def _settle(self) -> list[Telling]:
        """Computes again what matches out of order have changed; returns what is new."""
        told: list[Telling] = []
        changed, self._changed = self._changed, set()
        for key in sorted(changed):
            group = self.groups.get(key)
            if group is None:
                continue
            touched = group.touched()
            for old, new in group.refreshed(self.watermark, self._edge_of(group.rule)):
                if old is not None:
                    told.append(Telling(group, old, WITHDRAWN if new is None else REPLACED, 0))
                if new is not None:
                    told.append(self._tell(group, new))
            for firing in group.recounted(touched):
                told.append(Telling(group, firing, FINAL, group.counted[firing.slot]))
            if group.rule.closing:
                self._arm(group)
        return told

    def advance(self, watermark: int, slow: int = NEVER) -> list[Telling]:
        """All matches up to ``watermark`` (ms) have come; returns what is new or final by that.

        `NEVER` tells no time: only what came out of order is taken into account. ``slow`` is a
        watermark up to which correlations have told what fired.
        """
        self.slow = max(slow, self.slow)
        if watermark > self.come:
            self.come = watermark
            self._late_before = watermark - self._limits.lateness_ms
        self.watermark = max(watermark, self.watermark)
        told = self._settle()
        told += self._closed()
        told += self._confirmed()
        self._forget()
        return told

    def finish(self) -> list[Telling]:
        """No match will come any more: closes every window.

        Nothing is forgotten: correlations of correlations may still get what fired by this.
        """
        self.watermark = EVER
        return [*self._settle(), *self._closed(), *self._confirmed()]

    def _arm(self, group: Group) -> None:
        items = group.window.items
        if not group.armed and items:
            group.armed = True
            due = items[0].t + group.rule.span_ms
            heapq.heappush(self._tails, (due, next(self._number), group.key))

    def _closed(self) -> Iterator[Telling]:
        """Yields firings of windows that can only end now: no later match was there to close."""
        while self._tails and self._tails[0][0] <= self.watermark:
            _, _, key = heapq.heappop(self._tails)
            group = self.groups.get(key)
            if group is None:
                continue
            group.armed = False
            items = group.window.items
            if items and items[0].t + group.rule.span_ms > self.watermark:
                self._arm(group)
                continue
            found = group.closed_by(group.window, self.watermark + 1, group.fired)
            if found is not None:
                yield from self._fire(group, found)

    def _confirmed(self) -> Iterator[Telling]:
        """Yields provisional firings that stay, and the final number of matches of each slot."""
        while self._open and self._open[0][0] <= self.watermark:
            _, _, key, firing, confirmed = heapq.heappop(self._open)
            group = self.groups.get(key)
            if group is None or group.fired.get(firing.slot) is not firing:
                continue
            ended = group.end_of(firing) <= self.watermark
            if not ended:
                self._await(group, firing, confirmed=True)
            total = group.count(firing) if ended else firing.total
            if not confirmed or total != firing.total:
                yield Telling(group, firing, FINAL, total)

    def _remind(self, group: Group, t: int) -> None:
        """Has `_forget` look at a group when its match of time ``t`` may go."""
        rule = group.rule
        self._wheels[bool(rule.below_ms)].add(group.key, t + self._kept_ms(rule))

    def _forget(self) -> None:
        for wheel, now in zip(self._wheels, (self.come, self.slow), strict=True):
            for key in wheel.due(now):
                group = self.groups.get(key)
                if group is not None:
                    self._cut(group, now - self._kept_ms(group.rule))

    def _cut(self, group: Group, before: int) -> int:
        gone = group.trim(before)
        self._let_go(group.rule, gone)
        if group.log:
            self._remind(group, group.log[0].t)
        else:
            del self.groups[group.key]
            self._sizes[group.rule.rule.id].groups -= 1
        return len(gone)

    def _let_go(self, rule: Correlation, gone: Iterable[Match]) -> None:
        size, held = self._sizes[rule.rule.id], self.held
        for match in gone:
            size.matches -= 1
            bucket = match[6] >> BUCKET
            held[bucket] -= 1
            if not held[bucket]:
                del held[bucket]

    def _shed(self, rule: Correlation, group: Group) -> None:
        """Makes room: first in the group that is too large, else a tenth of the rule's oldest."""
        evicted = self.counts.evicted
        if len(group.log) > self._limits.matches_per_group:
            gone = group.log[: max(1, len(group.log) // 10)]
            del group.log[: len(gone)]
            self._let_go(rule, gone)
            evicted[rule.rule.id] += len(gone)
            return
        own = sorted((g for g in self.groups.values() if g.rule is rule), key=_newest)
        wanted = self._limits.matches - self._limits.matches // 10
        for one in own:
            if self._sizes[rule.rule.id].matches <= wanted:
                return
            if one is not group:
                evicted[rule.rule.id] += self._cut(one, EVER)

    def _evict_groups(self, rule: Correlation) -> None:
        own = sorted((g for g in self.groups.values() if g.rule is rule), key=_newest)
        for one in own[: max(1, len(own) // 10)]:
            self.counts.evicted[rule.rule.id] += self._cut(one, EVER)

    def keep(self, rules: Mapping[bytes, Correlation]) -> None:
        """Takes over other rules: a group stays where its key begins with a name in ``rules``."""
        for group in list(self.groups.values()):
            rule = rules.get(group.key.partition(b"|")[0])
            if rule is None:
                self._cut(group, EVER)
            else:
                group.rule = rule

    def open_windows(self) -> int:
        """Returns how many groups have matches that later ones could still join."""
        return sum(
            1
            for g in self.groups.values()
            if g.log and g.log[-1].t + g.rule.span_ms > self.watermark
        )

    def oldest_offset(self) -> int | None:
        """Returns an offset from which everything that is needed can be read again."""
        return min(self.held) << BUCKET if self.held else None


def _newest(group: Group) -> int:
    return group.log[-1].t if group.log else NEVER


def final_firings(told: Iterable[Telling]) -> Mapping[str, Telling]:
    """Returns what stands in the end: id → its last final word."""
    stands: dict[str, Telling] = {}
    for one in told:
        if one.state == FINAL:
            stands[one.firing.id] = one
        elif one.state in (WITHDRAWN, REPLACED):
            stands.pop(one.firing.id, None)
    return stands
