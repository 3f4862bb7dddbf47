"""What one correlation may keep, what is late, and what the stage says of both."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from detect.correlate.correlator import Correlator, Limits
from detect.correlate.matches import Head, encode, name_of
from detect.correlate.progress import Reading, Upstream
from detect.correlate.step import CorrelateStep
from detect.correlate.telling import stamp
from samlog.bus.base import Message
from samlog.errors import BadEvent
from samlog.event import MATCHES
from samlog.testing import FakeClock
from tests.detect.correlate.oracle import SECOND, correlation, match

NOON = 1_700_000_000_000


def test_a_hundred_thousand_groups_are_kept_apart() -> None:
    rule = correlation(bounds=(("gte", 2),))
    correlator = Correlator(Limits())
    for i in range(100_000):
        assert not correlator.add(b"%d" % i, rule, match(i, f"e{i}"), "s")

    (told,) = correlator.add(b"7", rule, match(8, "again"), "s")

    assert told.firing.total == 2
    assert len(correlator.groups) == 100_000
    assert not correlator.counts.evicted


def test_groups_beyond_the_limit_forget_the_quietest_and_count_them() -> None:
    rule = correlation()
    correlator = Correlator(Limits(groups=100))
    for i in range(150):
        correlator.add(b"%d" % i, rule, match(i, f"e{i}"), "s")

    assert len(correlator.groups) <= 100
    assert correlator.counts.evicted[rule.rule.id] == 150 - len(correlator.groups)
    assert b"149" in correlator.groups


def test_one_group_beyond_its_limit_forgets_its_oldest_tenth() -> None:
    rule = correlation(bounds=(("gte", 10**6),), span_ms=10**6)
    correlator = Correlator(Limits(matches_per_group=100))
    for i in range(150):
        correlator.add(b"a", rule, match(i, f"e{i}"), "s")

    assert len(correlator.groups[b"a"].log) <= 100
    assert correlator.counts.evicted[rule.rule.id] == 150 - len(correlator.groups[b"a"].log)


def test_what_is_kept_is_let_go_behind_the_lateness() -> None:
    rule = correlation()
    correlator = Correlator(Limits(lateness_ms=60 * SECOND))
    for i in range(1_000):
        correlator.add(b"a", rule, match(i * SECOND, f"e{i}"), "s")
        correlator.advance(i * SECOND)

    assert len(correlator.groups[b"a"].log) < 200
    correlator.advance(10_000 * SECOND)
    assert correlator.groups == {}
    assert correlator.oldest_offset() is None


def test_only_what_is_behind_the_stated_lateness_is_late_and_named_by_its_stream() -> None:
    rule = correlation()
    correlator = Correlator(Limits(lateness_ms=60 * SECOND))
    correlator.advance(NOON)

    correlator.add(b"a", rule, match(NOON - 60 * SECOND, "in time"), "host-1")
    correlator.add(b"a", rule, match(NOON - 61 * SECOND, "late"), "host-2")

    assert correlator.counts.late == {"host-2": 1}
    assert correlator.counts.matches == 1


@pytest.fixture
def step() -> CorrelateStep:
    engine = SimpleNamespace(built=SimpleNamespace(correlations=[correlation()]))
    rules: Any = SimpleNamespace(engine=engine, label="", overlays=None)
    return CorrelateStep(rules, FakeClock(datetime(2026, 1, 1, tzinfo=UTC)))


def message(value: bytes, offset: int = 0) -> Message:
    return Message(MATCHES, 0, offset, b"k", value, {}, 0)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"[1]\n{}",
        b"nonsense\n{}",
        b'{"p": 0}',
        b'{"p": [], "n": 1, "w": 1, "top": 1}',
        b'{"gone": "x"}',
        b'{"gone": "x", "from": "y", "to": 1}',
    ],
)
def test_a_record_that_is_no_match_is_a_dead_letter(step: CorrelateStep, value: bytes) -> None:
    with pytest.raises(BadEvent, match="match_not_json"):
        list(step.process(message(value)))


def test_a_match_of_a_rule_that_nobody_knows_is_kept_for_a_newer_rule_set(
    step: CorrelateStep,
) -> None:
    newer = correlation(bounds=(("gte", 1),))
    rest = {"u": "enheda", "e": "e1", "h": "", "i": "i", "l": "", "c": {}, "g": ["a"], "x": {}}
    record = encode(Head(name_of(newer), NOON, "e1", 1, [], "s"), b"k", rest)
    assert list(step.process(message(record.value))) == []

    engine = SimpleNamespace(built=SimpleNamespace(correlations=[newer]))
    rules: Any = SimpleNamespace(engine=engine, label="", overlays=None)
    step.swap(rules)
    step._clock.advance(2)  # type: ignore[attr-defined]

    (found,) = step.tick(step._clock.now())
    assert orjson.loads(found.value)["correlation"]["state"] == "provisional"


def progress(*parts: tuple[int, int | None]) -> int:
    upstream = Upstream()
    told = [upstream.take({"p": p, "n": 2, "w": w, "top": 100}) for p, w in parts]
    return told[-1]


def test_the_watermark_waits_for_every_partition_and_not_for_idle_ones() -> None:
    assert progress((0, 50)) < 0
    assert progress((0, 50), (1, 40)) == 40
    assert progress((0, 50), (1, None)) == 50
    assert progress((0, None), (1, None)) == 100


def read(reading: Reading, stream: str, t: int, appended: int, **extra: Any) -> None:
    reading.note(0, stream, {"@timestamp": stamp(t), **extra}, appended)


def told(reading: Reading, now_s: float) -> Sequence[Any]:
    reading.watch([0], {0: 5}, now_s)
    return [orjson.loads(record.value)["w"] for record in reading.records(now_s)]


def test_the_slowest_stream_holds_a_partition_until_it_is_silent_for_a_minute() -> None:
    reading = Reading()
    read(reading, "slow", NOON - 3_600_000, NOON)
    read(reading, "fast", NOON, NOON)
    assert told(reading, 10) == [NOON - 3_600_000 - 60_000]

    read(reading, "fast", NOON + 61_000, NOON + 61_000)
    assert told(reading, 20) == [NOON + 1_000]


def test_a_clock_that_is_ahead_is_waited_for_by_nobody() -> None:
    reading = Reading()
    read(reading, "good", NOON, NOON)
    year_2099 = NOON + 75 * 365 * 86_400_000
    read(reading, "ahead", year_2099, NOON, **{"samlog.received": stamp(NOON)})

    assert told(reading, 10) == [NOON - 60_000]


def spoken(reading: Reading, now_s: float, *, unread: int = 0) -> int:
    reading.watch([0], {0: unread}, now_s)
    return len(list(reading.records(now_s)))


def test_a_partition_in_which_events_come_is_not_idle_though_none_is_unread() -> None:
    reading = Reading()
    for second in range(0, 200, 5):
        read(reading, "host", NOON + second * SECOND, NOON + second * SECOND)
        reading.watch([0], {0: 0}, 1_000.0 + second)
        (record,) = reading.records(1_000.0 + second)
        assert orjson.loads(record.value)["w"] is not None

    reading.watch([0], {0: 0}, 1_300.0)
    (record,) = reading.records(1_300.0)
    assert orjson.loads(record.value)["w"] is None


def test_every_event_has_a_word_and_a_word_without_an_event_is_repeated_seldom() -> None:
    reading = Reading()
    read(reading, "host", NOON, NOON)
    assert [spoken(reading, 10.0), spoken(reading, 12.0)] == [1, 0]

    read(reading, "host", NOON - SECOND, NOON)
    assert [spoken(reading, 14.0), spoken(reading, 16.0)] == [1, 0]
    assert sum(spoken(reading, 20.0 + i) for i in range(120)) == 4


def test_the_end_of_the_input_is_told_once() -> None:
    reading = Reading()
    read(reading, "host", NOON, NOON)
    reading.watch([0], {0: 0}, 10.0)

    told = [len(list(reading.records(10.0 + i, ended=True))) for i in range(60)]

    assert told == [1, *[0] * 59]


def test_a_mark_hands_on_what_partitions_told_that_are_silent_since() -> None:
    before, after = Upstream(), Upstream()
    for partition, w in ((0, 50), (1, None), (2, 70)):
        before.take({"p": partition, "n": 3, "w": w, "top": 90})

    after.join(before.known())

    assert after.watermark() == before.watermark() == 50
    assert after.take({"p": 0, "n": 3, "w": 60, "top": 90}) == 60
