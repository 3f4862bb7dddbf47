"""The prefilter may cost time, never a match: held against the full scan on random rules."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detect import scan, table
from detect import text as texts
from detect.compile import bind, compile_rules
from detect.condition import And, FieldTest, Node, Not, Or, Pattern
from detect.evaluate import holds, matched_fields
from detect.index import MAX_CACHED, MAX_SHAPES, Group
from detect.kept import Kept
from detect.keywords import KeywordTable
from detect.necessary import KEYWORDS, Atom, clauses, needs, vetoes
from detect.noting import noter
from detect.routes import Members
from detect.scan import CHUNK_CHARS, Scanners, aho_corasick, hyperscan_literals
from detect.text import View, fold

PAIRS = int(os.environ.get("SAMLOG_TEST_PAIRS", "4000"))
"""Random (rule, event) pairs; ``make soak``: 500,000."""
RULES_A_SET, EVENTS_A_SET = 10, 20
FIXTURES = HealthCheck.function_scoped_fixture

FIELDS = ("A", "B", "C", ("D", "A"), frozenset({"B", "E"}))
SNIPPETS = (
    "a",
    "b",
    "ab",
    "ss",
    "\\",
    "/",
    '"',
    "é",
    "k",
    "\N{KELVIN SIGN}",
    "ß",
    "Σ",
    "1",
    "10",
    "0x1",
    "true",
    "\n",
    ".",
)

snippets = st.lists(st.sampled_from(SNIPPETS), max_size=4).map("".join)
words = st.lists(st.sampled_from(SNIPPETS), min_size=1, max_size=3).map("".join)
scalars = st.one_of(
    snippets,
    st.integers(-2, 20),
    st.sampled_from([1.0, 10.5, 1e16, 1e-7]),
    st.booleans(),
    st.none(),
)
values = st.one_of(
    scalars, st.lists(scalars, max_size=3), st.dictionaries(words, scalars, max_size=2)
)
events = st.dictionaries(st.sampled_from(["A", "B", "C", "D", "E", "junk"]), values, max_size=5)
patterns = st.builds(
    lambda pieces, start, end: Pattern(tuple(pieces), start, end),
    st.lists(
        st.lists(st.one_of(words.map(fold), st.none()), min_size=1, max_size=2).map(tuple),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
    st.booleans(),
)


def string_tests(slots: st.SearchStrategy[Any]) -> st.SearchStrategy[FieldTest]:
    return st.one_of(
        st.builds(
            FieldTest, slots, st.sampled_from(["contains", "starts", "ends"]), words.map(fold)
        ),
        st.builds(
            FieldTest, slots, st.sampled_from(["ccontains", "cstarts", "cends", "ceq"]), words
        ),
        st.builds(FieldTest, slots, st.just("glob"), patterns),
        st.builds(FieldTest, slots, st.just("any"), st.none()),
    )


slots = st.sampled_from(FIELDS)
tests = st.one_of(
    string_tests(slots),
    string_tests(st.none()),
    st.builds(FieldTest, slots, st.just("eq"), snippets.map(fold)),
    st.builds(FieldTest, slots, st.just("num"), st.sampled_from([1, 10, 10.5, 0])),
    st.builds(FieldTest, slots, st.just("cmp"), st.sampled_from([("<", 5), (">=", 10)])),
    st.builds(FieldTest, slots, st.just("null"), st.none()),
    st.builds(FieldTest, slots, st.just("exists"), st.booleans()),
    st.builds(FieldTest, slots, st.just("re"), st.sampled_from([("a+b", ""), ("^A", "i")])),
    st.builds(FieldTest, slots, st.just("cidr"), st.just("10.0.0.0/8")),
    st.builds(
        FieldTest,
        slots,
        st.just("ref"),
        st.tuples(st.just("B"), st.sampled_from(["eq", "contains"])),
    ),
)
nodes: st.SearchStrategy[Node] = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=1, max_size=4).map(lambda parts: Or(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=12,
)


def fired(
    numbers: Sequence[int], rules: Sequence[Any], event: dict[str, Any], group: Group | None = None
) -> set[int]:
    view = View(event, lambda key: True)
    if group is not None:
        view.note(group.noted(), group.cut())
    return {i for i in numbers if rules[i](view.low, view.raw, view)}


@pytest.fixture
def all_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value is treated as one that an attacker filled."""
    for module in (texts, table):
        monkeypatch.setattr(module, "HEAVY_CHARS", -1)
    monkeypatch.setattr(texts, "HEAVY_MEMBERS", 0)


