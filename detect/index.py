"""Candidates: which rules of a group can still fire on an event, from its single values.

A group is the set of rules that one kind of event is routed to. Rule i is bit i of a mask. For
every field that rules need, a `Table` tells for a value which rules may fire with it; masks are
kept by value, because values of real logs repeat. An event's candidates are the AND over its
fields; what remains runs its whole predicate. Nothing here is learned from events: a cache only
remembers what was computed.

A rule's clauses on one slot sit in up to `PLANES` AND planes. A clause over several slots sits in
one of the OR planes: a bit there is set by any of the slots. A value with which a rule cannot fire
sets its bit in the veto plane. `detect.table` has the planes of a value in one integer, so that one
OR per literal found collects them all.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from detect.kept import Kept
from detect.keywords import KeywordTable
from detect.many import Noted
from detect.necessary import KEYWORDS, Needs, weight
from detect.scan import Scanners
from detect.table import MAX_CACHED, PLANES, Placed, Table
from detect.text import Slot, lookup

MAX_SHAPES = 1_024
MAX_KEY_CHARS = 16_384
"""The order of an event's keys is not remembered where they are longer, all together."""
KEY_BYTES = 60
"""What a key takes beside its characters."""
UNIQUE_SHARE = 0.5
"""A field of whose values more than this share is new is late: not kept, and asked last."""
LATE_FOR = 16
"""So many times `MAX_CACHED` events, until its values are kept again to see whether they repeat."""


class _Shape:
    """What the presence of fields alone decides: the masks to begin with, the tables to ask.

    ``tables`` are (key, where the masks of known values are, table). ``late`` are those of values
    that do not repeat: asked last, and only if a rule depends on it.
    """

    __slots__ = ("base", "base_wide", "late", "tables")

    def __init__(self, tables: Iterable[Table], keys: frozenset[str], everything: int) -> None:
        self.base = everything
        self.base_wide = 0
        asked: list[tuple[Slot, Table]] = []
        for table in tables:
            key = _present(table.slot, keys)
            if key is None:
                passed, wide = table.absent
                self.base &= passed
                self.base_wide |= wide
            else:
                asked.append((key, table))
        self.tables = [(key, table.cache.get, table) for key, table in asked if not table.late]
        self.late = [(key, table) for key, table in asked if table.late]


def _present(slot: Slot, keys: frozenset[str]) -> Slot | None:
    """Returns what to read for ``slot`` of an event with ``keys``; None if nothing is there."""
    present = [key for key in keys_of(slot) if key in keys]
    if len(present) > 1:
        return slot
    return present[0] if present else None


