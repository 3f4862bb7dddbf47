"""What the embedded bus deletes, and what it keeps though it is old."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from samlog.bus import EmbeddedBus, Retention
from samlog.bus.base import Gap, Record, TopicPartition
from samlog.errors import BusError
from samlog.testing import FakeClock

TOPIC = "samlog.test"
TP = TopicPartition(TOPIC, 0)
DAY_S = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def open_bus(path: Path, clock: FakeClock, **retention: Retention) -> EmbeddedBus:
    limits = {prefix.replace("_", "."): limit for prefix, limit in retention.items()}
    bus = EmbeddedBus(path, clock=clock, retention=limits, reserve_bytes=0)
    bus.create_topics([TOPIC])
    return bus


def append(bus: EmbeddedBus, count: int, *, size: int = 10, topic: str = TOPIC) -> None:
    producer = bus.producer("test")
    for _ in range(count):
        producer.send(Record(topic, os.urandom(size)))
    producer.close()


def test_records_older_than_the_limit_are_deleted_and_younger_ones_stay(
    tmp_path: Path, clock: FakeClock
) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    append(bus, 30)
    clock.advance(DAY_S)
    append(bus, 5)
    clock.advance(1)

    deleted = bus.apply_retention()

    assert deleted == {TOPIC: 30}
    assert bus.lag("nobody", [TOPIC]) == {TP: 5}
    assert bus.end_offsets([TOPIC]) == {TP: 35}


def test_records_of_one_block_are_deleted_one_by_one(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock)
    append(bus, 30)

    bus.delete_before({TP: 7})
    bus.delete_before({TP: 12})
    clock.advance(8 * DAY_S)

    assert bus.lag("nobody", [TOPIC]) == {TP: 18}
    assert bus.apply_retention() == {TOPIC: 18}


def test_a_record_exactly_as_old_as_the_limit_stays(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    append(bus, 3)
    clock.advance(DAY_S)

    assert bus.apply_retention() == {}


def test_more_records_than_one_transaction_holds_are_deleted_in_one_call(
    tmp_path: Path, clock: FakeClock
) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    append(bus, 10_000)
    clock.advance(2 * DAY_S)

    assert bus.apply_retention() == {TOPIC: 10_000}


def test_a_topic_over_its_size_loses_its_oldest_records_and_gives_the_space_back(
    tmp_path: Path, clock: FakeClock
) -> None:
    limit = Retention(max_age_s=None, max_bytes=4_000_000)
    bus = open_bus(tmp_path, clock, samlog=limit)
    append(bus, 5_000, size=2_000)
    file = tmp_path / "bus" / f"{TOPIC}.sqlite"
    before = file.stat().st_size

    deleted = bus.apply_retention()[TOPIC]

    assert 2_500 <= deleted < 5_000
    assert file.stat().st_size < before * 0.85


def test_without_limits_nothing_is_deleted(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=None))
    append(bus, 5)
    clock.advance(1_000 * DAY_S)

    assert bus.apply_retention() == {}


def test_the_longest_prefix_that_fits_decides(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(
        tmp_path,
        clock,
        samlog=Retention(max_age_s=DAY_S),
        samlog_raw=Retention(max_age_s=3 * DAY_S),
    )
    bus.create_topics(["samlog.raw.enheda"])
    append(bus, 1)
    append(bus, 1, topic="samlog.raw.enheda")
    clock.advance(2 * DAY_S)

    assert bus.apply_retention() == {TOPIC: 1}


def test_what_a_known_group_has_not_committed_is_kept(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    append(bus, 10)
    consumer = bus.consumer("slow", [TOPIC])
    consumer.poll()
    consumer.commit({TP: 4})
    clock.advance(2 * DAY_S)

    assert bus.apply_retention() == {TOPIC: 4}
    consumer.seek({TP: 4})
    assert [m.offset for m in consumer.poll()] == [4, 5, 6, 7, 8, 9]
    assert consumer.take_gaps() == []


def test_a_group_that_has_joined_and_committed_nothing_keeps_everything(
    tmp_path: Path, clock: FakeClock
) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    append(bus, 10)
    bus.consumer("new", [TOPIC]).close()
    clock.advance(2 * DAY_S)

    assert bus.apply_retention() == {}


def test_the_slowest_group_decides(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    append(bus, 10)
    for group, position in (("fast", 9), ("slow", 2)):
        bus.consumer(group, [TOPIC]).commit({TP: position})
    clock.advance(2 * DAY_S)

    assert bus.apply_retention() == {TOPIC: 2}


def test_without_keep_unread_a_slow_group_meets_a_counted_gap(
    tmp_path: Path, clock: FakeClock
) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S, keep_unread=False))
    append(bus, 10)
    bus.consumer("slow", [TOPIC]).commit({TP: 4})
    bus.close()
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S, keep_unread=False))
    clock.advance(2 * DAY_S)
    append(bus, 1)
    bus.apply_retention()

    consumer = bus.consumer("slow", [TOPIC])

    assert [m.offset for m in consumer.poll()] == [10]
    assert consumer.take_gaps() == [Gap(TP, 4, 6)]


def test_a_forgotten_group_keeps_nothing(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    append(bus, 10)
    bus.consumer("gone", [TOPIC]).close()
    clock.advance(2 * DAY_S)

    bus.forget_group("gone")

    assert bus.apply_retention() == {TOPIC: 10}


def test_a_running_group_is_not_forgotten(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock)
    bus.consumer("running", [TOPIC])

    with pytest.raises(BusError, match="running"):
        bus.forget_group("running")


def test_a_clock_set_back_does_not_shuffle_the_ages(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    append(bus, 3)
    clock.set_wall(clock.now() - timedelta(days=30))
    append(bus, 3)

    times = [m.appended_ms for m in bus.consumer("group", [TOPIC]).poll()]

    assert times == sorted(times)


def test_producers_append_while_retention_deletes(tmp_path: Path, clock: FakeClock) -> None:
    bus = open_bus(tmp_path, clock, samlog=Retention(max_age_s=DAY_S))
    producer = bus.producer("test")
    for _ in range(3):
        producer.send(Record(TOPIC, b"x"))
        producer.flush()
        clock.advance(2 * DAY_S)
        bus.apply_retention()

    producer.send(Record(TOPIC, b"last"))
    producer.flush()

    (message,) = bus.consumer("group", [TOPIC]).poll()
    assert (message.offset, message.value) == (3, b"last")
