"""Which of many literals occur in a text, found in one pass.

Two implementations of `Scanner`, equal in what they return: Hyperscan where it is installed, else
Aho-Corasick. Both take folded text.
"""

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import ahocorasick_rs

hyperscan: Any = None
if find_spec("hyperscan") is not None:  # there is no wheel for every platform
    hyperscan = import_module("hyperscan")

Scanner = Callable[[str], Sequence[int]]
"""Takes a folded text; returns the numbers of the literals in it, each at least once."""

LONG_TEXT = 65_536
"""Beyond so many characters an overlapping list could explode; see `aho_corasick`."""


class ScannerFactory(Protocol):
    """Builds a scanner for non-empty literals."""

    def __call__(self, literals: Sequence[str]) -> Scanner: ...


def best_factory() -> ScannerFactory:
    """Returns Hyperscan's factory where it can be imported, else Aho-Corasick's."""
    return aho_corasick if hyperscan is None else hyperscan_literals


def aho_corasick(literals: Sequence[str]) -> Scanner:
    """Returns a scanner without any dependency on the processor.

    A long text is searched literal by literal: that is bounded by literals x length, where the
    list of overlapping matches is bounded by nothing useful.
    """
    automaton = ahocorasick_rs.AhoCorasick(list(literals))
    kept = tuple(literals)

    def one_by_one(text: str) -> list[int]:
        return [i for i, literal in enumerate(kept) if literal in text]

    def scan(text: str) -> Sequence[int]:
        if len(text) <= LONG_TEXT:
            try:
                matches = automaton.find_matches_as_indexes(text, overlapping=True)
                return [match[0] for match in matches]
            except UnicodeEncodeError:  # a lone surrogate has no UTF-8
                return one_by_one(text)
        return one_by_one(text)

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
    scratch = hyperscan.Scratch(database)
    run = database.scan

    def scan(data: bytes) -> Sequence[int]:
        found: list[int] = []

        def note(number: int, *_: Any) -> None:
            found.append(number)

        run(data, match_event_handler=note, scratch=scratch)
        return found

    return scan


LineScanner = Callable[[bytes], Sequence[int] | None]
"""Takes a line of JSON; returns the numbers of the literals in it, or None: they might be in it
in another spelling, as non-ASCII text or escaped as ``\\u0041`` or ``\\/``."""

_OTHER_SPELLING = re.compile(rb"[\x80-\xff]|(?<!\\)(?:\\\\)*\\[u/]")
_FLAGGED = rb"[\x80-\xff]|(?:^|[^\\])(?:\\\\)*\\[u/]"


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
        return None if _OTHER_SPELLING.search(line) else find(line.decode("ascii").lower())

    return scan


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
