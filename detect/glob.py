"""Wildcard patterns, matched in time linear in pieces x length, whatever the pattern.

`*` crosses newlines; `?` is exactly one character of the folded text.
"""

import re

from detect.condition import Pattern, Piece
from detect.text import fold


class Glob:
    """Tells whether a text matches a pattern.

    The leftmost place of each piece in turn is always right where pieces have a fixed length, so
    there is no backtracking (a regex with five ``.*`` would be of the fifth power). ``needs`` are
    folded texts without which there is no match.
    """

    __slots__ = ("_alone", "_first", "_last", "_pieces", "needs")

    def __init__(self, pattern: Pattern) -> None:
        pieces = [_finder(piece) for piece in pattern.pieces]
        literals = (part for piece in pattern.pieces for part in piece if part)
        self.needs = tuple(dict.fromkeys(map(fold, literals)))
        self._first = pieces.pop(0) if pattern.from_start else None
        self._last = pieces.pop() if pattern.to_end and pieces else None
        self._alone = pattern.to_end and self._last is None
        self._pieces = pieces

    def __call__(self, text: str) -> bool:
        position, first, last = 0, self._first, self._last
        if first is not None:
            if first.at(text, 0) is False:
                return False
            position = first.length
            if self._alone:
                return len(text) == position
        end = len(text)
        if last is not None:
            end -= last.length
            if end < position or not last.at(text, end):
                return False
        for piece in self._pieces:
            found = piece.find(text, position, end)
            if found < 0:
                return False
            position = found + piece.length
        return True


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
