"""Blocks give back what was packed, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samlog.bus.embedded_block import MAX_BYTES, MAX_RECORDS, Packer, Row, split
from samlog.bus.embedded_format import encode_headers

HEADERS = st.dictionaries(st.text(max_size=5), st.binary(max_size=9), max_size=3)
ROWS = st.tuples(st.none() | st.binary(max_size=9), HEADERS, st.binary(max_size=300))


@given(st.lists(ROWS, min_size=1, max_size=20), st.integers(0, 2**62), st.integers(0, 2**42))
def test_a_block_gives_back_keys_headers_and_values(
    given_rows: list[tuple[bytes | None, dict[str, bytes], bytes]], offset: int, ms: int
) -> None:
    rows = [(key, encode_headers(headers), value) for key, headers, value in given_rows]

    messages = Packer().unpack(Packer().pack(rows), len(rows), "topic", offset, ms)

    assert [(m.key, m.headers, m.value) for m in messages] == given_rows
    assert [m.offset for m in messages] == list(range(offset, offset + len(rows)))
    assert {(m.topic, m.partition, m.appended_ms) for m in messages} == {("topic", 0, ms)}


@given(st.binary(max_size=200), st.integers(1, 5))
def test_what_is_no_block_is_refused(data: bytes, count: int) -> None:
    packed = Packer().pack([(None, b"", data)])
    for wrong in (data, packed[:-1], packed[1:]):
        with pytest.raises(ValueError, match="block"):
            Packer().unpack(wrong, count, "topic", 0, 0)


def test_a_block_with_another_number_of_records_is_refused() -> None:
    rows: list[Row] = [(b"k", b"", b"value")] * 3
    packed = Packer().pack(rows)
    for count in (1, 2, 4):
        with pytest.raises(ValueError, match="block"):
            Packer().unpack(packed, count, "topic", 0, 0)


@given(st.lists(st.sampled_from([0, 10, 100_000, MAX_BYTES, 2 * MAX_BYTES]), max_size=400))
def test_portions_hold_all_rows_in_order_within_the_limits(sizes: list[int]) -> None:
    rows: list[Row] = [(b"%d" % n, b"", bytes(size)) for n, size in enumerate(sizes)]

    portions = list(split(rows))

    assert [row for portion in portions for row in portion] == rows
    assert all(1 <= len(portion) <= MAX_RECORDS for portion in portions)
    assert all(len(p) == 1 or sum(len(row[2]) for row in p) <= MAX_BYTES for p in portions)
