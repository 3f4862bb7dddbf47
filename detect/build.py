"""From rule files to what an engine runs: read, parsed, placed in the events, and compiled."""

import gc
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from sigma.exceptions import SigmaError

from detect import cache
from detect.compile import Program, compile_rules
from detect.condition import Node, Placeholders, condition_of, relocated, tests_of
from detect.correlate.resolve import correlations_of
from detect.correlate.rule import Correlation
from detect.document import Document
from detect.evaluate import text_predicate
from detect.filters import Filter, filters_of
from detect.logsource import SAME, Fields, Source
from detect.mappings import RAW_SOURCES, SOURCES
from detect.necessary import Needs, needs
from detect.places import NoField, Placed, Places
from detect.rule import (
    PARSE_FAULTS,
    LoadReport,
    ParsedRule,
    Rule,
    RuleFile,
    Unmapped,
    each_rule,
    read_rules,
    sigma_reason,
)
from samlog.errors import RuleError

FREED_EVERY = 100
"""Rules after which what pySigma made of them, with its reference cycles, is freed."""
MAX_REGEXES = 1_000
"""Regexes in one rule; compiling one takes up to 0.25 s, 1 ms is usual."""


class Variant(NamedTuple):
    """A rule with its fields placed in the events of some sources.

    ``rule`` is the index in ``report.loaded``, ``sources`` are indexes in `Built.sources`.
    ``plain``: the rule's own field names, which exists once for every rule in raw mode.
    """

    rule: int
    node: Node
    sources: frozenset[int]
    plain: bool


class Built(NamedTuple):
    """Everything that an engine needs.

    ``program`` holds one predicate a variant and ``needs`` what single values say of each, in
    their order.
    """

    report: LoadReport
    variants: tuple[Variant, ...]
    program: Program
    needs: Sequence[Needs]
    sources: tuple[Source, ...]
    filters: Sequence[Filter] = ()
    correlations: Sequence[Correlation] = ()
    sha256: str = ""
    """Of the rule files' names and bytes and of the values of placeholders."""


@contextmanager
def _no_collection() -> Iterator[None]:
    """Stops the search for reference cycles: 3,754 rules take 5 s without it and 7 s with it.

    From the cache 0.5 and 0.9 s.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_collection()
def build(
    roots: Sequence[Path],
    *,
    mode: str,
    placeholders: Placeholders,
    cache_dir: Path | None = None,
) -> Built:
    """Returns the compiled rules at or below ``roots``; see `Engine.load`."""
    report = LoadReport()
    files = read_rules(roots, report)
    sources = SOURCES if mode == "ecs" else RAW_SOURCES
    if cache_dir is None:
        return _compiled(files, report, sources, mode, placeholders)
    key = cache.key_of(files, mode, placeholders)
    digest = content_hash(files, placeholders)
    kept = cache.read(cache_dir, key)
    if kept is not None:
        return _restored(kept, report, sources, digest)
    # Detect and correlate start together with the same rules: 8 s of CPU saved for all of SigmaHQ.
    with cache.one_at_a_time(cache_dir):
        kept = cache.read(cache_dir, key)
        if kept is not None:
            return _restored(kept, report, sources, digest)
        unreadable = len(report.refused)
        products = report.refused_products.copy()
        built = _compiled(files, report, sources, mode, placeholders)
        own = LoadReport(
            report.loaded,
            report.refused[unreadable:],
            report.unmapped,
            report.refused_products - products,
        )
        more = (built.filters, built.correlations)
        made = cache.Kept(own, built.variants, built.program, built.needs, *more)
        report.cache_problem = cache.write(cache_dir, key, made)
        return built


def _restored(
    kept: cache.Kept, report: LoadReport, sources: tuple[Source, ...], digest: str
) -> Built:
    """Returns what was kept, with the files that could not be read this time."""
    kept.report.refused[:0] = report.refused
    kept.report.refused_products.update(report.refused_products)
    variants = tuple(Variant(*fields) for fields in kept.variants)
    rest = (kept.filters, kept.correlations, digest)
    return Built(kept.report, variants, kept.program, kept.needs, sources, *rest)


def _compiled(
    files: Sequence[RuleFile],
    report: LoadReport,
    sources: tuple[Source, ...],
    mode: str,
    placeholders: Placeholders,
) -> Built:
    variants: list[Variant] = []
    found: list[tuple[Document, RuleFile]] = []
    rules: list[Rule] = []
    for parsed in each_rule(files, report, found):
        rule = parsed.rule
        rules.append(rule)
        if len(rules) % FREED_EVERY == 0:
            gc.collect(0)
        try:
            node = checked_condition(parsed, placeholders)
        except (RuleError, SigmaError, *PARSE_FAULTS) as error:
            report.refuse(_refusal(error, parsed), rule.logsource[0])
            continue
        placed = place(rule, node, sources, raw=mode == "raw")
        if isinstance(placed, Unmapped):
            report.unmapped.append(placed)
            continue
        variants.extend(variant._replace(rule=len(report.loaded)) for variant in placed)
        report.loaded.append(rule)
    own = [one for one in found if "filter" in one[0].data]
    filters = filters_of(own, rules, report, lambda p: checked_condition(p, placeholders))
    filters = [f for f in filters if _can_be_asked(f, variants, report, sources)]
    program = compile_rules([variant.node for variant in variants])
    asked = [needs(variant.node) for variant in variants]
    others = [one for one in found if "filter" not in one[0].data]
    rest = (correlations_of(others, report.loaded, report), content_hash(files, placeholders))
    return Built(report, tuple(variants), program, asked, sources, filters, *rest)


def content_hash(files: Iterable[RuleFile], placeholders: Placeholders) -> str:
    """Returns what names a rule set wherever it lies: the same files give the same."""
    digest = sha256()
    for file in sorted(files, key=lambda file: (file.name, file.data)):
        digest.update(f"{file.name}\0{len(file.data)}\0".encode("utf-8", "replace"))
        digest.update(file.data)
    for name, values in sorted(placeholders.items()):
        digest.update(f"{name}\0{list(values)!r}\0".encode("utf-8", "replace"))
    return digest.hexdigest()


def _can_be_asked(
    found: Filter, variants: Sequence[Variant], report: LoadReport, sources: Sequence[Source]
) -> bool:
    """Tells whether events of its rules have the filter's fields; else refuses it."""
    missing = lacking(Placed(found.node), found.rules, variants, report, sources)
    if missing:
        text = f"no event of its rules has the field {', '.join(sorted(missing))}"
        error = RuleError(text, reason="unmapped_field", path=found.path, line=found.line)
        error.rule_id = found.id
        report.refuse(error)
    return not missing


