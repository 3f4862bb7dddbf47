"""Events that a store compares otherwise than a rule: a hunt finds each of them all the same."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.build import build
from detect.engine import Engine
from detect.search.query import queries
from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry
from samlog.clock import SystemClock
from samlog.event import Event
from samlog.hunt import Hunt
from samlog.store.base import Document, EventStore, Query
from samlog.store.embedded import EmbeddedStore

RECEIVED = datetime(2026, 1, 10, tzinfo=UTC)
USERADD = (
    b"Jan 10 16:42:19 web1 useradd[1337]: new user: name=eve, UID=1000, GID=0, home=/, shell=/sh"
)
SYSMON = {
    "@timestamp": "2026-01-10T12:00:00.000Z",
    "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
    "event.code": "1",
    "event.dataset": "windows.sysmon_operational",
}


def event(name: str, value: Any) -> Event:
    return {**SYSMON, name if "." in name else f"winlog.event_data.{name}": value}


EVENTS: dict[str, Event] = {
    "0x1410 padded": event("GrantedAccess", "0x00001410"),
    "0x1410 capital": event("GrantedAccess", "0X1410"),
    "22 padded": event("Port", "0022"),
    "22 fraction": event("Port", "22.0"),
    "22 signed": event("Port", "+22"),
    "22 exponent": event("Port", "2.2e1"),
    "220": event("Port", "220"),
    "sharp s": event("Image", "C:\\Straße.exe"),
    "double s": event("Image", "C:\\STRASSE.exe"),
    "long s": event("Image", "C:\\power\u017fhell.exe"),
    "kelvin": event("Image", "C:\\\u212aali.exe"),
    "dotted i": event("Image", "C:\\\u0130x.exe"),
    "final sigma": event("Image", "C:\\ς.exe"),
    "ligature": event("Image", "C:\\ca\ufb01.exe"),
    "capitals": event("Image", "ABC"),
    "nothing": event("CommandLine", ""),
    "nothing in a list": event("CommandLine", ["", "x"]),
    "two lines": event("CommandLine", "aa\nbb"),
    "null": event("CommandLine", None),
    "spaces": event("Ip", " 10.1.2.3 "),
    "no address": event("Ip", "10.example"),
    "mapped": event("Ip", "0:0:0:0:0:ffff:a01:203"),
    "zone": event("Ip", "fe80::1%12"),
    "padded": event("Ip", "fe80:0000:0000:0000:0000:0000:0000:0001"),
    "source": event("source.ip", "203.0.113.9"),
    "port": event("source.port", 4444),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    folder = tmp_path_factory.mktemp("hunt")
    with closing(EmbeddedStore(folder, clock=SystemClock(), writer=True)) as found:
        found.setup(["a"])
        stream = "logs-windows.sysmon_operational-a"
        found.write([Document(stream, id_, dict(its)) for id_, its in EVENTS.items()])
        useradd = {**next(normalised(USERADD)), "@timestamp": SYSMON["@timestamp"]}
        found.write([Document("logs-system.auth-a", "useradd", useradd)])
        yield found


def normalised(line: bytes) -> Iterator[Event]:
    yield from parse_record(line, Normalizer({}, Registry()), received=RECEIVED, name="1")


def both(
    store: EventStore, folder: Path, detection: dict[str, Any], **source: str
) -> tuple[set[str], set[str]]:
    """Returns the ids of events that a hunt finds, and of those that the stream finds."""
    rule = {
        "title": "A Rule",
        "id": "11111111-1111-4111-8111-111111111111",
        "author": "Kari",
        "level": "high",
        "logsource": source or {"product": "windows", "category": "process_creation"},
        "detection": {"condition": "selection", **detection},
    }
    file = folder / "rule.yml"
    file.write_text(yaml.safe_dump(rule), "utf-8")
    built = build([file], mode="ecs", placeholders={})
    engine = Engine(built, mode="ecs")
    [query] = queries(built, widen=True)
    hunt = Hunt(store, Query(query.text, ["a"]), lambda found: bool(engine.match(found)))
    return {hit.id for hit in hunt.found()}, {
        id_ for id_, its in EVENTS.items() if engine.match(its)
    }


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ({"GrantedAccess": 0x1410}, {"0x1410 padded", "0x1410 capital"}),
        ({"Port": 22}, {"22 padded", "22 fraction", "22 signed", "22 exponent"}),
        ({"Image|endswith": "straße.exe"}, {"sharp s", "double s"}),
        ({"Image|endswith": "strasse.exe"}, {"sharp s", "double s"}),
        ({"Image|endswith": "powershell.exe"}, {"long s"}),
        ({"Image|contains": "kali"}, {"kelvin"}),
        ({"Image|contains": "\u0130"}, {"dotted i"}),
        ({"Image": "C*\\\\??x.exe"}, {"dotted i"}),
        ({"Image|contains": "σ"}, {"final sigma"}),
        ({"Image|contains": "fi"}, {"ligature"}),
        ({"Image|re|i": "σ\\."}, {"final sigma"}),
        ({"Image|re|i": "powershell"}, {"long s"}),
        ({"Image|re": "^[^a-z]+$"}, {"capitals"}),
        ({"Image|re": "^[^X]BC$"}, {"capitals"}),
        ({"CommandLine": ""}, {"nothing", "nothing in a list"}),
        ({"CommandLine|contains": "a\nb"}, {"two lines"}),
        ({"CommandLine": "aa\nbb"}, {"two lines"}),
        ({"Ip|cidr": "10.0.0.0/8"}, {"spaces", "mapped"}),
        ({"Ip|cidr": "::ffff:10.0.0.0/104"}, {"spaces", "mapped"}),
        ({"Ip|cidr": "10.1.2.0/23"}, {"spaces", "mapped"}),
        ({"Ip|cidr": "0.0.0.0/0"}, {"spaces", "mapped"}),
        ({"Ip|cidr": "fe80::1/128"}, {"zone", "padded"}),
        (["203.0.113."], {"source"}),
        (["4444"], {"port"}),
    ],
)
def test_a_test_that_the_store_reads_otherwise(
    store: EventStore, tmp_path: Path, test: Any, found: set[str]
) -> None:
    hunted, streamed = both(store, tmp_path, {"selection": test})

    assert streamed == found
    assert hunted == found


@pytest.mark.parametrize(
    ("test", "left"),
    [
        ({"Image|contains": "ix.exe"}, "dotted i"),
        ({"Image|contains": "strasse"}, "dotted i"),
        ({"CommandLine": ["", "aa*"]}, "null"),
        ({"Ip|cidr": "10.0.0.0/8"}, "no address"),
        ({"Port": 22}, "220"),
        ({"Image|re": "[a-z]"}, "capitals"),
        (["4444"], "220"),
    ],
)
def test_a_negation_takes_nothing_away_that_the_rule_leaves(
    store: EventStore, tmp_path: Path, test: Any, left: str
) -> None:
    detection = {
        "selection": {"EventID": 1},
        "filter": test,
        "condition": "selection and not filter",
    }

    hunted, streamed = both(store, tmp_path, detection)

    assert left in streamed
    assert hunted == streamed


def test_keywords_are_found_in_the_line_of_which_fields_hold_a_part_only(
    store: EventStore, tmp_path: Path
) -> None:
    assert "message" not in next(normalised(USERADD))
    detection = {"words": ["new user"], "gid": ["GID=0,"], "condition": "words and gid"}

    hunted, _ = both(store, tmp_path, detection, product="linux")

    assert hunted == {"useradd"}
