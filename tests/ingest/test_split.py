import json
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.split import WINDOW, JsonSplitter, LineSplitter, Piece, Splitter

LIMIT = 20


def fed(splitter: Splitter, chunks: list[bytes]) -> list[Piece]:
    pieces: list[Piece] = []
    for chunk in chunks:
        pieces += splitter.feed(chunk)
    return pieces


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]


line_bytes = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"\x00", b"xyz" * 9, b"\xff"]), max_size=60
).map(b"".join)
json_bytes = st.lists(
    st.sampled_from(
        [b"{", b"}", b'"', b"\\", b"[", b"]", b",", b"\n", b" ", b"ab" * 12, b'{"a":"}"}', b"\xef"]
        + [b'{"Records": [', b'{"Records":[{}]}', b"\xef\xbb\xbf"]
    ),
    max_size=60,
).map(b"".join)
places = st.lists(st.integers(0, 2000), max_size=12)


def test_lines_lose_their_line_end_and_keep_their_place() -> None:
    pieces = LineSplitter(100).feed(b"one\r\n\ntwo\n\x00\xff\nrest")

    assert pieces == [Piece(0, 4, b"one"), Piece(6, 9, b"two"), Piece(10, 12, b"\x00\xff")]


def test_a_line_over_the_limit_is_cut_and_tells_its_length_and_hash() -> None:
    line = b"x" * 50

    [piece] = LineSplitter(LIMIT).feed(line + b"\r\n")

    assert piece.value == line[:LIMIT]
    assert piece.full == (50, sha256(line).hexdigest())


def test_a_line_of_exactly_the_limit_is_whole() -> None:
    [piece] = LineSplitter(LIMIT).feed(b"x" * LIMIT + b"\r\n")

    assert piece.value == b"x" * LIMIT
    assert piece.full is None


def test_a_line_of_20_mb_never_stays_in_memory() -> None:
    splitter = LineSplitter(1000)

    for _ in range(320):
        assert splitter.feed(b"y" * 65536) == []
        assert len(splitter._rest) <= 1001

    [piece] = splitter.feed(b"\n")
    assert len(piece.value) == 1000
    assert piece.full is not None
    assert piece.full.length == 320 * 65536


@given(line_bytes, places)
def test_lines_are_the_same_whatever_the_chunks(data: bytes, cuts: list[int]) -> None:
    whole, chunked = LineSplitter(LIMIT), LineSplitter(LIMIT)

    assert fed(chunked, cut_at(data, cuts)) == whole.feed(data)
    assert chunked.finish() == whole.finish()
    assert (chunked.position, chunked.before) == (whole.position, whole.before)


@given(line_bytes)
def test_lines_are_those_of_a_plain_split(data: bytes) -> None:
    splitter = LineSplitter(10_000)

    pieces = splitter.feed(data) + splitter.finish()

    expected = [one[:-1] if one.endswith(b"\r") else one for one in data.split(b"\n")]
    assert [piece.value for piece in pieces] == [one for one in expected if one]
    assert all(
        data[piece.offset : piece.end].rstrip(b"\r") == piece.value.rstrip(b"\r")
        for piece in pieces
    )


@given(line_bytes, places)
def test_reading_on_from_the_position_gives_what_is_left(data: bytes, cuts: list[int]) -> None:
    for kind in (LineSplitter, JsonSplitter):
        first = kind(LIMIT)
        head, tail = cut_at(data, cuts[:1])[0], b""
        got = first.feed(head)
        tail = data[first.position :]
        second = kind(LIMIT, first.position, first.before)

        got += second.feed(tail) + second.finish()

        whole = kind(LIMIT)
        assert got == whole.feed(data) + whole.finish()


@given(line_bytes)
def test_before_is_what_stands_in_front_of_the_position(data: bytes) -> None:
    for kind in (LineSplitter, JsonSplitter):
        splitter = kind(LIMIT)
        splitter.feed(b"z\n" * 700)
        splitter.feed(data)
        content = b"z\n" * 700 + data
        assert splitter.before == content[: splitter.position][-WINDOW:]


@given(json_bytes, places)
@settings(max_examples=400)
def test_objects_are_the_same_whatever_the_chunks(data: bytes, cuts: list[int]) -> None:
    whole, chunked = JsonSplitter(LIMIT), JsonSplitter(LIMIT)

    assert fed(chunked, cut_at(data, cuts)) == whole.feed(data)
    assert chunked.finish() == whole.finish()
    assert (chunked.position, chunked.before) == (whole.position, whole.before)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
objects = st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=4), max_size=6)


@given(objects, st.sampled_from([None, 2]), st.booleans(), st.booleans())
def test_every_object_comes_out_with_its_own_bytes(
    values: list[dict[str, object]], indent: int | None, array: bool, escaped: bool
) -> None:
    texts = [json.dumps(value, indent=indent, ensure_ascii=escaped).encode() for value in values]
    data = b"[" + b",\n".join(texts) + b"]" if array else b"\n".join(texts)
    splitter = JsonSplitter(1_000_000)

    pieces = splitter.feed(data) + splitter.finish()

    if not any(text.startswith(b'{"Records"') for text in texts):
        assert [piece.value for piece in pieces] == texts


def test_records_of_cloudtrail_are_sliced_one_by_one() -> None:
    data = b'{"Records": [{"a": {"b": 1}}, {"a": 2}]}\n'

    assert [p.value for p in JsonSplitter(99).feed(data)] == [b'{"a": {"b": 1}}', b'{"a": 2}']


def test_text_between_objects_is_an_event_for_the_parser_to_refuse() -> None:
    data = b'{"a": 1}\nnot json\r\n{"b": 2} tail {"c": 3'
    splitter = JsonSplitter(99)

    pieces = splitter.feed(data) + splitter.finish()

    assert [p.value for p in pieces] == [
        b'{"a": 1}',
        b"not json",
        b'{"b": 2}',
        b"tail ",
        b'{"c": 3',
    ]


def test_an_object_of_depth_10000_is_one_event() -> None:
    data = b'{"a":' * 10_000 + b"1" + b"}" * 10_000

    assert [p.value for p in JsonSplitter(1_000_000).feed(data)] == [data]


def test_an_object_over_the_limit_is_cut_and_the_next_is_whole() -> None:
    big = b'{"a":"' + b"x" * 100 + b'"}'

    first, second = JsonSplitter(LIMIT).feed(big + b'\n{"b":1}')

    assert first.full == (len(big), sha256(big).hexdigest())
    assert first.value == big[:LIMIT]
    assert second.value == b'{"b":1}'
