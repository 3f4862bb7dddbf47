"""What is known of the matches in a sliding window, kept up to date at constant cost a match.

A window ends at its newest match and reaches back over the correlation's time span, both ends
included. Each kind answers one question, `Window.holds`; none of them looks at the window's
content for it, because the limits that it is compared with are known beforehand.
"""

import operator
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from detect.correlate.rule import Correlation

PERCENT = 100_000
"""A hundred percent, in the thousandths in which percentiles are."""

_OPS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}

_UPPER = frozenset(("gt", "gte"))


class Match(NamedTuple):
    """One match of a base rule. Compares by time in ms, ``order`` and id, which name it.

    ``order`` is the place of the rule in a `temporal_ordered` correlation, else 0. ``mask`` has a
    bit set for each base that matched. ``values`` are the values that the correlation is about:
    folded texts, or millionths. ``rest`` is what an alert needs, as JSON.
    """

    t: int
    order: int
    id: str
    mask: int
    values: Sequence[Any]
    rest: bytes
    offset: int


class Window:
    """The matches of one group in one window; counts events (``event_count``)."""

    __slots__ = ("bounds", "items", "span")

    def __init__(self, rule: Correlation) -> None:
        self.span = rule.span_ms
        self.bounds = [(_OPS[op], limit) for op, limit in rule.bounds]
        self.items: deque[Match] = deque()

    def push(self, match: Match) -> None:
        """Adds the next match in order and lets go what is older than the span before it."""
        items = self.items
        items.append(match)
        edge = match[0] - self.span
        while items[0][0] < edge:
            items.popleft()

    def holds(self) -> bool:
        """Tells whether the condition holds for what is in the window."""
        return self._meets(len(self.items))

    def _meets(self, value: int) -> bool:
        # As a generator for `all` it takes 0.4 µs instead of 0.15.
        for compare, limit in self.bounds:  # noqa: SIM110
            if not compare(value, limit):
                return False
        return True

    def value(self) -> float:
        """Returns what the condition compares, for people."""
        return len(self.items)


class Reaching(Window):
    """``event_count`` with one lower limit, the common case, at half the cost."""

    __slots__ = ("least",)

    def __init__(self, rule: Correlation) -> None:
        super().__init__(rule)
        (op, limit) = rule.bounds[0]
        self.least = limit + (op == "gt")

    def holds(self) -> bool:
        return len(self.items) >= self.least


class ValueCount(Window):
    """``value_count``: distinct values, each with the number of its matches in the window."""

    __slots__ = ("counts",)

    def __init__(self, rule: Correlation) -> None:
        super().__init__(rule)
        self.counts: dict[Any, int] = {}

    def push(self, match: Match) -> None:
        items, counts = self.items, self.counts
        items.append(match)
        for value in match[4]:
            counts[value] = counts.get(value, 0) + 1
        edge = match[0] - self.span
        while items[0][0] < edge:
            for value in items.popleft()[4]:
                left = counts[value] - 1
                if left:
                    counts[value] = left
                else:
                    del counts[value]

    def holds(self) -> bool:
        return self._meets(len(self.counts))

    def value(self) -> float:
        return len(self.counts)


class Temporal(Window):
    """``temporal``: how many of the base rules have a match in the window."""

    __slots__ = ("counts", "present")

    def __init__(self, rule: Correlation) -> None:
        super().__init__(rule)
        self.counts = [0] * len(rule.bases)
        self.present = 0

    def push(self, match: Match) -> None:
        items = self.items
        items.append(match)
        self._count(match[3], 1)
        edge = match[0] - self.span
        while items[0][0] < edge:
            self._count(items.popleft()[3], -1)

    def _count(self, mask: int, by: int) -> None:
        counts = self.counts
        while mask:
            lowest = mask & -mask
            place = lowest.bit_length() - 1
            before = counts[place]
            counts[place] = before + by
            self.present += (before + by > 0) - (before > 0)
            mask ^= lowest

    def holds(self) -> bool:
        return self._meets(self.present)

    def value(self) -> float:
        return self.present


class TemporalOrdered(Window):
    """``temporal_ordered``: all base rules, none before the one that precedes it in the rule.

    ``starts[i]`` is the latest time at which a chain of the rules 0 to i, in order, began.
    """

    __slots__ = ("last", "starts")

    def __init__(self, rule: Correlation) -> None:
        super().__init__(rule)
        self.starts: list[int | None] = [None] * len(rule.bases)
        self.last = 0

    def push(self, match: Match) -> None:
        super().push(match)
        place, self.last = match[1], match[0]
        if place == 0:
            self.starts[0] = match[0]
        elif self.starts[place - 1] is not None:
            self.starts[place] = self.starts[place - 1]

    def holds(self) -> bool:
        start = self.starts[-1]
        return start is not None and start >= self.last - self.span

    def value(self) -> float:
        return len(self.starts) if self.holds() else len(self.starts) - 1


