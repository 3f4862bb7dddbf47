"""What only the embedded bus promises: one consumer a group, kill -9, topics that come later."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from samlog.bus import EmbeddedBus
from samlog.bus.base import Gap, Message, Record, TopicPartition
from samlog.bus.embedded import Retention
from samlog.bus.embedded_consumer import EmbeddedConsumer
from samlog.bus.embedded_format import TopicPaths
from samlog.clock import SystemClock
from samlog.errors import BusError, Unavailable
from samlog.testing import FakeClock

ROOT = Path(__file__).parents[2]
TOPIC = "samlog.test"
TP = TopicPartition(TOPIC, 0)
OPEN = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "from samlog.bus import open_embedded\n"
    "from samlog.bus.base import Record, TopicPartition\n"
    "from samlog.clock import SystemClock\n"
    "bus = open_embedded(Path(sys.argv[1]), clock=SystemClock())\n"
)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[EmbeddedBus]:
    bus = EmbeddedBus(tmp_path, clock=SystemClock())
    bus.create_topics([TOPIC])
    yield bus
    bus.close()


def append(bus: EmbeddedBus, values: Sequence[bytes], topic: str = TOPIC) -> None:
    producer = bus.producer("test")
    for value in values:
        producer.send(Record(topic, value))
    producer.close()


def drain(consumer: EmbeddedConsumer) -> list[Message]:
    messages: list[Message] = []
    while page := consumer.poll(timeout_s=0.0):
        messages += page
    return messages


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN + code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Ends ``process`` as a crash does and returns what it had still printed."""
    process.send_signal(signal.SIGKILL)
    assert process.stdout is not None
    with process.stdout as output:
        rest = output.read().splitlines()
    process.wait(timeout=60)
    return rest


# One consumer a group


def test_a_second_consumer_of_a_group_is_refused_with_the_name_of_the_first(
    bus: EmbeddedBus,
) -> None:
    bus.consumer("group", [TOPIC], member="detect-1")

    with pytest.raises(BusError) as refused:
        bus.consumer("group", [TOPIC])

    sentence = str(refused.value)
    assert f"group group already reads {TOPIC}" in sentence
    assert f"process {os.getpid()} detect-1" in sentence
    assert "stop that process" in sentence


def test_a_refused_consumer_leaves_nothing_locked(bus: EmbeddedBus) -> None:
    bus.create_topics(["samlog.a", "samlog.z"])
    bus.consumer("group", ["samlog.z"])
    with pytest.raises(BusError, match="samlog.z"):
        bus.consumer("group", ["samlog.a", "samlog.z"])

    bus.consumer("group", ["samlog.a"])


def test_another_group_and_another_topic_of_the_group_are_allowed(bus: EmbeddedBus) -> None:
    bus.create_topics(["samlog.other"])

    bus.consumer("group", [TOPIC])
    bus.consumer("other", [TOPIC])
    bus.consumer("group", ["samlog.other"])


def test_a_place_is_free_again_when_its_process_is_killed(bus: EmbeddedBus, tmp_path: Path) -> None:
    holder = start(
        "consumer = bus.consumer('group', ['samlog.test'])\nprint('in', flush=True)\ninput()\n",
        str(tmp_path),
    )
    assert holder.stdout is not None and holder.stdout.readline() == "in\n"
    with pytest.raises(BusError, match=f"process {holder.pid}"):
        bus.consumer("group", [TOPIC])

    kill(holder)

    bus.consumer("group", [TOPIC])


# kill -9

WRITER = (
    "producer = bus.producer('test')\n"
    "number = int(sys.argv[2])\n"
    "while True:\n"
    "    for _ in range(int(sys.argv[3])):\n"
    "        producer.send(Record('samlog.test', b'%d' % number + b'.' * 700))\n"
    "        number += 1\n"
    "    producer.flush()\n"
    "    print(number, flush=True)\n"
)


