"""Five repairs of kafka-python 3.0.12, each with a test that fails without it.

*Header names.* A header whose name is not UTF-8 makes it refuse the record; anybody who may write
could stop everybody. The name is read with ``?`` for each byte beyond ASCII.

*Unreadable records.* After an error in a batch (checksum, structure, codec) its poll runs for ever
while the heartbeats go on. Here the error comes again whenever the batch is asked for.

*Set aside.* Records of a partition that was paused while it was read are given out again only when
no other partition is held, and one that was read to its end counts as held: they stay for ever.

*Unfinished joins.* A rejoin because partitions were added, which outlasts one poll, is never
finished: the member reads nothing, sends no heartbeats and doesn't notice.

*Last words.* What a broker sends just before it closes the connection is thrown away: it says why a
log-in was refused.
"""

from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import Fetcher
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint


class ReadableBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch of records that takes header names as they come."""

    _pos: int
    _buffer: bytearray

    def _read_msg(self) -> Any:
        start = self._pos
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            self._buffer = bytearray(self._buffer)
            _repair_header_names(self._buffer, start)
            self._pos = start
            return super()._read_msg()


def _repair_header_names(buffer: bytearray, pos: int) -> None:
    """Overwrites non-ASCII bytes in the header names of the record at ``pos`` (format v2)."""
    for _ in range(4):  # length, attributes, time and offset
        _, pos = decode_varint(buffer, pos)
    for _ in range(2):  # key and value
        size, pos = decode_varint(buffer, pos)
        pos += max(0, size)
    headers, pos = decode_varint(buffer, pos)
    for _ in range(headers):
        size, pos = decode_varint(buffer, pos)
        name = buffer[pos : pos + size]
        buffer[pos : pos + size] = bytes(byte if byte < 128 else ord("?") for byte in name)
        pos += size
        size, pos = decode_varint(buffer, pos)
        pos += max(0, size)


class ReadablePartition(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What was fetched of one partition; an error in it stays one."""

    _broken: Exception | None = None

    def take(self, n: int | None = None) -> Any:
        if self._broken is not None:
            raise self._broken
        try:
            return super().take(n)
        except Exception as error:
            self._broken = error
            raise


Receive = Callable[[Any], tuple[bytes, Exception | None]]


def _data_first(receive: Receive) -> Receive:
    """Returns a read that gives what is there; the next one finds the end of the stream again."""

    def read(transport: Any) -> tuple[bytes, Exception | None]:
        data, error = receive(transport)
        return (data, None) if data else (data, error)

    return read


_READS = {kind: _data_first(kind._sock_recv) for kind in (KafkaTCPTransport, KafkaSSLTransport)}


def repair_connections() -> None:
    """Makes all connections of this process read to the end."""
    for kind, read in _READS.items():
        kind._sock_recv = read


def repair(consumer: KafkaConsumer) -> None:
    """Makes a new consumer read what it would refuse; the repair of names is process-wide."""
    memory_records.DefaultRecordBatch = ReadableBatch
    consumer._fetcher.PartitionRecords = ReadablePartition


def before_poll(consumer: KafkaConsumer) -> None:
    """Lets the next poll give out what was set aside, and finish a join that is under way."""
    fetcher, coordinator = consumer._fetcher, consumer._coordinator
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None
    if coordinator.rejoining:
        coordinator.request_rejoin()
