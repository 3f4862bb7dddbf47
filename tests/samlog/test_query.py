"""What a query means, and what is refused with which sentence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samlog.errors import ConfigError
from samlog.store import query as language
from samlog.store.fields import DEFAULT_FIELDS
from samlog.store.query import check_countable, parse
from samlog.store.query_elastic import to_elastic
from samlog.store.query_tree import (
    All,
    And,
    Between,
    CharSet,
    Exists,
    Gap,
    Is,
    Like,
    Literal,
    Matches,
    Node,
    Not,
    Nothing,
    Or,
    Words,
)

A, B, C = Is("f", "a"), Is("f", "b"), Is("f", "c")
MANY, ONE = Gap.MANY, Gap.ONE


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", All()),
        ("  ", All()),
        ("*", All()),
        ("*:*", All()),
        # How conditions are put together.
        ("f:a f:b", And((A, B))),
        ("f:a AND f:b", And((A, B))),
        ("f:a && f:b", And((A, B))),
        ("f:(a b)", And((A, B))),
        ("f:a OR f:b", Or((A, B))),
        ("f:a || f:b", Or((A, B))),
        ("f:a OR f:b f:c", And((Or((A, B)), C))),
        ("f:a || f:b f:c", And((Or((A, B)), C))),
        ("f:a OR f:b -f:c", And((Or((A, B)), Not(C)))),
        ("f:a OR f:b -f:c OR f:d", And((Or((A, B)), And((Not(C), Is("f", "d")))))),
        ("f:a OR (f:b -f:c)", Or((A, And((B, Not(C)))))),
        ("f:a OR f:b AND f:c", Or((A, And((B, C))))),
        ("f:a || f:b && f:c", Or((A, And((B, C))))),
        ("f:a && f:b || f:c", Or((And((A, B)), C))),
        ('f:"a && b"', Is("f", "a && b")),
        ("NOT f:a", Not(A)),
        ("-f:a", Not(A)),
        ("!f:a", Not(A)),
        ("! (f:a)", Not(A)),
        ("f:b !(f:a)", And((B, Not(A)))),
        ("f:(!a)", Not(A)),
        ("+f:a f:b -f:c", And((A, B, Not(C)))),
        ("+f:a OR f:b", A),
        ("f:a OR -f:b", And((Not(B), A))),
        ("f:a OR NOT f:b", Or((A, Not(B)))),
        # Values.
        ("f:A", A),
        ('f:"A"', A),
        ("f.caseless:A", A),
        (r"f:x\ y", Is("f", "x y")),
        (r'f:"x \"y\" \\"', Is("f", 'x "y" \\')),
        (r"f:http\://x", Is("f", "http://x")),
        ("f:-enc", Is("f", "-enc")),
        ('f:"*"', Is("f", "*")),
        (r"f:\*", Is("f", "*")),
        (r"f\:g:a", Is("f:g", "a")),
        ("f:*", Exists("f")),
        ("f:**", Exists("f")),
        ("f:[* TO *]", Exists("f")),
        ("_exists_:f", Exists("f")),
        ("f:A*b?", Like("f", ("a", MANY, "b", ONE))),
        ("f:a**", Like("f", ("a", MANY))),
        (r"f:C\:\\*\*", Like("f", ("c:\\", MANY, "*"))),
        ("source.port:22", Is("source.port", 22)),
        ("source.port:-5", Is("source.port", -5)),
        ("source.port:[1 TO 5}", Between("source.port", 1, 4)),
        ("source.port:>5", Between("source.port", 6, None)),
        ("source.port:[5 TO 1]", Nothing()),
        ("event.risk_score:{1 TO 2.5]", Between("event.risk_score", 1.0, 2.5, False, True)),
        ("tls.established:TRUE", Is("tls.established", True)),
        ('source.ip:"::1"', Between("source.ip", 1, 1)),
        ("source.ip:0.0.0.0/31", Between("source.ip", 0xFFFF << 32, (0xFFFF << 32) + 1)),
        ("source.ip:1.*", Between("source.ip", 0xFFFF01000000, 0xFFFF01FFFFFF)),
        ("@timestamp:1970-01-01", Between("@timestamp", 0, 86_399_999)),
        ("@timestamp:>1970-01-01", Between("@timestamp", 86_400_000, None)),
        ("@timestamp:<1970-01-01T00:00:01", Between("@timestamp", None, 999)),
        ('@timestamp:"1970-01-01T01:00:00.5+01:00"', Between("@timestamp", 500, 500)),
        ("event.created:1970", Between("event.created", 0, 365 * 86_400_000 - 1)),
        ('f:["A" TO c}', Between("f", "a", "c", True, False)),
        ("samlog.json.a:X", Is("samlog.json.a", "x")),
        ("message:foo-bar", Words("message", "foo-bar", False)),
        ('message:"Foo bar"', Words("message", "Foo bar", True)),
        ("message:Foo*", Like("message", ("foo", MANY))),
        ("f:/a/", Matches("f", (Literal("a"),))),
    ],
)
def test_meaning(text: str, meaning: Node) -> None:
    assert parse(text) == meaning


def test_a_regular_expression_is_read_in_the_case_of_comparison() -> None:
    digits = CharSet((("0", "9"),))
    letters = CharSet((("B", "D"), ("]", "]"), ("b", "d")))

    assert parse(r"f:/A[B-D\]]\d{2}(\.x|[^é])*/") == Matches(
        "f",
        (
            Literal("a"),
            letters,
            digits,
            "{2,2}",
            "(",
            Literal("."),
            Literal("x"),
            "|",
            CharSet((("é", "é"),), negated=True),
            ")",
            "*",
        ),
    )


def test_a_term_without_a_field_is_looked_for_in_the_default_fields_that_can_hold_it() -> None:
    meaning = parse("Mimikatz")

    assert isinstance(meaning, Or)
    assert Words("message", "Mimikatz", False) in meaning.parts
    assert Is("process.name", "mimikatz") in meaning.parts
    assert not any(part.field == "related.ip" for part in meaning.parts)  # type: ignore[union-attr]  # leaves have one
    assert len(meaning.parts) == len(DEFAULT_FIELDS) - 1


def test_an_address_without_a_field_is_looked_for_in_addresses_too() -> None:
    meaning = parse("10.0.0.1")

    assert isinstance(meaning, Or)
    assert len(meaning.parts) == len(DEFAULT_FIELDS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("f:a AND", "cannot be read"),
        ("(f:a", "cannot be read"),
        ("AND", "position 0"),
        ('f:a "open', "a quotation mark or slash is not closed: '\"open'"),
        ("f:a~", "at position 2: a fuzzy term"),
        ('f:"a b"~2', "proximity"),
        ("f:a^2", "a boost"),
        ("f:a~.", "cannot be read"),
        ("f:a:b", "a: stands below f: escape the colon"),
        ("winlog.*:a", "takes no wildcards"),
        ("f:a ||", "cannot be read"),
        ("|| f:a", "cannot be read"),
        ("f:a !", "nothing after it"),
        ("f:a or f:b", "write OR in capitals"),
        ("f:a OR f:b AND f:c -f:d", "need brackets"),
        ("not f:a", "write NOT in capitals"),
        ("f:(a and b)", "write AND in capitals"),
        ("f:/etc/passwd", "needs quotation marks"),
        ("NOT f:/var/log/auth.log", "needs quotation marks"),
        (r"C:\\x f:D\admin", r"a backslash is written \\"),
        (r'"C:\Windows"', r"a backslash is written \\"),
        (r"*\cmd.exe", r"a backslash is written \\"),
        ("_exists_:user.*", "takes no wildcards"),
        (">5", "a range needs a field"),
        ("source.ip:a", "source.ip is an address like"),
        ("source.ip:10.0.0.0/40", "a network like"),
        ("source.ip:1?.0.0.1", "write 10.1"),
        ("source.port:ssh", "source.port is a whole number, not 'ssh'"),
        ("source.port:9223372036854775808", "64 bits"),
        ("source.port:2*", "takes no wildcards"),
        ("source.port:/2/", "takes no regular expressions"),
        ("source.port:[a TO 5]", "the range is a to 5"),
        ("tls.established:maybe", "true or false"),
        ("@timestamp:yesterday", "a time like"),
        ("@timestamp:2026-13-01", "of the calendar"),
        ("winlog.event_id:>=4624", "a range of numbers would be wrong"),
        ("message:[a TO b]", "takes no ranges"),
        (r"message:a\ b*", "within one"),
        ("process:a", "process holds fields and no value"),
        ("samlog.json:a", "name a field below it"),
        ("samlog.json.a:b*", "takes no wildcards"),
        ("event.original:a", "is kept and not indexed"),
        ("source.geo.location:a", "is a place"),
        ("f:/(a/", "( without its )"),
        ("f:/a)/", ") without its ("),
        ("f:/*a/", "nothing before it to repeat"),
        ("f:/a**/", "nothing before it to repeat"),
        ("f:/^a/", "the whole value is compared"),
        ("f:/(?i)a/", "(? are not supported"),
        (r"f:/\bx/", r"\b is not supported"),
        ("f:/a{65}/", "at most 64 times"),
        ("f:/a{3,2}/", "from the smaller"),
        ("f:/a{x}/", "begins a repetition"),
        ("f:/[z-a]/", "from the smaller"),
        ("f:/[]/", "an empty set"),
        ("f:/[a/", "[ without its ]"),
        ("f:/" + "a" * 257 + "/", "at most 256 characters"),
        ("f:" + "a" * 256 + "*", "at most 256 characters"),
        ("f:a " * 1_100, "at most 4096 characters"),
        ("(" * 40 + "f:a" + ")" * 40, "at most 32 deep"),
        ("f:(" + " ".join("a" * 1_025) + ")", "at most 1024 conditions"),
        ("a " * 64, "at most 1024 conditions"),
        ("f:(" + "a* " * 65 + ")", "at most 64 wildcards"),
        ("a* b* c* d* e*", "at most 64 wildcards"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(text)

    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "field", ["message", "event.original", "process", "samlog.json", "source.geo.location"]
)
def test_fields_without_countable_values_are_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} cannot be counted"):
        check_countable(field)


@given(st.text(alphabet=st.sampled_from(list('ab:*?"/\\()[]{}~^+-!&|<>= 1.é\0')), max_size=40))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        parse(text)
    except ConfigError:
        return
    assert isinstance(to_elastic(text), dict)


@given(st.text(max_size=60))
def test_any_unicode_is_a_query_or_refused(text: str) -> None:
    try:
        to_elastic(text)
    except ConfigError as refusal:
        assert "the query" in str(refusal)


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("*", {"match_all": {}}),
        ("f:A", {"term": {"f.caseless": {"value": "a"}}}),
        (r"f:a\*\\*?", {"wildcard": {"f.caseless": {"value": r"a\*\\*?"}}}),
        (r"f:/a\.[x-z]+/", {"regexp": {"f.caseless": {"value": r"a\.[x-z]+", "flags": "NONE"}}}),
        ("NOT source.port:22", {"bool": {"must_not": [{"term": {"source.port": {"value": 22}}}]}}),
        (
            "source.ip:10.0.0.0/8",
            {"range": {"source.ip": {"gte": "10.0.0.0", "lte": "10.255.255.255"}}},
        ),
        (
            "event.created:1970-01-01",
            {"range": {"event.created": {"gte": 0, "lte": 86_399_999, "format": "epoch_millis"}}},
        ),
        ("message:(a)", {"match": {"message": {"query": "a", "operator": "and"}}}),
        ('message:"a b"', {"match_phrase": {"message": {"query": "a b"}}}),
        (
            "samlog.json.a:X",
            {"term": {"samlog.json.a": {"value": "x", "case_insensitive": True}}},
        ),
        ("source.ip:*", {"exists": {"field": "source.ip"}}),
    ],
)
def test_clause_for_elasticsearch(text: str, clause: dict[str, Any]) -> None:
    assert to_elastic(text) == clause


def test_limits_are_what_the_sentences_say() -> None:
    assert (language.MAX_LENGTH, language.MAX_DEPTH) == (4096, 32)
    assert (language.MAX_CLAUSES, language.MAX_PATTERNS) == (1024, 64)
