"""What each test means, and a condition evaluated node by node.

The generated code (`detect.compile`) inlines the common string tests and calls `text_predicate`
for the rest. `holds` is the same semantics without generation: it explains, and checks the
generated code in tests.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

import re2

from detect.condition import And, FieldTest, Node, Not, Or, Pattern
from detect.glob import matcher
from detect.text import NOTHING, Many, Slot, Texts, View, address, fold, moment, number
from samlog.errors import RuleError

TextPredicate = Callable[[str], bool]

REMEMBERED_TEXTS = 256
REMEMBERED_CHARS = 1_024
"""Texts, and their greatest length, whose answer a regex remembers."""

MAX_REGEX_SIZE = 10_000
"""Instructions of a compiled regex; SigmaHQ's largest, ``.{1000,}``, has 8,005."""
TRIAL_MEMORY = 1 << 20
"""Bytes that RE2 may take to find out whether a regex is too large: 5 ms, where compiling it with
the 8 MiB that matching needs takes up to 0.25 s."""
REGEX_WORK = 50_000_000
"""Instructions times characters: so much of a value a regex reads. Linear time is not enough:
``(?:a?){1000}a{1000}c`` takes 48 s for a megabyte, ``.{1000,}`` 2 s. Within this bound
they take 1 s and 0.1 ms (the first time 0.15 s); one of 50 instructions reads a million characters.
"""

FOLDED_OPS = frozenset({"eq", "contains", "starts", "ends", "glob"})

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PARTS: Mapping[str, Callable[[datetime], int]] = {
    "minute": lambda t: t.minute,
    "hour": lambda t: t.hour,
    "day": lambda t: t.day,
    "week": lambda t: t.isocalendar().week,
    "month": lambda t: t.month,
    "year": lambda t: t.year,
}


def text_predicate(op: str, arg: Any) -> TextPredicate:
    """Returns a function that tells whether one text (folded for `FOLDED_OPS`) satisfies a test.

    Not for ``any``, ``null``, ``exists`` and ``ref``, which are not about one text. Raises
    `RuleError` for a regex that RE2 does not take (``regex_not_linear``, ``regex_too_large``).
    """
    return _FACTORIES[op.removeprefix("c") if op in _CASED else op](arg)


_CASED = frozenset({"ceq", "ccontains", "cstarts", "cends", "cglob"})


def _equals(arg: str) -> TextPredicate:
    return lambda text: text == arg


def _contains(arg: str) -> TextPredicate:
    return lambda text: arg in text


def _starts(arg: str) -> TextPredicate:
    return lambda text: text.startswith(arg)


def _ends(arg: str) -> TextPredicate:
    return lambda text: text.endswith(arg)


def _number(arg: float) -> TextPredicate:
    return lambda text: number(text) == arg


def _compare(arg: tuple[str, float]) -> TextPredicate:
    compare, limit = _COMPARE[arg[0]], arg[1]

    def test(text: str) -> bool:
        value = number(text)
        return value is not None and compare(value, limit)

    return test


def _network(arg: str) -> TextPredicate:
    network = ip_network(arg)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:  # `address` reads such as IPv4
        network = ip_network((mapped, network.prefixlen - 96))
    version, low = network.version, int(network.network_address)
    high = int(network.broadcast_address)

    def test(text: str) -> bool:
        found = address(text)
        return found is not None and found.version == version and low <= int(found) <= high

    return test


def _time_part(arg: tuple[str, str, int]) -> TextPredicate:
    part, compare, limit = _PARTS[arg[0]], _COMPARE[arg[1]], arg[2]

    def test(text: str) -> bool:
        found = moment(text)
        return found is not None and compare(part(found), limit)

    return test


def _regex(arg: tuple[str, str]) -> TextPredicate:
    """Returns the search for a regex, in linear time, in the first characters of long values.

    All regexes of SigmaHQ are taken by RE2. Its classes (``\\d``, ``\\w``, ``\\b``) are ASCII and
    ``$`` is the very end of the text.
    """
    compiled = _compiled(arg)
    search, longest = compiled.search, REGEX_WORK // max(1, compiled.programsize)

    def test(text: str) -> bool:
        text = text[:longest]
        try:
            return search(text) is not None
        except UnicodeEncodeError:
            return search(text.encode("utf-8", "replace").decode()) is not None

    # Values repeat, and a call of RE2 from Python takes 2-5 µs against 0.1 µs for the memory.
    remembered = lru_cache(maxsize=REMEMBERED_TEXTS)(test)
    return lambda text: (remembered if len(text) <= REMEMBERED_CHARS else test)(text)


