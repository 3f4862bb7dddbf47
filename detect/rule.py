"""Sigma rules from files: each one is loaded, or refused by name and reason.

Format: Sigma specification 2.1 (rules). pySigma parses and checks; what it lets through although
it cannot mean anything is refused here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from detect.document import (
    MAX_ALIASES,
    Document,
    documents,
    expanded_size,
    line_of,
    read_file,
    rule_files,
)
from detect.encoding import correct_encodings
from detect.modifiers import check_detections
from detect.spelling import looks_like_operator, names_in, prepared
from samlog.errors import RuleError

MAX_VALUES = 50_000
"""Values in one rule with all aliases written out."""
MAX_CONDITION_CHARS = 4_096
MAX_NAME_CHARS = 200
MAX_WILDCARDS = 3
"""In one pattern of a condition. pySigma matches it as a regex that tries every way: its time grows
with the length of a name to the power of their number."""

LogSource = tuple[str, str, str]
"""(product, category, service), "" where the rule leaves it open."""

_ATTACK = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)\Z", re.IGNORECASE)
_LOG_CLASS = re.compile(r"samlog\.lc[-_]?(\d{2})\Z", re.IGNORECASE)
_SELECTOR = re.compile(r"\b(?:1|any|all)\s+of\s+([\w*]+)")

_OTHERS = frozenset({"correlation", "filter"})

PARSE_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What pySigma raises, besides its own errors, for values of a shape it does not expect."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule says about itself. ``path`` is relative to the directory that was given.

    ``id`` is a UUID; a rule that names none gets one from its content. ``sha256`` is of the YAML
    document's file. ``log_class`` comes from a tag ``samlog.lc-07`` ("" without); ``entity`` is
    the field that the rule's own ``samlog: {entity: ..}`` names. ``author`` must be shown wherever
    a match is shown (DRL 1.1).
    """

    id: str
    title: str
    level: str
    status: str
    author: str
    description: str
    tags: tuple[str, ...]
    attack: tuple[str, ...]
    falsepositives: tuple[str, ...]
    references: tuple[str, ...]
    logsource: LogSource
    log_class: str
    entity: str
    path: str
    line: int
    sha256: str
    name: str = ""
    """What filters, correlations and a unit's overlay may call the rule; "" without."""


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A rule that was read but cannot fire in this mode, and why (``reason``, ``detail``)."""

    rule: Rule
    reason: str
    detail: str


@dataclass(slots=True)
class LoadReport:
    """Every rule that was found is in exactly one of the three lists.

    ``cache_problem`` says why the compiled rules could not be kept, "" if they were or need not be.
    """

    loaded: list[Rule] = field(default_factory=list)
    refused: list[RuleError] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)
    refused_products: Counter[str] = field(default_factory=Counter)
    """Product → rules refused; "" where a file does not say, or is no rule."""
    cache_problem: str = ""

    def refuse(self, error: RuleError, product: str = "") -> None:
        """Adds a rule that cannot be evaluated."""
        self.refused.append(error)
        self.refused_products[product] += 1

    def reasons(self) -> dict[str, int]:
        """Returns how many rules were refused for which reason, the most frequent first."""
        return dict(Counter(error.reason for error in self.refused).most_common())


@dataclass(frozen=True, slots=True)
class ParsedRule:
    """A rule, pySigma's view of it, and its file."""

    rule: Rule
    sigma: SigmaRule
    file: Path


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The bytes of one rule file; ``name`` is its path relative to the directory given."""

    path: Path
    name: str
    data: bytes


def read_rules(roots: Iterable[Path], report: LoadReport) -> list[RuleFile]:
    """Returns all rule files at or below ``roots``; what cannot be read is refused in ``report``.

    A file that is reached twice is read once.
    """
    found: dict[Path, RuleFile] = {}
    for root in roots:
        try:
            paths = rule_files(root)
        except RuleError as error:
            report.refuse(error)
            continue
        for path in paths:
            if path not in found:
                try:
                    name = str(path.relative_to(root)) if path != root else path.name
                    found[path] = RuleFile(path, name, read_file(path))
                except RuleError as error:
                    report.refuse(error)
    return list(found.values())


def parse_rules(
    files: Sequence[RuleFile],
    report: LoadReport,
    filters: list[tuple[Document, RuleFile]] | None = None,
) -> list[ParsedRule]:
    """Returns the rules in ``files``; everything refused is added to ``report.refused``.

    Documents of filters and correlations are appended to ``filters``, unread.
    """
    return list(each_rule(files, report, [] if filters is None else filters))


def each_rule(
    files: Sequence[RuleFile], report: LoadReport, filters: list[tuple[Document, RuleFile]]
) -> Iterator[ParsedRule]:
    """Yields the rules of `parse_rules` one by one: pySigma's view of 3,754 takes 190 MB."""
    first: dict[str, Rule] = {}
    for file in files:
        for found in _parse_file(file, report, filters):
            rule = found.rule
            if rule.id in first:
                report.refuse(_second(rule, first[rule.id], file), rule.logsource[0])
                continue
            first[rule.id] = rule
            yield found


