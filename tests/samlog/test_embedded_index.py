"""Terms, words and ranges of the embedded index."""

import re
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest
import tantivy
from hypothesis import given, settings
from hypothesis import strategies as st

from samlog.store import embedded_terms
from samlog.store.embedded_letters import capitals, plain, restored, spelt, spelt_set
from samlog.store.embedded_query import Translator, hex_range
from samlog.store.embedded_schema import (
    BLOCK_SIZE,
    Stored,
    block_document,
    event_document,
    rank,
    read_block,
    register,
    schema,
    word_analyzer,
)
from samlog.store.embedded_terms import (
    MAX_NAME,
    Indexed,
    KnownTerms,
    Refused,
    date_ms,
    date_text,
    double_key,
    id_terms,
    index_event,
    ip_key,
    long_key,
    shown,
)
from samlog.store.embedded_words import words_text
from samlog.store.fields import IGNORE_ABOVE, Kind, caseless, kind, searchable, tag_truncated
from samlog.store.query import parse
from samlog.store.query_values import address_number

REPLACED = {0: 0x2400} | dict.fromkeys(range(0xFDD1, 0xFDD7), 0xFFFD)
LONGS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
HEX = st.integers(min_value=0, max_value=16**6 - 1)


ID = "x1"


def terms(**fields: Any) -> list[str]:
    event = {name.replace("__", "."): value for name, value in fields.items()}
    return [term for term in index(event).terms if term not in id_terms(ID)]


def index(event: dict[str, Any], known: KnownTerms | None = None) -> Indexed:
    return index_event(
        {"@timestamp": "2026-01-10T00:00:00.000Z", **event}, known or KnownTerms(), ID
    )


# Terms


def test_a_term_holds_the_value_in_lower_case_and_where_it_has_capitals() -> None:
    assert terms(user__name="Admin") == ["user.name=admin\0gA"]
    assert terms(user__name="ADMIN") == ["user.name=admin\0~"]
    assert terms(user__name="admin") == ["user.name=admin\0"]
    assert terms(user__name="\u00c5sa") == ["user.name=\u00e5sa\0\u00c5sa"]


def test_no_term_holds_white_space_at_which_terms_are_split() -> None:
    assert terms(**{"a b": "x\ty\r\n\fZ \u00c5"}) == [
        "a\x01b=x\x03y\x06\x04\x05z\x01\u00e5\0x\x03y\x06\x04\x05Z\x01\u00c5"
    ]


def test_known_terms_are_those_of_an_event_that_is_indexed_first() -> None:
    events: list[dict[str, Any]] = [
        {"f": "1", "source.port": 1, "tags": ["A", "b"]},
        {"f": "1", "source.port": 1, "tags": ["A", "b"]},
        {"f": 1, "source.port": "1", "tags": "A"},
        {"f": True, "source.port": 1.0, "tags": ["A", 1]},
        {"f": None, "source.port": [], "tags": [None]},
        {"f": {"g": "1"}, "source.port": [1, 2], "tags": {}},
    ]
    known = KnownTerms()

    for event in events:
        again, first = index(event, known), index(event)
        assert again.terms == first.terms
        assert again.shapes == first.shapes


def test_known_terms_begin_anew_when_they_take_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_terms, "MAX_KNOWN_BYTES", 5_000)
    known = KnownTerms()

    for number in range(100):
        event = {f"field{number % 7}": str(number), "g": str(number)}
        assert index(event, known).terms == index(event).terms
        assert known.size <= 5_000


def test_of_fields_without_a_value_the_shape_knows_nothing() -> None:
    (shape,) = index({"a": None, "b": [], "c": {}, "d": "x", "e": {"f": 1}}).shapes

    assert shape == "\x1f@timestamp\x1fd\x1fe.f\x1f"


def test_an_event_with_a_value_too_long_is_found_by_its_tag_and_the_rest() -> None:
    event = {"@timestamp": "2026-01-10T00:00:00Z", "a": ["x", "y" * 9_000], "b": "z" * 9_000}

    indexed = index_event(event, KnownTerms(), ID)

    assert indexed.truncated
    assert indexed.terms == [id_terms(ID)[1], "a=x\0", "tags=search_truncated\0"]
    assert indexed.shapes == ["\x1f@timestamp\x1fa\x1ftags\x1f"]
    assert event["tags"] == ["search_truncated"]


