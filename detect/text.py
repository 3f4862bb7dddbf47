"""What a field's value is to a Sigma test: text, folded text, or a number.

Sigma compares text. A string is itself, a boolean is ``true`` or ``false``, a number its shortest
JSON form, an object its JSON; a list is each of its members, and one that holds is enough. Null
and a missing field are no value at all.

Case is ignored by `fold`, on rule and event alike. It is Unicode's full case folding
(`str.casefold`), because that works character by character: ``fold(a + b) == fold(a) + fold(b)``,
so that a part of a string stays a part of it when folded. `str.lower` has no such property (a
final sigma folds by its neighbours) and ASCII folding is a way around a rule.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import orjson

from detect.many import NOTHING, Heavy, Many, Noted, Texts
from samlog.remember import remembered

Slot = str | tuple[str, ...] | frozenset[str]
"""Where a rule's field is found: an event key; several of which the first with a value counts; or
a set of keys whose values all count, like the members of one list."""

WORDS = "keywords"
"""Stands for the texts that keywords are looked for in, where slots are named."""

MAX_CHARS = 32_768
"""Of a longer text the beginning and the end are read, with a NUL between; no command line of
Windows is longer."""
TAIL_CHARS = 8_192
HEAD_CHARS = MAX_CHARS - TAIL_CHARS - 1
MAX_MEMBERS = 256
"""So many members of a list are read, and of their characters `MAX_CHARS`."""
MAX_LOOKED_AT = 4 * MAX_MEMBERS
"""Members looked at, lists in lists and nulls too."""
MAX_WORDS = 2_048
"""Texts of an event in which keywords are looked for, and their characters in all."""
MAX_WORD_CHARS = 8 * MAX_CHARS
MAX_NUMBER_TEXT = 40
HEAVY_CHARS = 1_024
HEAVY_MEMBERS = 8
"""What is longer, or has more members, is a `Heavy`."""

fold = str.casefold


def members(value: Any) -> tuple[str, ...]:
    """Returns the texts of ``value``; () for null, an empty list and a list of nulls."""
    return read(value)[0]


def read(value: Any) -> tuple[tuple[str, ...], bool]:
    """Returns the texts of ``value``, and whether something was left out for being too much.

    This is what rules see of a value, with the prefilter and without.
    """
    if value.__class__ is str and len(value) <= MAX_CHARS:
        return (value,), False
    if value is None:
        return (), False
    if isinstance(value, list | tuple):
        return _flat(value)
    text = scalar_text(value)
    return (shortened(text),), len(text) > MAX_CHARS


def shortened(text: str) -> str:
    """Returns the beginning and the end of a text that is too long; others as they are."""
    if len(text) <= MAX_CHARS:
        return text
    return f"{text[:HEAD_CHARS]}\0{text[-TAIL_CHARS:]}"


def _flat(values: Any) -> tuple[tuple[str, ...], bool]:
    found: list[str] = []
    pending = [iter(values)]
    looked_at, left, is_cut = 0, MAX_CHARS, False
    while pending:
        for value in pending[-1]:
            looked_at += 1
            if looked_at > MAX_LOOKED_AT:
                return tuple(found), True
            if isinstance(value, list | tuple):
                pending.append(iter(value))
                break
            if value is None:
                continue
            whole = value if value.__class__ is str else scalar_text(value)
            text = whole if len(whole) <= MAX_CHARS else shortened(whole)
            if len(found) == MAX_MEMBERS or len(text) > left:
                rest = [text[:left]] if len(found) < MAX_MEMBERS and left else []
                return (*found, *rest), True
            is_cut |= text is not whole
            left -= len(text)
            found.append(text)
        else:
            pending.pop()
    return tuple(found), is_cut


def leaves(value: Any, most: int) -> tuple[list[str], bool]:
    """Returns every text in ``value``, those inside lists and objects too.

    At most so many, and whether there are more.
    """
    found: list[str] = []
    pending = [value]
    looked_at = 0
    while pending:
        part = pending.pop()
        looked_at += 1
        if looked_at > MAX_WORDS or len(found) > most:
            return found[:most], True
        if part.__class__ is str:
            found.append(part)
        elif isinstance(part, Mapping):
            pending.extend(part.values())
        elif isinstance(part, list | tuple):
            pending.extend(part)
        elif part is not None:
            found.append(scalar_text(part))
    return found, False


def scalar_text(value: Any) -> str:
    """Returns the text of a value that is neither null nor a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 1_000 else hex(value)
    if isinstance(value, Mapping):
        return json_text(value)
    return str(value)