def _second(rule: Rule, first: Rule, file: RuleFile) -> RuleError:
    return RuleError(
        f"the id {rule.id} is already that of {first.path} (line {first.line}); "
        "an id names one rule",
        reason="duplicate_id",
        path=str(file.path),
        line=rule.line,
        rule_id=rule.id,
    )


def _parse_file(
    file: RuleFile, report: LoadReport, filters: list[tuple[Document, RuleFile]]
) -> Iterator[ParsedRule]:
    try:
        for document in documents(file.path, file.data):
            if isinstance(document.data, Mapping) and _OTHERS & document.data.keys():
                filters.append((document, file))
                continue
            try:
                yield parse_document(document, file)
            except RuleError as error:
                report.refuse(error, _product_of(document.data))
    except RuleError as error:
        report.refuse(error)


def _product_of(data: Any) -> str:
    source = data.get("logsource") if isinstance(data, Mapping) else None
    product = source.get("product") if isinstance(source, Mapping) else None
    return product if isinstance(product, str) else ""


def parse_document(document: Document, file: RuleFile) -> ParsedRule:
    """Returns the rule in ``document``. Raises `RuleError` with file, line and rule id."""
    data = document.data
    rule_id = str(data.get("id", ""))[:64] if isinstance(data, Mapping) else ""
    try:
        check_document(data)
        sigma = SigmaRule.from_dict(prepared(data))
        correct_encodings(sigma)
        return ParsedRule(metadata(sigma, file, document.line), sigma, file.path)
    except RuleError as error:
        raise located(error, str(error), error.reason, document, file, rule_id) from error
    except SigmaError as error:
        raise located(error, str(error), sigma_reason(error), document, file, rule_id) from error
    except PARSE_FAULTS as error:
        raise located(
            error, f"is no Sigma rule: {error}", "invalid_rule", document, file, rule_id
        ) from error


def located(
    error: Exception, message: str, reason: str, document: Document, file: RuleFile, rule_id: str
) -> RuleError:
    """Returns a `RuleError` that names file, line and rule."""
    key = "logsource" if "logsource" in reason else "detection"
    if reason in {"invalid_title", "invalid_identifier", "invalid_level", "invalid_status"}:
        key = {"invalid_identifier": "id"}.get(reason, reason.removeprefix("invalid_"))
    line = line_of(document.path, file.data, document.line, key)
    return RuleError(message, reason=reason, path=str(file.path), line=line, rule_id=rule_id)


def sigma_reason(error: SigmaError) -> str:
    """Returns the constant word for one of pySigma's errors: SigmaLevelError → invalid_level."""
    name = type(error).__name__.removeprefix("Sigma").removesuffix("Error")
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    special = {"modifier": "unknown_modifier", "placeholder": "placeholder_without_values"}
    return special.get(words, f"invalid_{words}")


