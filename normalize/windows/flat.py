"""Flat JSON: NXLog, the Security-Datasets' exports, Azure Log Analytics, Fluent Bit.

System fields and EventData stand side by side at the top. What no shipper is known to add is
EventData. Names that mean both are told apart by their values (see `NXLOG_EVENT_TYPES`).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
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

Take = Callable[[Event, Any], None]

NXLOG_EVENT_TYPES = frozenset(
    ["CRITICAL", "ERROR", "WARNING", "INFO", "VERBOSE", "DEBUG", "AUDIT_SUCCESS", "AUDIT_FAILURE"]
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
    "AccountName": "winlog.user.name",
    "Domain": "winlog.user.domain",
    "AccountType": "winlog.user.type",
    "Category": "winlog.task",
    "Opcode": "winlog.opcode",
    "Message": "message",
    "TimeCreated": "winlog.time_created",
    "EventTime": "winlog.time_created",
    "Activity": "winlog.shipper.Activity",
}
SHIPPER = frozenset(
    [
        "@version",
        "@timestamp",
        "EventReceivedTime",
        "EventTypeOrignal",
        "SourceModuleName",
        "SourceModuleType",
        "Severity",
        "SeverityValue",
        "host",
        "port",
        "type",
        "TenantId",
        "SourceSystem",
        "TimeGenerated",
        "TimeCollected",
        "Type",
        "EventOriginId",
        "ManagementGroupName",
        "MG",
        "SourceComputerId",
        "_ResourceId",
        "_ItemId",
        "_SubscriptionId",
        "ERROR_EVT_UNRESOLVED",
        "Qualifiers",
    ]
)
"""Bookkeeping of NXLog, Logstash and Azure; kept below winlog.shipper."""
SHIPPER_FIELDS = {name: "winlog.shipper." + name for name in SHIPPER}
IDENTITY = frozenset(("EventID", "Channel", "SourceName", "Provider", "EventSourceName"))
USER_FIELDS = ("AccountName", "Domain", "AccountType")


def _take_record(out: Event, value: Any) -> None:
    out["winlog.record_id"] = str(value)


def _take_pid(out: Event, value: Any) -> None:
    set_number(out, "winlog.process.pid", value)


def _take_thread(out: Event, value: Any) -> None:
    set_number(out, "winlog.process.thread.id", value)


def _take_tags(out: Event, value: Any) -> None:
    out["tags"] = [str(tag) for tag in value] if isinstance(value, list) else [str(value)]


TAKEN: dict[str, Take] = {
    "RecordNumber": _take_record,
    "EventRecordID": _take_record,
    "EventRecordId": _take_record,
    "ExecutionProcessID": _take_pid,
    "ThreadID": _take_thread,
    "ExecutionThreadID": _take_thread,
    "Keywords": set_keywords,
    "Level": set_level,
    "EventLevel": set_level,
    "EventLevelName": set_level,
    "Task": set_task,
    "TaskValue": set_task,
    "OpcodeValue": set_opcode,
    "tags": _take_tags,
}


def read(obj: Mapping[str, Any], zone: tzinfo = UTC) -> WindowsEvent:
    """Reads one flat object; times without an offset are in ``zone`` if nothing tells better."""
    event = WindowsEvent()
    out, data = event.out, event.data
    nested = obj.get("EventData")
    loose: dict[str, Any] = out if nested is None else {}
    user_known = "UserID" in obj
    for key, value in obj.items():
        if value is None or key in IDENTITY:
            continue
        field = COPIED.get(key)
        if field is not None:
            if key in USER_FIELDS and not user_known:
                data[key] = str(text_of(value))
            else:
                out[field] = value if type(value) is str else text_of(value)
        elif (take := TAKEN.get(key)) is not None:
            take(out, value)
        elif (field := SHIPPER_FIELDS.get(key)) is not None:
            flatten(field, value, out)
        elif key == "EventType" and value in NXLOG_EVENT_TYPES:
            _take_event_type(out, value)
        elif key == "Version" and type(value) is int:
            out["winlog.version"] = value
        elif key == "ProcessID" and type(value) is int and "ExecutionProcessID" not in obj:
            _take_pid(out, value)
        elif key == "UserData" and isinstance(value, Mapping):
            merge_object(event.user_data, value)
        elif key != "EventData":
            (data if loose is out else loose)[key] = value if type(value) is str else text_of(value)
    if nested is not None:
        _read_nested(event, nested, loose)
    provider = obj.get("SourceName") or obj.get("Provider") or obj.get("EventSourceName") or ""
    identify(event, obj.get("Channel", ""), provider, obj.get("EventID", ""))
    event.time = _time(obj, zone)
    return event


def _take_event_type(out: Event, value: str) -> None:
    out["winlog.shipper.EventType"] = value
    if value.startswith("AUDIT_"):
        out["event.outcome"] = "success" if value == "AUDIT_SUCCESS" else "failure"
        out.setdefault("log.level", "information")
    else:
        out.setdefault("log.level", LEVEL_WORDS.get(value, value.lower()))


def _read_nested(event: WindowsEvent, nested: Any, loose: Mapping[str, Any]) -> None:
    """Takes EventData that is itself XML, JSON text or an object; ``loose`` are other columns.

    Azure repeats EventData as columns and adds columns of its own. What EventData has is EventData,
    the rest is the shipper's; without a readable EventData all columns are EventData.
    """
    data = event.data
    if isinstance(nested, Mapping):
        merge_object(data, nested)
    elif isinstance(nested, str) and nested.lstrip()[:1] == "{":
        try:
            inner = orjson.loads(nested)
        except orjson.JSONDecodeError:
            inner = None
        if isinstance(inner, Mapping):
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


def _time(obj: Mapping[str, Any], zone: tzinfo) -> str:
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
