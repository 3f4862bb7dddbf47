"""Correlations for tests, and the slow reference that the engine is held against."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from detect.correlate.rule import Base, Correlation
from detect.correlate.window import Match
from detect.rule import Rule

SECOND = 1_000
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
}


def meta(rule_id: str = "22222222-2222-4222-8222-222222222222", **extra: Any) -> Rule:
    fields: dict[str, Any] = {
        "id": rule_id,
        "title": "a correlation under test",
        "level": "high",
        "status": "test",
        "author": "Kari",
        "description": "",
        "tags": (),
        "attack": (),
        "falsepositives": (),
        "references": (),
        "logsource": ("", "", ""),
        "log_class": "",
        "entity": "",
        "path": "c.yml",
        "line": 1,
        "sha256": "00",
    }
    return Rule(**(fields | extra))


def correlation(kind: str = "event_count", **extra: Any) -> Correlation:
    fields: dict[str, Any] = {
        "rule": meta(),
        "kind": kind,
        "bases": tuple(Base(f"base-{i}", {}) for i in range(extra.pop("rules", 2))),
        "group_by": ("user",),
        "fields": ("value",) if kind.startswith("value") else (),
        "span_ms": 10 * SECOND,
        "bounds": (("gte", 3),),
        "percentile": 50_000,
        "generate": False,
        "shared": False,
    }
    return Correlation(**(fields | extra))


def match(t: int, id_: str, *, mask: int = 1, values: Sequence[Any] = (), order: int = 0) -> Match:
    return Match(t, order, id_, mask, values, b"{}", 0)


def metric(rule: Correlation, window: Sequence[Match]) -> Any:
    """What the condition is about, computed from the whole window. None: it can't hold."""
    values = [value for m in window for value in m.values]
    if rule.kind == "event_count":
        return len(window)
    if rule.kind == "value_count":
        return len(set(values))
    if rule.kind == "temporal":
        return len({i for m in window for i in range(len(rule.bases)) if m.mask >> i & 1})
    if rule.kind == "temporal_ordered":
        return longest_chain(window, len(rule.bases))
    if not values:
        return None
    if rule.kind == "value_sum":
        return sum(values)
    if rule.kind == "value_avg":
        return Fraction(sum(values), len(values))
    return percentile(sorted(values), rule.percentile)


def longest_chain(window: Sequence[Match], rules: int) -> int:
    """All rules, if for some choice of one match each their times do not fall; else fewer."""
    t = -1
    for place in range(rules):
        later = [m.t for m in window if m.order == place and m.t >= t]
        if not later:
            return place
        t = min(later)
    return rules


def percentile(values: Sequence[int], thousandths: int) -> Any:
    at = Fraction(thousandths, 100_000) * (len(values) - 1)
    low = at.numerator // at.denominator
    if low + 1 >= len(values):
        return Fraction(values[low])
    return values[low] + (at - low) * (values[low + 1] - values[low])


Fired = tuple[int, str, int, int]
"""Slot, id of the match, size of the window, number of matches until the slot's end."""


def reference(rule: Correlation, matches: Sequence[Match]) -> set[Fired]:
    """The firings by definition, in quadratic time."""
    ordered = sorted(set(matches), key=lambda m: m[:3])
    fired: dict[int, Fired] = {}
    for i, last in enumerate(ordered):
        window = [m for m in ordered[: i + 1] if m.t >= last.t - rule.span_ms]
        if rule.closing:
            following = ordered[i + 1 : i + 2]
            if following and following[0].t <= window[0].t + rule.span_ms:
                continue
        found = metric(rule, window)
        if found is not None and all(COMPARE[op](found, limit) for op, limit in rule.bounds):
            slot = last.t // rule.span_ms
            end = (slot + 1) * rule.span_ms
            count = sum(window[0].t <= m.t < end for m in ordered)
            fired.setdefault(slot, (slot, last.id, len(window), count))
    return set(fired.values())