def test_nothing_acknowledged_is_missing_after_kill_9_during_append(
    bus: EmbeddedBus, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    consumer = bus.consumer("group", [TOPIC])
    seen: set[int] = set()
    written = 0
    for _ in range(12):
        batch = dice.choice([1, 20, 300])
        writer = start(WRITER, str(tmp_path), str(written), str(batch))
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(dice.randrange(1, 40))]
        acknowledged += kill(writer)
        acknowledged_upto = int(acknowledged[-1])

        seen |= {int(m.value.rstrip(b".")) for m in drain(consumer)}

        assert set(range(acknowledged_upto)) <= seen
        # The killed writer may have written more than it could say; the next goes on after it.
        written = max(seen) + 1
        assert seen == set(range(written))
    assert consumer.take_gaps() == []
    assert not list((tmp_path / "bus").glob("*.damage*"))
    assert bus.end_offsets([TOPIC]) == {TP: written}


def test_no_commit_that_was_acknowledged_is_forgotten_after_kill_9(
    bus: EmbeddedBus, tmp_path: Path
) -> None:
    append(bus, [b"%d" % n for n in range(2_000)])
    code = (
        "consumer = bus.consumer('group', ['samlog.test'])\n"
        "while True:\n"
        "    for message in consumer.poll(max_messages=3, timeout_s=1.0):\n"
        "        consumer.commit({message.tp: message.offset + 1})\n"
        "        print(message.offset + 1, flush=True)\n"
    )
    position = 0
    for lines in (5, 60, 1, 200):
        reader = start(code, str(tmp_path))
        assert reader.stdout is not None
        said = [int(reader.stdout.readline()) for _ in range(lines)]
        said += [int(line) for line in kill(reader) if line]

        assert said[0] in (position + 1, position + 2)  # at most one commit was not yet told
        with closing(bus.consumer("group", [TOPIC])) as consumer:
            position = consumer.committed()[TP]
        assert position in (said[-1], said[-1] + 1)


# Topics


def test_a_topic_that_is_named_and_made_later_is_read_from_its_oldest_record(
    bus: EmbeddedBus,
) -> None:
    consumer = bus.consumer("group", [TOPIC, "samlog.later"])
    assert consumer.assigned() == {TP}
    bus.create_topics(["samlog.later"])
    append(bus, [b"x"], "samlog.later")

    (message,) = consumer.poll(timeout_s=0.0)

    assert message.topic == "samlog.later"
    assert consumer.assigned() == {TP, TopicPartition("samlog.later", 0)}


def test_sending_to_a_topic_that_was_not_created_is_refused_with_what_to_do(
    bus: EmbeddedBus,
) -> None:
    with pytest.raises(BusError, match=r"topic samlog.typo does not exist .* create it first"):
        bus.producer("test").send(Record("samlog.typo", b"x"))


def test_a_topic_that_does_not_exist_has_neither_end_nor_lag(bus: EmbeddedBus) -> None:
    assert bus.end_offsets(["samlog.none"]) == {}
    assert bus.lag("group", ["samlog.none"]) == {}


def test_topics_are_what_was_created(bus: EmbeddedBus) -> None:
    bus.create_topics(["samlog.raw.enheda"])
    append(bus, [b"x"])
    bus.consumer("group", [TOPIC])

    assert bus.topics() == {TOPIC, "samlog.raw.enheda"}


