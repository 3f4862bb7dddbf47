"""Okta's System Log: what users, administrators and policies did, as JSON of the System Log API.

One event each, the array that the API answers with, or what log streaming to EventBridge wraps.
ECS fields say who (``user.*`` and ``source.user.*`` from the actor, ``user.target.*`` from the
targets), from where, what (``event.action`` is the eventType) and with which outcome. Okta's whole
object is below ``okta.`` under Elastic's names; its debug data keeps Okta's own spelling in
``okta.debug_context.debug_data.flattened.*``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.address import is_ip
from normalize.vendor_object import objects, part, put, set_class, set_leaves, text
from normalize.web import set_url
from samlog.event import Event, RawEvent

NAME = "okta"
VERSION = 1
HINTS = frozenset({"okta.system", "okta_system"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "okta", "service": "okta"},)
LOG_CLASSES = ("LC-01", "LC-02", "LC-23")
CONTENT = "json"
ORDER = 40
KEYS = frozenset(("eventType", "detail"))
SPECIFICATION = (
    'Okta, "System Log API", object LogEvent; the event types are in Okta\'s "Event Types" '
    "catalogue",
)
SETTINGS = """
Poll `/api/v1/logs` with an API token of a read-only administrator, ascending and by the link
`next`, and send each object as one line of JSON (Elastic Agent, Vector's http_client, or Okta's
log streaming to EventBridge). Keep the object whole: rules read `debugContext` and `target`.
"""

_OUTCOMES = {
    "SUCCESS": "success",
    "ALLOW": "success",
    "FAILURE": "failure",
    "DENY": "failure",
}
_VERBS = (
    (("create", "add", "grant", "generate", "register", "import"), "creation"),
    (("delete", "remove", "revoke", "purge"), "deletion"),
    (("start",), "start"),
    (("end",), "end"),
)
_CHANGES = frozenset(
    ("update", "activate", "deactivate", "suspend", "unsuspend", "lock", "unlock", "reset")
    + ("expire", "change", "convert", "rotate", "enable", "disable", "assign", "unassign")
    + ("clear", "reactivate", "upgrade", "transfer", "set")
)
_KINDS = (
    (("user.session", "user.authentication.auth_via_session"), ("authentication", "session")),
    (("user.authentication", "user.mfa.factor.challenge", "user.mfa.attempt_bypass"),
     ("authentication",)),
    (("policy.evaluate_sign_on", "app.oauth2", "user.mfa.okta_verify"), ("authentication",)),
    (("security.", "user.risk", "user.account.report_suspicious"), ("intrusion_detection",)),
    (("user.lifecycle", "user.account", "user.mfa", "user.credential", "user.import"), ("iam",)),
    (("group.", "iam.", "application.user_membership", "application.provision"), ("iam",)),
    (("system.api_token", "system.idp", "user.registration"), ("iam",)),
    (("policy.", "zone.", "application.", "app."), ("configuration",)),
)  # fmt: skip
_RENAMED = (
    ("request_id", "requestId"),
    ("request_uri", "requestUri"),
    ("threat_suspected", "threatSuspected"),
    ("device_fingerprint", "deviceFingerprint"),
    ("url", "url"),
)
_DEBUG = "okta.debug_context.debug_data."
_APART = frozenset(("client", "debugContext", "securityContext", "published", "version"))


def matches(raw: RawEvent) -> bool:
    """A JSON object with Okta's ``eventType``, ``actor`` and ``published``."""
    record = _event_in(raw.json or {})
    return (
        "eventType" in record
        and "actor" in record
        and ("published" in record or "legacyEventType" in record)
    )


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = _event_in(raw.json or {})
    action = text(record, "eventType")
    event: Event = {"event.dataset": "okta.system", "event.kind": "event"}
    put(event, "@timestamp", record.get("published"))
    put(event, "event.action", action)
    _classify(event, action)
    result = text(record, "outcome", "result")
    if result:
        event["event.outcome"] = _OUTCOMES.get(result.upper(), "unknown")
    put(event, "event.reason", text(record, "outcome", "reason"))
    put(event, "log.level", text(record, "severity").lower())
    if identity := text(record, "uuid"):
        event["samlog.origin"] = f"okta|{identity}"
    _client(event, record)
    _actor(event, part(record, "actor"))
    _targets(event, record.get("target"))
    _vendor(event, record)
    set_class(event, {"authentication": "LC-01", "iam": "LC-02"}, "LC-23")
    return event


