"""What a unit changes about the common rules (R-33): disable, except, another level, for a time.

A unit's overlay is one YAML file, a list of entries. Each names ``rules`` (ids or names), one of
``disable: true``, ``exception: {<selections>, condition}`` and ``level``, and who answers for it:
``owner``, ``reason``, ``since`` and ``expires``, the last day (UTC) on which it is in force, at
most 180 days after ``since``. An entry that is wrong is refused by name and does nothing; one that
has expired does nothing and is reported. An overlay is asked about events of its own unit alone.

The selections of an exception are Sigma's, with the field names of the rules it is for; ECS names
with a dot (``host.name``) are read as they are. It takes away the matches for which its condition
holds; without a condition it has one selection, named ``selection``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import yaml
from sigma.exceptions import SigmaError

from detect.build import Built, checked_condition, lacking
from detect.condition import Node
from detect.document import Document, documents, read_file
from detect.engine import LEVELS, RULE_FAULTS, Engine, Match
from detect.own import FLOOD, IN_PART
from detect.places import Placed
from detect.rule import PARSE_FAULTS, ParsedRule, Rule, RuleFile, parse_document, sigma_reason
from samlog.ecs import FIELDS
from samlog.errors import RuleError
from samlog.event import Event

MAX_DAYS = 180
MAX_ENTRIES = 1_000
MAX_TEXT = 500
ACTIONS = ("disable", "exception", "level")
_NEEDED = ("rules", "owner", "reason", "since", "expires")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. ``id`` is made from unit and content; ``rules`` are ids of rules."""

    id: str
    unit: str
    action: str
    rules: frozenset[str]
    owner: str
    reason: str
    since: date
    expires: date
    level: str
    path: str
    line: int
    node: Node | None = None

    def is_active(self, today: date) -> bool:
        """Tells whether the entry is in force on ``today`` (UTC)."""
        return self.since <= today <= self.expires


class Verdict(NamedTuple):
    """What becomes of a match: ``by`` took it away, or it is told with ``level`` ("" = its own)."""

    by: Entry | None
    level: str = ""


KEPT = Verdict(None)


