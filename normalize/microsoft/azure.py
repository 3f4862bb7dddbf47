"""Azure's resource logs in the three shapes that they are delivered in, as one.

*Diagnostic settings*: ``{"time", "resourceId", "operationName", "category", "properties": {..}}``,
one each or in a ``records`` array (Event Hubs, storage account); Azure Monitor's "Azure resource
log common and service-specific schemas". *Log Analytics*: one row of a table, named by ``Type``,
with columns as ``TimeGenerated``, ``OperationName``, ``AADTenantId`` and objects as JSON texts.
*Microsoft Graph*: the object alone, as ``auditLogs/signIns`` returns it.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from normalize.microsoft.record import copy, inner, mapping, nanoseconds, snake, spread, text
from normalize.times import parse_iso
from samlog.event import Event

_US_TIME = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d\d):(\d\d)(?:\.\d{1,7})? ?([AP]M)?"
    r"(?: \+00:00)?\Z",
    re.IGNORECASE,
)
_SHORT_HOUR = re.compile(r"\d{4}-\d\d-\d\dT\d:\d\d:\d\d")
_RESOURCE = re.compile(
    r"(?:/subscriptions/(?P<subscription>[^/]{1,128}))?"
    r"(?:/resourcegroups/(?P<group>[^/]{1,256}))?"
    r"(?:/providers/(?P<provider>[^/]{1,128}/[^/]{1,128})/(?P<name>[^/]{1,256}))?",
    re.IGNORECASE,
)
_TENANT_RESOURCE = re.compile(
    r"/tenants/[^/]{1,128}/providers/(?P<provider>[^/]{1,128})", re.IGNORECASE
)
_COLUMNS = {
    "TimeGenerated": "time",
    "OperationName": "operationName",
    "OperationVersion": "operationVersion",
    "Category": "category",
    "ResultType": "resultType",
    "ResultSignature": "resultSignature",
    "ResultDescription": "resultDescription",
    "DurationMs": "durationMs",
    "AADTenantId": "tenantId",
    "CorrelationId": "correlationId",
    "CallerIpAddress": "callerIpAddress",
    "CallerIPAddress": "callerIpAddress",
    "ResourceId": "resourceId",
    "_ResourceId": "resourceId",
    "Identity": "identity",
    "Level": "level",
    "Location": "location",
}
_COMMON = frozenset((*_COLUMNS.values(), "properties", "Level")) - {"time"}
"""What `start` writes as scalars."""
_WORDS = {
    **dict.fromkeys(("success", "succeeded", "0"), "success"),
    **dict.fromkeys(("failure", "failed", "fail"), "failure"),
}


TYPES = {"write": "change", "action": "change", "delete": "deletion", "read": "access"}
"""The last part of an operation's name, or the category of the older schema → event.type."""


class Record(NamedTuple):
    """One log record: ``top`` with the names of diagnostic settings, and its ``properties``."""

    top: Mapping[str, Any]
    properties: Mapping[str, Any]


def read_record(record: Mapping[str, Any]) -> Record:
    """Returns a record of any of the three shapes."""
    properties = record.get("properties")
    if properties is not None:
        return Record(record, mapping(properties))
    if "TimeGenerated" in record:
        top = {_COLUMNS[key]: value for key, value in record.items() if key in _COLUMNS}
        own = {
            _lower_first(key): inner(value) for key, value in record.items() if key not in _COLUMNS
        }
        return Record(top, own)
    if "category" in record and ("time" in record or "resourceId" in record):
        return Record(record, {})
    return Record({}, record)


