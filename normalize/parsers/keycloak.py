"""Keycloak's events: log lines of WildFly and Quarkus, their JSON, and events as listeners send.

Lines are ``2026-01-10 13:37:01,123 WARN  [org.keycloak.events] (thread) type=LOGIN_ERROR, ..``,
values bare (up to 21) or quoted. User events become authentication with ``event.action`` = type,
``event.code`` = error, ``user.*``, ``source.ip``; admin events become iam with
``<operation>-<resource>``. Other loggers' lines keep their ``message``; of a server that nobody
called Keycloak they are ``wildfly.log``. Lines carry no zone: set the source's ``tz``.
Keycloak's own values are below ``keycloak.``.
"""

import re
from collections.abc import Mapping
from typing import Any

from normalize.address import set_endpoint
from normalize.jsontext import load
from normalize.times import parse_epoch, parse_iso, zone
from normalize.vendor_object import part, put, set_leaves, snake, text
from normalize.web import set_url
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "keycloak"
VERSION = 3
HINTS = frozenset({"keycloak.log", "keycloak_log"})
PROGRAMS = frozenset({"keycloak"})
LOGSOURCES: tuple[Mapping[str, str], ...] = ()
LOG_CLASSES = ("LC-01", "LC-02")
ORDER = 45
KEYS = frozenset(("loggerName", "realmId"))
SPECIFICATION = (
    'Keycloak, Server Administration Guide, "Auditing and events": event types and fields',
    'Keycloak, guide "Configuring logging": the console and file formats of Quarkus, JSON',
)
SETTINGS = """
Turn on the listener `jboss-logging` in each realm (Realm settings, Events), and let it write
successes too, which it logs at DEBUG:

```text
kc.sh start --log-level=info,org.keycloak.events:debug --log-console-output=json
```

Without JSON set `tz` at the source: the lines carry no zone.
"""

_LINE = re.compile(
    r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[,.]\d{1,9}) (?:\S{1,64} )?"
    r"(TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|SEVERE) {1,4}"
    r"(?:\[([A-Za-z_$][\w.$ -]{0,255})\] \(([^)]{0,255})\) )"
)
_KEY = re.compile(r"[A-Za-z_][\w.-]{0,63}")
_EVENTS = "org.keycloak.events"
_SERVERS = (
    *("org.keycloak", "org.jboss.", "org.wildfly", "io.quarkus", "org.infinispan", "org.xnio"),
    *("org.hibernate", "io.undertow", "io.smallrye", "com.arjuna.", "org.jgroups", "io.vertx"),
    *("org.apache.activemq", "liquibase."),
)
_MAX_PAIRS = 128
_VERBS = {"CREATE": "creation", "UPDATE": "change", "DELETE": "deletion"}
_STARTS = {"LOGIN": "start", "LOGOUT": "end"}
_NAMES = {
    "type": "type",
    "realmId": "realm.id",
    "realmName": "realm.name",
    "clientId": "client.id",
    "operationType": "operation",
    "resourceType": "resource.type",
    "resourcePath": "resource.path",
}
_DETAILS = frozenset(
    ("auth_method", "auth_type", "code_id", "redirect_uri", "consent", "remember_me", "token_id")
    + ("refresh_token_id", "refresh_token_type", "refresh_token_sub", "grant_type", "scope")
    + ("client_auth_method", "identity_provider", "identity_provider_identity", "email", "reason")
    + ("previous_email", "updated_email", "previous_first_name", "updated_first_name", "node_ip")
    + ("previous_last_name", "updated_last_name", "response_type", "response_mode", "sessionId")
    + ("authSessionParentId", "authSessionTabId", "register_method", "custom_required_action")
    + ("impersonator", "impersonator_realm", "signature_algorithm", "signature_required")
    + ("requested_subject", "requested_issuer", "credential_type", "credential_id", "action")
    + ("credential_user_label", "logout_triggered_by_required_action", "id", "representation")
    + ("revoked_client", "validate_access_token", "not_before", "num_failures", "nonce", "state")
)
"""Constants of Keycloak's class Details, and of events as listeners send them."""
_MOVED = frozenset(("realmId", "realmName", "clientId", "userId", "ipAddress", "error", "username"))