def json_text(value: Any) -> str:
    """Returns ``value`` as compact JSON; what JSON cannot hold is written by `repr`."""
    try:
        return orjson.dumps(value, default=repr).decode()
    except TypeError:
        return _json_of_any_depth(value)


def _json_of_any_depth(value: Any) -> str:
    """Returns what `json_text` does for what orjson reads and does not write: 255 to 1,024 levels,
    and integers beyond 64 bits. Nothing here calls itself: an event must not reach Python's limit.
    """
    found: list[str] = []
    pending: list[tuple[Any, bool]] = [(value, False)]
    while pending:
        part, is_text = pending.pop()
        if is_text:
            found.append(part)
        elif isinstance(part, Mapping):
            parts = [[(f"{_leaf(str(k))}:", True), (v, False)] for k, v in part.items()]
            pending += _within("{", parts, "}")
        elif isinstance(part, list | tuple):
            pending += _within("[", [[(one, False)] for one in part], "]")
        else:
            found.append(_leaf(part))
    return "".join(found)


def _leaf(value: Any) -> str:
    if isinstance(value, int):
        return scalar_text(value)
    try:
        return orjson.dumps(value, default=repr).decode()
    except TypeError:  # half a surrogate pair
        return orjson.dumps(repr(value)).decode()


def _within(
    first: str, parts: list[list[tuple[Any, bool]]], last: str
) -> Iterator[tuple[Any, bool]]:
    """Yields the parts with commas between them, the last one first."""
    yield last, True
    for number, part in enumerate(reversed(parts)):
        if number:
            yield ",", True
        yield from reversed(part)
    yield first, True


def texts(value: Any) -> Texts:
    """Returns ``value`` as a text, or as `Many` where it is a list or nothing."""
    return several(members(value))


def folded(value: Any) -> Texts:
    """Returns what `texts` does, folded."""
    return several(tuple(map(fold, members(value))))


def several(found: tuple[str, ...]) -> Texts:
    """Returns the one text there is, or `Many`."""
    if len(found) == 1:
        return found[0]
    return Many(found) if found else NOTHING


def is_heavy(found: tuple[str, ...]) -> bool:
    """Tells whether texts are so many, or so long, that asking them costs."""
    return len(found) > HEAVY_MEMBERS or any(len(text) > HEAVY_CHARS for text in found)


def lookup(event: Mapping[str, Any], slot: Slot) -> Any:
    """Returns the value in ``slot``; None if it is missing or null in every place."""
    if isinstance(slot, str):
        return event.get(slot)
    if isinstance(slot, frozenset):
        values = [value for key in slot if (value := event.get(key)) is not None]
        return values or None
    for key in slot:
        value = event.get(key)
        if value is not None:
            return value
    return None


_DECIMAL = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\Z", re.ASCII)
_HEX = re.compile(r"[+-]?0[xX][0-9a-fA-F]+\Z")


@remembered(65_536, MAX_NUMBER_TEXT)
def number(text: str) -> int | float | None:
    """Returns the number that ``text`` writes in decimal or as 0x.., or None.

    Texts over 40 characters are no numbers: an event must not buy work with digits.
    """
    if len(text) > MAX_NUMBER_TEXT:
        return None
    if _DECIMAL.match(text):
        return float(text) if any(c in text for c in ".eE") else int(text)
    if _HEX.match(text):
        return int(text, 16)
    return None


@remembered(65_536, 64)
def address(text: str) -> IPv4Address | IPv6Address | None:
    """Returns the IP address that ``text`` is, or None; ``::ffff:a.b.c.d`` is the IPv4 address."""
    if len(text) > 64:
        return None
    try:
        found = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped if mapped is not None else found


@remembered(8_192, MAX_NUMBER_TEXT)
def moment(text: str) -> datetime | None:
    """Returns the UTC time that ``text`` is: ISO 8601, or seconds or milliseconds since 1970.

    A time without a zone is UTC. None where it is no time between the years 1 and 9999.
    """
    if len(text) > MAX_NUMBER_TEXT:
        return None
    value = number(text)
    try:
        if value is not None:
            seconds = value / 1000 if abs(value) >= 1e11 else value
            return datetime.fromtimestamp(seconds, UTC)
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


NONE_NOTED: Mapping[Slot, Noted] = {}


