"""The masks of one field: which rules may fire with a value of it.

All planes of a value are one integer of ``1 + 2 * PLANES`` sections of as many bits as there are
rules: the vetoes lowest, then the AND planes, then the OR planes (`detect.index`).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from operator import methodcaller
from typing import Any

from detect.kept import Kept
from detect.many import Known, Noted
from detect.necessary import Atom
from detect.scan import Scanner, Scanners
from detect.text import HEAVY_CHARS, Slot, fold, is_heavy, number, read, scalar_text

PLANES = 2
MAX_CACHED = 4_096
"""Masks kept per field; then they are dropped at once."""
MAX_CACHED_CHARS = 1_024
"""Longer values are computed each time: they rarely repeat and would fill the memory."""
ENTRY_BYTES = 300
"""What a value takes beside its text and its masks."""
MAX_HITS = 64
"""The masks of a text with more literals are not kept by them."""

Masks = tuple[int, int]
"""Of one value: the rules that it leaves possible, and its OR planes."""
Placed = tuple[Sequence[Atom], int]
"""Atoms of one slot, and the position of the bit that each of them sets."""

_BEGINS_NUMBER = frozenset("0123456789+-")


class Table:
    """The masks of one slot. ``cache`` is read by `Group.candidates` directly.

    ``concerned`` are the rules of which the slot's value tells anything. ``heavies`` is where a
    table puts itself that has something to tell of the event's value: ``noted``, or that it is
    ``cut``.
    """

    def __init__(
        self,
        slot: Slot,
        size: int,
        placed: Sequence[Placed],
        scanners: Scanners,
        heavies: "list[Table]",
        kept: Kept,
    ) -> None:
        self.slot = slot
        self.noted: Noted | None = None
        self.cut = False
        self._heavies = heavies
        self._known_literals: Known | None = None
        self.size = size
        self.cache: dict[str | int, Masks] = {}
        self._kept = kept
        self._kept_bytes = 0
        self.misses = 0
        self.late = 0
        self._all = (1 << size) - 1
        self._free = [self._all] * PLANES
        self._equal: dict[str, int] = {}
        self._numbers: dict[float, int] = {}
        self._kinds = {"some": 0, "none": 0, "exists": 0}
        literals: dict[tuple[str, str], int] = {}
        self.concerned = 0
        self._place(placed, literals)
        self._literals = list(literals)
        self._bits = list(literals.values())
        self._placed = [_where(kind, text) for kind, text in literals]
        self._scanners = scanners
        self._scan: Scanner | None = None
        self._known: dict[tuple[int, ...], Masks] = {}
        self._there = self._kinds["exists"] | self._kinds["some"]
        self.absent = self._split(self._kinds["none"])

    def _place(self, placed: Sequence[Placed], literals: dict[tuple[str, str], int]) -> None:
        for atoms, position in placed:
            section, bit = divmod(position, self.size)
            self.concerned |= 1 << bit
            if 0 < section <= PLANES:
                self._free[section - 1] &= ~(1 << bit)
            for _, kind, arg in atoms:
                if kind in self._kinds:
                    self._kinds[kind] |= 1 << position
                elif kind == "eq":
                    self._equal[arg] = self._equal.get(arg, 0) | 1 << position
                elif kind == "num":
                    self._numbers[arg] = self._numbers.get(arg, 0) | 1 << position
                elif arg:
                    literals[kind, arg] = literals.get((kind, arg), 0) | 1 << position
                else:
                    self._kinds["some"] |= 1 << position

    def _split(self, found: int) -> Masks:
        """Returns the rules that neither a veto nor an AND plane rules out, and the OR planes."""
        passed = self._all & ~found
        found >>= self.size
        for free in self._free:
            passed &= free | found
            found >>= self.size
        return passed, found

    def compute(self, value: Any) -> Masks:
        """Returns the masks of a value that is there. O(length of the value)."""
        if value.__class__ is int:
            value = scalar_text(value)
        if value.__class__ is str and len(value) <= HEAVY_CHARS:
            found, hits = self._of(value)
            if found:
                return self._split(self._there | found | self._bits_of(hits))
            return self._known.get(hits) or self._know(hits)
        texts = self._read_heavy(value)
        found = self._kinds["exists"] | self._kinds["some" if texts else "none"]
        for text in texts:
            own, hits = self._of(text)
            found |= own | self._bits_of(hits)
        return self._split(found)

    def make_ready(self) -> None:
        """Makes the scanner, if the values are looked through at all."""
        if self._literals:
            self.scanner()

    def scanner(self) -> Scanner:
        """Returns the scanner of the values, made when it is asked for first.

        Of the fields that the rules for a kind of event read, most events have a few.
        """
        if self._scan is None:
            self._scan = self._scanners.for_field([text for _, text in self._literals])
        return self._scan

    def _read_heavy(self, value: Any) -> tuple[str, ...]:
        texts, self.cut = read(value)
        if self._literals and is_heavy(texts):
            self.noted = Noted(texts, self._all_literals(), set(), set(), set())
        if self.noted is not None or self.cut:
            self._heavies.append(self)
        return texts

    def _of(self, text: str) -> tuple[int, tuple[int, ...]]:
        """Returns what the whole text says, and which literals hold for it."""
        folded = fold(text)
        found = self._equal.get(folded, 0)
        if self._numbers and folded[:1] in _BEGINS_NUMBER:
            value = number(folded)
            if value is not None:
                found |= self._numbers.get(value, 0)
        if not self._literals:
            return found, ()
        placed = self._placed
        there: Collection[int] = (self._scan or self.scanner())(folded)
        if not there:
            return found, ()
        if self.noted is not None:
            there = set(there)  # a literal that occurs a thousand times is looked at once
        hits = tuple([i for i in there if (ask := placed[i]) is None or ask(folded)])
        if self.noted is not None:
            self._note(self.noted, there, hits)
        return found, hits

    def _note(self, noted: Noted, there: Iterable[int], hits: Iterable[int]) -> None:
        literals = self._literals
        noted.occurs.update([literals[i][1] for i in there])
        held = [literals[i] for i in hits]
        noted.starts.update([text for kind, text in held if kind == "starts"])
        noted.ends.update([text for kind, text in held if kind == "ends"])

    def _all_literals(self) -> Known:
        if self._known_literals is None:
            starts, ends = (
                frozenset(text for own, text in self._literals if own == kind)
                for kind in ("starts", "ends")
            )
            everything = frozenset(text for _, text in self._literals)
            self._known_literals = Known(everything, starts, ends)
        return self._known_literals

    def _bits_of(self, hits: tuple[int, ...]) -> int:
        found = 0
        for i in hits:
            found |= self._bits[i]
        return found

    def _know(self, hits: tuple[int, ...]) -> Masks:
        """Computes and keeps the masks of a text in which these literals are.

        Texts that are all different have mostly the same literals, or none: 2 of 7 µs a text.
        """
        masks = self._split(self._there | self._bits_of(hits))
        if len(hits) <= MAX_HITS:
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            self._keep(8 * len(hits))
            self._known[hits] = masks
        return masks

    def miss(self, value: str | int) -> Masks:
        """Computes and keeps the masks of a value that is not in the cache; returns them."""
        self.misses += 1
        masks = self.compute(value)
        size = 0 if value.__class__ is int else len(value)  # type: ignore[arg-type]
        if size <= MAX_CACHED_CHARS:
            self._keep(size)
            self.cache[value] = masks
        return masks

    def _keep(self, size: int) -> None:
        size += ENTRY_BYTES + self.size // 2  # two integers: a bit a rule, and PLANES of them
        self._kept.add(size)
        self._kept_bytes += size

    def forget(self) -> None:
        """Drops what is kept of values."""
        self.cache.clear()
        self._known.clear()
        self._kept.give_back(self._kept_bytes)
        self._kept_bytes = 0


def _where(kind: str, literal: str) -> Callable[[str], bool] | None:
    """Returns the question where in a text a literal must be; None for anywhere."""
    method = {"starts": "startswith", "ends": "endswith"}.get(kind)
    return None if method is None else methodcaller(method, literal)
