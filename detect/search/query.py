"""A rule as one query over the data streams of all events that it is asked about."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from detect.build import Built, Variant, checked_condition, place
from detect.condition import Placeholders
from detect.engine import NOT_SEARCHED
from detect.logsource import Source
from detect.mappings import SOURCES
from detect.rule import ParsedRule, Rule, Unmapped
from detect.search.lucene import lucene
from detect.search.syntax import joined, name_text, quoted
from samlog.ecs import FIELDS
from samlog.errors import RuleError
from samlog.store.fields import SEARCH_TRUNCATED, Kind, kind

_VENDOR = {"winlog.channel": "winlog"}
"""Where such a field tells the source, this prefix has all that the sender wrote."""

_ECS_GROUPS = (
    "destination",
    "dns",
    "error",
    "file",
    "group",
    "host",
    "http",
    "process",
    "rule",
    "server",
    "source",
    "url",
    "user",
    "user_agent",
)
"""Groups of ECS that parsers fill from log lines, in which keywords are looked for."""


class Query(NamedTuple):
    """What a rule is in Lucene syntax, or why it cannot be that."""

    rule: Rule
    text: str
    error: RuleError | None = None


def query_of(
    parsed: ParsedRule, placeholders: Placeholders | None = None, *, widen: bool = False
) -> str:
    """Returns the query of one rule, for the events of all sources that answer to its logsource.

    Raises `RuleError`: what loading the rule raises, ``unmapped_logsource``, ``unmapped_field`` and
    ``not_searchable``.
    """
    node = checked_condition(parsed, placeholders or {})
    placed = place(parsed.rule, node, SOURCES, raw=False)
    if isinstance(placed, Unmapped):
        raise RuleError(
            f"no event that samlog knows has what the rule reads: {placed.detail}",
            reason=placed.reason,
            rule_id=parsed.rule.id,
        )
    return _text(placed, SOURCES, widen)


def queries(
    built: Built, *, widen: bool = False, wanted: Callable[[Rule], bool] = lambda rule: True
) -> Iterator[Query]:
    """Yields the query of every loaded rule that is wanted, in the order they were loaded."""
    by_rule: dict[int, list[Variant]] = {}
    for variant in built.variants:
        by_rule.setdefault(variant.rule, []).append(variant)
    for number, rule in enumerate(built.report.loaded):
        if not wanted(rule):
            continue
        try:
            yield Query(rule, _text(by_rule[number], built.sources, widen))
        except RuleError as error:
            yield Query(rule, "", error)


def _text(variants: Sequence[Variant], sources: Sequence[Source], widen: bool) -> str:
    parts: list[str] = []
    for variant in variants:
        its = [sources[i].where for i in sorted(variant.sources)]
        where = source_text(its)
        condition = lucene(variant.node, _anywhere(its), widen=widen)
        if widen:
            # What is too long to be searched is a candidate too.
            condition = joined([condition, f"tags.caseless:{SEARCH_TRUNCATED}"], "OR")
        parts.append(joined([where, condition], "AND"))
    return joined(parts, "OR")


Where = Mapping[str, tuple[str, ...]]


def source_text(wheres: Sequence[Where]) -> str:
    """Returns the query for events of any of several sources; what others include is left out."""
    wide = [
        where
        for i, where in enumerate(wheres)
        if not any(
            _includes(other, where) and (j < i or not _includes(where, other))
            for j, other in enumerate(wheres)
            if j != i
        )
    ]
    merged: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
    for where in wide:
        # Sources that differ in their last field only (event.code) become one.
        *first, last = where.items()
        if not last[1]:
            merged[tuple(where.items())] = []
            continue
        merged.setdefault((*first, (last[0], ("",))), []).extend(last[1])
    return joined([_where_text(key, values) for key, values in merged.items()], "OR")


def _where_text(key: Sequence[tuple[str, tuple[str, ...]]], last: Sequence[str]) -> str:
    parts = []
    for field, values in key:
        wanted = tuple(dict.fromkeys(last)) if values == ("",) else values
        if not wanted:
            parts.append(f"_exists_:{name_text(field)}")
            continue
        name = name_text(field) + (".caseless" if kind(field) is Kind.KEYWORD else "")
        parts.append(f"{name}:{joined([quoted(value) for value in wanted], 'OR')}")
    return joined(parts, "AND")


def _includes(wide: Where, narrow: Where) -> bool:
    return all(
        key in narrow and (not values or (narrow[key] and set(narrow[key]) <= set(values)))
        for key, values in wide.items()
    )


def _anywhere(wheres: Sequence[Where]) -> list[str]:
    """Returns the beginnings of names in which keywords are looked for."""
    found: dict[str, None] = {}
    for where in wheres:
        vendor = next((prefix for field, prefix in _VENDOR.items() if field in where), None)
        if vendor is not None:
            found[vendor] = None
            continue
        found.update(dict.fromkeys(_ECS_GROUPS))
        for dataset in where.get("event.dataset", ()):
            group = dataset.partition(".")[0]
            if f"{group}." not in NOT_SEARCHED:
                found[group] = None
    return list(found)


assert all(any(name.startswith(f"{group}.") for name in FIELDS) for group in _ECS_GROUPS)