def _compiled(arg: tuple[str, str]) -> Any:
    source, flags = arg
    pattern = f"(?{flags}){source}" if flags else source
    options = re2.Options()
    options.log_errors = False
    memory, options.max_mem = options.max_mem, TRIAL_MEMORY
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "refused"
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        if "too large" in reason or "repetition size" in reason:
            raise _too_large(source, reason) from error
        raise RuleError(
            f"the regex {source[:80]!r} cannot be matched in linear time ({reason}): "
            "look-around and back-references are not available",
            reason="regex_not_linear",
        ) from error
    if compiled.programsize > MAX_REGEX_SIZE:
        raise _too_large(source, f"{compiled.programsize:,} instructions")
    options.max_mem = memory
    return re2.compile(pattern, options)


def _too_large(source: str, why: str) -> RuleError:
    return RuleError(
        f"the regex {source[:80]!r} is too large ({why}): repeat less, or split it",
        reason="regex_too_large",
    )


def _pattern(arg: Pattern) -> TextPredicate:
    return matcher(arg)


_FACTORIES: Mapping[str, Callable[[Any], TextPredicate]] = {
    "eq": _equals,
    "contains": _contains,
    "starts": _starts,
    "ends": _ends,
    "glob": _pattern,
    "num": _number,
    "cmp": _compare,
    "cidr": _network,
    "part": _time_part,
    "re": _regex,
}


def satisfied(value: Texts, predicate: TextPredicate) -> bool:
    """Tells whether one text of ``value`` satisfies ``predicate``."""
    return predicate(value) if value.__class__ is str else any(map(predicate, value.members))  # type: ignore[union-attr]


def one_of(value: Texts, options: frozenset[str]) -> bool:
    """Tells whether one text of ``value`` is among ``options``."""
    return value in options if value.__class__ is str else not options.isdisjoint(value.members)  # type: ignore[union-attr]


def words(view: View, lowered: bool) -> Texts:
    """Returns all texts that keywords are looked for in."""
    found = view.keywords()
    return Many(tuple(map(fold, found)) if lowered else found)


def refers(view: View, slot: Slot, arg: tuple[Slot, str]) -> bool:
    """Tells whether a text of ``slot`` equals, starts with.. a text of the other field.

    Either side missing or null is false. Case is ignored.
    """
    left, right = view.low[slot], view.low[arg[0]]
    others = (right,) if isinstance(right, str) else right.members
    factory = _FACTORIES[arg[1]]
    return any(satisfied(left, factory(other)) for other in others)


def is_true(test: FieldTest, view: View) -> bool:
    """Tells whether one test holds."""
    slot, op, arg = test
    lowered = op in FOLDED_OPS
    if slot is None:
        if op == "any":
            return bool(view.keywords())
        return satisfied(words(view, lowered), text_predicate(op, arg))
    if op == "any":
        return view.low[slot] is not NOTHING
    if op == "null":
        return view.low[slot] is NOTHING
    if op == "exists":
        return view.exists(slot) is arg
    if op == "ref":
        return refers(view, slot, arg)
    return satisfied((view.low if lowered else view.raw)[slot], text_predicate(op, arg))


def holds(node: Node, view: View) -> bool:
    """Tells whether the condition holds, evaluated as it is written."""
    if isinstance(node, And):
        return all(holds(part, view) for part in node.nodes)
    if isinstance(node, Or):
        return any(holds(part, view) for part in node.nodes)
    if isinstance(node, Not):
        return not holds(node.node, view)
    return is_true(node, view)


def matched_fields(node: Node, view: View) -> dict[str, Any]:
    """Returns the event's fields, with their values, that made a condition hold which holds.

    Only fields of positive tests; a keyword's are listed under ``keywords`` as the words found.
    """
    found: dict[str, Any] = {}
    _note(node, view, found)
    return found


def _note(node: Node, view: View, found: dict[str, Any]) -> None:
    if isinstance(node, And | Or):
        for part in node.nodes:
            if isinstance(node, And) or holds(part, view):
                _note(part, view, found)
        return
    if isinstance(node, Not) or not is_true(node, view):
        return
    if node.slot is None:
        found.setdefault("keywords", []).append(keyword_text(node))
        return
    slot = node.slot
    for key in (slot,) if isinstance(slot, str) else slot:
        value = view.event.get(key)
        if value is not None:
            found[key] = value
            if isinstance(slot, tuple):
                return


def keyword_text(test: FieldTest) -> str:
    """Returns a keyword as an analyst reads it."""
    if test.op.endswith("glob"):
        pieces = ("".join("?" if part is None else part for part in p) for p in test.arg.pieces)
        return "*".join(pieces)
    return str(test.arg[0] if test.op == "re" else test.arg)
