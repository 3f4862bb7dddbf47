"""Brings an event to the types of ECS, so that no store refuses it and every rule can compare it.

What cannot be brought to its type is not lost: it moves to ``samlog.invalid.<field>`` as a string.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isfinite
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, NamedTuple

import orjson

from samlog.clock import iso_ms
from samlog.ecs import ARRAYS, FIELDS
from samlog.event import Event

INVALID = "samlog.invalid."
"""Prefix of fields that hold what had the wrong type."""

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
FLOAT_MAX = 3.4028234663852886e38
"""Largest number that an Elasticsearch ``float`` takes."""

_MAX_DEPTH = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOLEANS = {
    "true": True,
    "false": False,
    "yes": True,
    "no": False,
    "1": True,
    "0": False,
}
_SCALARS = frozenset((str, int, float, bool))
_NONE = type(None)

Coercion = Callable[[Any], Any]
"""Returns a scalar in its field's type, or raises ValueError."""


def to_long(value: Any) -> int:
    """Returns a signed 64-bit integer from an integer, a whole float, or decimal or 0x digits."""
    kind = type(value)
    if kind is str:
        value = _integer(value)
    elif kind is float and value.is_integer():
        value = int(value)
    elif kind is not int:
        raise ValueError("not a whole number")
    if LONG_MIN <= value <= LONG_MAX:
        return value  # type: ignore[no-any-return]  # an int by the branches above
    raise ValueError("beyond 64 bits")


def _integer(text: str) -> int:
    # int() also takes "1_000" and digits of every script, and slows down with the length.
    text = text.strip()
    digits = text[1:] if text[:1] in ("-", "+") else text
    if digits[:2] in ("0x", "0X") and len(digits) <= 18 and digits[2:].isalnum():
        return int(text, 16)
    if digits.endswith(".0"):
        text, digits = text[:-2], digits[:-2]
    if digits.isascii() and digits.isdigit() and len(digits) <= 20:
        return int(text)
    raise ValueError("not a whole number")


def to_float(value: Any) -> float | int:
    """Returns a finite number within the range of a 32-bit float; integers stay integers."""
    kind = type(value)
    if kind is str:
        if len(value) > 40 or "_" in value:
            raise ValueError("not a number")
        value = float(value)
    elif kind is not float and kind is not int:
        raise ValueError("not a number")
    if -FLOAT_MAX <= value <= FLOAT_MAX:
        return value  # type: ignore[no-any-return]  # a number by the branches above
    raise ValueError("beyond a float")


def to_boolean(value: Any) -> bool:
    """Returns a boolean from one, from 0 and 1, and from true, false, yes, no in any case."""
    if value is True or value is False:
        return value
    if type(value) in (int, str):
        found = _BOOLEANS.get(str(value).lower()) if len(str(value)) <= 5 else None
        if found is not None:
            return found
    raise ValueError("not a boolean")


# 0.06 µs instead of 0.5 µs: a log repeats its addresses.
@lru_cache(maxsize=65536)
def _checked_ip(text: str) -> str:
    text = text.strip()
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except OSError as error:
        raise ValueError("not an IP address") from error
    return text


def to_ip(value: Any) -> str:
    """Returns the text of an IPv4 or IPv6 address as it was written, without space around it."""
    if type(value) is not str or len(value) > 64 or "\0" in value:
        raise ValueError("not an IP address")
    return _checked_ip(value)


