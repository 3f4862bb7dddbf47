"""The engine as its callers see it: matches, what made them, and no event that breaks it."""

from collections.abc import Callable
from typing import Any

import pytest

from detect.engine import Engine

Load = Callable[..., Engine]


def test_a_match_names_the_fields_and_values_that_made_it(load: Load, rule: Any) -> None:
    engine = load(
        rule(
            {
                "selection": [{"A|contains": "x", "B": 1}, {"C": "never"}],
                "filter": {"D": "z"},
                "kw": ["needle"],
                "condition": "selection and kw and not filter",
            }
        )
    )

    match = engine.match({"A": "axb", "B": 1, "C": "c", "D": "d", "E": "a needle"})[0]

    assert match.fields == {"A": "axb", "B": 1, "keywords": ["needle"]}
    assert match.rule.author == "Kari"


def test_a_rule_that_raises_is_set_aside_and_the_others_go_on(load: Load, rule: Any) -> None:
    engine = load(
        rule({"selection": {"A": "x"}}, id="11111111-1111-4111-8111-111111111112"),
        rule({"selection": {"A|contains": "x"}}),
    )

    def broken(*_: Any) -> bool:
        raise ValueError("as if")

    engine._predicates[0] = broken
    first = engine.match({"A": "x"})
    second = engine.match({"A": "x"})

    assert len(first) == len(second) == 1
    assert engine.stats.faults == {engine.rules[0].id: "ValueError: as if"}


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "event",
    [
        {f"field{i}": i for i in range(5_000)},
        {"A": "a" * 1_000_000},
        {"A": nested(100_000)},
        {"A": ["a"] * 100_000},
        {"A": [{"b": "x"}, None, [], {}]},
        {"A": {"deep": {"er": 1}}},
        {"A": 10**5000},
        {"A": float("inf")},
        {"A": "\ud800\0"},
        {"A": b"bytes"},
        {"A.b c": "x", "": "y", "A": ""},
        {"product": ["a"], "Channel": {"a": 1}, "EventID": ["1"]},
        {"Channel": "x" * 100_000, "EventID": 10**100},
        {},
    ],
)
def test_no_event_is_too_strange(load: Load, rule: Any, event: dict[str, Any]) -> None:
    detection = {
        "a": {"A|contains|all": ["x", "y"]},
        "b": {"A": 1},
        "c": {"A|re": "x+y"},
        "d": {"A|cidr": "10.0.0.0/8"},
        "e": {"A|gt": 5},
        "f": {"A|fieldref": "B"},
        "g": {"A|hour": 5},
        "h": {"A": "x*y?z"},
        "kw": ["needle", "a*b"],
        "condition": "1 of them",
    }
    engine = load(rule(detection))

    assert engine.match(event) == engine.match(event, prefilter=False)
    assert not engine.stats.faults


def test_the_event_is_not_changed(load: Load, rule: Any) -> None:
    event = {"A": "X", "B": ["c"]}

    load(rule({"selection": {"A": "x", "B": "C"}})).match(event)

    assert event == {"A": "X", "B": ["c"]}


def test_rules_for_another_logsource_are_not_asked(load: Load, rule: Any) -> None:
    engine = load(rule({"selection": {"A": "x"}}, logsource={"product": "linux"}))

    assert engine.match({"A": "x", "product": "linux"})
    assert engine.match({"A": "x"})
    assert not engine.match({"A": "x", "product": "windows"})


def test_routing_is_by_conflict_where_the_event_names_its_logsource(load: Load, rule: Any) -> None:
    engine = load(rule({"selection": {"A": "x"}}, logsource={"category": "proxy"}))

    assert engine.match({"A": "x", "product": "squid"})
    assert engine.match({"A": "x", "product": "squid", "category": "Proxy"})
    assert not engine.match({"A": "x", "product": "squid", "category": "dns"})


@pytest.mark.parametrize("first", [{"_path": "dns"}, {"product": "x" * 50, "_path": "dns"}])
def test_a_remembered_route_is_of_its_own_event_only(
    load: Load, rule: Any, first: dict[str, Any]
) -> None:
    engine = load(rule({"selection": {"A": "x"}}, logsource={"product": "aws"}))
    second = {key: value for key, value in first.items() if key != "_path"}

    assert not engine.match({"A": "x", **first})
    assert engine.match({"A": "x", **second, "eventSource": "a", "eventName": "b"})


def test_an_event_id_of_true_is_not_remembered_as_1(load: Load, rule: Any) -> None:
    engine = load(
        rule(
            {"selection": {"Image": "x"}},
            logsource={"product": "windows", "category": "process_creation"},
        )
    )
    sysmon = {"Image": "x", "Channel": "Microsoft-Windows-Sysmon/Operational"}

    assert not engine.match({**sysmon, "EventID": True})
    assert engine.match({**sysmon, "EventID": 1})
    assert not engine.match({**sysmon, "EventID": True})


def test_of_alternatives_those_that_hold_are_noted(load: Load, rule: Any) -> None:
    engine = load(
        rule(
            {
                "one": {"A|contains": ["x", "y"], "B|endswith": "z"},
                "two": {"C": "c"},
                "not_me": {"A": "a", "E": "e"},
                "words": ["needle", "hay", "wo*d"],
                "condition": "1 of one or two or not_me or words",
            }
        )
    )

    match = engine.match({"A": "axb", "B": "z", "C": "c", "D": "needle word", "E": "e"})[0]

    assert match.fields == {"A": "axb", "B": "z", "C": "c", "keywords": ["needle", "wo*d"]}