def lacking(
    placed: Placed,
    rules: Collection[str],
    variants: Sequence[Variant],
    report: LoadReport,
    sources: Sequence[Source],
) -> set[str]:
    """Returns the fields for want of which a condition can be asked about no event of ``rules``."""
    missing: set[str] = set()
    for variant in variants:
        if report.loaded[variant.rule].id in rules:
            for fields in fields_of(variant, sources):
                found = placed.missing(fields)
                if not found:
                    return set()
                missing |= found
    return missing


def fields_of(variant: Variant, sources: Sequence[Source]) -> list[Fields]:
    """Returns the field tables of the events that a variant is asked about."""
    if variant.plain:
        return [SAME]
    return list(dict.fromkeys(sources[i].fields for i in sorted(variant.sources)))


def checked_condition(parsed: ParsedRule, placeholders: Placeholders) -> Node:
    """Returns the rule's condition with its own field names. Raises for what cannot be evaluated.

    `RuleError`: see `detect.condition.condition_of`, ``regex_not_linear``, ``regex_too_large``.
    """
    node = condition_of(parsed.sigma, placeholders)
    regexes = {test.arg for test in tests_of(node) if test.op == "re"}
    if len(regexes) > MAX_REGEXES:
        raise RuleError(f"holds more than {MAX_REGEXES:,} regexes", reason="rule_too_large")
    for regex in regexes:
        text_predicate("re", regex)
    return node


def _refusal(error: Exception, parsed: ParsedRule) -> RuleError:
    reason = "invalid_rule"
    if isinstance(error, RuleError):
        reason = error.reason
    elif isinstance(error, SigmaError):
        reason = sigma_reason(error)
    elif isinstance(error, RecursionError):
        reason = "condition_too_large"
    rule = parsed.rule
    path = str(parsed.file)
    return RuleError(str(error), reason=reason, path=path, line=rule.line, rule_id=rule.id)


def place(
    rule: Rule, node: Node, sources: Sequence[Source], *, raw: bool
) -> list[Variant] | Unmapped:
    """Returns the rule once for every set of field places that its sources have."""
    by_fields: dict[Fields, set[int]] = {SAME: set()} if raw else {}
    for i, source in enumerate(sources):
        if source.answers(rule.logsource):
            by_fields.setdefault(source.fields, set()).add(i)
    variants: list[Variant] = []
    missing: set[str] = set()
    for fields, numbers in by_fields.items():
        try:
            placed = relocated(node, Places(fields, missing))
        except NoField:
            continue
        _add(variants, Variant(0, placed, frozenset(numbers), fields is SAME))
    if variants:
        return variants
    if missing:
        return Unmapped(rule, "unmapped_field", ", ".join(sorted(missing)))
    words = zip(("product", "category", "service"), rule.logsource, strict=True)
    detail = ", ".join(f"{name} {value}" for name, value in words if value)
    return Unmapped(rule, "unmapped_logsource", detail)


def _add(variants: list[Variant], new: Variant) -> None:
    """Adds a variant, or its sources to the one that reads the same places."""
    for i, old in enumerate(variants):
        if old.node == new.node:
            variants[i] = old._replace(sources=old.sources | new.sources)
            return
    variants.append(new)
