"""Kubernetes API server audit events, JSON: who asked the API for what, and what it answered.

Format: audit.k8s.io/v1 (v1beta1, v1alpha1), one event a line, from the log back end; an
``EventList`` (webhook) is a batch; what AKS writes as a diagnostic log is read too, and what
Elastic Agent decodes into ``kubernetes.audit`` before it sends. ECS fields:
``user.name``, ``source.ip`` (the client, the first of sourceIPs), ``event.action`` = verb,
``event.outcome`` by status and by the authorizer's decision, ``orchestrator.*`` the object. All of
Kubernetes' own fields are below ``kubernetes.audit.`` in their spelling; dots in annotations
become ``_``. Of request and response objects the names of the API become fields
(`normalize.kubernetes_names`), of secrets and config maps the keys alone.
"""

from collections.abc import Mapping
from typing import Any

from normalize.address import is_ip
from normalize.jsontext import load
from normalize.kubernetes_names import known
from normalize.vendor_object import part, put, set_class, set_leaves, text
from samlog.event import Event, RawEvent

NAME = "kubernetes_audit"
VERSION = 3
HINTS = frozenset({"kubernetes", "kubernetes.audit_logs", "k8s_audit"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = (
    {"product": "kubernetes", "service": "audit"},
    {"product": "kubernetes", "category": "application", "service": "audit"},
)
LOG_CLASSES = ("LC-15", "LC-23")
CONTENT = "json"
ORDER = 40
KEYS = frozenset(("auditID", "category", "kubernetes"))
SPECIFICATION = (
    'Kubernetes documentation, "Auditing", and the API reference of audit.k8s.io/v1 Event',
)
SETTINGS = """
An audit policy for the API server: level RequestResponse for pods, roles and bindings (rules
read `requestObject`), Metadata for secrets and config maps (never their content), None for
leases and health checks; `--audit-log-path` with a collector on the file, or the webhook.
"""

_TYPES = {
    "create": "creation",
    "update": "change",
    "patch": "change",
    "delete": "deletion",
    "deletecollection": "deletion",
    "get": "access",
    "list": "access",
    "watch": "access",
}
_IAM = frozenset(
    ("roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts")
    + ("certificatesigningrequests", "tokenreviews", "users", "groups")
)
_AKS = ("kube-audit", "kube-audit-admin")
_PREFIX = "kubernetes.audit"
_APART = frozenset(("annotations", "requestObject", "responseObject", "objectRef"))
_MAX_OBJECT_LEAVES = 128
_MAX_HOPS = 32


def matches(raw: RawEvent) -> bool:
    """A JSON object with ``auditID``, and ``verb`` or ``requestURI``."""
    record = _only(raw.json or {})
    return "auditID" in record and ("verb" in record or "requestURI" in record)


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = _only(raw.json or {})
    event: Event = {"event.dataset": "kubernetes.audit_logs", "event.kind": "event"}
    moment = text(record, "requestReceivedTimestamp") or text(record, "stageTimestamp")
    put(event, "@timestamp", moment or text(record, "timestamp"))
    identity, stage = text(record, "auditID"), text(record, "stage")
    if identity:
        event["samlog.origin"] = f"kubernetes|{identity}|{stage}"
    _who(event, record)
    _what(event, record)
    _outcome(event, record)
    _vendor(event, record)
    set_class(event, {"api": "LC-23"}, "LC-15")
    _around(event, raw.json or {}, record)
    return event


def _around(event: Event, whole: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Keeps the cluster's name, and what an agent put around the event, below its own name."""
    cluster = text(whole, "resourceId").rpartition("/")[2]
    put(event, "orchestrator.cluster.name", cluster.lower())
    if record is whole or "kubernetes" not in whole:
        return
    put(event, "orchestrator.cluster.name", text(whole, "orchestrator", "cluster", "name"))
    held = {key: value for key, value in part(whole, "kubernetes").items() if key != "audit"}
    set_leaves(event, "kubernetes", held, as_sent=True)
    rest = {key: value for key, value in whole.items() if key != "kubernetes"}
    set_leaves(event, "kubernetes.envelope", rest, as_sent=True)


def _only(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the event, also out of an AKS diagnostic record or below ``kubernetes.audit``."""
    if record.get("category") in _AKS:
        return _in_aks(part(record, "properties").get("log"))
    if "kubernetes" in record:
        return part(part(record, "kubernetes"), "audit") or record
    return record


def _in_aks(log: Any) -> Mapping[str, Any]:
    if not isinstance(log, str) or not log.startswith("{"):
        return {}
    try:
        value = load(log)[0]
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _who(event: Event, record: Mapping[str, Any]) -> None:
    """The one whose rights were used: the impersonated user where there is one."""
    user, impersonated = part(record, "user"), part(record, "impersonatedUser")
    put(event, "user.name", text(user, "username"))
    put(event, "user.id", text(user, "uid"))
    put(event, "user.effective.name", text(impersonated, "username"))
    addresses = record.get("sourceIPs")
    if isinstance(addresses, list):
        known = [one for one in addresses[:_MAX_HOPS] if isinstance(one, str) and is_ip(one)]
        if known and known[0] == addresses[0]:
            event["source.ip"] = event["client.ip"] = known[0]
        put(event, "related.ip", known)
    put(event, "user_agent.original", text(record, "userAgent"))


def _what(event: Event, record: Mapping[str, Any]) -> None:
    verb = text(record, "verb")
    reference = part(record, "objectRef")
    resource = text(reference, "resource")
    put(event, "event.action", verb)
    event["event.category"] = ["iam"] if resource in _IAM else ["configuration"]
    event["event.type"] = [_TYPES.get(verb, "info")]
    if event["event.type"] == ["access"]:
        event["event.category"] = ["api"]
    event["orchestrator.type"] = "kubernetes"
    put(event, "orchestrator.namespace", text(reference, "namespace"))
    put(event, "orchestrator.resource.type", resource)
    put(event, "orchestrator.resource.name", text(reference, "name"))
    put(event, "orchestrator.api_version", text(record, "apiVersion"))


def _outcome(event: Event, record: Mapping[str, Any]) -> None:
    """Of the stage RequestReceived nobody knows the outcome yet."""
    decision = part(record, "annotations").get("authorization.k8s.io/decision")
    code = part(record, "responseStatus").get("code")
    if decision == "forbid":
        event["event.outcome"] = "failure"
        event["event.type"].append("denied")
    elif isinstance(code, int) and not isinstance(code, bool):
        event["event.outcome"] = "success" if code < 400 else "failure"
    elif decision == "allow":
        event["event.outcome"] = "success"
    put(event, "event.reason", text(record, "responseStatus", "reason"))


def _vendor(event: Event, record: Mapping[str, Any]) -> None:
    set_leaves(event, _PREFIX, {k: v for k, v in record.items() if k not in _APART}, as_sent=True)
    for key in ("objectRef", "annotations"):
        value = {name.replace(".", "_"): item for name, item in part(record, key).items()}
        set_leaves(event, f"{_PREFIX}.{key}", value, as_sent=True)
    for key in ("requestObject", "responseObject"):
        value = known(part(record, key))
        set_leaves(event, f"{_PREFIX}.{key}", value, as_sent=True, limit=_MAX_OBJECT_LEAVES)
    for place in ("spec", "spec.template.spec"):
        image = event.get(f"{_PREFIX}.requestObject.{place}.containers.image")
        put(event, "container.image.name", image)
