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
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import orjson

Slot = str | tuple[str, ...] | frozenset[str]
"""Where a rule's field is found: an event key; several of which the first with a value counts; or
a set of keys whose values all count, like the members of one list."""

MAX_MEMBERS = 10_000
"""So many members of a list are looked at; what comes after them is not compared."""
MAX_NUMBER_TEXT = 40

fold = str.casefold


class Many:
    """The texts of a list, or none: answers like a `str` that holds if one member does."""

    __slots__ = ("members",)
    __hash__ = None  # type: ignore[assignment]  # never a key: equality means "one member equals"

    def __init__(self, members: tuple[str, ...]) -> None:
        self.members = members

    def __contains__(self, part: str) -> bool:
        return any(part in member for member in self.members)

    def __eq__(self, other: object) -> bool:
        return other in self.members

    def startswith(self, prefix: str | tuple[str, ...]) -> bool:
        return any(member.startswith(prefix) for member in self.members)

    def endswith(self, suffix: str | tuple[str, ...]) -> bool:
        return any(member.endswith(suffix) for member in self.members)


NOTHING = Many(())

Texts = str | Many


def members(value: Any) -> tuple[str, ...]:
    """Returns the texts of ``value``; () for null, an empty list and a list of nulls."""
    if value.__class__ is str:
        return (value,)
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return _flat(value)
    return (scalar_text(value),)


def _flat(values: Any) -> tuple[str, ...]:
    found: list[str] = []
    pending = [iter(values)]
    while pending and len(found) < MAX_MEMBERS:
        for value in pending[-1]:
            if isinstance(value, list | tuple):
                pending.append(iter(value))
                break
            if value is not None:
                found.append(scalar_text(value))
                if len(found) >= MAX_MEMBERS:
                    break
        else:
            pending.pop()
    return tuple(found)


def leaves(value: Any) -> list[str]:
    """Returns every text in ``value``, those inside lists and objects too, at most 10,000."""
    found: list[str] = []
    pending = [value]
    while pending and len(found) < MAX_MEMBERS:
        part = pending.pop()
        if isinstance(part, Mapping):
            pending.extend(part.values())
        elif isinstance(part, list | tuple):
            pending.extend(part)
        elif part is not None:
            found.append(scalar_text(part))
    return found


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
        return repr(value)


def texts(value: Any) -> Texts:
    """Returns ``value`` as a text, or as `Many` where it is a list or nothing."""
    if value.__class__ is str:
        return value
    found = members(value)
    if len(found) == 1:
        return found[0]
    return Many(found) if found else NOTHING


def folded(value: Any) -> Texts:
    """Returns what `texts` does, folded."""
    if value.__class__ is str:
        return fold(value)
    found = members(value)
    if len(found) == 1:
        return fold(found[0])
    return Many(tuple(map(fold, found))) if found else NOTHING


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


@lru_cache(maxsize=65_536)
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


@lru_cache(maxsize=65_536)
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


@lru_cache(maxsize=8_192)
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


class Folded(dict[Slot, Texts]):
    """The folded texts of one event by slot, computed when first asked for."""

    __slots__ = ("event",)

    def __init__(self, event: Mapping[str, Any]) -> None:
        super().__init__()
        self.event = event

    def __missing__(self, slot: Slot) -> Texts:
        found = self[slot] = folded(lookup(self.event, slot))
        return found


class Raw(dict[Slot, Texts]):
    """The texts of one event by slot, in the case in which they came."""

    __slots__ = ("event",)

    def __init__(self, event: Mapping[str, Any]) -> None:
        super().__init__()
        self.event = event

    def __missing__(self, slot: Slot) -> Texts:
        found = self[slot] = texts(lookup(self.event, slot))
        return found


KeywordFilter = Callable[[str], bool]


class View:
    """One event as rules see it. Lives for one `Engine.match`; the event must not change."""

    __slots__ = ("_haystack", "_keywords", "event", "low", "raw", "searched")

    def __init__(self, event: Mapping[str, Any], searched: KeywordFilter) -> None:
        self.event = event
        self.low = Folded(event)
        self.raw = Raw(event)
        self.searched = searched
        self._keywords: tuple[str, ...] | None = None
        self._haystack: str | None = None

    def keywords(self) -> tuple[str, ...]:
        """Returns every text that a keyword is looked for in, as it came."""
        if self._keywords is None:
            searched = self.searched
            found: list[str] = []
            for key, value in self.event.items():
                if searched(key):
                    if value.__class__ is str:
                        found.append(value)
                    else:
                        found.extend(leaves(value))
            self._keywords = tuple(found)
        return self._keywords

    def haystack(self) -> str:
        """Returns all keyword texts folded, with a NUL between them."""
        if self._haystack is None:
            self._haystack = fold("\0".join(self.keywords()))
        return self._haystack

    def exists(self, slot: Slot) -> bool:
        """Tells whether the field is there, be it null."""
        event = self.event
        return slot in event if isinstance(slot, str) else any(key in event for key in slot)
