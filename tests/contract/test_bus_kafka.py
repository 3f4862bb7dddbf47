"""What only the Kafka bus has: shared work, brokers that go away, records that others wrote."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient
from kafka import KafkaProducer as ForeignProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.record import util as kafka_records
from kafka.structs import TopicPartition as KafkaPartition

from samlog.bus.base import Message, Record, TopicPartition
from samlog.bus.kafka import KafkaBus
from samlog.bus.kafka_consumer import KafkaConsumer
from samlog.bus.kafka_producer import KafkaProducer
from samlog.clock import SystemClock
from samlog.deadletter import Quota
from samlog.errors import BadEvent, BusError, ConfigError, Unavailable
from samlog.journal import Journal
from samlog.loop import Loop, Stage
from samlog.metrics import Metrics
from samlog.servers import KafkaServer
from samlog.servers.process import free_port
from samlog.step import Rejection

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
LIMIT = 200_000
PATIENCE_S = 60.0


@pytest.fixture
def connect() -> Iterator[Callable[..., KafkaBus]]:
    with ExitStack() as opened:

        def bus(address: str, **settings: object) -> KafkaBus:
            made = KafkaBus([address], max_record_bytes=LIMIT, **settings)  # type: ignore[arg-type]
            opened.callback(made.close)
            return made

        yield bus


Connect = Callable[..., KafkaBus]


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex[:12]}"


def new_topic(bus: KafkaBus, name: str = "test") -> str:
    topic = f"samlog.{name}.{uuid4().hex[:12]}"
    bus.create_topics([topic])
    return topic


def write(producer: KafkaProducer, topic: str, values: Sequence[bytes]) -> None:
    for number, value in enumerate(values):
        producer.send(Record(topic, value, b"key%d" % (number % 50)))
    producer.flush()


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"%d" % n for n in range(start, stop)]


def until(done: Callable[[], bool], turn: Callable[[], object]) -> None:
    """Takes turns until ``done``; fails after a minute."""
    clock = SystemClock()
    deadline = clock.monotonic_s() + PATIENCE_S
    while not done():
        assert clock.monotonic_s() < deadline, "it did not happen within a minute"
        turn()


def take(consumer: KafkaConsumer, count: int) -> list[Message]:
    messages: list[Message] = []
    until(lambda: len(messages) >= count, lambda: messages.extend(consumer.poll(timeout_s=0.2)))
    return messages


def retried(action: Callable[[], object]) -> int:
    """Repeats ``action`` while the bus is unavailable; returns how often it was."""
    failures = 0
    succeeded = False

    def attempt() -> None:
        nonlocal failures, succeeded
        try:
            action()
            succeeded = True
        except Unavailable:
            failures += 1

    until(lambda: succeeded, attempt)
    return failures


# Before the first commit


class Waiting:
    """A step whose other side may be down."""

    name = "waiting"

    def __init__(self, *, down: bool) -> None:
        self._down = down

    def process(self, message: Message) -> list[Record]:
        if self._down:
            raise Unavailable("down", retry_after_s=0)
        return []

    def tick(self, now: datetime) -> list[Record]:
        return []

    def flush(self) -> list[Record]:
        return []

    def settle(self) -> list[Rejection]:
        return []

    def held(self) -> dict[TopicPartition, int]:
        return {}

    def reset(self) -> None: ...

    def figures(self) -> dict[str, float]:
        return {}

    def close(self) -> None: ...


def test_records_that_go_before_a_new_stage_has_done_anything_are_counted(
    connect: Connect, kafka_address: str, group: str, tmp_path: Path
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    write(bus.producer("test"), topic, numbers(0, 5))
    metrics = Metrics()

    def life(step: Waiting, done: Callable[[Loop], bool]) -> None:
        stage = Stage(step, group, [topic])
        loop = Loop(stage, bus, Journal(tmp_path / "note"), SystemClock(), metrics, Quota(10))
        until(lambda: done(loop), loop.turn)
        loop.close()

    life(Waiting(down=True), lambda loop: bool(loop.problem))
    with KafkaAdminClient(bootstrap_servers=kafka_address) as admin:
        admin.delete_records({KafkaPartition(topic, 0): 3})
    life(Waiting(down=False), lambda loop: loop.counts.taken == 2)

    assert metrics.value("gap_records_total", stage="waiting") == 3


# Members of a group


def test_two_members_share_the_partitions_and_together_see_each_record_once(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=6)
    topic = new_topic(bus)
    members = [bus.consumer(group, [topic]) for _ in range(2)]
    seen: list[Message] = []

    def turn() -> None:
        for member in members:
            batch = member.poll(timeout_s=0.1)
            seen.extend(batch)
            member.commit({m.tp: m.offset + 1 for m in batch})

    until(lambda: [len(m.assigned()) for m in members] == [3, 3], turn)
    write(bus.producer("test"), topic, numbers(0, 1_000))
    until(lambda: len(seen) >= 1_000, turn)

    assert sorted(int(m.value) for m in seen) == list(range(1_000))
    for member in members:
        member.close()


def test_a_member_that_leaves_hands_over_what_it_had_not_committed(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    write(bus.producer("test"), topic, numbers(0, 10))
    first = bus.consumer(group, [topic])
    messages = take(first, 10)
    first.commit({messages[6].tp: messages[6].offset})
    second = bus.consumer(group, [topic])
    second.poll(timeout_s=0.2)

    first.close()

    assert [m.value for m in take(second, 4)] == numbers(6, 10)


def test_a_rebalance_tells_which_partitions_were_lost(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=2)
    topic = new_topic(bus)
    first = bus.consumer(group, [topic])
    until(lambda: len(first.assigned()) == 2, lambda: first.poll(timeout_s=0.1))
    second = bus.consumer(group, [topic])

    def turn() -> None:
        first.poll(timeout_s=0.1)
        second.poll(timeout_s=0.1)

    until(lambda: len(second.assigned()) == 1 and len(first.assigned()) == 1, turn)

    assert first.take_revoked() == second.assigned()
    assert first.take_revoked() == frozenset()


def test_a_commit_for_a_partition_that_another_member_owns_does_not_rewind_it(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=2)
    topic = new_topic(bus)
    write(bus.producer("test"), topic, numbers(0, 100))
    first, second = bus.consumer(group, [topic]), bus.consumer(group, [topic])

    def turn() -> None:
        first.poll(timeout_s=0.1)
        second.poll(timeout_s=0.1)

    until(lambda: len(second.assigned()) == 1 and len(first.assigned()) == 1, turn)
    (foreign,) = second.assigned()
    second.commit({foreign: 7})

    first.commit({foreign: 1})

    assert first.foreign_commits == 1
    assert second.committed() == {foreign: 7}


def test_a_member_that_was_thought_dead_cannot_rewind_the_position(
    connect: Connect, own_kafka: KafkaServer, group: str
) -> None:
    bus = connect(own_kafka.address, partitions=1, session_s=2.0)
    topic = new_topic(bus)
    write(bus.producer("test"), topic, numbers(0, 10))
    code = (
        "import sys\n"
        "from samlog.bus.kafka import KafkaBus\n"
        f"bus = KafkaBus([{own_kafka.address!r}], session_s=2.0)\n"
        f"consumer = bus.consumer({group!r}, [{topic!r}])\n"
        "got = []\n"
        "while len(got) < 10: got += consumer.poll()\n"
        "print('read', flush=True)\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    consumer.commit({got[3].tp: got[3].offset})\n"
        "    print('accepted')\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as stale:
        assert stale.stdout is not None
        assert stale.stdout.readline() == "read\n"
        stale.send_signal(signal.SIGSTOP)
        heir = bus.consumer(group, [topic])
        messages = take(heir, 10)
        heir.commit({messages[-1].tp: messages[-1].offset + 1})
        stale.send_signal(signal.SIGCONT)
        said, _ = stale.communicate("commit\n", timeout=60)

    assert said == "Unavailable\n"
    assert heir.committed() == {messages[-1].tp: messages[-1].offset + 1}


def test_a_second_process_under_the_same_member_name_fences_the_first(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    write(bus.producer("test"), topic, numbers(0, 10))
    first = bus.consumer(group, [topic], member="detect-1")
    old = take(first, 10)
    second = bus.consumer(group, [topic], member="detect-1")
    messages = take(second, 10)
    second.commit({messages[-1].tp: messages[-1].offset + 1})

    with pytest.raises(BusError, match="same member"):
        first.commit({old[2].tp: old[2].offset})

    assert second.committed() == {messages[-1].tp: messages[-1].offset + 1}


def test_a_pause_lasts_through_a_rebalance(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=2)
    topic = new_topic(bus)
    write(bus.producer("test"), topic, numbers(0, 100))
    first, second = bus.consumer(group, [topic]), bus.consumer(group, [topic])
    second.pause()
    given: list[Message] = []

    def turn() -> None:
        first.poll(timeout_s=0.1)
        given.extend(second.poll(timeout_s=0.1))

    until(lambda: len(second.assigned()) == 1, turn)
    first.close()
    until(lambda: len(second.assigned()) == 2, lambda: given.extend(second.poll(timeout_s=0.1)))
    second.poll(timeout_s=0.3)

    assert given == []
    second.resume()
    assert sorted(int(m.value) for m in take(second, 100)) == list(range(100))


def test_partitions_that_are_added_are_read_however_short_the_polls_are(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    consumer = bus.consumer(group, [topic])
    until(lambda: len(consumer.assigned()) == 1, lambda: consumer.poll(timeout_s=0.1))
    with KafkaAdminClient(bootstrap_servers=kafka_address) as admin:
        admin.create_partitions({topic: 3})

    consumer._network.cluster.request_update()  # otherwise seen within a minute

    until(lambda: len(consumer.assigned()) == 3, lambda: consumer.poll(timeout_s=0.001))


# Brokers that go away


def test_a_killed_broker_loses_nothing_that_was_acknowledged(
    connect: Connect, own_kafka: KafkaServer, group: str
) -> None:
    bus = connect(own_kafka.address, partitions=1)
    topic = new_topic(bus)
    producer, consumer = bus.producer("test"), bus.consumer(group, [topic])
    write(producer, topic, numbers(0, 2_000))
    before = take(consumer, 1_000)
    own_kafka.kill()

    with pytest.raises(Unavailable):
        for value in numbers(2_000, 4_000):
            producer.send(Record(topic, value, b"k"))
        producer.flush(timeout_s=2.0)
    own_kafka.start()

    def batch() -> None:
        for value in numbers(2_000, 4_000):
            producer.send(Record(topic, value, b"k"))
        producer.flush(timeout_s=5.0)

    retried(batch)
    rest: list[Message] = []
    until(
        lambda: bool(rest) and rest[-1].value == b"3999",
        lambda: retried(lambda: rest.extend(consumer.poll(timeout_s=0.2))),
    )
    read = [int(m.value) for m in [*before, *rest]]
    assert list(dict.fromkeys(read)) == list(range(4_000)), "lost, or out of order"
    offsets = [m.offset for m in [*before, *rest]]
    assert offsets == list(range(len(offsets))), "skipped, or delivered twice"


def test_a_consumer_says_that_the_broker_is_gone_and_goes_on_when_it_is_back(
    connect: Connect, own_kafka: KafkaServer, group: str
) -> None:
    bus = connect(own_kafka.address, partitions=1)
    topic = new_topic(bus)
    write(bus.producer("test"), topic, numbers(0, 5))
    consumer = bus.consumer(group, [topic])
    messages = take(consumer, 5)
    consumer.commit({messages[-1].tp: messages[-1].offset + 1})
    own_kafka.kill()
    gone: list[Unavailable] = []

    def turn() -> None:
        try:
            consumer.poll(timeout_s=0.2)
        except Unavailable as error:
            gone.append(error)

    until(lambda: bool(gone), turn)
    own_kafka.start()
    retried(lambda: write(bus.producer("test"), topic, numbers(5, 10)))
    rest: list[Message] = []
    until(
        lambda: len(rest) >= 5,
        lambda: retried(lambda: rest.extend(consumer.poll(timeout_s=0.2))),
    )

    assert "no broker is connected" in str(gone[0])
    assert [m.value for m in rest] == numbers(5, 10)
    retried(lambda: consumer.commit({rest[-1].tp: rest[-1].offset + 1}))
    assert sum(bus.lag(group, [topic]).values()) == 0


def test_a_broker_that_comes_up_later_is_used_with_the_same_bus(
    connect: Connect, own_kafka: KafkaServer, group: str
) -> None:
    own_kafka.stop()
    bus = connect(own_kafka.address, partitions=1)
    producer = bus.producer("test")
    with pytest.raises(Unavailable, match="Connection refused"):
        bus.consumer(group, ["samlog.events"])
    with pytest.raises(Unavailable, match="Connection refused"):
        producer.send(Record("samlog.events", b"x"))
    own_kafka.start()

    topic = new_topic(bus)
    write(producer, topic, [b"x"])

    assert [m.value for m in take(bus.consumer(group, [topic]), 1)] == [b"x"]


def test_a_connection_that_fails_leaves_no_thread_behind(connect: Connect) -> None:
    bus = connect(f"127.0.0.1:{free_port()}")
    before = set(threading.enumerate())

    with pytest.raises(Unavailable):
        bus.topics()

    assert not set(threading.enumerate()) - before


def test_an_unknown_host_is_named(connect: Connect) -> None:
    with pytest.raises(Unavailable, match=r"the host name 'broker\.invalid' .* is not known"):
        connect("broker.invalid:9092").topics()


# Producers


def test_a_record_that_the_broker_refuses_stops_with_a_sentence_and_the_next_producer_works(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    set_topic(kafka_address, topic, "max.message.bytes", "2000")
    producer = bus.producer("test")
    producer.send(Record(topic, random.Random(1).randbytes(50_000)))

    with pytest.raises(ConfigError, match=r"raise the topic's max\.message\.bytes"):
        producer.flush()
    write(producer, topic, [b"small"])

    assert [m.value for m in take(bus.consumer(group, [topic]), 1)] == [b"small"]


def test_headers_beyond_the_limit_are_refused_and_the_producer_stays_usable(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    producer = bus.producer("test")

    with pytest.raises(BadEvent) as refused:
        producer.send(Record(topic, b"x", None, {"h": b"y" * 70_000}))
    write(producer, topic, [b"after"])

    assert refused.value.reason == "record_too_large"
    assert [m.value for m in take(bus.consumer(group, [topic]), 1)] == [b"after"]


def test_more_than_fits_unflushed_is_acknowledged_on_the_way(
    connect: Connect, kafka_address: str
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    producer = bus.producer("test")
    for _ in range(200):
        producer.send(Record(topic, b"x" * LIMIT, b"k"))
    acknowledged = bus.end_offsets([topic])[TopicPartition(topic, 0)]
    producer.flush()

    assert acknowledged >= 32 * 1024 * 1024 // LIMIT
    assert bus.end_offsets([topic])[TopicPartition(topic, 0)] == 200


def test_writing_to_a_topic_that_does_not_exist_says_so(
    connect: Connect, kafka_address: str
) -> None:
    producer = connect(kafka_address).producer("test")

    with pytest.raises(BusError, match=r"topic samlog\.absent is not known"):
        producer.send(Record("samlog.absent", b"x"))


def test_records_without_a_key_spread_over_the_partitions(
    connect: Connect, kafka_address: str
) -> None:
    bus = connect(kafka_address, partitions=3)
    topic = new_topic(bus)
    producer = bus.producer("test")
    for _ in range(1_536):
        producer.send(Record(topic, b"x"))
    producer.flush()

    assert min(bus.end_offsets([topic]).values()) > 256


# Topics


def test_topics_are_created_as_configured(connect: Connect, kafka_address: str) -> None:
    bus = connect(kafka_address, partitions=4, retention_hours=1.0)
    topic = new_topic(bus)

    with KafkaAdminClient(bootstrap_servers=kafka_address) as admin:
        (described,) = admin.describe_topics([topic])
    settings = topic_settings(kafka_address, topic)

    assert len(described["partitions"]) == 4
    assert settings["message.timestamp.type"] == "LogAppendTime"
    assert settings["retention.ms"] == "3600000"
    assert int(settings["segment.ms"]) < 3_600_000
    assert int(settings["max.message.bytes"]) > LIMIT


def test_only_samlog_topics_are_listed(connect: Connect, kafka_address: str) -> None:
    bus = connect(kafka_address)
    topic, foreign = new_topic(bus), f"billing.{uuid4().hex[:8]}"
    bus.create_topics([foreign])

    assert topic in bus.topics()
    assert foreign not in bus.topics()


def test_an_unknown_topic_has_no_end(connect: Connect, kafka_address: str) -> None:
    with pytest.raises(BusError, match="samlog.absent"):
        connect(kafka_address).end_offsets(["samlog.absent"])


# Records that others wrote


class NotUtf8(str):
    """A header name that goes out as bytes which are no UTF-8."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


