"""Real events and reference documents that lie outside the repository: nothing lost, agreement."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from evtx import PyEvtxParser

from normalize.parsers import windows
from samlog.event import Event, RawEvent

SHARED = Path(__file__).parents[2] / "../shared"
DATASETS = SHARED / "data/events/windows-security-datasets-50k.ndjson.gz"
REGRESSION = SHARED / "data/sigmahq-regression"
PAIRS = SHARED / "data/ecs-pairs"
SCORER = SHARED / "tools/ecs_score.py"
SOURCES = ("windows_security", "windows_sysmon", "windows_powershell", "windows_forwarded")
RECEIVED = datetime(2026, 11, 22, tzinfo=UTC)

OTHER_PARSERS = 14
"""CloudTrail and Linux events in the same file."""
TAKEN_APART = frozenset(("EventData",))
"""Holds other fields as text: its parts are in the document, not its text."""
WRITTEN_LOWER = frozenset(("EventLevelName",))


def present(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"../shared/data is absent: {path.name}")
    return path


def raw_event(data: bytes) -> RawEvent:
    text = data.decode()
    obj = orjson.loads(data) if text.lstrip()[:1] == "{" else None
    return RawEvent("enheda", data, text, RECEIVED, json=obj, body=text)


def parse(data: bytes) -> tuple[Event, RawEvent]:
    raw = raw_event(data)
    assert windows.matches(raw)
    return windows.parse(raw), raw


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name != "#attributes":
                yield from leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, key)
    elif value is not None:
        yield key, str(value).lower() if isinstance(value, bool) else str(value)


def test_every_windows_event_of_the_50k_is_parsed_and_loses_nothing() -> None:
    others, lost, tags, count = 0, Counter[str](), Counter[str](), 0
    with gzip.open(present(DATASETS)) as lines:
        for line in lines:
            raw = raw_event(line)
            if not windows.matches(raw):
                others += 1
                continue
            count += 1
            event = windows.parse(raw)
            tags.update(raw.tags)
            values = {text for _, text in leaves(event)}
            for key, text in leaves(raw.json):
                if key in TAKEN_APART:
                    continue
                if text not in values and (key not in WRITTEN_LOWER or text.lower() not in values):
                    lost[key] += 1
    assert (count, others) == (50_219, OTHER_PARSERS)
    assert not tags
    assert not lost


def concatenated(text: str) -> Iterator[Any]:
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        value, position = decoder.raw_decode(text, position)
        yield value


def trimmed(event: Event) -> Event:
    """Returns the fields without white space at their ends: the JSON files were written without."""
    return {
        name: [str(item).rstrip() for item in (value if isinstance(value, list) else [value])]
        for name, value in event.items()
    }


def test_evtx_and_json_of_the_regression_cases_give_equal_documents() -> None:
    cases = 0
    for path in sorted(present(REGRESSION).rglob("*.json")):
        evtx = path.with_suffix(".evtx")
        from_xml = {}
        for record in PyEvtxParser(str(evtx)).records():
            event, raw = parse(record["data"].encode())
            assert raw.tags == []
            from_xml[event["winlog.record_id"]] = event
        from_json = {}
        for value in concatenated(path.read_text(encoding="utf-8-sig")):
            event, raw = parse(orjson.dumps(value))
            assert raw.tags == []
            found = {text for _, text in leaves(event)}
            payload = value["Event"].get("EventData") or value["Event"].get("UserData")
            assert {text for _, text in leaves(payload)} <= found
            from_json[event["winlog.record_id"]] = event
        assert from_json.keys() == from_xml.keys()
        for record_id, event in from_json.items():
            assert trimmed(event) == trimmed(from_xml[record_id]), path.name
        cases += 1
    assert cases == 98


def produce(pairs: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    for pair in pairs:
        event, _ = parse(orjson.dumps(pair["input"]))
        yield orjson.dumps({"id": pair["id"], "doc": event})


def test_documents_agree_with_the_reference(tmp_path: Path) -> None:
    pairs = (
        orjson.loads(line)
        for path in sorted(present(PAIRS).rglob("pairs.ndjson"))
        for line in path.read_bytes().splitlines()
    )
    chosen = (pair for pair in pairs if pair["source"] in SOURCES)
    produced, result = tmp_path / "produced.ndjson", tmp_path / "score.json"
    produced.write_bytes(b"\n".join(produce(chosen)))
    narrowed = [option for source in SOURCES for option in ("--source", source)]
    subprocess.run(
        [sys.executable, SCORER, "--pairs", PAIRS, "--produced", produced]
        + ["--json", result, *narrowed],
        check=True,
        capture_output=True,
    )
    rows = orjson.loads(result.read_bytes())["rows"]
    assert set(rows) == set(SOURCES)
    for name, row in rows.items():
        assert row["no_doc"] == 0
        assert row["groups"]["core"]["f1"] >= 0.93, name
        assert row["groups"]["winlog"]["recall"] >= 0.998, name
