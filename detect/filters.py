"""Sigma filter documents: what takes matches away from the rules that it names.

Format: Sigma specification 2.1, filters. A filter's own condition is joined to the rule's by
``and``, so it says what is *not* to be left out: ``condition: not selection``. Rules are named by
id or by name; ``any`` is every rule of the filter's logsource. A filter that names a rule which is
not there, or whose logsource does not contain the rule's, is refused by name and applied to none:
then there are more matches than wanted, never fewer.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sigma.exceptions import SigmaError

from detect.condition import Node
from detect.document import Document
from detect.rule import (
    PARSE_FAULTS,
    LoadReport,
    LogSource,
    ParsedRule,
    Rule,
    RuleFile,
    located,
    parse_document,
    sigma_reason,
)
from samlog.errors import RuleError

ANY = "any"
MAX_REFERENCES = 10_000

ConditionOf = Callable[[ParsedRule], Node]
Found = tuple[Document, RuleFile]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that is in force. ``rules`` are the ids of the rules that it is applied to.

    ``id`` is the document's own or, without one, made from its content. ``node`` has the field
    names of the rules.
    """

    id: str
    title: str
    path: str
    line: int
    rules: frozenset[str]
    node: Node


def filters_of(
    found: Iterable[Found],
    rules: Sequence[Rule],
    report: LoadReport,
    condition: ConditionOf,
) -> list[Filter]:
    """Returns the filters that can be applied; the others are refused in ``report``.

    ``rules`` are all that were parsed; what is refused or without a mapping may be named as well.
    """
    known: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        for name in {rule.id, rule.name} - {""}:
            known[name].append(rule)
    for error in report.refused:
        if error.rule_id:
            known.setdefault(error.rule_id, [])
    taken = {rule.id: rule.path for rule in rules}
    filters: list[Filter] = []
    for document, file in found:
        try:
            made = _filter(document, file, known, condition)
            if made.id in taken:
                text = f"the id {made.id} is already that of {taken[made.id]}; an id names one"
                raise RuleError(text, reason="duplicate_id")
        except RuleError as error:
            report.refuse(_located(error, str(error), error.reason, document, file))
        except SigmaError as error:
            report.refuse(_located(error, str(error), sigma_reason(error), document, file))
        except PARSE_FAULTS as error:
            text = f"is no Sigma filter: {error}"
            report.refuse(_located(error, text, "not_a_filter", document, file))
        else:
            taken[made.id] = made.path
            filters.append(made)
    return filters


def _located(
    error: Exception, text: str, reason: str, document: Document, file: RuleFile
) -> RuleError:
    if isinstance(error, RuleError) and error.path:
        return error
    rule_id = str(document.data.get("id", ""))[:64]
    return located(error, text, reason, document, file, rule_id)


def _filter(
    document: Document, file: RuleFile, known: Mapping[str, Sequence[Rule]], condition: ConditionOf
) -> Filter:
    body = document.data["filter"]
    if not isinstance(body, Mapping):
        raise RuleError("filter holds no mapping of names to values", reason="not_a_filter")
    parsed = parse_document(document._replace(data=_as_rule(document.data, body)), file)
    node = condition(parsed)
    chosen = _chosen(body.get("rules"), parsed.rule.logsource, known)
    own = str(parsed.sigma.id or uuid5(NAMESPACE_URL, f"{parsed.rule.sha256}:{document.line}"))
    return Filter(own, parsed.rule.title, file.name, document.line, chosen, node)


def _as_rule(data: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the filter as a rule, so that its detections are read and checked as a rule's."""
    if not isinstance(body.get("condition"), str):
        raise RuleError("the condition of a filter is one text", reason="invalid_condition")
    detection = {name: part for name, part in body.items() if name != "rules"}
    rest = {name: data[name] for name in ("title", "id", "logsource") if name in data}
    return {**rest, "detection": detection}


def _chosen(
    names: Any, logsource: LogSource, known: Mapping[str, Sequence[Rule]]
) -> frozenset[str]:
    """Returns the ids of the rules that a filter with ``logsource`` is applied to."""
    if isinstance(names, str):
        if names.lower() == ANY:
            return _all(logsource, known)
        names = [names]
    if not isinstance(names, list) or not names:
        text = "rules names no rule; give ids or names, or `any` for all of the logsource"
        raise RuleError(text, reason="filter_without_rules")
    if len(names) > MAX_REFERENCES:
        raise RuleError(f"names more than {MAX_REFERENCES:,} rules", reason="rule_too_large")
    chosen: set[str] = set()
    for name in map(str, names):
        rules = known.get(name, known.get(name.lower()))
        if rules is None:
            text = f"names {name[:80]!r}, which is the id or name of no rule that is loaded with it"
            raise RuleError(text, reason="filter_dangling")
        for rule in rules:
            if not contains(logsource, rule.logsource):
                text = f"its logsource does not contain that of {rule.title!r} ({rule.id})"
                raise RuleError(text, reason="filter_logsource")
            chosen.add(rule.id)
    return frozenset(chosen)


def _all(logsource: LogSource, known: Mapping[str, Sequence[Rule]]) -> frozenset[str]:
    rules = (rule for rules in known.values() for rule in rules)
    chosen = frozenset(rule.id for rule in rules if contains(logsource, rule.logsource))
    if not chosen:
        raise RuleError("no rule is of its logsource", reason="filter_dangling")
    return chosen


def contains(wide: LogSource, narrow: LogSource) -> bool:
    """Tells whether every event of logsource ``narrow`` is one of ``wide``."""
    return all(not have or have == asked for have, asked in zip(wide, narrow, strict=True))