def to_date(value: Any) -> str:
    """Returns ISO 8601 UTC with milliseconds, for years 1 to 9999.

    Takes ISO 8601 (without a zone: UTC) and the time since 1970 as a number, where the size tells
    the unit: below 1e11 seconds, below 1e14 milliseconds, below 1e17 microseconds, else
    nanoseconds.
    """
    kind = type(value)
    if kind is str and len(value) <= 40:
        if len(value) == 24 and value[23] == "Z" and value[19] == "." and value[10] == "T":
            datetime.fromisoformat(value)
            if value[7] == "-":
                return value  # type: ignore[no-any-return]  # a str by the test above
        # Before ISO 8601, whose basic form finds the year 1610 in 1610110112345.
        if value[4:5] != "-" and value.replace(".", "", 1).isdigit():
            return _from_epoch(int(value) if value.isdigit() else float(value))
        moment = datetime.fromisoformat(value)
        return _iso(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if kind is int or kind is float:
        return _from_epoch(value)
    if isinstance(value, datetime):
        return _iso(value if value.tzinfo else value.replace(tzinfo=UTC))
    raise ValueError("not a date")


def _iso(moment: datetime) -> str:
    try:
        return iso_ms(moment)
    except OverflowError as error:
        raise ValueError("beyond the calendar") from error


def _from_epoch(number: float) -> str:
    if not isfinite(number):
        raise ValueError("not a date")
    size = abs(number)
    per_second = 1 if size < 1e11 else 10**3 if size < 1e14 else 10**6 if size < 1e17 else 10**9
    try:
        if isinstance(number, int):
            return iso_ms(_EPOCH + timedelta(microseconds=number * 10**6 // per_second))
        return iso_ms(_EPOCH + timedelta(seconds=number / per_second))
    except OverflowError as error:
        raise ValueError("beyond the calendar") from error


def to_geo(value: Any) -> Any:
    """Returns a geo point: ``{"lat", "lon"}`` or ``"lat,lon"`` within the globe."""
    if type(value) is dict and set(value) == {"lat", "lon"}:
        lat, lon = to_float(value["lat"]), to_float(value["lon"])
    elif type(value) is str and value.count(",") == 1:
        north, _, east = value.partition(",")
        lat, lon = to_float(north), to_float(east)
    else:
        raise ValueError("not a geo point")
    if abs(lat) > 90 or abs(lon) > 180:
        raise ValueError("beyond the globe")
    return value if type(value) is str else {"lat": lat, "lon": lon}


def _to_word(value: Any) -> Any:
    if type(value) in _SCALARS:
        return value
    raise ValueError("an object where a value is expected")


_COERCIONS: dict[str, Coercion] = {
    "long": to_long,
    "integer": to_long,
    "float": to_float,
    "double": to_float,
    "scaled_float": to_float,
    "boolean": to_boolean,
    "ip": to_ip,
    "date": to_date,
    "geo_point": to_geo,
}
_CONTAINERS = frozenset(("object", "nested", "flattened"))
# ECS types these as nested and describes them as lists of words.
_WORD_LISTS = frozenset(name for name in FIELDS if name.startswith("gen_ai.re")) & ARRAYS


def _parents() -> frozenset[str]:
    parents: set[str] = set()
    for name in FIELDS:
        parent = name.rpartition(".")[0]
        while parent and parent not in parents:
            parents.add(parent)
            parent = parent.rpartition(".")[0]
    return frozenset(parents - FIELDS.keys())


def _objects() -> frozenset[str]:
    declared = {name for name, es_type in FIELDS.items() if es_type in _CONTAINERS}
    return frozenset(declared | _parents()) - _WORD_LISTS


OBJECTS = _objects()
"""Names that hold objects: a scalar there would make a store refuse the event."""

_SCALAR_FIELDS: dict[str, Coercion] = {
    name: _COERCIONS[es_type]
    for name, es_type in FIELDS.items()
    if es_type in _COERCIONS and name not in ARRAYS
}
# Words need no look, other than to become arrays where ECS has arrays.
_LIST_FIELDS: dict[str, Coercion] = {
    name: _COERCIONS.get(FIELDS[name], _to_word) for name in ARRAYS if name not in OBJECTS
}
_WORDS = frozenset(name for name, convert in _LIST_FIELDS.items() if convert is _to_word)
_LOOKED_AT = frozenset(_SCALAR_FIELDS) | frozenset(_LIST_FIELDS) | OBJECTS


class Checks(NamedTuple):
    """What has to be looked at in events of one shape: the same names with values of one type.

    ``converts`` are single values with a type of their own, ``longs`` integers where integers
    belong, ``words`` lists in fields that hold lists of words, ``others`` all that is rarer.
    """

    longs: tuple[str, ...]
    converts: tuple[tuple[str, Coercion], ...]
    words: tuple[str, ...]
    others: tuple[str, ...]


def checks_for(names: Iterable[str], types: Iterable[type]) -> Checks:
    """Returns what `coerce_checked` does with an event whose ``names`` hold these ``types``."""
    longs: list[str] = []
    converts: list[tuple[str, Coercion]] = []
    words: list[str] = []
    others: list[str] = []
    for name, kind in zip(names, types, strict=True):
        convert = _SCALAR_FIELDS.get(name)
        if kind is _NONE or name not in FIELDS and name not in _LOOKED_AT:
            continue
        if kind is list:
            (words if name in _WORDS else others).append(name)
        elif convert is to_long and kind is int:
            longs.append(name)
        elif convert is not None:
            if convert is not to_boolean or kind is not bool:
                converts.append((name, convert))
        elif name in _LOOKED_AT or kind is dict:
            others.append(name)
    return Checks(tuple(longs), tuple(converts), tuple(words), tuple(others))


def coerce(event: Event) -> list[str]:
    """Brings the flat ``event`` to the types of ECS, in place.

    Numbers and booleans that came as strings become such; dates become ISO 8601 UTC in
    milliseconds; single values become arrays where ECS has arrays. An array stays one anywhere,
    None stays None. Fields that ECS does not know (``samlog.*``, vendors') pass unchanged.

    Returns the names of the fields of which something was moved to ``samlog.invalid.<name>``. Never
    raises on what JSON can hold. Idempotent.
    """
    return coerce_checked(event, checks_for(event, map(type, event.values())))


def coerce_checked(event: Event, checks: Checks) -> list[str]:
    """Does the work of `coerce` with the `Checks` of the event's shape, made before and kept.

    3 us an event of Windows instead of 11 with a search for the fields in every event.
    """
    moved: list[str] = []
    for name in checks.longs:
        if not LONG_MIN <= event[name] <= LONG_MAX:
            _move(event, name, event[name], moved)
    for name, convert in checks.converts:
        value = event[name]
        try:
            event[name] = convert(value)
        except ValueError:
            _move(event, name, value, moved)
    for name in checks.words:
        if not _SCALARS.issuperset(map(type, event[name])):
            _coerce_list(event, name, event[name], moved)
    for name in checks.others:
        _coerce_other(event, name, event[name], moved)
    moved.sort()
    return moved


def _coerce_other(event: Event, name: str, value: Any, moved: list[str]) -> None:
    if name not in _LOOKED_AT:
        _coerce_word(event, name, value, moved)
    elif type(value) is list:
        _coerce_list(event, name, value, moved)
    elif name in OBJECTS:
        _coerce_object(event, name, value, moved)
    else:
        _coerce_list(event, name, [value], moved)


def _coerce_list(event: Event, name: str, values: list[Any], moved: list[str]) -> None:
    if name in OBJECTS:
        _coerce_object(event, name, values, moved)
        return
    convert = _SCALAR_FIELDS.get(name) or _LIST_FIELDS[name]
    try:
        event[name] = list(map(convert, values))
    except ValueError:
        _sort_out(event, name, values, convert, moved)


def _sort_out(
    event: Event, name: str, values: list[Any], convert: Coercion, moved: list[str]
) -> None:
    """Keeps what converts and moves the rest; None is left out."""
    good: list[Any] = []
    bad: list[Any] = []
    for value in _flat(values):
        if value is None:
            continue
        try:
            good.append(convert(value))
        except ValueError:
            bad.append(value)
    if good or not bad:
        event[name] = good
    else:
        del event[name]
    for value in bad:
        _keep(event, name, value, moved)


def _flat(values: list[Any]) -> list[Any]:
    if not any(type(value) is list for value in values):
        return values
    flat: list[Any] = []
    stack = list(reversed(values))
    while stack:
        value = stack.pop()
        if type(value) is list:
            stack += reversed(value)
        else:
            flat.append(value)
    return flat


def _coerce_object(event: Event, name: str, value: Any, moved: list[str]) -> None:
    """Handles a field that must hold an object or a list of objects."""
    parts = _flat(value) if type(value) is list else [value]
    if all(type(part) is dict for part in parts):
        for part in parts:
            _coerce_leaves(event, name, part, moved, depth=1)
        return
    _move(event, name, value, moved)


def _coerce_leaves(
    event: Event, prefix: str, part: dict[str, Any], moved: list[str], depth: int
) -> None:
    if FIELDS.get(prefix) == "flattened":
        return
    for key in list(part):
        name, value = f"{prefix}.{key}", part[key]
        if value is None:
            continue
        if type(value) is dict and name not in FIELDS:
            if depth < _MAX_DEPTH:
                _coerce_leaves(event, name, value, moved, depth + 1)
            continue
        kind = type(value)
        if kind is not list and (convert := _SCALAR_FIELDS.get(name)) is not None:
            try:
                part[key] = convert(value)
                continue
            except ValueError:
                pass
        elif name in FIELDS and name not in _LOOKED_AT and kind in _SCALARS:
            continue
        if name in _LOOKED_AT or name in FIELDS:
            # One field by itself is an event of one field.
            single: Event = {name: value}
            coerce(single)
            for where, kept in single.items():
                if where.startswith(INVALID):
                    _keep(event, name, kept, moved)
            if name in single:
                part[key] = single[name]
            else:
                del part[key]


def _coerce_word(event: Event, name: str, value: Any, moved: list[str]) -> None:
    """Moves objects out of a field that holds words."""
    if type(value) is dict:
        _move(event, name, value, moved)
    elif not _SCALARS.issuperset(map(type, value)):
        parts = _flat(value)
        event[name] = [part for part in parts if type(part) is not dict]
        for part in parts:
            if type(part) is dict:
                _keep(event, name, part, moved)


def _move(event: Event, name: str, value: Any, moved: list[str]) -> None:
    del event[name]
    _keep(event, name, value, moved)


def _keep(event: Event, name: str, value: Any, moved: list[str]) -> None:
    """Puts what had the wrong type where it is kept, as a string or a list of strings."""
    place = INVALID + name
    before = event.get(place)
    text = value if isinstance(value, str) else _text(value)
    if before is None:
        event[place] = text
    elif isinstance(before, list):
        before.append(text)
    else:
        event[place] = [before, text]
    if name not in moved:
        moved.append(name)


def _text(value: Any) -> str:
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # A number beyond 64 bits, or an object deeper than orjson writes.
        try:
            return repr(value)
        except RecursionError:
            return "nested too deep"
