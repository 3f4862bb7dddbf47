"""Batches of records as Kafka sends them: read whole, or refused."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from samlog.bus.base import Message, TopicPartition
from samlog.bus.kafka_records import PartitionRecords, messages_of

TP = TopicPartition("samlog.events", 3)
LZ4 = 3
Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
SMALL = st.binary(max_size=200)
ROWS = st.lists(
    st.tuples(
        st.none() | SMALL,
        st.none() | SMALL,
        st.lists(st.tuples(st.text(max_size=80), st.none() | SMALL), max_size=5),
    ),
    min_size=1,
    max_size=20,
)


def batch_of(rows: Sequence[Row], compression: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 20)
    for number, (key, value, headers) in enumerate(rows):
        builder.append(number, 1_700_000_000_000 + number, key, value, headers)
    return bytes(builder.build())


def read(data: bytes) -> list[Message]:
    return list(messages_of(MemoryRecords(data).next_batch(), TP))


@given(rows=ROWS, compression=st.sampled_from([0, LZ4]))
def test_a_batch_gives_what_was_written(rows: list[Row], compression: int) -> None:
    expected = [
        Message(
            *TP,
            number,
            key,
            value or b"",
            {name: one or b"" for name, one in headers},
            1_700_000_000_000 + number,
        )
        for number, (key, value, headers) in enumerate(rows)
    ]

    assert read(batch_of(rows, compression)) == expected


@given(rows=ROWS, place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_batch_with_a_wrong_byte_is_read_or_refused(
    rows: list[Row], place: int, byte: int
) -> None:
    data = bytearray(batch_of(rows))
    header = 61
    data[header + place % (len(data) - header)] = byte

    try:
        read(bytes(data))
    except CorruptRecordError as error:
        assert "samlog.events" in str(error)


def test_a_length_beyond_the_batch_is_refused() -> None:
    data = bytearray(batch_of([(None, b"value", [])]))
    data[-7] = 0x7E  # the length of the value: 63

    with pytest.raises(CorruptRecordError, match="samlog.events"):
        read(bytes(data))


def test_a_batch_whose_checksum_is_wrong_is_refused_each_time_it_is_asked_for() -> None:
    data = bytearray(batch_of([(None, b"value", [])]))
    data[-3] ^= 1
    records = PartitionRecords(0, TP, MemoryRecords(bytes(data)))

    for _ in range(3):
        with pytest.raises(CorruptRecordError, match="crc"):
            records.take(10)


def test_reading_begins_at_the_offset_that_was_asked_for() -> None:
    rows: list[Row] = [(None, b"%d" % n, []) for n in range(5)]
    records = PartitionRecords(3, TP, MemoryRecords(batch_of(rows)))

    assert [message.offset for message in records.take(1)] == [3]
    assert records.next_fetch_offset == 4
    assert [message.value for message in records.take(10)] == [b"4"]
    assert records.next_fetch_offset == 5