class Group:
    """The rules for one kind of event. ``needs`` tells of each what its values must be."""

    def __init__(
        self, needs: Sequence[Needs], scanners: Scanners, kept: Kept | None = None
    ) -> None:
        """``kept`` is what the group shares with others that one bound of memory is for."""
        self._kept = kept or Kept(self.forget)
        self._kept_bytes = 0
        self.size = len(needs)
        self.everything = (1 << self.size) - 1
        self.events = 0
        placed, wide_free = _placed(needs)
        self._wide_free = wide_free
        self._wide_bits = self.everything & ~_all_of(wide_free)
        self._keywords = None
        if KEYWORDS in placed:
            found = [(atoms, position - self.size) for atoms, position in placed.pop(KEYWORDS)]
            self._keywords = KeywordTable(self.size, PLANES, found, scanners)
        self.heavies: list[Table] = []
        """The tables that had a heavy value to read in the last event."""
        self._tables = [
            Table(slot, self.size, clauses, scanners, self.heavies, self._kept)
            for slot, clauses in placed.items()
        ]
        self._by_slot = {table.slot: table for table in self._tables}
        self._keys = frozenset(key for table in self._tables for key in keys_of(table.slot))
        self._shapes: dict[frozenset[str], _Shape] = {}
        self._by_keys: dict[tuple[str, ...], _Shape] = {}

    def candidates(
        self,
        event: Mapping[str, Any],
        haystack: Callable[[Mapping[str, Any]], str],
        line: bytes | None,
    ) -> int:
        """Returns the mask of the rules that may fire; every rule that fires is in it.

        ``haystack`` gives, asked at most once, the text in which keywords are looked for;
        ``line`` is the JSON that the event was read from, if it was not altered since.
        """
        self.events += 1
        if self.events % MAX_CACHED == 0:
            self._tidy()
        if self.heavies:
            self._forget_heavies()
        keys = tuple(event)
        shape = self._by_keys.get(keys) or self._shape_of(keys)
        mask, wide = shape.base, shape.base_wide
        for key, known, table in shape.tables:
            value = event[key] if key.__class__ is str else lookup(event, key)
            kind = value.__class__
            # True and 1.0 are keys like 1, and no numbers of an event's.
            if kind is str or kind is int:
                passed, found = known(value) or table.miss(value)
            else:
                passed, found = table.compute(value)
            mask &= passed
            if found:
                wide |= found
        for slot, table in shape.late:
            if mask & table.concerned:
                passed, found = table.compute(lookup(event, slot))
                mask &= passed
                wide |= found
        if not mask:
            return 0
        if self._keywords is not None and mask & self._keywords.concerned:
            answer = None if line is None else self._keywords.of_line(line)
            passed, words = answer or self._keywords.of_values(haystack(event))
            mask &= passed
            wide |= words
        if mask & self._wide_bits:
            mask &= self._with_any(wide)
        return mask

    def rule_out(self, bit: int, slot: Slot, event: Mapping[str, Any]) -> None:
        """Keeps that a rule does not fire with what ``event`` has in ``slot``.

        For a rule that reads this slot only: it is asked once for each value that is kept.
        """
        table, value = self._by_slot[slot], lookup(event, slot)
        if value.__class__ is str or value.__class__ is int:
            masks = table.cache.get(value)
            if masks is not None:
                table.cache[value] = (masks[0] & ~(1 << bit), masks[1])

    def keeps(self, slot: Slot) -> bool:
        """Tells whether the masks of the values in ``slot`` are kept now."""
        table = self._by_slot.get(slot)
        return table is not None and not table.late

    def make_ready(self) -> None:
        """Makes every scanner now, so that no event has to wait for one (up to 50 ms in all)."""
        for table in self._tables:
            table.make_ready()
        if self._keywords is not None:
            self._keywords.scanner()
            self._keywords.line_scanner()

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

    def _with_any(self, wide: int) -> int:
        """Returns the rules whose clauses over several slots hold, of the OR planes of all."""
        passed = self.everything
        for free in self._wide_free:
            passed &= free | wide
            wide >>= self.size
        return passed

    def _shape_of(self, keys: tuple[str, ...]) -> _Shape:
        """Returns the shape of an event with these keys in this order, new or known.

        Only keys that rules read make a shape; the order is remembered because a tuple is found
        in a third of the time of the set.
        """
        found = frozenset(self._keys.intersection(keys))
        shape = self._shapes.get(found)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._forget_shapes()
            shape = self._shapes[found] = _Shape(self._tables, found, self.everything)
        if len(self._by_keys) >= MAX_SHAPES:
            self._forget_keys()
        size = sum(map(len, keys))
        if size <= MAX_KEY_CHARS:
            size += KEY_BYTES * len(keys)
            self._kept.add(size)
            self._kept_bytes += size
            self._by_keys[keys] = shape
        return shape

    def _forget_keys(self) -> None:
        self._by_keys.clear()
        self._kept.give_back(self._kept_bytes)
        self._kept_bytes = 0

    def _forget_shapes(self) -> None:
        self._shapes.clear()
        self._forget_keys()

    def forget(self) -> None:
        """Drops all that is remembered of events."""
        self._forget_shapes()
        for table in self._tables:
            table.forget()

    def _tidy(self) -> None:
        """Bounds the caches; fields whose values do not repeat are no longer kept."""
        changed = False
        for table in self._tables:
            was_late = table.late > 0
            if was_late:
                table.late -= 1
            elif table.misses > MAX_CACHED * UNIQUE_SHARE:
                table.late = LATE_FOR
            if table.late or len(table.cache) > MAX_CACHED:
                table.forget()
            table.misses = 0
            changed |= was_late is not (table.late > 0)
        if changed:
            self._forget_shapes()


def keys_of(slot: Slot) -> tuple[str, ...]:
    """Returns the event keys that a slot may be read from."""
    return (slot,) if isinstance(slot, str) else tuple(slot)


def _all_of(masks: Iterable[int]) -> int:
    result = -1
    for mask in masks:
        result &= mask
    return result


def _placed(needs: Sequence[Needs]) -> tuple[dict[Slot, list[Placed]], list[int]]:
    """Gives each clause its plane: (per slot, its atoms with their positions; free OR planes).

    The rarest clauses win where a rule has more of them than there are planes.
    """
    size = len(needs)
    placed: dict[Slot, list[Placed]] = {}
    wide_free = [(1 << size) - 1] * PLANES
    for bit, (clauses, vetoes) in enumerate(needs):
        for atom in vetoes:
            placed.setdefault(atom.slot, []).append(((atom,), bit))
        used: dict[Slot, int] = {}
        wide = 0
        for clause in sorted(dict.fromkeys(clauses), key=weight) if len(clauses) > 1 else clauses:
            slots = {atom.slot for atom in clause}
            if len(slots) == 1:
                slot = slots.pop()
                plane = used.get(slot, 0)
                if plane < PLANES:
                    used[slot] = plane + 1
                    placed.setdefault(slot, []).append((clause, (1 + plane) * size + bit))
            elif wide < PLANES:
                position = (1 + PLANES + wide) * size + bit
                wide_free[wide] &= ~(1 << bit)
                for slot in slots:
                    own = tuple(atom for atom in clause if atom.slot == slot)
                    placed.setdefault(slot, []).append((own, position))
                wide += 1
    return placed, wide_free
