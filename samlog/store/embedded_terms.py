"""From an event to what the embedded index holds of it.

Every value becomes a term ``path=value NUL original``: the value in the case of comparison, then,
only where it differs, as it was written (of a long one: where it has capitals). All terms are in
one field, so that an index needs no declaration of the fields that events may have; numbers, times
and addresses are written in hex of one width, so that their order is that of the text.
"""

import struct
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from samlog.clock import iso_ms
from samlog.ecs_types import to_boolean, to_date, to_float, to_ip, to_long
from samlog.event import Event
from samlog.store.embedded_words import words_text
from samlog.store.fields import Kind, caseless, keyword_text, kind, searchable
from samlog.store.query_values import address_number, address_text

END = "\0"
"""Ends a value within its term; in values it is replaced by `_NUL_SIGN`."""
_NUL_SIGN = "\u2400"
_TIMESTAMP = "@timestamp"
_SEPARATOR = "\x1f"
MAX_NAME = 512
"""Longest field name that is indexed; what has a longer one is kept and cannot be searched."""
_MAX_SHAPE = 16_000
_SHORT = 64
_CAPITALS = END
_OFFSET = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Refused(ValueError):
    """The event does not fit the index; the message says why."""


@dataclass(slots=True)
class Indexed:
    """What is written of one event.

    ``texts`` are pairs of a field and its words; ``truncated`` tells that a value was too long.
    """

    timestamp_ms: int
    terms: list[str] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    truncated: bool = False


def long_key(value: int) -> str:
    """Returns a 64-bit integer as text of the same order."""
    return f"{value + _OFFSET:016x}"


def double_key(value: float) -> str:
    """Returns a number as text of the same order."""
    bits: int = struct.unpack(">Q", struct.pack(">d", value + 0.0))[0]
    return f"{bits ^ (2**64 - 1) if bits >> 63 else bits | _OFFSET:016x}"


def ip_key(number: int) -> str:
    """Returns an address as text of the same order."""
    return f"{number:032x}"


def date_ms(value: Any) -> int:
    """Returns the milliseconds since 1970 of a date in any form that `to_date` takes."""
    moment = datetime.fromisoformat(to_date(value))
    # timestamp() is a float: exact to the microsecond within the years of the calendar.
    return round(moment.timestamp() * 1000)


@lru_cache(maxsize=65536)
def _ip_of(text: str) -> str:
    return ip_key(address_number(ip_address(to_ip(text))))


_KEYS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.LONG: lambda value: long_key(to_long(value)),
    Kind.DOUBLE: lambda value: double_key(to_float(value)),
    Kind.DATE: lambda value: long_key(date_ms(value)),
    Kind.IP: lambda value: _ip_of(value if isinstance(value, str) else str(value)),
    Kind.BOOLEAN: lambda value: "true" if to_boolean(value) else "false",
}


def shown(its: Kind, term: str) -> str:
    """Returns the value of a term (without its path) as it is shown to people."""
    key, _, original = term.partition(END)
    if its is Kind.LONG:
        return str(int(key, 16) - _OFFSET)
    if its is Kind.DATE:
        return date_text(int(key, 16) - _OFFSET)
    if its is Kind.IP:
        return address_text(int(key, 16))
    if its is Kind.DOUBLE:
        bits = int(key, 16)
        bits = bits ^ _OFFSET if bits >> 63 else bits ^ (2**64 - 1)
        return repr(struct.unpack(">d", struct.pack(">Q", bits))[0])
    return _restored(key, original) if original.startswith(_CAPITALS) else original or key


def date_text(ms: int) -> str:
    """Returns milliseconds since 1970 as ISO 8601."""
    return iso_ms(datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000))


def prefix(name: str) -> str:
    """Returns what the terms of the field ``name`` begin with."""
    return name.replace("=", "\x02").replace(END, _NUL_SIGN) + "="


@lru_cache(maxsize=65536)
def _entry(name: str) -> tuple[str, Kind]:
    return prefix(name), kind(name)


