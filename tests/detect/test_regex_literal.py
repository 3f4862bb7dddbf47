"""A literal that is read off a regex must be in every text that the regex matches."""

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.regexliteral import required_literal, shortest_match
from detect.text import fold


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("abc", "abc"),
        (r"\$PSHome\[\s*\d{1,3}\s*\]", "$PSHome["),
        ("ab?c", "a"),
        ("ab*cd", "cd"),
        ("ab+cd", "ab"),
        ("ab{0,2}cde", "cde"),
        ("abc|def", ""),
        ("(abc|def)gh", "gh"),
        ("(a(b)c)*de", "de"),
        ("[abc]def", "def"),
        ("[]abc]de", "de"),
        ("[^]abc]de", "de"),
        ("[[:alpha:]]de", "de"),
        (r"[\]abc]de", "de"),
        (r"\d\w\Aab\b", "ab"),
        (r"(?i)AbC", "AbC"),
        ("a(?i)*b", ""),
        (r"(?x) a b c", ""),
        (r"\Qa.b\E", ""),
        ("", ""),
        (r"a\.b", "a.b"),
    ],
)
def test_the_longest_certain_literal_is_found(pattern: str, literal: str) -> None:
    assert required_literal(pattern) == literal


parts = st.sampled_from(
    [*"ab.*+?|()^${}]", "{2}", "{0,1}", "(?:", "(?i)", "[ab]", "[^a]", "[]a]"]
    + [r"\.", r"\d", r"\b", r"\\", r"\n", r"\x61", r"\141", r"\pL"]
)
OPTIONS = re2.Options()
OPTIONS.log_errors = False


@settings(max_examples=1_500, deadline=None)
@given(st.lists(parts, max_size=8).map("".join), st.text("ab.\\1A{}]", max_size=8))
def test_a_match_always_contains_the_literal_and_is_long_enough(pattern: str, text: str) -> None:
    try:
        regex = re2.compile(pattern, OPTIONS)
    except re2.error:
        return
    found = regex.search(text)
    if found is not None:
        assert fold(required_literal(pattern)) in fold(text)
        assert len(found.group()) >= shortest_match(pattern)


@pytest.mark.parametrize(
    ("pattern", "least"),
    [
        (r"\s[a-f0-9]{64}\s[a-f0-9]{16}", 82),
        ("a|bcd", 1),
        ("(?i)ab?c", 2),
        (r"^$", 0),
        (r"\pN{5}", 0),
        (r"\Qa.b\E", 0),
        ("(" * 2_000 + ")" * 2_000, 0),
    ],
)
def test_no_match_is_shorter_than_the_least(pattern: str, least: int) -> None:
    assert shortest_match(pattern) == least