def test_a_topic_that_somebody_makes_and_opens_meanwhile_is_not_waited_for(
    bus: EmbeddedBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([False, False])  # of the bus, and before the lock
    other = EmbeddedBus(tmp_path, clock=SystemClock())
    with closing(bus.consumer("group", [TOPIC])) as consumer:
        monkeypatch.setattr(TopicPaths, "exist", lambda paths: next(looks, True))
        creating = threading.Thread(target=other.create_topics, args=([TOPIC],), daemon=True)
        creating.start()
        creating.join(10)

        assert not creating.is_alive()
        append(bus, [b"x"])
        assert [message.value for message in drain(consumer)] == [b"x"]


def test_every_topic_gets_a_turn_when_there_are_more_topics_than_messages_asked_for(
    bus: EmbeddedBus,
) -> None:
    topics = [f"samlog.unit{n}" for n in range(7)]
    bus.create_topics(topics)
    for topic in topics:
        append(bus, [b"x"] * 50, topic)
    consumer = bus.consumer("group", topics)

    first = [m.topic for _ in range(7) for m in consumer.poll(max_messages=2, timeout_s=0.0)]

    assert set(first) == set(topics)
    assert max(first.count(topic) for topic in topics) <= 4


def test_topics_with_a_backlog_share_each_poll_equally(bus: EmbeddedBus) -> None:
    topics = ["samlog.a", "samlog.b", "samlog.c"]
    bus.create_topics(topics)
    for topic, count in zip(topics, (500, 500, 10), strict=True):
        append(bus, [b"x"] * count, topic)
    consumer = bus.consumer("group", topics)

    for _ in range(3):
        got = [m.topic for m in consumer.poll(max_messages=90, timeout_s=0.0)]
        assert got.count("samlog.a") >= 30
        assert got.count("samlog.b") >= 30


def test_a_poll_of_large_records_stays_within_its_memory(bus: EmbeddedBus) -> None:
    append(bus, [b"x" * 3_000_000] * 20)

    page = bus.consumer("group", [TOPIC]).poll(max_messages=500, timeout_s=0.0)

    assert 1 <= len(page) <= 12


# Positions that make no sense


def test_a_commit_beyond_the_end_is_refused(bus: EmbeddedBus) -> None:
    append(bus, [b"x"])
    consumer = bus.consumer("group", [TOPIC])

    with pytest.raises(BusError, match="cannot commit offset 2 .* ends at 1"):
        consumer.commit({TP: 2})


def test_a_seek_before_what_was_left_at_the_first_join_is_no_gap(bus: EmbeddedBus) -> None:
    append(bus, [b"%d" % n for n in range(10)])
    bus.delete_before({TP: 6})
    consumer = bus.consumer("group", [TOPIC])

    consumer.seek({TP: 0})

    assert [m.offset for m in consumer.poll()] == [6, 7, 8, 9]
    assert consumer.take_gaps() == []


def test_offsets_a_group_has_passed_are_not_given_again_when_the_topic_was_deleted_by_hand(
    bus: EmbeddedBus, tmp_path: Path
) -> None:
    append(bus, [b"%d" % n for n in range(10)])
    with closing(bus.consumer("group", [TOPIC])) as consumer:
        consumer.poll()
        consumer.commit({TP: 10})
    for file in (tmp_path / "bus").glob(f"{TOPIC}.*"):
        file.unlink()
    bus.create_topics([TOPIC])

    append(bus, [b"new"])

    consumer = bus.consumer("group", [TOPIC])
    assert [(m.offset, m.value) for m in consumer.poll()] == [(10, b"new")]
    assert bus.consumer("other", [TOPIC]).poll(timeout_s=0.0)[0].value == b"new"


# Waiting


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(days=1_100)])
def test_a_clock_that_was_ahead_does_not_stop_retention(tmp_path: Path, ahead: timedelta) -> None:
    clock = FakeClock()
    keep = Retention(max_age_s=3600.0, keep_unread=False)
    with closing(EmbeddedBus(tmp_path, clock=clock, retention={"": keep})) as bus:
        bus.create_topics([TOPIC])
        with closing(bus.producer("test")) as producer:
            for wrong in (timedelta(0), ahead, timedelta(0), timedelta(0)):
                clock.set_wall(clock.now() + wrong)
                producer.send(Record(TOPIC, b"x"))
                producer.flush()
                clock.set_wall(clock.now() - wrong)
        clock.advance(4 * 3600)
        with closing(bus.producer("test")) as producer:
            producer.send(Record(TOPIC, b"young"))
            producer.flush()

        bus.apply_retention()

        assert bus.lag("nobody", [TOPIC]) == {TopicPartition(TOPIC, 0): 1}


