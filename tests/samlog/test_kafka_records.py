"""Batches of records as Kafka sends and takes them: read whole, or refused; written as expected."""

import tracemalloc
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from samlog.bus import kafka_records
from samlog.bus.base import Message, TopicPartition
from samlog.bus.kafka_batches import BatchBuilder
from samlog.bus.kafka_records import PartitionRecords, messages_of

TP = TopicPartition("samlog.events", 3)
GZIP, LZ4, ZSTD = 1, 3, 4
CODECS = (0, GZIP, LZ4, ZSTD)
MIB = 1 << 20
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


def batch_of(
    rows: Sequence[Row], compression: int = 0, made_by: type = DefaultRecordBatchBuilder
) -> bytes:
    builder = made_by(2, compression, 0, -1, -1, -1, 1 << 30)
    for number, (key, value, headers) in enumerate(rows):
        builder.append(number, 1_700_000_000_000 + number, key, value, headers)
    return bytes(builder.build())


def read(data: bytes, limit: int = 32 * MIB) -> list[Message]:
    return list(messages_of(MemoryRecords(data).next_batch(), TP, limit))


@pytest.fixture(params=[16 * MIB, 50, 1], ids=["whole", "in_pieces", "in_bytes"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_records, "CHUNK", request.param)


def expected(rows: Sequence[Row]) -> list[Message]:
    return [
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


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("compression", CODECS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(rows=ROWS)
def test_a_batch_gives_what_was_written(rows: list[Row], compression: int) -> None:
    assert read(batch_of(rows, compression)) == expected(rows)


@given(rows=ROWS)
def test_a_batch_of_ours_is_that_of_kafka_python_byte_for_byte(rows: list[Row]) -> None:
    assert batch_of(rows, made_by=BatchBuilder) == batch_of(rows)


@given(rows=ROWS, compression=st.sampled_from(CODECS))
def test_a_compressed_batch_of_ours_is_read_by_kafka_python(
    rows: list[Row], compression: int
) -> None:
    batch = MemoryRecords(batch_of(rows, compression, BatchBuilder)).next_batch()

    assert batch.validate_crc()
    assert [(r.key, r.value, r.headers) for r in batch] == rows


def test_a_batch_that_is_full_takes_no_further_record() -> None:
    builder = BatchBuilder(2, 0, 0, -1, -1, -1, 200)

    sizes = [builder.append(n, 1, None, b"x" * 60, []) and builder.size() for n in range(4)]

    assert sizes == [129, 197, None, None]


def test_a_first_record_is_taken_whatever_its_size() -> None:
    builder = BatchBuilder(2, 0, 0, -1, -1, -1, 200)

    assert builder.append(0, 1, None, b"x" * 1000, []) is not None


@pytest.mark.parametrize("compression", [GZIP, LZ4, ZSTD])
def test_a_bomb_is_read_in_bounded_memory(compression: int) -> None:
    rows: list[Row] = [(b"k", b"\0" * (4 * MIB), []) for _ in range(64)]
    data = batch_of(rows, compression)
    batch = MemoryRecords(data).next_batch()
    tracemalloc.start()

    sizes = [len(message.value) for message in messages_of(batch, TP)]

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sizes == [4 * MIB] * 64
    assert peak < 6 * kafka_records.CHUNK


@pytest.mark.usefixtures("chunk")
def test_of_a_record_that_is_too_long_the_beginning_and_the_digest_are_kept() -> None:
    value = b"0123456789" * 100
    rows: list[Row] = [(None, b"a", []), (b"key", value, [("tz", b"UTC")]), (None, b"b", [])]

    before, cut, behind = read(batch_of(rows, LZ4), limit=200)

    assert (before.value, behind.value) == (b"a", b"b")
    assert len(cut.value) > 150 and value.startswith(cut.value)
    assert cut.headers == {
        "full-length": b"1000",
        "full-sha256": sha256(value).hexdigest().encode(),
    }
    assert cut.offset == 1


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize("key", [b"k" * 1000, b"k" * 170])
def test_of_a_record_whose_key_is_too_long_nothing_is_kept_but_its_place(key: bytes) -> None:
    rows: list[Row] = [(key, b"v" * 500, [("tz", b"UTC")]), (None, b"b", [])]

    cut, behind = read(batch_of(rows, LZ4), limit=200)

    assert (cut.offset, cut.key, len(cut.value) < 200) == (0, None, True)
    assert behind.value == b"b"


@pytest.mark.usefixtures("chunk")
def test_a_record_that_is_too_long_by_its_headers_loses_these() -> None:
    rows: list[Row] = [(b"k", None, [("tz", b"x" * 500)] * 3), (None, b"b", [])]

    cut, behind = read(batch_of(rows, LZ4), limit=200)

    assert (cut.value, cut.headers["full-length"]) == (b"", b"0")
    assert behind.value == b"b"


@pytest.mark.parametrize("compression", [GZIP, LZ4, ZSTD])
def test_a_batch_that_cannot_be_unpacked_is_refused(compression: int) -> None:
    data = bytearray(batch_of([(None, b"value " * 100, [])], compression))
    data[63:75] = b"\xff" * 12

    with pytest.raises(CorruptRecordError, match="samlog.events"):
        read(bytes(data))


@pytest.mark.parametrize("compression", [GZIP, LZ4, ZSTD])
def test_a_batch_that_ends_too_early_is_refused(compression: int) -> None:
    batch = MemoryRecords(batch_of([(None, b"value " * 99, [])] * 9, compression)).next_batch()
    batch._buffer = bytes(batch._buffer)[:-10]

    with pytest.raises(CorruptRecordError, match="samlog.events"):
        list(messages_of(batch, TP))


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
