"""A rule's regular expression as Lucene writes them: matched against the whole value.

Sigma searches (RE2 in the stream), Lucene matches from end to end and knows no anchors, no ``\\b``,
no flags and no lazy quantifiers. Classes are written out as the ASCII sets that RE2 means. What is
produced also is within what samlog's own query language takes.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from re import _constants as c  # type: ignore[attr-defined]  # the parser of re, as re uses it
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from samlog.errors import RuleError

MAX_TEXT = 1_000
"""Longest expression, in UTF-16 units: Elasticsearch's ``index.max_regex_length``."""
MAX_REPEAT = 256
"""Behind ``.*`` the automaton grows with the square of a repetition: from some 400 on Elasticsearch
finds nothing, without a word where ``lenient`` is set."""
_SIDES = 8
"""What is put around alternatives."""
_LAST = 0x10FFFF
_LAST_ASCII = 0x7F
_RESERVED = frozenset('.?+*|{}[]()"\\#@&<>~^$-/')
_ANY = ".*"
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
_DIGIT = ((48, 57),)
_SPACE = ((9, 10), (12, 13), (32, 32))
_CATEGORIES: dict[Any, tuple[tuple[tuple[int, int], ...], bool]] = {
    c.CATEGORY_DIGIT: (_DIGIT, False),
    c.CATEGORY_NOT_DIGIT: (_DIGIT, True),
    c.CATEGORY_SPACE: (_SPACE, False),
    c.CATEGORY_NOT_SPACE: (_SPACE, True),
    c.CATEGORY_WORD: (_WORD, False),
    c.CATEGORY_NOT_WORD: (_WORD, True),
}
_BEGINNINGS = (c.AT_BEGINNING, c.AT_BEGINNING_STRING)
_ENDS = (c.AT_END, c.AT_END_STRING)

Ranges = list[tuple[int, int]]
Items = Sequence[tuple[Any, Any]]


class _Unknown(Exception):
    """Something that a whole-value expression without anchors cannot say."""


def lucene_regex(source: str, flags: str, *, any_case: bool = False) -> tuple[str, bool]:
    """Returns (expression, whether it is for the value in lower case).

    ``flags`` are of i, m, s. ``any_case``: what it matches is found also by a store that ignores
    case, so that the expression may match more.

    Raises `RuleError` (``not_searchable``) for what Lucene cannot say: a word boundary between
    other things than a word and a gap, an anchor amid an expression.
    """
    try:
        tree = parser.parse(source, _flag_bits(flags))
        text = _Writer(tree.state.flags, any_case).whole(list(tree))
    except (_Unknown, re.error, RecursionError, OverflowError) as error:
        raise RuleError(
            f"the regex {source[:80]!r} cannot be searched for: {error}", reason="not_searchable"
        ) from error
    return text, bool(tree.state.flags & re.IGNORECASE)


def alternatives(texts: Sequence[str], *, anywhere: bool) -> Iterator[str]:
    """Yields expressions, each for many of ``texts``; single characters become one class.

    ``anywhere``: parts are looked for, so that a text which holds another one need not be named.
    """
    letters = {text for text in texts if len(text) == 1}
    if anywhere:
        texts = [text for text in texts if len(text) == 1 or letters.isdisjoint(text)]
    if letters:
        ranges = _merged((ord(letter), ord(letter)) for letter in letters)
        yield "[" + "".join(_range(low, high) for low, high in ranges) + "]"
    part: list[str] = []
    size = _SIDES
    for text in dict.fromkeys(text for text in texts if len(text) > 1):
        escaped = "".join(map(_escaped, text))
        length = _units(escaped) + 1
        if part and size + length > MAX_TEXT:
            yield _group(part)
            part, size = [], _SIDES
        part.append(escaped)
        size += length
    if part:
        yield _group(part)


def _units(text: str) -> int:
    return len(text) + sum(char > "\uffff" for char in text)


def _flag_bits(flags: str) -> int:
    bits = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
    return sum(bits[flag] for flag in set(flags))