def matches(raw: RawEvent) -> bool:
    """A line of a Java logger in brackets that is Keycloak's or its server's, or such JSON."""
    if raw.json is not None:
        return _is_json(raw.json)
    match = _LINE.match(raw.body)
    if match is None:
        return False
    return raw.source in HINTS or raw.source == NAME or match[3].startswith(_SERVERS)


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_keycloak``) a line without logger and thread."""
    event: Event = {"event.dataset": "keycloak.log"}
    if raw.json is not None:
        _json(event, raw.json)
        return event
    match = _LINE.match(raw.body)
    if match is None:
        raise BadEvent("not_keycloak", "expected a time, a level, [logger] and (thread)")
    stamp, event["log.level"], logger, thread = match.groups()
    put(event, "@timestamp", parse_iso(stamp.replace(",", "."), _tz(raw)))
    event["event.timezone"] = raw.tz
    hinted = raw.source in HINTS or raw.source == NAME
    if not hinted and not logger.startswith("org.keycloak"):
        event["event.dataset"] = "wildfly.log"
    _logged(event, logger, thread, raw.body[match.end() :])
    return event


def _tz(raw: RawEvent) -> Any:
    return zone(raw.tz) or zone("UTC")


def _is_json(record: Mapping[str, Any]) -> bool:
    if text(record, "loggerName").startswith(_SERVERS):
        return True
    return "realmId" in record and (
        ("type" in record and "ipAddress" in record)
        or ("operationType" in record and "resourceType" in record)
    )


def _json(event: Event, record: Mapping[str, Any]) -> None:
    """Quarkus's console JSON around a line, or an event of a listener (times in milliseconds)."""
    if "loggerName" in record:
        put(event, "@timestamp", text(record, "timestamp"))
        put(event, "log.level", text(record, "level"))
        put(event, "host.hostname", text(record, "hostName"))
        put(event, "process.name", text(record, "processName"))
        put(event, "process.pid", record.get("processId"))
        put(event, "process.thread.id", record.get("threadId"))
        _logged(event, text(record, "loggerName"), text(record, "threadName"),
                text(record, "message"))  # fmt: skip
        known = ("timestamp", "level", "loggerName", "threadName", "message", "hostName")
        rest = {k: v for k, v in record.items() if k not in known}
        set_leaves(event, "keycloak.logger", rest)
        return
    moment = record.get("time")
    if isinstance(moment, (int, float)) and not isinstance(moment, bool):
        put(event, "@timestamp", parse_epoch(moment, unit_s=1e-3))
    if identity := text(record, "id"):
        event["samlog.origin"] = f"keycloak|{identity}"
    fields = {k: v for k, v in record.items() if k not in ("time", "details", "authDetails")}
    flat = {**part(record, "details"), **part(record, "authDetails"), **fields}
    _event(event, flat)


def _logged(event: Event, logger: str, thread: str, message: str) -> None:
    put(event, "log.logger", logger)
    put(event, "process.thread.name", thread)
    fields: dict[str, str] = {}
    if logger.startswith(_EVENTS):
        fields = _pairs(message)
    if "type" in fields or "operationType" in fields:
        _event(event, fields)
    else:
        put(event, "message", message)


def _pairs(message: str) -> dict[str, str]:
    """Reads ``a=1, b="2, 3"``; the first of two equal keys counts, for users choose the later."""
    entries: list[tuple[str, list[str]]] = []
    for piece in message.split(", "):
        key, found, value = piece.partition("=")
        if entries and _is_open(entries[-1][1]):
            entries[-1][1].append(piece)
        elif found and _KEY.fullmatch(key):
            if len(entries) >= _MAX_PAIRS:
                break
            entries.append((key, [value]))
        elif entries:
            entries[-1][1].append(piece)
    pairs: dict[str, str] = {}
    for key, pieces in entries:
        value = ", ".join(pieces)
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1].replace('\\"', '"')
        pairs.setdefault(key, value)
    return pairs


