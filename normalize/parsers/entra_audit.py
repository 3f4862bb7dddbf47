"""Microsoft Entra ID audit logs: changes of users, groups, roles, applications, policies; PIM.

Format: the Graph type directoryAudit and the table AuditLogs. Agent: a diagnostic setting of
Entra ID (AuditLogs) to an Event Hub, or the Graph API. Who did it is ``user.*`` (none where an
application did), from where ``source.ip``, what ``event.action``, with which result
``event.outcome``. Entra's own fields are below ``azure.auditlogs.``; beside them
``azure.auditlogs.modified.<property>`` is a property's new value and
``azure.auditlogs.target_resources`` the targets as JSON text, ``.modifications`` the changes, each
as the inside of its JSON object, as rules quote it. Dataset ``azure.auditlogs``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.microsoft import azure
from normalize.microsoft.record import (
    MAX_PAIRS,
    copy,
    inner,
    json_text,
    mapping,
    named_values,
    objects,
    plain,
    set_account,
    set_client,
    spread,
    text,
)
from samlog.event import Event, RawEvent

NAME = "entra_audit"
VERSION = 1
HINTS = frozenset({"azure.auditlogs", "entra"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "azure", "service": "auditlogs"},)
LOG_CLASSES = ("LC-23",)
CONTENT = "json"
ORDER = 40

_PREFIX = "azure.auditlogs"
_SPECIAL = {"activityDateTime": "activity_datetime"}
_TYPES = {
    "add": "creation",
    "create": "creation",
    "update": "change",
    "assign": "change",
    "delete": "deletion",
    "unassign": "deletion",
}
"""operationType → ECS event.type."""
_SUBJECTS = {"User": "user", "Group": "group"}
"""Type of a target → ECS event.type."""
_SHOWN = {"ServicePrincipal": "Service Principal"}
"""Types of targets as the Entra admin center shows them."""


def matches(raw: RawEvent) -> bool:
    """A record of the category or table AuditLogs, or a directoryAudit object of Graph."""
    record = raw.json
    if record is None:
        return False
    if azure.category(record) == "AuditLogs" or azure.table(record) == "AuditLogs":
        return True
    return "activityDisplayName" in record and "initiatedBy" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = azure.read_record(raw.json or {})
    own = record.properties
    event = azure.start("azure.auditlogs", record, _PREFIX)
    event["event.category"] = ["iam"]
    if "event.action" not in event:
        copy(event, own, (("activityDisplayName", "event.action"),))
    if "@timestamp" not in event:
        event["@timestamp"] = azure.parse_time(own.get("activityDateTime"))
    azure.set_outcome(event, own.get("result"), record.top.get("resultType"))
    if identity := text(own, "id"):
        event["samlog.origin"] = f"entra|{identity}"
    initiated = mapping(own.get("initiatedBy"))
    _who(event, mapping(initiated.get("user")), text(record.top, "callerIpAddress"))
    targets = objects(own.get("targetResources"))
    _targets(event, own, targets)
    details = named_values(own.get("additionalDetails"), "key", "value")
    if agent := text(own, "userAgent") or text(details, "User-Agent"):
        event["user_agent.original"] = agent
    event[f"{_PREFIX}.initiated_by"] = json_text(initiated)
    spread(event, f"{_PREFIX}.properties.additional_details", details, plain)
    rest = {key: value for key, value in own.items() if key not in ("additionalDetails",)}
    rest["targetResources"] = targets
    rest["initiatedBy"] = initiated
    spread(event, f"{_PREFIX}.properties", rest, lambda key: azure.property_name(key, _SPECIAL))
    return event


def _who(event: Event, user: Mapping[str, Any], address: str) -> None:
    copy(event, user, (("id", "user.id"), ("displayName", "user.full_name")))
    set_account(event, "user", text(user, "userPrincipalName"))
    set_client(event, address or text(user, "ipAddress"), "source", "client")


def _targets(event: Event, own: Mapping[str, Any], targets: list[dict[str, Any]]) -> None:
    """What was changed: the type of change, the names of the targets, the new values."""
    kind = _TYPES.get(text(own, "operationType").lower(), "change")
    subjects = [
        _SUBJECTS[t] for t in (text(target, "type") for target in targets) if t in _SUBJECTS
    ]
    event["event.type"] = list(dict.fromkeys([kind, *subjects]))
    if not targets:
        return
    event[f"{_PREFIX}.target_resources"] = json_text(targets)
    for target in targets:
        if text(target, "type") == "User":
            copy(
                event, target, (("id", "user.target.id"), ("displayName", "user.target.full_name"))
            )
            set_account(event, "user.target", text(target, "userPrincipalName"))
            break
    groups = [target for target in targets if text(target, "type") == "Group"]
    if groups:
        copy(event, groups[0], (("id", "group.id"), ("displayName", "group.name")))
    types = [kind for target in targets if (kind := text(target, "type"))]
    if types:
        shown = [_SHOWN[kind] for kind in types if kind in _SHOWN]
        event[f"{_PREFIX}.target_types"] = list(dict.fromkeys([*types, *shown]))
    _modified(event, targets)


def _modified(event: Event, targets: list[dict[str, Any]]) -> None:
    changes = [
        change for target in targets for change in objects(target.get("modifiedProperties"))
    ][:MAX_PAIRS]
    names, new = [], []
    for change in changes:
        name = text(change, "displayName")
        if not name:
            continue
        names.append(name)
        value = _unquoted(change.get("newValue"))
        if value not in (None, ""):
            new.append(value)
            event[f"{_PREFIX}.modified.{name[:128]}"] = value
    if names:
        event[f"{_PREFIX}.modified_names"] = names
        event[f"{_PREFIX}.modifications"] = [json_text(change)[1:-1] for change in changes]
    if new:
        event[f"{_PREFIX}.modified_values"] = new


def _unquoted(value: Any) -> Any:
    r"""Returns ``"\"False\""``, a JSON text in quotes, as ``False``; an object as JSON text."""
    if not isinstance(value, str):
        return value if value is None else json_text(value)
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"')
    return value if isinstance(inner(value), str) else value
