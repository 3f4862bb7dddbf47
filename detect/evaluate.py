"""What each test means, and a condition evaluated node by node.

The generated code (`detect.compile`) inlines the common string tests and calls `text_predicate`
for the rest. `holds` is the same semantics without generation: it explains, and checks the
generated code in tests.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

import re2

from detect.condition import And, FieldTest, Node, Not, Or
from detect.glob import Glob
from detect.many import NOTHING, TextPredicate, Texts
from detect.regexliteral import required_literal, shortest_match
from detect.text import Slot, View, address, fold, moment, number
from samlog.errors import RuleError

REMEMBERED_TEXTS = 256
REMEMBERED_CHARS = 1_024
"""Texts, and their greatest length, whose answer a regex remembers."""

MAX_REGEX_SIZE = 10_000
"""Instructions of a compiled regex; SigmaHQ's largest, ``.{1000,}``, has 8,005."""
TRIAL_MEMORY = 1 << 20
"""Bytes that RE2 may take to find out whether a regex is too large: 5 ms, where compiling it with
the 8 MiB that matching needs takes up to 0.25 s."""
READS = ((300, 32_768), (2_500, 8_192), (10_000, 2_048))
"""A regex of at most so many instructions reads so many characters of a value. Linear time is not
enough: what 300 instructions take a microsecond a character for, 10,000 take 1 ms for."""
REGEX_MEMORY = 1 << 20
"""Bytes that RE2 keeps of the states of one regex. 148 regexes of SigmaHQ with RE2's own 8 MiB are
a gigabyte that events can fill."""

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


class Regex:
    """The search for a regex, in linear time, in the first ``longest`` characters of a value.

    All regexes of SigmaHQ are taken by RE2. Its classes (``\\d``, ``\\w``, ``\\b``) are ASCII and
    ``$`` is the very end of the text. ``needs`` are folded texts without which there is no match.
    """

    __slots__ = ("_remembered", "_search", "_shortest", "longest", "needs")

    def __init__(self, arg: tuple[str, str]) -> None:
        compiled = _compiled(arg)
        self._search = compiled.search
        self.longest = _longest_read(compiled.programsize)
        self._shortest = shortest_match(arg[0])
        literal = required_literal(arg[0])
        self.needs = (fold(literal),) if literal else ()
        # Values repeat, and a call of RE2 from Python takes 2-5 µs against 0.1 µs for the memory.
        self._remembered = lru_cache(maxsize=REMEMBERED_TEXTS)(self._found)

    def __call__(self, text: str) -> bool:
        length = len(text)
        if length < self._shortest:
            return False
        return (self._remembered if length <= REMEMBERED_CHARS else self._found)(text)

    def _found(self, text: str) -> bool:
        # Of bytes RE2's module makes a match in two thirds of the time: it counts no characters.
        return self._search(text[: self.longest].encode("utf-8", "replace")) is not None


def _longest_read(size: int) -> int:
    return next(chars for most, chars in READS if size <= most)


_LONG_LINE = re.compile(r"(?:\.|\(\.\))\{(\d{1,4}),?\}")


def _regex(arg: tuple[str, str]) -> TextPredicate:
    """Returns the search for a regex; for "a line of n characters" without a regex.

    ``.{1000,}`` has 8,005 instructions, and its states fill a megabyte in a thousand characters.
    """
    long_line = _LONG_LINE.fullmatch(arg[0])
    if long_line is None or arg[1]:
        return Regex(arg)
    least = int(long_line[1])
    return lambda text: len(text) >= least and any(len(line) >= least for line in text.split("\n"))


def _compiled(arg: tuple[str, str]) -> Any:
    source, flags = arg
    pattern = f"(?{flags}){source}" if flags else source
    options = re2.Options()
    options.log_errors = False
    options.max_mem = TRIAL_MEMORY
    # Nobody asks what groups hold; finding that out takes 100 ns a character.
    options.never_capture = True
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
    options.max_mem = REGEX_MEMORY
    return re2.compile(pattern, options)


