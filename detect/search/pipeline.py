"""samlog's processing pipeline for pySigma: rules to queries for our data streams.

``sigma convert -t lucene -p samlog RULE``. The pipeline does not rename fields one by one: it hands
the whole rule to `detect.search.query`, so that fields, logsources and the meaning of every test
come from the tables and the code that the stream uses.
"""

from pathlib import Path
from typing import Any

from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaTransformationError
from sigma.modifiers import modifier_mapping
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations.base import PreprocessingTransformation
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaDetections, SigmaRule
from sigma.types import SigmaQueryExpression, SigmaString

from detect.document import Document
from detect.rule import ParsedRule, RuleFile, parse_document
from detect.search.query import query_of
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

    The detections are taken as they were written: pySigma understands some of them otherwise.
    Raises `RuleError`.
    """
    path = Path(str(rule.source.path)) if rule.source else Path("rule")
    parts = rule.detection.detections.items()
    detection = {name: _written(part) for name, part in parts}
    source = rule.logsource
    data = {
        "title": rule.title,
        "id": str(rule.id or ""),
        "logsource": {
            key: value
            for key in ("product", "category", "service")
            if (value := getattr(source, key))
        },
        "detection": {**detection, "condition": rule.detection.condition},
    }
    if rule.id is None:
        del data["id"]
    return parse_document(Document(path, 1, data), RuleFile(path, path.name, b""))


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
        else:
            names = [_NAMES[modifier] for modifier in item.modifiers]
            fields["|".join([item.field or "", *names])] = values if len(values) > 1 else values[0]
    if fields and found:
        return [*found, fields]
    return fields or found


def _values(item: SigmaDetectionItem) -> list[Any]:
    if item.original_value is None:
        raise RuleError(
            "another pipeline has rewritten it; samlog's reads rules as SigmaHQ writes them",
            reason="rewritten",
        )
    return [
        value.original if isinstance(value, SigmaString) else value.to_plain()
        for value in item.original_value
    ]


def samlog_pipeline() -> ProcessingPipeline:
    """Returns the pipeline ``samlog``; its queries are for the backend ``lucene`` only."""
    return ProcessingPipeline(
        name="samlog: normalised events in data streams logs-*",
        allowed_backends=frozenset({"lucene"}),
        priority=PRIORITY,
        items=[ProcessingItem(StoredEventsTransformation(), identifier="samlog_stored_events")],
    )