def test_a_document_has_one_term_that_tells_its_id() -> None:
    own, other = id_terms(ID)

    assert index({"event.id": ID}).terms == [own]
    assert index({"event.id": "another"}).terms == [other, "event.id=another\0"]
    assert index({}).terms == [other]
    assert index({"event.id": [ID]}).terms == ["event.id=x1\0", other]


def test_an_id_with_capitals_keeps_them() -> None:
    event = {"@timestamp": "2026-01-10T00:00:00Z", "event.id": "Aa"}

    assert index_event(event, KnownTerms(), "Aa").terms == [id_terms("Aa")[1], "event.id=aa\0gA"]


def test_objects_and_arrays_become_a_term_for_each_leaf() -> None:
    assert terms(vendor={"a": [{"b": 1}, {"b": "X"}], "c": None}, tags=["t", None]) == [
        "tags=t\0",
        "vendor.a.b=1\0",
        "vendor.a.b=x\0~",
    ]


def test_an_equals_sign_in_a_name_cannot_pass_for_another_field() -> None:
    assert terms(**{"user.name=admin": "x"}) == ["user.name\x02admin=x\0"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("source.port", "ssh"), ("source.ip", "x"), ("event.created", "x"), ("tls.established", "x")],
)
def test_a_value_that_does_not_fit_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Refused, match=name):
        terms(**{name: value})


@pytest.mark.parametrize("event", [{}, {"@timestamp": None}, {"@timestamp": "soon"}])
def test_an_event_without_a_time_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="@timestamp"):
        index_event(event, KnownTerms(), ID)


def test_a_field_with_a_very_long_name_is_not_indexed() -> None:
    long = "n" * (MAX_NAME + 1)

    assert terms(**{long: "x", "vendor": {long: "y"}, "a": "z"}) == ["a=z\0"]


@given(st.text(max_size=200))
def test_the_value_as_it_was_written_comes_back(value: str) -> None:
    (term,) = terms(f=value)

    assert shown(Kind.KEYWORD, term.removeprefix("f=")) == value.translate(REPLACED)


@given(st.text(st.sampled_from(" aBcXYZ\t-\u00c5"), max_size=40))
def test_where_a_value_has_capitals_tells_how_it_was(value: str) -> None:
    differing = capitals(value, caseless(value))

    assert restored(caseless(value), differing) == value
    assert not set(differing) & set(" \t\n\f\r\0")


CHARS = st.characters(codec="utf-8")


@given(
    CHARS, CHARS, st.one_of(CHARS, st.sampled_from("\0\1\2\3\4\5\6\7\t\n\x0b\f\r !\ufdd0\ufdd1"))
)
def test_a_set_of_characters_is_that_of_their_letters(low: str, high: str, char: str) -> None:
    low, high = sorted((low, high))

    letters = [*spelt_set(low, high)]

    assert plain(spelt(char)) == char.translate(REPLACED)
    if char.translate(REPLACED) == char:
        within = any(first <= spelt(char) <= last for first, last in letters)
        assert within == (low <= char <= high)


@given(LONGS, LONGS)
def test_numbers_keep_their_order_as_text(a: int, b: int) -> None:
    assert (a < b) == (long_key(a) < long_key(b))
    assert shown(Kind.LONG, long_key(a) + "\0") == str(a)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_fractions_keep_their_order_as_text(a: float, b: float) -> None:
    assert (a < b) == (double_key(a) < double_key(b))
    assert float(shown(Kind.DOUBLE, double_key(a) + "\0")) == a


