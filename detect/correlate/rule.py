"""Sigma correlation rules from files: each one is loaded, or refused by name and reason.

Format: Sigma specification 2.1 (correlation rules), and ``value_median`` as pySigma has it. The
specification allows ranges in conditions, which pySigma does not read; so the section
``correlation`` is read here and only what every rule has is left to pySigma.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from detect.document import Document, line_of
from detect.rule import (
    PARSE_FAULTS,
    LoadReport,
    Rule,
    RuleFile,
    located,
    metadata,
    sigma_reason,
)
from samlog.errors import RuleError

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
OPERATORS = ("gt", "gte", "lt", "lte", "eq", "neq")
UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
MAX_SPAN_MS = 31 * UNIT_MS["d"]
MAX_RULES = 100
MAX_FIELDS = 20
MAX_ALIASES = 50
MAX_CHAIN = 10
SCALE = 1_000_000
"""Values and limits of numeric kinds are whole millionths: sums are exact in any order."""
MAX_NUMBER = 10**18

_SPAN = re.compile(r"(\d{1,9})([smhdw])\Z", re.ASCII)
_KEYS = frozenset({"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"})

_NOT_COMMON = ("correlation", "logsource", "detection", "filter")

Found = tuple[Document, RuleFile]


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
    matches of all units count together.
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

    @property
    def closing(self) -> bool:
        """Tells whether further matches can undo the condition: it is asked of whole windows."""
        return any(op in ("lt", "lte", "eq", "neq") for op, _ in self.bounds)


def correlations_of(
    found: Iterable[Found], rules: Sequence[Rule], report: LoadReport
) -> list[Correlation]:
    """Returns the correlations that can be evaluated; the others are refused in ``report``.

    ``rules`` are those that can fire. A correlation whose base is refused, unmapped or missing is
    refused itself, and so is what builds on it.
    """
    drafts: dict[str, tuple[Correlation, Document, RuleFile]] = {}
    taken = {rule.id: rule for rule in rules}
    for document, file in found:
        try:
            made = read(document, file)
            if made.rule.id in taken:
                other = taken[made.rule.id]
                text = f"the id {made.rule.id} is already that of {other.path} (line {other.line})"
                raise RuleError(text + "; an id names one rule", reason="duplicate_id")
        except RuleError as error:
            report.refuse(_located(error, error.reason, document, file))
            continue
        taken[made.rule.id] = made.rule
        drafts[made.rule.id] = (made, document, file)
    names: dict[str, list[str]] = defaultdict(list)
    for rule in taken.values():
        names[rule.id].append(rule.id)
        if rule.name and rule.name != rule.id:
            names[rule.name].append(rule.id)
    return _Resolver(drafts, names, report).resolved()


class _Resolver:
    """Replaces names by ids, each correlation behind its bases."""

    def __init__(
        self,
        drafts: Mapping[str, tuple[Correlation, Document, RuleFile]],
        names: Mapping[str, Sequence[str]],
        report: LoadReport,
    ) -> None:
        self._drafts = drafts
        self._names = names
        self._report = report
        self._done: dict[str, Correlation | None] = {}
        self._depth: dict[str, int] = {}

    def resolved(self) -> list[Correlation]:
        """Returns what stands, bases before what refers to them."""
        for rule_id in self._drafts:
            self._resolve(rule_id, ())
        return _carrying([made for made in self._done.values() if made is not None])

    def _resolve(self, rule_id: str, above: tuple[str, ...]) -> Correlation | None:
        if rule_id in self._done:
            return self._done[rule_id]
        draft, document, file = self._drafts[rule_id]
        made: Correlation | None = None
        try:
            made = replace(draft, bases=self._bases(draft, (*above, rule_id)))
        except RuleError as error:
            self._report.refuse(_located(error, error.reason, document, file))
        self._done[rule_id] = made
        return made

    def _bases(self, draft: Correlation, above: tuple[str, ...]) -> tuple[Base, ...]:
        bases: list[Base] = []
        deepest = 0
        for base in draft.bases:
            found = self._names.get(base.id) or self._names.get(base.id.lower()) or ()
            shown = repr(base.id[:80])
            if not found:
                text = f"refers to {shown}, which is the id or name of no rule that can fire"
                raise RuleError(text, reason="dangling_reference")
            if len(found) > 1:
                text = f"refers to {shown}, which {len(found)} rules are called"
                raise RuleError(text, reason="ambiguous_reference")
            if found[0] in above:
                raise RuleError(f"refers to itself through {shown}", reason="correlation_cycle")
            if found[0] in self._drafts:
                deepest = max(deepest, self._below(found[0], above, shown))
            bases.append(Base(found[0], base.names))
        if len({base.id for base in bases}) < len(bases):
            raise RuleError("names one rule twice", reason="invalid_correlation")
        if deepest >= MAX_CHAIN:
            raise _too_deep()
        self._depth[above[-1]] = deepest + 1
        return tuple(bases)

    def _below(self, rule_id: str, above: tuple[str, ...], shown: str) -> int:
        if len(above) > MAX_CHAIN:
            raise _too_deep()
        if self._resolve(rule_id, above) is None:
            text = f"refers to {shown}, which is refused itself"
            raise RuleError(text, reason="dangling_reference")
        return self._depth[rule_id]


def _too_deep() -> RuleError:
    text = f"builds on a chain of more than {MAX_CHAIN} correlations"
    return RuleError(text, reason="correlation_too_deep")


def _carrying(made: Sequence[Correlation]) -> list[Correlation]:
    """Has each correlation carry the fields that correlations of it ask for."""
    asked: dict[str, dict[str, None]] = defaultdict(dict)
    whole: list[Correlation] = []
    for one in reversed(made):
        carried = [name for name in asked[one.rule.id] if name not in one.group_by]
        one = replace(one, carried=tuple(carried[:MAX_FIELDS]))
        whole.append(one)
        for base in one.bases:
            for name in (*one.group_by, *one.fields, *one.carried):
                asked[base.id][base.names.get(name, name)] = None
    return whole[::-1]


def read(document: Document, file: RuleFile) -> Correlation:
    """Returns the correlation in ``document``, its bases still by name. Raises `RuleError`."""
    data = document.data
    section = data.get("correlation")
    if not isinstance(section, Mapping):
        text = "correlation holds no mapping of names to values"
        raise RuleError(text, reason="invalid_correlation")
    unknown = sorted(str(key) for key in section if key not in _KEYS)
    if unknown:
        text = f"correlation has no key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}"
        raise RuleError(text, reason="invalid_correlation")
    kind = section.get("type")
    if kind not in KINDS:
        text = f"{kind!r} is no type of correlation; known: {', '.join(KINDS)}"
        raise RuleError(text, reason="invalid_correlation_type")
    bases = _base_names(section)
    aliases = _aliases(section, bases)
    bounds, fields, percentile = _condition(kind, section.get("condition"), len(bases))
    return Correlation(
        rule=_metadata(document, file),
        kind=kind,
        bases=tuple(Base(name, aliases.get(name, {})) for name in bases),
        group_by=_names(section.get("group-by"), "group-by"),
        fields=fields,
        span_ms=span_ms(section.get("timespan")),
        bounds=bounds,
        percentile=percentile,
        generate=_flag(section),
        shared=_is_shared(data),
    )


def _metadata(document: Document, file: RuleFile) -> Rule:
    """Reads what every rule has with pySigma, beside a detection that it surely takes."""
    data = {name: part for name, part in document.data.items() if name not in _NOT_COMMON}
    plain = {"logsource": {"category": "x"}, "detection": {"x": ["x"], "condition": "x"}}
    try:
        sigma = SigmaRule.from_dict({**data, **plain})
        return replace(metadata(sigma, file, document.line), logsource=("", "", ""))
    except SigmaError as error:
        raise RuleError(str(error), reason=sigma_reason(error)) from error
    except PARSE_FAULTS as error:
        raise RuleError(f"is no Sigma rule: {error}", reason="invalid_rule") from error


def _base_names(section: Mapping[str, Any]) -> tuple[str, ...]:
    rules = section.get("rules")
    if isinstance(rules, str):
        rules = [rules]
    if not isinstance(rules, list) or not rules or not all(isinstance(r, str) for r in rules):
        raise RuleError("rules names no rule; give ids or names", reason="invalid_correlation")
    if len(rules) > MAX_RULES:
        raise RuleError(f"names more than {MAX_RULES} rules", reason="rule_too_large")
    return tuple(rules)


def _names(value: Any, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise RuleError(f"{key} is a list of fields", reason="invalid_correlation")
    if len(names) > MAX_FIELDS:
        raise RuleError(f"{key} names more than {MAX_FIELDS} fields", reason="rule_too_large")
    return tuple(dict.fromkeys(names))


def _aliases(section: Mapping[str, Any], bases: Sequence[str]) -> dict[str, dict[str, str]]:
    """Returns base → alias → field."""
    aliases = section.get("aliases") or {}
    if not isinstance(aliases, Mapping) or len(aliases) > MAX_ALIASES:
        raise RuleError("aliases maps at most 50 names to rules", reason="invalid_correlation")
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for alias, places in aliases.items():
        if not isinstance(alias, str) or not isinstance(places, Mapping):
            raise RuleError("an alias maps rules to fields", reason="invalid_correlation")
        for base, name in places.items():
            if base not in bases:
                text = f"alias {alias!r} is for {base!r}, which rules does not name"
                raise RuleError(text, reason="dangling_reference")
            if not isinstance(name, str) or not name:
                raise RuleError("an alias stands for a field", reason="invalid_correlation")
            found[base][alias] = name
    return found


def span_ms(text: Any) -> int:
    """Returns a time span such as ``90m`` in milliseconds. Raises `RuleError`."""
    found = _SPAN.match(text) if isinstance(text, str) else None
    length = int(found[1]) * UNIT_MS[found[2]] if found else 0
    if not 0 < length <= MAX_SPAN_MS:
        raise RuleError(
            f"timespan {text!r} is no number with s, m, h, d or w, up to 31d",
            reason="invalid_timespan",
        )
    return length


def _condition(
    kind: str, condition: Any, rules: int
) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...], int]:
    """Returns the bounds, the fields, and the percentile in thousandths."""
    temporal = kind.startswith("temporal")
    if condition is None and temporal:
        condition = {"gte": rules}
    if not isinstance(condition, Mapping):
        raise RuleError("the condition is a map such as {gte: 10}", reason="invalid_condition")
    bounds = tuple(_bound(kind, key, limit) for key, limit in _bounds(condition))
    fields = _names(condition.get("field"), "field")
    if kind.startswith("value") and not fields:
        raise RuleError(f"{kind} needs condition.field", reason="invalid_condition")
    if kind in NUMERIC and len(fields) > 1:
        raise RuleError(f"{kind} takes one field", reason="invalid_condition")
    if temporal:
        bounds = tuple(("gte", n) if (op, n) == ("eq", rules) else (op, n) for op, n in bounds)
    if kind == "temporal_ordered" and bounds not in ((("gte", rules),), (("gt", rules - 1),)):
        text = "temporal_ordered means all rules in order; its condition can say nothing else"
        raise RuleError(text, reason="invalid_condition")
    return bounds, fields, _percentile(kind, condition)


def _bounds(condition: Mapping[str, Any]) -> list[tuple[str, Any]]:
    unknown = [str(k) for k in condition if k not in (*OPERATORS, "field", "percentile")]
    if unknown:
        text = f"a condition has no {unknown[0]!r}; known: {', '.join(OPERATORS)}, field"
        raise RuleError(text, reason="invalid_condition")
    found = [(op, condition[op]) for op in OPERATORS if op in condition]
    if not found:
        raise RuleError("the condition compares with nothing", reason="invalid_condition")
    return found


def _bound(kind: str, op: str, limit: Any) -> tuple[str, int]:
    text = f"{op}: {limit!r} is no number that {kind} can be compared with"
    if isinstance(limit, bool) or not isinstance(limit, int | float | str):
        raise RuleError(text, reason="invalid_condition")
    try:
        value = Decimal(str(limit)) * (SCALE if kind in NUMERIC else 1)
    except InvalidOperation as error:
        raise RuleError(text, reason="invalid_condition") from error
    if not value.is_finite() or abs(value) > MAX_NUMBER or value != value.to_integral_value():
        raise RuleError(text, reason="invalid_condition")
    return op, int(value)


def _percentile(kind: str, condition: Mapping[str, Any]) -> int:
    given = condition.get("percentile", 50)
    if kind != "value_percentile" and "percentile" in condition:
        raise RuleError(f"{kind} has no percentile", reason="invalid_condition")
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 100:
        raise RuleError("percentile is a number from 0 to 100", reason="invalid_condition")
    return round(given * 1000)


def _flag(section: Mapping[str, Any]) -> bool:
    generate = section.get("generate", False)
    if not isinstance(generate, bool):
        raise RuleError("generate is true or false", reason="invalid_correlation")
    return generate


def _is_shared(data: Mapping[str, Any]) -> bool:
    own = data.get("samlog")
    scope = own.get("scope", "unit") if isinstance(own, Mapping) else "unit"
    if scope not in ("unit", "shared"):
        raise RuleError("samlog.scope is unit or shared", reason="invalid_correlation")
    return bool(scope == "shared")


def _located(error: Exception, reason: str, document: Document, file: RuleFile) -> RuleError:
    """Names file, line (of the section ``correlation``) and rule."""
    rule_id = str(document.data.get("id", ""))[:64]
    made = located(error, str(error), reason, document, file, rule_id)
    if made.line == document.line:
        text = str(error)
        line = _section_line(document, file)
        return RuleError(text, reason=reason, path=str(file.path), line=line, rule_id=rule_id)
    return made


def _section_line(document: Document, file: RuleFile) -> int:
    return line_of(document.path, file.data, document.line, "correlation")


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
