"""The stage in operation: what units took away, what is counted, which rule is asked no more."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from detect.counters import MIN_CALLS, WINDOW_S, TimeShare
from detect.detection import RULE_SET_ASIDE
from detect.engine import SAMPLE, Engine
from detect.ledger import MAX_SUPPRESSED, Books, Ledger, folder
from detect.overlay import load_overlays
from detect.reload import RuleSet
from detect.step import DetectStep
from samlog.bus.base import Message, Record
from samlog.errors import Unavailable
from samlog.event import EVENTS
from samlog.metrics import Metrics
from samlog.testing import FakeClock

NOW = datetime(2026, 1, 10, 13, 37, 2, tzinfo=UTC)
RULE_ID = "11111111-1111-4111-8111-111111111111"
WHOAMI = {
    "@timestamp": "2026-01-10T13:37:01.000Z",
    "event.id": "e1",
    "samlog.unit": "enheda",
    "event.dataset": "windows.sysmon_operational",
    "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
    "event.code": "1",
    "winlog.event_data.Image": "C:\\Windows\\System32\\whoami.exe",
    "winlog.event_data.User": "adm_kari",
}


def message(**changes: Any) -> Message:
    return Message(EVENTS, 0, 7, b"k", orjson.dumps({**WHOAMI, **changes}), {}, 0)


def told(records: Any) -> list[dict[str, Any]]:
    return [orjson.loads(record.value) for record in records]


@pytest.fixture
def engine(load: Callable[..., Engine], rule: Any) -> Engine:
    process = {"product": "windows", "category": "process_creation"}
    return load(
        rule({"selection": {"Image|endswith": "\\whoami.exe"}}, logsource=process), mode="ecs"
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


Make = Callable[..., DetectStep]


@pytest.fixture
def make(engine: Engine, clock: FakeClock, tmp_path: Path) -> Make:
    """Returns a maker of steps; its arguments are entries of enheda's overlay."""

    def made(*entries: Mapping[str, Any], number: int = 0, **options: Any) -> DetectStep:
        path = tmp_path / "enheda.yaml"
        path.write_text(yaml.safe_dump([dict(entry) for entry in entries]))
        overlays = load_overlays({"enheda": path}, engine.built)
        assert not overlays.refused
        name = f"detect-{number}.db" if number else "detect.db"
        ledger = Ledger(folder(tmp_path) / name)
        rules = RuleSet(engine, overlays, "2026-01", "ab" * 32)
        return DetectStep(rules, clock, ledger=ledger, **options)

    return made


def entry(**changes: Any) -> dict[str, Any]:
    said = {"owner": "kari", "reason": "known", "since": NOW.date(), "expires": NOW.date()}
    return {"rules": [RULE_ID], **said, **changes}


def test_every_detection_names_the_rule_set(make: Make) -> None:
    found = told(make().process(message()))[0]

    assert found["rule"]["rule_set"] == "2026-01 sha256:" + "ab" * 32


def test_a_suppressed_match_is_not_told_but_listed_before_its_position_is_committed(
    make: Make, tmp_path: Path
) -> None:
    metrics = Metrics()
    step = make(entry(disable=True), metrics=metrics)

    assert not list(step.process(message()))
    step.settle()

    books = Books(tmp_path)
    rows = books.rows("SELECT unit, rule, kind, owner, reason, event_id, stream FROM suppressed")
    stream = "logs-windows.sysmon_operational-enheda"
    assert rows == [("enheda", RULE_ID, "disable", "kari", "known", "e1", stream)]
    assert books.rows("SELECT SUM(n) FROM suppressions") == [(1,)]
    assert metrics.value("matches_suppressed_total", unit="enheda", by="disable") == 1
    step.close()


def test_another_units_match_is_told(make: Make) -> None:
    step = make(entry(disable=True))

    found = told(step.process(message(**{"samlog.unit": "enhedb"})))

    assert [d["unit"] for d in found] == ["enhedb"]
    step.close()


def test_a_changed_level_is_told_to_that_unit_alone(make: Make) -> None:
    step = make(entry(level="low"))

    levels = [
        told(step.process(message(**{"samlog.unit": unit})))[0]["rule"]["level"]
        for unit in ("enheda", "enhedb", "enheda")
    ]

    assert levels == ["low", "high", "low"]
    step.close()