@given(st.ip_addresses(), st.ip_addresses())
def test_addresses_keep_their_order_as_text(a: Any, b: Any) -> None:
    first, second = address_number(a), address_number(b)

    assert (first < second) == (ip_key(first) < ip_key(second))
    assert ip_address(shown(Kind.IP, ip_key(first) + "\0")) in (a, getattr(a, "ipv4_mapped", a))


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_of_all_years_come_back_to_the_millisecond(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    ms = date_ms(moment.isoformat())

    assert datetime.fromisoformat(date_text(ms)) == moment


# Ranges


@given(HEX, HEX, HEX)
def test_a_range_of_hex_numbers_holds_those_between(low: int, high: int, number: int) -> None:
    low, high = sorted((low, high))

    form = hex_range(f"{low:06x}", f"{high:06x}")

    for candidate in (low, high, number):
        assert bool(re.fullmatch(form, f"{candidate:06x}")) == (low <= candidate <= high)


def finds(text: str, **fields: Any) -> bool:
    """Tells whether a query finds an event of these fields."""
    layout = schema()
    tantivy_index = tantivy.Index(layout)
    writer = tantivy_index.writer(15_000_000, 1)
    event = {name.replace("__", "."): value for name, value in fields.items()}
    register(tantivy_index)
    indexed = index(event)
    writer.add_document(event_document("logs-test.log-unit", "1", indexed, 0))
    writer.commit()
    tantivy_index.reload()
    searcher = tantivy_index.searcher()
    found: Any = searcher.search(
        Translator(layout, searcher, word_analyzer()).query(parse(text)), 1, count=True
    )
    return bool(found.count)


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.sampled_from("aB\n.*é\\\0 \1"), max_size=6),
    st.text(st.sampled_from("aB*?.é\\"), min_size=1, max_size=6),
)
def test_a_wildcard_finds_what_it_means(value: str, pattern: str) -> None:
    gaps = {"*": "(?s:.)*", "?": "(?s:.)"}
    meaning = "".join(gaps.get(c, re.escape(c)) for c in caseless(pattern))
    text = "".join(c if c in gaps or c.isalnum() else f"\\{c}" for c in pattern)

    assert finds(f"f:{text}", f=value) == bool(re.fullmatch(meaning, caseless(value)))


def test_a_pattern_too_large_for_tantivy_is_answered_all_the_same() -> None:
    pattern = "*".join("abcdefghijklmnopqrst")

    assert finds(f"f:*{pattern}*", f="Abcdefghijklmnopqrst")
    assert not finds(f"f:*{pattern}*", f="abcdefghijklmnopqrs")


def test_a_value_with_nul_is_not_taken_for_its_beginning() -> None:
    assert not finds("user.name:admin", user__name="admin\0x")
    assert finds("user.name:admin?x", user__name="admin\0x")


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        (r"f:a\ b", "A B", True),
        ('f:"a b"', "A B", True),
        (r"f:*\ b", "A B", True),
        ("f:a?b", "A\nB", True),
        ("f:/a b/", "A B", True),
        (r"f:/a\sb/", "A\tB", True),
        ("f:/a[ -~]b/", "A B", True),
        ("f:/a[^ ]b/", "A B", False),
        ("f:/a[^ ]b/", "A\x01B", True),
        ("f:/a[!-~]b/", "A B", False),
        ('f:["a a" TO "a c"]', "A B", True),
        ('f:["a\x02" TO "a~"]', "A B", True),
        ('f:["a!" TO "a~"]', "A B", False),
        ("f:b", "A B", False),
        (r"a\ b:x", "A B", False),
    ],
)
def test_white_space_in_values_is_white_space_in_queries(
    text: str, value: str, expected: bool
) -> None:
    assert finds(text, f=value) is expected


def test_a_field_with_white_space_in_its_name_is_found() -> None:
    assert finds(r"a\ b:x", **{"a b": "X"})
    assert not finds(r"a\ b:x", a="b=X")


def test_what_a_pattern_does_not_see_is_the_original_behind_the_value() -> None:
    assert not finds("f:*c*b", f="AbC")
    assert not finds("f:/abc.+/", f="AbC")


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("message:a_b", "a_b", True),
        ("message:a", "a_b", False),
        ("message:a_*", "a_b", True),
        ("message:evil.*", "evil.exe", True),
        (r"message:/e[a-z.]+e/", "evil.exe", True),
        (r"message:/\\w+/", "snake_case", False),
        (r"message:/\w+/", "snake_case", True),
        ('message:"b c"', "a b c", True),
        ('message:"c b"', "a b c", False),
        ('message:"漢字"', "漢字", True),
        ("message:字", "漢字", True),
        ("message:CAFÉ", "cafe\u0301", True),
        ('message:"!!"', "!!", False),
    ],
)
def test_words_of_a_text(text: str, value: str, expected: bool) -> None:
    assert finds(text, message=value) is expected


# Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Failed password for root", ["failed", "password", "for", "root"]),
        (r"C:\Windows\evil.exe", ["c", "windows", "evil.exe"]),
        ("10.0.0.1:22", ["10.0.0.1", "22"]),
        ("web1.example.org", ["web1", "example.org"]),
        ("it's a-b x_y", ["it's", "a", "b", "x_y"]),
        ("key=value;a:b", ["key", "value", "a:b"]),
        ("1,000.5 a,b", ["1,000.5", "a", "b"]),
        ("x. y' _z_", ["x", "y", "_z_"]),
        ("漢字かな", ["漢", "字", "か", "な"]),
        ("", []),
    ],
)
def test_words_are_those_of_unicode(text: str, words: list[str]) -> None:
    letters = {ord(words_text(f"a{joiner}b")[1]): joiner for joiner in "_.:'"}
    letters |= {ord(words_text("1,2")[1]): ","}

    found = word_analyzer().analyze(words_text(text))

    assert [word.translate(letters) for word in found] == words


# Shared decisions


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user.name", Kind.KEYWORD),
        ("process.command_line", Kind.KEYWORD),
        ("message", Kind.TEXT),
        ("winlog.event_data.LogonType", Kind.KEYWORD),
        ("samlog.json", Kind.FLATTENED),
        ("samlog.json.a.b", Kind.FLATTENED),
        ("samlog.invalid.source.ip", Kind.FLATTENED),
        ("source.geo.location.lat", Kind.GEO),
        ("event.original", Kind.STORED),
        ("process", Kind.OBJECT),
        ("gen_ai.request.stop_sequences", Kind.KEYWORD),
        ("x" * 100_000, Kind.KEYWORD),
    ],
)
def test_kind_follows_from_the_name(name: str, expected: Kind) -> None:
    assert kind(name) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x" * IGNORE_ABOVE, True),
        ("x" * (IGNORE_ABOVE + 1), False),
        ("\U0001f600" * (IGNORE_ABOVE // 2), True),
        ("\U0001f600" * (IGNORE_ABOVE // 2 + 1), False),
    ],
)
def test_length_is_counted_in_utf_16(text: str, expected: bool) -> None:
    assert searchable(text) is expected


@pytest.mark.parametrize(
    "event",
    [
        {"vendor.a": "x" * 9_000},
        {"vendor.a": ["y", "x" * 9_000]},
        {"samlog.json": {"a": [{"b": "x" * 9_000}]}},
    ],
)
def test_an_event_with_a_value_too_long_is_tagged_once(event: dict[str, Any]) -> None:
    assert tag_truncated(event)
    assert tag_truncated(event)

    assert event["tags"] == ["search_truncated"]


def test_long_texts_and_originals_are_not_truncated() -> None:
    event = {"message": "x" * 9_000, "event.original": "x" * 9_000}

    assert not tag_truncated(event)
    assert "tags" not in event


def test_a_letter_is_lowered_as_lucene_does() -> None:
    assert caseless("\u0130\u03a3") == "i\u03c3"


# Blocks


@given(st.lists(st.tuples(st.text(), st.text(), st.binary()), min_size=1, max_size=BLOCK_SIZE))
def test_a_block_gives_back_what_it_took(rows: list[tuple[str, str, bytes]]) -> None:
    block = [Stored(*row) for row in rows]

    document = block_document(1, block)

    assert read_block(bytes(document["data"][0])) == block


@given(st.text(max_size=12), st.text(max_size=12))
def test_a_rank_never_contradicts_the_order_of_ids(a: str, b: str) -> None:
    first, second = sorted((a, b))

    assert rank(first) <= rank(second)
