"""A bus of lists, and processes on it.

Detect is its reading and its records without rules; correlate is the stage itself, driven as the
loop does.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import orjson

from detect.correlate.correlator import Limits
from detect.correlate.matches import Head, encode, key_of, name_of
from detect.correlate.progress import Reading
from detect.correlate.rule import Base, Correlation
from detect.correlate.step import CorrelateStep
from detect.correlate.telling import stamp
from samlog.bus.base import EVERY, Message, Record, TopicPartition
from samlog.event import MATCHES
from samlog.testing import FakeClock
from tests.detect.correlate.oracle import SECOND, correlation, meta

EVENTS, PARTITIONS = 6, 3
NOON = 1_700_000_000_000
DAY = 86_400_000


def rules() -> list[Correlation]:
    """One of each type, with and without an upper limit, and at the end two of others.

    The last but one groups by what only the event has at which the one below fires.
    """
    bounds: Mapping[str, Any] = {
        "event_count": (("gte", 4),),
        "value_count": (("gte", 3),),
        "temporal": (("gte", 3),),
        "temporal_ordered": (("gte", 3),),
        "value_sum": (("gt", 12),),
        "value_avg": (("gte", 4),),
        "value_percentile": (("gte", 5),),
        "value_median": (("gt", 2), ("lte", 3)),
    }
    made = [
        correlation(kind, rule=meta(f"rule-{kind}"), rules=3, bounds=bound, span_ms=20 * SECOND)
        for kind, bound in bounds.items()
    ]
    few = correlation(rule=meta("rule-few"), rules=3, bounds=(("lt", 3),), span_ms=20 * SECOND)
    made[1] = replace(made[1], carried=("host",))
    wide = replace(
        few,
        rule=meta("rule-wide"),
        bases=(Base("rule-value_count", {}),),
        group_by=("host",),
        bounds=(("gte", 2),),
        span_ms=90 * SECOND,
        below_ms=60 * SECOND,
    )
    above = replace(
        few,
        rule=meta("rule-above"),
        bases=(Base("rule-event_count", {}), Base("rule-temporal", {})),
        bounds=(("gte", 2),),
        span_ms=90 * SECOND,
        below_ms=60 * SECOND,
    )
    return [*made, few, wide, above]


@dataclass(frozen=True)
class Seen:
    """An event as detect sees it: a stream of one partition, bases that fire, a group, a value."""

    stream: str
    t: int
    id: str
    mask: int
    group: str
    value: int
    appended: int
    received: int


def world(seed: int, size: int, *, spool: int = DAY) -> dict[int, list[Seen]]:
    """Events by partition: 5 % out of order, a stream with a spool, a clock that is ahead."""
    dice = random.Random(seed)
    found: dict[int, list[Seen]] = defaultdict(list)
    streams = [f"host-{i}" for i in range(10)]
    for i in range(size):
        stream = dice.choice(streams)
        now = NOON + i * 700
        t = now
        if stream == "host-1":
            t = now - spool
        elif dice.random() < 0.05:
            t = now - dice.randrange(50 * SECOND)
        if stream == "host-2":
            t = now + 70 * 365 * DAY
        event = Seen(
            stream,
            t,
            f"e{i:05}",
            dice.randrange(1, 8),
            f"g{dice.randrange(4)}",
            dice.randrange(7),
            now,
            now,
        )
        found[crc32(stream.encode()) % EVENTS].append(event)
    return found


def values_of(rule: Correlation, event: Seen) -> list[Any]:
    if rule.kind == "value_count":
        return [str(event.value)]
    return [event.value] if rule.fields else []


@dataclass
class Bus:
    """Partitions of ``samlog.matches`` and what was detected, in order."""

    parts: list[list[Message]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    committed: dict[int, int] = field(default_factory=dict)
    detections: list[dict[str, Any]] = field(default_factory=list)
    late: int = 0
    ms: int = NOON

    def write(self, records: Iterable[Record]) -> None:
        for record in records:
            self.ms += 7
            if record.topic != MATCHES:
                self.detections.append(orjson.loads(record.value))
                continue
            places: Iterable[int] = [crc32(record.key or b"") % PARTITIONS]
            if record.partition is not None:
                places = range(PARTITIONS) if record.partition == EVERY else [record.partition]
            for place in places:
                log = self.parts[place]
                log.append(Message(MATCHES, place, len(log), record.key, record.value, {}, self.ms))

    def final(self) -> dict[str, tuple[Any, ...]]:
        """The last word on each detection that stands."""
        stands: dict[str, tuple[Any, ...]] = {}
        for found in self.detections:
            about = found["correlation"]
            if about["state"] == "withdrawn":
                stands.pop(found["id"], None)
            elif about["state"] == "final":
                stands[found["id"]] = (
                    found["rule"]["id"],
                    found["context"]["samlog.group"],
                    found["timestamp"],
                    found["event_id"],
                    about["count"],
                )
            else:
                stands[found["id"]] = ("not final", found["rule"]["id"], found["timestamp"])
        return stands


class Detect:
    """One detect process for some partitions of events."""

    def __init__(self, bus: Bus, world: Mapping[int, Sequence[Seen]], made: Sequence[Correlation]):
        self.bus, self.world, self.rules = bus, world, made
        self.mine: dict[int, int] = {}
        self.reading = Reading()
        self.now = 0.0

    def unread(self) -> list[int]:
        return [p for p, n in self.mine.items() if n < len(self.world.get(p, ()))]

    def work(self, partition: int, count: int) -> None:
        start = self.mine[partition]
        for event in self.world[partition][start : start + count]:
            about = {"@timestamp": stamp(event.t), "samlog.received": stamp(event.received)}
            self.reading.note(partition, event.stream, about, event.appended)
            self.bus.write(self.records(event))
        self.mine[partition] = start + count
        self.tell()

    def tell(self, *, ended: bool = False) -> None:
        behind = dict.fromkeys(range(EVENTS), 0)
        behind |= {p: len(self.world.get(p, ())) - n for p, n in self.mine.items()}
        self.now += 1.5
        self.reading.watch(self.mine, behind, self.now)
        self.bus.write(self.reading.records(self.now, ended=ended))

    def records(self, event: Seen) -> Iterable[Record]:
        t = min(event.t, event.received + 300 * SECOND)
        for rule in self.rules:
            if rule.rule.id in ("rule-above", "rule-wide"):
                continue
            name = name_of(rule)
            head = Head(name, t, event.id, event.mask, values_of(rule, event), event.stream)
            rest: dict[str, Any] = {
                "u": "enheda",
                "e": event.id,
                "h": "",
                "i": "i",
                "l": "",
                "c": {},
            }
            rest["x"] = {"host": [event.stream]}
            yield encode(head, key_of(name, "enheda", [event.group]), rest | {"g": [event.group]})


class Correlate:
    """One correlate process for some partitions, as the loop drives it."""

    def __init__(
        self, bus: Bus, made: Sequence[Correlation], limits: Limits, finish: bool = True
    ) -> None:
        self.bus = bus
        self.clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
        engine = SimpleNamespace(built=SimpleNamespace(correlations=made))
        ruleset: Any = SimpleNamespace(engine=engine, label="", overlays=None)
        self.step = CorrelateStep(ruleset, self.clock, limits=limits, finish=finish)
        self.at: dict[int, int] = {}

    def own(self, partitions: Iterable[int]) -> None:
        """Takes these partitions over, from what was committed; all state is begun anew."""
        self.step.reset()
        self.at = {p: self.bus.committed.get(p, 0) for p in partitions}

    def work(self, count: int, *, seconds: float = 1.1, dies: float = 2.0) -> int:
        """``dies``: the part of what it writes after which it is killed, above 1: it lives."""
        taken = 0
        self.clock.advance(seconds)
        self.watch()
        records = list(self.step.tick(self.clock.now()))
        for p in self.at:
            for message in self.bus.parts[p][self.at[p] : self.at[p] + count]:
                records += self.step.process(message)
                self.at[p] += 1
                taken += 1
        if dies < 1:
            self.bus.write(records[: int(len(records) * dies)])
            self.own(self.at)
        else:
            self.finish_batch(records)
        return taken

    def watch(self) -> None:
        parts = self.bus.parts
        unread = {TopicPartition(MATCHES, p): len(parts[p]) - n for p, n in self.at.items()}
        self.step.watch(frozenset(unread), unread)

    def finish_batch(self, records: Iterable[Record]) -> None:
        self.bus.write(records)
        held = self.step.held()
        for p, n in self.at.items():
            self.bus.committed[p] = min(n, held.get(TopicPartition(MATCHES, p), n))

    def end(self) -> bool:
        records = list(self.step.flush())
        self.finish_batch(records)
        return not records


def run(
    world: Mapping[int, Sequence[Seen]],
    *,
    seed: int,
    detects: int,
    correlates: int,
    faults: bool,
    limits: Limits | None = None,
    made: Sequence[Correlation] = (),
    finish: bool = True,
    backlog: bool = False,
) -> Bus:
    """Plays a whole world to its end. ``backlog``: detect has ended when correlate begins."""
    made, dice, bus = made or rules(), random.Random(seed), Bus()
    upper = [Detect(bus, world, made) for _ in range(detects)]
    for p in range(EVENTS):
        upper[p % detects].mine[p] = 0
    lower = [Correlate(bus, made, limits or Limits(), finish) for _ in range(correlates)]
    share(lower, dice)
    while busy := [(d, p) for d in upper for p in d.unread()]:
        detect, partition = dice.choice(busy)
        detect.work(partition, dice.randrange(1, 60))
        if not backlog and dice.random() < 0.6:
            dies = dice.random() * 20 if faults else 2.0
            seconds = dice.choice((0.1, 1.1, 3.0))
            dice.choice(lower).work(dice.randrange(1, 400), seconds=seconds, dies=dies)
        if faults and dice.random() < 0.05:
            share(lower, dice)
        if faults and dice.random() < 0.05:
            again, p = dice.choice([(d, p) for d in upper for p in d.mine])
            again.reading.reset()
            again.mine[p] = max(0, again.mine[p] - dice.randrange(30))
    for detect in upper:
        detect.tell(ended=True)
    while True:
        taken = sum(one.work(500) for one in lower)
        resting = [one.end() for one in lower]
        if not taken and all(resting):
            bus.late = sum(int(one.step.figures()["late"]) for one in lower)
            return bus


def share(lower: Sequence[Correlate], dice: random.Random) -> None:
    """A rebalance, or a process that was killed and began again."""
    owners = [dice.choice(lower) for _ in range(PARTITIONS)]
    for one in lower:
        one.own([p for p, owner in enumerate(owners) if owner is one])
