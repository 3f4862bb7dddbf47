"""Writes to Kafka: idempotent, every acknowledgement checked, replaced after a fatal error."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer as Client
from kafka import TopicPartition as KafkaPartition
from kafka import errors
from kafka.partitioner import murmur2
from kafka.producer.future import FutureRecordMetadata

from samlog.bus import kafka_batches
from samlog.bus.base import EVERY, Record
from samlog.bus.kafka_cluster import Cluster
from samlog.clock import Clock
from samlog.errors import BadEvent, BusError, Unavailable
from samlog.remember import remembered

OVERHEAD_BYTES = 64 * 1024
"""What key and headers of one record may take; as much again is left for framing, and for lz4
where it finds nothing to compress."""

_UNFLUSHED_BYTES = 32 * 1024 * 1024
_BLOCK_S = 10.0
_CLOSE_S = 5.0
_SPREAD = 256


@remembered(65_536)
def _hashed(key: bytes) -> int:
    # 6 to 8 µs in Python with a key of 23 bytes.
    return int(murmur2(key)) & 0x7FFFFFFF


class KafkaProducer:
    """One client's writes; connects at the first `send`.

    kafka-python's idempotent producer is unusable after one refused record, and its ``flush``
    says nothing: each record's own answer is looked at, and after a failure the next `send`
    opens a new one.
    """

    def __init__(
        self, cluster: Cluster, client: str, *, max_record_bytes: int, clock: Clock, **settings: Any
    ) -> None:
        self._cluster = cluster
        self._client = client
        self._clock = clock
        self._max_record_bytes = max_record_bytes
        self._settings = settings
        self._kafka: Client | None = None
        self._unflushed: list[FutureRecordMetadata] = []
        self._unflushed_bytes = 0
        self._without_key: Counter[str] = Counter()
        self._closed = False

    def send(self, record: Record) -> None:
        """Queues ``record``; waits for acknowledgements when 32 MiB are unflushed."""
        if self._closed:
            raise BusError("this producer is closed")
        size = len(record.value)
        if size > self._max_record_bytes:
            raise BadEvent(
                "record_too_large", f"{size} bytes, the bus takes {self._max_record_bytes}"
            )
        around = len(record.key or b"") + sum(
            len(k) + len(v) + 8 for k, v in record.headers.items()
        )
        if around > OVERHEAD_BYTES:
            raise BadEvent("record_too_large", f"key and headers take {around} bytes")
        if self._unflushed_bytes > _UNFLUSHED_BYTES:
            self.flush()
        self._queue(record)
        self._unflushed_bytes += size + around

    def _queue(self, record: Record) -> None:
        """Hands over to kafka-python's accumulator.

        Its own ``send`` checks, for each record, what `Record` and `send` have made sure of.
        """
        kafka = self._connected()
        headers = list(record.headers.items())
        try:
            for place in self._places(kafka, record):
                future, is_full, is_new, _ = kafka._accumulator.append(
                    KafkaPartition(record.topic, place), None, record.key, record.value, headers
                )
                self._unflushed.append(future)
                if is_full or is_new:
                    kafka._sender.wakeup()
        except errors.KafkaTimeoutError as error:
            self._discard()
            raise self._no_partitions(record.topic, error) from error
        except errors.KafkaError as error:
            self._discard()
            raise self._cluster.explained(error, f"write to {record.topic}") from error

    def _places(self, kafka: Client, record: Record) -> Iterable[int]:
        """Returns the partitions that a record goes to: Kafka's own choice (murmur2 of the key).

        Records without a key change partition every 256 records, so that batches fill.
        """
        partitions = kafka.partitions_for(record.topic)
        if record.partition == EVERY:
            return sorted(partitions)
        if record.partition is not None:
            return (record.partition,)
        if record.key is not None:
            return (_hashed(record.key) % len(partitions),)
        self._without_key[record.topic] += 1
        return (self._without_key[record.topic] // _SPREAD % len(partitions),)

    def _connected(self) -> Client:
        if self._kafka is None:
            kafka_batches.install()
            self._kafka, _ = self._cluster.open(
                Client,
                self._client,
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                max_request_size=self._max_record_bytes + 2 * OVERHEAD_BYTES,
                max_block_ms=int(_BLOCK_S * 1000),
                delivery_timeout_ms=30_000,
                metrics_enabled=False,
                **self._settings,
            )
        return self._kafka

    def _no_partitions(self, topic: str, error: Exception) -> Exception:
        known = self._cluster.explained(error, f"write to {topic}")
        if isinstance(known, Unavailable) and "accepts connections" in str(known):
            return BusError(f"topic {topic} is not known to Kafka at {self._cluster.address}")
        return known

    def flush(self, timeout_s: float = 30.0) -> None:
        """Returns when every record sent before has been acknowledged by all in-sync replicas.

        Raises `Unavailable` or, when the cluster refuses for good, `ConfigError`; then some records
        may have been written and the producer has been replaced.
        """
        deadline = self._clock.monotonic_s() + timeout_s
        try:
            if self._kafka is not None and self._unflushed:
                self._kafka.flush(timeout=timeout_s)  # it lingers until it is told to send
            for future in self._unflushed:
                if not future.is_done:
                    future.get(timeout=max(0.0, deadline - self._clock.monotonic_s()))
                elif future.exception is not None:
                    raise future.exception
        except errors.KafkaError as error:
            self._discard()
            raise self._cluster.explained(error, "write") from error
        self._unflushed.clear()
        self._unflushed_bytes = 0

    def _discard(self) -> None:
        """Drops the client with whatever it still holds."""
        kafka, self._kafka = self._kafka, None
        self._unflushed.clear()
        self._unflushed_bytes = 0
        if kafka is None:
            return
        # close() flushes first and gives up when that fails, leaving its thread behind.
        with suppress(errors.KafkaError):
            kafka.close(timeout=0)
            return
        kafka._sender.force_close()
        kafka._sender.join(_CLOSE_S)
        with suppress(errors.KafkaError):
            kafka.close(timeout=0)

    def close(self) -> None:
        """Flushes and releases; raises as `flush` does, and is released all the same."""
        self._closed = True
        try:
            self.flush()
        finally:
            self._discard()
