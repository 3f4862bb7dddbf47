"""Regular expressions of rules as Lucene writes them, held against RE2."""

import re
from typing import Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from detect.search.regex import MAX_TEXT, alternatives, lucene_regex
from samlog.errors import RuleError
from samlog.store.query_pattern import regex


def finds(expression: str, value: str) -> bool:
    """Tells what a whole-value expression says, dot taking every character."""
    return re.fullmatch(expression, value, re.DOTALL) is not None


@pytest.mark.parametrize(
    ("source", "expression"),
    [
        ("abc", ".*abc.*"),
        ("^abc", "abc.*"),
        ("abc$", ".*abc"),
        ("^abc$", "abc"),
        (r"\Aabc\Z", "abc"),
        ("a.c", ".*a[^\n]c.*"),
        ("(?s)a.c", ".*a.c.*"),
        (r"\d+?x", ".*[0-9]+x.*"),
        (r"[^\w]", ".*[^0-9A-Z_a-z].*"),
        ("(^|/)x", "((x.*|.*\\/x.*))"),
        ("x($|,)", ".*((x|x,.*))"),
        (r"\bcmd", "(.*[^0-9A-Z_a-z])?cmd.*"),
        (r"cmd\b", ".*cmd([^0-9A-Z_a-z].*)?"),
        ("a{2,3}b{4,}c{5}d?", ".*a{2,3}b{4,}c{5}d?.*"),
        ("(?:ab|c)+", ".*(ab|c)+.*"),
        ("a(?:b|)c(?:|d)*", ".*a(b)?c((d)?)*.*"),
        ("a/b", ".*a\\/b.*"),
        ("(?m)^a$", "(.*\n)?a(\n.*)?"),
    ],
)
def test_an_expression(source: str, expression: str) -> None:
    assert lucene_regex(source, "") == (expression, False)


def test_without_case_it_is_for_the_value_in_lower_case() -> None:
    assert lucene_regex("A[B-C]", "i") == (".*a[B-Cb-c].*", True)
    assert lucene_regex("(?i)A[^x]", "") == (".*a[^x].*", True)


@pytest.mark.parametrize(
    "source",
    ["a^b", r"a\bb", r"\b", "(a|^)b$c", "a{257}", "x" * (MAX_TEXT + 1), "(?i:a)b", r"\B"],
)
def test_what_lucene_cannot_say_is_refused_by_name(source: str) -> None:
    with pytest.raises(RuleError) as caught:
        lucene_regex(source, "")

    assert caught.value.reason == "not_searchable"


ATOMS = st.sampled_from(["a", "B", ".", r"\.", r"\d", r"\w", "[a-c]", "[^a]", r"\s", "-", "/", "é"])
PARTS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from("*+?")).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)
VALUES = st.text("aBbcA1. -/é\n", max_size=8)


@given(st.sampled_from(["", "^"]), PARTS, st.sampled_from(["", "$"]), VALUES)
def test_it_finds_what_re2_finds(before: str, part: str, behind: str, value: str) -> None:
    source = before + part + behind
    expression, _ = lucene_regex(source, "")

    assert finds(expression, value) is (re2.search(source, value) is not None)


@given(PARTS, VALUES)
def test_without_case_it_finds_what_re2_finds(part: str, value: str) -> None:
    expression, _ = lucene_regex(part, "i")

    assert finds(expression, value.lower()) is (re2.search(f"(?i){part}", value) is not None)


@given(PARTS)
def test_samlogs_own_language_takes_what_is_written(part: str) -> None:
    expression, _ = lucene_regex(part, "")

    assert regex(expression)


@given(st.lists(st.text("ab.[]é𝒳-", min_size=1, max_size=5), min_size=1, max_size=60), VALUES)
def test_alternatives_find_any_of_the_texts(texts: list[str], value: str) -> None:
    listed = [f".*{text}.*" for text in alternatives(texts, anywhere=True)]

    found: Any = any(finds(expression, value) for expression in listed)
    assert found is any(text in value for text in texts)


def test_alternatives_stay_below_elasticsearchs_limit() -> None:
    texts = [f"\U0001f600{number}-" for number in range(2_000)]

    listed = [f".*{text}.*" for text in alternatives(texts, anywhere=True)]

    assert len(listed) > 10
    assert max(len(text.encode("utf-16-le")) // 2 for text in listed) <= MAX_TEXT