def index_event(event: Event) -> Indexed:
    """Returns the terms of ``event``; raises `Refused` where a value does not fit its field."""
    try:
        indexed = Indexed(date_ms(event[_TIMESTAMP]))
    except KeyError as error:
        raise Refused("the event has no @timestamp") from error
    except ValueError as error:
        raise Refused(f"@timestamp is {error}") from error
    names = [_TIMESTAMP]
    terms = indexed.terms
    for name, value in event.items():
        if len(name) > MAX_NAME:
            continue
        path, its = _entry(name)
        # The common case without a call: 50 of the 62 fields of a Windows event.
        if type(value) is str and its is Kind.KEYWORD:
            lower = value.lower() if value.isascii() else caseless(value)
            if len(value) <= _SHORT and END not in value:
                terms.append(
                    f"{path}{lower}{END}" if lower == value else f"{path}{lower}{END}{value}"
                )
                names.append(name)
            elif _add_keyword(indexed, path, value):
                names.append(name)
        elif value is not None and name != _TIMESTAMP:
            _add(indexed, names, name, value)
    indexed.shapes = _shapes(names)
    return indexed


def _add(indexed: Indexed, names: list[str], name: str, value: Any) -> None:
    if type(value) is list:
        for item in value:
            _add(indexed, names, name, item)
        return
    if len(name) > MAX_NAME:
        return
    path, its = _entry(name)
    if value is None or its is Kind.STORED:
        return
    if its is Kind.GEO:
        names.append(name)
    elif type(value) is dict:
        for key, item in value.items():
            _add(indexed, names, f"{name}.{key}", item)
    elif its is Kind.TEXT:
        indexed.texts.append((name, words_text(keyword_text(value))))
        names.append(name)
    elif its in _KEYS:
        try:
            indexed.terms.append(f"{path}{_KEYS[its](value)}{END}")
        except ValueError as error:
            raise Refused(f"{name} is {its.value}: {error}") from error
        names.append(name)
    elif _add_keyword(indexed, path, keyword_text(value)):
        names.append(name)


def _add_keyword(indexed: Indexed, path: str, value: str) -> bool:
    if not searchable(value):
        indexed.truncated = True
        return False
    value = value.replace(END, _NUL_SIGN)
    lower = caseless(value)
    original = "" if lower == value else value if len(value) <= _SHORT else _capitals(value)
    indexed.terms.append(f"{path}{lower}{END}{original}")
    return True


@lru_cache(maxsize=4096)
def _capitals(value: str) -> str:
    """Returns where a long value has capitals, much shorter than the value itself.

    Long values are few and make the dictionary large: with each written twice an event takes
    twice the time. Only what `_restored` gives back exactly is written so.
    """
    if not value.isascii():
        return value
    size = len(value)
    differing = int.from_bytes(value.encode()) ^ int.from_bytes(value.lower().encode())
    return _CAPITALS + b64encode(zlib.compress(differing.to_bytes(size), 1)).decode()


def _restored(key: str, capitals: str) -> str:
    differing = zlib.decompress(b64decode(capitals[len(_CAPITALS) :]))
    number = int.from_bytes(key.encode()) ^ int.from_bytes(differing)
    return number.to_bytes(len(key)).decode()


def _shapes(names: list[str]) -> list[str]:
    """Returns which fields there are, as few terms: events of one source share theirs."""
    joined = _SEPARATOR.join(names)
    if len(joined) <= _MAX_SHAPE:
        return [_shape(joined)]
    # A term has at most 65,530 bytes.
    return [f"{_SEPARATOR}{name}{_SEPARATOR}" for name in set(names)]


@lru_cache(maxsize=1024)
def _shape(names: str) -> str:
    unique = sorted(set(names.split(_SEPARATOR)))
    return _SEPARATOR + _SEPARATOR.join(unique) + _SEPARATOR


def comparable(text: str) -> str:
    """Returns the text of a query as terms have it."""
    return text.replace(END, _NUL_SIGN)
