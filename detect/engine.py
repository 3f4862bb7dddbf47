"""The rules of a rule set, ready to be asked about events.

`Engine.load` reads, checks, maps and compiles; `Engine.match` answers for one event. The same
rules may be asked with the prefilter (candidates from `detect.index`) or without: both give the
same matches, and the tests hold them against each other.
"""

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from detect.build import Built, build
from detect.compile import Predicate, bind
from detect.condition import tests_of
from detect.evaluate import matched_fields
from detect.filters import Filter
from detect.index import Group, keys_of
from detect.logsource import SAME, Fields
from detect.noting import Noter, noter
from detect.places import Placed
from detect.routes import Members, Mode, Routes, bits
from detect.rule import LoadReport, Rule
from detect.scan import Scanners
from detect.text import Slot, View

MAX_TAKEN_AWAY = 1_000
MAX_TOLD = 50
"""Of so many rules that one event fires it is said why; an event that fires more is a flood."""
OFTEN = 32
"""Times that a rule fires until its fields are noted by code of its own: in a fifth of the time."""
LEVELS = ("informational", "low", "medium", "high", "critical")
REMEMBERED = 64
"""Of so many candidates it is remembered that a rule of one field does not fire with its value; an
event that has more is a flood, or every rule is asked."""
SAMPLE = 128
"""One event in so many is asked with a stopwatch. All counting of rules together takes 1.2 to 1.9 %
of the detect step's time: 12,000 Windows events, all of SigmaHQ's rules, blocks of 300 in pairs."""

RULE_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a predicate could raise for an event of an unforeseen shape; the rule is then set aside."""

NOT_SEARCHED = (
    "@timestamp",
    "data_stream.",
    "ecs.",
    "event.",
    "agent.",
    "labels.",
    "log.",
    "observer.",
    "related.",
    "samlog.",
    "tags",
)
"""Beginnings of names in a normalised event whose values no sender wrote in its log."""


class Match(NamedTuple):
    """One rule that fired; ``fields`` are the event's fields and values that made it fire."""

    rule: Rule
    fields: Mapping[str, Any]
    variant: int = -1
    """Which of the engine's variants of the rule it was; for `Engine.fields_at`."""