def _lower_first(name: str) -> str:
    """Returns ``UserPrincipalName`` as ``userPrincipalName``, ``IPAddress`` as ``ipAddress``."""
    head = len(name) - len(name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    cut = head if head == len(name) else max(head - 1, 1)
    return name[:cut].lower() + name[cut:]


def category(record: Mapping[str, Any]) -> str:
    """Returns the category of a record of diagnostic settings, "" where it is none."""
    found = record.get("category")
    if not isinstance(found, str):
        return ""
    known = "resourceId" in record or "operationName" in record or "properties" in record
    return found if known and ("time" in record or "resourceId" in record) else ""


def table(record: Mapping[str, Any]) -> str:
    """Returns the table of a Log Analytics row, "" where it is none."""
    found = record.get("Type")
    return found if isinstance(found, str) and "TimeGenerated" in record else ""


def start(dataset: str, record: Record, prefix: str) -> Event:
    """Returns an event with what every Azure log has in common; ``prefix`` is the vendor's."""
    top = record.top
    event: Event = {"event.dataset": dataset, "event.kind": "event", "cloud.provider": "azure"}
    moment = parse_time(top.get("time"))
    if moment is not None:
        event["@timestamp"] = moment
    copy(
        event,
        top,
        (("operationName", "event.action"), ("operationVersion", f"{prefix}.operation_version"))
        + (("operationName", f"{prefix}.operation_name"), ("category", f"{prefix}.category"))
        + (("resultType", f"{prefix}.result_type"), ("identity", f"{prefix}.identity"))
        + (("resultSignature", f"{prefix}.result_signature"), ("location", f"{prefix}.location"))
        + (("resultDescription", f"{prefix}.result_description"), ("level", "log.level"))
        + (("Level", "log.level"), ("tenantId", "azure.tenant_id"))
        + (("correlationId", "azure.correlation_id"), ("callerIpAddress", f"{prefix}.caller_ip")),
    )
    if "log.level" in event:
        event["log.level"] = str(event["log.level"])
    duration = nanoseconds(top.get("durationMs"))
    if duration is not None:
        event["event.duration"] = duration
    set_resource(event, text(top, "resourceId"))
    others = {
        key: value
        for key, value in top.items()
        if key not in _COMMON or (isinstance(value, dict | list) and key != "properties")
    }
    spread(event, prefix, others)
    return event


def set_resource(event: Event, resource: str) -> None:
    """Writes ``azure.resource.*`` and ``azure.subscription_id`` from a resource's path."""
    if not resource:
        return
    event["azure.resource.id"] = resource
    match = _TENANT_RESOURCE.match(resource) or _RESOURCE.match(resource)
    if match is None:
        return
    for name, value in match.groupdict().items():
        if value:
            field = "azure.subscription_id" if name == "subscription" else f"azure.resource.{name}"
            event[field] = value


def parse_time(value: Any) -> datetime | str | None:
    """Returns ISO 8601, or the US form ``8/22/2022 6:11:52 PM`` that some categories write, in UTC.

    Risk detections have hours of one digit (``2026-01-10T8:52:01Z``).

    What is neither comes back as it is, None for what is no text.
    """
    if not isinstance(value, str) or not value:
        return None
    moment = parse_iso(value)
    if moment is not None or len(value) > 40:
        return moment or value
    if _SHORT_HOUR.match(value):
        return parse_iso(f"{value[:11]}0{value[11:]}") or value
    match = _US_TIME.match(value)
    if match is None:
        return value
    month, day, year, hour, minute, second = map(int, match.groups()[:6])
    if match[7]:
        hour = hour % 12 + (12 if match[7].upper() == "PM" else 0)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return value


def outcome(*words: Any) -> str:
    """Returns success or failure by the first of ``words`` that says so, else ""."""
    for word in words:
        if isinstance(word, str | int) and (found := _WORDS.get(str(word).rstrip(".").lower())):
            return found
    return ""


def set_outcome(event: Event, *words: Any) -> None:
    """Writes ``event.outcome`` where one of ``words`` tells it."""
    if found := outcome(*words):
        event["event.outcome"] = found


def property_name(name: str, special: Mapping[str, str]) -> str:
    """Returns a property's name in snake case, or what ``special`` calls it."""
    return special.get(name) or snake(name)