class _Writer:
    def __init__(self, flags: int, any_case: bool) -> None:
        self._any_case = any_case
        self._fold = bool(flags & re.IGNORECASE)
        self._lines = bool(flags & re.MULTILINE)
        self._dot_is_all = bool(flags & re.DOTALL)

    def whole(self, items: Items) -> str:
        """Returns the expression for values in which ``items`` are found."""
        text = self._from_start(list(items), self._to_end)
        if _units(text) > MAX_TEXT:
            raise _Unknown("it becomes too long")
        return text

    def _from_start(self, items: list[Any], rest: Any) -> str:
        """Writes ``.*`` before ``items``, but where they begin with an anchor."""
        if not items:
            return _ANY
        (op, value), after = items[0], items[1:]
        if op is c.AT:
            if value in _BEGINNINGS:
                lines = self._lines and value is c.AT_BEGINNING
                return ("(.*\n)?" if lines else "") + str(rest(after))
            if value is c.AT_BOUNDARY and after and self._is_word(after[0]):
                return f"(.*{self._class(_WORD, True)})?{rest(after)}"
        branches = self._branches(items[0])
        if branches is not None and any(map(_has_anchor, branches)):
            return _group([self._from_start([*branch, *after], rest) for branch in branches])
        return _ANY + str(rest(items))

    def _to_end(self, items: list[Any]) -> str:
        """Writes ``items``, and ``.*`` behind them, but where they end with an anchor."""
        if not items:
            return _ANY
        before, (op, value) = items[:-1], items[-1]
        if op is c.AT:
            if value in _ENDS:
                lines = self._lines and value is c.AT_END
                return self._all(before) + ("(\n.*)?" if lines else "")
            if value is c.AT_BOUNDARY and before and self._is_word(before[-1]):
                return f"{self._all(before)}({self._class(_WORD, True)}.*)?"
        branches = self._branches(items[-1])
        if branches is not None and any(map(_has_anchor, branches)):
            return _group([self._to_end([*before, *branch]) for branch in branches])
        return self._all(items) + _ANY

    def _branches(self, item: Any) -> list[list[Any]] | None:
        """Returns the alternatives of a group or branch."""
        op, value = item
        if op is c.BRANCH:
            return [list(branch) for branch in value[1]]
        if op is c.SUBPATTERN:
            if value[1] or value[2]:
                raise _Unknown("flags within it")
            return [list(value[3])]
        return None

    def _is_word(self, item: Any) -> bool:
        """Tells whether an item is one or more characters of words for certain."""
        op, value = item
        if op is c.LITERAL:
            return _within(value, _WORD)
        if op is c.IN:
            return all(_within(low, _WORD) and _within(high, _WORD) for low, high in _set(value))
        if op in (c.MAX_REPEAT, c.MIN_REPEAT):
            low, _, inner = value
            return low > 0 and len(inner) == 1 and self._is_word(inner[0])
        branches = self._branches(item) or []
        return bool(branches) and all(
            bool(b) and self._is_word(b[0]) and self._is_word(b[-1]) for b in branches
        )

    def _all(self, items: Iterable[Any]) -> str:
        return "".join(map(self._item, items))

    def _item(self, item: Any) -> str:
        op, value = item
        if op is c.LITERAL:
            return self._literal(value)
        if op is c.NOT_LITERAL:
            return self._class([(value, value)], True)
        if op is c.ANY:
            return "." if self._dot_is_all else "[^\n]"
        if op is c.IN:
            return self._class(_set(value), False)
        if op in (c.MAX_REPEAT, c.MIN_REPEAT):
            return self._repeated(*value)
        branches = self._branches(item)
        if branches is not None:
            return _group([self._all(branch) for branch in branches])
        raise _Unknown("an anchor or word boundary amid it" if op is c.AT else str(op).lower())

    def _literal(self, code: int) -> str:
        char = chr(code)
        if self._any_case and code > _LAST_ASCII:
            raise _Unknown("a letter beyond ASCII in any case")
        return _escaped(char.lower() if self._fold and len(char.lower()) == 1 else char)

    def _repeated(self, low: int, high: Any, inner: Any) -> str:
        if low > MAX_REPEAT or (high is not c.MAXREPEAT and high > MAX_REPEAT):
            raise _Unknown(f"a part repeated more than {MAX_REPEAT} times")
        text = self._all(inner)
        if not text:
            return ""
        alone = len(inner) == 1 and not text.endswith(("?", "*", "+", "}"))
        body = text if alone else f"({text})"
        if high is c.MAXREPEAT:
            return body + {0: "*", 1: "+"}.get(low, f"{{{low},}}")
        if (low, high) == (0, 1):
            return f"{body}?"
        return body + (f"{{{low}}}" if low == high else f"{{{low},{high}}}")

    def _class(self, ranges: Iterable[tuple[int, int]], negated: bool) -> str:
        found = list(ranges)
        if self._fold:
            found += [
                (max(low, 65) + 32, min(high, 90) + 32)
                for low, high in found
                if low <= 90 and high >= 65
            ]
        inside = _merged(found)
        outside = _complement(inside)
        if negated:
            inside, outside = outside, inside
        if self._any_case:
            inside = _in_any_case(inside)
            outside = _complement(inside)
        if not inside:
            raise _Unknown("a class without characters")
        if not outside:
            return "."
        wide = inside[-1][1] == _LAST
        shown = outside if wide else inside
        return "[" + "^" * wide + "".join(_range(low, high) for low, high in shown) + "]"


