"""Sigma filter documents: applied to the rules that they name, or refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detect.engine import Engine

RULE_ID = "11111111-1111-4111-8111-111111111111"
FILTER_ID = "99999999-9999-4999-8999-999999999999"

Load = Callable[..., Engine]


def filter_of(rules: Any = (RULE_ID,), **changes: Any) -> dict[str, Any]:
    return {
        "title": "Administrators",
        "id": FILTER_ID,
        "logsource": {"product": "windows"},
        "filter": {
            "rules": list(rules) if isinstance(rules, tuple) else rules,
            "selection": {"User|startswith": "adm_"},
            "condition": "not selection",
        },
        **changes,
    }


@pytest.fixture
def seen(rule: Any) -> dict[str, Any]:
    found: dict[str, Any] = rule({"selection": {"A": "x"}}, name="seen_x")
    return found


@pytest.mark.parametrize("rules", [(RULE_ID,), (RULE_ID.upper(),), ("seen_x",), "any", RULE_ID])
def test_a_filter_takes_matches_from_the_rules_it_names(
    load: Load, seen: dict[str, Any], rules: Any
) -> None:
    engine = load(seen, filter_of(rules))

    assert engine.match({"A": "x", "User": "kari"})
    assert engine.match({"A": "x"})
    assert not engine.match({"A": "x", "User": "ADM_kari"})
    assert engine.stats.filtered == {(RULE_ID, FILTER_ID): 1}
    assert not engine.report.refused


def test_with_and_without_the_prefilter_a_filter_does_the_same(
    load: Load, seen: dict[str, Any]
) -> None:
    engine = load(seen, filter_of())

    assert not engine.match({"A": "x", "User": "adm_x"}, prefilter=False)
    assert engine.match({"A": "x", "User": "x"}, prefilter=False)


def test_a_filters_condition_is_joined_by_and_as_it_is_written(
    load: Load, seen: dict[str, Any]
) -> None:
    wanted = filter_of()
    wanted["filter"]["condition"] = "selection"
    engine = load(seen, wanted)

    assert engine.match({"A": "x", "User": "adm_x"})
    assert not engine.match({"A": "x", "User": "kari"})


def test_patterns_in_a_filters_condition_mean_its_own_selections(load: Load, rule: Any) -> None:
    own = rule({"selection": {"A": "x"}, "filter_main": {"A": "y"}, "condition": "selection"})
    wanted = filter_of()
    wanted["filter"] = {
        "rules": [RULE_ID],
        "selection_a": {"User": "a"},
        "selection_b": {"User": "b"},
        "condition": "not 1 of selection_*",
    }
    engine = load(own, wanted)

    assert [bool(engine.match({"A": "x", "User": user})) for user in "abc"] == [False, False, True]


def test_a_filter_with_any_concerns_the_rules_of_its_logsource_alone(
    load: Load, rule: Any, seen: dict[str, Any]
) -> None:
    other = rule(
        {"selection": {"A": "x"}},
        id="11111111-1111-4111-8111-111111111112",
        logsource={"product": "linux"},
    )
    engine = load(seen, other, filter_of("any"))

    found = engine.match({"A": "x", "User": "adm_x"})

    assert [match.rule.logsource[0] for match in found] == ["linux"]
    assert engine.filters[0].rules == {RULE_ID}


def test_two_filters_on_one_rule_are_both_asked(load: Load, seen: dict[str, Any]) -> None:
    second = filter_of(id="99999999-9999-4999-8999-999999999998")
    second["filter"]["selection"] = {"Host": "test1"}
    engine = load(seen, filter_of(), second)

    assert not engine.match({"A": "x", "Host": "test1"})
    assert not engine.match({"A": "x", "User": "adm_x"})
    assert engine.match({"A": "x", "Host": "prod1", "User": "kari"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"filter": {"rules": ["no such rule"]}}, "filter_dangling"),
        ({"filter": {"rules": [RULE_ID, "no such rule"]}}, "filter_dangling"),
        ({"filter": {"rules": []}}, "filter_without_rules"),
        ({"filter": {"rules": None}}, "filter_without_rules"),
        ({"filter": {"rules": {"a": 1}}}, "filter_without_rules"),
        ({"logsource": {"product": "linux"}}, "filter_logsource"),
        ({"logsource": {"product": "linux"}, "filter": {"rules": "any"}}, "filter_dangling"),
        ({"filter": {"condition": ["not selection"]}}, "invalid_condition"),
        ({"filter": {"condition": "not other"}}, "invalid_condition"),
        ({"filter": {"selection": {"User|endswiht": "x"}}}, "unknown_modifier"),
        ({"filter": {"selection": {"User|re": "(?=x)"}}}, "regex_not_linear"),
        ({"title": None}, "invalid_title"),
        ({"logsource": None}, "not_a_rule"),
        ({"id": RULE_ID}, "duplicate_id"),
        ({"id": "zzz"}, "invalid_identifier"),
    ],
)
def test_a_filter_that_cannot_be_applied_is_refused_by_name_and_its_rules_fire(
    load: Load, seen: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    wanted = filter_of()
    body = wanted["filter"] | changes.pop("filter", {})
    engine = load(seen, wanted | changes | {"filter": body})

    error = engine.report.refused[0]
    assert (error.reason, len(engine.report.refused)) == (reason, 1)
    assert error.path.endswith("rule1.yml")
    assert engine.match({"A": "x", "User": "adm_x"})


def test_a_filter_may_name_a_rule_that_is_refused_itself(load: Load, rule: Any) -> None:
    engine = load(rule({"selection": {"A|nope": "x"}}), filter_of())

    assert [error.reason for error in engine.report.refused] == ["unknown_modifier"]


def test_a_second_filter_with_the_same_id_is_refused(load: Load, seen: dict[str, Any]) -> None:
    engine = load(seen, filter_of(), filter_of())

    assert engine.report.reasons() == {"duplicate_id": 1}
    assert len(engine.filters) == 1


def test_a_filter_reads_the_fields_where_the_events_have_them(load: Load, rule: Any) -> None:
    process = rule(
        {"selection": {"Image|endswith": "\\whoami.exe"}},
        logsource={"product": "windows", "category": "process_creation"},
    )
    engine = load(process, filter_of(), mode="ecs")
    event = {
        "event.dataset": "windows.sysmon_operational",
        "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
        "event.code": "1",
        "winlog.event_data.Image": "C:\\Windows\\System32\\whoami.exe",
    }

    assert engine.match({**event, "winlog.event_data.User": "kari"})
    assert not engine.match({**event, "winlog.event_data.User": "adm_kari"})


@pytest.mark.parametrize("selection", [{"EventID": 4688}, {"EventID": 4688, "Image": "*.exe"}])
def test_a_filter_is_asked_of_the_same_fields_whatever_its_rule_reads(
    load: Load, rule: Any, selection: dict[str, Any]
) -> None:
    found = rule({"selection": selection}, logsource={"product": "windows"})
    taking = filter_of()
    taking["filter"]["selection"] = {"Image|endswith": "ok.exe"}
    engine = load(found, taking, mode="ecs")
    event = {
        "winlog.channel": "Security",
        "event.code": "4688",
        "winlog.event_data.NewProcessName": "C:\\ok.exe",
    }

    assert engine.match(event) == []
    assert engine.stats.filtered.total() == 1


def test_a_filter_on_a_field_that_no_event_of_its_rules_has_is_refused(
    load: Load, rule: Any
) -> None:
    auth = rule({"selection": ["failed"]}, logsource={"product": "linux", "service": "sshd"})
    wanted = filter_of(logsource={"product": "linux"})
    engine = load(auth, wanted, mode="ecs")

    assert engine.report.reasons() == {"unmapped_field": 1}
    assert not engine.filters


def test_filters_come_back_from_the_cache(load: Load, seen: dict[str, Any], tmp_path: Path) -> None:
    for _ in range(2):
        engine = load(seen, filter_of(), cache_dir=tmp_path / "cache")

        assert not engine.match({"A": "x", "User": "adm_x"})
        assert engine.filters[0].title == "Administrators"
