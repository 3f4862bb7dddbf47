"""Keywords, which are looked for in all values of an event: the candidates among their rules.

Two ways to the same answer. Over the values: they are joined and folded, and scanned. Over the
JSON line that the event came in: one scan of bytes, several times cheaper; it may find more than
the values hold (names of fields), never less. The line serves only where a literal is written in
it just as in a value: where nothing is escaped as ``\\u0041`` or ``\\/``, where no character
folds to ASCII that is not, and, if a literal is not ASCII, where the whole line is.
"""

import re
from collections.abc import Sequence

import orjson

from detect.necessary import Atom
from detect.scan import LineScanner, Scanner, Scanners

_NUMERIC = re.compile(r"[0-9eE.+-]+\Z")
"""A literal that a float may hold: 1e16 in a line is 1e+16 as Python writes it."""


class KeywordTable:
    """The masks of all keyword clauses of a group; planes as in `detect.index`, without the
    vetoes, which a keyword has not."""

    def __init__(
        self,
        size: int,
        planes: int,
        placed: Sequence[tuple[Sequence[Atom], int]],
        scanners: Scanners,
    ) -> None:
        self._size = size
        self._all = (1 << size) - 1
        self._free = [self._all] * planes
        self.concerned = 0
        bits: dict[str, int] = {}
        for clause, position in placed:
            plane, bit = divmod(position, size)
            self.concerned |= 1 << bit
            if plane < planes:
                self._free[plane] &= ~(1 << bit)
            for atom in clause:
                bits[atom.arg] = bits.get(atom.arg, 0) | 1 << position
        self._bits = list(bits.values())
        self._scanners = scanners
        self._texts = list(bits)
        self._scan: Scanner | None = None
        in_line = {text: found for text, found in bits.items() if not _NUMERIC.match(text)}
        self._always = 0
        for text, found in bits.items():
            if text not in in_line:
                self._always |= found
        self._none_found = self._split(self._always)
        ascii_only = {text: found for text, found in in_line.items() if text.isascii()}
        self._is_ascii = len(ascii_only) == len(in_line)
        self._line_bits = list(ascii_only.values())
        self._spelt = [orjson.dumps(text)[1:-1] for text in ascii_only]
        self._scan_line: LineScanner | None = None

    def scanner(self) -> Scanner:
        """Returns the scanner of values, made when it is asked for first."""
        if self._scan is None:
            self._scan = self._scanners.for_event(self._texts)
        return self._scan

    def line_scanner(self) -> LineScanner:
        """Returns the scanner of lines, made when it is asked for first."""
        if self._scan_line is None:
            self._scan_line = self._scanners.for_line(self._spelt)
        return self._scan_line

    def of_values(self, haystack: str) -> tuple[int, int]:
        """Returns (rules whose keyword clauses hold in the folded values, OR planes)."""
        found = 0
        for i in (self._scan or self.scanner())(haystack):
            found |= self._bits[i]
        return self._split(found)

    def of_line(self, line: bytes) -> tuple[int, int] | None:
        """Returns at least the rules of `of_values`, or None where the line will not do."""
        if not self._is_ascii and not line.isascii():
            return None
        numbers = (self._scan_line or self.line_scanner())(line)
        if numbers is None:
            return None
        if not numbers:
            return self._none_found
        found = self._always
        for i in numbers:
            found |= self._line_bits[i]
        return self._split(found)

    def _split(self, found: int) -> tuple[int, int]:
        passed = self._all
        for free in self._free:
            passed &= free | found
            found >>= self._size
        return passed, found
