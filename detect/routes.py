"""Which rules an event is asked about: by its kind, or by the logsource that it names itself.

Every kind of event has an index of its rules (`detect.index.Group`). What an event was routed to is
remembered by what routes it, so that the next one of its kind costs one look-up.
"""

from collections.abc import Mapping, Sequence
from itertools import islice, product
from typing import Any, Literal

from detect.build import Built
from detect.index import Group
from detect.kept import Kept
from detect.logsource import MAX_TOKEN_CHARS, Router, conflicts
from detect.raw import NOT_NAMED, declared, named
from detect.rule import LogSource
from detect.scan import Scanners
from detect.table import ENTRY_BYTES

Mode = Literal["ecs", "raw"]

MAX_GROUPS = 4_096
MAX_CHOICES = 64
"""Combinations of one source's routing values that are prepared for."""
MAX_CHOSEN = 1_024
"""Masks of candidates remembered with their rules, a kind of event: half a microsecond a rule."""

ROUTING: Mapping[Mode, tuple[str, str, str]] = {
    "ecs": ("event.dataset", "winlog.channel", "event.code"),
    "raw": ("product", "Channel", "EventID"),
}
"""The fields that every event is routed by; sources may ask for more."""

Groups = tuple[tuple[tuple[int, ...], Group], ...]


class Members:
    """The variants that one kind of event is routed to, and their index.

    ``groups`` are one index of them all, or those of the single sources; each with its variants.
    ``sources`` are indexes of `Built.sources`; ``chosen`` the variants of masks met before, where
    there is one index, ``group``. ``enough`` is for whoever looks at some events of each kind: the
    units of which it has seen enough.
    """

    __slots__ = (
        "_kept",
        "_kept_bytes",
        "chosen",
        "enough",
        "group",
        "groups",
        "numbers",
        "sources",
    )

    def __init__(
        self,
        numbers: tuple[int, ...],
        groups: Groups,
        sources: frozenset[int] = frozenset(),
        kept: Kept | None = None,
    ) -> None:
        self.numbers = numbers
        self.groups = groups
        self.group = groups[0][1] if len(groups) == 1 else None
        self.sources = sources
        self.chosen: dict[int, tuple[int, ...]] = {}
        self.enough: set[str] = set()
        self._kept = kept or Kept(self.forget)
        self._kept_bytes = 0

    def choose(self, mask: int) -> tuple[int, ...]:
        """Returns the variants of the bits in ``mask``, and remembers them."""
        if len(self.chosen) >= MAX_CHOSEN:
            self.forget()
        found = tuple([self.numbers[bit] for bit in bits(mask)])
        size = ENTRY_BYTES + len(self.numbers) // 7 + 8 * len(found)
        self._kept.add(size)
        self._kept_bytes += size
        self.chosen[mask] = found
        return found

    def forget(self) -> None:
        """Drops what is remembered of masks."""
        self.chosen.clear()
        self._kept.give_back(self._kept_bytes)
        self._kept_bytes = 0