def _too_large(source: str, why: str) -> RuleError:
    return RuleError(
        f"the regex {source[:80]!r} is too large ({why}): repeat less, or split it",
        reason="regex_too_large",
    )


_FACTORIES: Mapping[str, Callable[[Any], TextPredicate]] = {
    "eq": _equals,
    "contains": _contains,
    "starts": _starts,
    "ends": _ends,
    "glob": Glob,
    "num": _number,
    "cmp": _compare,
    "cidr": _network,
    "part": _time_part,
    "re": _regex,
}


_DIRECT: Mapping[str, Callable[[Texts, str], bool]] = {
    "eq": lambda value, arg: value == arg,
    "contains": lambda value, arg: arg in value,
    "starts": lambda value, arg: value.startswith(arg),
    "ends": lambda value, arg: value.endswith(arg),
}

remembered_predicate = lru_cache(maxsize=4_096, typed=True)(text_predicate)
"""Compiling a regex for each match that is told takes more than the match."""


def satisfied(value: Texts, predicate: TextPredicate) -> bool:
    """Tells whether one text of ``value`` satisfies ``predicate``."""
    return predicate(value) if value.__class__ is str else value.satisfied(predicate)  # type: ignore[union-attr]


def one_of(value: Texts, options: frozenset[str]) -> bool:
    """Tells whether one text of ``value`` is among ``options``."""
    return value in options if value.__class__ is str else not options.isdisjoint(value.members)  # type: ignore[union-attr]


def words(view: View, lowered: bool) -> Texts:
    """Returns all texts that keywords are looked for in."""
    return view.words(lowered)


def refers(view: View, slot: Slot, arg: tuple[Slot, str]) -> bool:
    """Tells whether a text of ``slot`` equals, starts with.. a text of the other field.

    Either side missing or null is false. Case is ignored.
    """
    left, right = view.low[slot], view.low[arg[0]]
    if left.__class__ is str and right.__class__ is str and arg[1] == "eq":
        return left == right
    others = (right,) if isinstance(right, str) else right.members
    factory = _FACTORIES[arg[1]]
    return any(satisfied(left, factory(other)) for other in others)


def is_true(test: FieldTest, view: View) -> bool:
    """Tells whether one test holds."""
    slot, op, arg = test
    lowered = op in FOLDED_OPS
    direct = _DIRECT.get(op.removeprefix("c") if op in _CASED else op)
    if slot is None:
        if op == "any":
            return bool(view.keywords())
        texts = words(view, lowered)
        return direct(texts, arg) if direct else satisfied(texts, remembered_predicate(op, arg))
    if op == "any":
        return view.low[slot] is not NOTHING
    if op == "null":
        return view.low[slot] is NOTHING
    if op == "exists":
        return view.exists(slot) is arg
    if op == "ref":
        return refers(view, slot, arg)
    value = (view.low if lowered else view.raw)[slot]
    return direct(value, arg) if direct else satisfied(value, remembered_predicate(op, arg))


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
    _note(node, view, found, set())
    return found


def _note(node: Node, view: View, found: dict[str, Any], done: set[Slot]) -> None:
    """Notes the fields of a condition that holds; a field that is noted is not asked again."""
    if isinstance(node, And):
        for part in node.nodes:
            _note(part, view, found, done)
    elif isinstance(node, Or):
        for part in node.nodes:
            known = isinstance(part, FieldTest) and part.slot in done
            if not known and holds(part, view):
                _note(part, view, found, done)
    elif not isinstance(node, Not):
        _note_test(node, view, found, done)


def _note_test(node: FieldTest, view: View, found: dict[str, Any], done: set[Slot]) -> None:
    if node.slot is None:
        found.setdefault("keywords", []).append(keyword_text(node))
        return
    slot = node.slot
    done.add(slot)
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
