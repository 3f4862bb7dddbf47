"""Regexes of rules run in linear time within a bound, whatever the rule and the event."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from detect.engine import Engine
from detect.evaluate import MAX_REGEX_SIZE, READS, Regex, text_predicate
from samlog.errors import RuleError

Refusal = Callable[..., tuple[str, str]]

EXPONENTIAL = ["(a+)+$", "(a|aa)+$", "([a-zA-Z]+)*x", "(.*a){20}$", "^(([a-z])+.)+[A-Z]([a-z])+$"]


@pytest.mark.parametrize("pattern", EXPONENTIAL)
def test_a_regex_that_would_be_exponential_elsewhere_answers(pattern: str) -> None:
    holds = text_predicate("re", (pattern, ""))

    assert holds("a" * 100_000 + "!") in (True, False)


@pytest.mark.parametrize(
    "pattern", ["a(?=b)", "(?<!a)b", r"(a)\1", r"(?P<x>a)(?P=x)", "(?>a+)b", "a*+", r"\Ga"]
)
def test_what_re2_cannot_do_in_linear_time_is_refused_and_nothing_else_tries(pattern: str) -> None:
    with pytest.raises(RuleError) as refused:
        text_predicate("re", (pattern, ""))

    assert refused.value.reason == "regex_not_linear"


@pytest.mark.parametrize(
    "pattern",
    ["((a{100}){100}){100}", "a{1001}", r"\pL{300}", "(?:a?){999}" * 8, "(?:[a-z]{90}|){99}" * 3],
)
def test_a_regex_that_is_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(RuleError) as refused:
        text_predicate("re", (pattern, ""))

    assert refused.value.reason == "regex_too_large"
    assert len(str(refused.value)) < 300


def test_the_bound_lets_the_largest_regex_of_sigmahq_through() -> None:
    assert re2.compile(".{1000,}").programsize < MAX_REGEX_SIZE
    assert text_predicate("re", (".{1000,}", ""))("x" * 1_000)


@pytest.mark.parametrize(("n", "most", "chars"), [(90, *READS[0]), (900, *READS[1])])
def test_a_regex_reads_so_much_of_a_value_as_its_size_allows(n: int, most: int, chars: int) -> None:
    match = "a" * n + "c"
    found = text_predicate("re", (f"[ab]{{{n}}}c", ""))

    assert re2.compile(f"[ab]{{{n}}}c").programsize <= most
    assert found("x" * (chars - len(match)) + match)
    assert not found("x" * (chars - len(match) + 1) + match)


@pytest.mark.parametrize("pattern", [".{20}", ".{20,}", "(.){20,}", "(.){20}"])
@given(st.lists(st.text("ab\n\r\x85\u2028", min_size=18, max_size=22), max_size=2))
def test_a_line_of_so_many_characters_needs_no_regex(pattern: str, parts: list[str]) -> None:
    text = "\n".join(parts)

    assert text_predicate("re", (pattern, ""))(text) is (Regex((pattern, ""))(text))


def test_a_line_of_so_many_characters_with_flags_does() -> None:
    assert text_predicate("re", (".{3}", "s"))("a\nb")
    assert not text_predicate("re", (".{3}", ""))("a\nb")


@given(st.text("ab", max_size=50), st.integers(0, 3))
def test_short_values_are_read_whole(text: str, n: int) -> None:
    assert text_predicate("re", (f"a{{{n},}}b", ""))(text) is (("a" * n + "b") in text)


def test_a_rule_with_thousands_of_regexes_is_refused(refusal: Refusal, rule: Any) -> None:
    patterns = [f"a{n}b+" for n in range(1_001)]

    assert refusal(rule({"selection": {"A|re": patterns}}))[0] == "rule_too_large"


def test_a_filter_and_an_exception_have_no_other_engine(
    load: Callable[..., Engine], rule: Any, tmp_path: Path
) -> None:
    wanted = {
        "title": "f",
        "logsource": {"product": "windows"},
        "filter": {"rules": "any", "s": {"A|re": "a(?=b)"}, "condition": "not s"},
    }

    engine = load(rule({"selection": {"A": "x"}}), wanted)

    assert engine.report.reasons() == {"regex_not_linear": 1}


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("a" * 30, "1 of a*a*a*a*b"),
        ("a" * 100, "1 of " + "a*" * 200 + "b"),
        ("a" * 201, "1 of a*"),
    ],
)
def test_a_pattern_of_names_that_would_try_every_way_is_refused(
    refusal: Refusal, rule: Any, name: str, condition: str
) -> None:
    assert refusal(rule({name: {"A": "x"}, "condition": condition}))[0] == "condition_too_large"
