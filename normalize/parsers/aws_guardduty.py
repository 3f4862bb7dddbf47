"""AWS GuardDuty findings: the JSON of the API, of exports to S3 and of EventBridge's ``detail``.

Format: "GuardDuty finding format" of the user guide. A finding is an alert: ``rule.name`` is its
type, ``rule.category`` the threat's purpose, ``event.severity`` AWS's 0 to 10, ``message`` its
description. The far end is ``source.*`` where it called in. AWS's object is below
``aws.guardduty.``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.address import is_ip
from normalize.aws_names import set_cloud
from normalize.vendor_object import objects, part, put, set_leaves, text
from samlog.event import Event, RawEvent

NAME = "aws_guardduty"
VERSION = 1
HINTS = frozenset({"guardduty", "aws.guardduty"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[Mapping[str, str], ...] = ({"product": "aws", "service": "guardduty"},)
LOG_CLASSES = ("LC-09", "LC-23")
CONTENT = "json"
ORDER = 40
KEYS = frozenset(("schemaVersion", "detail"))
SPECIFICATION = ('Amazon GuardDuty User Guide, "GuardDuty finding format" and "Finding types"',)
SETTINGS = """
Export findings to S3, or an EventBridge rule for `GuardDuty Finding` to a queue that the
collector reads; either form is known.
"""

_LEVELS = ((9.0, "Critical"), (7.0, "High"), (4.0, "Medium"), (0.0, "Low"))
_RENAMED = (
    ("accountId", "account_id"),
    ("schemaVersion", "schema_version"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
)
_APART = frozenset(("severity", "resource", "service"))
_FAR_ENDS = (
    ("networkConnectionAction", "remoteIpDetails"),
    ("awsApiCallAction", "remoteIpDetails"),
    ("kubernetesApiCallAction", "remoteIpDetails"),
    ("rdsLoginAttemptAction", "remoteIpDetails"),
    ("portProbeAction", "portProbeDetails"),
)


def matches(raw: RawEvent) -> bool:
    """A JSON object with GuardDuty's ``schemaVersion``, ``service`` and ``resource``."""
    record = _finding(raw.json or {})
    return "schemaVersion" in record and "service" in record and "resource" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = _finding(raw.json or {})
    service = part(record, "service")
    action = part(service, "action")
    event: Event = {
        "event.dataset": "aws.guardduty",
        "event.kind": "alert",
        "event.category": ["intrusion_detection"],
        "event.type": ["info"],
        "samlog.log_class": "LC-09",
    }
    put(event, "@timestamp", text(record, "updatedAt") or text(record, "createdAt"))
    put(event, "event.action", text(action, "actionType"))
    put(event, "event.severity", _whole(record.get("severity")))
    put(event, "event.start", text(service, "eventFirstSeen"))
    put(event, "event.end", text(service, "eventLastSeen"))
    put(event, "message", text(record, "description") or text(record, "title"))
    if identity := text(record, "id"):
        event["samlog.origin"] = f"guardduty|{identity}"
    set_cloud(event, "guardduty", text(record, "accountId"), text(record, "region"))
    _rule(event, text(record, "type"))
    _far_end(event, action)
    _who(event, part(record, "resource"))
    _vendor(event, record)
    return event


def _finding(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the finding, taken out of EventBridge's event where it is in one."""
    detail = record.get("detail")
    return detail if isinstance(detail, dict) and "detail-type" in record else record


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and 0 <= value <= 10 else None


def _rule(event: Event, kind: str) -> None:
    """``ThreatPurpose:ResourceTypeAffected/ThreatFamilyName..`` ("Finding types")."""
    put(event, "rule.name", kind)
    put(event, "rule.category", kind.partition(":")[0] if ":" in kind else "")
    put(event, "rule.ruleset", kind.partition("/")[0] if "/" in kind else "")


def _far_end(event: Event, action: Mapping[str, Any]) -> None:
    """The remote address: the source, unless the resource itself called out."""
    for name, key in _FAR_ENDS:
        known = part(action, name)
        found = objects(known.get(key)) or [part(known, key)]
        address = text(found[0], "ipAddressV4") or text(found[0], "remoteIpDetails", "ipAddressV4")
        if not address:
            continue
        side, near = "source", "destination"
        if text(known, "connectionDirection") == "OUTBOUND":
            side, near = "destination", "source"
        event[f"{side}.address"] = address
        if is_ip(address):
            event[f"{side}.ip"] = address
        for prefix, ports in ((side, "remotePortDetails"), (near, "localPortDetails")):
            port = part(known, ports).get("port")
            put(event, f"{prefix}.port", port)
        put(event, "network.transport", text(known, "protocol").lower())
        return
    if domain := text(action, "dnsRequestAction", "domain"):
        event["dns.question.name"] = domain


def _who(event: Event, resource: Mapping[str, Any]) -> None:
    for details, name in (
        ("accessKeyDetails", "userName"),
        ("rdsDbUserDetails", "user"),
        ("kubernetesDetails", "kubernetesUserDetails"),
    ):
        known = part(resource, details)
        inner = part(known, name)
        put(event, "user.name", text(inner, "username") if inner else text(known, name))
    instance = part(resource, "instanceDetails")
    put(event, "cloud.instance.id", text(instance, "instanceId"))
    put(event, "user.id", text(resource, "accessKeyDetails", "principalId"))


def _vendor(event: Event, record: Mapping[str, Any]) -> None:
    prefix = "aws.guardduty"
    names = dict(_RENAMED)
    own = {names.get(k, k): v for k, v in record.items() if k not in _APART}
    set_leaves(event, prefix, own)
    severity = record.get("severity")
    if isinstance(severity, (int, float)):
        event[f"{prefix}.severity.code"] = severity
        level = next((word for least, word in _LEVELS if severity >= least), None)
        put(event, f"{prefix}.severity.value", level)
    resource, service = dict(part(record, "resource")), dict(part(record, "service"))
    put(event, f"{prefix}.resource.type", resource.pop("resourceType", None))
    action = dict(part(service, "action"))
    put(event, f"{prefix}.service.action.type", action.pop("actionType", None))
    service.pop("action", None)
    for name, key in (("first_seen", "eventFirstSeen"), ("last_seen", "eventLastSeen")):
        put(event, f"{prefix}.service.event.{name}", service.pop(key, None))
    set_leaves(event, f"{prefix}.resource", resource)
    set_leaves(event, f"{prefix}.service.action", action)
    additional = service.pop("additionalInfo", None)
    set_leaves(event, f"{prefix}.service.additional_info", additional, as_sent=True)
    set_leaves(event, f"{prefix}.service", service)
