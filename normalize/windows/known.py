"""Flat JSON by its shape: what follows from it is worked out once.

A shape is the names of an object and the types of their values. Shapes are few and repeat, and so
do the values that only tell the kind of an event (provider, channel, event id, level, keywords ..).
So one shape has a `FlatShape`, and each kind within it a `Kind`: the fields that all its events
share, and a plan without the rules for names that are not there. What is left per event are its own
values. 7 us an event instead of 19.

The result is what `normalize.windows.flat.read` and `normalize.windows.mapper.to_ecs` give; only
the order of the fields differs. Which way an object goes is decided by its names and types alone,
never by what was read before, so that a repeat gives the same bytes. What does not suit (nested
values, endless names) goes the plain way. An object of a shape that is new costs 50 us more, and
no more shapes are kept than `MAX_SHAPES`.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple

from normalize.bounded import Bounded
from normalize.windows import flat
from normalize.windows.mapper import EVENT_DATA, Route, begin, finish, route
from normalize.windows.plan import Plan
from normalize.windows.record import EventData, WindowsEvent, text_of
from normalize.windows.system import outcome_of, set_account, set_number
from normalize.windows.times import stamp, utc_ms, zone_of
from samlog.event import Event, RawEvent

Picker = Callable[[tuple[Any, ...]], tuple[Any, ...]]
"""Takes some of an object's values."""
ShapeKey = tuple[tuple[str, ...], tuple[type, ...]]
"""Names in their order, types of their values."""

MAX_SHAPES = 2_048
MAX_KINDS = 4_096
"""Kinds of all shapes; the words of an event's kind have at most `MAX_WORDS` characters."""
MAX_WORDS = 1_024
MAX_NAMES = 128
MAX_CHARS = 4_096
WORDS = frozenset(
    ("EventID", "Channel", "SourceName", "Provider", "EventSourceName", "Level", "EventLevel")
    + ("EventLevelName", "Task", "TaskValue", "Category", "Opcode", "OpcodeValue", "Keywords")
    + ("EventType", "Version")
)
"""Names whose values tell the kind of an event, and what has to be worked out from them."""
NESTED = frozenset(("EventData", "RawEventData", "UserData"))
"""Names whose values are events' parts themselves: left to the plain way."""
NUMBERS = {
    **dict.fromkeys(("ExecutionProcessID", "SystemProcessId", "ProcessID"), "winlog.process.pid"),
    **dict.fromkeys(
        ("ThreadID", "ExecutionThreadID", "SystemThreadId"), "winlog.process.thread.id"
    ),
}
SCALARS = frozenset((str, int, float, bool))


class Kind(NamedTuple):
    """What all events of one kind and shape have in common. They share its lists."""

    constants: Event
    data: EventData
    channel: str
    route: Route
    plan: Plan
    outcome: str


@dataclass(slots=True, eq=False)
class FlatShape:
    """How to read objects of one shape.

    ``words`` tell the kind, ``words_of`` takes their values. ``pick`` takes the others: the first
    ones are EventData under ``names``, all go to ``fields``; those at ``texts`` are no text yet.
    ``numbers`` are names and their fields, ``record`` is the name of the record number or "",
    ``named`` tells that the shipper names the account.
    """

    words: tuple[str, ...]
    words_of: Picker
    pick: Picker
    names: tuple[str, ...]
    fields: tuple[str, ...]
    texts: tuple[int, ...]
    numbers: tuple[tuple[str, str], ...]
    record: str
    tags: bool
    named: bool


KindKey = tuple[FlatShape, tuple[Any, ...]]
"""A shape and the values of its words."""