class Folded(dict[Slot, Texts]):
    """The folded texts of one event by slot, computed when first asked for."""

    __slots__ = ("cut", "event", "noted", "texts")

    def __init__(
        self, event: Mapping[str, Any], noted: Mapping[Slot, Noted], cut: set[Slot]
    ) -> None:
        super().__init__()
        self.event = event
        self.noted = noted
        self.cut = cut
        self.texts: dict[Slot, tuple[str, ...]] = {}

    def __missing__(self, slot: Slot) -> Texts:
        value = lookup(self.event, slot)
        found: Texts
        if value.__class__ is str and len(value) <= HEAVY_CHARS:
            found = fold(value)
        else:
            noted = self.noted.get(slot)
            seen = self.seen(slot, value) if noted is None else noted.texts
            low = tuple(map(fold, seen))
            found = Heavy(low, noted) if is_heavy(seen) else several(low)
            self.texts[slot] = seen
        self[slot] = found
        return found

    def seen(self, slot: Slot, value: Any) -> tuple[str, ...]:
        """Returns what rules see of a value, and notes where that is a part only."""
        found, is_cut = read(value)
        if is_cut:
            self.cut.add(slot)
        return found


class Raw(dict[Slot, Texts]):
    """The texts of one event by slot, in the case in which they came."""

    __slots__ = ("event", "low")

    def __init__(self, event: Mapping[str, Any], low: Folded) -> None:
        super().__init__()
        self.event = event
        self.low = low

    def __missing__(self, slot: Slot) -> Texts:
        value = lookup(self.event, slot)
        found: Texts
        if value.__class__ is str and len(value) <= HEAVY_CHARS:
            found = value
        else:
            low, cut = self.low[slot], self.low.cut
            seen = self.low.texts[slot]
            found = (
                Heavy(seen, None, low, lambda: cut.add(slot)) if is_heavy(seen) else several(seen)
            )
        self[slot] = found
        return found


KeywordFilter = Callable[[str], bool]


class View:
    """One event as rules see it. Lives for one `Engine.match`; the event must not change.

    ``noted`` is what the prefilter found in heavy values. ``cut`` are the slots of which rules
    were shown a part only; `WORDS` stands for keywords.
    """

    __slots__ = ("_haystack", "_keywords", "_low", "_raw", "cut", "event", "low", "raw", "searched")

    def __init__(
        self,
        event: Mapping[str, Any],
        searched: KeywordFilter,
        noted: Mapping[Slot, Noted] = NONE_NOTED,
    ) -> None:
        self.event = event
        self.cut: set[Slot] = set()
        self.low = Folded(event, noted, self.cut)
        self.raw = Raw(event, self.low)
        self.searched = searched
        self._keywords: tuple[str, ...] | None = None
        self._haystack: str | None = None
        self._low: Heavy | None = None
        self._raw: Heavy | None = None

    def note(self, noted: Mapping[Slot, Noted], cut: Iterable[Slot]) -> None:
        """Takes over what a prefilter found in heavy values, and which it was shown in part."""
        self.cut.update(cut)
        more = {
            slot: new
            for slot, new in noted.items()
            if slot not in self.low.noted
            or len(new.known.literals) > len(self.low.noted[slot].known.literals)
        }
        self.low.noted = {**self.low.noted, **more}

    def keywords(self) -> tuple[str, ...]:
        """Returns every text that a keyword is looked for in, as it came."""
        if self._keywords is None:
            self._keywords = self._words()
        return self._keywords

    def _words(self) -> tuple[str, ...]:
        searched = self.searched
        found: list[str] = []
        left = MAX_WORD_CHARS
        for key, value in self.event.items():
            if not searched(key):
                continue
            if (
                value.__class__ is str
                and len(value) <= HEAVY_CHARS
                and len(value) <= left
                and len(found) < MAX_WORDS
            ):
                found.append(value)
                left -= len(value)
                continue
            new, is_cut = (
                ([value], False)
                if value.__class__ is str
                else leaves(value, MAX_WORDS - len(found))
            )
            for text in new:
                is_cut |= len(text) > min(MAX_CHARS, left) or len(found) == MAX_WORDS
                if left and len(found) < MAX_WORDS:
                    found.append(shortened(text)[:left])
                    left -= len(found[-1])
            if is_cut:
                self.cut.add(WORDS)
                if not left or len(found) == MAX_WORDS:
                    break
        return tuple(found)

    def words(self, lowered: bool) -> Heavy:
        """Returns these texts, folded or as they came."""
        if self._low is None:
            self._low = Heavy(tuple(map(fold, self.keywords())))
        if lowered:
            return self._low
        if self._raw is None:
            cut = self.cut
            self._raw = Heavy(self.keywords(), None, self._low, lambda: cut.add(WORDS))
        return self._raw

    def haystack(self) -> str:
        """Returns all keyword texts folded, with a NUL between them."""
        if self._haystack is None:
            self._haystack = self.words(lowered=True).joined()
        return self._haystack

    def exists(self, slot: Slot) -> bool:
        """Tells whether the field is there, be it null."""
        event = self.event
        return slot in event if isinstance(slot, str) else any(key in event for key in slot)
