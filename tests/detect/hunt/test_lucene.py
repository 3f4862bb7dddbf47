"""Conditions of rules in Lucene syntax, one decision each."""

import re
import sys
from typing import Any

import pytest

from detect.condition import And, FieldTest, Node, Not, Or, Pattern
from detect.search.lucene import lucene
from detect.search.syntax import NOTHING
from detect.search.wide import CAPITAL_I, FOLDED_OTHERWISE
from samlog.errors import RuleError
from samlog.store.fields import caseless

ODD = f"/.*[{FOLDED_OTHERWISE}].*/"
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
F = "winlog.event_data.F"
G = "process.executable"


def text(node: Node, **options: Any) -> str:
    return lucene(node, ["winlog"], **options)


def one(op: str, arg: Any, slot: Any = F, **options: Any) -> str:
    return text(FieldTest(slot, op, arg), **options)


@pytest.mark.parametrize(
    ("op", "arg", "query"),
    [
        ("eq", "a b", f'{F}.caseless:"a b"'),
        ("eq", 'a"b\\', f'{F}.caseless:"a\\"b\\\\"'),
        ("contains", "\\a b", f"{F}.caseless:*\\\\a\\ b*"),
        ("contains", "æ*?", f"{F}.caseless:*æ\\*\\?*"),
        ("starts", "<x>", f"{F}.caseless:\\<x\\>*"),
        ("ends", "&&", f"{F}.caseless:*\\&\\&"),
        ("ceq", "A", f'{F}:"A"'),
        ("ccontains", "A", f"{F}:*A*"),
        ("glob", Pattern((("a",), ("b", None, "c")), True, False), f"{F}.caseless:a*b?c*"),
        ("any", None, f"_exists_:{F}"),
        ("null", None, f"(NOT _exists_:{F})"),
        ("exists", True, f"_exists_:{F}"),
        ("exists", False, f"(NOT _exists_:{F})"),
        ("eq", "", f"(_exists_:{F} AND (NOT {F}:?*))"),
        ("num", 16, f'{F}.caseless:("16" OR "0x10")'),
        ("num", -1.5, f'{F}.caseless:"-1.5"'),
        ("re", ("^a.c$", ""), f"{F}:/a[^\n]c/"),
        ("re", ("A", "i"), f"{F}.caseless:/.*a.*/"),
        ("cidr", "10.0.0.0/8", f"{F}.caseless:(10\\.* OR \\:\\:ffff\\:10\\.*)"),
    ],
)
def test_a_test_of_a_keyword(op: str, arg: Any, query: str) -> None:
    assert one(op, arg) == query


@pytest.mark.parametrize(
    ("slot", "op", "arg", "query"),
    [
        ("event.code", "num", 4688, 'event.code.caseless:"4688"'),
        ("destination.port", "num", 443, 'destination.port:"443"'),
        ("destination.port", "eq", "443", 'destination.port:"443"'),
        ("destination.port", "eq", "https", "(NOT *:*)"),
        ("destination.port", "num", 22.5, "(NOT *:*)"),
        ("destination.bytes", "num", 1e16, 'destination.bytes:"10000000000000000"'),
        ("destination.bytes", "num", 1e22, "(NOT *:*)"),
        ("destination.bytes", "num", float("inf"), "(NOT *:*)"),
        ("destination.port", "cmp", (">=", 1024), "destination.port:[1024 TO *]"),
        ("destination.port", "cmp", ("<", 1024), "destination.port:{* TO 1024}"),
        ("source.ip", "cidr", "10.0.0.0/8", 'source.ip:"10.0.0.0/8"'),
        ("source.ip", "eq", "192.0.2.1", 'source.ip:"192.0.2.1"'),
        ("source.ip", "eq", "-", "(NOT *:*)"),
        ("source.ip", "starts", "10.1.", 'source.ip:"10.1.0.0/16"'),
        ("dll.code_signature.exists", "eq", "true", "dll.code_signature.exists:true"),
        ("samlog.json.a", "eq", "17", 'samlog.json.a:"17"'),
        ("samlog.json.a", "ceq", "Ab", 'samlog.json.a:"Ab"'),
        ("message", "contains", "cleared", "message:*cleared*"),
        ("message", "contains", "log cleared", 'message:"log cleared"'),
    ],
)
def test_a_test_of_a_typed_field(slot: str, op: str, arg: Any, query: str) -> None:
    assert one(op, arg, slot) == query