def _event_in(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the event, taken out of EventBridge's where Okta's log streaming sent it."""
    detail = record.get("detail")
    return detail if isinstance(detail, dict) and "detail-type" in record else record


def _classify(event: Event, action: str) -> None:
    """Category by what the event type is about, types by its verb (the last word)."""
    for beginnings, categories in _KINDS:
        if action.startswith(beginnings):
            event["event.category"] = list(categories)
            break
    else:
        return
    if action.startswith("policy.evaluate") or "intrusion_detection" in event["event.category"]:
        event["event.type"] = ["info"]
        return
    verb = action.rpartition(".")[2].partition("_")[0]
    types = [kind for verbs, kind in _VERBS if verb in verbs]
    if not types and verb in _CHANGES:
        types.append("change")
    owner = action.partition(".")[0]
    if owner in ("user", "group"):
        types.append(owner)
    event["event.type"] = types or ["info"]


def _client(event: Event, record: Mapping[str, Any]) -> None:
    client = part(record, "client")
    address = text(client, "ipAddress")
    if is_ip(address):
        event["source.ip"] = event["client.ip"] = event["okta.client.ip"] = address
    agent = part(client, "userAgent")
    put(event, "user_agent.original", text(agent, "rawUserAgent"))
    geo = part(client, "geographicalContext")
    for key, name in (("city", "city_name"), ("state", "region_name"), ("country", "country_name")):
        put(event, f"client.geo.{name}", text(geo, key))
    security = part(record, "securityContext")
    if domain := text(security, "domain"):
        event["source.domain"] = event["client.domain"] = domain
    put(event, "client.as.number", security.get("asNumber"))
    put(event, "client.as.organization.name", text(security, "asOrg"))


def _actor(event: Event, actor: Mapping[str, Any]) -> None:
    """The name is the local part of the log-in; other realms have the same name elsewhere."""
    full_name, login = text(actor, "displayName"), text(actor, "alternateId")
    name = login.partition("@")[0] if login != "unknown" else ""
    for side in ("source.", "client."):
        put(event, f"{side}user.id", text(actor, "id"))
        put(event, f"{side}user.full_name", full_name)
        put(event, f"{side}user.name", name)
    put(event, "user.full_name", full_name)
    put(event, "user.name", name)


def _targets(event: Event, targets: Any) -> None:
    """Users and groups among the targets; an event may have several of each."""
    for target in objects(targets):
        kind = target.get("type")
        if kind in ("User", "AppUser"):
            place, shown = "user.target.", "full_name"
        elif kind == "UserGroup":
            place, shown = "user.target.group.", "name"
        else:
            continue
        for key, value in (("id", text(target, "id")), (shown, text(target, "displayName"))):
            if value:
                set_leaves(event, f"{place}{key}", value)


def _vendor(event: Event, record: Mapping[str, Any]) -> None:
    set_leaves(event, "okta", {k: v for k, v in record.items() if k not in _APART})
    client = {key: value for key, value in part(record, "client").items() if key != "ipAddress"}
    set_leaves(event, "okta.client", client)
    security = dict(part(record, "securityContext"))
    put(event, "okta.security_context.as.number", security.pop("asNumber", None))
    put(event, "okta.security_context.as.organization.name", security.pop("asOrg", None))
    set_leaves(event, "okta.security_context", security)
    debug = part(part(record, "debugContext"), "debugData")
    set_leaves(event, _DEBUG + "flattened", debug, as_sent=True)
    for name, key in _RENAMED:
        put(event, _DEBUG + name, text(debug, key))
    if url := text(debug, "url"):
        set_url(event, url)
