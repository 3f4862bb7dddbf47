"""Audit events in the shape of Auditbeat: made from kernel records, or read from its documents."""

from collections.abc import Mapping
from typing import Any

from normalize.audit.record import HEAD, Record
from normalize.audit.single import ARGUMENT, MAX_ARGUMENTS, meaning_of, timestamp
from normalize.jsontext import capped
from samlog.ecs import ALLOWED, FIELDS
from samlog.event import Event

DATASET = "auditd_manager.auditd"
UNSET = frozenset({"4294967295", "-1", "unset"})
MAX_FIELDS = 400
_MAX_DEPTH = 8
_ROOTS = frozenset(
    ("event", "process", "user", "group", "file", "source", "destination", "network", "related")
    + ("service", "host", "container", "labels", "message", "agent", "ecs", "cloud", "@timestamp")
)
_MOVED = {
    "user": ("audit", "filesystem", "saved", "selinux", "owner", "old-auid", "old_auid")
    + ("new-auid", "new_auid"),
    "file": ("selinux",),
}
"""What ECS has no field for; Elastic's integration puts it below ``auditd.user`` and so on."""
_CATEGORIES = {
    "user-login": "authentication",
    "user-account": "iam",
    "group-change": "iam",
    "audit-rule": "configuration",
    "configuration": "configuration",
    "mac-decision": "intrusion_detection",
    "dac-decision": "intrusion_detection",
    "mac": "intrusion_detection",
    "anomaly": "intrusion_detection",
    "anomaly-response": "intrusion_detection",
    "integrity": "file",
}
"""Auditbeat's own names of record groups, where it knows no better, and what ECS calls them."""
_NO_INFO = {"event.original", "event.module", "event.dataset", "event.id", "ecs.version"}


def as_auditbeat(event: Event, record: Record) -> Event:
    """Gives the event of kernel records Auditbeat's conventions.

    No user where nobody had logged in; ``source.ip`` only where it is the user's own; root by name.
    """
    event["event.dataset"] = DATASET
    meaning = meaning_of(record)
    for field in [name for name in event if name.startswith("user.") and event[name] in UNSET]:
        del event[field]
    for field in ("user.terminal", "process.exit_code", "source.address", "source.domain"):
        event.pop(field, None)
    if record.type != "SYSCALL":
        if not (meaning and meaning.peer):
            event.pop("source.ip", None)
        elif "source.ip" in event:
            event["network.direction"] = "ingress"
        if meaning and meaning.copies and "AUID" not in record.names:
            event.pop("user.name", None)
    for entity in [name.removesuffix("id") for name in event if name.endswith("id")]:
        if entity.startswith("user.") and event[entity + "id"] == "0":
            event.setdefault(entity + "name", "root")
    for field in [name for name in event if name.startswith("user.") and name.endswith("name")]:
        if event[field] == "root":
            event.setdefault(field.removesuffix("name") + "id", "0")
    if event.get("user.effective.id", "") == event.get("user.id"):
        event.pop("user.effective.id", None)
        event.pop("user.effective.name", None)
    _set_login_ids(event, record)
    event.setdefault("event.outcome", "unknown")
    return event


def _set_login_ids(event: Event, record: Record) -> None:
    """Sets whose log-in id it was before; that nobody had logged in, only where old records do."""
    for key in ("old_auid", "new_auid", "old-auid"):
        number = record.get(key)
        if number and (number not in UNSET or "new_auid" in record.fields):
            _identify(event, f"user.{key}", number)


def _identify(event: Event, entity: str, number: str) -> None:
    event[entity + ".id"] = number
    if number == "0":
        event[entity + ".name"] = "root"


def from_document(document: Mapping[str, Any]) -> Event:
    """Returns the event of an Auditbeat document, as Elastic's auditd_manager stores it.

    Users beyond ECS go below ``auditd.user``, kernel records to ``auditd.messages``. Nothing that
    has no place is kept but in ``event.original``.
    """
    event: Event = {}
    _flatten("", document, event, 0)
    messages = document.get("event", {}).get("original") if _is_object(document, "event") else None
    if isinstance(messages, list):
        event["auditd.messages"] = [text for text in messages if isinstance(text, str)][:1_000]
        first = HEAD.search(str(messages[0])[:512]) if messages else None
        if first is not None and "@timestamp" not in event:
            event["@timestamp"] = timestamp(f"{first['s']}.{first['fraction'] or '0'}") or None
    if "auditd.sequence" in event:
        event["event.sequence"] = event.pop("auditd.sequence")
    event["event.dataset"] = DATASET
    event.setdefault("event.kind", "event")
    category = event.get("event.category")
    if isinstance(category, str):
        known = _CATEGORIES.get(category, category)
        event["event.category"] = [known] if known in ALLOWED["event.category"] else []
    if event.get("event.outcome") == "fail":
        event["event.outcome"] = "failure"
    _set_network(event)
    _set_records(event)
    return event


def _set_network(event: Event) -> None:
    action = event.get("event.action")
    if action in ("connected-to", "accepted-connection-from"):
        event["auditd.log.initiated"] = "true" if action == "connected-to" else "false"


def _set_records(event: Event) -> None:
    """Gives rules on single records what they read: types, arguments, names of files."""
    types = [str(event.get("auditd.message_type", "")).upper()]
    arguments = event.get("process.args")
    if isinstance(arguments, list) and event.get("event.action") == "executed":
        types.append("EXECVE")
        texts = [str(argument) for argument in arguments]
        event.setdefault("process.command_line", " ".join(texts))
        for number, text in enumerate(texts[:MAX_ARGUMENTS]):
            event[f"{ARGUMENT}{number}"] = text
    paths = event.get("auditd.paths")
    if isinstance(paths, list):
        types.append("PATH")
        for key in ("name", "nametype"):
            values = [str(path[key]) for path in paths if isinstance(path, dict) and key in path]
            if values:
                event[f"auditd.log.{key}"] = values
    event["auditd.log.record_type"] = types


def _is_object(document: Mapping[str, Any], key: str) -> bool:
    return isinstance(document.get(key), dict)


def _flatten(prefix: str, node: Mapping[str, Any], event: Event, depth: int) -> None:
    for key, value in node.items():
        if len(event) >= MAX_FIELDS or len(key) > 128:
            return
        name = f"{prefix}{key}"
        if not prefix and key.partition(".")[0] not in _ROOTS | {"auditd", "tags"}:
            continue
        if isinstance(value, dict) and depth < _MAX_DEPTH:
            _flatten(name + ".", value, event, depth + 1)
            continue
        root, _, rest = name.partition(".")
        if name in _NO_INFO:
            continue
        if rest.partition(".")[0] in _MOVED.get(root, ()):
            event[f"auditd.{name.replace('-', '_')}"] = value
        elif name in ("source.path", "destination.path"):
            event[f"{root}.address"] = value
        elif name in FIELDS and name != "tags":
            event[name] = value
        elif root == "auditd":
            event[name] = capped(value)