class Routes:
    """The routes of one rule set; keeps what it found, within bounds."""

    def __init__(self, built: Built, mode: Mode, scanners: Scanners) -> None:
        self.sources = Router(built.sources, ROUTING[mode])
        self._built = built
        self._mode = mode
        self._scanners = scanners
        self._groups: dict[tuple[int, ...], Group] = {}
        self._kept = Kept(self._forget)
        self._members: dict[Any, Members] = {}
        self._named: dict[tuple[Any, ...], Members] = {}
        self._by_source: dict[int, list[int]] = {}
        for number, variant in enumerate(built.variants):
            for i in variant.sources:
                self._by_source.setdefault(i, []).append(number)
        self._prepared = False
        self.of = self._of_raw if mode == "raw" else self._of_normalised
        """Takes an event and returns what it is asked about."""

    def prepare(self) -> None:
        """Builds the index of every kind of event that the tables name; see `Engine.prepare`."""
        for i, source in enumerate(self._built.sources):
            self._group_of(self._numbers(frozenset((i,))))
            choices = [values or ("x",) for values in source.where.values()]
            for values in islice(product(*choices), MAX_CHOICES):
                event = dict(zip(source.where, values, strict=True))
                self._group_of(self._numbers(self.sources.route(event)))
        for group in self._groups.values():
            group.make_ready()
        self._prepared = True

    def _of_normalised(self, event: Mapping[str, Any]) -> Members:
        sources = self.sources.route(event)
        return self._members.get(sources) or self._new(sources, sources)

    def _of_raw(self, event: Mapping[str, Any]) -> Members:
        """Returns it for a raw event; at once where it names its logsource in known words."""
        get = event.get
        code = get("EventID")
        # True is 1 as a key; its class is not.
        names = (get("product"), get("category"), get("service"), get("Channel"))
        token: tuple[Any, ...] = (*names, code, code.__class__)
        try:
            found = self._named.get(token)
        except TypeError:
            found, token = None, ()
        if found is not None:
            return found
        own = declared(event)
        sources = self.sources.route(event)
        key = (sources, own)
        found = self._members.get(key) or self._new(key, sources, own)
        # One that names nothing is known by its fields (`declared`), which the token does not hold.
        is_named = bool(token) and named(event) != NOT_NAMED
        if is_named and self.sources.is_sure(event) and _are_short(names, code):
            if len(self._named) >= MAX_GROUPS:
                self._named.clear()
            self._named[token] = found
        return found

    def _new(self, key: Any, sources: frozenset[int], own: LogSource | None = None) -> Members:
        numbers = self._numbers(sources) if own is None else self._raw_numbers(sources, own)
        if len(self._members) >= MAX_GROUPS:
            self._drop_members()
        groups = self._groups_of(numbers, sources)
        found = self._members[key] = Members(numbers, groups, sources, self._kept)
        return found

    def look_again(self) -> None:
        """Forgets of which units and kinds somebody has seen enough."""
        for members in self._members.values():
            members.enough.clear()

    def _numbers(self, sources: frozenset[int]) -> tuple[int, ...]:
        return tuple(sorted({number for i in sources for number in self._by_source.get(i, ())}))

    def _raw_numbers(self, sources: frozenset[int], own: LogSource) -> tuple[int, ...]:
        """Returns the rules for a raw event: those of its channel, and none that conflicts.

        An event that names its logsource is asked about every rule that does not conflict with
        that name; where it is also of a known channel, the channel gives what it left open.
        """
        if own == NOT_NAMED and sources:
            return self._numbers(sources)
        services = {self._built.sources[i].service for i in sources} - {""}
        product = own[0] or ("windows" if sources else "")
        service = own[2] or (services.pop() if len(services) == 1 else "")
        rules = self._built.report.loaded
        return tuple(
            number
            for number, variant in enumerate(self._built.variants)
            if variant.plain
            and not conflicts(rules[variant.rule].logsource, (product, own[1], service))
        )

    def _groups_of(self, numbers: tuple[int, ...], sources: frozenset[int]) -> Groups:
        if not self._prepared or self._mode == "raw" or numbers in self._groups:
            return ((numbers, self._group_of(numbers)),)
        singles = {self._numbers(frozenset((i,))) for i in sources}
        return tuple((own, self._group_of(own)) for own in sorted(singles) if own)

    def _group_of(self, numbers: tuple[int, ...]) -> Group:
        found = self._groups.get(numbers)
        if found is None:
            if len(self._groups) >= MAX_GROUPS:
                self._drop_members()
                self._groups.clear()
            needs = [self._built.needs[number] for number in numbers]
            found = self._groups[numbers] = Group(needs, self._scanners, self._kept)
        return found

    def _drop_members(self) -> None:
        """Begins anew: what is dropped has to have given back what it kept."""
        self._forget()
        self._members.clear()
        self._named.clear()

    def _forget(self) -> None:
        for group in self._groups.values():
            group.forget()
        for members in self._members.values():
            members.forget()


def bits(mask: int) -> list[int]:
    """Returns the positions of the bits set in ``mask``, ascending."""
    found: list[int] = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found


def _are_short(names: Sequence[Any], code: Any) -> bool:
    """Tells whether names are texts or missing, and all is short enough to be remembered."""
    return all(name is None or name.__class__ is str for name in names) and all(
        len(str(value)) <= MAX_TOKEN_CHARS for value in (*names, code)
    )
