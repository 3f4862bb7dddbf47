"""The Kafka bus: `samlog.bus.base` on a Kafka cluster, as many processes a stage as wanted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakSet

from kafka import KafkaAdminClient, errors
from kafka import TopicPartition as KafkaPartition
from kafka.admin import OffsetSpec
from kafka.record import util as kafka_records

from samlog.bus.base import TopicPartition
from samlog.bus.kafka_cluster import Cluster
from samlog.bus.kafka_consumer import KafkaConsumer
from samlog.bus.kafka_producer import OVERHEAD_BYTES, KafkaProducer
from samlog.clock import Clock, SystemClock
from samlog.errors import BusError, ConfigError, Unavailable

T = TypeVar("T")

DEFAULT_MAX_RECORD_BYTES = 16 * 1024 * 1024
_HOUR_MS = 3_600_000
_RETRY_S = 0.2
_ASK_S = 10.0
_PREFIX = "samlog."

# 60-100k values of 2 kB, flushed every 1,000, one client, broker on the same 2 busy cores, medians:
# lz4 29-33k/s written (28 µs of CPU each) and 66-74k/s read (13 µs); zstd 22-25k (38 µs) and
# 59-66k (16 µs); none 28-38k (24 µs) and 42k (16 µs). Batches of 16 kB: 13k/s written (61 µs).
# Nothing is sent before `flush`, or a batch is full: each sending thread that wakes up takes the
# interpreter from who makes the records, 40 of 190 µs an event of the normalise stage.
_WRITING: Mapping[str, Any] = {
    "compression_type": "lz4",
    "batch_size": 8 * 1024 * 1024,
    "linger_ms": 5_000,
}


class KafkaBus:
    """Topics on a Kafka cluster.

    ``partitions``, ``replication``, ``min_isr`` and ``retention_hours`` hold for topics that are
    created here and are fixed then. Nothing is connected before it is used.

    Raises `ConfigError` when kafka-python would compute checksums in Python: 4,900 records/s
    written and 6,000/s read instead of 36-50k and 94k, measured with 1.9 kB events.
    """

    def __init__(
        self,
        brokers: Sequence[str],
        *,
        security: Mapping[str, Any] | None = None,
        partitions: int = 6,
        replication: int = 1,
        min_isr: int = 1,
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
        retention_hours: float = 72.0,
        session_s: float = 45.0,
        client_host: str = "",
        clock: Clock | None = None,
    ) -> None:
        if kafka_records.crc32c_c is None:
            raise ConfigError("Kafka needs the package crc32c: run pip install crc32c")
        self.max_record_bytes = max_record_bytes
        self._cluster = Cluster(tuple(brokers), dict(security or {}), client_host)
        self._partitions = partitions
        self._replication = replication
        self._min_isr = min_isr
        self._retention_ms = int(retention_hours * _HOUR_MS)
        self._session_s = session_s
        self._clock = clock or SystemClock()
        self._admin: KafkaAdminClient | None = None
        self._opened: WeakSet[KafkaProducer | KafkaConsumer] = WeakSet()

    def create_topics(self, topics: Iterable[str]) -> None:
        """Creates what does not exist yet and returns when every partition has a leader."""
        wanted = list(dict.fromkeys(topics))
        existing = set(self._ask(lambda admin: admin.list_topics(), "list topics"))
        missing = [topic for topic in wanted if topic not in existing]
        if missing:
            self._ask(lambda admin: self._create(admin, missing), f"create {', '.join(missing)}")

    def _create(self, admin: KafkaAdminClient, topics: Sequence[str]) -> None:
        spec = {
            "num_partitions": self._partitions,
            "replication_factor": self._replication,
            "configs": self._topic_settings(),
        }
        answer = admin.create_topics(dict.fromkeys(topics, spec), raise_errors=False)
        for topic in answer["topics"]:
            kind = errors.for_code(topic["error_code"])
            if kind not in (errors.NoError, errors.TopicAlreadyExistsError):
                raise kind(f"{topic['name']}: {topic.get('error_message') or ''}")
        admin.wait_for_topics(list(topics))

    def _topic_settings(self) -> dict[str, str]:
        # Retention deletes whole closed segments only: a quiet topic must close some.
        segment_ms = min(max(self._retention_ms // 6, 600_000), 24 * _HOUR_MS)
        return {
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self._retention_ms),
            "segment.ms": str(segment_ms),
            "max.message.bytes": str(self.max_record_bytes + 2 * OVERHEAD_BYTES),
            "min.insync.replicas": str(self._min_isr),
            # Whatever a foreign collector compresses with is stored as what samlog can read.
            "compression.type": str(_WRITING["compression_type"]),
        }

    def topics(self) -> frozenset[str]:
        """Returns the names of all existing samlog topics."""
        names = self._ask(lambda admin: admin.list_topics(), "list topics")
        return frozenset(name for name in names if name.startswith(_PREFIX))

    def producer(self, client: str) -> KafkaProducer:
        """Returns a producer, which connects at its first record."""
        producer = KafkaProducer(
            self._cluster,
            client,
            max_record_bytes=self.max_record_bytes,
            clock=self._clock,
            **_WRITING,
        )
        self._opened.add(producer)
        return producer

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> KafkaConsumer:
        """Connects and joins ``group``; raises `Unavailable` or `ConfigError`."""
        consumer = KafkaConsumer(
            self._cluster,
            group,
            topics,
            member=member,
            session_s=self._session_s,
            max_record_bytes=self.max_record_bytes,
            clock=self._clock,
        )
        self._opened.add(consumer)
        return consumer

    def end_offsets(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """Returns per partition the next offset; raises `BusError` for an unknown topic."""
        partitions = self._partitions_of(topics)
        return self._ask(lambda admin: _offsets(admin, partitions, OffsetSpec.LATEST), "ask ends")

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        """Returns per partition how many of the records that are left the group has to commit."""
        partitions = self._partitions_of(topics)

        def ask(admin: KafkaAdminClient) -> dict[TopicPartition, int]:
            oldest = _offsets(admin, partitions, OffsetSpec.EARLIEST)
            newest = _offsets(admin, partitions, OffsetSpec.LATEST)
            stored = _committed(admin, group, partitions)
            return {tp: newest[tp] - max(stored.get(tp, 0), oldest[tp]) for tp in partitions}

        lags = self._ask(ask, f"ask the lag of group {group}")
        return {tp: max(0, lag) for tp, lag in lags.items()}

    def _partitions_of(self, topics: Sequence[str]) -> list[TopicPartition]:
        found = self._ask(lambda admin: admin.describe_topics(list(topics)), "describe topics")
        for topic in found:
            if topic["error_code"]:
                why = errors.for_code(topic["error_code"]).__name__
                raise BusError(f"topic {topic['name']} cannot be read from Kafka: {why}")
        return [
            TopicPartition(topic["name"], part["partition_index"])
            for topic in found
            for part in topic["partitions"]
        ]

    def _ask(self, question: Callable[[KafkaAdminClient], T], doing: str) -> T:
        """Asks the cluster; a broker that is just coming up is asked again for ten seconds."""
        deadline = self._clock.monotonic_s() + _ASK_S
        while True:
            try:
                if self._admin is None:
                    self._admin, _ = self._cluster.open(KafkaAdminClient, "samlog-admin")
                return question(self._admin)
            except errors.KafkaError as error:
                self._forget_admin()
                again = isinstance(error, errors.RetriableError)
                if not again or self._clock.monotonic_s() > deadline:
                    raise self._cluster.explained(error, doing) from error
            self._clock.sleep(_RETRY_S)

    def close(self) -> None:
        """Closes what was opened here; what producers could not flush was never promised."""
        for part in list(self._opened):
            with suppress(Unavailable, ConfigError):
                part.close()
        self._forget_admin()

    def _forget_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()


def _offsets(
    admin: KafkaAdminClient, partitions: Sequence[TopicPartition], which: OffsetSpec
) -> dict[TopicPartition, int]:
    found = admin.list_partition_offsets({KafkaPartition(*tp): which for tp in partitions})
    return {TopicPartition(*tp): answer.offset for tp, answer in found.items()}


def _committed(
    admin: KafkaAdminClient, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    answer = admin.list_group_offsets({group: [KafkaPartition(*tp) for tp in partitions]})
    found = answer.get(group, {})
    return {TopicPartition(*tp): at.offset for tp, at in found.items() if at.offset >= 0}
