from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.framing import Framer, Message

LIMIT = 40


def all_of(data: bytes, cuts: list[int] | None = None, limit: int = LIMIT) -> list[Message]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    framer = Framer(limit)
    found = [m for a, b in zip(edges, edges[1:], strict=False) for m in framer.feed(data[a:b])]
    return found + framer.finish()


def values(data: bytes, limit: int = 10_000) -> list[bytes]:
    return [value for value, _ in all_of(data, limit=limit)]


stream = st.lists(
    st.sampled_from(
        [b"<34>1 - host", b"\n", b"\r\n", b"12 <34>1 - a b c", b"9", b"5 ", b" ", b"<", b"1>"]
        + [b"60 <1>", b"0", b"x" * 45, b"\x00", b"\xff", b"123456789", b"7 <13>ab\n", b"99999 <0>"]
    ),
    max_size=40,
).map(b"".join)


@given(stream, st.lists(st.integers(0, 3000), max_size=15))
@settings(max_examples=600)
def test_messages_are_the_same_whatever_the_chunks(data: bytes, cuts: list[int]) -> None:
    assert all_of(data, cuts) == all_of(data)


@given(stream)
def test_messages_are_the_same_byte_by_byte(data: bytes) -> None:
    assert all_of(data, list(range(len(data)))) == all_of(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_framed_within_the_limit(data: bytes) -> None:
    assert all(0 < len(value) <= LIMIT for value, _ in all_of(data))


messages = st.lists(
    st.binary(min_size=1, max_size=60).map(lambda text: b"<34>" + text.rstrip(b"\r\n\0") + b"."),
    max_size=8,
)


@given(messages)
def test_octet_counted_messages_come_out_whole_with_line_feeds_inside(sent: list[bytes]) -> None:
    data = b"".join(b"%d %b" % (len(one), one) for one in sent)

    assert values(data) == sent


@given(messages)
def test_both_framings_may_be_mixed_on_one_connection(sent: list[bytes]) -> None:
    sent = [one.replace(b"\n", b" ") for one in sent]
    counted = [b"%d %b" % (len(one), one) if n % 2 else one + b"\n" for n, one in enumerate(sent)]

    assert values(b"".join(counted)) == sent


def test_a_line_that_begins_with_a_number_is_a_line() -> None:
    data = b"404 <html> not found\n2026-01-10 started\n12\n"

    assert values(data) == [b"404 <html> not found", b"2026-01-10 started", b"12"]


def test_line_ends_and_empty_messages_are_left_out() -> None:
    assert values(b"<1>a\r\n\n\r\n7 <1>bc\r\n<1>d\0\n") == [b"<1>a", b"<1>bc", b"<1>d"]


def test_what_a_connection_leaves_unfinished_is_a_message() -> None:
    assert values(b"<1>whole\n<1>ha") == [b"<1>whole", b"<1>ha"]
    assert values(b"100 <1>counted") == [b"<1>counted"]


@pytest.mark.parametrize("counted", [True, False])
def test_a_message_over_the_limit_is_cut_and_the_next_is_whole(counted: bool) -> None:
    big = b"<34>" + b"x" * 100
    data = (b"104 " + big if counted else big + b"\n") + b"<34>next\n"

    first, second = all_of(data)

    assert first == (big[:LIMIT], (104, sha256(big).hexdigest()))
    assert second == (b"<34>next", None)


lines = st.lists(
    st.text("<>1 ab\xe6", max_size=20).map(lambda text: b"<34>" + text.encode() + b".")
)


@given(st.integers(4 * LIMIT + 1, 10**11), lines)
def test_a_count_that_cannot_be_one_takes_nothing_of_what_follows(
    count: int, after: list[bytes]
) -> None:
    false = b"%d <34>x" % count

    found = all_of(b"\n".join([false, *after, b""]))

    assert [value for value, _ in found] == [one[:LIMIT] for one in [false, *after]]


@given(st.integers(1, 4 * LIMIT), lines)
def test_a_wrong_count_takes_no_more_than_it_says_and_the_line_it_ends_in(
    count: int, after: list[bytes]
) -> None:
    sent = b"".join(one + b"\n" for one in [b"<34>x", *after])

    found = [value for value, _ in all_of(b"%d " % count + sent)]

    behind = sent[count:].partition(b"\n")[2].split(b"\n")
    whole = [one[:LIMIT] for one in behind if one]
    assert found[len(found) - len(whole) :] == whole


@given(st.integers(4 * LIMIT + 1, 10**9 - 1), st.lists(st.integers(0, 100), max_size=9))
def test_a_count_that_cannot_be_one_is_counted_once_whatever_the_chunks(
    count: int, cuts: list[int]
) -> None:
    data = b"%d <34>x\n" % count + b"<34>y\n"
    edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    framer = Framer(LIMIT)
    for start, end in pairwise(edges):
        framer.feed(data[start:end])

    assert framer.errors == 1


def test_a_message_of_four_times_the_limit_is_still_counted() -> None:
    big = b"<34>" + b"x\n" * (2 * LIMIT - 2)

    first, second = all_of(b"%d %b<34>next\n" % (len(big), big))

    assert first == (big[:LIMIT], (len(big), sha256(big).hexdigest()))
    assert second == (b"<34>next", None)


@pytest.mark.parametrize("count", [b"999999999", b"%d" % (4 << 20)])
def test_a_huge_count_takes_no_memory(count: bytes) -> None:
    framer = Framer(LIMIT if count == b"999999999" else 1 << 20)
    framer.feed(count + b" <1>")

    for _ in range(60):
        assert framer.feed(b"z" * 65536) == []

    assert len(framer._buffer) <= 65536
