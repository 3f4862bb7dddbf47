"""SigmaHQ's own regression cases: the rule that each names must fire, raw and normalised."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import yaml
from evtx import PyEvtxParser

from detect.engine import Engine
from detect.raw import flatten_raw
from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry

FOLDER = Path(__file__).parents[2] / "../shared/data/sigmahq-regression"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CASES = 99


class Case(NamedTuple):
    folder: Path
    rule: str
    count: int


def cases() -> list[Case]:
    found = []
    for path in sorted(FOLDER.rglob("info.yml")):
        info = yaml.safe_load(path.read_text(encoding="utf-8"))
        tests = info.get("regression_tests_info") or [{}]
        count = sum(test.get("match_count", 1) for test in tests)
        found.append(Case(path.parent, info["rule_metadata"][0]["id"], count))
    return found


ALL = cases()
parametrised = pytest.mark.parametrize("case", ALL, ids=[case.folder.name for case in ALL])


def objects(path: Path) -> Iterator[Any]:
    """Yields the JSON objects of a file that holds several one after another."""
    text, position = path.read_text(encoding="utf-8-sig").strip(), 0
    while position < len(text):
        found, position = json.JSONDecoder().raw_decode(text, position)
        yield found
        while position < len(text) and text[position].isspace():
            position += 1


def raw_events(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.json")):
        yield from objects(path)
    for path in folder.glob("*.raw"):
        for line in path.read_text().splitlines():
            yield {"message": line, "product": "cisco", "service": "aaa"}


def records(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*.evtx")):
        for record in PyEvtxParser(str(path)).records():
            yield record["data"].encode()
    for path in folder.glob("*.raw"):
        yield from path.read_bytes().splitlines()


def test_every_case_is_there() -> None:
    if not FOLDER.is_dir():
        pytest.skip("../shared/data/sigmahq-regression is absent: its cases are read in place")

    assert len(ALL) == CASES


@parametrised
def test_the_rule_fires_on_the_raw_event(raw_engine: Engine, case: Case) -> None:
    hits = 0
    for event in raw_events(case.folder):
        flat = flatten_raw(event)
        found = [match.rule.id for match in raw_engine.match(flat)]
        assert found == [match.rule.id for match in raw_engine.match(flat, prefilter=False)]
        hits += case.rule in found

    assert hits >= case.count


@parametrised
def test_the_rule_fires_after_parsing(ecs_engine: Engine, case: Case) -> None:
    normalizer = Normalizer({}, Registry())
    hits = 0
    for record in records(case.folder):
        for event in parse_record(record, normalizer, received=NOW):
            found = [match.rule.id for match in ecs_engine.match(event)]
            assert found == [match.rule.id for match in ecs_engine.match(event, prefilter=False)]
            hits += case.rule in found

    assert hits >= case.count


@parametrised
def test_parsing_changes_no_answer(raw_engine: Engine, ecs_engine: Engine, case: Case) -> None:
    normalizer = Normalizer({}, Registry())
    for event in raw_events(case.folder):
        if "Event" not in event:
            continue
        raw = {match.rule.id for match in raw_engine.match(flatten_raw(event))}
        for parsed in parse_record(orjson.dumps(event), normalizer, received=NOW):
            assert {match.rule.id for match in ecs_engine.match(parsed)} == raw