@dataclass
class Overlays:
    """The entries of all units. ``refused`` are those that do nothing because they are wrong."""

    entries: Sequence[Entry] = ()
    refused: list[RuleError] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    """Entry id → times its exception raised; the match was told then."""
    _by_rule: dict[tuple[str, str], list[tuple[Entry, Placed | None]]] = field(
        init=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for entry in sorted(self.entries, key=lambda e: ACTIONS.index(e.action)):
            placed = None if entry.node is None else Placed(entry.node, is_ecs)
            for rule_id in entry.rules:
                self._by_rule.setdefault((entry.unit, rule_id), []).append((entry, placed))

    def concerns(self, unit: str, rule_id: str) -> bool:
        """Tells whether a unit has an entry for a rule, in force or not."""
        return (unit, rule_id) in self._by_rule

    def judge_rule(self, unit: str, rule_id: str, today: date) -> Verdict:
        """Returns what a unit's overlay makes of a rule, whatever the event: of a correlation."""
        level = ""
        for entry, _ in self._by_rule.get((unit, rule_id), ()):
            if entry.is_active(today):
                if entry.action == "disable":
                    return Verdict(entry)
                level = entry.level or level
        return Verdict(None, level) if level else KEPT

    def judge(self, match: Match, event: Event, engine: Engine, today: date) -> Verdict:
        """Returns what the overlay of the event's unit makes of a match.

        Disabling counts before exceptions, these before levels; of two levels the later entry.
        """
        found = self._by_rule.get((event["samlog.unit"], match.rule.id))
        level = ""
        for entry, placed in found or ():
            if not entry.is_active(today):
                continue
            if entry.action == "level":
                level = entry.level
            elif placed is None or self._holds(entry, placed, match, event, engine):
                return Verdict(entry)
        return Verdict(None, level) if level else KEPT

    def _holds(
        self, entry: Entry, placed: Placed, match: Match, event: Event, engine: Engine
    ) -> bool:
        try:
            fields = engine.fields_at(match.variant, event)
            return placed.holds(fields, engine.view(event)) is True
        except RULE_FAULTS:
            self.faults[entry.id] += 1
            return False

    def expired(self, today: date) -> list[Entry]:
        """Returns the entries whose time is over, the longest first."""
        return sorted((e for e in self.entries if e.expires < today), key=lambda e: e.expires)


def is_ecs(name: str) -> bool:
    """Tells whether a name in an exception is a key of normalised events itself."""
    return "." in name and (name in FIELDS or name.startswith("samlog."))


def load_overlays(files: Mapping[str, Path], built: Built) -> Overlays:
    """Returns the overlays of units (unit → file) for a rule set; raises nothing for bad ones."""
    entries: list[Entry] = []
    refused: list[RuleError] = []
    known = _known(built)
    for unit, path in sorted(files.items()):
        try:
            found = list(_documents(path))
        except RuleError as error:
            refused.append(error)
            continue
        for document, file in found:
            try:
                entry = _entry(unit, document, file, known)
                _check_fields(entry, built)
                _check_kind(entry, built)
                entries.append(entry)
            except (RuleError, SigmaError, *PARSE_FAULTS) as error:
                refused.append(_refusal(error, unit, document))
    return Overlays(entries, refused)


def _known(built: Built) -> dict[str, set[str]]:
    """Returns id or name → ids of the rules, whether they are loaded or not."""
    report = built.report
    known: dict[str, set[str]] = {}
    rules: list[Rule] = [*report.loaded, *(found.rule for found in report.unmapped)]
    for rule in (*rules, *(one.rule for one in built.correlations)):
        for name in {rule.id, rule.name} - {""}:
            known.setdefault(name, set()).add(rule.id)
    for error in report.refused:
        known.setdefault(error.rule_id, {error.rule_id})
    return known | {rule.id: {rule.id} for rule in (IN_PART, FLOOD)}


def _documents(path: Path) -> Iterator[tuple[Document, RuleFile]]:
    """Yields each entry of a file with its line."""
    data = read_file(path)
    file = RuleFile(path, path.name, data)
    for document in documents(path, data):
        if not isinstance(document.data, list):
            raise RuleError(
                "an overlay is a list of entries: - {rules: [..], disable: true, owner: .., "
                "reason: .., since: .., expires: ..}",
                reason="not_an_overlay",
                path=str(path),
                line=document.line,
            )
        if len(document.data) > MAX_ENTRIES:
            text = f"holds more than {MAX_ENTRIES:,} entries"
            raise RuleError(text, reason="overlay_too_large", path=str(path))
        lines = _lines(data, document.line)
        for n, entry in enumerate(document.data):
            yield Document(path, lines[n] if n < len(lines) else document.line, entry), file


def _lines(data: bytes, first: int) -> list[int]:
    """Returns the line of each entry of the list that begins at line ``first``."""
    for node in yaml.compose_all(data, Loader=yaml.CSafeLoader):
        if isinstance(node, yaml.SequenceNode) and node.start_mark.line + 1 == first:
            return [part.start_mark.line + 1 for part in node.value]
    return []


def _entry(unit: str, document: Document, file: RuleFile, known: Mapping[str, set[str]]) -> Entry:
    data = document.data
    if not isinstance(data, Mapping):
        raise RuleError("an entry is a mapping of names to values", reason="not_an_overlay")
    unknown = sorted(str(key) for key in data if key not in (*_NEEDED, *ACTIONS))
    if unknown:
        text = f"unknown key {unknown[0]!r}; known: {', '.join((*_NEEDED, *ACTIONS))}"
        raise RuleError(text, reason="not_an_overlay")
    for key in _NEEDED:
        if not data.get(key):
            raise RuleError(f"has no {key}: an overlay says it", reason=f"missing_{key}")
    actions = [name for name in ACTIONS if name in data]
    if len(actions) != 1:
        text = "needs exactly one of disable, exception and level"
        raise RuleError(text, reason="not_an_overlay")
    action = actions[0]
    since, expires = _dates(data["since"], data["expires"])
    return Entry(
        id=_id(unit, data),
        unit=unit,
        action=action,
        rules=_rules(data["rules"], known),
        owner=_text("owner", data["owner"]),
        reason=_text("reason", data["reason"]),
        since=since,
        expires=expires,
        level=_level(data["level"]) if action == "level" else "",
        path=str(document.path),
        line=document.line,
        node=_action(action, data, document, file),
    )


def _id(unit: str, data: Mapping[str, Any]) -> str:
    content = orjson.dumps(
        data, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )
    return sha256(unit.encode() + b"\0" + content).hexdigest()[:12]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        raise RuleError(f"{name} is a text of 1 to {MAX_TEXT} characters", reason=f"missing_{name}")
    return value.strip()


def _dates(since: Any, expires: Any) -> tuple[date, date]:
    if type(since) is not date or type(expires) is not date:
        raise RuleError("since and expires are dates such as 2026-01-31", reason="invalid_date")
    if expires < since:
        raise RuleError(f"expires ({expires}) before it begins ({since})", reason="invalid_date")
    if (expires - since).days > MAX_DAYS:
        raise RuleError(
            f"is in force for {(expires - since).days} days; at most {MAX_DAYS} are allowed, "
            "then look at it again",
            reason="expires_too_late",
        )
    return since, expires


def _level(value: Any) -> str:
    if value not in LEVELS:
        raise RuleError(f"level is one of {', '.join(LEVELS)}", reason="invalid_level")
    return str(value)


def _rules(names: Any, known: Mapping[str, set[str]]) -> frozenset[str]:
    chosen: set[str] = set()
    for name in map(str, names if isinstance(names, list) else [names]):
        ids = known.get(name) or known.get(name.lower())
        if not ids:
            text = f"names {name[:80]!r}, which is the id or name of no rule"
            raise RuleError(text, reason="overlay_dangling")
        chosen |= ids
    return frozenset(chosen)


def _action(
    action: str, data: Mapping[str, Any], document: Document, file: RuleFile
) -> Node | None:
    if action == "disable" and data["disable"] is not True:
        raise RuleError("disable is true; take the entry out to end it", reason="not_an_overlay")
    if action != "exception":
        return None
    body = data["exception"]
    if not isinstance(body, Mapping):
        raise RuleError("exception holds no selection", reason="not_an_overlay")
    # A product, so that pySigma takes it as a rule; which events it meets, its rules decide.
    as_rule = {
        "title": "exception",
        "logsource": {"product": "any"},
        "detection": {"condition": "selection", **body},
    }
    parsed: ParsedRule = parse_document(document._replace(data=as_rule), file)
    return checked_condition(parsed, {})


def _check_fields(entry: Entry, built: Built) -> None:
    """Raises `RuleError` where no event of its rules has the fields of an exception."""
    if entry.node is None:
        return
    placed = Placed(entry.node, is_ecs)
    missing = lacking(placed, entry.rules, built.variants, built.report, built.sources)
    if missing:
        text = f"no event of its rules has the field {', '.join(sorted(missing))}"
        raise RuleError(text, reason="unmapped_field")


def _check_kind(entry: Entry, built: Built) -> None:
    """Raises `RuleError` for what cannot be said of a correlation.

    An exception has no event to look at. What is counted over all units is told to none of them.
    """
    for one in built.correlations:
        if one.shared and one.rule.id in entry.rules:
            text = f"{one.rule.title!r} counts over all units: name its base rules for this unit"
            raise RuleError(text, reason="overlay_of_shared")
        if entry.node is not None and one.rule.id in entry.rules:
            text = f"{one.rule.title!r} is a correlation: make the exception to its base rules"
            raise RuleError(text, reason="exception_to_correlation")


def _refusal(error: Exception, unit: str, document: Document) -> RuleError:
    if isinstance(error, RuleError):
        reason = error.reason
    else:
        reason = sigma_reason(error) if isinstance(error, SigmaError) else "not_an_overlay"
    text = str(error)
    if isinstance(error, RuleError) and error.path:
        text = text.removeprefix(f"{error.path}:{error.line}: ").removeprefix(f"{error.path}: ")
    where = str(document.path)
    return RuleError(f"unit {unit}: {text}", reason=reason, path=where, line=document.line)
