"""Reads record batches as Kafka sends them (KIP-98, format v2), for kafka-python's fetcher.

kafka-python makes three objects of a record of 6 kB with six headers in 13 to 15 µs, this takes 7
to 8; and it unpacks a batch as a whole, whatever size that has. A header whose name is not UTF-8
makes it refuse the record, so that anybody who may write could stop everybody; after an error in a
batch (checksum, structure, codec) its poll runs for ever while the heartbeats go on. Here such a
name is read with ``?`` for each byte beyond ASCII, and the error comes again whenever the batch is
asked for.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from gzip import GzipFile
from hashlib import sha256
from io import BytesIO
from typing import Any

from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from lz4.frame import LZ4FrameDecompressor
from zstandard import ZstdDecompressor, ZstdError

from samlog.bus.base import Message, TopicPartition
from samlog.event import H_FULL_LENGTH, H_FULL_SHA256
from samlog.remember import remembered

CHUNK = 16 * 1024 * 1024
"""So much of a batch is unpacked at a time."""
MAX_RECORD_BYTES = 32 * 1024 * 1024
_MAX_VARINT = 10
_BROKEN = (RuntimeError, EOFError, OSError, ZstdError, zlib.error)
"""What lz4, gzip, zstd and zlib raise."""


class PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What was fetched of one partition: gives out messages."""

    _broken: Exception | None = None

    def __init__(
        self, *args: Any, max_record_bytes: int = MAX_RECORD_BYTES, **settings: Any
    ) -> None:
        self._max_record_bytes = max_record_bytes
        super().__init__(*args, **settings)

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
                for message in messages_of(batch, tp, self._max_record_bytes):
                    self.next_fetch_offset = message.offset + 1
                    yield message
            # What was compacted away counts as read.
            self.next_fetch_offset = batch.next_offset
        self.drain()


def messages_of(
    batch: Any, tp: TopicPartition, max_record_bytes: int = MAX_RECORD_BYTES
) -> Iterator[Message]:
    """Yields the records of a batch, in the order of offsets.

    A null value is an empty one, of a repeated header the last value counts. A record longer than
    ``max_record_bytes`` keeps so much of its value; see `_Content.cut`. Raises
    `CorruptRecordError` where lengths and content do not agree.
    """
    content = _Content(_unpacked(batch), tp)
    topic, partition = tp
    base_offset, first_ms = batch.base_offset, batch.first_timestamp
    appended_ms = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    for _ in range(batch.records_count):
        try:
            size = content.begin()
            if size > max_record_bytes:
                passed_ms, number, value, headers = content.cut(size, max_record_bytes)
                key = None
            else:
                content.need(size)
                data, pos = content.data, content.pos
                end = content.pos = pos + size
                # One byte of attributes, which have no meaning yet.
                passed_ms, pos = _varint(data, pos + 1)
                number, pos = _varint(data, pos)
                key, pos = _bytes(data, pos)
                value, pos = _bytes(data, pos)
                headers, pos = _headers(data, pos)
                if pos != end:
                    raise CorruptRecordError(
                        f"{tp} has a record of {size} bytes whose parts take others"
                    )
        except (IndexError, ValueError) as error:
            raise CorruptRecordError(f"{tp} has a record without an end: {error!r}") from error
        at = first_ms + passed_ms if appended_ms is None else appended_ms
        yield Message(topic, partition, base_offset + number, key, value or b"", headers, at)
    content.end()


