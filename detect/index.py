"""Candidates: which rules of a group can still fire on an event, from its single values.

A group is the set of rules that one kind of event is routed to. Rule i is bit i of a mask. For
every field that rules need, a `_Table` tells for a value which rules may fire with it; masks are
kept by value, because values of real logs repeat. An event's candidates are the AND over its
fields; what remains runs its whole predicate. Nothing here is learned from events: a cache only
remembers what was computed.

A rule's clauses on one slot sit in up to `PLANES` AND planes. A clause over several slots sits in
one of the OR planes: a bit there is set by any of the slots. All planes of a value are one integer
of ``2 * PLANES`` sections, so that one OR per literal found collects them all.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from detect.keywords import KeywordTable
from detect.many import Known, Noted
from detect.necessary import KEYWORDS, Clause, weight
from detect.scan import Scanner, Scanners
from detect.text import HEAVY_CHARS, Slot, fold, is_heavy, lookup, number, read, scalar_text

PLANES = 2
_ENDS = ("starts", "ends")
MAX_CACHED = 4_096
"""Masks kept per field; then they are dropped at once."""
MAX_CACHED_CHARS = 1_024
"""Longer values are computed each time: they rarely repeat and would fill the memory."""
MAX_SHAPES = 1_024
UNIQUE_SHARE = 0.5
"""A field of whose values more than this share is new is not kept, and is asked last."""


class _Table:
    """The masks of one slot. ``cache`` and ``wide`` are read by `Group.candidates` directly."""

    def __init__(
        self,
        slot: Slot,
        size: int,
        placed: Sequence[tuple[Clause, int]],
        scanners: Scanners,
        heavies: "list[_Table]",
    ) -> None:
        """``placed``: clauses (or their atoms of this slot) with the section that each is in.

        ``heavies``: where a table puts itself that has something to tell of the event's value:
        ``noted``, or that it is ``cut``.
        """
        self.slot = slot
        self.noted: Noted | None = None
        self.cut = False
        self._heavies = heavies
        self._last = (0, 0)
        self._known_literals: Known | None = None
        self.size = size
        self.cache: dict[str, int] = {}
        self.wide: dict[str, int] = {}
        self.misses = 0
        self.unique = False
        self._all = (1 << size) - 1
        self.free = [self._all] * PLANES
        self.has_wide = False
        self._equal: dict[str, int] = {}
        self._numbers: dict[float, int] = {}
        self._kinds = {"some": 0, "none": 0, "exists": 0}
        literals: dict[tuple[str, str], int] = {}
        self._place(placed, literals)
        self._literals = [(kind, text, bits) for (kind, text), bits in literals.items()]
        self._scan: Scanner | None = None
        if literals:
            self._scan = scanners.for_field([text for _, text, _ in self._literals])
        self.absent, self.absent_wide = self._split(self._kinds["none"])

    def _place(
        self, placed: Sequence[tuple[Clause, int]], literals: dict[tuple[str, str], int]
    ) -> None:
        for clause, position in placed:
            section, bit = divmod(position, self.size)
            if section < PLANES:
                self.free[section] &= ~(1 << bit)
            else:
                self.has_wide = True
            for _, kind, arg in clause:
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

    def _split(self, found: int) -> tuple[int, int]:
        """Returns (rules that pass this slot's AND planes, its OR planes)."""
        passed = self._all
        for free in self.free:
            passed &= free | found
            found >>= self.size
        return passed, found

    def compute(self, value: Any) -> tuple[int, int]:
        """Returns (mask, OR planes) for a value that is there. O(length of the value)."""
        texts: tuple[str, ...]
        if value.__class__ is str and len(value) <= HEAVY_CHARS:
            texts = (value,)
        else:
            texts = self._read_heavy(value)
        found = self._kinds["exists"]
        found |= self._kinds["some"] if texts else self._kinds["none"]
        for text in texts:
            folded = fold(text)
            found |= self._equal.get(folded, 0)
            if self._numbers and (value_number := number(folded)) is not None:
                found |= self._numbers.get(value_number, 0)
            if self._scan is not None:
                found |= self._scanned(folded, self.noted)
        split = self._split(found)
        if self.noted is not None:
            self._last = split
        return split

    def _read_heavy(self, value: Any) -> tuple[str, ...]:
        texts, self.cut = read(value)
        if self._scan is not None and is_heavy(texts):
            self.noted = Noted(texts, self._known(), set(), set(), set())
        if self.noted is not None or self.cut:
            self._heavies.append(self)
        return texts

    def _scanned(self, text: str, noted: Noted | None) -> int:
        """Returns the bits of the literals that hold in a folded text, and notes them."""
        if noted is None:
            numbers = self._scan(text)  # type: ignore[misc]
        else:  # a literal that occurs a thousand times is looked at once
            numbers = list(set(self._scan(text)))  # type: ignore[misc]
            noted.occurs.update([self._literals[i][1] for i in numbers])
        found = 0
        for i in numbers:
            kind, literal, bits = self._literals[i]
            if kind == "contains":
                found |= bits
            elif text.startswith(literal) if kind == "starts" else text.endswith(literal):
                found |= bits
                if noted is not None:
                    (noted.starts if kind == "starts" else noted.ends).add(literal)
        return found

    def _known(self) -> Known:
        if self._known_literals is None:
            of = {kind: frozenset(t for k, t, _ in self._literals if k == kind) for kind in _ENDS}
            everything = frozenset(text for _, text, _ in self._literals)
            self._known_literals = Known(everything, of["starts"], of["ends"])
        return self._known_literals

    def miss(self, value: str) -> int:
        """Computes and keeps the mask of a text that is not in the cache; returns it."""
        self.misses += 1
        mask, wide = self.compute(value)
        if not self.unique and len(value) <= MAX_CACHED_CHARS:
            self.cache[value] = mask
            if self.has_wide:
                self.wide[value] = wide
        return mask

    def other(self, value: Any) -> int:
        """Returns the mask of a value that is no string; a number's is kept under its text."""
        if value.__class__ is int:
            text = scalar_text(value)
            kept = self.cache.get(text)
            return self.miss(text) if kept is None else kept
        return self.compute(value)[0]

    def wide_of(self, value: Any) -> int:
        """Returns the OR planes of a value."""
        if self.noted is not None:
            return self._last[1]
        found = self.wide.get(value) if value.__class__ is str else None
        return self.compute(value)[1] if found is None else found

    def forget(self) -> None:
        """Drops all masks kept."""
        self.cache.clear()
        self.wide.clear()
        self.misses = 0


class _Shape:
    """What the presence of fields alone decides: the mask to begin with, the tables to ask."""

    __slots__ = ("base", "base_wide", "tables", "wide_tables")

    def __init__(self, tables: Iterable[_Table], keys: frozenset[str], everything: int) -> None:
        self.base = everything
        self.base_wide = 0
        asked: list[tuple[Slot, _Table]] = []
        for table in tables:
            key = _present(table.slot, keys)
            if key is None:
                self.base &= table.absent
                self.base_wide |= table.absent_wide
            else:
                asked.append((key, table))
        asked.sort(key=lambda pair: pair[1].unique)
        self.tables = [(key, table.cache, table) for key, table in asked]
        self.wide_tables = [pair for pair in asked if pair[1].has_wide]


def _present(slot: Slot, keys: frozenset[str]) -> Slot | None:
    """Returns what to read for ``slot`` of an event with ``keys``; None if nothing is there."""
    if isinstance(slot, str):
        return slot if slot in keys else None
    return slot if any(key in keys for key in slot) else None


class Group:
    """The rules for one kind of event. ``needs`` holds the clauses of each rule, in rule order."""

    def __init__(self, needs: Sequence[Sequence[Clause]], scanners: Scanners) -> None:
        self.size = len(needs)
        self.everything = (1 << self.size) - 1
        self.events = 0
        placed, wide_free = _placed(needs)
        self._wide_free = wide_free
        self._wide_bits = self.everything & ~_all_of(wide_free)
        self._keywords = None
        if KEYWORDS in placed:
            found = placed.pop(KEYWORDS)
            self._keywords = KeywordTable(self.size, PLANES, found, scanners)
        self.heavies: list[_Table] = []
        """The tables that had a heavy value to read in the last event."""
        self._tables = [
            _Table(slot, self.size, clauses, scanners, self.heavies)
            for slot, clauses in placed.items()
        ]
        self._keys = frozenset(key for table in self._tables for key in keys_of(table.slot))
        self._shapes: dict[frozenset[str], _Shape] = {}

    def candidates(
        self, event: Mapping[str, Any], haystack: Callable[[], str], line: bytes | None
    ) -> int:
        """Returns the mask of the rules that may fire; every rule that fires is in it.

        ``haystack`` is called, at most once, for the text in which keywords are looked for;
        ``line`` is the JSON that the event was read from, if it was not altered since.
        """
        self.events += 1
        if self.heavies:
            self._forget_heavies()
        shape = self._shapes.get(found := frozenset(event.keys() & self._keys))
        if shape is None:
            shape = self._new_shape(found)
        mask = shape.base
        for key, cache, table in shape.tables:
            if not mask:
                return 0
            value = event[key] if key.__class__ is str else lookup(event, key)
            kept = cache.get(value) if value.__class__ is str else table.other(value)
            mask &= table.miss(value) if kept is None else kept
        words = 0
        if self._keywords is not None and mask & self._keywords.concerned:
            answer = None if line is None else self._keywords.of_line(line)
            passed, words = answer or self._keywords.of_values(haystack())
            mask &= passed
        if mask & self._wide_bits:
            mask &= self._wide(event, shape, words)
        if self.events % MAX_CACHED == 0:
            self._tidy()
        return mask

    def _forget_heavies(self) -> None:
        for table in self.heavies:
            table.noted, table.cut = None, False
        self.heavies.clear()

    def noted(self) -> dict[Slot, Noted]:
        """Returns what was found in heavy values of the last event."""
        return {table.slot: table.noted for table in self.heavies if table.noted is not None}

    def cut(self) -> list[Slot]:
        """Returns the slots of which `candidates` read a part only, in the last event."""
        return [table.slot for table in self.heavies if table.cut]

    def _wide(self, event: Mapping[str, Any], shape: _Shape, words: int) -> int:
        """Returns the rules whose clauses over several slots hold; ``words`` are the keywords'."""
        found = shape.base_wide | words
        for key, table in shape.wide_tables:
            found |= table.wide_of(lookup(event, key))
        passed = self.everything
        for free in self._wide_free:
            passed &= free | found
            found >>= self.size
        return passed

    def _new_shape(self, keys: frozenset[str]) -> _Shape:
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes.clear()
        shape = self._shapes[keys] = _Shape(self._tables, keys, self.everything)
        return shape

    def _tidy(self) -> None:
        """Bounds the caches; fields whose values do not repeat are no longer kept."""
        changed = False
        for table in self._tables:
            unique = table.misses > MAX_CACHED * UNIQUE_SHARE
            changed |= unique is not table.unique
            table.unique = unique
            if unique or len(table.cache) > MAX_CACHED:
                table.forget()
            table.misses = 0
        if changed:
            self._shapes.clear()


def keys_of(slot: Slot) -> tuple[str, ...]:
    """Returns the event keys that a slot may be read from."""
    return (slot,) if isinstance(slot, str) else tuple(slot)


def _all_of(masks: Iterable[int]) -> int:
    result = -1
    for mask in masks:
        result &= mask
    return result


def _placed(
    needs: Sequence[Sequence[Clause]],
) -> tuple[dict[Slot, list[tuple[Clause, int]]], list[int]]:
    """Gives each clause its plane: (per slot, its clauses with their positions; free OR planes).

    The rarest clauses win where a rule has more of them than there are planes.
    """
    size = len(needs)
    placed: dict[Slot, list[tuple[Clause, int]]] = {}
    wide_free = [(1 << size) - 1] * PLANES
    for bit, clauses in enumerate(needs):
        used: dict[Slot, int] = {}
        wide = 0
        for clause in sorted(dict.fromkeys(clauses), key=weight) if len(clauses) > 1 else clauses:
            slots = {atom.slot for atom in clause}
            if len(slots) == 1:
                slot = slots.pop()
                plane = used.get(slot, 0)
                if plane < PLANES:
                    used[slot] = plane + 1
                    placed.setdefault(slot, []).append((clause, plane * size + bit))
            elif wide < PLANES:
                position = (PLANES + wide) * size + bit
                wide_free[wide] &= ~(1 << bit)
                for slot in slots:
                    own = tuple(atom for atom in clause if atom.slot == slot)
                    placed.setdefault(slot, []).append((own, position))
                wide += 1
    return placed, wide_free
