"""Which rules can fire on what a unit delivers, and why the others cannot.

A rule can fire where an event of a kind that it is meant for was seen, or is to come from a source
that is configured with its parser, and where every field without which it cannot fire was seen in
such events. Fields are judged only when `ENOUGH` events were looked at: before, a field may still
come.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from detect.build import Built
from detect.index import keys_of
from detect.logsource import Source
from detect.necessary import KEYWORDS, Clause
from detect.rule import Rule

ENOUGH = 1_000

Kind = tuple[str, str, str]
"""(product, category, service) of a `Source`."""


@dataclass
class Delivered:
    """What one unit delivers. ``events``: kind → events looked at; ``fields``: kind → names seen.

    ``configured``: kinds that a source of the unit is to deliver by its configuration.
    """

    events: Counter[Kind] = field(default_factory=Counter)
    fields: dict[Kind, set[str]] = field(default_factory=lambda: defaultdict(set))
    configured: set[Kind] = field(default_factory=set)


class Reach(NamedTuple):
    """What is known of one rule in one unit.

    ``verdict``: ``seen`` (can fire), ``configured`` (can fire once such events come), or why it
    cannot: ``no_source``, ``no_field``, ``unmapped_logsource``, ``unmapped_field``. ``detail``
    names the logsource or the fields.
    """

    rule: Rule
    verdict: str
    detail: str

    @property
    def can_fire(self) -> bool:
        return self.verdict in {"seen", "configured"}


def coverage(built: Built, delivered: Delivered) -> list[Reach]:
    """Returns what is known of every rule that was read, in the order in which they were loaded."""
    variants: dict[int, list[int]] = defaultdict(list)
    for number, variant in enumerate(built.variants):
        variants[variant.rule].append(number)
    found = [
        _reach(rule, variants[i], built, delivered) for i, rule in enumerate(built.report.loaded)
    ]
    return found + [Reach(u.rule, u.reason, u.detail) for u in built.report.unmapped]


def kind_of(source: Source) -> Kind:
    """Returns what names a source in the ledger."""
    return source.product, source.category, source.service


def _reach(rule: Rule, numbers: Iterable[int], built: Built, delivered: Delivered) -> Reach:
    missing: set[str] = set()
    configured = False
    for number in numbers:
        kinds = {kind_of(built.sources[i]) for i in built.variants[number].sources}
        seen = [kind for kind in kinds if delivered.events[kind]]
        configured |= not kinds.isdisjoint(delivered.configured)
        if seen:
            lacking = _lacking(built.needs[number].clauses, seen, delivered)
            if not lacking:
                return Reach(rule, "seen", "")
            missing |= lacking
    if missing:
        return Reach(rule, "no_field", ", ".join(sorted(missing)))
    words = " ".join(filter(None, rule.logsource))
    return Reach(rule, "configured" if configured else "no_source", words)


def _lacking(clauses: Sequence[Clause], seen: Sequence[Kind], delivered: Delivered) -> set[str]:
    """Returns the fields for want of which the rule cannot fire on the kinds seen; {} = it can."""
    if sum(delivered.events[kind] for kind in seen) < ENOUGH:
        return set()
    there = {name for kind in seen for name in delivered.fields.get(kind, ())}
    missing: set[str] = set()
    for clause in clauses:
        if any(atom.kind == "none" or atom.slot == KEYWORDS for atom in clause):
            continue
        names = {name for atom in clause for name in keys_of(atom.slot)}
        if names.isdisjoint(there):
            missing |= names
    return missing


def by_product(found: Iterable[Reach]) -> list[dict[str, object]]:
    """Returns per product how many rules there are, can fire, and cannot; most rules first."""
    counts: Mapping[str, Counter[str]] = defaultdict(Counter)
    for reach in found:
        product, category, service = reach.rule.logsource
        counts[product or f"(any) {category or service}"][reach.verdict] += 1
    verdicts = (
        "seen",
        "configured",
        "no_source",
        "no_field",
        "unmapped_logsource",
        "unmapped_field",
    )
    rows = [
        {"product": name, "rules": count.total()}
        | {verdict: count[verdict] for verdict in verdicts}
        for name, count in counts.items()
    ]
    return sorted(rows, key=lambda row: (-int(str(row["rules"])), str(row["product"])))


def fields_read(built: Built) -> frozenset[str]:
    """Returns the keys of events without which some rule cannot fire."""
    return frozenset(
        name
        for needs in built.needs
        for clause in needs.clauses
        for atom in clause
        if atom.slot != KEYWORDS
        for name in keys_of(atom.slot)
    )
