"""Wildcard patterns, matched in time linear in pieces x length, whatever the pattern.

`*` crosses newlines; `?` is exactly one character of the folded text.
"""

import re
from collections.abc import Callable

from detect.condition import Pattern, Piece

Matcher = Callable[[str], bool]


def matcher(pattern: Pattern) -> Matcher:
    """Returns a function that tells whether a text matches ``pattern``.

    The leftmost place of each piece in turn is always right where pieces have a fixed length, so
    there is no backtracking (a regex with five ``.*`` would be of the fifth power).
    """
    pieces = [_finder(piece) for piece in pattern.pieces]
    first = pieces.pop(0) if pattern.from_start else None
    last = pieces.pop() if pattern.to_end and pieces else None
    alone = pattern.to_end and last is None

    def matches(text: str) -> bool:
        position = 0
        if first is not None:
            if first.at(text, 0) is False:
                return False
            position = first.length
            if alone:
                return len(text) == position
        end = len(text)
        if last is not None:
            end -= last.length
            if end < position or not last.at(text, end):
                return False
        for piece in pieces:
            found = piece.find(text, position, end)
            if found < 0:
                return False
            position = found + piece.length
        return True

    return matches


class _Literal:
    def __init__(self, text: str) -> None:
        self.text = text
        self.length = len(text)

    def at(self, text: str, position: int) -> bool:
        return text.startswith(self.text, position)

    def find(self, text: str, start: int, end: int) -> int:
        return text.find(self.text, start, end)


class _Gapped:
    """A piece with ``?`` in it: a regex of fixed length, which cannot backtrack far."""

    def __init__(self, piece: Piece) -> None:
        source = "".join("." if part is None else re.escape(part) for part in piece)
        self.regex = re.compile(source, re.DOTALL)
        self.length = sum(1 if part is None else len(part) for part in piece)

    def at(self, text: str, position: int) -> bool:
        return self.regex.match(text, position) is not None

    def find(self, text: str, start: int, end: int) -> int:
        found = self.regex.search(text, start, end)
        return found.start() if found else -1


def _finder(piece: Piece) -> "_Literal | _Gapped":
    if len(piece) == 1 and piece[0] is not None:
        return _Literal(piece[0])
    return _Gapped(piece)
