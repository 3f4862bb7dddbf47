"""Flat JSON: NXLog, the Security-Datasets' exports, Azure Log Analytics, Fluent Bit.

System fields and EventData stand side by side at the top. What no shipper is known to add is
EventData. Names that mean both are told apart by their values (see `NXLOG_EVENT_TYPES`).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from functools import partial
from typing import Any

import orjson

from normalize.windows.record import WindowsEvent, flatten, text_of
from normalize.windows.system import (
    identify,
    merge_object,
    set_keywords,
    set_level,
    set_number,
    set_opcode,
    set_task,
)
from normalize.windows.times import parse_time, stamp, utc_ms, zone_between
from normalize.windows.xml_event import read_event_data
from samlog.event import Event

Take = Callable[[WindowsEvent, Mapping[str, Any], Any], None]

NXLOG_EVENT_TYPES = frozenset(
    ("CRITICAL", "ERROR", "WARNING", "INFO", "VERBOSE", "DEBUG", "AUDIT_SUCCESS", "AUDIT_FAILURE")
)
"""NXLog's own EventType; Sysmon's registry and pipe events have a field of the same name."""
LEVEL_WORDS = {"INFO": "information", "DEBUG": "verbose"}
COPIED = {
    "Hostname": "winlog.computer_name",
    "Computer": "winlog.computer_name",
    "ProviderGuid": "winlog.provider_guid",
    "ActivityID": "winlog.activity_id",
    "RelatedActivityID": "winlog.related_activity_id",
    "UserID": "winlog.user.identifier",
    "SystemUserId": "winlog.user.identifier",
    "Category": "winlog.task",
    "Opcode": "winlog.opcode",
    "Message": "message",
    "TimeCreated": "winlog.time_created",
    "EventTime": "winlog.time_created",
}
RECORDS = ("RecordNumber", "EventRecordID", "EventRecordId")
ACCOUNT = {
    "AccountName": "winlog.user.name",
    "Domain": "winlog.user.domain",
    "AccountType": "winlog.user.type",
}
"""NXLog's names of the System part's account, where ``UserID`` is there; else EventData."""
SHIPPER = (
    *("@version", "@timestamp", "EventReceivedTime", "EventTypeOrignal", "SourceModuleName"),
    *("SourceModuleType", "Severity", "SeverityValue", "host", "port", "type", "TenantId"),
    *("SourceSystem", "TimeGenerated", "TimeCollected", "Type", "EventOriginId", "MG"),
    *("ManagementGroupName", "SourceComputerId", "_ResourceId", "_ItemId", "_SubscriptionId"),
    *("ERROR_EVT_UNRESOLVED", "Qualifiers", "Activity"),
)
"""Bookkeeping of NXLog, Logstash and Azure; kept below winlog.shipper."""


def _take_identity(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    """Leaves the field to `identify`."""


def _take_record(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    event.out["winlog.record_id"] = str(value)


def _take_pid(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    set_number(event.out, "winlog.process.pid", value)


def _take_thread(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    set_number(event.out, "winlog.process.thread.id", value)


def tags_of(value: Any) -> list[str]:
    """Returns a shipper's tags, one or several."""
    return list(map(str, value)) if isinstance(value, list) else [str(value)]


