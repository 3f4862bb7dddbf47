"""Which of many literals occur in a text, found in one pass.

Aho-Corasick reads the values of fields: most are short, and its automata are built in a tenth of
the time of Hyperscan's. Keywords are looked for in the whole of an event, which Hyperscan reads
in a fraction of the time; where it has no wheel, Aho-Corasick does that too.
"""

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from operator import itemgetter
from typing import Any, Protocol

import ahocorasick_rs

hyperscan: Any = None
if find_spec("hyperscan") is not None:  # there is no wheel for every platform
    hyperscan = import_module("hyperscan")

Scanner = Callable[[str], Sequence[int]]
"""Takes a folded text; returns the numbers of the literals in it, each at least once."""

LineScanner = Callable[[bytes], Sequence[int] | None]
"""Takes a line of JSON; returns the numbers of the literals in it, or None: they might be in it
in another spelling, escaped as ``\\u0041`` or ``\\/`` or as one of `FOLDED_TO_ASCII`."""

FOLDED_TO_ASCII = (
    "\xdf\u0130\u0149\u017f\u01f0\u1e96\u1e97\u1e98\u1e99\u1e9a\u1e9e\u212a"
    "\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06"
)
"""All characters but ASCII that `str.casefold` turns into something with ASCII in it."""

CHUNK_CHARS = 16_384
"""A longer text is read in parts, so that the list of overlapping matches stays short."""


class ScannerFactory(Protocol):
    """Builds a scanner for non-empty literals."""

    def __call__(self, literals: Sequence[str]) -> Scanner: ...


class Scanners:
    """The scanners of one engine; equal literals share one. One thread only."""

    def __init__(self, fields: ScannerFactory | None = None) -> None:
        """``fields`` builds the scanners of fields' values, Aho-Corasick by default."""
        self._fields = fields or aho_corasick
        self._of_fields: dict[tuple[str, ...], Scanner] = {}
        self._texts: dict[tuple[str, ...], Scanner] = {}
        self._lines: dict[tuple[bytes, ...], LineScanner] = {}

    def for_field(self, literals: Sequence[str]) -> Scanner:
        """Returns a scanner of the values of one field; 181 groups of SigmaHQ share 80."""
        key = tuple(literals)
        found = self._of_fields.get(key)
        if found is None:
            found = self._of_fields[key] = self._fields(key)
        return found

    def for_event(self, literals: Sequence[str]) -> Scanner:
        """Returns a scanner of all texts of an event at once."""
        key = tuple(literals)
        found = self._texts.get(key)
        if found is None:
            factory = aho_corasick if hyperscan is None else hyperscan_literals
            found = self._texts[key] = factory(key)
        return found

    def for_line(self, literals: Sequence[bytes]) -> LineScanner:
        """Returns a scanner of the JSON of an event, for ASCII literals in any case."""
        key = tuple(literals)
        found = self._lines.get(key)
        if found is None:
            found = self._lines[key] = line_scanner(key)
        return found


_number_of = itemgetter(0)


def aho_corasick(literals: Sequence[str]) -> Scanner:
    """Returns a scanner without any dependency on the processor."""
    find = ahocorasick_rs.AhoCorasick(list(literals)).find_matches_as_indexes
    kept = tuple(literals)
    longest = max(map(len, kept), default=1)
    chunk = max(CHUNK_CHARS, 2 * longest)

    def scan(text: str) -> Sequence[int]:
        try:
            if len(text) <= chunk:
                return list(map(_number_of, find(text, overlapping=True)))
            found: set[int] = set()
            for start in range(0, len(text), chunk - longest + 1):
                part = text[start : start + chunk]
                found.update(map(_number_of, find(part, overlapping=True)))
            return list(found)
        except UnicodeEncodeError:  # a lone surrogate has no UTF-8
            return [i for i, literal in enumerate(kept) if literal in text]

    return scan


def hyperscan_literals(literals: Sequence[str]) -> Scanner:
    """Returns a scanner that takes 15 times longer to build and half the time on long texts."""
    scan_bytes = _hyperscan([_bytes(literal) for literal in literals], 0)
    return lambda text: scan_bytes(_bytes(text))


def _hyperscan(
    literals: Sequence[bytes], flags: int, regexes: Sequence[bytes] = ()
) -> Callable[[bytes], Sequence[int]]:
    """Returns a scanner that reports each literal, and then each regex, once.

    Literals are given as regexes of hex escapes: Hyperscan's literal mode ends at a NUL.
    """
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    spelt = [b"".join(b"\\x%02x" % byte for byte in literal) for literal in literals]
    expressions = [*spelt, *regexes]
    database.compile(
        expressions=expressions,
        ids=list(range(len(expressions))),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH | flags] * len(expressions),
    )
    # With one handler for all texts, and no keyword arguments, a scan takes 0.5 µs instead of 0.9.
    database.scratch = hyperscan.Scratch(database)
    run = database.scan
    found: list[int] = []

    def note(number: int, *_: Any) -> None:
        found.append(number)

    def scan(data: bytes) -> Sequence[int]:
        run(data, note)
        if not found:
            return ()
        result = found.copy()
        found.clear()
        return result

    return scan


_FOLDED = "|".join(FOLDED_TO_ASCII).encode()
_IS_FOLDED = re.compile(_FOLDED)
_IS_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\[u/]")
_FLAGGED = _FOLDED + rb"|(?:^|[^\\])(?:\\\\)*\\[u/]"


def line_scanner(literals: Sequence[bytes]) -> LineScanner:
    """Returns a scanner of JSON lines for non-empty ASCII literals in any case.

    With Hyperscan the check of the spelling is part of the same pass.
    """
    if hyperscan is None:
        return _plain_line_scanner(literals)
    flagged = len(literals)
    find = _hyperscan(literals, hyperscan.HS_FLAG_CASELESS, [_FLAGGED])

    def scan(line: bytes) -> Sequence[int] | None:
        found = find(line)
        return None if flagged in found else found

    return scan


def _plain_line_scanner(literals: Sequence[bytes]) -> LineScanner:
    find = aho_corasick([literal.decode("ascii").lower() for literal in literals])

    def scan(line: bytes) -> Sequence[int] | None:
        return None if _is_otherwise(line) else find(line.lower().decode("latin-1"))

    return scan


def _is_otherwise(line: bytes) -> bool:
    """Tells whether a literal might be in a line in another spelling."""
    if not line.isascii() and _IS_FOLDED.search(line):
        return True
    return (b"\\u" in line or b"\\/" in line) and bool(_IS_ESCAPED.search(line))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