def _has_anchor(items: Items) -> bool:
    """Tells whether an anchor or boundary is in ``items`` or in its groups."""
    for op, value in items:
        if op is c.AT:
            return True
        if op is c.BRANCH and any(map(_has_anchor, value[1])):
            return True
        if op is c.SUBPATTERN and _has_anchor(value[3]):
            return True
    return False


def _set(members: Iterable[Any]) -> Ranges:
    """Returns the ranges of a class, its negation resolved."""
    ranges: Ranges = []
    negated = False
    for op, value in members:
        if op is c.NEGATE:
            negated = True
        elif op is c.LITERAL:
            ranges.append((value, value))
        elif op is c.RANGE:
            ranges.append(value)
        else:
            listed, outside = _CATEGORIES[value]
            ranges += _complement(list(listed)) if outside else listed
    merged = _merged(ranges)
    return _complement(merged) if negated else merged


def _merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    merged: Ranges = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _complement(ranges: Ranges) -> Ranges:
    found: Ranges = []
    first = 0
    for low, high in ranges:
        if first < low:
            found.append((first, low - 1))
        first = high + 1
    if first <= _LAST:
        found.append((first, _LAST))
    return found


def _in_any_case(ranges: Ranges) -> Ranges:
    """Returns a class with both cases of its letters, as a store has them that ignores case."""
    beyond = [(low, high) for low, high in ranges if high > _LAST_ASCII]
    if beyond and (len(beyond) > 1 or beyond[0][0] > _LAST_ASCII + 1 or beyond[0][1] < _LAST):
        raise _Unknown("some letters beyond ASCII in any case")
    letters = [
        code for code in range(65, 91) if _within(code, ranges) or _within(code + 32, ranges)
    ]
    # Stores make ASCII letters of two others: the Turkish capital I and the sign for kelvin.
    letters += [ord(letter) for letter in "IK" if beyond]
    return _merged([*ranges, *((code + case, code + case) for code in letters for case in (0, 32))])


def _within(code: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _group(alternatives: Sequence[str]) -> str:
    """Returns ``(a|b)``; an empty alternative, which Lucene does not take, makes it optional."""
    named = [text for text in dict.fromkeys(alternatives) if text]
    if not named:
        return ""
    return f"({'|'.join(named)})" + "?" * ("" in alternatives)


def _range(low: int, high: int) -> str:
    first = _escaped(chr(low))
    return first if low == high else f"{first}-{_escaped(chr(high))}"


def _escaped(char: str) -> str:
    return f"\\{char}" if char in _RESERVED else char
