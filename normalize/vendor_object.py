"""A vendor's own JSON object, kept leaf by leaf under the vendor's namespace.

Names are written as Elastic writes them: ``alternateId`` becomes ``alternate_id``. The leaves of
the objects in a list become one list. What goes beyond the bounds is in ``event.original`` only.
"""

import re
from collections.abc import Mapping
from typing import Any

from normalize.bounded import Bounded
from samlog.event import Event

MAX_LEAVES = 256
"""Leaves of one object that become fields."""
MAX_NAME = 128
"""A longer key is not a field's name: somebody's data stands where a name should."""
_MAX_DEPTH = 12
_MAX_ITEMS = 256

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """Returns ``requestURI`` as ``request_uri``."""
    return _HUMP.sub("_", name).lower()


def _fits(key: tuple[str, str]) -> bool:
    return len(key[0]) + len(key[1]) <= 2 * MAX_NAME


Names = Bounded[tuple[str, str], str]
"""Prefix and key → name of the field; sources repeat them."""

_NAMES: Names = Bounded(lambda key: f"{key[0]}.{snake(key[1])}", 8_192, _fits)
_SENT: Names = Bounded(lambda key: f"{key[0]}.{key[1]}", 8_192, _fits)


def set_leaves(
    event: Event, prefix: str, value: Any, *, as_sent: bool = False, limit: int = MAX_LEAVES
) -> None:
    """Sets every leaf of ``value`` below ``prefix``; null, "" and empty things set nothing.

    Args:
        event: gets the fields; a field that it has already becomes a list.
        prefix: without the last dot.
        value: what JSON can hold; deeper than 12 levels is left out.
        as_sent: keeps the names as they are, for keys that are data rather than names.
        limit: number of fields that are set at most.
    """
    leaves: Event = {}
    names = _SENT if as_sent else _NAMES
    if type(value) is dict:
        _object(leaves, prefix, value, names, limit, _MAX_DEPTH)
    else:
        _leaf(leaves, prefix, value, names, limit, _MAX_DEPTH)
    if leaves.keys().isdisjoint(event):
        event.update(leaves)
        return
    for name, leaf in leaves.items():
        _add(event, name, leaf)


def _object(
    out: Event, prefix: str, value: dict[str, Any], names: Names, limit: int, depth: int
) -> None:
    """Takes scalars itself, which most leaves are: 15 us an object instead of 25."""
    for key, item in value.items():
        if item is None or item == "" or not key or len(key) > MAX_NAME:
            continue
        name = names[prefix, key]
        if type(item) is dict:
            if depth:
                _object(out, name, item, names, limit, depth - 1)
        elif type(item) is list or name in out:
            _leaf(out, name, item, names, limit, depth)
        elif len(out) < limit:
            out[name] = item


def _leaf(out: Event, name: str, value: Any, names: Names, limit: int, depth: int) -> None:
    if type(value) is dict:
        if depth:
            _object(out, name, value, names, limit, depth - 1)
    elif type(value) is list:
        for item in value[:_MAX_ITEMS] if depth else ():
            _leaf(out, name, item, names, limit, depth - 1)
    elif value is not None and value != "":
        before = out.get(name)
        if isinstance(before, list):
            before.append(value)
        elif before is not None:
            out[name] = [before, value]
        elif len(out) < limit:
            out[name] = value


def _add(event: Event, name: str, value: Any) -> None:
    before = event.get(name)
    if before is None:
        event[name] = value
    else:
        values = before if isinstance(before, list) else [before]
        event[name] = [*values, *value] if isinstance(value, list) else [*values, value]


def set_class(event: Event, by_category: Mapping[str, str], other: str = "") -> None:
    """Sets ``samlog.log_class`` by the first of the event's categories that has one."""
    found = [by_category[word] for word in event.get("event.category", ()) if word in by_category]
    put(event, "samlog.log_class", found[0] if found else other)


def text(record: Mapping[str, Any], *path: str) -> str:
    """Returns the text at ``path`` in nested objects, "" when there is none.

    Numbers are texts as well; "null" and "-" are how software writes nothing.
    """
    node: Any = record
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, str):
        return "" if node in ("null", "-") else node
    return str(node) if isinstance(node, (int, float)) and not isinstance(node, bool) else ""


def part(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Returns the object that ``key`` holds, an empty one when it holds something else."""
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def objects(value: Any, limit: int = _MAX_ITEMS) -> list[dict[str, Any]]:
    """Returns the objects in a list, at most ``limit``; none when ``value`` is no list."""
    return [item for item in value[:limit] if isinstance(item, dict)] if type(value) is list else []


def put(event: Event, name: str, value: Any) -> None:
    """Sets a field unless ``value`` is empty."""
    if value is not None and value != "" and value != []:
        event[name] = value
