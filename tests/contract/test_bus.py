"""The contract of `samlog.bus.base`, over every bus there is.

An implementation joins with a fixture ``<name>_backend`` that gives a `Backend`, and its name in
``backend``'s parameters. Topics and groups are named anew for every test.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient
from kafka import TopicPartition as KafkaPartition

from samlog.bus import open_embedded
from samlog.bus.base import (
    EVERY,
    Bus,
    Consumer,
    Gap,
    Message,
    Producer,
    Record,
    TopicPartition,
)
from samlog.bus.kafka import KafkaBus
from samlog.clock import SystemClock
from samlog.errors import BadEvent, BusError

LIMIT = 200_000
"""``max_record_bytes`` of every bus under test."""


@dataclass
class Backend:
    """What the suite needs to know of one implementation.

    ``connect`` opens the bus once more, as another process would; topics that it creates have one
    partition. ``connect_wide`` does the same with ``wide`` partitions (1 where there are no more).
    ``delete_before`` deletes what is older than an offset, as retention does. ``code`` is Python
    source that binds ``bus``, for tests that need another process. ``quiet_s`` is how long a poll
    is given that should find nothing, ``patience_s`` how long one that should find something.
    """

    connect: Callable[[], Bus]
    connect_wide: Callable[[], Bus]
    wide: int
    delete_before: Callable[[TopicPartition, int], None]
    code: str
    quiet_s: float
    patience_s: float


@pytest.fixture
def embedded_backend(tmp_path: Path) -> Iterator[Backend]:
    with ExitStack() as opened:

        def connect() -> Bus:
            bus = open_embedded(tmp_path, clock=SystemClock(), max_record_bytes=LIMIT)
            opened.callback(bus.close)
            return bus

        def delete_before(tp: TopicPartition, offset: int) -> None:
            bus = open_embedded(tmp_path, clock=SystemClock())
            bus.delete_before({tp: offset})

        code = (
            "from pathlib import Path\n"
            "from samlog.bus import open_embedded\n"
            "from samlog.clock import SystemClock\n"
            f"bus = open_embedded(Path({str(tmp_path)!r}), clock=SystemClock())\n"
        )
        yield Backend(connect, connect, 1, delete_before, code, quiet_s=0.05, patience_s=10.0)


@pytest.fixture
def kafka_backend(kafka_address: str) -> Iterator[Backend]:
    with ExitStack() as opened:

        def connect(partitions: int = 1) -> Bus:
            bus = KafkaBus([kafka_address], partitions=partitions, max_record_bytes=LIMIT)
            opened.callback(bus.close)
            return bus

        def delete_before(tp: TopicPartition, offset: int) -> None:
            with KafkaAdminClient(bootstrap_servers=kafka_address) as admin:
                admin.delete_records({KafkaPartition(*tp): offset})

        code = (
            "from samlog.bus.kafka import KafkaBus\n"
            f"bus = KafkaBus([{kafka_address!r}], max_record_bytes={LIMIT})\n"
        )
        wide = partial(connect, 3)
        yield Backend(connect, wide, 3, delete_before, code, quiet_s=0.5, patience_s=30.0)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.getfixturevalue(f"{request.param}_backend")
    return found


@pytest.fixture
def bus(backend: Backend) -> Bus:
    return backend.connect()


@pytest.fixture
def topic(bus: Bus) -> str:
    return new_topic(bus)


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex[:12]}"


@pytest.fixture
def read(backend: Backend) -> Callable[[Consumer, int], list[Message]]:
    """Gives a function that polls until so many messages have come."""

    def take(consumer: Consumer, count: int) -> list[Message]:
        clock = SystemClock()
        deadline = clock.monotonic_s() + backend.patience_s
        messages: list[Message] = []
        while len(messages) < count and clock.monotonic_s() < deadline:
            messages += consumer.poll(max_messages=500, timeout_s=0.2)
        return messages

    return take


Read = Callable[[Consumer, int], list[Message]]


def new_topic(bus: Bus, name: str = "test") -> str:
    topic = f"samlog.{name}.{uuid4().hex[:12]}"
    bus.create_topics([topic])
    return topic


def write(producer: Producer, topic: str, values: Sequence[bytes], key: bytes = b"k") -> None:
    for value in values:
        producer.send(Record(topic, value, key))
    producer.flush()


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"%d" % n for n in range(start, stop)]


def values(messages: Sequence[Message]) -> list[bytes]:
    return [message.value for message in messages]


def elsewhere(backend: Backend, code: str, *arguments: str) -> subprocess.Popen[str]:
    """Runs ``code`` in another process, where ``bus`` is this bus."""
    return subprocess.Popen(
        [sys.executable, "-c", backend.code + code, *arguments],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# Writing and reading


def test_records_of_one_key_are_read_in_the_order_they_were_sent(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    producer = bus.producer("test")
    for number in range(300):
        producer.send(Record(topic, b"%d" % number, b"key%d" % (number % 3)))
    producer.flush()

    messages = read(bus.consumer(group, [topic]), 300)

    for key in (b"key0", b"key1", b"key2"):
        got = [int(m.value) for m in messages if m.key == key]
        assert got == list(range(int(key[-1:]), 300, 3))


def test_a_record_is_read_by_another_connection_once_flush_returned(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, [b"durable"])

    messages = read(backend.connect().consumer(group, [topic]), 1)

    assert values(messages) == [b"durable"]


def test_a_flush_without_records_returns(bus: Bus) -> None:
    bus.producer("test").flush()


def test_a_closed_producer_has_flushed(bus: Bus, topic: str, group: str, read: Read) -> None:
    producer = bus.producer("test")
    producer.send(Record(topic, b"last"))
    producer.close()

    assert values(read(bus.consumer(group, [topic]), 1)) == [b"last"]


def test_offsets_rise_and_name_each_message_once(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    producer = bus.producer("test")
    write(producer, topic, numbers(0, 50))
    write(producer, topic, numbers(50, 100))

    offsets = [m.offset for m in read(bus.consumer(group, [topic]), 100)]

    assert len(offsets) == 100
    assert all(a < b for a, b in zip(offsets, offsets[1:], strict=False))


def test_a_topic_without_records_gives_nothing_in_time(
    backend: Backend, bus: Bus, topic: str, group: str
) -> None:
    consumer = bus.consumer(group, [topic])

    assert list(consumer.poll(timeout_s=backend.quiet_s)) == []


def test_ten_thousand_records_are_read_page_by_page_without_loss_or_repeat(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10_000))
    consumer = bus.consumer(group, [topic])

    messages = read(consumer, 10_000)

    assert values(messages) == numbers(0, 10_000)


def test_a_poll_gives_no_more_than_it_was_asked_for(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 100))
    consumer = bus.consumer(group, [topic])
    got: list[Message] = []

    sizes = []
    while len(got) < 100:
        page = list(consumer.poll(max_messages=7, timeout_s=1.0))
        sizes.append(len(page))
        got += page

    assert max(sizes) <= 7
    assert values(got) == numbers(0, 100)


def test_the_time_of_appending_is_the_brokers(bus: Bus, topic: str, group: str, read: Read) -> None:
    before = int(SystemClock().now().timestamp() * 1000)
    write(bus.producer("test"), topic, [b"now"])

    (message,) = read(bus.consumer(group, [topic]), 1)

    after = int(SystemClock().now().timestamp() * 1000)
    assert before <= message.appended_ms <= after


# What a record may hold


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(Record("", b""), id="empty value"),
        pytest.param(Record("", b"x", None), id="no key"),
        pytest.param(Record("", b"x", b""), id="empty key"),
        pytest.param(Record("", bytes(range(256)), bytes(range(256))), id="every byte"),
        pytest.param(Record("", b"\0", b"\0", {"nul": b"\0", "empty": b""}), id="NUL"),
        pytest.param(Record("", b"x", None, {"Ærø\N{SNOWMAN}": "blåbær".encode()}), id="unicode"),
        pytest.param(Record("", b"x", None, {f"h{n}": b"%d" % n for n in range(100)}), id="100"),
        pytest.param(Record("", b"x", None, {"long": b"y" * 50_000}), id="long header"),
    ],
)
def test_a_record_comes_back_as_it_was_sent(
    bus: Bus, topic: str, group: str, read: Read, record: Record
) -> None:
    producer = bus.producer("test")
    producer.send(Record(topic, record.value, record.key, record.headers))
    producer.flush()

    (message,) = read(bus.consumer(group, [topic]), 1)

    assert (message.value, message.key) == (record.value, record.key)
    assert dict(message.headers) == dict(record.headers)


def test_a_value_of_exactly_the_limit_is_taken(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, [b"x" * bus.max_record_bytes])

    (message,) = read(bus.consumer(group, [topic]), 1)

    assert len(message.value) == bus.max_record_bytes


def test_a_value_one_byte_over_the_limit_is_refused_and_the_producer_stays_usable(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    producer = bus.producer("test")
    producer.send(Record(topic, b"before"))

    with pytest.raises(BadEvent) as refused:
        producer.send(Record(topic, b"x" * (bus.max_record_bytes + 1)))
    producer.send(Record(topic, b"after"))
    producer.flush()

    assert refused.value.reason == "record_too_large"
    assert values(read(bus.consumer(group, [topic]), 2)) == [b"before", b"after"]


# Positions


def test_what_was_not_committed_is_delivered_again_to_the_next_consumer(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    first = bus.consumer(group, [topic], member="one")
    assert len(read(first, 10)) == 10
    first.close()

    again = read(bus.consumer(group, [topic], member="one"), 10)

    assert values(again) == numbers(0, 10)


def test_what_a_killed_process_had_polled_is_delivered_again(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    killed = elsewhere(
        backend,
        "import os, signal, sys\n"
        "consumer = bus.consumer(sys.argv[1], [sys.argv[2]], member='one')\n"
        "got = []\n"
        "while len(got) < 10:\n"
        "    got += consumer.poll(timeout_s=1.0)\n"
        "consumer.commit({got[3].tp: got[3].offset + 1})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        group,
        topic,
    )
    _, errors = killed.communicate(timeout=60)
    assert killed.returncode == -9, errors

    again = read(bus.consumer(group, [topic], member="one"), 6)

    assert values(again) == numbers(4, 10)


def test_the_next_consumer_goes_on_after_the_committed_position(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    first = bus.consumer(group, [topic])
    messages = read(first, 10)
    first.commit({messages[4].tp: messages[4].offset + 1})
    first.close()

    again = read(bus.consumer(group, [topic]), 5)

    assert values(again) == numbers(5, 10)


def test_groups_do_not_share_positions(bus: Bus, topic: str, group: str, read: Read) -> None:
    write(bus.producer("test"), topic, numbers(0, 3))
    first = bus.consumer(group, [topic])
    messages = read(first, 3)
    first.commit({messages[-1].tp: messages[-1].offset + 1})

    other = read(bus.consumer(group + "-other", [topic]), 3)

    assert values(other) == numbers(0, 3)


def test_committed_tells_the_stored_position(bus: Bus, topic: str, group: str, read: Read) -> None:
    write(bus.producer("test"), topic, numbers(0, 3))
    consumer = bus.consumer(group, [topic])
    messages = read(consumer, 3)
    tp = messages[0].tp

    before = dict(consumer.committed())
    consumer.commit({tp: messages[1].offset})

    assert before == {}
    assert consumer.committed() == {tp: messages[1].offset}


def test_a_commit_of_a_foreign_partition_is_ignored_and_counted(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 3))
    consumer = bus.consumer(group, [topic])
    messages = read(consumer, 3)
    tp = messages[0].tp
    foreign = TopicPartition(new_topic(bus, "foreign"), 0)

    consumer.commit({tp: messages[1].offset, foreign: 0, TopicPartition(topic, 9): 1})

    assert consumer.foreign_commits == 2
    assert consumer.committed() == {tp: messages[1].offset}


def test_a_seek_replays_and_commits_nothing(bus: Bus, topic: str, group: str, read: Read) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    consumer = bus.consumer(group, [topic])
    messages = read(consumer, 10)

    consumer.seek({messages[2].tp: messages[2].offset})
    again = read(consumer, 8)

    assert values(again) == numbers(2, 10)
    assert consumer.committed() == {}


def test_a_seek_back_to_the_committed_positions_repeats_a_failed_batch(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    consumer = bus.consumer(group, [topic])
    messages = read(consumer, 10)
    consumer.commit({messages[6].tp: messages[6].offset})

    consumer.seek(consumer.committed())

    assert values(read(consumer, 4)) == numbers(6, 10)


def test_assigned_names_what_this_member_reads(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, [b"x"])
    consumer = bus.consumer(group, [topic])
    (message,) = read(consumer, 1)

    assert message.tp in consumer.assigned()
    assert {tp.topic for tp in consumer.assigned()} == {topic}
    assert consumer.take_revoked() == frozenset()


def test_lag_and_end_follow_appends_and_commits(
    bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    consumer = bus.consumer(group, [topic])
    messages = read(consumer, 10)
    tp = messages[0].tp

    before = sum(bus.lag(group, [topic]).values())
    consumer.commit({tp: messages[6].offset + 1})

    assert before == 10
    assert sum(bus.lag(group, [topic]).values()) == 3
    assert bus.end_offsets([topic])[tp] == messages[-1].offset + 1


def test_a_group_that_never_was_lags_by_every_record(bus: Bus, topic: str, group: str) -> None:
    write(bus.producer("test"), topic, numbers(0, 5))

    assert sum(bus.lag(group, [topic]).values()) == 5


# Back-pressure


def test_a_paused_consumer_gives_nothing_until_it_resumes(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 5))
    consumer = bus.consumer(group, [topic])
    consumer.pause()

    paused = list(consumer.poll(timeout_s=backend.quiet_s))
    consumer.resume()

    assert paused == []
    assert values(read(consumer, 5)) == numbers(0, 5)


def test_a_pause_in_the_middle_skips_and_repeats_nothing(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    producer = bus.producer("test")
    write(producer, topic, numbers(0, 5))
    consumer = bus.consumer(group, [topic])
    first = read(consumer, 5)
    consumer.pause()
    write(producer, topic, numbers(5, 10))
    consumer.poll(timeout_s=backend.quiet_s)
    consumer.resume()

    assert values(first + read(consumer, 5)) == numbers(0, 10)


# Retention


def test_a_consumer_that_retention_overtook_goes_on_and_counts_the_gap(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    first = bus.consumer(group, [topic])
    messages = read(first, 10)
    first.commit({messages[2].tp: messages[2].offset})
    first.close()
    backend.delete_before(messages[0].tp, messages[7].offset)

    consumer = bus.consumer(group, [topic])
    left = read(consumer, 3)

    assert values(left) == numbers(7, 10)
    assert list(consumer.take_gaps()) == [Gap(messages[0].tp, messages[2].offset, 5)]


def test_a_gap_is_taken_once(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    consumer = bus.consumer(group, [topic])
    messages = read(consumer, 10)
    consumer.commit({messages[0].tp: messages[0].offset})
    backend.delete_before(messages[0].tp, messages[5].offset)
    consumer.seek({messages[0].tp: messages[0].offset})
    read(consumer, 5)

    assert len(consumer.take_gaps()) == 1
    assert list(consumer.take_gaps()) == []


def test_a_new_group_starts_at_the_oldest_record_that_is_left_without_a_gap(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, numbers(0, 10))
    (message, *_) = read(bus.consumer(group + "-other", [topic]), 10)
    backend.delete_before(message.tp, message.offset + 4)

    consumer = bus.consumer(group, [topic])

    assert values(read(consumer, 6)) == numbers(4, 10)
    assert list(consumer.take_gaps()) == []


def test_offsets_go_on_rising_after_everything_was_deleted(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    producer = bus.producer("test")
    write(producer, topic, numbers(0, 10))
    consumer = bus.consumer(group, [topic])
    last = read(consumer, 10)[-1]
    backend.delete_before(last.tp, last.offset + 1)

    write(producer, topic, [b"next"])

    (message,) = read(consumer, 1)
    assert message.offset == last.offset + 1


# Several topics, several processes


def test_a_topic_with_a_backlog_does_not_hold_up_the_others(
    bus: Bus, group: str, read: Read
) -> None:
    busy, quiet = new_topic(bus, "busy"), new_topic(bus, "quiet")
    producer = bus.producer("test")
    write(producer, busy, numbers(0, 5_000))
    write(producer, quiet, numbers(0, 5))

    consumer = bus.consumer(group, [busy, quiet])
    early: Counter[str] = Counter()
    while early[quiet] < 5 and early[busy] < 5_000:
        early.update(m.topic for m in consumer.poll(max_messages=100, timeout_s=1.0))

    assert early[quiet] == 5
    assert early[busy] < 5_000


def test_every_topic_of_many_is_read_whole(bus: Bus, group: str, read: Read) -> None:
    topics = [new_topic(bus, f"unit{n}") for n in range(5)]
    producer = bus.producer("test")
    for number, topic in enumerate(topics):
        write(producer, topic, numbers(0, 100 * (number + 1)))

    messages = read(bus.consumer(group, topics), 1_500)

    for number, topic in enumerate(topics):
        got = [m.value for m in messages if m.topic == topic]
        assert got == numbers(0, 100 * (number + 1))


def test_producers_in_several_processes_lose_nothing_and_keep_their_order(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    code = (
        "import sys\n"
        "from samlog.bus.base import Record\n"
        "producer = bus.producer('test')\n"
        "who, topic = sys.argv[1].encode(), sys.argv[2]\n"
        "for number in range(300):\n"
        "    producer.send(Record(topic, b'%d' % number, who))\n"
        "    if number % 10 == 0:\n"
        "        producer.flush()\n"
        "producer.close()\n"
    )
    writers = [elsewhere(backend, code, f"writer{n}", topic) for n in range(3)]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors

    messages = read(bus.consumer(group, [topic]), 900)

    for n in range(3):
        got = [m.value for m in messages if m.key == b"writer%d" % n]
        assert got == numbers(0, 300)


def test_create_topics_leaves_what_exists_as_it_is(
    backend: Backend, bus: Bus, topic: str, group: str, read: Read
) -> None:
    write(bus.producer("test"), topic, [b"kept"])

    backend.connect().create_topics([topic])

    assert topic in bus.topics()
    assert values(read(bus.consumer(group, [topic]), 1)) == [b"kept"]


# Named partitions


def test_a_record_for_every_partition_is_read_once_from_each(
    backend: Backend, group: str, read: Read
) -> None:
    bus = backend.connect_wide()
    topic = new_topic(bus)
    producer = bus.producer("test")

    producer.send(Record(topic, b"to all", b"k", {"h": b"1"}, EVERY))
    producer.flush()

    messages = read(bus.consumer(group, [topic]), backend.wide)
    assert sorted(m.partition for m in messages) == list(range(backend.wide))
    assert {(m.value, m.key, m.headers["h"]) for m in messages} == {(b"to all", b"k", b"1")}
    assert set(bus.end_offsets([topic]).values()) == {1}


def test_a_named_partition_goes_before_the_key(backend: Backend, group: str, read: Read) -> None:
    bus = backend.connect_wide()
    topic = new_topic(bus)
    producer = bus.producer("test")
    sent = {(b"key %d" % key, n) for key in range(5) for n in range(backend.wide)}

    for key, place in sent:
        producer.send(Record(topic, b"x", key, partition=place))
    producer.flush()

    messages = read(bus.consumer(group, [topic]), len(sent))
    assert {(m.key, m.partition) for m in messages} == sent


def test_copies_for_every_partition_stand_between_what_was_sent_before_and_after(
    backend: Backend, group: str, read: Read
) -> None:
    bus = backend.connect_wide()
    topic = new_topic(bus)
    producer = bus.producer("test")

    write(producer, topic, [b"before"], b"k")
    producer.send(Record(topic, b"to all", partition=EVERY))
    write(producer, topic, [b"after"], b"k")

    messages = read(bus.consumer(group, [topic]), backend.wide + 2)
    home = next(m.partition for m in messages if m.value == b"before")
    assert values([m for m in messages if m.partition == home]) == [b"before", b"to all", b"after"]


def test_a_record_for_every_partition_over_the_limit_reaches_none(
    backend: Backend, group: str, read: Read
) -> None:
    bus = backend.connect_wide()
    topic = new_topic(bus)
    producer = bus.producer("test")

    with pytest.raises(BadEvent) as refused:
        producer.send(Record(topic, b"x" * (bus.max_record_bytes + 1), partition=EVERY))
    producer.flush()

    assert refused.value.reason == "record_too_large"
    assert sum(bus.end_offsets([topic]).values()) == 0


# Closing


def test_everything_may_be_closed_twice(backend: Backend, topic: str, group: str) -> None:
    bus = backend.connect()
    producer, consumer = bus.producer("test"), bus.consumer(group, [topic])

    for part in (producer, consumer, bus, producer, consumer, bus):
        part.close()


def test_a_closed_producer_says_so(bus: Bus, topic: str) -> None:
    producer = bus.producer("test")
    producer.close()

    with pytest.raises(BusError, match="closed"):
        producer.send(Record(topic, b"x"))


def test_a_closed_consumer_says_so(bus: Bus, topic: str, group: str) -> None:
    consumer = bus.consumer(group, [topic])
    consumer.close()

    with pytest.raises(BusError, match="closed"):
        consumer.poll(timeout_s=0.0)
