"""Which of many literals occur in a text, found in one pass.

Two implementations of `Scanner`, equal in what they return: Hyperscan where it is installed, else
Aho-Corasick. Both take folded text.
"""

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

    def scan(text: str) -> Sequence[int]:
        if len(text) > LONG_TEXT:
            return [i for i, literal in enumerate(kept) if literal in text]
        return [found[0] for found in automaton.find_matches_as_indexes(text, overlapping=True)]

    return scan


def hyperscan_literals(literals: Sequence[str]) -> Scanner:
    """Returns a scanner that reports each literal once (HS_FLAG_SINGLEMATCH)."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[_bytes(literal) for literal in literals],
        ids=list(range(len(literals))),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH] * len(literals),
        literal=True,
    )
    scratch = hyperscan.Scratch(database)
    run = database.scan

    def scan(text: str) -> Sequence[int]:
        found: list[int] = []

        def note(number: int, *_: Any) -> None:
            found.append(number)

        run(_bytes(text), match_event_handler=note, scratch=scratch)
        return found

    return scan


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
