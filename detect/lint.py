"""What is wrong with rule files, all at once, each with its file and line.

Every rule that cannot be loaded is a finding. ``strict`` adds what samlog asks of its own rules
(R-32): who wrote it, how grave it is, which technique it sees, what else looks the same, and which
class of logs it needs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detect.build import Built, build
from detect.document import Document, documents, line_of, read_file, rule_files
from samlog.errors import RuleError

REQUIRED = (
    "title",
    "id",
    "status",
    "description",
    "author",
    "tags",
    "logsource",
    "detection",
    "falsepositives",
    "level",
)
_NOT_OF_CORRELATIONS = frozenset({"logsource", "detection"})
_TAGS = (
    ("technique", "attack.tNNNN", re.compile(r"attack\.t\d{4}(?:\.\d{3})?\Z")),
    ("tactic", "attack.<tactic>", re.compile(r"attack\.(?!t\d)[a-z-]+\Z")),
    ("log_class", "samlog.lc-NN", re.compile(r"samlog\.lc-\d\d\Z")),
)


class Finding(NamedTuple):
    """One problem. ``line`` is 1-based, 0 where none is known; ``reason`` is a constant word."""

    path: str
    line: int
    rule_id: str
    reason: str
    text: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.text} [{self.reason}]"


def lint(
    roots: Sequence[Path], *, strict: bool, placeholders: Mapping[str, Sequence[str]]
) -> tuple[list[Finding], Built]:
    """Returns all findings, sorted by file and line, and what could be built."""
    built = build(roots, mode="ecs", placeholders=placeholders)
    findings = [_refused(error) for error in built.report.refused]
    if strict:
        findings += [finding for root in roots for finding in _missing(root)]
    return sorted(findings), built


def _refused(error: RuleError) -> Finding:
    text = str(error)
    for prefix in (f"{error.path}:{error.line}: ", f"{error.path}: "):
        text = text.removeprefix(prefix)
    return Finding(error.path, error.line, error.rule_id, error.reason, text)


def _missing(root: Path) -> Iterator[Finding]:
    """Yields what is missing in files that can be read; the others are refused already."""
    try:
        paths = rule_files(root)
    except RuleError:
        return
    for path in paths:
        try:
            data = read_file(path)
            found = list(documents(path, data))
        except RuleError:
            continue
        for document in found:
            if isinstance(document.data, Mapping):
                yield from _document(document, data)


def _document(document: Document, data: bytes) -> Iterator[Finding]:
    rule: Mapping[str, Any] = document.data
    path, rule_id = str(document.path), str(rule.get("id", ""))
    for key in REQUIRED:
        if "correlation" in rule and key in _NOT_OF_CORRELATIONS:
            continue
        if not rule.get(key):
            text = f"has no {key}; samlog's own rules say it (--strict)"
            yield Finding(path, document.line, rule_id, f"missing_{key}", text)
    tags = rule.get("tags")
    names = [str(tag) for tag in tags] if isinstance(tags, list) else []
    for what, form, pattern in _TAGS if names else ():
        if not any(map(pattern.match, names)):
            line = line_of(document.path, data, document.line, "tags")
            text = f"has no tag {form}; samlog's own rules say it (--strict)"
            yield Finding(path, line, rule_id, f"missing_{what}", text)