class Numeric(Window):
    """Sum and number of the values in the window (``value_sum``)."""

    __slots__ = ("count", "total")

    def __init__(self, rule: Correlation) -> None:
        super().__init__(rule)
        self.total = 0
        self.count = 0

    def push(self, match: Match) -> None:
        items = self.items
        items.append(match)
        values = match[4]
        total, count = self.total + sum(values), self.count + len(values)
        edge = match[0] - self.span
        while items[0][0] < edge:
            values = items.popleft()[4]
            total -= sum(values)
            count -= len(values)
        self.total, self.count = total, count

    def holds(self) -> bool:
        return self.count > 0 and self._meets(self.total)

    def value(self) -> float:
        return self.total / 1e6


class Average(Numeric):
    """``value_avg``: the sum is compared with the limit times the number, so it is exact."""

    __slots__ = ()

    def holds(self) -> bool:
        total, count = self.total, self.count
        return count > 0 and all(compare(total, limit * count) for compare, limit in self.bounds)

    def value(self) -> float:
        return self.total / self.count / 1e6 if self.count else 0.0


class _Split:
    """The values at one limit's two sides: how many are below, and the two next to the limit.

    Both neighbours are the greatest and the least of a sliding window: a queue in which each value
    waits only while it may still become the one. Constant cost a value on average.
    """

    __slots__ = ("above", "below", "first", "inclusive", "least", "limit", "low", "next")

    def __init__(self, limit: int, inclusive: bool) -> None:
        self.limit = limit
        self.inclusive = inclusive
        """Whether the limit itself counts as below (``gt``, ``lte``)."""
        self.least = limit + inclusive
        """What counts as above at least; values are whole."""
        self.low = self.next = self.first = 0
        self.below: deque[tuple[int, int]] = deque()
        self.above: deque[tuple[int, int]] = deque()

    def push(self, values: Sequence[int]) -> None:
        for value in values:
            if value < self.least:
                self.low += 1
                below = self.below
                while below and below[-1][1] <= value:
                    below.pop()
                below.append((self.next, value))
            else:
                above = self.above
                while above and above[-1][1] >= value:
                    above.pop()
                above.append((self.next, value))
            self.next += 1

    def drop(self, values: Sequence[int]) -> None:
        for value in values:
            self.low -= value < self.least
        first = self.first = self.first + len(values)
        below, above = self.below, self.above
        while below and below[0][0] < first:
            below.popleft()
        while above and above[0][0] < first:
            above.popleft()

    def is_reached(self, count: int, percentile: int) -> bool:
        """Tells whether the percentile of ``count`` values is on the upper side.

        Between two ranks it is interpolated, as in NumPy and PostgreSQL (percentile_cont).
        """
        rank, part = divmod(percentile * (count - 1), PERCENT)
        if self.low <= rank:
            return True
        if self.low > rank + 1 or not part or not self.above:
            return False
        least, limit = self.below[0][1], self.limit * PERCENT
        at = least * (PERCENT - part) + self.above[0][1] * part
        return at > limit if self.inclusive else at >= limit


class Percentile(Window):
    """``value_percentile`` and ``value_median``, without sorting anything."""

    __slots__ = ("count", "percentile", "splits", "tests")

    def __init__(self, rule: Correlation) -> None:
        super().__init__(rule)
        self.percentile = rule.percentile
        self.count = 0
        self.splits: list[_Split] = []
        self.tests: list[tuple[str, list[_Split]]] = []
        for op, limit in rule.bounds:
            needed = {"gt": (True,), "lte": (True,), "gte": (False,), "lt": (False,)}
            own = [_Split(limit, inclusive) for inclusive in needed.get(op, (False, True))]
            self.splits += own
            self.tests.append((op, own))

    def push(self, match: Match) -> None:
        items, values = self.items, match[4]
        items.append(match)
        self.count += len(values)
        for split in self.splits:
            split.push(values)
        edge = match[0] - self.span
        while items[0][0] < edge:
            values = items.popleft()[4]
            self.count -= len(values)
            for split in self.splits:
                split.drop(values)

    def holds(self) -> bool:
        if not self.count:
            return False
        for op, own in self.tests:  # noqa: SIM110 - as in `Window.holds`
            if not self._test(op, own):
                return False
        return True

    def _test(self, op: str, own: Sequence[_Split]) -> bool:
        reached = own[0].is_reached(self.count, self.percentile)
        if len(own) == 1:
            return reached is (op in _UPPER)
        is_equal = reached and not own[1].is_reached(self.count, self.percentile)
        return is_equal is (op == "eq")

    def value(self) -> float:
        """Sorts: asked only when something fired."""
        values = sorted(value for match in self.items for value in match[4])
        if not values:
            return 0.0
        rank, part = divmod(self.percentile * (len(values) - 1), PERCENT)
        upper = values[min(rank + 1, len(values) - 1)]
        return float(values[rank] * (PERCENT - part) + upper * part) / PERCENT / 1e6


_KINDS: Mapping[str, type[Window]] = {
    "event_count": Window,
    "value_count": ValueCount,
    "temporal": Temporal,
    "temporal_ordered": TemporalOrdered,
    "value_sum": Numeric,
    "value_avg": Average,
    "value_percentile": Percentile,
    "value_median": Percentile,
}


def window_kind(rule: Correlation) -> type[Window]:
    """Returns the class that answers for a correlation."""
    if rule.kind == "event_count" and len(rule.bounds) == 1 and rule.bounds[0][0] in ("gt", "gte"):
        return Reaching
    return _KINDS[rule.kind]
