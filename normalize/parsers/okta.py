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
from normalize.jsontext import load
from normalize.okta_types import meaning
from normalize.vendor_object import objects, part, put, set_class, set_leaves, text
from normalize.web import set_url
from samlog.event import Event, RawEvent

NAME = "okta"
VERSION = 3
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
_RENAMED = (
    ("request_id", "requestId"),
    ("request_uri", "requestUri"),
    ("threat_suspected", "threatSuspected"),
    ("device_fingerprint", "deviceFingerprint"),
    ("url", "url"),
)
_NO_URL = frozenset("<> ")
"""Characters of what stands where a URL was taken out, as in ``<url>``."""
_MAX_BEHAVIORS = 64
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
    categories, types = meaning(action)
    put(event, "event.category", list(categories))
    put(event, "event.type", list(types))
    event["event.outcome"] = _OUTCOMES.get(text(record, "outcome", "result").upper(), "unknown")
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
    """The first user and the first group; of all, the names are related, and the actor's.

    Types are User, AppUser, UserGroup, AppGroup and others, with other capitals in older events.
    """
    names = [event["user.full_name"]] if "user.full_name" in event else []
    for target in objects(targets):
        kind, shown = text(target, "type").lower(), text(target, "displayName")
        if "group" in kind:
            place, field = "user.target.group.", "name"
        elif "user" in kind:
            place, field = "user.target.", "full_name"
            names += [word for word in (shown, text(target, "alternateId")) if word]
        else:
            continue
        if f"{place}id" not in event and f"{place}{field}" not in event:
            put(event, f"{place}id", text(target, "id"))
            put(event, f"{place}{field}", shown)
    put(event, "related.user", names)


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
    url = text(debug, "url")
    if url and _NO_URL.isdisjoint(url):
        set_url(event, url)
    _risk(event, debug)


def _risk(event: Event, debug: Mapping[str, Any]) -> None:
    """What Okta's behaviour detection says, ``{level=HIGH, reasons=a, b}`` or JSON in a text."""
    put(event, _DEBUG + "factor", text(debug, "factor"))
    said = debug.get("logOnlySecurityData")
    if isinstance(said, str) and said.startswith("{"):
        try:
            said = load(said)[0]
        except ValueError:
            said = None
    known = said if isinstance(said, dict) else {}
    risk, behaviors = part(known, "risk"), part(known, "behaviors")
    level, reasons = text(risk, "level"), text(risk, "reasons")
    flat = _pairs(text(debug, "risk"))
    put(event, _DEBUG + "risk_level", level or flat.get("level"))
    reasons = reasons or flat.get("reasons", "")
    put(event, _DEBUG + "risk_reasons", [one.strip() for one in reasons.split(",") if one.strip()])
    shown = _pairs(text(debug, "behaviors")) or behaviors
    positive = [name for name, value in list(shown.items())[:_MAX_BEHAVIORS] if value == "POSITIVE"]
    put(event, _DEBUG + "risk_behaviors", positive)


def _pairs(written: str) -> dict[str, str]:
    """Reads ``{a=1, b=2, 3}`` as Java writes a map; a piece without a name belongs to the last."""
    pairs: dict[str, str] = {}
    name = ""
    inside = written.removeprefix("{").removesuffix("}") if written.startswith("{") else ""
    for piece in inside.split(", ", _MAX_BEHAVIORS) if inside else ():
        key, found, value = piece.partition("=")
        if found:
            name = key
            pairs.setdefault(name, value)
        elif name:
            pairs[name] = f"{pairs[name]}, {piece}"
    return pairs