def test_values_of_one_field_share_its_name() -> None:
    a, b = FieldTest(F, "contains", "a"), FieldTest(F, "eq", "b")

    assert text(Or((a, b))) == f'{F}.caseless:(*a* OR "b")'
    assert text(And((a, b, FieldTest(F, "num", 1)))) == (
        f'{F}.caseless:(*a* AND "b" AND ("1" OR "0x1"))'
    )


def test_every_negation_and_every_group_has_its_own_parentheses() -> None:
    a, b, c = (FieldTest(name, "eq", name) for name in "abc")

    assert text(Or((And((a, b)), Not(c)))) == (
        '((a.caseless:"a" AND b.caseless:"b") OR (NOT c.caseless:"c"))'
    )


def test_the_second_place_counts_where_the_first_has_no_value() -> None:
    assert one("eq", "x", (F, G)) == (
        f'({F}.caseless:"x" OR ((NOT _exists_:{F}) AND {G}.caseless:"x"))'
    )
    assert one("null", None, (F, G)) == f"((NOT _exists_:{F}) AND (NOT _exists_:{G}))"
    assert one("any", None, (F, G)) == f"(_exists_:{F} OR _exists_:{G})"


def test_places_that_all_count_may_meet_different_tests() -> None:
    places = frozenset({"url.path", "url.query"})

    assert text(And((FieldTest(places, "eq", "a"), FieldTest(places, "eq", "b")))) == (
        '((url.path.caseless:"a" OR url.query.caseless:"a")'
        ' AND (url.path.caseless:"b" OR url.query.caseless:"b"))'
    )


def test_a_whole_hash_in_a_list_is_looked_up_as_a_value() -> None:
    zeros = "imphash=" + "0" * 32
    digest = "ab" * 32
    tests = (
        FieldTest("winlog.event_data.Hashes", "contains", f"sha256={digest}"),
        FieldTest("winlog.event_data.Hashes", "contains", zeros),
    )

    assert text(Or(tests)) == (
        f"(winlog.event_data.Hashes.caseless:*imphash\\={'0' * 32}*"
        f' OR related.hash.caseless:"{digest}")'
    )


def test_many_alternatives_become_few_expressions() -> None:
    words = [FieldTest(F, "contains", f"word{n}.") for n in range(50)]
    letters = [FieldTest(F, "contains", letter) for letter in "äöü"]

    query = text(Or((*words, *letters, FieldTest(F, "ends", "z"))))

    assert query.startswith(f"{F}.caseless:(/.*[äöü].*/ OR /.*(word0\\.|word1\\.|")
    assert query.endswith("|word49\\.).*/ OR *z)")


def test_a_keyword_is_looked_for_in_all_fields_of_the_sender() -> None:
    assert one("contains", "ab-c", None) == ('(winlog.\\*.caseless:*ab\\-c* OR message:"ab-c")')


def test_widened_keywords_are_left_to_the_rule() -> None:
    """A rule looks for them in numbers, addresses and the sender's line, too."""
    words = Or(tuple(FieldTest(None, "contains", f"word{n}") for n in range(40)))

    assert text(words, widen=True) == "*:*"
    assert text(Not(words), widen=True) == "(NOT (NOT *:*))"
    assert "word39" in text(words)


@pytest.mark.parametrize(
    ("slot", "op", "arg", "query"),
    [
        (F, "contains", "a b", f"({F}.caseless:*a\\ b* OR {F}.caseless:{ODD})"),
        (F, "eq", "22", f'{F}.caseless:"22"'),
        (F, "eq", "", f"_exists_:{F}"),
        (F, "contains", "\u0307", f"_exists_:{F}"),
        (F, "ends", "1\n2", f"{F}.caseless:*1*2"),
        (F, "ceq", "A", f'{F}:"A"'),
        (F, "exists", True, "*:*"),
        (F, "num", 22, f"{F}.caseless:/[+\\-]?(0*22|0x0*16|[0-9]+[.e].*)/"),
        (F, "num", 0.5, f"{F}.caseless:/[+\\-]?([0-9]+[.e].*)/"),
        ("event.code", "num", 4688, 'event.code.caseless:"4688"'),
        (F, "cidr", "10.0.0.0/15", f"{F}.caseless:(*10* OR *\\:*)"),
        (F, "cidr", "fe80::/10", f"{F}.caseless:*\\:*"),
        (F, "re", ("a", "i"), f"{F}.caseless:(/.*a.*/ OR {ODD})"),
        (F, "re", ("é", ""), f"_exists_:{F}"),
        ("message", "contains", "a b", f"((message:*a* AND message:*b*) OR message:{ODD})"),
        ("source.ip", "eq", "::1", 'source.ip:"::1"'),
    ],
)
def test_widened_a_test_is_no_narrower_than_the_rule(
    slot: str, op: str, arg: Any, query: str
) -> None:
    assert one(op, arg, slot, widen=True) == query


