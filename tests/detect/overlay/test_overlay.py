"""A unit's overlay: what it changes, for whom, how long, and what is refused."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.engine import Engine, Match
from detect.overlay import Overlays, load_overlays
from samlog.event import Event

RULE_ID = "11111111-1111-4111-8111-111111111111"
OTHER_ID = "11111111-1111-4111-8111-111111111112"
TODAY = date(2026, 1, 10)

WHOAMI: Event = {
    "event.id": "e1",
    "samlog.unit": "enheda",
    "event.dataset": "windows.sysmon_operational",
    "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
    "event.code": "1",
    "winlog.event_data.Image": "C:\\Windows\\System32\\whoami.exe",
    "winlog.event_data.User": "adm_kari",
    "host.name": "jump1",
}


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "rules": [RULE_ID],
        "owner": "kari.nordmann",
        "reason": "The backup does this; case 4711.",
        "since": date(2026, 1, 5),
        "expires": date(2026, 6, 30),
        **changes,
    }


@pytest.fixture
def engine(load: Callable[..., Engine], rule: Any) -> Engine:
    process = {"product": "windows", "category": "process_creation"}
    return load(
        rule({"selection": {"Image|endswith": "\\whoami.exe"}}, logsource=process, name="whoami"),
        rule({"selection": {"Image|contains": "System32"}}, logsource=process, id=OTHER_ID),
        mode="ecs",
    )


@pytest.fixture
def overlays(engine: Engine, tmp_path: Path) -> Callable[..., Overlays]:
    """Returns a function that loads entries, or text, as the overlay of enheda."""

    def loaded(*entries: Any) -> Overlays:
        path = tmp_path / "overlays" / "enheda.yaml"
        path.parent.mkdir(exist_ok=True)
        text = entries[0] if isinstance(entries[0], str) else yaml.safe_dump(list(entries))
        path.write_text(text, "utf-8")
        return load_overlays({"enheda": path}, engine.built)

    return loaded


def matches(engine: Engine, event: Event) -> list[Match]:
    found = engine.match(event)
    assert len(found) == 2
    return found


def taken(found: Overlays, engine: Engine, event: Event = WHOAMI, today: date = TODAY) -> set[str]:
    """Returns the rules whose match the overlay takes away."""
    return {
        match.rule.id
        for match in matches(engine, event)
        if found.judge(match, event, engine, today).by is not None
    }


def test_a_disabled_rule_is_silent_in_that_unit_alone(
    engine: Engine, overlays: Callable[..., Overlays]
) -> None:
    found = overlays(entry(disable=True))

    assert not found.refused
    assert taken(found, engine) == {RULE_ID}
    assert taken(found, engine, {**WHOAMI, "samlog.unit": "enhedb"}) == set()


def test_a_rule_may_be_named_by_its_name(engine: Engine, overlays: Callable[..., Overlays]) -> None:
    assert taken(overlays(entry(rules="whoami", disable=True)), engine) == {RULE_ID}


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        ({"selection": {"User|startswith": "adm_"}}, {RULE_ID}),
        ({"selection": {"User|startswith": "svc_"}}, set()),
        ({"selection": {"host.name": ["jump1", "jump2"]}}, {RULE_ID}),
        ({"selection": {"host.name": "jump2"}}, set()),
        (
            {"a": {"User|re": "^adm_"}, "b": {"host.name": "x"}, "condition": "a and not b"},
            {RULE_ID},
        ),
        ({"selection": ["whoami.exe"]}, {RULE_ID}),
    ],
)
def test_an_exception_takes_away_the_matches_that_it_selects(
    engine: Engine, overlays: Callable[..., Overlays], exception: Any, expected: set[str]
) -> None:
    found = overlays(entry(exception=exception))

    assert not found.refused
    assert taken(found, engine) == expected


def test_one_entry_may_name_several_rules(
    engine: Engine, overlays: Callable[..., Overlays]
) -> None:
    wanted = entry(rules=[RULE_ID, OTHER_ID], exception={"selection": {"host.name": "jump1"}})

    assert taken(overlays(wanted), engine) == {RULE_ID, OTHER_ID}


def test_a_changed_level_is_told_and_the_match_stays(
    engine: Engine, overlays: Callable[..., Overlays]
) -> None:
    found = overlays(entry(level="low"))

    verdict = found.judge(matches(engine, WHOAMI)[0], WHOAMI, engine, TODAY)

    assert (verdict.by, verdict.level) == (None, "low")


@pytest.mark.parametrize(
    ("today", "active"),
    [
        (date(2026, 1, 4), False),
        (date(2026, 1, 5), True),
        (date(2026, 6, 30), True),
        (date(2026, 7, 1), False),
    ],
)
def test_an_entry_is_in_force_from_its_first_to_its_last_day(
    engine: Engine, overlays: Callable[..., Overlays], today: date, active: bool
) -> None:
    found = overlays(entry(disable=True))

    assert bool(taken(found, engine, today=today)) is active
    assert [e.owner for e in found.expired(today)] == (
        ["kari.nordmann"] if today > date(2026, 6, 30) else []
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rules": ["no such rule"], "disable": True}, "overlay_dangling"),
        ({"rules": [], "disable": True}, "missing_rules"),
        ({"disable": True, "owner": ""}, "missing_owner"),
        ({"disable": True, "reason": None}, "missing_reason"),
        ({"disable": True, "reason": "x" * 501}, "missing_reason"),
        ({"disable": True, "expires": None}, "missing_expires"),
        ({"disable": True, "expires": "soon"}, "invalid_date"),
        ({"disable": True, "expires": date(2026, 1, 4)}, "invalid_date"),
        ({"disable": True, "expires": date(2026, 7, 5)}, "expires_too_late"),
        ({"disable": False}, "not_an_overlay"),
        ({}, "not_an_overlay"),
        ({"disable": True, "level": "low"}, "not_an_overlay"),
        ({"disable": True, "note": "x"}, "not_an_overlay"),
        ({"level": "urgent"}, "invalid_level"),
        ({"exception": "everything"}, "not_an_overlay"),
        ({"exception": {"selection": {"User|endswiht": "x"}}}, "unknown_modifier"),
        ({"exception": {"selection": {"User|re": "(a)\\1"}}}, "regex_not_linear"),
        ({"exception": {"selection": {"User": "x"}, "condition": "other"}}, "invalid_condition"),
        ({"exception": {}}, "invalid_detection"),
    ],
)
def test_a_wrong_entry_is_refused_with_file_and_line_and_the_others_work(
    engine: Engine, overlays: Callable[..., Overlays], changes: dict[str, Any], reason: str
) -> None:
    good = entry(rules=[OTHER_ID], disable=True)
    found = overlays(entry(**changes), good)

    assert [error.reason for error in found.refused] == [reason]
    assert found.refused[0].line == 1
    assert str(found.refused[0]).startswith(found.refused[0].path + ":1: unit enheda: ")
    assert taken(found, engine) == {OTHER_ID}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rules: [a]", "not_an_overlay"),
        ("- just text", "not_an_overlay"),
        ("- [", "not_yaml"),
        ("- " * 60_000, "yaml_bomb"),
        ("- {a: 1, a: 2}", "not_yaml"),
        ("\t- a", "not_yaml"),
        ("- x\n" * 1_001, "overlay_too_large"),
        ("#" * (1 << 20) + "#", "file_too_large"),
    ],
)
def test_a_file_that_is_no_overlay_is_refused(
    overlays: Callable[..., Overlays], text: str, reason: str
) -> None:
    found = overlays(text)

    assert [error.reason for error in found.refused] == [reason]
    assert not found.entries


def test_a_file_that_is_not_there_is_refused_by_name(engine: Engine, tmp_path: Path) -> None:
    found = load_overlays({"enheda": tmp_path / "absent.yaml"}, engine.built)

    assert [error.reason for error in found.refused] == ["unreadable"]
    assert "absent.yaml" in str(found.refused[0])


def test_an_empty_file_changes_nothing(overlays: Callable[..., Overlays]) -> None:
    assert overlays("# nothing yet\n").entries == []


def test_each_entry_has_its_own_line(overlays: Callable[..., Overlays]) -> None:
    text = yaml.safe_dump([entry(disable=True), entry(level="low")])

    assert [e.line for e in overlays("# two\n" + text).entries] == [2, 2 + text.count("\n") // 2]


def test_an_exception_on_a_field_that_the_events_lack_is_refused(
    load: Callable[..., Engine], rule: Any, tmp_path: Path
) -> None:
    engine = load(
        rule({"selection": ["failed"]}, logsource={"product": "linux", "service": "sshd"}),
        mode="ecs",
    )
    path = tmp_path / "enheda.yaml"
    path.write_text(yaml.safe_dump([entry(exception={"selection": {"CommandLine": "x"}})]))

    assert [e.reason for e in load_overlays({"enheda": path}, engine.built).refused] == [
        "unmapped_field"
    ]


def test_an_exception_that_raises_lets_the_match_through_and_is_counted(
    engine: Engine, overlays: Callable[..., Overlays]
) -> None:
    found = overlays(entry(exception={"selection": {"host.name": "jump1"}}))

    class Broken:
        def holds(self, *_: Any) -> bool:
            raise ValueError("as if")

    kept = found.entries[0]
    found._by_rule = {("enheda", RULE_ID): [(kept, Broken())]}  # type: ignore[list-item] # as if

    assert taken(found, engine) == set()
    assert found.faults == {kept.id: 1}
