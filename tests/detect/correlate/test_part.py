"""What a partition of ``samlog.matches`` tells is a function of its records and of nothing else."""

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from detect.correlate import correlator, part
from detect.correlate.control import SETTLE, control_record
from detect.correlate.correlator import Limits
from detect.correlate.matches import Head, encode, key_of, name_of
from detect.correlate.rule import Correlation
from detect.correlate.step import CorrelateStep
from samlog.bus.base import Message, Record, TopicPartition
from samlog.event import MATCHES
from samlog.testing import FakeClock
from tests.detect.correlate.oracle import SECOND, correlation
from tests.detect.correlate.workers import DAY, NOON, Bus, rules, run, world

Word = tuple[Any, ...]


@pytest.fixture(autouse=True)
def _small_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "MARK_RECORDS", 16)
    monkeypatch.setattr(correlator, "BUCKET", 2)


class Reader:
    """A correlate process that reads a partition as somebody else left it."""

    def __init__(self, made: Sequence[Correlation], limits: Limits | None = None) -> None:
        self.clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
        engine = SimpleNamespace(built=SimpleNamespace(correlations=made))
        ruleset: Any = SimpleNamespace(engine=engine, label="", overlays=None)
        self.step = CorrelateStep(ruleset, self.clock, limits=limits)

    def read(self, messages: Iterable[Message]) -> list[Record]:
        return [record for message in messages for record in self.step.process(message)]

    def tick(self, seconds: float, unread: int = 0) -> list[Record]:
        self.clock.advance(seconds)
        parts = {TopicPartition(MATCHES, 0): unread}
        self.step.watch(frozenset(parts), parts)
        return list(self.step.tick(self.clock.now()))


def words(records: Iterable[Record]) -> list[Word]:
    """What is told of firings: all of it but the time of the day."""
    found = []
    for record in records:
        if record.topic != MATCHES:
            word = orjson.loads(record.value)
            about = word["correlation"]
            found.append((tuple(about["word"]), word["id"], about["state"], about["count"]))
    return found


def told_by(bus: Bus, number: int) -> list[Word]:
    made = [orjson.dumps(found) for found in bus.detections]
    return [w for w in words(Record("", value) for value in made) if w[0][0] == number]


