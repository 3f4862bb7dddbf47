"""What rules see of an event is bounded; what they did not see is told, never passed over."""

import gc
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from detect.engine import MAX_TOLD, Engine
from detect.ledger import Ledger
from detect.many import Heavy
from detect.overlay import Overlays, load_overlays
from detect.own import FLOOD, IN_PART
from detect.reload import RuleSet
from detect.step import DetectStep
from detect.text import (
    HEAD_CHARS,
    MAX_CHARS,
    MAX_LOOKED_AT,
    MAX_MEMBERS,
    MAX_WORD_CHARS,
    MAX_WORDS,
    TAIL_CHARS,
    View,
    json_text,
    read,
)
from samlog.bus.base import Message
from samlog.event import EVENTS
from samlog.metrics import Metrics
from samlog.testing import FakeClock

Sees = Callable[..., tuple[bool, tuple[str, ...]]]
LINE = "winlog.event_data.CommandLine"
HEAD = {
    "@timestamp": "2026-01-10T13:37:01.000Z",
    "event.id": "e1",
    "samlog.unit": "enheda",
    "event.dataset": "windows.sysmon_operational",
    "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
    "event.code": "1",
}


@pytest.fixture
def sees(load: Callable[..., Engine], rule: Any) -> Sees:
    """Returns a function that tells whether a detection fires, and what was cut.

    With the prefilter, from the line and without, the answer is the same.
    """

    def answer(selection: Any, event: dict[str, Any]) -> tuple[bool, tuple[str, ...]]:
        engine = load(rule({"selection": selection}))
        assert not engine.report.refused
        whole = bool(engine.match(event, prefilter=False)), engine.cut
        fast = bool(engine.match(event)), engine.cut
        assert bool(engine.match(event, line=orjson.dumps(event))) is fast[0] is whole[0]
        return fast

    return answer


def test_a_text_of_the_greatest_length_is_read_whole(sees: Sees) -> None:
    text = "a" * (HEAD_CHARS - 2) + "middle" + "b" * (TAIL_CHARS - 3)

    assert len(text) == MAX_CHARS
    assert sees({"A|contains": "middle"}, {"A": text}) == (True, ())
    assert sees({"A": text}, {"A": text}) == (True, ())


@pytest.mark.parametrize(
    ("key", "value", "fires"),
    [
        ("A|contains", "atthehead", True),
        ("A|contains", "atthetail", True),
        ("A|contains", "hidden", False),
        ("A|startswith", "begin", True),
        ("A|endswith", "end", True),
        ("A|re", "^begin.*end$", False),
        ("A|re", "(?s)^begin.*end$", True),
        ("A|contains|cased", "atTheTail", False),
        ("A|contains|cased", "atthetail", True),
        ("A|contains", "*aa", True),
    ],
)
def test_of_a_longer_text_the_beginning_and_the_end_are_read(
    sees: Sees, key: str, value: str, fires: bool
) -> None:
    head = "begin" + "\n" + "x" * (HEAD_CHARS - 15) + "atthehead"
    tail = "atthetail" + "a" * (TAIL_CHARS - 12) + "end"

    answer = sees({key: value}, {"A": head + "hidden" + tail})

    assert answer == (fires, ("A",))


def test_nothing_stands_across_the_gap(sees: Sees) -> None:
    text = "x" * (HEAD_CHARS - 3) + "foo" + "gap" + "bar" + "x" * (TAIL_CHARS - 3)

    assert sees({"A|contains": "foobar"}, {"A": text}) == (False, ("A",))
    assert sees({"A|contains": "foogapbar"}, {"A": text}) == (False, ("A",))


def test_a_field_that_no_rule_reads_is_not_told(sees: Sees) -> None:
    assert sees({"A": "x"}, {"A": "x", "B": "y" * 100_000}) == (True, ())


def test_of_a_list_so_many_members_are_read(sees: Sees) -> None:
    exact = ["x"] * (MAX_MEMBERS - 1) + ["needle"]

    assert sees({"A": "needle"}, {"A": exact}) == (True, ())
    assert sees({"A": "needle"}, {"A": ["x", *exact]}) == (False, ("A",))
    assert sees({"A|endswith": "dle"}, {"A": [*exact, "x"]}) == (True, ("A",))


