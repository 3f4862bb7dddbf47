"""One process or many, restarts and rebalances: the final detections are those of the whole set.

The bus is a list a partition. Detect is its reading and its records without rules; correlate is the
stage itself.
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
import pytest

from detect.correlate import correlator, step
from detect.correlate.correlator import Limits
from detect.correlate.matches import Head, encode, key_of, name_of
from detect.correlate.progress import Reading
from detect.correlate.rule import Base, Correlation
from detect.correlate.step import CorrelateStep
from detect.correlate.telling import stamp
from detect.correlate.window import Match
from samlog.bus.base import EVERY, Message, Record, TopicPartition
from samlog.event import MATCHES
from samlog.testing import FakeClock
from tests.detect.correlate.oracle import SECOND, correlation, meta, reference

EVENTS, PARTITIONS = 6, 3
NOON = 1_700_000_000_000
DAY = 86_400_000


def rules() -> list[Correlation]:
    """One of each type, with and without an upper limit, and one of another."""
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
    above = replace(
        few,
        rule=meta("rule-above"),
        bases=(Base("rule-event_count", {}), Base("rule-temporal", {})),
        bounds=(("gte", 2),),
        span_ms=90 * SECOND,
    )
    return [*made, few, above]


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

    def write(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.topic != MATCHES:
                self.detections.append(orjson.loads(record.value))
                continue
            places: Iterable[int] = [crc32(record.key or b"") % PARTITIONS]
            if record.partition is not None:
                places = range(PARTITIONS) if record.partition == EVERY else [record.partition]
            for place in places:
                log = self.parts[place]
                log.append(Message(MATCHES, place, len(log), record.key, record.value, {}, 0))

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
                )
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
            if rule.rule.id == "rule-above":
                continue
            name = name_of(rule)
            head = Head(name, t, event.id, event.mask, values_of(rule, event), event.stream)
            rest = {"u": "enheda", "e": event.id, "h": "", "i": "i", "l": "", "c": {}, "x": {}}
            yield encode(head, key_of(name, "enheda", [event.group]), rest | {"g": [event.group]})


class Correlate:
    """One correlate process for some partitions, as the loop drives it."""

    def __init__(self, bus: Bus, made: Sequence[Correlation], limits: Limits) -> None:
        self.bus = bus
        self.clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
        engine = SimpleNamespace(built=SimpleNamespace(correlations=made))
        ruleset: Any = SimpleNamespace(engine=engine, label="", overlays=None)
        self.step = CorrelateStep(ruleset, self.clock, limits=limits, finish=True)
        self.at: dict[int, int] = {}

    def own(self, partitions: Iterable[int]) -> None:
        """Takes these partitions over, from what was committed; all state is begun anew."""
        self.step.reset()
        self.at = {p: self.bus.committed.get(p, 0) for p in partitions}

    def work(self, count: int) -> int:
        taken = 0
        self.clock.advance(1.1)
        records = list(self.step.tick(self.clock.now()))
        for p in self.at:
            for message in self.bus.parts[p][self.at[p] : self.at[p] + count]:
                records += self.step.process(message)
                self.at[p] += 1
                taken += 1
        self.finish_batch(records)
        return taken

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
) -> Bus:
    """Plays a whole world to its end."""
    made, dice, bus = made or rules(), random.Random(seed), Bus()
    upper = [Detect(bus, world, made) for _ in range(detects)]
    for p in range(EVENTS):
        upper[p % detects].mine[p] = 0
    lower = [Correlate(bus, made, limits or Limits()) for _ in range(correlates)]
    share(lower, dice)
    while busy := [(d, p) for d in upper for p in d.unread()]:
        detect, partition = dice.choice(busy)
        detect.work(partition, dice.randrange(1, 60))
        if dice.random() < 0.6:
            dice.choice(lower).work(dice.randrange(1, 400))
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


def expected(world: Mapping[int, Sequence[Seen]]) -> set[tuple[Any, ...]]:
    """What the whole set gives by the slow reference, correlations of correlations included."""
    found: set[tuple[Any, ...]] = set()
    events = [event for part in world.values() for event in part]
    made = rules()
    for group in sorted({event.group for event in events}):
        above: list[Match] = []
        for rule in made[:-1]:
            matches = [m for event in events if event.group == group for m in played(rule, event)]
            by_id = {m.id: m for m in matches}
            for slot, last, _ in reference(rule, matches):
                t = by_id[last].t if rule.kind != "temporal_ordered" else slot_time(matches, last)
                found.add((rule.rule.id, group, stamp(t), last))
                if rule.rule.id in ("rule-event_count", "rule-temporal"):
                    place = ["rule-event_count", "rule-temporal"].index(rule.rule.id)
                    above.append(Match(t, 0, f"{rule.kind}{slot}", 1 << place, (last,), b"", 0))
        events_of = {m.id: m for m in above}
        for _, last, _ in reference(made[-1], above):
            match = events_of[last]
            found.add(("rule-above", group, stamp(match.t), match.values[0]))
    return {one for one in found if one[0] not in ("rule-event_count", "rule-temporal")}


def slot_time(matches: Sequence[Match], last: str) -> int:
    return next(m.t for m in matches if m.id == last)


def played(rule: Correlation, event: Seen) -> list[Match]:
    t = min(event.t, event.received + 300 * SECOND)
    values = tuple(values_of(rule, event))
    if rule.kind != "temporal_ordered":
        return [Match(t, 0, event.id, event.mask, values, b"", 0)]
    places = [i for i in range(3) if event.mask >> i & 1]
    return [Match(t, i, event.id, 1 << i, values, b"", 0) for i in places]


@pytest.fixture(autouse=True)
def _small_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "MARK_RECORDS", 16)
    monkeypatch.setattr(correlator, "BUCKET", 2)


def test_one_process_gives_what_the_definition_says() -> None:
    made = world(1, 600)

    bus = run(made, seed=1, detects=1, correlates=1, faults=False)

    assert set(bus.final().values()) == expected(made)


@pytest.mark.parametrize("seed", range(6))
def test_many_processes_with_restarts_give_the_same(seed: int) -> None:
    made = world(seed, 400)
    dice = random.Random(seed)

    bus = run(
        made,
        seed=seed,
        detects=dice.randrange(1, 5),
        correlates=dice.randrange(1, 4),
        faults=True,
    )

    assert set(bus.final().values()) == expected(made)


@pytest.mark.parametrize("seed", range(4))
def test_a_state_that_begins_in_the_middle_of_the_topic_gives_the_same(seed: int) -> None:
    made = world(seed, 1_200, spool=20 * SECOND)
    limits = Limits(lateness_ms=240 * SECOND)

    alone = rules()[:-1]

    bus = run(made, seed=seed, detects=2, correlates=2, faults=True, limits=limits, made=alone)

    assert sum(bus.committed.values()) > 500
    assert bus.late == 0
    silent = ("rule-above", "rule-event_count", "rule-temporal")
    assert {found for found in bus.final().values() if found[0] not in silent} == {
        found for found in expected(made) if found[0] not in silent
    }
