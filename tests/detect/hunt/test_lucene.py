"""Conditions of rules in Lucene syntax, one decision each."""

from typing import Any

import pytest

from detect.condition import And, FieldTest, Node, Not, Or, Pattern
from detect.search.lucene import lucene
from samlog.errors import RuleError

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
    assert one("contains", "ab-c", None, widen=True) == (
        "(winlog.\\*.caseless:*ab\\-c* OR (message:*ab* AND message:*c*))"
    )


def test_widened_many_keywords_are_left_to_the_rule() -> None:
    words = Or(tuple(FieldTest(None, "contains", f"word{n}") for n in range(40)))

    assert text(words, widen=True) == "*:*"
    assert text(Not(words), widen=True) == "(NOT (NOT *:*))"
    assert "word39" in text(words)


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
