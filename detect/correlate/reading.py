"""Reads one Sigma correlation rule: it is made, or refused by name and reason.

Format: Sigma specification 2.1 (correlation rules), and ``value_median`` as pySigma has it. The
specification allows ranges in conditions, which pySigma does not read; so the section
``correlation`` is read here and only what every rule has is left to pySigma.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from detect.correlate.rule import KINDS, MAX_FIELDS, MAX_NUMBER, NUMERIC, SCALE, Base, Correlation
from detect.document import Document
from detect.rule import PARSE_FAULTS, Rule, RuleFile, metadata, sigma_reason
from samlog.errors import RuleError

OPERATORS = ("gt", "gte", "lt", "lte", "eq", "neq")
UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
MAX_SPAN_MS = 31 * UNIT_MS["d"]
MAX_RULES = 100
MAX_ALIASES = 50

_SPAN = re.compile(r"(\d{1,9})([smhdw])\Z", re.ASCII)
_KEYS = frozenset({"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"})
_NOT_COMMON = ("correlation", "logsource", "detection", "filter")


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
        generate=_generates(data, section),
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
    _check_possible(kind, bounds, rules)
    if kind == "temporal_ordered" and bounds not in ((("gte", rules),), (("gt", rules - 1),)):
        text = "temporal_ordered means all rules in order; its condition can say nothing else"
        raise RuleError(text, reason="invalid_condition")
    return bounds, fields, _percentile(kind, condition)


def _check_possible(kind: str, bounds: Iterable[tuple[str, int]], rules: int) -> None:
    """Raises `RuleError` for a count that no window has: its base rules would be silent for ever.

    A window begins with a match, so there is one at least; of rules there are no more than named.
    """
    if kind in NUMERIC:
        return
    most = rules if kind.startswith("temporal") else MAX_NUMBER
    low, high = 1, most
    for op, limit in bounds:
        low = max(low, {"gt": limit + 1, "gte": limit, "eq": limit}.get(op, low))
        high = min(high, {"lt": limit - 1, "lte": limit, "eq": limit}.get(op, high))
    if low > high:
        text = f"the condition never holds: {kind} counts from 1"
        text += f" to {rules} rules" if most == rules else ""
        raise RuleError(text, reason="invalid_condition")


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


def _generates(*places: Mapping[str, Any]) -> bool:
    """Reads ``generate``: beside ``level`` in the schema, in the section for pySigma."""
    said = [place["generate"] for place in places if "generate" in place]
    if not all(isinstance(value, bool) for value in said) or len(set(said)) > 1:
        raise RuleError("generate is true or false, said once", reason="invalid_correlation")
    return bool(said and said[0])


def _is_shared(data: Mapping[str, Any]) -> bool:
    own = data.get("samlog")
    scope = own.get("scope", "unit") if isinstance(own, Mapping) else "unit"
    if scope not in ("unit", "shared"):
        raise RuleError("samlog.scope is unit or shared", reason="invalid_correlation")
    return bool(scope == "shared")
