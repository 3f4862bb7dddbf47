"""Bad input through the whole path: each record is stored or a dead letter, none is gone."""

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from samlog import pipeline
from samlog.bus.base import Record
from samlog.clock import SystemClock
from samlog.event import raw_topic
from samlog.store.base import Query

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RULE = """
title: {title}
id: {id}
author: Test
level: low
logsource: {{product: windows, service: security}}
detection: {{selection: {{EventID: 4624}}, condition: selection}}
"""
WINDOWS = {
    "Channel": "Security",
    "EventID": "4624",
    "Hostname": "srv1",
    "SourceName": "Microsoft-Windows-Security-Auditing",
    "TargetUserName": "bjørn",
    "IpPort": "50123",
    "IpAddress": "192.0.2.7",
}


def windows(**given: Any) -> bytes:
    return orjson.dumps(WINDOWS | given)


BAD: dict[str, list[bytes]] = {
    "empty": [],
    "binary": [b"\x00\x01\x02\x03" * 20, b"\x7fELF\x01\x02\x03" + b"\x00" * 60],
    "long": [b"x" * 20_000_000, b"Jan 10 13:37:01 web1 app: after the long line"],
    "encodings": [
        "Jan 10 13:37:01 web1 app: bjørn på båten".encode("cp1252"),
        b"Jan 10 13:37:01 web1 app: \xff\xfe\xfd broken",
        "Jan 10 13:37:01 web1 app: bjørn på båten".encode(),
    ],
    "json": [
        b'{"a": 1, "a": 2, "Channel": "Security", "EventID": 4624}',
        b'{"a": NaN, "b": Infinity}',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 10_000,
        b'{"half": "an obj',
        b'{"a": 1' + b"0" * 5_000 + b"}",
    ],
    "typed": [
        windows(ProcessId="not a number", IpPort="99999999999999999999", IpAddress="not an ip"),
        windows(EventID=4624, RecordNumber="17", Task="0x10"),
    ],
    "times": [
        windows(**{"@timestamp": "1601-01-01T00:00:00.000Z"}),
        windows(**{"@timestamp": "9999-12-31T23:59:59.999Z"}),
        windows(**{"@timestamp": "yesterday"}),
        b"Feb 30 25:61:61 web1 app: no such time",
    ],
    "nul": [b"Jan 10 13:37:01 web1 app: a\x00b", windows(TargetUserName="a\u0000b")],
}
COUNT = sum(len(lines) for lines in BAD.values())


@pytest.fixture
def finished(tmp_path: Path, embedded: Callable[..., Any]) -> Any:
    """A deployment that has read all of it, and one record with a false unit."""
    folder, rules = tmp_path / "logs", tmp_path / "rules"
    folder.mkdir()
    rules.mkdir()
    for name, lines in BAD.items():
        (folder / f"{name}.log").write_bytes(b"".join(line + b"\n" for line in lines))
    packed = gzip.compress(b"Jan 10 13:37:01 web1 app: in a truncated gzip\n" * 200)
    (folder / "truncated.log.gz").write_bytes(packed[:-9])
    (folder / "truncated.evtx").write_bytes(b"ElfFile\x00" + b"\x00" * 2_000)
    same = "1b7f5c5e-8f53-4d2e-9a52-0f3b1d0c2a11"
    (rules / "one.yml").write_text(RULE.format(title="One", id=same))
    (rules / "two.yml").write_text(RULE.format(title="Two", id=same))
    (rules / "broken.yml").write_text("title: [unclosed\n\t- tab")
    made = embedded("bad", [folder / "*"], [rules])
    made.write()
    bus = pipeline.open_bus(made.settings, SystemClock())
    bus.create_topics([raw_topic("enheda")])
    producer = bus.producer("stranger")
    forged = {"unit": b"enhedb", "samlog-v": b"1"}
    producer.send(Record(raw_topic("enheda"), b"I am somebody else", b"k", forged))
    producer.flush()
    bus.close()
    made.run()
    return made


def found(deployment: Any, text: str) -> list[dict[str, Any]]:
    store = pipeline.open_store(deployment.settings, SystemClock())
    page = store.search(Query(text, ("enheda",)), limit=1_000)
    store.close()
    return [hit.source for hit in page.hits]


def test_every_record_is_stored_or_a_dead_letter_with_its_reason(finished: Any) -> None:
    gzip_lines = len(found(finished, 'message:"in a truncated gzip"'))
    outcome = finished.outcome()

    reasons = Counter(e["error.code"] for e in found(finished, 'event.kind:"pipeline_error"'))
    assert outcome.stored + outcome.rejected == COUNT + gzip_lines + 1
    assert gzip_lines > 0
    assert reasons["wrong_unit"] == 1
    assert reasons["binary"] == 2

    cut = found(finished, "tags:truncated")
    assert [event["samlog.full_length"] for event in cut] == ["20000000"]
    assert len(found(finished, 'message:"after the long line"')) == 1
    assert len(found(finished, "tags:encoding_fallback")) == 2
    assert all("bjørn" in e["message"] for e in found(finished, 'message:"på båten"'))

    wrong = found(finished, "samlog.invalid.source.port:*")
    assert all("source.port" not in event for event in wrong)
    assert len(found(finished, "tags:time_invalid")) >= 2


def test_a_broken_rule_and_a_second_of_one_id_are_refused_by_name(finished: Any) -> None:
    report = pipeline.load_rules(finished.settings).report

    said = " ".join(map(str, report.refused))
    assert [rule.title for rule in report.loaded] == ["One"]
    assert "broken.yml" in said
    assert "two.yml" in said
    assert len(finished.outcome().detections) > 0
