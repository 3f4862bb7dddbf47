"""What a correlation rule means (Sigma specification 2.1, and ``value_median``), to be evaluated.

`detect.correlate.reading` makes it from a document, `detect.correlate.resolve` puts ids in the
place of names.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from detect.rule import Rule

KINDS = (
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
)
NUMERIC = frozenset({"value_sum", "value_avg", "value_percentile", "value_median"})
MAX_FIELDS = 20
SCALE = 1_000_000
"""Values and limits of numeric kinds are whole millionths: sums are exact in any order."""
MAX_NUMBER = 2**63 - 1
KEPT_SPANS = 3
"""Matches are kept for the stated lateness and so many spans: what a late one can change."""


@dataclass(frozen=True, slots=True)
class Base:
    """One rule that a correlation refers to. ``names``: alias → field of that rule's events."""

    id: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation rule that can be evaluated.

    ``bases`` are in the order of the rule. ``span_ms`` is the length of the window. ``bounds`` are
    (operator, limit) that must all hold, limits of numeric kinds in millionths. ``percentile`` is
    in thousandths of a percent. ``fields`` are what values are counted of. ``carried`` are fields
    that correlations of this one ask for. ``generate``: its base rules alert as well. ``shared``:
    matches of all units count together. ``below_ms``: how far before its cause may lie what the
    correlations below tell, 0 where there are none.
    """

    rule: Rule
    kind: str
    bases: tuple[Base, ...]
    group_by: tuple[str, ...]
    fields: tuple[str, ...]
    span_ms: int
    bounds: tuple[tuple[str, int], ...]
    percentile: int
    generate: bool
    shared: bool
    carried: tuple[str, ...] = ()
    below_ms: int = 0

    @property
    def closing(self) -> bool:
        """Tells whether further matches can undo the condition: it is asked of whole windows."""
        return any(op in ("lt", "lte", "eq", "neq") for op, _ in self.bounds)


def silent_rules(correlations: Iterable[Correlation]) -> frozenset[str]:
    """Returns the ids of rules that alert only through a correlation (``generate`` is false)."""
    quiet: set[str] = set()
    loud: set[str] = set()
    for one in correlations:
        (loud if one.generate else quiet).update(base.id for base in one.bases)
    return frozenset(quiet - loud)


def dependants(correlations: Iterable[Correlation]) -> Mapping[str, list[tuple[Correlation, int]]]:
    """Returns rule id → the correlations that it is a base of, and as which of their bases."""
    found: dict[str, list[tuple[Correlation, int]]] = defaultdict(list)
    for one in correlations:
        for i, base in enumerate(one.bases):
            found[base.id].append((one, i))
    return found


def names_asked(one: Correlation) -> Iterator[str]:
    """Yields every field of an event that a correlation reads, by its own names."""
    yield from dict.fromkeys((*one.group_by, *one.fields, *one.carried))


def said(one: Correlation) -> str:
    """Returns a correlation in words: ``event_count gte 10 of failed_login by User in 600 s``."""
    scale = SCALE if one.kind in NUMERIC else 1
    bounds = " and ".join(f"{op} {limit / scale:g}" for op, limit in one.bounds)
    parts = [one.kind, *one.fields, bounds, "of", ", ".join(base.id for base in one.bases)]
    if one.group_by:
        parts += ["by", ", ".join(one.group_by)]
    return " ".join([*parts, "in", f"{one.span_ms // 1000} s"])
