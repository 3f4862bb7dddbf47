"""AWS GuardDuty findings: the JSON of the API, of exports to S3 and of EventBridge's ``detail``.

Format: "GuardDuty finding format" of the user guide. A finding is an alert: ``rule.name`` is its
type, ``rule.category`` the threat's purpose, ``event.severity`` AWS's 0 to 10, ``message`` its
description. The far end is ``source.*`` where it called in. AWS's object is below
``aws.guardduty.``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from normalize.address import is_ip, set_port
from normalize.aws_names import set_cloud
from normalize.times import parse_epoch
from normalize.vendor_object import objects, part, put, set_leaves, text
from samlog.event import Event, RawEvent

NAME = "aws_guardduty"
VERSION = 3
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
_PORT = "localPortDetails"
_BY_NAME = "threatDetectedByName"
_MAX_FILES = 32
_MAX_PROBES = 32
_MILLISECONDS = 1e11
"""A number of seconds beyond is one of milliseconds."""


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
    put(event, "event.provider", text(action, "awsApiCallAction", "serviceName"))
    _ends(event, action)
    _who(event, part(record, "resource"))
    _runtime(event, service)
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


def _ends(event: Event, action: Mapping[str, Any]) -> None:
    """The remote address: the source, unless the resource itself called out."""
    for name, key in _FAR_ENDS:
        known = part(action, name)
        several = objects(known.get(key), _MAX_PROBES)
        if len(several) > 1:
            _set_probes(event, several)
            return
        found = (several or [part(known, key)])[0]
        remote = part(found, "remoteIpDetails") or found
        if not _address(remote):
            continue
        direction = text(known, "connectionDirection").lower()
        side, near = ("source", "destination")
        if direction == "outbound":
            side, near = near, side
        put(event, "network.direction", direction)
        _set_end(event, side, remote, part(known, "remotePortDetails"))
        local = part(known, "localIpDetails") or part(found, "localIpDetails")
        _set_end(event, near, local, part(known, "localPortDetails") or part(found, _PORT))
        put(event, "network.transport", text(known, "protocol").lower())
        return
    callers = part(action, "kubernetesApiCallAction").get("sourceIPs")
    if isinstance(callers, list):
        known_ips = [one for one in callers[:_MAX_PROBES] if isinstance(one, str) and is_ip(one)]
        _put_values(event, "source.ip", known_ips)
    asked = part(action, "dnsRequestAction")
    put(event, "dns.question.name", text(asked, "domain"))
    put(event, "network.transport", text(asked, "protocol").lower())


def _set_probes(event: Event, probes: list[dict[str, Any]]) -> None:
    """Of a port probe every address that probed, and every port of ours that it found."""
    for side, place in (("source", "remoteIpDetails"), ("destination", "localIpDetails")):
        addresses = [one for probe in probes if (one := _address(part(probe, place)))]
        _put_values(event, f"{side}.address", addresses)
        _put_values(event, f"{side}.ip", [one for one in addresses if is_ip(one)])
    ports = [part(probe, _PORT).get("port") for probe in probes]
    _put_values(event, "destination.port", [one for one in ports if type(one) is int])


def _address(details: Mapping[str, Any]) -> str:
    return text(details, "ipAddressV4") or text(details, "ipAddressV6")


def _set_end(event: Event, side: str, end: Mapping[str, Any], port: Mapping[str, Any]) -> None:
    if address := _address(end):
        event[f"{side}.address"] = address
        if is_ip(address):
            event[f"{side}.ip"] = address
    number = port.get("port")
    if isinstance(number, int) and not isinstance(number, bool):
        set_port(event, side, number)


def _who(event: Event, resource: Mapping[str, Any]) -> None:
    cluster = part(resource, "kubernetesDetails")
    user = part(cluster, "kubernetesUserDetails")
    for name, identity in (
        (text(resource, "accessKeyDetails", "userName"),
         text(resource, "accessKeyDetails", "principalId")),
        (text(resource, "rdsDbUserDetails", "user"), ""),
        (text(user, "username"), text(user, "uid")),
    ):  # fmt: skip
        put(event, "user.name", name)
        put(event, "user.id", identity)
    groups = user.get("groups")
    if isinstance(groups, list):
        put(event, "user.roles", [group for group in groups if isinstance(group, str)][:_MAX_FILES])
    instance = part(resource, "instanceDetails")
    put(event, "cloud.instance.id", text(instance, "instanceId"))
    put(event, "cloud.machine.type", text(instance, "instanceType"))
    put(event, "host.type", text(instance, "instanceType"))
    workload = part(cluster, "kubernetesWorkloadDetails")
    put(event, "orchestrator.namespace", text(workload, "namespace"))
    put(event, "orchestrator.resource.name", text(workload, "name"))
    put(event, "orchestrator.resource.type", text(workload, "type"))
    container = part(resource, "containerDetails")
    for key, field in (("id", "id"), ("name", "name"), ("image", "image.name")):
        put(event, f"container.{field}", text(container, key))
    put(event, "container.runtime", text(container, "containerRuntime"))
    put(event, "container.security_context.privileged",
        part(container, "securityContext").get("privileged"))  # fmt: skip
    task = part(part(resource, "ecsClusterDetails"), "taskDetails")
    for key, field in (("id", "id"), ("name", "name"), ("containerRuntime", "runtime")):
        _put_each(event, f"container.{field}", objects(task.get("containers"), _MAX_FILES), key)


def _runtime(event: Event, service: Mapping[str, Any]) -> None:
    """The process that the agent on the host saw, its parent, and the files of a malware scan."""
    details = part(service, "runtimeDetails")
    _process(event, "process", part(details, "process"))
    for parent in objects(part(details, "process").get("lineage"), 1):
        _process(event, "process.parent", parent)
    context = part(details, "context")
    put(event, "threat.software.name", text(context, "toolName"))
    for field in ("file.path", "threat.indicator.file.path"):
        put(event, field, text(context, "threatFilePath"))
    put(event, "network.iana_number", text(context, "ianaProtocolNumber"))
    put(event, "process.command_line", text(context, "commandLineExample"))
    scan = part(part(part(service, "ebsVolumeScanDetails"), "scanDetections"), _BY_NAME)
    files = [one for threat in objects(scan.get("threatNames"), _MAX_FILES)
             for one in objects(threat.get("filePaths"), _MAX_FILES)][:_MAX_FILES]  # fmt: skip
    for key, field in (("filePath", "path"), ("fileName", "name"), ("hash", "hash.sha256")):
        _put_each(event, f"file.{field}", files, key)
    if files:
        event["event.category"] = ["intrusion_detection", "malware"]


def _put_each(event: Event, name: str, things: list[dict[str, Any]], key: str) -> None:
    _put_values(event, name, [value for one in things if (value := text(one, key))])


def _put_values(event: Event, name: str, values: list[Any]) -> None:
    """Sets different values as a list, one as itself."""
    once = list(dict.fromkeys(values))
    put(event, name, once if len(once) > 1 else next(iter(once), None))


def _process(event: Event, prefix: str, process: Mapping[str, Any]) -> None:
    for key, field in (
        ("name", "name"),
        ("executablePath", "executable"),
        ("executableSha256", "hash.sha256"),
        ("pid", "pid"),
        ("pwd", "working_directory"),
        ("user", "user.name"),
        ("uuid", "entity_id"),
    ):
        value = process.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            put(event, f"{prefix}.{field}", value)
    put(event, f"{prefix}.user.id", text(process, "userId"))
    started = process.get("startTime")
    if isinstance(started, int | float) and not isinstance(started, bool):
        started = parse_epoch(started, unit_s=1e-3 if started > _MILLISECONDS else 1.0)
    put(event, f"{prefix}.start", started if isinstance(started, str | datetime) else None)


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
