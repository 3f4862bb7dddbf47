"""Which chains of Sigma modifiers mean something (specification 2.1, appendix modifiers).

pySigma takes some chains without a meaning (`re|contains`, `startswith|endswith`); here they are
refused when the rule is loaded, with the nearest valid name for a misspelt modifier.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from sigma.modifiers import modifier_mapping

from samlog.errors import RuleError

MAX_DASHES = 3
"""``windash`` writes every dash five ways, so n of them are 5**n strings."""
MAX_WRITTEN = 20_000
"""Strings that ``windash`` may make in one rule: 9,000 values with two dashes take 18 s to read."""

KNOWN = frozenset(modifier_mapping) | {"utf16le"}

_REGEX_FLAGS = frozenset({"i", "m", "s", "ignorecase", "multiline", "dotall"})
_POSITIONS = frozenset({"contains", "startswith", "endswith"})
_ORDER = frozenset({"gt", "gte", "lt", "lte"})
_TIME = frozenset({"minute", "hour", "day", "week", "month", "year"})
_ENCODINGS = frozenset({"base64", "base64offset", "wide", "utf16", "utf16le", "utf16be"})
_LISTS = frozenset({"all", "neq"})

_COMPANY: Mapping[str, frozenset[str]] = {
    "re": _REGEX_FLAGS | _LISTS | {"expand"},
    "cidr": _LISTS,
    "exists": frozenset({"neq"}),
    "fieldref": _POSITIONS | _LISTS,
    **dict.fromkeys(_ORDER, _TIME | _LISTS),
    **dict.fromkeys(_TIME, _ORDER | _LISTS),
}
"""What may stand beside a modifier that changes the kind of the test."""

_DASH = re.compile(r"\B[-/\u2013\u2014\u2015]\b")

_RANGES = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "week": (1, 53),
    "month": (1, 12),
    "year": (1, 9999),
}
"""What a part of a time may be; week 53 is of ISO 8601."""


def check_detections(detections: Mapping[Any, Any]) -> None:
    """Raises `RuleError` for the first illegal test in a rule's detections.

    Besides the reasons of `check_chain`: invalid_detection, empty_list, null_in_list,
    rule_too_large.
    """
    written = 0
    for name, detection in detections.items():
        if name == "condition":
            continue
        if not isinstance(detection, Mapping | list):
            raise RuleError(f"{name} is neither a list nor a map", reason="invalid_detection")
        for key, value in _items(detection):
            if isinstance(value, list):
                _check_list(key, value)
            if "|" in key:
                check_chain(key, value)
                written += _ways(key, value)
                if written > MAX_WRITTEN:
                    raise RuleError(
                        f"{key}: windash writes more than {MAX_WRITTEN:,} strings in this rule",
                        reason="rule_too_large",
                    )


def _ways(key: str, value: Any) -> int:
    """Returns how many strings ``windash`` makes of the values of a key; 0 without it."""
    if "windash" not in key.split("|"):
        return 0
    values = value if isinstance(value, list) else [value]
    return sum(5 ** len(_DASH.findall(str(text))) for text in values)


def _items(detection: Any) -> Iterator[tuple[str, Any]]:
    pending = [detection]
    while pending:
        found = pending.pop()
        if isinstance(found, Mapping):
            for key, value in found.items():
                if not isinstance(key, str):
                    raise RuleError(f"{key!r} is no field name", reason="invalid_detection")
                yield key, value
        elif isinstance(found, list):
            pending.extend(found)


def _check_list(key: str, values: list[Any]) -> None:
    if not values:
        raise RuleError(f"{key}: the list of values is empty", reason="empty_list")
    if None in values:
        raise RuleError(
            f"{key}: null cannot stand in a list; give it a selection of its own",
            reason="null_in_list",
        )


def check_chain(key: str, value: Any) -> None:
    """Raises `RuleError`: unknown_modifier, illegal_modifiers, too_many_dashes, invalid_value,
    invalid_type."""
    chain = key.split("|")[1:]
    for modifier in chain:
        if modifier not in KNOWN:
            raise _unknown(key, modifier)
    names = set(chain)
    if len(names) < len(chain):
        raise _illegal(key, "a modifier stands twice")
    if len(names & _POSITIONS) > 1 or len(names & _ORDER) > 1 or len(names & _TIME) > 1:
        raise _illegal(key, "they contradict each other")
    for modifier in chain:
        company = _COMPANY.get(modifier)
        if company is not None and not names - {modifier} <= company:
            others = ", ".join(sorted(names - {modifier} - company))
            raise _illegal(key, f"{modifier} cannot stand beside {others}")
    if names & _REGEX_FLAGS and "re" not in names:
        raise _illegal(key, "i, m and s are flags of re")
    if {"base64", "base64offset"} <= names:
        raise _illegal(key, "base64 and base64offset contradict each other")
    values = value if isinstance(value, list) else [value]
    if "all" in names and len(values) < 2:
        raise _illegal(key, "all joins several values, and there is one")
    if "re" in names and not all(isinstance(text, str) for text in values):
        raise RuleError(f"{key}: a regex is a text", reason="invalid_type")
    if "windash" in names:
        _check_dashes(key, values)
    for part in names & _TIME:
        _check_range(key, part, values)


def _check_range(key: str, part: str, values: list[Any]) -> None:
    low, high = _RANGES[part]
    for number in values:
        whole = isinstance(number, int | float) and number == number // 1
        if isinstance(number, int | float) and not (whole and low <= number <= high):
            raise RuleError(
                f"{key}: {part} is a whole number from {low} to {high}", reason="invalid_value"
            )


def _check_dashes(key: str, values: list[Any]) -> None:
    for text in values:
        if len(_DASH.findall(str(text))) > MAX_DASHES:
            raise RuleError(
                f"{key}: more than {MAX_DASHES} dashes for windash in {str(text)[:60]!r}",
                reason="too_many_dashes",
            )


def _unknown(key: str, modifier: str) -> RuleError:
    near = get_close_matches(modifier, KNOWN, n=1)
    hint = f"; is {near[0]!r} meant?" if near else ""
    return RuleError(f"{key}: there is no modifier {modifier!r}{hint}", reason="unknown_modifier")


def _illegal(key: str, why: str) -> RuleError:
    return RuleError(f"{key}: the modifiers have no meaning: {why}", reason="illegal_modifiers")
