"""Headers, checksums and the mark: what the embedded bus writes comes back or is found wrong."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samlog.bus.embedded_block import checksum
from samlog.bus.embedded_format import (
    check_name,
    decode_headers,
    encode_headers,
    read_mark,
    write_mark,
)
from samlog.errors import BadEvent, BusError

names = st.text(st.characters(), max_size=20)


@given(st.dictionaries(names, st.binary(max_size=50), max_size=20))
def test_headers_come_back_as_they_were(headers: dict[str, bytes]) -> None:
    assert decode_headers(encode_headers(headers)) == headers


def test_no_headers_take_no_bytes() -> None:
    assert encode_headers({}) == b""


def test_names_and_sizes_beyond_64_kib_are_refused() -> None:
    with pytest.raises(BadEvent, match="record_too_large"):
        encode_headers({"n" * 70_000: b""})


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_flipped_bit_changes_the_checksum(value: bytes, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    flipped = bytearray(value)
    flipped[bit // 8] ^= 1 << bit % 8

    assert checksum(7, 3, 1_000, value) != checksum(7, 3, 1_000, bytes(flipped))


def test_a_block_under_another_offset_number_or_time_fails_its_checksum() -> None:
    right = checksum(7, 3, 1_000, b"v")

    assert right != checksum(8, 3, 1_000, b"v")
    assert right != checksum(7, 4, 1_000, b"v")
    assert right != checksum(7, 3, 1_001, b"v")


def test_a_mark_comes_back_and_a_torn_one_counts_as_none(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "mark", os.O_RDWR | os.O_CREAT)
    try:
        assert read_mark(fd) == (0, 0)
        write_mark(fd, 3, 2**40)
        assert read_mark(fd) == (3, 2**40)
        os.pwrite(fd, b"\xff", 9)
        assert read_mark(fd) == (0, 0)
        os.ftruncate(fd, 10)
        assert read_mark(fd) == (0, 0)
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", ".hidden", "a b", "å", "x" * 201])
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(BusError, match="cannot name a topic"):
        check_name("topic", name)