def test_of_a_list_so_many_characters_are_read(sees: Sees) -> None:
    long = "x" * (MAX_CHARS // 2)

    assert sees({"A|endswith": "y"}, {"A": [long, long[1:] + "y"]}) == (True, ())
    assert sees({"A|endswith": "y"}, {"A": [long, long + "y"]}) == (False, ("A",))
    assert sees({"A|endswith": "y"}, {"A": [long * 5 + "y"]}) == (True, ("A",))


def test_members_that_are_nothing_count_as_looked_at() -> None:
    assert read([[]] * 10 + ["x"]) == (("x",), False)
    assert read([None] * MAX_LOOKED_AT + ["x"]) == ((), True)
    assert read([[[None]]] * MAX_LOOKED_AT + ["x"]) == ((), True)


def test_an_object_is_its_json_cut_likewise(sees: Sees) -> None:
    value = {"a": "needle", "b": "x" * MAX_CHARS, "c": "other"}

    assert sees({"A|contains": "needle"}, {"A": value}) == (True, ("A",))
    assert sees({"A|endswith": '"other"}'}, {"A": value}) == (True, ("A",))


@pytest.mark.parametrize("levels", [253, 254, 300, 1_020])
def test_an_object_of_any_depth_is_its_json(levels: int) -> None:
    text = '{"k":' * levels + '[true,null,1.5,"deep"]' + "}" * levels

    assert json_text(orjson.loads(text)) == text


def test_what_json_does_not_write_is_read_within_an_object() -> None:
    found = json_text({"\ud800": "\udfff", "n": 2**70, "many": 10**5_000})

    assert f'"n":{2**70},' in found


def test_keywords_are_looked_for_in_so_many_texts_and_characters(sees: Sees) -> None:
    many = {f"k{n}": "x" for n in range(MAX_WORDS)}
    assert sees(["needle"], {**many, "k0": "needle"}) == (True, ())
    assert sees(["needle"], {**many, "last": "needle"}) == (False, ("keywords",))

    long = {f"k{n}": "x" * MAX_CHARS for n in range(MAX_WORD_CHARS // MAX_CHARS)}
    assert sees(["needle"], {"first": "needle", **long}) == (True, ("keywords",))
    assert sees(["needle"], {**long, "last": "needle"}) == (False, ("keywords",))
    assert sees(["needle"], {"a": "x" * MAX_CHARS + "needle"}) == (True, ("keywords",))


def test_words_in_lists_and_objects_count_too() -> None:
    event = {"a": ["x"] * (MAX_WORDS - 1), "b": {"c": ["y", "z"]}}
    view = View(event, lambda key: True)

    assert len(view.keywords()) == MAX_WORDS
    assert view.cut == {"keywords"}


def test_a_large_regex_that_reads_less_is_told(sees: Sees) -> None:
    assert sees({"A|re": "[ab]{900}c"}, {"A": "c" + "x" * 8_191}) == (False, ())
    assert sees({"A|re": "[ab]{900}c"}, {"A": "c" + "x" * 8_192}) == (False, ("A",))
    assert sees({"A|re": "[ab]{90}c"}, {"A": "c" + "x" * 8_192}) == (False, ())
    assert sees({"A|re": "[ab]{900}c"}, {"A": "x" * 8_193}) == (False, ())


@pytest.fixture
def step(load: Callable[..., Engine], rule: Any, tmp_path: Path) -> Callable[..., DetectStep]:
    def made(*entries: dict[str, Any]) -> DetectStep:
        process = {"product": "windows", "category": "process_creation"}
        engine = load(rule({"selection": {"CommandLine": "whoami"}}, logsource=process), mode="ecs")
        overlay = tmp_path / "overlay"
        overlay.write_text(yaml.safe_dump(list(entries)), "utf-8")
        overlays = load_overlays({"enheda": overlay}, engine.built) if entries else Overlays()
        assert not overlays.refused
        clock = FakeClock(datetime(2026, 1, 10, 13, 37, 2, tzinfo=UTC))
        return DetectStep(RuleSet(engine, overlays), clock, metrics=Metrics())

    return made


def told(step: DetectStep, **fields: Any) -> list[dict[str, Any]]:
    value = orjson.dumps(HEAD | fields)
    return [
        orjson.loads(record.value)
        for record in step.process(Message(EVENTS, 0, 7, b"k", value, {}, 0))
    ]


def test_an_event_that_hides_behind_its_length_is_told_and_counted(step: Any) -> None:
    made = step()

    (found,) = told(made, **{LINE: "x" * 40_000 + "whoami" + "x" * 10_000, "user.name": "anna"})

    assert found["rule"]["id"] == IN_PART.id
    assert found["rule"]["title"] == "Event too long to be matched whole"
    assert found["rule"]["level"] == "medium"
    assert LINE in found["matched"]["samlog.matched_in_part"]
    assert found["context"]["user.name"] == "anna"
    assert made._metrics.value("events_matched_in_part_total", unit="enheda") == 1


def test_what_fires_on_the_part_is_told_beside_it(load: Callable[..., Engine], rule: Any) -> None:
    process = {"product": "windows", "category": "process_creation"}
    found = rule({"selection": {"CommandLine|endswith": "whoami"}}, logsource=process)
    made = DetectStep(load(found, mode="ecs"), FakeClock())

    titles = {one["rule"]["title"] for one in told(made, **{LINE: "x" * 40_000 + "whoami"})}

    assert titles == {"a rule under test", "Event too long to be matched whole"}


def test_nothing_of_a_heavy_event_waits_for_the_garbage_collector(
    load: Callable[..., Engine], rule: Any
) -> None:
    engine = load(rule({"selection": {"A|re": "a.*b", "A|contains": "x"}}))
    event = {"A": ["y" * 2_000, "axb"]}
    engine.match(event)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        assert engine.match(event)
        gc.collect()
        assert not [one for one in gc.garbage if isinstance(one, Heavy)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_the_next_event_is_not_told(step: Any) -> None:
    made = step()
    told(made, **{LINE: "x" * 40_000})

    assert told(made, **{LINE: "x"}) == []
    assert told(made, **{"winlog.event_data.Image": "x"}) == []


@pytest.mark.parametrize(
    ("change", "level"),
    [({"disable": True}, None), ({"level": "low"}, "low")],
)
def test_a_unit_may_silence_it_or_change_its_level(
    step: Any, change: dict[str, Any], level: str | None
) -> None:
    who = {"owner": "kari", "reason": "scripts", "since": date(2026, 1, 1)}
    made = step({"rules": [IN_PART.id], "expires": date(2026, 5, 1), **who, **change})

    found = told(made, **{LINE: "x" * 40_000})

    assert [one["rule"]["level"] for one in found] == ([level] if level else [])


def test_of_a_flood_the_most_severe_are_told_and_all_are_listed(
    load: Callable[..., Engine], rule: Any, tmp_path: Path
) -> None:
    process = {"product": "windows", "category": "process_creation"}
    levels = ["low"] * MAX_TOLD + ["critical"] * 3
    rules = [
        rule({"selection": {"CommandLine": "x"}}, logsource=process, level=level)
        | {"id": f"{n:08x}-1111-4111-8111-111111111111"}
        for n, level in enumerate(levels)
    ]
    ledger = Ledger(tmp_path / "detect.db")
    made = DetectStep(load(*rules, mode="ecs"), FakeClock(), ledger=ledger, metrics=Metrics())

    found = told(made, **{LINE: "x"})
    made.settle()

    by_level = Counter(one["rule"]["level"] for one in found)
    assert by_level == {"critical": 3, "low": MAX_TOLD - 3, "high": 1}
    assert all(one["matched"] for one in found)
    assert found[-1]["rule"]["id"] == FLOOD.id
    assert found[-1]["matched"]["samlog.rules_not_told"] == 3
    listed = ledger._sql.execute("SELECT kind, rule FROM suppressed").fetchall()
    assert {kind for kind, _ in listed} == {"flood"}
    told_ids = {one["rule"]["id"] for one in found}
    assert {rule for _, rule in listed} == {one["id"] for one in rules} - told_ids
    assert made._metrics.value("matches_suppressed_total", unit="enheda", by="flood") == 3
    made.close()


def test_as_many_as_are_told_are_no_flood(load: Callable[..., Engine], rule: Any) -> None:
    process = {"product": "windows", "category": "process_creation"}
    rules = [
        rule({"selection": {"CommandLine": "x"}}, logsource=process)
        | {"id": f"{n:08x}-1111-4111-8111-111111111111"}
        for n in range(MAX_TOLD)
    ]

    found = told(DetectStep(load(*rules, mode="ecs"), FakeClock()), **{LINE: "x"})

    assert len(found) == MAX_TOLD
    assert FLOOD.id not in {one["rule"]["id"] for one in found}
