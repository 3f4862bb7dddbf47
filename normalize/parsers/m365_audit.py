"""Microsoft 365 unified audit log: Exchange, SharePoint, OneDrive, Teams, DLP, Power Platform ..

Format: "Office 365 Management Activity API schema", the common schema and those of the workloads.
Agent: a collector of that API, also as Elastic's (``o365audit``), as the cmdlet
Search-UnifiedAuditLog (``AuditData``) or the table OfficeActivity of Sentinel deliver it. The
operation is ``event.action``, the workload ``event.provider``, the record type ``event.code``, who
``user.*``, from where ``source.ip``. All of Microsoft's fields are below ``o365.audit.`` under
Microsoft's names; lists of names and values are there twice, as ``o365.audit.Parameters.<name>``
and whole as JSON text. Dataset ``o365.audit``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.address import is_ip, set_port
from normalize.microsoft import azure
from normalize.microsoft.m365_fields import READERS
from normalize.microsoft.m365_types import ACTIONS, OF_RECORD_TYPE, RECORD_TYPES, RENAMED
from normalize.microsoft.record import (
    copy,
    inner,
    json_text,
    mapping,
    named_values,
    objects,
    plain,
    set_account,
    split_address,
    spread,
    text,
)
from samlog.event import Event, RawEvent

NAME = "m365_audit"
VERSION = 2
HINTS = frozenset({"o365.audit", "m365"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = (
    {"product": "m365", "service": "audit"},
    {"product": "m365", "service": "exchange"},
    {"product": "m365", "service": "threat_management"},
    {"product": "m365", "service": "threat_detection"},
)
LOG_CLASSES = ("LC-23",)
CONTENT = "json"
ORDER = 40

_PREFIX = "o365.audit"
_ROW = {
    "OfficeWorkload": "Workload",
    "OfficeId": "Id",
    "OfficeObjectId": "ObjectId",
    "Client_IPAddress": "ClientIPAddress",
    "TimeGenerated": "CreationTime",
    "OrganizationName_": "OrganizationName",
}
"""Columns of the table OfficeActivity that are called otherwise in the schema."""
_LISTS = ("Parameters", "ExtendedProperties", "OperationProperties", "DeviceProperties")
_LOGINS = frozenset(("AzureActiveDirectoryStsLogon", "AzureActiveDirectoryAccountLogon"))
_ADDRESSES = ("ClientIPAddress", "ClientIP", "ActorIpAddress")
_NO_ADDRESS = frozenset(("null", "<null>", "-"))
_FAILED = frozenset(("failed", "failure", "false", "denied"))


def matches(raw: RawEvent) -> bool:
    """An object with the common schema's Operation, RecordType and Workload or organisation."""
    record = raw.json
    if record is None:
        return False
    if isinstance(record.get("o365audit"), dict) or azure.table(record) == "OfficeActivity":
        return True
    if "AuditData" in record and ("Operations" in record or "RecordType" in record):
        return True
    if "Operation" not in record or "RecordType" not in record:
        return False
    return "CreationTime" in record and ("Workload" in record or "OrganizationId" in record)


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    whole = raw.json or {}
    record = _record(whole)
    kind = _record_type(record.get("RecordType"))
    event: Event = {"event.dataset": "o365.audit", "event.kind": "event"}
    event["@timestamp"] = azure.parse_time(record.get("CreationTime"))
    if kind:
        event["event.code"] = kind
    copy(
        event,
        record,
        (("Workload", "event.provider"), ("Operation", "event.action"), ("UserId", "user.id"))
        + (("UserAgent", "user_agent.original"),),
    )
    if identity := text(record, "Id"):
        event["samlog.origin"] = f"o365|{identity}"
    _meaning(event, kind, record)
    _client(event, *(text(record, key) for key in _ADDRESSES))
    if reader := READERS.get(kind):
        reader(event, record)
    _users(event)
    _organisation(event, whole, text(record, "OrganizationId").lower())
    _own_fields(event, record)
    return event


