"""JSON as logs contain it: strict first, then what people's software really writes.

Accepted beyond RFC 8259, with the tag ``lenient_json``: NaN, Infinity and numbers that no float
holds (become null), raw control characters in strings, half surrogate pairs (become U+FFFD). Of
duplicate keys the last one counts, as everywhere; ``event.original`` keeps them all. Deeper than
1,024 levels is not JSON to us.
"""

import json
import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

import orjson

MAX_FLATTENED_DEPTH = 16
"""Elasticsearch refuses a ``flattened`` field that is nested deeper than 20."""

_SURROGATES = re.compile(
    r"(\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_SPACE = re.compile(r"[\s,]*")
_AFTER_NAME = re.compile(r"[\s:]*")


def _bounded_int(digits: str) -> Any:
    return int(digits) if len(digits) <= 18 else _finite(digits)


def _finite(digits: str) -> Any:
    number = float(digits)
    return number if isfinite(number) else None


_LENIENT = json.JSONDecoder(
    strict=False,
    parse_constant=lambda _: None,
    parse_int=_bounded_int,
    parse_float=_finite,
)


def load(text: str | bytes) -> tuple[Any, bool]:
    """Returns (value, whether leniency was needed). Raises ValueError when it is not JSON."""
    try:
        return orjson.loads(text), False
    except orjson.JSONDecodeError:
        pass
    if isinstance(text, bytes):
        text = text.decode()
    text = _SURROGATES.sub(lambda m: m[1] or "\\ufffd", text)
    try:
        return _LENIENT.decode(text), True
    except RecursionError:
        raise ValueError("nested too deep") from None


def slices(text: str, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yields (begin, end) of JSON values that stand one after the other, commas between allowed.

    Ends before the first thing that is no JSON value (the "]" of the array that one walks in).
    Raises ValueError when a value that began as an object or array does not end.
    """
    position = start
    length = len(text)
    while True:
        match = _SPACE.match(text, position)
        position = match.end() if match else position
        if position >= length or text[position] in "]}":
            return
        try:
            _, end = _LENIENT.raw_decode(text, position)
        except RecursionError:
            raise ValueError("nested too deep") from None
        yield position, end
        position = end


def array_in(text: str, key: str) -> int:
    """Returns the position after the "[" of the array that ``key`` of the object ``text`` holds.

    ``text`` is an object that was parsed before; -1 when the array is not found.
    """
    position = text.index("{") + 1
    while match := _SPACE.match(text, position):
        if text[match.end()] != '"':
            return -1
        name, position = _LENIENT.raw_decode(text, match.end())
        position = _AFTER_NAME.match(text, position).end()  # type: ignore[union-attr]  # matches ""
        if name == key and text[position] == "[":
            return position + 1
        _, position = _LENIENT.raw_decode(text, position)
    return -1


def capped(value: Any, depth: int = MAX_FLATTENED_DEPTH) -> Any:
    """Returns ``value`` with everything below ``depth`` levels as one JSON text."""
    if isinstance(value, dict):
        if depth == 0:
            return _as_text(value)
        return {key: capped(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        if depth == 0:
            return _as_text(value)
        return [capped(item, depth - 1) for item in value]
    return value


def _as_text(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # orjson writes 254 levels and reads 1,024
        return "(nested too deep; see event.original)"