class _Content:
    """The bytes of a batch's records, as far as they are unpacked: ``data`` from ``pos`` on.

    16 MB of lz4 can be 4 GB, so not more is unpacked at a time than what is read next.
    """

    __slots__ = ("_chunks", "_tp", "data", "pos")

    def __init__(self, chunks: Iterator[bytes], tp: TopicPartition) -> None:
        self._chunks = chunks
        self._tp = tp
        self.data = b""
        self.pos = 0
        self._more()

    def begin(self) -> int:
        """Returns the size of the next record, which begins at `pos` then."""
        while len(self.data) - self.pos < _MAX_VARINT and self._more():
            continue
        size, self.pos = _varint(self.data, self.pos)
        if size < 0:
            raise ValueError(f"a size of {size}")
        return size

    def need(self, size: int) -> None:
        """Sees that ``size`` bytes are there."""
        while len(self.data) - self.pos < size:
            if not self._more():
                raise ValueError(f"{size} bytes, {len(self.data) - self.pos} are there")

    def cut(self, size: int, keep: int) -> tuple[int, int, bytes | None, dict[str, bytes]]:
        """Goes over a record of ``size`` bytes.

        Returns times since the first, number, the first ``keep`` bytes of its value, and headers
        that tell the length and SHA-256 of the whole, like a collector that cuts; its own headers
        are behind what is not kept.
        """
        self.need(keep)
        passed_ms, at = _varint(self.data, self.pos + 1)
        number, at = _varint(self.data, at)
        key_size, at = _varint(self.data, at)
        at += max(0, key_size)
        if at > self.pos + keep - _MAX_VARINT:
            self.skip(size)
            return passed_ms, number, b"", {}
        whole, at = _varint(self.data, at)
        whole = max(0, whole)
        left = size - (at - self.pos)
        if whole > left:
            raise ValueError(f"a value of {whole} bytes in a record of {size}")
        value = self.data[at : min(at + whole, self.pos + keep)]
        self.pos = at
        digest = sha256()
        self.skip(whole, digest.update)
        self.skip(left - whole)
        told = {
            H_FULL_LENGTH: str(whole).encode(),
            H_FULL_SHA256: digest.hexdigest().encode(),
        }
        return passed_ms, number, value, told

    def skip(self, size: int, seen: Callable[[bytes], object] = len) -> None:
        """Goes ``size`` bytes on; gives them to ``seen``, in their order."""
        while True:
            part = self.data[self.pos : self.pos + size]
            seen(part)
            self.pos += len(part)
            size -= len(part)
            if not size:
                return
            if not self._more():
                raise ValueError(f"{size} bytes are missing")

    def _more(self) -> bool:
        try:
            chunk = next(self._chunks, b"")
        except _BROKEN as error:
            raise CorruptRecordError(f"{self._tp} has a batch that cannot be unpacked") from error
        if chunk:
            self.data = self.data[self.pos :] + chunk
            self.pos = 0
        return bool(chunk)

    def end(self) -> None:
        """Raises `CorruptRecordError` when something is left."""
        if self.pos < len(self.data) or self._more():
            left = len(self.data) - self.pos
            raise CorruptRecordError(f"{self._tp} has {left} bytes after the last record")


def _unpacked(batch: Any) -> Iterator[bytes]:
    """Yields what a batch holds in chunks of 1 to `CHUNK` bytes."""
    packed = bytes(memoryview(batch._buffer)[batch._pos :])
    codec = batch.compression_type
    if codec == batch.CODEC_NONE:
        yield packed
    elif codec == batch.CODEC_LZ4:
        yield from _lz4(packed)
    elif codec == batch.CODEC_ZSTD:
        with ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
            yield from iter(partial(reader.read, CHUNK), b"")
    elif codec == batch.CODEC_GZIP:
        with GzipFile(fileobj=BytesIO(packed)) as file:
            yield from iter(partial(file.read, CHUNK), b"")
    else:
        # Topics that samlog made hold nothing but lz4, whatever was sent.
        raise UnsupportedCodecError(f"samlog reads lz4, zstd and gzip, not codec {codec}")


def _lz4(packed: bytes) -> Iterator[bytes]:
    # A byte becomes at most 255. 8 MB in one call: 1.2 to 1.6 ms, 1.1 to 7 ms without a limit.
    size = min(CHUNK, 256 * len(packed) + 1024)
    unpacker = LZ4FrameDecompressor()
    yield unpacker.decompress(packed, max_length=size)
    while not unpacker.eof:
        chunk = unpacker.decompress(b"", max_length=size)
        if not chunk:
            raise EOFError("the lz4 frame has no end")
        yield chunk


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


@remembered(1_024)
def _name(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return bytes(byte if byte < 128 else ord("?") for byte in name).decode()