def loses_nothing(
    rules: Sequence[Node], seen: Sequence[dict[str, Any]], factory: scan.ScannerFactory
) -> None:
    """Holds candidates and generated code against the full scan and plain evaluation."""
    predicates = bind(compile_rules(rules))
    group = Group([needs(rule) for rule in rules], Scanners(factory))
    for event in [*seen, *seen]:  # the second time from what was remembered
        everything = fired(range(len(rules)), predicates, event)
        for line in (None, orjson.dumps(event)):
            assert fired(asked(group, event, line), predicates, event, group) == everything
        view = View(event, lambda key: True)
        assert everything == {i for i, rule in enumerate(rules) if holds(rule, view)}
        for i in everything:
            noted: dict[str, Any] = {}
            noter(rules[i])(view, noted)
            assert noted == matched_fields(rules[i], view)


def asked(group: Group, event: dict[str, Any], line: bytes | None) -> list[int]:
    mask = group.candidates(event, lambda own: View(own, lambda key: True).haystack(), line)
    return [i for i in range(group.size) if mask >> i & 1]


@pytest.mark.parametrize("factory", [aho_corasick, hyperscan_literals])
@settings(max_examples=250, deadline=None)
@given(rules=st.lists(nodes, min_size=1, max_size=8), seen=st.lists(events, min_size=1, max_size=6))
def test_candidates_hold_every_rule_that_fires(
    factory: scan.ScannerFactory, rules: list[Node], seen: list[dict[str, Any]]
) -> None:
    loses_nothing(rules, seen, factory)


@pytest.mark.usefixtures("all_heavy")
@settings(max_examples=250, deadline=None, suppress_health_check=[FIXTURES])
@given(rules=st.lists(nodes, min_size=1, max_size=8), seen=st.lists(events, min_size=1, max_size=6))
def test_candidates_hold_every_rule_that_fires_on_heavy_values(
    rules: list[Node], seen: list[dict[str, Any]]
) -> None:
    loses_nothing(rules, seen, aho_corasick)


@settings(max_examples=250, deadline=None)
@given(rules=st.lists(nodes, min_size=1, max_size=8), seen=st.lists(events, min_size=1, max_size=6))
def test_heavy_values_answer_as_others_do(rules: list[Node], seen: list[dict[str, Any]]) -> None:
    predicates = bind(compile_rules(rules))
    for event in seen:
        light = fired(range(len(rules)), predicates, event)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(texts, "HEAVY_CHARS", -1)
            patch.setattr(texts, "HEAVY_MEMBERS", 0)
            assert fired(range(len(rules)), predicates, event) == light


