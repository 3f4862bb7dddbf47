"""Sigma rules in Logprep's format, for ``make bench-peers``. Logprep itself is not needed."""

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sigma.rule import SigmaRule
from sigma.types import SigmaString

from benchmarks.peers.conditions import (
    Group,
    Leaf,
    Node,
    Not,
    Untranslatable,
    joined,
    negated,
    pattern,
    terms,
    text,
    wildcards,
)
from benchmarks.peers.deployment import (
    AUDIT_FIELDS,
    CATEGORY,
    COMMON,
    SYSMON_FIELDS,
    configuration,
    labels,
    translate,
    translated,
)

RULE = """
title: A copied shell
id: 11111111-2222-3333-4444-555555555555
level: high
tags: [attack.t1036]
logsource: {product: windows, category: process_creation}
detection:
"""

values = st.text(alphabet='ab\\*?/."(', max_size=6)
leaf = st.builds(text, st.sampled_from("xy"), st.builds(SigmaString, values))
node: st.SearchStrategy[Node] = st.recursive(
    leaf | st.builds(Not, leaf),
    lambda inner: st.builds(
        joined, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def rule(detection: str) -> SigmaRule:
    return SigmaRule.from_yaml(RULE + detection)


def condition(detection: str) -> str:
    """Returns the filter of a rule without its logsource."""
    whole = translate(rule(detection)).content["filter"]
    return str(whole).removeprefix(f'({CATEGORY}:"process_creation" AND ').removesuffix(")")


def holds(node: Node, event: dict[str, str]) -> bool:
    if isinstance(node, Group):
        return (all if node.word == "AND" else any)(holds(part, event) for part in node.nodes)
    if isinstance(node, Not):
        return not holds(node.leaf, event)
    return node.value == event[node.field]


def written_out(node: Node) -> list[list[Node]]:
    """Returns the conjunctions of a filter, as Logprep makes them."""
    if not isinstance(node, Group):
        return [[node]]
    parts = [written_out(part) for part in node.nodes]
    if node.word == "OR":
        return [term for part in parts for term in part]
    return [sum(chosen, []) for chosen in itertools.product(*parts)]


def test_a_rule_keeps_what_tells_its_alerts_apart() -> None:
    found = translate(rule('  s: {Image|endswith: "\\\\cmd.exe"}\n  condition: s'))
    assert found.content["pre_detector"]["id"] == "11111111-2222-3333-4444-555555555555"
    assert found.content["pre_detector"]["severity"] == "high"
    assert found.content["pre_detector"]["mitre"] == ["attack.t1036"]
    assert found.content["sigma_fields"] == ["process.executable"]


def test_fields_are_read_where_the_mapping_puts_them() -> None:
    detection = "  s: {Image|endswith: \\cmd.exe, IntegrityLevel: High}\n  condition: s"
    assert condition(detection) == r'process.executable:"*\cmd.exe" AND IntegrityLevel:"High"'


def test_lists_modifiers_and_negations_are_written_out() -> None:
    detection = """
  s: {CommandLine|contains|all: [/c, whoami]}
  f: {User|startswith: [A, B]}
  condition: s and not f
"""
    assert condition(detection) == (
        'process.command_line:"*/c*" AND process.command_line:"*whoami*" '
        'AND (NOT user.name:"A*") AND (NOT user.name:"B*")'
    )


def test_a_field_that_is_null_may_also_be_missing() -> None:
    assert condition("  s: {Company: null}\n  condition: s") == ("((NOT Company) OR Company:null)")


@pytest.mark.parametrize(
    ("sigma", "written"),
    [
        (r"a*", "a*"),
        (r"a\*", r"a\*"),
        (r"a\\*", r"a\\*"),
        (r"\cmd.exe", r"\cmd.exe"),
        (r"\\\\host\\*", r"\\host\\*"),
    ],
)
def test_backslashes_are_written_as_logprep_reads_them(sigma: str, written: str) -> None:
    assert wildcards(SigmaString(sigma)) == written


def test_a_star_behind_a_backslash_needs_a_regex() -> None:
    found = text("x", SigmaString(r"a\\\*"))
    assert (found.kind, found.value) == ("regex", r"(?i)a\\\*")


def test_a_regex_is_searched_for_and_its_slashes_are_escaped() -> None:
    detection = "  s: {CommandLine|re: 'a/b$'}\n  condition: s"
    assert condition(detection) == r"process.command_line:/(?s:.*)(?:a\/b$)(?s:.*)/"


@pytest.mark.parametrize(
    ("detection", "why"),
    [
        ("  s: [mimikatz]\n  condition: s", "keyword"),
        ("  s: {Image|fieldref: ParentImage}\n  condition: s", "SigmaFieldReference"),
        ("  s: {'a b': x}\n  condition: s", "special characters"),
    ],
)
def test_what_logprep_has_no_words_for_is_left_out_by_name(detection: str, why: str) -> None:
    with pytest.raises(Untranslatable, match=why):
        translate(rule(detection))


def test_a_file_that_pysigma_refuses_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rule.yml"
    path.write_text("title: no detection\nlogsource: {product: windows}\n")
    assert str(translated(path)).startswith("pySigma: ")


def test_a_rule_of_too_many_terms_is_left_out() -> None:
    lists = "".join(f"    {field}: [{', '.join('abcdefghi')}]\n" for field in ("x", "y", "z"))
    with pytest.raises(Untranslatable, match="too many terms"):
        translate(rule(f"  s:\n{lists}  condition: s"))


@given(node)
def test_terms_are_those_of_the_disjunction_written_out(node: Node) -> None:
    assert terms(node) == len(written_out(node))


@given(node, values, values)
def test_negating_turns_every_answer(node: Node, x: str, y: str) -> None:
    event = {"x": x, "y": y}
    assert holds(negated(node), event) != holds(node, event)


@given(values)
def test_a_value_is_found_by_its_own_pattern(value: str) -> None:
    escaped = re.sub(r"([\\*?])", r"\\\1", value)
    assert re.fullmatch(pattern(SigmaString(escaped)), value)


def test_every_event_gets_its_logsources_from_one_value_each() -> None:
    added = [rule["generic_adder"]["add"] for rule in labels()]
    assert {CATEGORY: ["registry_set", "registry_event"]} in added
    assert all(len(one) == 1 for one in added)


def test_twenty_eight_fields_are_mapped() -> None:
    targets = {*COMMON.values(), *SYSMON_FIELDS.values()}
    assert len(targets) == 28
    assert set(AUDIT_FIELDS.values()) < targets


def test_the_configuration_names_files_that_are_there(tmp_path: Path) -> None:
    config = configuration(tmp_path, "127.0.0.1:9092", "samlog.raw.enheda", "logprep")
    (tmp_path / "rules").mkdir()
    for processor in config["pipeline"]:
        for settings in processor.values():
            assert all(Path(path).exists() for path in settings["rules"])
    assert json.loads((tmp_path / "fields.json").read_text())[0]["field_manager"]["mapping"]


def test_equal_nodes_of_a_list_are_written_once() -> None:
    one = Leaf("x", "text", "a")
    assert joined("OR", [one, one]) == one