def _is_open(pieces: list[str]) -> bool:
    """Tells whether a quoted value goes on behind a comma."""
    first, last = pieces[0], pieces[-1]
    if not first.startswith('"'):
        return False
    ended = last.endswith('"') and (len(pieces) > 1 or len(last) > 1)
    escapes = len(last) - 1 - len(last[:-1].rstrip("\\"))
    return not ended or escapes % 2 == 1


def _event(event: Event, fields: Mapping[str, Any]) -> None:
    event["event.kind"] = "event"
    if operation := text(fields, "operationType"):
        event["samlog.log_class"] = "LC-02"
        _admin(event, operation, fields)
    else:
        event["samlog.log_class"] = "LC-01"
        _login(event, text(fields, "type"), fields)
    for key in ("realmId", "realmName", "clientId"):
        put(event, f"keycloak.{_NAMES[key]}", text(fields, key))
    put(event, "user.id", text(fields, "userId"))
    put(event, "user.name", text(fields, "username"))
    set_endpoint(event, "source", text(fields, "ipAddress"))
    if error := text(fields, "error"):
        if event.setdefault("event.code", error) != error:  # that of an administrator's operation
            event["event.reason"] = error
        event["event.outcome"] = "failure"


def _details(event: Event, prefix: str, fields: Mapping[str, Any]) -> None:
    """Keeps what Keycloak itself writes under its name, the rest in one list.

    Bare values may hold commas, so that a user's name can look like names and values.
    """
    other: list[str] = []
    for key, value in fields.items():
        if key in _MOVED or value in (None, "", "null"):
            continue
        if key in _NAMES:
            event[f"{prefix}.{_NAMES[key]}"] = value
        elif key in _DETAILS:
            event[f"{prefix}.{snake(key)}"] = value
        else:
            other.append(f"{key}={value}")
    put(event, f"{prefix}.other", other)


def _login(event: Event, kind: str, fields: Mapping[str, Any]) -> None:
    failed = bool(text(fields, "error")) or kind.endswith("_ERROR")
    event["keycloak.event_type"] = "login"
    event["event.category"] = ["authentication"]
    put(event, "event.action", kind)
    event["event.type"] = ["info", *(["denied"] if failed else [])]
    if kind in _STARTS:
        event["event.type"].append(_STARTS[kind])
    event["event.outcome"] = "failure" if failed else "success"
    _details(event, "keycloak.login", fields)
    put(event, "related.user", [one for one in (text(fields, "impersonator"),) if one])
    if redirect := text(fields, "redirect_uri"):
        set_url(event, redirect)
        if domain := event.get("url.domain"):
            event["related.hosts"] = [domain]


def _admin(event: Event, operation: str, fields: Mapping[str, Any]) -> None:
    """The resource's path names the user or group that was changed."""
    kind = text(fields, "resourceType")
    event["keycloak.event_type"] = "admin"
    event["event.category"] = ["iam"]
    event["event.action"] = event["event.code"] = f"{operation}-{kind}" if kind else operation
    event["event.type"] = ["info", "admin"]
    if operation in _VERBS:
        event["event.type"].append(_VERBS[operation])
    event["event.outcome"] = "success"
    _details(event, "keycloak.admin", fields)
    steps = text(fields, "resourcePath").split("/")
    if steps[0] == "users" and len(steps) > 1:
        put(event, "user.target.id", steps[1])
    elif steps[0] == "groups" and len(steps) > 1:
        put(event, "group.id", steps[1])
    _represented(event, kind, text(fields, "representation"))


def _represented(event: Event, kind: str, written: str) -> None:
    """The name of the user or group, where events hold what they are about as JSON."""
    if kind not in ("USER", "GROUP", "GROUP_MEMBERSHIP") or not written.startswith("{"):
        return
    try:
        made = load(written)[0]
    except ValueError:
        return
    if not isinstance(made, dict):
        return
    if kind == "USER":
        put(event, "user.target.name", text(made, "username"))
        put(event, "user.target.email", text(made, "email"))
    else:
        put(event, "group.name", text(made, "name"))