@pytest.mark.fuzz
@settings(
    max_examples=max(1, PAIRS // (RULES_A_SET * EVENTS_A_SET)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    rules=st.lists(nodes, min_size=RULES_A_SET, max_size=RULES_A_SET),
    seen=st.lists(events, min_size=EVENTS_A_SET, max_size=EVENTS_A_SET),
)
def test_the_prefilter_loses_nothing_on_half_a_million_pairs(
    rules: list[Node], seen: list[dict[str, Any]]
) -> None:
    loses_nothing(rules, seen, aho_corasick)


def test_clauses_come_from_the_condition_and_not_from_its_parts() -> None:
    rule = Or((FieldTest("A", "eq", "x"), Not(FieldTest("B", "eq", "y"))))

    assert clauses(rule) == []


def test_a_disjunction_keeps_a_clause_for_each_field_that_every_branch_restricts() -> None:
    rule = Or(
        (
            And((FieldTest("A", "ends", "x.exe"), FieldTest("B", "contains", " -a"))),
            And((FieldTest("A", "ends", "y.exe"), FieldTest("B", "contains", " -b"))),
        )
    )

    assert clauses(rule) == [
        (Atom("A", "ends", "x.exe"), Atom("A", "ends", "y.exe")),
        (Atom("B", "contains", " -a"), Atom("B", "contains", " -b")),
    ]


def test_a_cased_needle_is_looked_for_folded() -> None:
    assert clauses(FieldTest("A", "ccontains", "ABC")) == [(Atom("A", "contains", "abc"),)]


def test_a_pattern_gives_its_longest_literal() -> None:
    pattern = Pattern((("ab", None, "abcde"), ("x",)), False, True)

    assert clauses(FieldTest("A", "glob", pattern)) == [(Atom("A", "contains", "abcde"),)]


def test_two_literals_that_must_both_occur_are_both_asked_for() -> None:
    rule = And((FieldTest("A", "contains", "foo"), FieldTest("A", "contains", "bar")))
    group = Group([needs(rule)], Scanners())

    assert asked(group, {"A": "foo"}, None) == []
    assert asked(group, {"A": "bar"}, None) == []
    assert asked(group, {"A": "foobar"}, None) == [0]


def test_an_event_without_the_fields_of_a_rule_leaves_it_out() -> None:
    group = Group(
        [needs(FieldTest("A", "cmp", (">", 1))), needs(FieldTest("B", "null", None))],
        aho_corasick,
    )

    assert asked(group, {"C": "x"}, None) == [1]
    assert asked(group, {"A": 0, "B": "x"}, None) == [0]


def test_a_value_with_which_a_rule_cannot_fire_takes_it_out() -> None:
    known = Or((FieldTest("A", "ends", ".exe"), FieldTest("B", "null", None)))
    group = Group([needs(And((FieldTest("A", "any", None), Not(known))))], Scanners())

    assert asked(group, {"A": "x.exe", "B": "y"}, None) == []
    assert asked(group, {"A": "x.dll"}, None) == []
    assert asked(group, {"A": "x.dll", "B": "y"}, None) == [0]


def test_a_filter_of_several_fields_or_of_keywords_vetoes_nothing() -> None:
    both = And((FieldTest("A", "eq", "x"), FieldTest("B", "eq", "y")))

    assert vetoes(And((FieldTest("C", "eq", "z"), Not(both)))) == []
    assert vetoes(Not(FieldTest(None, "contains", "x"))) == []
    assert vetoes(Or((Not(FieldTest("A", "eq", "x")), FieldTest("B", "eq", "y")))) == []


def test_alternatives_without_a_common_field_that_says_much_have_one_clause_over_all() -> None:
    parent = FieldTest("P", "ends", "\\x.exe")
    child = And((FieldTest("A", "ends", "\\x.exe"), Not(FieldTest("P", "null", None))))

    assert (Atom("P", "ends", "\\x.exe"), Atom("A", "ends", "\\x.exe")) in clauses(
        Or((parent, child))
    )


def test_a_field_whose_values_never_repeat_is_asked_only_for_a_rule_that_is_left() -> None:
    group = Group(
        [needs(And((FieldTest("A", "eq", "x"), FieldTest("B", "contains", "y"))))], Scanners()
    )
    for i in range(MAX_CACHED):
        asked(group, {"A": "x", "B": f"{i}"}, None)
    late = next(table for table in group._tables if table.slot == "B")
    assert late.late

    late._of = None  # type: ignore[assignment,method-assign]
    assert asked(group, {"A": "no", "B": "y"}, None) == []


def test_all_indexes_together_keep_no_more_than_one_bound() -> None:
    groups: list[Group] = []
    kept = Kept(lambda: [group.forget() for group in groups] and None, most=50_000)
    groups += [Group([needs(FieldTest("A", "contains", "value"))], Scanners(), kept) for _ in "ab"]
    most = 0

    for i in range(1_000):
        for group in groups:
            assert asked(group, {"A": f"value {i}", f"junk{i}": 1}, None) == [0]
            most = max(most, kept.bytes)

    assert 40_000 < most <= 50_000
    assert asked(groups[0], {"A": "nothing"}, None) == []


def test_candidates_of_masks_count_for_the_bound_too() -> None:
    kept = Kept(lambda: members.forget(), most=50_000)
    members = Members(tuple(range(500)), (), kept=kept)
    most = 0

    for mask in range(1, 1_000):
        members.choose(mask << 400)
        most = max(most, kept.bytes)

    assert 40_000 < most <= 50_000
    assert members.choose(0b101) == (0, 2)
    members.forget()
    assert (kept.bytes, members.chosen) == (0, {})


def test_what_is_dropped_is_no_longer_counted() -> None:
    group = Group([needs(FieldTest("A", "contains", "value"))], Scanners())
    for i in range(100):
        asked(group, {"A": f"value {i}", f"junk{i}": 1}, None)

    assert group._kept.bytes > 100 * len("value 10")
    group.forget()
    assert group._kept.bytes == 0


@pytest.mark.parametrize("part", ["value", "never there"])
def test_what_is_remembered_is_bounded(part: str) -> None:
    group = Group([needs(FieldTest("A", "contains", part))], Scanners())

    for i in range(3 * MAX_CACHED):
        asked(group, {"A": f"value {i}"}, None)

    table = group._tables[0]
    assert table.late
    assert len(table.cache) <= MAX_CACHED
    assert asked(group, {"A": f"a {part} too"}, None) == [0]


def test_shapes_depend_on_rule_fields_only_and_are_bounded() -> None:
    many = [needs(FieldTest(f"F{i}", "contains", "x")) for i in range(12)]
    group = Group(many, Scanners())

    for i in range(2 * MAX_SHAPES):
        asked(group, {f"junk{i}": "x"}, None)
        asked(group, {f"F{bit}": "y" for bit in range(12) if i >> bit & 1}, None)

    assert len(group._shapes) <= MAX_SHAPES


scanners = pytest.mark.parametrize("factory", [aho_corasick, hyperscan_literals])


@scanners
def test_a_scanner_finds_what_is_in_the_text(factory: scan.ScannerFactory) -> None:
    literals = ["abc", "b", "a.*c", "é", "x\0y", "\0", '"']
    find = factory(literals)

    for text in ("", "abc", "zz é", "x\0y", "a.*c", "xy", '"b"', "b" * 70_000):
        assert set(find(text)) == {i for i, literal in enumerate(literals) if literal in text}


@scanners
def test_a_scanner_takes_text_with_lone_surrogates(factory: scan.ScannerFactory) -> None:
    assert set(factory(["abc"])("\ud800 abc")) == {0}


def test_a_literal_across_two_parts_of_a_long_text_is_found() -> None:
    find = aho_corasick(["needle", "n" * 20_000])

    for start in (CHUNK_CHARS - 3, 2 * CHUNK_CHARS - 5):
        assert set(find("x" * start + "needle" + "x" * CHUNK_CHARS)) == {0}
    assert set(find("x" * 9 + "n" * 20_000)) == {1}


def keyword_table(words: Sequence[str]) -> KeywordTable:
    placed = [((Atom(KEYWORDS, "contains", word),), i) for i, word in enumerate(words)]
    return KeywordTable(len(words), 2, placed, Scanners())


@pytest.mark.parametrize("plain", [False, True])
def test_a_line_is_used_only_where_nothing_is_spelt_otherwise(
    plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if plain:
        monkeypatch.setattr(scan, "hyperscan", None)
    table = keyword_table(["mimikatz", 'a"b', "c:\\users", "1e16", "blå"])

    assert table.of_line(b'{"m":"MimiKatz"}') == (0b01001, 0)
    assert table.of_line(b'{"m":"a\\"B"}') == (0b01010, 0)
    assert table.of_line(b'{"m":"C:\\\\Users"}') == (0b01100, 0)
    assert table.of_line(b'{"m":"c:\\\\users"}') == (0b01100, 0)
    assert table.of_line('{"m":"blå"}'.encode()) is None
    assert table.of_line(b'{"m":"mimi\\u006batz"}') is None
    assert table.of_line(b'{"m":"a\\/b"}') is None


@pytest.mark.parametrize("plain", [False, True])
def test_danish_letters_leave_a_line_of_use_and_what_folds_to_ascii_does_not(
    plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if plain:
        monkeypatch.setattr(scan, "hyperscan", None)
    table = keyword_table(["mimikatz", "ss"])

    assert table.of_line('{"m":"MimiKatz på Ærø"}'.encode()) == (0b01, 0)
    assert table.of_line('{"m":"Straße"}'.encode()) is None
    assert table.of_line('{"m":"mimi\N{KELVIN SIGN}atz"}'.encode()) is None


def test_every_character_that_folds_to_ascii_is_known() -> None:
    everything = map(chr, range(0x80, sys.maxunicode + 1))

    found = [char for char in everything if any(part.isascii() for part in char.casefold())]

    assert "".join(found) == scan.FOLDED_TO_ASCII


def test_without_hyperscan_lines_are_scanned_by_the_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "hyperscan", None)

    scanners = Scanners()

    assert scanners.for_line([b"abc"])(b"xABCx") == [0]
    assert scanners.for_event(["abc"])("xabcx") == [0]


def test_random_conditions_compile_and_never_raise(load: Callable[..., Any]) -> None:
    deep: Node = FieldTest("A", "contains", "x")
    for _ in range(30):
        deep = Not(And((deep, Or((deep, FieldTest("B", "eq", "y"))))) if _ < 6 else Or((deep,)))

    assert len(bind(compile_rules([deep]))) == 1
