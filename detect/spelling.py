"""Rules spelt so that pySigma 1.5 reads them as the specification says.

Each rewriting here keeps what the rule means; `detect.modifiers` has refused before what means
nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from samlog.errors import RuleError

_SAME = {"utf16le": "wide"}
_LATE = {"cased": 1, "all": 2, "neq": 3}
"""Modifiers that change how values are compared or joined, not the values. pySigma forgets
``cased`` when a value is rebuilt after it, and takes ``re`` and ``cidr`` only at the beginning."""

_OTHER_DASH = re.compile(r"\B[\u2013\u2014\u2015]\b")

EXACT = 2**53
"""pySigma keeps integers by way of a float, which is exact up to here."""
_AS_NUMBERS = frozenset({"gt", "gte", "lt", "lte"})

_NAME = re.compile(r"\bof\s+[\w*-]+|([\w-]+)")
_OF = re.compile(r"\b(1|any|all)\s+of\s+([\w*-]+)")
MAX_WRITTEN = 100_000
_OPERATOR = re.compile(r"(?:not|and|or)(?=[\w-])")


def prepared(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the document as pySigma takes it. Raises `RuleError` (``illegal_modifiers``)."""
    detection = data["detection"]
    spelt = {
        name: part if name == "condition" else _respelt(part) for name, part in detection.items()
    }
    return {**data, "detection": _renamed(spelt)}


def _respelt(value: Any) -> Any:
    if isinstance(value, list):
        return [_respelt(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    found: dict[str, Any] = {}
    for key, part in value.items():
        field, *chain = key.split("|")
        chain = sorted((_SAME.get(name, name) for name in chain), key=lambda m: _LATE.get(m, 0))
        new = "|".join((field, *chain))
        if new in found:
            raise RuleError(f"{key} says the same twice in one map", reason="illegal_modifiers")
        found[new] = _values(part, frozenset(chain))
    return found


def _values(value: Any, chain: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_values(part, chain) for part in value]
    if isinstance(value, str):
        return _OTHER_DASH.sub("-", value) if "windash" in chain else value
    if isinstance(value, int) and abs(value) > EXACT and not chain & _AS_NUMBERS:
        return str(value)
    return value


def names_in(condition: str) -> Iterator[str]:
    """Yields the words of a condition that are no patterns: names and operators."""
    return (word for match in _NAME.finditer(condition) if (word := match[1]))


def looks_like_operator(name: str) -> bool:
    """Tells whether pySigma would read an operator off the beginning of ``name``.

    It takes ``notepad`` for ``not epad``.
    """
    return _OPERATOR.match(name) is not None


def _renamed(detection: dict[str, Any]) -> dict[str, Any]:
    """Returns the detections with names that begin like an operator under other ones.

    Patterns are written out before, so that none takes in what is called otherwise now.
    """
    conditions = detection["condition"]
    several = conditions if isinstance(conditions, list) else [conditions]
    names = [name for name in detection if name != "condition"]
    used = {name for condition in several for name in names_in(condition)}
    other: dict[str, str] = {}
    for name in filter(looks_like_operator, names):
        other[name] = f"_{name}_"
        while other[name] in detection:
            other[name] += "_"
    if used.isdisjoint(other):
        return detection
    written = [_NAME.sub(lambda m: other.get(m[1], m[1]), _written_out(c, names)) for c in several]
    copies = {other[name]: detection[name] for name in other}
    return {**copies, **detection, "condition": written}


def _written_out(condition: str, names: Sequence[str]) -> str:
    """Returns a condition with ``1 of x*`` as ``(x1 or x2)``, as pySigma takes it."""

    def names_of(match: re.Match[str]) -> str:
        pattern = ".*" if match[2] == "them" else match[2].replace("*", ".*")
        chosen = [
            name
            for name in names
            if re.fullmatch(pattern, name) and (pattern[0] == "_" or name[0] != "_")
        ]
        return (
            f"({(' and ' if match[1] == 'all' else ' or ').join(chosen)})" if chosen else match[0]
        )

    written = _OF.sub(names_of, condition)
    if len(written) > MAX_WRITTEN:
        raise RuleError("its condition names too many detections", reason="condition_too_large")
    return written