@pytest.mark.parametrize("seed", range(3))
def test_whoever_reads_it_again_tells_the_same_at_the_same_records(seed: int) -> None:
    bus = run(world(seed, 300), seed=seed, detects=2, correlates=1, faults=False, finish=False)
    dice = random.Random(seed)

    for number, log in enumerate(bus.parts):
        again = Reader(rules())
        said: list[Record] = []
        for message in log:
            said += again.read([message])
            if dice.random() < 0.1:
                said += again.tick(dice.choice((0.5, 1.5, 9.0)))
        assert words(said) == told_by(bus, number)
        assert len(said) > 50


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_who_begins_at_a_commit_tells_what_follows_its_mark_and_nothing_else(
    seed: int, chained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "_HOUR_MS", SECOND)
    limits = Limits(lateness_ms=60 * SECOND)
    made = rules() if chained else rules()[:-2]
    bus = run(
        world(seed, 900, spool=20 * SECOND),
        seed=seed,
        detects=1,
        correlates=1,
        faults=False,
        limits=limits,
        made=made,
        finish=False,
    )
    begun = 0
    for number, log in enumerate(bus.parts):
        marks = [orjson.loads(m.value) for m in log if m.value.startswith(b'{"base"')]
        for mark in marks[:: max(1, len(marks) // 3)]:
            said = words(Reader(made, limits).read(log[mark["base"] :]))
            assert said == [word for word in told_by(bus, number) if word[0][1] >= mark["at"]]
            begun += 1
    assert begun >= 6


RULE = correlation(bounds=(("gte", 2),))


class Log:
    """One partition, written by hand."""

    def __init__(self, first: int = 0) -> None:
        self.messages: list[Message] = []
        self.first = first

    def add(self, record: Record, appended_ms: int = 0) -> "Log":
        offset = self.first + len(self.messages)
        found = Message(MATCHES, 0, offset, record.key, record.value, {}, appended_ms)
        self.messages.append(found)
        return self

    def match(self, t: int, id_: str, rule: Correlation = RULE, unit: str = "enheda") -> "Log":
        rest = {"u": unit, "e": id_, "h": "", "i": f"logs-x-{unit}", "l": "", "c": {}, "x": {}}
        owner = "" if rule.shared else unit
        head = Head(name_of(rule), NOON + t, id_, 1, [], "host")
        return self.add(encode(head, key_of(name_of(rule), owner, ["a"]), rest | {"g": ["a"]}))

    def progress(self, t: int, appended_ms: int = 0) -> "Log":
        told = {"p": 0, "n": 1, "w": NOON + t, "top": NOON + t}
        return self.add(control_record(told), appended_ms)


def states(records: Iterable[Record]) -> list[tuple[str, int]]:
    return [(state, count) for _, _, state, count in words(records)]


def test_what_changed_behind_the_last_control_record_is_settled_by_a_record_of_our_own() -> None:
    reader = Reader([RULE])
    log = Log().progress(0).match(0, "e0").match(3 * SECOND, "e1")
    assert states(reader.read(log.messages)) == [("provisional", 2)]
    reader.read(log.match(SECOND, "between").messages[3:])

    assert reader.tick(1.0) == []
    (asked,) = reader.tick(1.5)
    assert (asked.value, asked.partition) == (SETTLE, 0)
    assert reader.tick(5.0) == [], "one is on its way"

    log.add(asked)
    assert states(reader.read(log.messages[4:])) == [("provisional", 2)]
    assert reader.tick(5.0) == []


def test_a_watermark_that_comes_twice_in_a_second_is_not_forgotten() -> None:
    reader = Reader([RULE])
    log = Log().match(0, "e0").match(SECOND, "e1").progress(0, 7_000)
    log.progress(3_600 * SECOND, 7_900)
    assert states(reader.read(log.messages)) == [("provisional", 2)]

    (asked,) = reader.tick(2.5)

    assert states(reader.read(log.add(asked).messages[4:])) == [("final", 2)]


def test_the_last_word_has_the_number_of_matches_until_the_end_of_the_slot() -> None:
    reader = Reader([RULE])
    log = Log().match(0, "e0").match(SECOND, "e1").match(2 * SECOND, "e2")
    told = reader.read(log.progress(2 * SECOND, 1_000).messages)
    told += reader.read(log.progress(DAY, 2_000).messages[4:])
    assert states(told) == [("provisional", 2), ("final", 2), ("final", 3)]

    late = log.match(3 * SECOND, "e3").match(500, "e4").progress(DAY, 3_000).messages[5:]
    assert states(reader.read(late)) == [("final", 5)]


def test_it_does_not_matter_for_the_number_whether_matches_come_before_or_behind_the_slot() -> None:
    times = {"e0": 0, "e1": SECOND, "e2": 4 * SECOND, "e3": 2 * SECOND, "e4": 9 * SECOND}
    early, late = Log(), Log()
    for id_, t in times.items():
        early.match(t, id_)
        late.match(t, id_).progress(DAY, t)
    early.progress(DAY, 1_000)
    late.progress(DAY, DAY)

    last = [states(Reader([RULE]).read(log.messages))[-1] for log in (early, late)]

    assert last == [("final", 5), ("final", 5)]


def test_a_state_whose_mark_was_deleted_goes_on_when_the_topic_is_read_to_its_end() -> None:
    reader = Reader([RULE])
    log = Log(first=500).match(0, "e0").match(SECOND, "e1")
    assert reader.read(log.messages) == []
    reader.tick(5.0, unread=1)
    assert states(reader.tick(5.0, unread=1)) == []

    reader.read(log.match(2 * SECOND, "e2").messages[2:])

    assert states(reader.tick(5.0, unread=0)) == [("provisional", 2)]


def test_a_record_that_is_no_match_is_refused_also_while_a_mark_is_waited_for() -> None:
    reader = Reader([RULE])
    head = orjson.dumps(["x", "no time", "e", 1, [], "s"]) + b"\n{}"

    for value in (b'{"gone": 1}', head, b"[1]\n{}", b"{"):
        with pytest.raises(Exception, match="match_not_json"):
            reader.read([Message(MATCHES, 0, 7, b"k", value, {}, 0)])


def test_a_firing_over_all_units_is_told_to_none_of_them_and_always_in_one_place() -> None:
    shared = correlation(bounds=(("gte", 2),), shared=True)
    reader = Reader([shared])
    log = Log().progress(0).match(0, "e0", shared, "enheda")
    log.match(3 * SECOND, "e1", shared, "enhedb")
    log.match(SECOND, "e2", shared, "enheda").progress(DAY, 9_000)

    records = [r for r in reader.read(log.messages) if r.topic != MATCHES]

    told = [orjson.loads(record.value) for record in records]
    assert [one["event_id"] for one in told] == ["e1", "e2"]
    assert {one["unit"] for one in told} == {"samlog"}
    assert {record.key for record in records} == {b"samlog"}
    assert told[0]["correlation"]["units"] == ["enheda", "enhedb"]
    assert told[-1]["correlation"]["units"] == ["enheda"]


def test_what_correlations_tell_others_counts_and_is_kept_by_the_time_of_the_bus() -> None:
    above = correlation(bounds=(("gte", 1),), below_ms=60 * SECOND)
    reader = Reader([above], Limits(lateness_ms=60 * SECOND))
    name, hour = name_of(above), 3_600 * SECOND

    def fired(t: int, id_: str) -> Record:
        rest = {"u": "enheda", "e": id_, "h": "", "i": "i", "l": "", "c": {}, "x": {}, "g": ["a"]}
        stream = f"samlog.correlate {NOON + t} {NOON + t + 9_999}"
        return encode(Head(name, NOON + t, id_, 1, [], stream), key_of(name, "enheda", ["a"]), rest)

    log = Log().progress(0, 0).progress(DAY, 30 * hour)
    log.add(fired(hour, "told behind the watermark")).add(fired(-hour, "told long ago"))
    assert states(reader.read(log.messages)) == [("final", 1)]
    assert reader.step.figures()["late"] == 0

    reader.read(log.progress(2 * DAY, 60 * hour).messages[4:])
    assert reader.step.figures()["groups"] == 0