def test_an_event_of_an_unknown_channel_meets_only_rules_for_all_of_windows(
    load: Load, rule: Any
) -> None:
    everything = rule({"selection": {"A": "x"}}, logsource={"product": "windows"})
    security = rule(
        {"selection": {"A": "x"}},
        id="11111111-1111-4111-8111-111111111113",
        logsource={"product": "windows", "service": "security"},
    )
    engine = load(everything, security)

    assert len(engine.match({"A": "x", "Channel": "Something/Else"})) == 1
    assert len(engine.match({"A": "x", "Channel": "SECURITY"})) == 2


def test_prepare_changes_no_answer(load: Load, rule: Any) -> None:
    engine = load(rule({"selection": {"Image": "x"}}, logsource={"product": "windows"}), mode="ecs")
    engine.prepare()

    assert engine.match({"winlog.channel": "System", "winlog.event_data.Image": "X"})


def test_hundreds_of_rules_with_one_field_are_asked_at_once(load: Load, rule: Any) -> None:
    rules = [
        rule(
            {"selection": {"A|contains": f"needle{i}x"}}, id=f"{i:08d}-1111-4111-8111-111111111111"
        )
        for i in range(300)
    ]
    engine = load(*rules)

    found = engine.match({"A": "a needle7x and needle299x"})

    assert {match.rule.id[:8] for match in found} == {"00000007", "00000299"}
    assert engine.stats.candidates == 2


@pytest.mark.parametrize("value", ["abcx12345", 12345])
def test_a_rule_of_one_field_is_asked_once_for_a_value_it_does_not_fire_with(
    load: Load, rule: Any, value: str | int
) -> None:
    engine = load(rule({"selection": {"A|re": r"[0-9]{6}"}}))

    answers = [engine.match({"A": value, "n": n}) for n in range(9)]

    assert answers == [[]] * 9
    assert engine.stats.candidates == 1
    assert engine.match({"A": f"{value}6"})
    assert engine.match({"A": f"{value}6"})


def test_what_is_remembered_of_a_number_is_not_said_of_true_or_of_its_text(
    load: Load, rule: Any
) -> None:
    engine = load(rule({"selection": {"A|re": "true|\\+1"}}))

    assert not engine.match({"A": 1})
    assert engine.match({"A": True})
    assert not engine.match({"A": "1"})
    assert engine.match({"A": "+1"})


def test_a_rule_of_two_fields_is_asked_again_with_a_value_it_did_not_fire_with(
    load: Load, rule: Any
) -> None:
    engine = load(rule({"selection": {"A|re": "[a-z]{3}[0-9]?", "B|re": "[0-9]{3}"}}))

    assert not engine.match({"A": "abc", "B": "x"})
    assert engine.match({"A": "abc", "B": "123"})


def test_alternatives_of_several_fields_rule_out_what_each_names_beside_the_common_field(
    load: Load, rule: Any
) -> None:
    engine = load(
        rule(
            {
                "selection_syscall": {"type": "SYSCALL", "exe|endswith": "/useradd"},
                "selection_record": {"type": "ADD_USER"},
                "condition": "1 of selection_*",
            }
        )
    )

    assert not engine.match({"type": "SYSCALL", "exe": "/usr/bin/python3"})
    assert engine.stats.candidates == 0
    assert engine.match({"type": "SYSCALL", "exe": "/usr/sbin/useradd"})
    assert engine.match({"type": "ADD_USER", "exe": "/usr/bin/python3"})


def test_an_event_of_several_kinds_at_once_builds_no_index_and_loses_nothing(
    load: Callable[..., Engine], rule: Any
) -> None:
    sources = [
        {"product": "windows", "category": "process_creation"},
        {"product": "windows", "service": "security"},
        {"category": "webserver"},
        {"product": "aws", "service": "cloudtrail"},
    ]
    fields = ("CommandLine", "SubjectUserName", "cs-uri-stem", "eventName")
    rules = [
        rule({"selection": {field: "x"}}, logsource=source)
        | {"id": f"{n}1111111-1111-4111-8111-111111111111"}
        for n, (source, field) in enumerate(zip(sources, fields, strict=True))
    ]
    engine = load(*rules, mode="ecs")
    engine.prepare()
    prepared = len(engine._routes._groups)
    found = set()

    for dataset in ("windows.sysmon_operational", "system.security", "aws.cloudtrail", "nginx"):
        for channel in ("Security", "Microsoft-Windows-Sysmon/Operational", None):
            for code in ("1", "4688", "4624", None):
                event = {
                    "event.dataset": dataset,
                    "winlog.channel": channel,
                    "event.code": code,
                    "winlog.event_data.CommandLine": "x",
                    "winlog.event_data.SubjectUserName": "x",
                    "event.action": "x",
                }
                fast = [match.rule.id for match in engine.match(event)]
                assert fast == [m.rule.id for m in engine.match(event, prefilter=False)]
                found.add(tuple(fast))

    assert len(engine._routes._groups) == prepared
    assert len(found) > 2
    assert any(len(members.groups) > 1 for members in engine._routes._members.values())
