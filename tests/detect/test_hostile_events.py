"""Events as attackers write them go through the stage: processed, bounded, counted."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from detect.counters import LOOKED_AT
from detect.detection import MAX_MATCHED_CHARS, MAX_MATCHED_FIELDS
from detect.engine import Engine
from detect.own import IN_PART
from detect.step import DetectStep
from samlog.bus.base import Message
from samlog.event import EVENTS
from samlog.testing import FakeClock

CHANNEL = "Microsoft-Windows-Sysmon/Operational"
HEAD = {
    "@timestamp": "2026-01-10T13:37:01.000Z",
    "event.id": "e1",
    "samlog.unit": "enheda",
    "event.dataset": "windows.sysmon_operational",
    "winlog.channel": CHANNEL,
    "event.code": "1",
}
IMAGE, LINE = "winlog.event_data.Image", "winlog.event_data.CommandLine"


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture
def step(load: Callable[..., Engine], rule: Any) -> DetectStep:
    detection = {
        "whoami": {"Image|endswith": "\\whoami.exe"},
        "words": ["needle"],
        "line": {"CommandLine|re": "(a+)+b", "CommandLine|contains": "zzz"},
        "from": {"User|cidr": "10.0.0.0/8", "LogonId|gt": 5},
        "condition": "whoami or words or line or from",
    }
    process = {"product": "windows", "category": "process_creation"}
    engine = load(rule(detection, logsource=process), mode="ecs")
    return DetectStep(engine, FakeClock(datetime(2026, 1, 10, 13, 37, 2, tzinfo=UTC)))


def told(step: DetectStep, **fields: Any) -> list[dict[str, Any]]:
    value = orjson.dumps(HEAD | fields)
    return [
        orjson.loads(record.value)
        for record in step.process(Message(EVENTS, 0, 7, b"k", value, {}, 0))
    ]


HOSTILE: dict[str, dict[str, Any]] = {
    "5,000 fields": {f"winlog.event_data.F{i}": str(i) for i in range(5_000)},
    "a value of a megabyte": {LINE: "a" * 1_000_000},
    "nested lists": {LINE: nested(200, "x")},
    "a list of 100,000": {LINE: ["a"] * 100_000},
    "objects in lists": {LINE: [{"a": [{"b": None}]}] * 100},
    "keys with dots and spaces": {"winlog.event_data.a b..c ": "x", " ": "y", "...": "z", "": "e"},
    "keys of attackers": {"__class__": "x", "winlog.event_data.\u202e": "\0\ud7ff", "a" * 5_000: 1},
    "a time ten years ahead": {"@timestamp": "2036-01-10T13:37:01.000Z"},
    "a time ten years ago": {"@timestamp": "2016-01-10T13:37:01.000Z"},
    "no time at all": {"@timestamp": "yesterday"},
    "numbers without end": {LINE: 2**63, IMAGE: 1e308, "winlog.event_data.LogonId": "9" * 10_000},
    "values of other kinds": {"event.code": ["1", {"a": 1}], "winlog.channel": {"a": CHANNEL}},
    "nulls": {IMAGE: None, LINE: [None, None], "winlog.event_data.User": []},
}


CUT = {"5,000 fields", "a value of a megabyte", "a list of 100,000"}
"""Of these rules see a part only, which is told beside what fires."""


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_processed_and_counted_and_sets_no_rule_aside(step: DetectStep, name: str) -> None:
    told(step, **HOSTILE[name])

    assert step.figures()["events"] == 1
    assert step.figures()["rules_set_aside"] == 0


@pytest.mark.parametrize("name", [n for n in HOSTILE if "other kinds" not in n])
def test_it_hides_nothing_that_fires(step: DetectStep, name: str) -> None:
    fields = {**HOSTILE[name], IMAGE: "C:\\Windows\\System32\\whoami.exe"}

    found = {one["rule"]["title"]: one["event_id"] for one in told(step, **fields)}
    assert found.pop("a rule under test") == "e1"
    assert set(found) == ({IN_PART.title} if name in CUT else set())


def test_what_is_told_of_it_is_bounded(step: DetectStep) -> None:
    many = {f"winlog.event_data.F{i}": "needle" * 20_000 for i in range(50)}

    found = told(step, **many, **{"user.name": ["x" * 10_000] * 1_000})[0]

    assert len(found["matched"]) <= MAX_MATCHED_FIELDS
    assert all(len(str(value)) <= MAX_MATCHED_CHARS + 10 for value in found["matched"].values())
    assert len(orjson.dumps(found)) < 16_384


def test_a_time_ten_years_off_is_told_as_it_came(step: DetectStep) -> None:
    found = told(step, **{"@timestamp": "2036-01-10T13:37:01.000Z", IMAGE: "\\whoami.exe"})[0]

    assert found["timestamp"] == "2036-01-10T13:37:01.000Z"
    assert found["detected"] == "2026-01-10T13:37:02.000Z"


def test_what_is_kept_of_events_does_not_grow_with_their_keys_and_values(
    step: DetectStep,
) -> None:
    for n in range(5_000):
        told(step, **{f"key{n}": n, f"winlog.event_data.K{n}": "x", LINE: f"value {n}"})

    (group,) = [group for group in step._engine._routes._groups.values() if group.events]
    assert len(group._shapes) <= 2
    assert all(len(table.cache) <= 4_096 for table in group._tables)
    (fields,) = step._counters.fields.values()
    assert fields <= step._read_by_rules
    assert LOOKED_AT < 5_000