@dataclass(slots=True)
class Stats:
    """Counts since the engine was loaded."""

    events: int = 0
    candidates: int = 0
    matches: int = 0
    cut: int = 0
    """Events of which rules saw a part only."""
    faults: dict[str, str] = field(default_factory=dict)
    """Rule id → what it raised. Such a rule is not asked again."""
    filtered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(rule id, filter id) → matches that the filter took away."""
    times: dict[str, list[int]] = field(default_factory=dict)
    """Rule id → [times that it was asked with a stopwatch, nanoseconds of these]."""


class Engine:
    """Compiled rules. One thread only; `match` keeps caches."""

    def __init__(self, built: Built, *, mode: Mode, scanners: Scanners | None = None) -> None:
        self.mode: Mode = mode
        self.report: LoadReport = built.report
        self.rules: list[Rule] = built.report.loaded
        self.stats = Stats()
        self.routed: Members
        """What the last event was routed to."""
        self.cut: tuple[str, ...] = ()
        """Fields of the last event of which rules saw a part only, for their length or number."""
        self._built = built
        self.filters: Sequence[Filter] = built.filters
        self._filters = _by_rule(built.filters)
        self.taken_away: deque[tuple[Rule, Filter]] = deque(maxlen=MAX_TAKEN_AWAY)
        """What filters took away and nobody has looked at yet."""
        self._predicates: list[Predicate | None] = list(bind(built.program))
        self._routes = Routes(built, mode, scanners or Scanners())
        self._of = self._routes.of
        self._of_one_slot = _of_one_slot(built)
        self._searched: dict[str, bool] = {}
        self._fired: Counter[int] = Counter()
        self._noters: dict[int, Noter] = {}
        self._noter_made = 0
        self._current: View | None = None
        self._haystack = self._haystack_of

    @classmethod
    def load(
        cls,
        paths: Sequence[str | Path],
        *,
        mode: Mode = "ecs",
        cache_dir: str | Path | None = None,
        placeholders: Mapping[str, Sequence[str]] | None = None,
    ) -> "Engine":
        """Returns an engine with every rule at or below ``paths`` that can be evaluated.

        Nothing is raised for bad rules: `report` names each one with its reason. ``placeholders``
        are the values of ``%name%`` in ``|expand``. ``cache_dir`` keeps what was compiled, by
        content; a damaged cache is built anew.
        """
        built = build(
            [Path(path) for path in paths],
            mode=mode,
            placeholders=placeholders or {},
            cache_dir=None if cache_dir is None else Path(cache_dir),
        )
        return cls(built, mode=mode)

    @property
    def built(self) -> Built:
        """Returns what the engine was made of."""
        return self._built

    def prepare(self) -> None:
        """Builds the index of every kind of event that the tables name, before the first event.

        Otherwise each is built when its first event arrives, which takes up to some 50 ms. From
        then on none is built: an event that is of several kinds at once which no table names
        together is asked about with the index of each, so that nobody can buy 50 ms with it.
        """
        self._routes.prepare()

    def match(
        self, event: Mapping[str, Any], *, line: bytes | None = None, prefilter: bool = True
    ) -> list[Match]:
        """Returns the rules that fire on a flat event, in the order in which they were loaded.

        ``event`` is a normalised event (mode ``ecs``) or what `detect.raw.flatten_raw` returns
        (mode ``raw``); it is not changed. ``line`` is the JSON that it was read from: with it
        keywords cost a tenth. A rule that raises is set aside and noted in
        ``stats.faults``; the others go on.
        """
        self.stats.events += 1
        self.cut = ()
        members = self.routed = self._of(event)
        if not members.numbers:
            return []
        self._current = None
        chosen = self._candidates(members, event, line) if prefilter else members.numbers
        if not chosen and self._current is None:
            return []
        view = self._current or self._view(event)
        ask = self._ask if self.stats.events % SAMPLE else self._timed
        found = ask(chosen, view)
        if view.cut:
            self.stats.cut += 1
            self.cut = tuple(sorted(key for slot in view.cut for key in keys_of(slot)))
        return found

    def _candidates(
        self, members: Members, event: Mapping[str, Any], line: bytes | None
    ) -> Sequence[int]:
        group = members.group
        if group is None:
            return self._candidates_of_all(members, event, line)
        mask = group.candidates(event, self._haystack, line)
        if group.heavies:
            self._take_over(group, event)
        return (members.chosen.get(mask) or members.choose(mask)) if mask else ()

    def _candidates_of_all(
        self, members: Members, event: Mapping[str, Any], line: bytes | None
    ) -> Sequence[int]:
        found: set[int] = set()
        for numbers, group in members.groups:
            mask = group.candidates(event, self._haystack, line)
            if group.heavies:
                self._take_over(group, event)
            found.update([numbers[bit] for bit in bits(mask)])
        return sorted(found)

    def _take_over(self, group: Group, event: Mapping[str, Any]) -> None:
        """Keeps what the prefilter found in heavy values for the predicates."""
        self._current = self._current or self._view(event)
        self._current.note(group.noted(), group.cut())

    def _haystack_of(self, event: Mapping[str, Any]) -> str:
        """Returns the text in which keywords are looked for; most events get no view but for it."""
        self._current = self._current or self._view(event)
        return self._current.haystack()

    def _timed(self, numbers: Sequence[int], view: View) -> list[Match]:
        """Does what `_ask` does and notes how long each rule took."""
        found: dict[str, Match] = {}
        for number in numbers:
            before = time.perf_counter_ns()
            matches = self._ask((number,), view)
            spent = time.perf_counter_ns() - before
            rule_id = self.rules[self._built.variants[number].rule].id
            note = self.stats.times.setdefault(rule_id, [0, 0])
            note[0] += 1
            note[1] += spent
            for match in matches:
                if found.setdefault(rule_id, match) is not match:
                    self.stats.matches -= 1
        return list(found.values())

    def _ask(self, numbers: Sequence[int], view: View) -> list[Match]:
        self.stats.candidates += len(numbers)
        hits: dict[str, int] = {}
        predicates, low, raw = self._predicates, view.low, view.raw
        one_slot = self._of_one_slot if len(numbers) <= REMEMBERED else {}
        for number in numbers:
            predicate = predicates[number]
            try:
                if predicate is None:
                    continue
                if predicate(low, raw, view):
                    self._hit(number, view, hits)
                elif number in one_slot:
                    self._rule_out(number, view)
            except RULE_FAULTS as error:
                self._set_aside_for(number, error)
        self.stats.matches += len(hits)
        return self._matches(list(hits.values()), view) if hits else []

    def _rule_out(self, number: int, view: View) -> None:
        """Has the prefilter remember the answer of a rule that reads one field only."""
        group, slot = self.routed.group, self._of_one_slot[number]
        if group is not None and group.keeps(slot):
            group.rule_out(bisect_left(self.routed.numbers, number), slot, view.event)

    def _hit(self, number: int, view: View, hits: dict[str, int]) -> None:
        """Notes a match, unless another variant of the rule was it or a filter takes it away."""
        rule = self.rules[self._built.variants[number].rule]
        if rule.id not in hits and not (
            rule.id in self._filters and self._is_filtered(number, rule, view)
        ):
            hits[rule.id] = number

    def _matches(self, numbers: Sequence[int], view: View) -> list[Match]:
        """Returns the matches; the fields of the `MAX_TOLD` of the highest levels, if more."""
        variants = self._built.variants
        chosen = set(numbers)
        if len(numbers) > MAX_TOLD:
            rules = {number: self.rules[variants[number].rule] for number in numbers}
            chosen = set(sorted(numbers, key=lambda n: -severity(rules[n].level))[:MAX_TOLD])
        found: list[Match] = []
        for number in numbers:
            fields: dict[str, Any] = {}
            try:
                if number in chosen:
                    fields = self._fields(number, view)
            except RULE_FAULTS as error:
                self._set_aside_for(number, error)
                continue
            found.append(Match(self.rules[variants[number].rule], fields, number))
        return found

    def _fields(self, number: int, view: View) -> dict[str, Any]:
        """Returns the fields that made a rule fire; for one that fires often by code of its own."""
        note = self._noters.get(number)
        if note is not None:
            fields: dict[str, Any] = {}
            note(view, fields)
            return fields
        node = self._built.variants[number].node
        self._fired[number] += 1
        # The code takes a millisecond to make: for one rule an event, whatever an event makes fire.
        if self._fired[number] >= OFTEN and self._noter_made != self.stats.events:
            self._noter_made = self.stats.events
            self._noters[number] = noter(node)
        return matched_fields(node, view)

    def _set_aside_for(self, number: int, error: Exception) -> None:
        rule = self.rules[self._built.variants[number].rule]
        self.set_aside(rule.id, f"{type(error).__name__}: {error}")

    def set_aside(self, rule_id: str, why: str) -> None:
        """Asks a rule no more; `Stats.faults` tells why."""
        self.stats.faults[rule_id] = why[:300]
        for number, variant in enumerate(self._built.variants):
            if self.rules[variant.rule].id == rule_id:
                self._predicates[number] = None

    def _is_filtered(self, number: int, rule: Rule, view: View) -> bool:
        """Tells whether a filter takes a match away, and counts it."""
        fields = self.fields_at(number, view.event)
        for found, placed in self._filters[rule.id]:
            if placed.holds(fields, view) is False:
                self.stats.filtered[rule.id, found.id] += 1
                self.taken_away.append((rule, found))
                return True
        return False

    def fields_at(self, variant: int, event: Mapping[str, Any]) -> Fields:
        """Returns where the fields of a rule are in an event that this variant of it fired on."""
        if variant < 0:
            return SAME
        chosen = self._built.variants[variant]
        if chosen.plain:
            return SAME
        routed = self._routes.sources.route(event) & chosen.sources or chosen.sources
        # What a rule reads may stand in the same place for all of them, what a filter or a group
        # reads may not: the source that says most about the event knows most of its fields.
        sources = self._built.sources
        return sources[max(routed, key=lambda i: (len(sources[i].where), -i))].fields

    def view(self, event: Mapping[str, Any]) -> View:
        """Returns an event as conditions see it, for those who ask more of a match."""
        return self._view(event)

    def look_again(self) -> None:
        """Forgets of which units and kinds somebody has seen enough."""
        self._routes.look_again()

    def _view(self, event: Mapping[str, Any]) -> View:
        """Keywords are looked for in the sender's line itself where no field holds all of it."""
        if self.mode == "ecs" and "message" not in event:
            original = event.get("event.original")
            if isinstance(original, str) and original[:1] not in ("{", "<", "["):
                return View(event, self._is_searched_or_line)
        return View(event, self._is_searched)

    def _is_searched_or_line(self, key: str) -> bool:
        return key == "event.original" or self._is_searched(key)

    def _is_searched(self, key: str) -> bool:
        """Tells whether keywords are looked for in the values of ``key``."""
        if self.mode == "raw":
            return True
        found = self._searched.get(key)
        if found is None:
            found = not key.startswith(NOT_SEARCHED)
            if len(self._searched) >= 10_000:
                self._searched.clear()
            self._searched[key] = found
        return found


def severity(level: str) -> int:
    """Returns the place of a rule's level, the most severe last; -1 for none."""
    return LEVELS.index(level) if level in LEVELS else -1


def _of_one_slot(built: Built) -> dict[int, Slot]:
    """Returns the only slot that a variant reads, for those that read one."""
    found: dict[int, Slot] = {}
    for number, variant in enumerate(built.variants):
        tests = list(tests_of(variant.node))
        slots = {test.slot for test in tests}
        slot = slots.pop()
        if not slots and slot is not None and all(test.op != "ref" for test in tests):
            found[number] = slot
    return found


def _by_rule(filters: Sequence[Filter]) -> dict[str, list[tuple[Filter, Placed]]]:
    found: dict[str, list[tuple[Filter, Placed]]] = {}
    for each in filters:
        placed = Placed(each.node)
        for rule_id in each.rules:
            found.setdefault(rule_id, []).append((each, placed))
    return found
