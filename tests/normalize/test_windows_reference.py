"""Real events and reference documents that lie outside the repository: nothing lost, agreement."""

import gzip
import importlib.util
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest
from evtx import PyEvtxParser

from normalize.frame import Normalizer
from normalize.parse import parse_envelope_line
from normalize.parsers import windows
from normalize.registry import Registry
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
            assert record is not None
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


ADDED = (
    *("event.dataset", "host.name", "process.name", "process.args_count", "user.changes.name"),
    *("user.target.id", "user.target.name", "user.target.domain"),
    *("file.hash.md5", "file.hash.sha1", "file.hash.sha256", "file.pe.imphash"),
    *("user.effective.id", "file.code_signature.exists", "@timestamp"),
)
"""Fields that samlog sets where the reference has nothing."""
OTHERWISE = (
    *("registry.key", "registry.data.type", "registry.data.strings", "process.args"),
    *("user.target.domain", "dns.question.registered_domain", "dns.question.top_level_domain"),
    *("dns.question.subdomain", "winlog.event_data.UserAccountControl"),
    *("winlog.event_data.ClientAddress", "winlog.event_data.PrivilegeList"),
)
"""Fields with another value, each with its reason in docs/normalize-decisions-windows.md."""
OF_DELETED = ("process.hash.md5", "process.hash.sha1", "process.hash.sha256", "process.pe.imphash")


def differences(scorer: ModuleType, pair: Mapping[str, Any], made: Event) -> Iterator[str]:
    """Yields the fields of one document that do not count against it."""
    theirs = scorer.flatten(pair["expected"])
    yield from (field for field in ADDED if field not in theirs)
    yield from (field for field in OTHERWISE if field in theirs)
    yield from (
        field for field in ("process.name", "process.executable") if "-" in theirs.get(field, ())
    )
    if made.get("event.code") in ("23", "26"):
        yield from OF_DELETED
    if "sysmon" in made["event.dataset"] and "user.id" not in made:
        yield "user.id"


def scores(*, right: bool = False, hints: bool = True, only: Path | None = None) -> dict[str, Any]:
    """Returns by source (precision, recall, F1) of the core fields and the recall of winlog.*."""
    spec = importlib.util.spec_from_file_location("ecs_score", present(SCORER))
    assert spec is not None and spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    names = None if only is None else frozenset(only.read_text("utf-8").split())
    normalizer = Normalizer({}, Registry(), hints=hints)
    rows = {source: scorer.Score() for source in SOURCES}
    for path in sorted(present(PAIRS).rglob("pairs.ndjson")):
        for line in path.read_bytes().splitlines():
            pair = orjson.loads(line)
            if pair["source"] not in rows or pair["expected"] is None:
                continue
            (written,) = parse_envelope_line(line, normalizer, received=RECEIVED)
            made = orjson.loads(written)["doc"]
            skipped = set(pair.get("dynamic") or ())
            if right:
                skipped.update(differences(scorer, pair, made))
            row = rows[pair["source"]]
            scorer.score_event(row, pair["expected"], made, dynamic=skipped, only=names)
    return {
        source: (*row.groups["core"].strict(), row.groups["winlog"].strict()[1])
        for source, row in rows.items()
    }


@pytest.mark.parametrize("hints", [True, False])
def test_documents_agree_with_the_reference_as_it_is(hints: bool) -> None:
    low = {s: f1 for s, (_, _, f1, _) in scores(hints=hints).items() if f1 < 0.93}
    assert low == {}


def test_documents_agree_where_the_reference_is_right() -> None:
    low = {s: f1 for s, (_, _, f1, _) in scores(right=True).items() if f1 < 0.99}
    assert low == {}


def test_nothing_that_the_agent_sent_is_lost() -> None:
    assert {recall for *_, recall in scores(right=True).values()} == {1.0}


def test_fields_that_rules_read_are_there() -> None:
    found = scores(right=True, only=SHARED / "tools/sigma_ecs_fields.txt")
    assert {s: r for s, (_, r, _, _) in found.items() if r < 0.97} == {}
