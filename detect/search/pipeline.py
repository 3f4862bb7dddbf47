"""samlog's processing pipeline for pySigma: rules to queries for our data streams.

``sigma convert -t lucene -p samlog RULE``. The pipeline does not rename fields one by one: it hands
the whole rule to `detect.search.query`, so that fields, logsources and the meaning of every test
come from the tables and the code that the stream uses.
"""

from pathlib import Path
from typing import Any

from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError, SigmaTransformationError
from sigma.modifiers import modifier_mapping
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations.base import PreprocessingTransformation
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaDetections, SigmaRule
from sigma.types import SigmaQueryExpression, SigmaString

from detect.document import Document, documents, read_file
from detect.rule import PARSE_FAULTS, ParsedRule, RuleFile, parse_document
from detect.search.query import query_of
from detect.spelling import EXACT
from samlog.errors import RuleError

PRIORITY = 20
"""Behind pipelines that rename logsources or fields to those of SigmaHQ (10)."""


_NAMES = {kind: name for name, kind in modifier_mapping.items()}


class _Text(SigmaQueryExpression):
    """A finished query: pySigma would take its braces for places to fill in."""

    def has_field_placeholder(self) -> bool:
        return False

    def finalize(self, field: str | None = None) -> str:
        return self.expr


class StoredEventsTransformation(PreprocessingTransformation):
    """Replaces a rule's detections by its query.

    Raises `SigmaTransformationError` with the reason where the rule has none. Correlations are
    left as they are: their rules are converted.
    """

    def apply(self, rule: SigmaRule | SigmaCorrelationRule) -> None:
        """Puts the query in the place of ``rule``'s detections."""
        super().apply(rule)
        if isinstance(rule, SigmaCorrelationRule):
            return
        try:
            text = query_of(parsed(rule))
        except RuleError as error:
            raise SigmaTransformationError(f"{rule.title}: {error}") from error
        item = SigmaDetectionItem(None, [], [_Text(text, "samlog")])
        rule.detection = SigmaDetections({"query": SigmaDetection([item])}, ["query"])


def parsed(rule: SigmaRule) -> ParsedRule:
    """Returns a rule that pySigma has read, read again as samlog reads it.

    Its file is read where it has one that still says the same, because pySigma understands some of
    a rule otherwise and keeps no text of it. Raises `RuleError`.
    """
    path = Path(str(rule.source.path)) if rule.source else Path("rule")
    found = _as_written(rule, path)
    if found is None:
        found = Document(path, 1, _given_back(rule)), RuleFile(path, path.name, b"")
    return parse_document(*found)


def _as_written(rule: SigmaRule, path: Path) -> tuple[Document, RuleFile] | None:
    """Returns the rule in its file; None where there is none, or another pipeline changed it."""
    if not path.is_file():
        return None
    file = RuleFile(path, path.name, read_file(path))
    for document in documents(path, file.data):
        try:
            again = SigmaRule.from_dict(document.data)
        except (SigmaError, *PARSE_FAULTS):
            continue
        if _what_it_asks(again) == _what_it_asks(rule):
            return document, file
    return None


def _what_it_asks(rule: SigmaRule) -> tuple[Any, ...]:
    return rule.id, rule.title, rule.logsource, rule.detection


def _given_back(rule: SigmaRule) -> dict[str, Any]:
    """Returns a rule as YAML had it, as far as pySigma knows."""
    parts = rule.detection.detections.items()
    if "timeframe" in rule.detection.detections:
        # To pySigma it is a list of one keyword, like any other.
        raise RuleError("a timeframe is no detection", reason="invalid_detection")
    found = {
        "title": rule.title,
        "logsource": {
            key: value
            for key in ("product", "category", "service")
            if (value := getattr(rule.logsource, key))
        },
        "detection": {name: _written(part) for name, part in parts}
        | {"condition": rule.detection.condition},
    }
    return found if rule.id is None else {**found, "id": str(rule.id)}


def _written(part: SigmaDetection) -> Any:
    """Returns a detection as YAML had it; pySigma's own way back loses backslashes."""
    found: list[Any] = []
    fields: dict[str, Any] = {}
    for item in part.detection_items:
        if isinstance(item, SigmaDetection):
            found.append(_written(item))
            continue
        values = _values(item)
        if item.field is None and not item.modifiers:
            found.extend(values)
            continue
        names = [_NAMES[modifier] for modifier in item.modifiers]
        key = "|".join([item.field or "", *names])
        if key in fields:
            raise RuleError(f"{key} is asked twice in one map", reason="illegal_modifiers")
        fields[key] = values[0] if len(values) == 1 else values
    if fields and found:
        return [*found, fields]
    return fields or found


def _values(item: SigmaDetectionItem) -> list[Any]:
    if item.original_value is None:
        raise RuleError(
            "another pipeline has rewritten it; samlog's reads rules as SigmaHQ writes them",
            reason="rewritten",
        )
    values = [
        value.original if isinstance(value, SigmaString) else value.to_plain()
        for value in item.original_value
    ]
    if any(isinstance(value, int | float) and abs(value) >= EXACT for value in values):
        raise RuleError(
            f"pySigma may have rounded a number of {item.field}: put it in quotation marks",
            reason="invalid_value",
        )
    return values


def samlog_pipeline() -> ProcessingPipeline:
    """Returns the pipeline ``samlog``; its queries are for the backend ``lucene`` only."""
    return ProcessingPipeline(
        name="samlog: normalised events in data streams logs-*",
        allowed_backends=frozenset({"lucene"}),
        priority=PRIORITY,
        items=[ProcessingItem(StoredEventsTransformation(), identifier="samlog_stored_events")],
    )