def _record(whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the audit record within what a collector delivered."""
    if isinstance(whole.get("o365audit"), dict):
        return mapping(whole["o365audit"])
    if "AuditData" in whole and (data := mapping(whole["AuditData"])):
        return data
    if "TimeGenerated" in whole:
        return {_ROW.get(key, key): value for key, value in whole.items()}
    return whole


def _record_type(value: Any) -> str:
    """Returns the record type's name for its number or the text of one; without a name, itself."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:6])
    if isinstance(value, int) and not isinstance(value, bool):
        return RECORD_TYPES.get(value) or str(value)[:20]
    return value if isinstance(value, str) else ""


def _meaning(event: Event, kind: str, record: Mapping[str, Any]) -> None:
    operation = str(event.get("event.action", ""))
    category: tuple[str, ...] = ("web",)
    types: tuple[str, ...] = ("info",)
    known = OF_RECORD_TYPE.get(kind, {}).get(operation) or ACTIONS.get(operation)
    if known:
        category, types = known
    elif kind in _LOGINS:
        category, types = ("authentication",), ("start",)
    event["event.category"], event["event.type"] = list(category), list(types)
    failed = str(record.get("ResultStatus"))[:16].lower() in _FAILED
    if kind in _LOGINS:
        failed = _login_failed(event, operation, record) or failed
    event["event.outcome"] = "failure" if failed else "success"
    renamed = RENAMED.get(kind, {}).get(operation)
    if renamed:
        event["event.action"] = renamed


def _login_failed(event: Event, operation: str, record: Mapping[str, Any]) -> bool:
    """Tells whether a log-in failed: records of failures say ``ResultStatus`` Success as well.

    The number is one of Entra ID's error codes (50126: wrong password), 0 is none.
    """
    number = record.get("ErrorNumber")
    number = str(number) if isinstance(number, str | int) else ""
    copy(event, record, (("LogonError", "event.reason"),))
    if number not in ("", "0"):
        event["error.code"] = number[:20]
    if operation in ("UserLoggedIn", "UserLoginFailed"):
        return operation == "UserLoginFailed"
    return "error.code" in event or "event.reason" in event


def _client(event: Event, *values: str) -> None:
    value = next((value for value in values if value and value not in _NO_ADDRESS), "")
    if not value:
        return
    name, bracket, within = value.partition(" (")
    if bracket:
        event["client.domain"], value = name.strip("[]"), within.rstrip(")]")
    address, port = split_address(value)
    if not is_ip(address):
        event["client.address" if bracket else "client.domain"] = address
        return
    event["client.address"] = event["client.ip"] = event["source.ip"] = address
    event["network.type"] = "ipv6" if ":" in address else "ipv4"
    if port is not None:
        set_port(event, "client", port)
        set_port(event, "source", port)


def _users(event: Event) -> None:
    """Accounts that are named like an address have a name and a domain."""
    identity = event.get("user.id")
    if isinstance(identity, str) and identity.count("@") == 1 and identity[:1] != "@":
        event["user.email"] = identity
        set_account(event, "user", identity)
    owner = event.get("file.owner")
    if isinstance(owner, str):
        event["related.user"] = [*event.get("related.user", ()), owner]
    address = event.get("server.address")
    if isinstance(address, str) and is_ip(address):
        event["server.ip"] = event["destination.ip"] = address


def _organisation(event: Event, whole: Mapping[str, Any], identity: str) -> None:
    """The tenant, by its name where the collector or the record knows it."""
    if identity:
        event["organization.id"] = event["host.id"] = identity
    tenants = mapping(mapping(whole.get("_conf")).get("tenants"))
    name = tenants.get(identity)
    if isinstance(name, str) and name:
        event["organization.name"] = name
    for field in ("organization.name", "user.domain"):
        if "host.name" not in event and event.get(field):
            event["host.name"] = event[field]


def _own_fields(event: Event, record: Mapping[str, Any]) -> None:
    rest = dict(record)
    for key in _LISTS:
        values = inner(rest.get(key))
        if not isinstance(values, list) or not values:
            continue
        named = named_values(values, "Name", "Value")
        spread(event, f"{_PREFIX}.{key}", named, plain)
        rest[key] = json_text(values)
        if key == "ExtendedProperties" and text(named, "UserAgent"):
            event.setdefault("user_agent.original", named["UserAgent"])
    _modified(event, rest)
    data = inner(rest.get("Data"))
    if isinstance(data, dict):
        spread(event, f"{_PREFIX}.Data", data, plain)
        rest["Data"] = json_text(data)
    spread(event, _PREFIX, rest, plain)


def _modified(event: Event, rest: dict[str, Any]) -> None:
    """``ModifiedProperties``: a list of names, old and new values, or of names alone."""
    values = inner(rest.get("ModifiedProperties"))
    if not isinstance(values, list) or not values:
        return
    rest["ModifiedProperties"] = json_text(values)
    for side in ("NewValue", "OldValue"):
        for name, value in named_values(objects(values), "Name", side).items():
            event[f"{_PREFIX}.ModifiedProperties.{name.replace(' ', '_')}.{side}"] = value