def check_document(data: Any) -> None:
    """Raises `RuleError` for what is no rule, or cannot be evaluated yet."""
    if not isinstance(data, Mapping):
        raise RuleError("holds no mapping of names to values", reason="not_a_rule")
    detection = data.get("detection")
    if not isinstance(detection, Mapping) or not isinstance(data.get("logsource"), Mapping):
        raise RuleError("has no detection or no logsource", reason="not_a_rule")
    if expanded_size(detection, MAX_VALUES) >= MAX_VALUES:
        raise RuleError(f"holds more than {MAX_VALUES:,} values", reason="rule_too_large")
    check_condition(detection)
    check_detections(detection)


def check_condition(detection: Mapping[str, Any]) -> None:
    """Raises `RuleError` for a condition that selects by a pattern which no name has.

    pySigma drops such a part, which makes ``selection and 1 of other_*`` wider than written.
    """
    if any(len(str(name)) > MAX_NAME_CHARS for name in detection):
        text = f"the name of a detection is longer than {MAX_NAME_CHARS} characters"
        raise RuleError(text, reason="condition_too_large")
    conditions = detection.get("condition")
    for condition in conditions if isinstance(conditions, list) else [conditions]:
        if not isinstance(condition, str):
            raise RuleError("the condition is not a text", reason="invalid_condition")
        if len(condition) > MAX_CONDITION_CHARS or condition.count("(") > MAX_ALIASES:
            raise RuleError("the condition is too long", reason="condition_too_large")
        for name in names_in(condition):
            if looks_like_operator(name) and name not in detection:
                raise RuleError(f"no detection is named {name!r}", reason="invalid_condition")
        for pattern in _SELECTOR.findall(condition):
            if pattern.count("*") > MAX_WILDCARDS:
                text = f"{pattern[:80]!r} has more than {MAX_WILDCARDS} wildcards"
                raise RuleError(text, reason="condition_too_large")
            if not any(_selected(pattern, name) for name in detection):
                raise RuleError(
                    f"no detection is named like {pattern!r}", reason="selector_matches_nothing"
                )


def _selected(pattern: str, name: Any) -> bool:
    if name == "condition" or not isinstance(name, str):
        return False
    if pattern == "them":
        return not name.startswith("_")
    if name.startswith("_") and not pattern.startswith("_"):
        return False
    return re.fullmatch(re.sub(r"\*+", ".*", pattern), name) is not None


def metadata(sigma: SigmaRule, file: RuleFile, line: int) -> Rule:
    """Returns what the rule says about itself; a missing level is ``medium``."""
    digest = sha256(file.data).hexdigest()
    source = sigma.logsource
    tags = tuple(str(tag) for tag in sigma.tags)
    classes = [found[1] for tag in tags if (found := _LOG_CLASS.match(tag))]
    return Rule(
        id=str(sigma.id or uuid5(NAMESPACE_URL, f"{digest}:{line}")),
        title=sigma.title,
        level=sigma.level.name.lower() if sigma.level else "medium",
        status=sigma.status.name.lower() if sigma.status else "",
        author=sigma.author or "",
        description=sigma.description or "",
        tags=tags,
        attack=tuple(found[1].upper() for tag in tags if (found := _ATTACK.match(tag))),
        falsepositives=_strings(sigma.falsepositives),
        references=_strings(sigma.references),
        logsource=(source.product or "", source.category or "", source.service or ""),
        log_class=f"LC-{classes[0]}" if classes else "",
        entity=_entity(sigma.custom_attributes),
        path=file.name,
        line=line,
        sha256=digest,
        name=sigma.name or "",
    )


def _entity(attributes: Mapping[str, Any] | None) -> str:
    own = (attributes or {}).get("samlog")
    named = own.get("entity") if isinstance(own, Mapping) else None
    return named if isinstance(named, str) else ""


def _strings(values: Sequence[Any] | None) -> tuple[str, ...]:
    return tuple(v.isoformat() if isinstance(v, date) else str(v) for v in values or ())
