"""Bytes become text without losing any."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.decode import decode, encode
from samlog.errors import BadEvent


def test_utf8_is_taken_as_it_is() -> None:
    assert decode("blåbærgrød".encode()) == ("blåbærgrød", "utf-8", ())


def test_what_is_not_utf8_is_windows_1252_and_says_so() -> None:
    assert decode("smörgås €".encode("cp1252")) == ("smörgås €", "cp1252", ("encoding_fallback",))


def test_utf16_is_known_by_its_mark() -> None:
    data = codecs.BOM_UTF16_LE + "æøå".encode("utf-16-le")
    assert decode(data).text == "\ufeffæøå"


def test_the_header_names_the_encoding() -> None:
    assert decode("blå".encode("cp865"), "cp865") == ("blå", "cp865", ())


def test_a_wrong_or_unknown_encoding_header_is_not_believed() -> None:
    assert decode(b"abc \xe6", "utf-32").encoding == "cp1252"
    assert decode(b"abc \xe6", "no-such-encoding").encoding == "cp1252"
    assert decode(b"abc \xe6", "zlib").encoding == "cp1252"


@pytest.mark.parametrize("data", [b"", b" ", b"\r\n\t "])
def test_white_space_is_refused_as_empty(data: bytes) -> None:
    with pytest.raises(BadEvent, match="empty"):
        decode(data)


@pytest.mark.parametrize("data", [bytes(range(256)), b"\0" * 100, b"\x1f\x8b\x08\x00\x00\x00\x00"])
def test_binary_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(BadEvent, match="binary"):
        decode(data)


def test_a_nul_byte_in_a_line_is_kept_and_tagged() -> None:
    assert decode(b"Jan 10 a\0b") == ("Jan 10 a\0b", "utf-8", ("nul_bytes",))


@given(st.binary(max_size=200), st.sampled_from(["", "cp865", "utf-16", "latin-1", "utf-8"]))
def test_the_bytes_come_back_from_whatever_is_decoded(data: bytes, encoding: str) -> None:
    try:
        found = decode(data, encoding)
    except BadEvent as bad:
        assert bad.reason in ("empty", "binary")
    else:
        assert encode(found.text, found.encoding) == data