@pytest.mark.parametrize("compression", [None, "gzip", "lz4", "zstd"])
def test_a_header_name_that_is_not_utf8_holds_up_nothing(
    connect: Connect, kafka_address: str, group: str, compression: str | None
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    set_topic(kafka_address, topic, "compression.type", "producer")
    foreign = ForeignProducer(
        bootstrap_servers=kafka_address, compression_type=compression, linger_ms=200
    )
    foreign.send(topic, b"before", headers=[("a", b"1")])
    foreign.send(topic, b"bad", b"key", headers=[("a", b"1"), (NotUtf8("zz"), b"2"), ("b", b"")])
    foreign.send(topic, b"after")
    foreign.flush()
    foreign.close()

    messages = take(bus.consumer(group, [topic]), 3)

    assert [m.value for m in messages] == [b"before", b"bad", b"after"]
    assert messages[1].headers == {"a": b"1", "??": b"2", "b": b""}


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd"])
def test_of_a_record_that_is_too_long_when_unpacked_the_beginning_is_read(
    connect: Connect, kafka_address: str, group: str, compression: str
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    set_topic(kafka_address, topic, "compression.type", "producer")
    foreign = ForeignProducer(
        bootstrap_servers=kafka_address, compression_type=compression, max_request_size=1 << 26
    )
    foreign.send(topic, b"0" * 5_000_000, b"key", headers=[("a", b"1")])
    foreign.send(topic, b"after")
    foreign.flush()
    foreign.close()

    cut, after = take(bus.consumer(group, [topic]), 2)

    assert LIMIT < len(cut.value) < 2 * LIMIT
    assert cut.headers["full-length"] == b"5000000"
    assert after.value == b"after"


def test_a_null_value_and_a_null_header_are_read_as_empty(
    connect: Connect, kafka_address: str, group: str
) -> None:
    bus = connect(kafka_address, partitions=1)
    topic = new_topic(bus)
    foreign = ForeignProducer(bootstrap_servers=kafka_address)
    foreign.send(topic, None, b"key")
    foreign.flush()
    foreign.close()

    (message,) = take(bus.consumer(group, [topic]), 1)

    assert (message.key, message.value) == (b"key", b"")


def test_a_log_that_is_damaged_on_disk_stops_the_reader_with_a_sentence(
    connect: Connect, own_kafka: KafkaServer, group: str
) -> None:
    bus = connect(own_kafka.address, partitions=1)
    topic = new_topic(bus)
    producer = bus.producer("test")
    write(producer, topic, [b"first"])
    write(producer, topic, [b"second" * 20])
    producer.close()
    bus.close()
    own_kafka.stop()
    (segment,) = (own_kafka.folder / "data" / f"{topic}-0").glob("*.log")
    content = bytearray(segment.read_bytes())
    content[-1] ^= 0xFF
    segment.write_bytes(content)
    own_kafka.start()
    consumer = bus.consumer(group, [topic])

    assert [m.value for m in take(consumer, 1)] == [b"first"]
    with pytest.raises(BusError, match="cannot be read"):
        take(consumer, 1)


# Start


def test_without_crc32c_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_records, "crc32c_c", None)

    with pytest.raises(ConfigError, match="pip install crc32c"):
        KafkaBus(["127.0.0.1:9092"])


def test_a_certificate_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ssl_cafile .*ca.pem is not a file"):
        KafkaBus(["127.0.0.1:9092"], security={"ssl_cafile": str(tmp_path / "ca.pem")})


def set_topic(address: str, topic: str, name: str, value: str) -> None:
    with KafkaAdminClient(bootstrap_servers=address) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})])


def topic_settings(address: str, topic: str) -> dict[str, str]:
    with KafkaAdminClient(bootstrap_servers=address) as admin:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    (by_topic,) = found.values()
    return {name: setting["value"] for name, setting in by_topic[topic].items()}