def _take_tags(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    event.out["tags"] = tags_of(value)


def _take_event_type(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    out = event.out
    if type(value) is not str or value not in NXLOG_EVENT_TYPES:
        event.data["EventType"] = text_of(value)
        return
    out["winlog.shipper.EventType"] = value
    if value.startswith("AUDIT_"):
        out["event.outcome"] = "success" if value == "AUDIT_SUCCESS" else "failure"
        out.setdefault("log.level", "information")
    else:
        out.setdefault("log.level", LEVEL_WORDS.get(value, value.lower()))


def _take_version(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    if type(value) is int:
        event.out["winlog.version"] = value
    else:
        event.data["Version"] = text_of(value)


def _take_process_id(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    """Takes NXLog's older name of ExecutionProcessID, a number; EventData's is text."""
    if type(value) is int and "ExecutionProcessID" not in obj:
        _take_pid(event, obj, value)
    else:
        event.data["ProcessID"] = text_of(value)


def _take_user_data(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
    if isinstance(value, dict):
        merge_object(event.user_data, value)
    else:
        event.data["UserData"] = text_of(value)


def _system(take: Callable[[Event, Any], None]) -> Take:
    return lambda event, obj, value: take(event.out, value)


def _user(name: str, field: str) -> Take:
    """Returns what takes NXLog's name of the System part's account; without its SID: EventData."""

    def take(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
        if "UserID" in obj:
            event.out[field] = text_of(value)
        else:
            event.data[name] = text_of(value)

    return take


def _shipper(name: str) -> Take:
    field = "winlog.shipper." + name

    def take(event: WindowsEvent, obj: Mapping[str, Any], value: Any) -> None:
        if type(value) is str:
            event.out[field] = value
        else:
            flatten(field, value, event.out)

    return take


TAKEN: dict[str, str | Take] = {
    **COPIED,
    **{name: _shipper(name) for name in SHIPPER},
    **dict.fromkeys(
        ("EventID", "Channel", "SourceName", "Provider", "EventSourceName", "EventData")
        + ("RawEventData",),
        _take_identity,
    ),
    **dict.fromkeys(RECORDS, _take_record),
    **dict.fromkeys(("ThreadID", "ExecutionThreadID", "SystemThreadId"), _take_thread),
    **dict.fromkeys(("Level", "EventLevel", "EventLevelName"), _system(set_level)),
    **dict.fromkeys(("Task", "TaskValue"), _system(set_task)),
    **{name: _user(name, field) for name, field in ACCOUNT.items()},
    **dict.fromkeys(("ExecutionProcessID", "SystemProcessId"), _take_pid),
    "ProcessID": _take_process_id,
    "Keywords": _system(set_keywords),
    "OpcodeValue": _system(set_opcode),
    "EventType": _take_event_type,
    "Version": _take_version,
    "UserData": _take_user_data,
    "tags": _take_tags,
}


def read(obj: Mapping[str, Any], zone: tzinfo = UTC) -> WindowsEvent:
    """Reads one flat object; times without an offset are in ``zone`` if nothing tells better."""
    event = WindowsEvent()
    take_all(event, obj)
    nested = obj.get("EventData")
    if nested is None:
        nested = obj.get("RawEventData") or None
    if nested is not None:
        _read_nested(event, nested)
    name_kind(event, obj)
    event.when = partial(time_of, obj, zone)
    return event


def take_all(event: WindowsEvent, obj: Mapping[str, Any]) -> None:
    """Puts each value of ``obj`` where it belongs; null is left out."""
    out, data = event.out, event.data
    taken = TAKEN.get
    for key, value in obj.items():
        if value is None:
            continue
        take = taken(key)
        if take is None:
            data[key] = value if type(value) is str else text_of(value)
        elif isinstance(take, str):
            out[take] = value if type(value) is str else text_of(value)
        else:
            take(event, obj, value)


def name_kind(event: WindowsEvent, obj: Mapping[str, Any]) -> None:
    """Tells the event its channel, provider and event id."""
    provider = obj.get("SourceName") or obj.get("Provider") or obj.get("EventSourceName") or ""
    identify(event, obj.get("Channel", ""), provider, obj.get("EventID", ""))


def _read_nested(event: WindowsEvent, nested: Any) -> None:
    """Takes EventData that is itself XML, JSON text or an object.

    Azure repeats EventData as columns and adds columns of its own. What EventData has is EventData,
    the rest is the shipper's; without a readable EventData all columns are EventData.
    """
    loose, event.data = event.data, {}
    data = event.data
    if isinstance(nested, dict):
        merge_object(data, nested)
    elif isinstance(nested, str) and nested.lstrip()[:1] == "{":
        try:
            inner = orjson.loads(nested)
        except orjson.JSONDecodeError:
            inner = None
        if isinstance(inner, dict):
            merge_object(data, inner)
        else:
            event.irregular = True
    elif isinstance(nested, str) and nested.strip():
        event.irregular = not read_event_data(nested, data)
    if event.irregular:
        event.out["winlog.shipper.EventData"] = str(nested)
    if not data:
        data.update(loose)
        return
    for name, value in loose.items():
        if data.get(name) != value:
            event.out["winlog.shipper." + name] = value


def time_of(obj: Mapping[str, Any], zone: tzinfo) -> str:
    """Returns the event's instant; a local time is placed by the relay's clock if there is one."""
    local = obj.get("EventTime")
    if isinstance(local, str):
        received, seen = obj.get("EventReceivedTime"), obj.get("@timestamp")
        if isinstance(received, str) and isinstance(seen, str):
            zone = zone_between(received, seen) or zone
        instant = parse_time(local, zone)
        if instant is not None:
            return stamp(instant)
    for name in ("TimeCreated", "@timestamp", "TimeGenerated"):
        value = obj.get(name)
        if isinstance(value, str) and (found := utc_ms(value, zone)):
            return found
    return ""
