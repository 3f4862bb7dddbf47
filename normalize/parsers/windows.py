"""Windows events, whatever brought them here.

Shippers: Winlogbeat and Elastic Agent (ECS, and the form before version 7), NXLog, flat exports as
in Security-Datasets, Fluent Bit (winevtlog, winlog), Vector, Wazuh, Azure (tables SecurityEvent,
WindowsEvent, Event; the diagnostics extension through an Event Hub), EVTX as JSON, and XML (EVTX,
Windows Event Forwarding with or without rendered text, also inside JSON). Snare has a parser of its
own. Where a shipper sends bare values, they get the names of the provider's manifest.

Channels with a mapping of their own: Security, Sysmon, PowerShell, services, tasks, Defender,
remote desktop, WMI, BITS, DNS, AppLocker, code integrity, drivers, firewall, NTLM, SMB, LDAP, SQL
Server, Exchange management; every other channel gets the System part and EventData.

Nothing that was sent is dropped: EventData stands whole and untouched below ``winlog.event_data``,
UserData below ``winlog.user_data`` (and, for rules, below ``winlog.event_data`` too where the name
is free), the System part below ``winlog``, a shipper's own bookkeeping below ``winlog.shipper``.
Unnamed Data are ``winlog.event_data.Data`` (a list) and ``param1``, ``param2``. Names with spaces
("Threat Name") are there as sent and without spaces, as Sigma rules write them. The rendered
message is kept and never parsed. Event 4688 tells account, session and integrity of the new process
once more in Sysmon's words, below ``winlog.created_process``, for rules that read both.

Times: Sysmon's ``UtcTime``, else the time of creation. NXLog writes local times without an offset;
the relay's two clocks tell it, else the zone of the source.

Where documents differ on purpose from those of Elastic's integrations:

- ``winlog.event_data`` keeps what they remove or rewrite (``Details``, ``Hashes``, ``User``,
  ``PrivilegeList``, ``UserAccountControl``, ``ClientAddress`` LOCAL); a "-" is not copied to ECS.
- ``event.dataset`` is always set, ``host.name`` also where a shipper names only the computer.
- ``registry.key`` ends before the value's name and ``registry.data.type`` is REG_DWORD, as ECS
  defines them (theirs: with the value's name; SZ_DWORD).
- Hashes of deleted files are ``file.hash.*`` (theirs: of the process that deleted them).
- ``user.id`` is not the SID of Sysmon's service (S-1-5-18) beside another account's name.
- A member's domain is all of its DC parts, its SID is ``user.target.id``.
- ``process.args`` follow CommandLineToArgvW (theirs keep quotes in event 4688).
"""

from collections.abc import Callable, Mapping
from typing import Any

from normalize.windows import evtx_json, flat, known, named, winlogbeat, xml_event
from normalize.windows.classes import CLASSES
from normalize.windows.mapper import to_ecs
from normalize.windows.record import WindowsEvent
from normalize.windows.times import zone_of
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "windows"
VERSION = 3
ORDER = 35
HINTS = frozenset(
    [
        "windows",
        "windows_security",
        "windows_sysmon",
        "windows_powershell",
        "windows_forwarded",
        "windows_system",
        "windows_application",
        "windows_defender",
        "winlogbeat",
        "evtx",
        "nxlog",
        "wef",
    ]
)
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[Mapping[str, str], ...] = ({"product": "windows"},)
LOG_CLASSES = CLASSES
KEYS = frozenset(
    ("EventID", "event_id", "winlog", "winlog.event_id", "Event", "System", "properties")
    + ("win", "data", *named.XML_NAMES)
)

SEARCHED = 512


def matches(raw: RawEvent) -> bool:
    """Tells a Windows event from its keys, or from the first characters of XML."""
    obj = raw.json
    if obj is not None:
        return _reader(obj) is not None
    head = raw.body[:SEARCHED].lstrip("\ufeff \t\r\n")
    return head.startswith("<Event") or (head.startswith("<?xml") and "<Event" in head)


def parse(raw: RawEvent) -> Event:
    """Returns the document of one event; see `normalize.windows.mapper.to_ecs`."""
    if raw.program:
        # The relay's header names the event's provider as its program; it is no process.
        raw.fields.pop("process.name", None)
        raw.fields.pop("process.pid", None)
    obj = raw.json
    kind = None if obj is None else _reader(obj)
    if obj is not None and kind == "flat" and (event := known.parse(obj, raw)) is not None:
        return event
    return to_ecs(_read(raw, obj, kind), raw)


def _read(raw: RawEvent, obj: Mapping[str, Any] | None, kind: str | None) -> WindowsEvent:
    if obj is None:
        text = raw.body or raw.text
        if "<Event" in text:
            return xml_event.read(text)
        if not text.strip("\x00 \r\n\t"):
            raise BadEvent("empty_event", "there is no text to read")
        return WindowsEvent(out={"message": text}, irregular=True)
    if kind is not None and kind != "flat":
        return READERS[kind](obj)
    event = flat.read(obj, zone_of(raw.tz))
    event.irregular = event.irregular or kind is None
    return event


READERS: dict[str, Callable[[Mapping[str, Any]], WindowsEvent]] = {
    "winlogbeat": winlogbeat.read,
    "old_winlogbeat": winlogbeat.read_old,
    "evtx": evtx_json.read,
    "named": named.read,
    "xml": lambda obj: named.read_xml(obj, named.xml_of(obj)),
    "wrapped": lambda obj: named.read_wrapped(obj, obj["properties"]),
    "wazuh": lambda obj: named.read_wazuh(obj, _wazuh(obj) or {}),
}


def _reader(obj: Mapping[str, Any]) -> str | None:
    """Names the adapter for an object, None where it is no Windows event that is known."""
    if "EventID" in obj and ("Channel" in obj or "SourceName" in obj or "ProviderGuid" in obj):
        return "named" if "StringInserts" in obj else "flat"
    if isinstance(obj.get("winlog"), dict):
        return "winlogbeat"
    if "winlog.event_id" in obj and "winlog.channel" in obj:
        return "winlogbeat"
    nested = obj.get("Event")
    if isinstance(nested, dict) and isinstance(nested.get("System"), dict):
        return "evtx"
    if isinstance(obj.get("System"), dict) and ("EventData" in obj or "UserData" in obj):
        return "evtx"
    if "event_id" in obj and ("log_name" in obj or "source_name" in obj):
        return "old_winlogbeat"
    return _other_reader(obj)


def _other_reader(obj: Mapping[str, Any]) -> str | None:
    if "event_id" in obj and "channel" in obj and ("provider_name" in obj or "computer" in obj):
        return "named"
    if "EventID" in obj and "EventLog" in obj and "Source" in obj:
        return "named"
    if named.xml_of(obj):
        return "xml"
    properties = obj.get("properties")
    if isinstance(properties, dict) and "Channel" in properties:
        return "wrapped" if "EventId" in properties or "EventID" in properties else None
    return "wazuh" if _wazuh(obj) is not None else None


def _wazuh(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    data = obj.get("data")
    for place in (obj, data if isinstance(data, dict) else {}):
        win = place.get("win")
        if isinstance(win, dict) and isinstance(win.get("system"), dict):
            return win
    return None
