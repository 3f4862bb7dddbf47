"""Matches on ``samlog.matches``: what the detect stage writes and the correlate stage reads.

A record's key is (correlation, group). Its value is one line of JSON with what is counted, and one
with what an alert says of the event; the second is read only when something fires. A correlation's
name holds a print of its meaning, so that matches made for an earlier wording are not mixed in.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from itertools import islice, product
from typing import Any, NamedTuple

import orjson

from detect.correlate.rule import (
    MAX_NUMBER,
    NUMERIC,
    SCALE,
    Correlation,
    dependants,
    names_asked,
    silent_rules,
)
from detect.detection import CONTEXT, stream_of
from detect.engine import Engine
from detect.engine import Match as RuleMatch
from detect.logsource import Fields
from detect.text import Slot, fold, lookup, members, number
from samlog.bus.base import Record
from samlog.errors import BadEvent
from samlog.event import FORMAT_VERSION, H_UNIT, H_VERSION, MATCHES, Event

AHEAD_MS = 5 * 60_000
"""An event counts at its own time, but at most so long after it was received."""
MAX_GROUPS = 16
"""Groups that one event may be in, where fields that it is grouped by are lists."""
MAX_VALUES = 100
MAX_VALUE_CHARS = 200
LEFT_OUT = frozenset({"source.port", "destination.port", "event.code", "event.outcome"})
SEPARATOR = "\x1f"

Names = Mapping[str, Slot | None]


class Head(NamedTuple):
    """The first line of a match."""

    name: str
    t: int
    id: str
    mask: int
    values: list[Any]
    stream: str


def name_of(one: Correlation) -> str:
    """Returns ``<rule id>:<print>``: equal only where the rule means the same."""
    meaning = (
        one.kind,
        [(base.id, sorted(base.names.items())) for base in one.bases],
        one.group_by,
        one.fields,
        one.span_ms,
        one.bounds,
        one.percentile,
        one.shared,
        one.carried,
    )
    return f"{one.rule.id}:{blake2b(repr(meaning).encode(), digest_size=4).hexdigest()}"


def key_of(name: str, unit: str, group: Sequence[str]) -> bytes:
    """Returns the key of a group; case does not make another group."""
    text = SEPARATOR.join([unit, *map(fold, group)])
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{name}|{digest}".encode()


def encode(head: Head, key: bytes, rest: Mapping[str, Any]) -> Record:
    """Returns a match as a record."""
    value = orjson.dumps(list(head)) + b"\n" + orjson.dumps(rest, default=repr)
    unit = str(rest.get("u", "")).encode()
    return Record(MATCHES, value, key, {H_VERSION: FORMAT_VERSION, H_UNIT: unit})


def decode(value: bytes) -> tuple[list[Any], bytes]:
    """Returns the parts of the `Head`, and the rest unread. Raises `BadEvent` (match_not_json).

    A plain list: it costs less than a `Head`, and this is done for every match.
    """
    line, _, rest = value.partition(b"\n")
    try:
        head = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadEvent("match_not_json", str(error)) from error
    if head.__class__ is not list or len(head) != len(Head._fields):
        raise BadEvent("match_not_json", "not the parts of a match")
    return head, rest


def time_of(event: Event) -> int:
    """Returns when an event counts, in ms since 1970: a clock that is ahead moves no window.

    Raises `BadEvent` (``not_an_event``) where its ``@timestamp`` is no time.
    """
    t = _ms(str(event["@timestamp"]))
    if t is None:
        raise BadEvent("not_an_event", "its @timestamp is no time")
    received = event.get("samlog.received")
    latest = _ms(received) if isinstance(received, str) else None
    return t if latest is None else min(t, latest + AHEAD_MS)


def _ms(text: str) -> int | None:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


class Feeder:
    """Makes the matches that the correlations of a rule set count. One thread only."""

    def __init__(self, correlations: Sequence[Correlation], engine: Engine) -> None:
        self.silent = silent_rules(correlations)
        """Ids of the rules that alert only through a correlation."""
        self.left_out: Counter[tuple[str, str]] = Counter()
        """(correlation id, ``no_group`` or ``no_value``) → matches that could not be counted."""
        self._engine = engine
        self._by_rule = dependants(correlations)
        self._names = {one.rule.id: name_of(one) for one in correlations}
        self._slots: dict[tuple[str, int, Fields], Names] = {}

    def __bool__(self) -> bool:
        return bool(self._by_rule)

    def records(self, matches: Iterable[RuleMatch], event: Event, stream: str) -> Iterator[Record]:
        """Yields one record for each group of each correlation that counts the event."""
        found: dict[tuple[str, tuple[str, ...]], tuple[Correlation, int, Names, list[Any]]] = {}
        for match in matches:
            for one, place in self._by_rule.get(match.rule.id, ()):
                self._collect(one, place, match, event, found)
        if not found:
            return
        t = time_of(event)
        about = _about(event)
        for (_, group), (one, mask, names, values) in found.items():
            name = self._names[one.rule.id]
            unit = "" if one.shared else about["u"]
            key = key_of(name, unit, group)
            head = Head(name, t, event["event.id"], mask, values, stream)
            carried = {n: members(_value(event, names[n]))[:1] for n in one.carried}
            yield encode(head, key, about | {"g": group, "x": carried})

    def _collect(
        self,
        one: Correlation,
        place: int,
        match: RuleMatch,
        event: Event,
        found: dict[tuple[str, tuple[str, ...]], tuple[Correlation, int, Names, list[Any]]],
    ) -> None:
        names = self._places(one, place, self._engine.fields_at(match.variant, event))
        groups = list(_groups(one, names, event))
        values = values_of(one, [members(_value(event, names[field])) for field in one.fields])
        if not groups or values is None:
            why = "no_value" if groups else "no_group"
            self.left_out[one.rule.id, why] += 1
            return
        for group in groups:
            old = found.get((one.rule.id, group))
            mask = 1 << place
            if old is None:
                found[one.rule.id, group] = (one, mask, names, values)
            else:
                both = list(dict.fromkeys([*old[3], *values])) if old[3] != values else values
                found[one.rule.id, group] = (one, old[1] | mask, old[2], both)

    def _places(self, one: Correlation, place: int, fields: Fields) -> Names:
        """Returns where the fields that a correlation reads are in an event of these fields."""
        key = (one.rule.id, place, fields)
        names = self._slots.get(key)
        if names is None:
            own = one.bases[place].names
            names = {name: _slot(fields, own.get(name, name)) for name in names_asked(one)}
            self._slots[key] = names
        return names


def _slot(fields: Fields, name: str) -> Slot | None:
    """Returns where a field of the rule is; a name that the tables do not know may be ECS."""
    found = fields.slot(name)
    if found is None:
        return name
    return (found, name) if isinstance(found, str) and "." in name and found != name else found


def _value(event: Event, slot: Slot | None) -> Any:
    return None if slot is None else lookup(event, slot)


def _groups(one: Correlation, names: Names, event: Event) -> Iterator[tuple[str, ...]]:
    """Yields the groups of an event: each member of a list is one; none where a field is empty."""
    parts = [members(_value(event, names[name])) for name in one.group_by]
    return islice((tuple(map(_cut, group)) for group in product(*parts)), MAX_GROUPS)


def _cut(text: str) -> str:
    """Keeps long values apart by a digest of all of it."""
    if len(text) <= MAX_VALUE_CHARS:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{text[: MAX_VALUE_CHARS - 30]}… {digest}"


def values_of(one: Correlation, parts: Sequence[Sequence[str]]) -> list[Any] | None:
    """Returns what is counted of the texts of each of its fields; None where there is nothing.

    Of several fields each combination is a value. What is no number is no value of a numeric kind.
    """
    if not one.fields:
        return []
    if one.kind in NUMERIC:
        return [v for v in map(millionths, parts[0][:MAX_VALUES]) if v is not None] or None
    combined = islice(product(*parts), MAX_VALUES)
    values = [SEPARATOR.join(_cut(fold(part)) for part in parts) for parts in combined]
    return list(dict.fromkeys(values)) or None


def millionths(text: str) -> int | None:
    """Returns the number that a text writes in whole millionths, None where it is none.

    One beyond 64 bits is the greatest there is, which no bound exceeds: it must not count as less
    by being more.
    """
    value = number(text)
    if value is None:
        return None
    if abs(value) >= MAX_NUMBER // SCALE:
        return MAX_NUMBER if value > 0 else -MAX_NUMBER
    return value * SCALE if isinstance(value, int) else round(value * SCALE)


def _about(event: Event) -> dict[str, Any]:
    """Returns what an alert says of an event."""
    context = {
        key: value if isinstance(value, str) else members(value)[:10]
        for key in CONTEXT
        if key not in LEFT_OUT and (value := event.get(key)) is not None
    }
    return {
        "u": event["samlog.unit"],
        "e": event["event.id"],
        "h": str(event.get("event.hash", "")),
        "i": stream_of(event),
        "l": str(event.get("samlog.log_class", "")),
        "c": context,
    }