def parse(obj: Mapping[str, Any], raw: RawEvent) -> Event | None:
    """Returns the document of a flat object, None where it is to be read the plain way."""
    values = tuple(obj.values())
    shape = SHAPES[tuple(obj), tuple(map(type, values))]
    if shape is None:
        return None
    kind = KINDS[shape, shape.words_of(values)]
    out = kind.constants.copy()
    picked: Sequence[Any] = shape.pick(values)
    if shape.texts:
        picked = list(picked)
        for at in shape.texts:
            picked[at] = text_of(picked[at])
    data: EventData = dict(zip(shape.names, picked, strict=False))
    out.update(zip(shape.fields, picked, strict=True))
    if kind.data:
        data.update(kind.data)
    for name, field in shape.numbers:
        set_number(out, field, obj[name])
    if shape.record:
        out["winlog.record_id"] = str(obj[shape.record])
    if shape.tags:
        out["tags"] = flat.tags_of(obj["tags"])
    if not shape.named:
        set_account(out)
    raw.settled = len(out)
    kind.plan.run(out, data)
    if kind.outcome and "event.outcome" not in out:
        out["event.outcome"] = kind.outcome
    utc = data.get("UtcTime") if kind.route.is_sysmon else None
    instant = utc_ms(utc) if type(utc) is str else ""
    out["@timestamp"] = (
        instant or flat.time_of(obj, zone_of(raw.tz)) or stamp(raw.timestamp or raw.received_at)
    )
    finish(out, kind.route, kind.channel)
    return out


def compile_shape(key: ShapeKey) -> FlatShape | None:
    """Returns how to read objects of a shape, None where they are no case for it."""
    names, types = key
    if len(names) > MAX_NAMES or sum(map(len, names)) > MAX_CHARS:
        return None
    there = {name: kind for name, kind in zip(names, types, strict=True) if kind is not NoneType}
    words = tuple(name for name in names if name in WORDS)
    data = [name for name in there if _is_data(name, there[name], names)]
    numbers = [name for name in there if name in NUMBERS and not _is_data(name, there[name], names)]
    records = [name for name in there if name in flat.RECORDS]
    elsewhere = {*words, *data, *numbers, *records, "tags"}
    system = [name for name in there if name not in elsewhere]
    doubled = {name.replace(" ", ""): name for name in reversed(data) if " " in name}
    plain = {*words, *(name for name in system if name in flat.SHIPPER)} & there.keys()
    if (
        not NESTED.isdisjoint(there)
        or not SCALARS.issuperset(there[name] for name in plain)
        or not doubled.keys().isdisjoint(flat.TAKEN)
    ):
        return None
    doubled = {name: source for name, source in doubled.items() if name not in there}
    place = {name: at for at, name in enumerate(names)}
    picked = [*data, *doubled.values(), *system]
    data += doubled
    return FlatShape(
        words=words,
        words_of=_picker([place[name] for name in words]),
        pick=_picker([place[name] for name in picked]),
        names=tuple(data),
        fields=(*(EVENT_DATA[name] for name in data), *map(_field, system)),
        texts=tuple(
            at for at, name in enumerate(picked) if there[name] is not str and name not in plain
        ),
        numbers=tuple((name, NUMBERS[name]) for name in numbers),
        record=records[-1] if records else "",
        tags="tags" in there,
        named="winlog.user.name" in map(_field, system),
    )


SHAPES: Bounded[ShapeKey, FlatShape | None] = Bounded(
    compile_shape,
    MAX_SHAPES,
    lambda key: len(key[0]) <= MAX_NAMES and sum(map(len, key[0])) <= MAX_CHARS,
)


def _is_data(name: str, kind: type, names: Container[str]) -> bool:
    """Tells whether a name is EventData's, as `flat.TAKEN` decides it for each value."""
    if name in flat.ACCOUNT:
        return "UserID" not in names
    if name == "ProcessID":
        return kind is not int or "ExecutionProcessID" in names
    return name not in flat.TAKEN


def _field(name: str) -> str:
    return flat.COPIED.get(name) or flat.ACCOUNT.get(name) or "winlog.shipper." + name


def _picker(places: Sequence[int]) -> Picker:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


def _fits(key: KindKey) -> bool:
    return sum(len(value) for value in key[1] if type(value) is str) <= MAX_WORDS


def _kind(key: KindKey) -> Kind:
    """Reads what tells the kind of an event as if there were nothing else."""
    shape, values = key
    event = WindowsEvent()
    obj = dict(zip(shape.words, values, strict=True))
    flat.take_all(event, obj)
    flat.name_kind(event, obj)
    out = event.out
    way = route(event.channel, event.provider, event.code)
    begin(out, event.data, way)
    outcome = outcome_of(out)
    plan = way.plan.only({*shape.names, *event.data})
    return Kind(out, event.data, event.channel, way, plan, outcome)


KINDS: Bounded[KindKey, Kind] = Bounded(_kind, MAX_KINDS, _fits)