def test_an_overlay_ends_at_midnight_while_the_stage_runs(make: Make, clock: FakeClock) -> None:
    step = make(entry(disable=True))
    before = list(step.process(message()))
    clock.advance(86_400)

    assert not before
    assert len(list(step.process(message(**{"event.id": "e2"})))) == 1
    step.close()


def test_a_repeated_batch_lists_and_counts_a_suppressed_match_once(
    make: Make, tmp_path: Path
) -> None:
    step = make(entry(disable=True))
    for _ in range(3):
        list(step.process(message()))
        step.settle()

    assert Books(tmp_path).rows("SELECT n FROM suppressions") == [(1,)]
    step.close()


def test_a_batch_whose_suppressed_matches_cannot_be_written_is_repeated(make: Make) -> None:
    step = make(entry(disable=True))
    list(step.process(message()))
    assert step._ledger is not None
    step._ledger.close()

    with pytest.raises(Unavailable, match="rule ledger"):
        step.settle()
    step.reset()

    assert step._counters.suppressed == []


def test_what_a_filter_takes_away_is_listed(
    load: Callable[..., Engine], rule: Any, clock: FakeClock, tmp_path: Path
) -> None:
    process = {"product": "windows", "category": "process_creation"}
    wanted = {
        "title": "Administrators",
        "logsource": process,
        "filter": {"rules": "any", "s": {"User|startswith": "adm_"}, "condition": "not s"},
    }
    engine = load(rule({"selection": {"Image": "*"}}, logsource=process), wanted, mode="ecs")
    step = DetectStep(engine, clock, ledger=Ledger(folder(tmp_path) / "detect.db"))

    assert not list(step.process(message()))
    step.settle()

    assert Books(tmp_path).rows("SELECT kind, reason FROM suppressed") == [
        ("filter", "Administrators")
    ]
    step.close()


def test_only_so_many_suppressed_matches_are_listed_and_all_are_counted(
    make: Make, tmp_path: Path
) -> None:
    step = make(entry(disable=True))
    for n in range(MAX_SUPPRESSED + 5):
        list(step.process(message(**{"event.id": f"e{n}"})))
    step.settle()

    books = Books(tmp_path)
    assert books.rows("SELECT COUNT(*) FROM suppressed") == [(MAX_SUPPRESSED,)]
    assert books.rows("SELECT n FROM suppressions") == [(MAX_SUPPRESSED + 5,)]
    step.close()


def test_matches_are_counted_by_day_unit_and_rule(
    make: Make, clock: FakeClock, tmp_path: Path
) -> None:
    step = make()
    for n in range(3):
        list(step.process(message(**{"event.id": f"e{n}"})))
    clock.advance(5)
    list(step.tick(clock.now()))
    clock.advance(86_400)
    list(step.process(message()))
    step.close()

    rows = Books(tmp_path).rows("SELECT day, unit, rule, n FROM matches ORDER BY day")
    assert rows == [
        ("2026-01-10", "enheda", RULE_ID, 3),
        ("2026-01-11", "enheda", RULE_ID, 1),
    ]


def test_what_kinds_of_events_a_unit_sends_is_noted(make: Make, tmp_path: Path) -> None:
    step = make()
    list(step.process(message()))
    list(step.process(message(**{"samlog.unit": "enhedb", "event.code": "3"})))
    step.close()

    rows = Books(tmp_path).rows("SELECT unit, product, category FROM seen WHERE category <> ''")
    assert ("enheda", "windows", "process_creation") in rows
    assert not [row for row in rows if row == ("enhedb", "windows", "process_creation")]


def test_one_event_in_so_many_is_timed(make: Make, tmp_path: Path) -> None:
    step = make()
    for n in range(2 * SAMPLE):
        assert len(list(step.process(message(**{"event.id": f"e{n}"})))) == 1
    step.close()

    ((calls, ns),) = Books(tmp_path).rows("SELECT calls, ns FROM times")
    assert calls == 2
    assert ns > 0


def raising(*_: Any) -> bool:
    raise ValueError("as if")


def broken(step: DetectStep, clock: FakeClock) -> list[Record]:
    engine = step.rules.engine
    engine._predicates = [raising] * len(engine._predicates)
    assert not list(step.process(message()))
    return list(step.tick(clock.now()))


