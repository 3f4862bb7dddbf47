"""A vendor's JSON object as flat fields below one prefix, and the values that ECS wants from it.

Names are Microsoft's in snake case, as Elastic's integrations write them. Lists of objects stay
lists of objects, so that what belongs together stays together.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from normalize import vendor_object
from normalize.address import is_ip, set_port
from normalize.jsontext import capped, load
from samlog.event import Event

MAX_LEAVES = 512
"""Fields that one object becomes; what comes after them is one JSON text in ``<prefix>.rest``."""
MAX_DEPTH = 8
MAX_PAIRS = 128
"""Entries of a list of names and values that become fields."""

_SCALARS = frozenset((str, int, float, bool))
_MAX_NAME = 128
_MAX_NESTED_TEXT = 1 << 20
_SEPARATORS = re.compile(r"[.\s-]")
_MAPPED = re.compile(r"::ffff:(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?\Z", re.IGNORECASE)
_BRACKETED = re.compile(r"\[([^\]\s]{1,255})\](?::(\d{1,5}))?\Z")
_WITH_PORT = re.compile(r"([^:\s]{1,255}):(\d{1,5})\Z")

Pairs = Iterable[tuple[str, str]]
"""(the vendor's key, the field)."""


def snake(name: str) -> str:
    """Returns ``riskLevelDuringSignIn`` as ``risk_level_during_sign_in``."""
    # A name of any length must not stay in the memory.
    return _snake(name if len(name) <= _MAX_NAME else name[:_MAX_NAME])


@lru_cache(maxsize=16384)
def _snake(name: str) -> str:
    return _SEPARATORS.sub("_", vendor_object.snake(name)) or "_"


def plain(name: str) -> str:
    """Returns a key that is data itself (``Is CAE Token``) or Microsoft's name, as it is."""
    return name[:_MAX_NAME] or "_"


def spread(
    event: Event, prefix: str, record: Mapping[str, Any], name: Callable[[str], str] = snake
) -> None:
    """Writes every leaf of ``record`` below ``prefix``; nulls and empty containers say nothing."""
    _spread(event, prefix, record, name, MAX_DEPTH, len(event) + MAX_LEAVES)


def _spread(
    event: Event,
    prefix: str,
    record: Mapping[str, Any],
    name: Callable[[str], str],
    depth: int,
    limit: int,
) -> None:
    rest: dict[str, Any] = {}
    for key, value in record.items():
        scalar = type(value) in _SCALARS
        if not scalar and not value:
            continue
        if len(event) >= limit:
            rest[key] = value
            continue
        field = f"{prefix}.{name(key)}"
        if not scalar:
            if isinstance(value, dict) and depth:
                _spread(event, field, value, name, depth - 1, limit)
                continue
            value = capped(value)
        event[field] = [event[field], value] if field in event else value
    if rest:
        event[f"{prefix}.rest"] = json_text(rest)


def json_text(value: Any) -> str:
    """Returns ``value`` as compact JSON."""
    return orjson.dumps(capped(value)).decode()


def inner(value: Any) -> Any:
    """Returns JSON that was sent as a text (JSON in JSON) parsed; all else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "[") or len(value) > _MAX_NESTED_TEXT:
        return value
    try:
        return load(value)[0]
    except ValueError:
        return value


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns ``value`` where it is an object, or the text of one; else an empty one."""
    found = inner(value)
    return found if isinstance(found, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """Returns the objects in a list (or in the text of one), a lone object as a list of one."""
    found = inner(value)
    if isinstance(found, dict):
        return [found]
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def named_values(value: Any, name: str, content: str) -> dict[str, Any]:
    """Returns ``[{name: "a", content: 1}, ..]`` as ``{"a": 1}``; a repeated name gives a list."""
    found: dict[str, Any] = {}
    for item in objects(value)[:MAX_PAIRS]:
        key, kept = item.get(name), item.get(content)
        if not isinstance(key, str) or kept is None:
            continue
        key = plain(key)
        if key not in found:
            found[key] = kept
        elif isinstance(found[key], list):
            found[key].append(kept)
        else:
            found[key] = [found[key], kept]
    return found


def copy(event: Event, record: Mapping[str, Any], pairs: Pairs) -> None:
    """Copies scalars that say something; null, "" and containers are passed over."""
    for key, field in pairs:
        value = record.get(key)
        if value is not None and value != "" and not isinstance(value, dict | list):
            event[field] = value


def text(record: Mapping[str, Any], *keys: str) -> str:
    """Returns the first of ``keys`` that holds a text, "" without one."""
    for key in keys:
        value = record.get(key)
        if isinstance(value, str) and value:
            return value
    return ""


def set_account(event: Event, prefix: str, account: str) -> None:
    """Writes ``<prefix>.name`` and, for ``name@domain``, ``<prefix>.domain``."""
    name, at, domain = account.partition("@")
    if at and name and domain and "@" not in domain:
        event[prefix + ".name"], event[prefix + ".domain"] = name, domain
    elif account:
        event[prefix + ".name"] = account


def split_address(value: str) -> tuple[str, int | None]:
    """Returns (address, port) of ``192.0.2.1:80``, ``[2001:db8::1]:80``, ``::ffff:192.0.2.1``."""
    value = value.strip()
    port = ""
    if match := _BRACKETED.match(value):
        value, port = match[1], match[2] or ""
    elif not is_ip(value) and (match := _WITH_PORT.match(value)):
        value, port = match[1], match[2]
    if match := _MAPPED.match(value):
        value, port = match[1], port or match[2] or ""
    return value, int(port) if port else None


def set_client(event: Event, value: Any, *sides: str, address: bool = False) -> None:
    """Writes who called as ``<side>.ip`` for every side, and its port; no address, no field.

    ``address``: also ``source.address``, which then holds what is no IP address as well.
    """
    if not isinstance(value, str) or not value:
        return
    host, port = split_address(value)
    if address:
        event["source.address"] = host
    if not is_ip(host):
        return
    for side in sides or ("source",):
        event[side + ".ip"] = host
        if port is not None:
            set_port(event, side, port)


def nanoseconds(milliseconds: Any) -> int | None:
    """Returns ``event.duration`` from milliseconds, a number or the text of one."""
    if isinstance(milliseconds, str) and milliseconds.isascii() and milliseconds.isdecimal():
        milliseconds = int(milliseconds[:15])
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    return round(milliseconds * 1_000_000) if 0 <= milliseconds < 1e12 else None
