"""All of SigmaHQ's rules on real events, read in place from ../shared/data."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from detect.engine import Engine
from detect.raw import declared, flatten_raw
from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry

RULES = 3_754
WINDOWS = "windows-security-datasets-50k"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def lines(shared: Path, name: str, *, every: int = 1) -> Iterator[bytes]:
    with gzip.open(shared / "events" / f"{name}.ndjson.gz") as file:
        yield from islice(file, 0, None, every)


def normalised(records: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    normalizer = Normalizer({}, Registry())
    for i, record in enumerate(records):
        yield from parse_record(record.rstrip(b"\n"), normalizer, received=NOW, name=str(i))


def says_nothing(event: dict[str, Any]) -> bool:
    """Tells whether a raw event names neither logsource nor channel."""
    return declared(event) == ("", "", "") and "Channel" not in event


def fired(engine: Engine, event: dict[str, Any], **options: Any) -> set[str]:
    return {match.rule.id for match in engine.match(event, **options)}


def test_at_least_99_percent_of_the_rules_load(raw_engine: Engine) -> None:
    report = raw_engine.report

    assert len(report.loaded) + len(report.refused) == RULES
    assert len(report.loaded) >= 0.99 * RULES
    assert set(report.reasons()) <= {"placeholder_without_values"}


def test_every_rule_is_loaded_or_refused_or_unmapped_with_a_reason(ecs_engine: Engine) -> None:
    report = ecs_engine.report

    assert len(report.loaded) + len(report.refused) + len(report.unmapped) == RULES
    assert all(u.reason and u.detail for u in report.unmapped)
    assert {r.logsource[0] for r in report.loaded} >= {"windows", "linux", "aws", "zeek", "cisco"}
    windows = [u for u in report.unmapped if u.rule.logsource[0] in {"windows", "linux"}]
    assert windows == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "every"),
    [
        (WINDOWS, 7),
        ("lane-raw_windows", 20),
        ("lane-structured_windows", 20),
        ("lane-cisco_syslog", 10),
        ("lane-sysmon_file_event", 20),
        ("lane-mixed_schema", 20),
        ("aws-cloudtrail-invictus-2900", 1),
        ("zeek-json-8k", 4),
    ],
)
def test_the_prefilter_loses_nothing_on_raw_events(
    raw_engine: Engine, shared_data: Path, name: str, every: int
) -> None:
    different = []
    hits = 0
    for number, line in enumerate(lines(shared_data, name, every=every)):
        event = flatten_raw(orjson.loads(line))
        everything = fired(raw_engine, event, prefilter=False)
        hits += len(everything)
        if not fired(raw_engine, event) == fired(raw_engine, event, line=line) == everything:
            different.append(number)

    assert different == []
    assert hits > 0 or name == "lane-raw_windows"
    assert not raw_engine.stats.faults


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aws-cloudtrail-invictus-2900", "zeek-json-8k", WINDOWS])
def test_the_prefilter_loses_nothing_on_normalised_events(
    ecs_engine: Engine, shared_data: Path, name: str
) -> None:
    different = []
    for event in normalised(lines(shared_data, name, every=9)):
        line = orjson.dumps(event, default=str)
        event = orjson.loads(line)
        if fired(ecs_engine, event, line=line) != fired(ecs_engine, event, prefilter=False):
            different.append(event["event.id"])

    assert different == []
    assert not ecs_engine.stats.faults


@pytest.mark.slow
@pytest.mark.parametrize("name", [WINDOWS, "aws-cloudtrail-invictus-2900"])
def test_normalised_events_fire_the_same_rules_as_raw_ones(
    raw_engine: Engine, ecs_engine: Engine, shared_data: Path, name: str
) -> None:
    """Two kinds of events differ.

    Where the raw form says nothing of its source, all rules are asked. Raw 4688 calls SYSTEM by the
    name of its computer; normalised it is NT AUTHORITY as in Sysmon, so that more rules fire.
    """
    mapped = {rule.id for rule in ecs_engine.rules}
    pairs = as_system = 0
    different: list[tuple[int, set[str]]] = []
    unnamed: list[tuple[int, set[str]]] = []
    events = normalised(lines(shared_data, name))
    for number, (line, event) in enumerate(zip(lines(shared_data, name), events, strict=True)):
        raw = fired(raw_engine, flatten_raw(orjson.loads(line)), line=line) & mapped
        found = fired(ecs_engine, orjson.loads(orjson.dumps(event, default=str)))
        pairs += len(found)
        if raw != found:
            flat = flatten_raw(orjson.loads(line))
            if found > raw and flat.get("EventID") == 4688:
                as_system += event["winlog.created_process.user"] == "NT AUTHORITY\\SYSTEM"
                continue
            (unnamed if says_nothing(flat) else different).append((number, raw ^ found))

    assert different == []
    assert len(unnamed) < 10
    assert as_system == (8 if name == WINDOWS else 0)
    assert pairs > 100