def test_a_rule_that_raises_is_told_once_to_the_platform_with_its_title(
    make: Make, clock: FakeClock, tmp_path: Path
) -> None:
    metrics = Metrics()
    step = make(metrics=metrics)

    first, second = told(broken(step, clock)), told(step.tick(clock.now()))

    assert second == []
    assert (first[0]["unit"], first[0]["rule"]["id"]) == ("samlog", RULE_SET_ASIDE)
    assert first[0]["rule"]["title"] == "Rule not asked any more: a rule under test"
    assert first[0]["context"] == {"samlog.rule": RULE_ID}
    assert first[0]["matched"]["samlog.why"] == "ValueError: as if"
    assert metrics.value("rules_set_aside") == 1
    assert Books(tmp_path).rows("SELECT rule, why FROM aside") == [(RULE_ID, "ValueError: as if")]
    assert step.figures()["rules_set_aside"] == 1
    step.close()


def test_many_processes_tell_of_a_rule_under_one_id(make: Make, clock: FakeClock) -> None:
    first = told(broken(make(), clock))
    second = told(broken(make(number=1), clock))

    assert first[0]["id"] == second[0]["id"]


def test_what_was_handed_out_in_a_batch_that_failed_is_told_again(
    make: Make, clock: FakeClock
) -> None:
    step = make()
    assert broken(step, clock)

    step.reset()

    assert len(list(step.tick(clock.now()))) == 1
    assert list(step.flush()) == []
    step.close()


def test_a_new_rule_set_asks_every_rule_again_and_goes_on_counting(
    make: Make, clock: FakeClock, tmp_path: Path, load: Callable[..., Engine]
) -> None:
    step = make()
    list(step.process(message()))
    broken(step, clock)

    step.swap(RuleSet(load(mode="ecs"), step.rules.overlays, "2026-02"))

    found = told(step.process(message()))
    assert found[0]["rule"]["rule_set"].startswith("2026-02 ")
    assert step.figures()["events"] == 3
    assert step.figures()["rules_set_aside"] == 0
    books = Books(tmp_path)
    assert books.rows("SELECT * FROM aside") == []
    assert books.rows("SELECT value FROM facts WHERE name = 'version'") == [("2026-02",)]
    step.close()


def sampled(engine: Engine, calls: int, ns: int) -> None:
    engine.stats.times[RULE_ID] = [calls, ns]


@pytest.mark.parametrize(
    ("calls", "mean_ns", "aside"),
    [
        (MIN_CALLS, 20_000_000, True),
        (MIN_CALLS - 1, 20_000_000, False),
        (MIN_CALLS, 1_000_000, False),
        (100_000, 40_000, False),
    ],
)
def test_a_rule_that_takes_more_than_its_share_of_the_time_is_asked_no_more(
    make: Make, clock: FakeClock, calls: int, mean_ns: int, aside: bool
) -> None:
    step = make(time_share=0.25)
    sampled(step.rules.engine, calls, calls * mean_ns)
    clock.advance(WINDOW_S)

    found = told(step.tick(clock.now()))

    assert bool(found) is aside
    assert (len(list(step.process(message()))) == 0) is aside
    if aside:
        assert "of the time of 60 s" in found[0]["matched"]["samlog.why"]
    step.close()


def test_a_limit_of_the_whole_time_sets_no_rule_aside(engine: Engine) -> None:
    share = TimeShare(1.0, 0)
    sampled(engine, 1_000, 10**12)
    share.note(engine)

    assert list(share.over(WINDOW_S)) == []


def test_counts_that_cannot_be_written_stop_no_detection(make: Make, clock: FakeClock) -> None:
    step = make()
    assert step._ledger is not None
    step._ledger.close()
    clock.advance(5)

    assert len(list(step.process(message()))) == 1
    assert list(step.tick(clock.now())) == []


def test_a_ledger_in_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("a file")

    with pytest.raises(Unavailable, match="rule ledger"):
        Ledger(folder(tmp_path) / "detect.db")


def test_a_damaged_ledger_is_named_and_the_others_are_read(make: Make, tmp_path: Path) -> None:
    step = make()
    list(step.process(message()))
    step.close()
    (tmp_path / "rules" / "detect-1.db").write_bytes(b"x" * 4096)
    books = Books(tmp_path)

    assert books.rows("SELECT n FROM matches") == [(1,)]
    assert "detect-1.db" in books.problems[0]