@pytest.mark.parametrize(
    ("slot", "op", "arg", "query"),
    [
        (F, "contains", "abc", f"{F}.caseless:*abc*"),
        (F, "contains", "six", f"({F}.caseless:*six* AND (NOT {F}:*\u0130*))"),
        (F, "contains", "é", NOTHING),
        (F, "glob", Pattern((("a", None),), True, True), NOTHING),
        (F, "ceq", "A", NOTHING),
        (F, "exists", False, NOTHING),
        (F, "num", 22, f'{F}.caseless:("22" OR "0x16")'),
        (F, "cidr", "10.0.0.0/8", f"{F}.caseless:/(10)(\\.{OCTET}){{3}}/"),
        (F, "cidr", "fe80::/10", NOTHING),
        ("source.ip", "eq", "192.0.2.1", 'source.ip:"192.0.2.1"'),
        ("source.ip", "eq", "::1", NOTHING),
        ("source.ip", "cidr", "fe80::/10", 'source.ip:"fe80::/10"'),
        ("source.port", "eq", "22", 'source.port:"22"'),
        ("source.port", "eq", "022", NOTHING),
        ("winlog.event_data.Hashes", "contains", f"md5={'ab' * 16}", NOTHING),
    ],
)
def test_widened_a_negated_test_takes_away_no_more_than_the_rule(
    slot: str, op: str, arg: Any, query: str
) -> None:
    assert text(Not(FieldTest(slot, op, arg)), widen=True) == f"(NOT {query})"


def test_all_letters_that_rules_fold_otherwise_are_listed() -> None:
    listed = re.compile(f"[{FOLDED_OTHERWISE}]")
    others = [
        letter
        for letter in map(chr, (*range(0xD800), *range(0xE000, sys.maxunicode + 1)))
        if letter.casefold() != caseless(letter) and not listed.match(caseless(letter))
    ]

    assert others == [CAPITAL_I]


def test_the_turkish_capital_i_alone_is_another_letter_to_a_store() -> None:
    others = [
        letter
        for letter in map(chr, (*range(0xD800), *range(0xE000, sys.maxunicode + 1)))
        if letter.casefold() != caseless(letter).casefold()
    ]

    assert others == [CAPITAL_I]


@pytest.mark.parametrize(
    ("slot", "op", "arg"),
    [
        (F, "ref", (G, "eq")),
        (F, "cmp", (">", 1)),
        (F, "part", ("hour", "==", 1)),
        (F, "re", (r"a\bb", "")),
        (F, "cidr", "::/3"),
        ("source.ip", "contains", "7"),
        ("destination.port", "contains", "7"),
        ("samlog.json.a", "eq", "ab"),
        ("event.original", "contains", "x"),
        (None, "re", ("x", "")),
        ("message", "re", ("x", "")),
    ],
)
def test_what_cannot_be_searched_for_is_refused_by_name(slot: Any, op: str, arg: Any) -> None:
    with pytest.raises(RuleError) as caught:
        one(op, arg, slot)

    assert caught.value.reason == "not_searchable"


def test_widened_what_cannot_be_said_takes_everything_and_its_negation_too() -> None:
    test = FieldTest(F, "ref", (G, "eq"))

    assert text(test, widen=True) == "*:*"
    assert text(Not(test), widen=True) == "(NOT (NOT *:*))"


def test_widened_a_test_of_case_takes_nothing_away() -> None:
    """A store that ignores case would take away more than the rule."""
    test = FieldTest(F, "re", ("A", ""))

    assert text(Not(test), widen=True) == "(NOT (NOT *:*))"
    assert text(test, widen=True) == f"{F}:/.*A.*/"


def test_names_with_odd_letters_are_escaped() -> None:
    assert one("eq", "x", "winlog.event_data.Threat Name:1") == (
        'winlog.event_data.Threat\\ Name\\:1.caseless:"x"'
    )
