"""A text that every match of a regex contains, read off the regex without understanding it all.

Only what stands at the top level counts: no alternative, no group, no class. Whatever is not
plainly a literal ends the run of literals before it; in doubt there is no literal. RE2 syntax.
"""

import re
import warnings
from re import _parser  # type: ignore[attr-defined]  # the only part that knows widths

_UNSAFE = re.compile(r"\\[QEC]|\(\?[a-zA-Z]*x|\(\?[a-zA-Z]*-|.\(\?[a-zA-Z]+\)", re.DOTALL)
"""The last: RE2 lets a quantifier after flags, as in ``a(?i)*``, count for what is before them."""
_PUNCTUATION = re.compile(r"[^\w\s]")


def required_literal(pattern: str) -> str:
    """Returns the longest literal that a match must contain, "" where none is certain.

    O(length of the pattern). Case is as written; whoever compares must ignore it.
    """
    if _UNSAFE.search(pattern):
        return ""
    runs: list[str] = [""]
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "|":
            return ""
        if char in "([":
            runs.append("")
            position = (
                _after_group(pattern, position) if char == "(" else _after_class(pattern, position)
            )
            continue
        if char in "*?{":
            runs[-1] = runs[-1][:-1]
            runs.append("")
            position = pattern.find("}", position) + 1 if char == "{" else position + 1
            if position == 0:
                return ""
            continue
        if char == "\\":
            position += 1
            char = pattern[position : position + 1]
            if char in "pPx01234567":
                return ""
            literal = char if _PUNCTUATION.match(char) else ""
        else:
            literal = "" if char in "^$.+)" else char
        if literal:
            runs[-1] += literal
        else:
            runs.append("")
        position += 1
    return max(runs, key=len)


def _after_class(pattern: str, start: int) -> int:
    """Returns the position after ``[..]``; a ``]`` that comes first is a member of the class."""
    position = start + 1
    if pattern[position : position + 1] == "^":
        position += 1
    if pattern[position : position + 1] == "]":
        position += 1
    while position < len(pattern) and pattern[position] != "]":
        if pattern[position : position + 2] == "[:":
            position = max(pattern.find(":]", position), position) + 1
        position += 2 if pattern[position : position + 1] == "\\" else 1
    return position + 1


def _after_group(pattern: str, start: int) -> int:
    """Returns the position after the group that opens at ``start``."""
    depth, position = 0, start
    while position < len(pattern):
        char = pattern[position]
        if char == "[":
            position = _after_class(pattern, position)
            continue
        depth += (char == "(") - (char == ")")
        position += 2 if char == "\\" else 1
        if depth == 0:
            break
    return position


def shortest_match(pattern: str) -> int:
    """Returns a number of characters that every match has at least, 0 where none is certain.

    Read off by Python's own parser, which knows less than RE2: what it refuses tells nothing.
    """
    if _UNSAFE.search(pattern):
        return 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return int(_parser.parse(pattern).getwidth()[0])
    except (re.error, RecursionError, OverflowError, Warning):
        return 0