def test_an_idle_poll_waits_through_the_clock(tmp_path: Path) -> None:
    clock = FakeClock()
    bus = EmbeddedBus(tmp_path, clock=clock)
    bus.create_topics([TOPIC])
    consumer = bus.consumer("group", [TOPIC])

    assert consumer.poll(timeout_s=0.5) == []
    assert clock.monotonic_s() == pytest.approx(0.5)
    consumer.pause()
    assert consumer.poll(timeout_s=0.5) == []
    assert clock.monotonic_s() == pytest.approx(1.0)


def test_a_flush_gives_up_in_time_when_another_process_holds_the_topic(
    bus: EmbeddedBus, tmp_path: Path
) -> None:
    producer = bus.producer("test")
    producer.send(Record(TOPIC, b"x"))
    holder = sqlite3.connect(tmp_path / "bus" / f"{TOPIC}.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="another process holds .* locked"):
        producer.flush(timeout_s=0.05)
    holder.execute("ROLLBACK")
    holder.close()
    producer.send(Record(TOPIC, b"again"))
    producer.flush()

    assert [m.value for m in bus.consumer("group", [TOPIC]).poll()] == [b"again"]


def test_a_send_that_writes_by_itself_keeps_its_queue_when_it_is_refused(
    bus: EmbeddedBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samlog.bus.embedded_producer._SEND_WAIT_S", 0.01)
    producer = bus.producer("test")
    for number in range(5_000):
        producer.send(Record(TOPIC, b"%d" % number))
    holder = sqlite3.connect(tmp_path / "bus" / f"{TOPIC}.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable):
        producer.send(Record(TOPIC, b"one too many"))
    holder.execute("ROLLBACK")
    holder.close()
    producer.flush()

    got = [m.value for m in drain(bus.consumer("group", [TOPIC]))]
    assert got == [b"%d" % n for n in range(5_000)]


def test_reading_goes_on_while_a_producer_has_the_topic_locked(
    bus: EmbeddedBus, tmp_path: Path
) -> None:
    append(bus, [b"x"])
    holder = sqlite3.connect(tmp_path / "bus" / f"{TOPIC}.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    consumer = bus.consumer("group", [TOPIC])

    (message,) = consumer.poll()
    consumer.commit({TP: 1})

    assert message.value == b"x"
    holder.execute("ROLLBACK")
    holder.close()


def test_the_bus_closes_what_was_opened_through_it(tmp_path: Path) -> None:
    first = EmbeddedBus(tmp_path, clock=SystemClock())
    first.create_topics([TOPIC])
    producer = first.producer("test")
    first.consumer("group", [TOPIC])
    producer.send(Record(TOPIC, b"x"))
    first.close()

    consumer = EmbeddedBus(tmp_path, clock=SystemClock()).consumer("group", [TOPIC])

    assert [m.value for m in consumer.poll()] == [b"x"]
    with pytest.raises(BusError, match="closed"):
        first.producer("test")


def test_gaps_of_several_topics_are_told_apart(bus: EmbeddedBus) -> None:
    bus.create_topics(["samlog.a", "samlog.b"])
    consumer = bus.consumer("group", ["samlog.a", "samlog.b"])
    for topic, upto in (("samlog.a", 3), ("samlog.b", 10)):
        append(bus, [b"x"] * 10, topic)
        bus.delete_before({TopicPartition(topic, 0): upto})

    messages = drain(consumer)

    assert len(messages) == 7
    assert sorted(consumer.take_gaps(), key=lambda gap: gap.tp) == [
        Gap(TopicPartition("samlog.a", 0), 0, 3),
        Gap(TopicPartition("samlog.b", 0), 0, 10),
    ]
