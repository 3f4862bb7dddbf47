"""Correlation rules in files: what is read, and what is refused by name while the rest runs."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from detect.build import Built
from detect.correlate.matches import millionths
from detect.correlate.rule import MAX_NUMBER, Base, Correlation, silent_rules
from detect.engine import Engine

Load = Callable[..., Engine]

BASE = "11111111-1111-4111-8111-111111111111"
OTHER = "11111111-1111-4111-8111-222222222222"
OWN = "33333333-3333-4333-8333-333333333333"
UPPER = "33333333-3333-4333-8333-444444444444"


def base(rule_id: str = BASE, name: str = "failed_login", **extra: Any) -> dict[str, Any]:
    return {
        "title": f"rule {name}",
        "id": rule_id,
        "name": name,
        "logsource": {"product": "windows", "category": "test"},
        "detection": {"selection": {"EventID": 4625}, "condition": "selection"},
        **extra,
    }


def correlation(rule_id: str = OWN, **section: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "type": "event_count",
        "rules": ["failed_login"],
        "group-by": ["User"],
        "timespan": "10m",
        "condition": {"gte": 10},
    }
    found = {k: v for k, v in (plain | section).items() if v is not None}
    return {"title": "many", "id": rule_id, "author": "Kari", "level": "high"} | {
        "correlation": found
    }


@pytest.fixture
def read(load: Load) -> Callable[..., Built]:
    def built(*documents: dict[str, Any]) -> Built:
        return load("---\n".join(map(yaml.safe_dump, documents))).built

    return built


def only(built: Built) -> Correlation:
    assert built.report.refused == []
    (found,) = built.correlations
    return found


def test_a_correlation_refers_to_rules_of_its_file_by_name(read: Callable[..., Built]) -> None:
    found = only(read(correlation(), base()))

    assert found.bases == (Base(BASE, {}),)
    assert found.kind == "event_count"
    assert found.group_by == ("User",)
    assert found.span_ms == 600_000
    assert found.bounds == (("gte", 10),)
    assert found.rule.author == "Kari"
    assert not found.shared
    assert not found.generate


def test_a_correlation_refers_to_rules_of_other_files_by_id(load: Load) -> None:
    built = load(correlation(rules=[BASE]), base()).built

    assert only(built).bases == (Base(BASE, {}),)


def test_a_range_is_read(read: Callable[..., Built]) -> None:
    found = only(read(base(), correlation(condition={"gt": 100, "lte": 200})))

    assert found.bounds == (("gt", 100), ("lte", 200))
    assert found.closing


def test_an_alias_stands_for_another_field_of_each_rule(read: Callable[..., Built]) -> None:
    aliases = {"who": {"failed_login": "TargetUserName", "other": "SubjectUserName"}}
    section = {"rules": ["failed_login", "other"], "aliases": aliases, "group-by": "who"}

    found = only(read(base(), base(OTHER, "other"), correlation(**section)))

    assert [b.names for b in found.bases] == [
        {"who": "TargetUserName"},
        {"who": "SubjectUserName"},
    ]


def test_temporal_without_a_condition_asks_for_all_rules(read: Callable[..., Built]) -> None:
    section = {"type": "temporal", "rules": ["failed_login", "other"], "condition": None}

    found = only(read(base(), base(OTHER, "other"), correlation(**section)))

    assert found.bounds == (("gte", 2),)


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        ("value_count", {"field": "User", "gte": 3}),
        ("value_count", {"field": ["User", "Host"], "gte": 3}),
        ("value_sum", {"field": "Bytes", "gt": 1.5}),
        ("value_avg", {"field": "Bytes", "lt": 500}),
        ("value_percentile", {"field": "Bytes", "gte": 500, "percentile": 95}),
        ("value_percentile", {"field": "Bytes", "lte": 1}),
        ("value_median", {"field": "Bytes", "eq": 7}),
    ],
)
def test_every_value_type_is_read(
    read: Callable[..., Built], kind: str, condition: dict[str, Any]
) -> None:
    assert only(read(base(), correlation(type=kind, condition=condition))).kind == kind


def test_the_chain_of_the_specification_is_read(read: Callable[..., Built]) -> None:
    upper = correlation(UPPER, type="temporal_ordered", rules=["many", "other"], condition=None)
    lower = correlation(**{"group-by": ["ComputerName"]}) | {"name": "many"}

    built = read(upper, lower, base(), base(OTHER, "other"))

    assert built.report.refused == []
    assert [c.rule.id for c in built.correlations] == [OWN, UPPER]
    assert built.correlations[0].carried == ("User",)


def test_base_rules_alert_only_where_generate_says_so(read: Callable[..., Built]) -> None:
    assert silent_rules([only(read(base(), correlation()))]) == {BASE}
    assert silent_rules([only(read(base(), correlation(generate=True)))]) == set()


@pytest.mark.parametrize("document", [{"generate": True}, {"generate": False}])
def test_generate_may_stand_beside_the_level(
    read: Callable[..., Built], document: dict[str, bool]
) -> None:
    assert only(read(base(), correlation() | document)).generate == document["generate"]


@pytest.mark.parametrize("said", ["yes", 1, False])
def test_generate_that_is_no_flag_or_contradicts_itself_is_refused(
    read: Callable[..., Built], said: Any
) -> None:
    built = read(base(), correlation(generate=True) | {"generate": said})

    assert [error.reason for error in built.report.refused] == ["invalid_correlation"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1_500_000),
        ("9000000000000", 9 * 10**18),
        ("9300000000000", MAX_NUMBER),
        ("-1e300", -MAX_NUMBER),
        ("1e999", MAX_NUMBER),
        ("x", None),
    ],
)
def test_a_number_counts_for_no_less_by_being_more(text: str, value: int | None) -> None:
    assert millionths(text) == value


def test_scope_shared_counts_all_units_together(read: Callable[..., Built]) -> None:
    assert only(read(base(), correlation() | {"samlog": {"scope": "shared"}})).shared


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"rules": ["nobody"]}, "dangling_reference"),
    ({"rules": []}, "invalid_correlation"),
    ({"rules": ["failed_login", BASE]}, "invalid_correlation"),
    ({"rules": [f"r{i}" for i in range(101)]}, "rule_too_large"),
    ({"type": "event_coumt"}, "invalid_correlation_type"),
    ({"type": ["event_count"]}, "invalid_correlation_type"),
    ({"timespan": "10"}, "invalid_timespan"),
    ({"timespan": "0s"}, "invalid_timespan"),
    ({"timespan": "99999999d"}, "invalid_timespan"),
    ({"timespan": None}, "invalid_timespan"),
    ({"condition": None}, "invalid_condition"),
    ({"condition": {}}, "invalid_condition"),
    ({"condition": {"gte": "many"}}, "invalid_condition"),
    ({"condition": {"gte": True}}, "invalid_condition"),
    ({"condition": {"gte": 1e400}}, "invalid_condition"),
    ({"condition": {"gte": 1.5}}, "invalid_condition"),
    ({"condition": {"more": 1}}, "invalid_condition"),
    ({"condition": {"gte": 1, "percentile": 5}}, "invalid_condition"),
    ({"type": "value_count", "condition": {"gte": 1}}, "invalid_condition"),
    ({"type": "value_sum", "condition": {"gte": 1, "field": ["a", "b"]}}, "invalid_condition"),
    ({"type": "temporal_ordered", "condition": {"lt": 1}}, "invalid_condition"),
    ({"condition": {"lt": 1}}, "invalid_condition"),
    ({"condition": {"lte": 0}}, "invalid_condition"),
    ({"condition": {"eq": -3}}, "invalid_condition"),
    ({"condition": {"gte": 5, "lt": 5}}, "invalid_condition"),
    ({"type": "temporal", "condition": {"gte": 2}}, "invalid_condition"),
    ({"type": "temporal", "condition": {"gt": 1}}, "invalid_condition"),
    ({"group-by": {"a": "b"}}, "invalid_correlation"),
    ({"generate": "yes"}, "invalid_correlation"),
    ({"aliases": {"who": {"nobody": "User"}}}, "dangling_reference"),
    ({"aliases": {"who": "User"}}, "invalid_correlation"),
    ({"grouped-by": ["User"]}, "invalid_correlation"),
]


@pytest.mark.parametrize(("section", "reason"), REFUSED)
def test_what_means_nothing_is_refused_and_the_rest_runs(
    read: Callable[..., Built], section: dict[str, Any], reason: str
) -> None:
    built = read(base(), correlation(**section), correlation(UPPER))

    (error,) = built.report.refused
    assert error.reason == reason
    assert error.line > 1
    assert error.rule_id == OWN
    assert [c.rule.id for c in built.correlations] == [UPPER]
    assert len(built.report.loaded) == 1


def test_a_cycle_is_refused_by_name(read: Callable[..., Built]) -> None:
    one = correlation(rules=["two"]) | {"name": "one"}
    two = correlation(UPPER, rules=["one"]) | {"name": "two"}

    built = read(base(), one, two)

    assert {e.reason for e in built.report.refused} == {"correlation_cycle", "dangling_reference"}
    assert built.correlations == []


def test_a_correlation_of_itself_is_a_cycle(read: Callable[..., Built]) -> None:
    (error,) = read(base(), correlation(rules=[OWN])).report.refused

    assert error.reason == "correlation_cycle"


def test_a_chain_that_is_too_long_is_refused(read: Callable[..., Built]) -> None:
    def number(i: int) -> str:
        return f"33333333-3333-4333-8333-{i:012}"

    chain = [correlation(number(0))]
    chain += [correlation(number(i), rules=[number(i - 1)]) for i in range(1, 200)]

    built = read(base(), *chain)

    assert len(built.correlations) == 10
    assert {e.reason for e in built.report.refused} == {
        "correlation_too_deep",
        "dangling_reference",
    }


def test_two_correlations_with_one_id_are_refused_by_name(read: Callable[..., Built]) -> None:
    (error,) = read(base(), correlation(), correlation()).report.refused

    assert error.reason == "duplicate_id"


def test_a_correlation_with_the_id_of_a_rule_is_refused(read: Callable[..., Built]) -> None:
    (error,) = read(base(), correlation(BASE)).report.refused

    assert error.reason == "duplicate_id"


def test_what_is_counted_over_all_units_is_counted_for_no_single_one(
    read: Callable[..., Built],
) -> None:
    everywhere = {"samlog": {"scope": "shared"}}
    below = correlation() | {"name": "below"} | everywhere
    above = correlation(UPPER, rules=["below"])

    (error,) = read(base(), below, above).report.refused
    both = read(base(), below, above | everywhere)

    assert error.reason == "invalid_correlation"
    assert "scope: shared" in str(error)
    assert [one.shared for one in both.correlations] == [True, True]


def test_a_name_that_two_rules_have_is_refused(read: Callable[..., Built]) -> None:
    (error,) = read(base(), base(OTHER), correlation()).report.refused

    assert error.reason == "ambiguous_reference"


def test_a_correlation_of_a_refused_rule_is_refused(read: Callable[..., Built]) -> None:
    built = read(base(detection={"condition": "selection"}), correlation())

    assert {e.reason for e in built.report.refused} >= {"dangling_reference"}
    assert built.correlations == []


def test_correlations_come_back_from_the_cache(load: Load, tmp_path: Any) -> None:
    folder = tmp_path.parent / "cache"
    first = load(base(), correlation(), cache_dir=folder).built
    again = load(base(), correlation(), cache_dir=folder).built

    assert again.correlations == first.correlations
    assert len(again.correlations) == 1
