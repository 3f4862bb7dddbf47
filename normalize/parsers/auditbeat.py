"""Auditbeat's modules file_integrity and system: processes, sockets, log-ins, users, packages.

Format: the documents of Auditbeat (and of Elastic Agent's File Integrity Monitoring), nested or
dotted, from 6.5 on. Their ECS fields are kept as they are; what is beside ECS goes where ECS or the
module's newer versions have it: ``hash.*`` to ``file.hash.*``, ``process.ppid`` to
``process.parent.pid``, the module's own data to ``system.audit.*``. Older versions have no
``event.category``; it follows from ``event.action``. Dataset ``auditbeat.<dataset>``, or the one
that Elastic Agent names. ``process.command_line`` is made of the arguments, so that rules for
``linux/process_creation`` fire on processes that started.

The module auditd of the same agent is read by the parser auditd_manager.
"""

from collections.abc import Mapping
from typing import Any

from normalize.vendor_object import set_leaves
from samlog.ecs import FIELDS
from samlog.event import Event, RawEvent

NAME = "auditbeat"
VERSION = 1
HINTS = frozenset({"linux_auditbeat", "file_integrity", "fim.event"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = (
    {"product": "linux", "category": "process_creation"},
    {"product": "linux", "category": "network_connection"},
    {"product": "linux", "category": "file_event"},
)
LOG_CLASSES = ("LC-05", "LC-01", "LC-02", "LC-20")
CONTENT = "json"
KEYS = frozenset({"event", "event.module"})
ORDER = 26
SPECIFICATION = (
    "Elastic, Auditbeat reference: modules file_integrity and system, exported fields",
)
SETTINGS = """
`file_integrity` with the paths that must not change (`/etc`, `/usr/bin`, `/usr/sbin`, `/boot`)
and `recursive: true`; `system` with the datasets process, socket, login, user, package, host.
Send JSON (output Kafka, or Logstash in between) as it is.
"""

_MODULES = ("file_integrity", "system")
_DATASETS = frozenset({"process", "socket", "login", "user", "package", "host", "file"})
_ROOTS = (
    *(
        "agent",
        "beat",
        "cloud",
        "container",
        "destination",
        "error",
        "event",
        "file",
        "group",
        "host",
    ),
    *("labels", "message", "network", "orchestrator", "package", "process", "related", "service"),
    *("source", "tags", "user", "@timestamp"),
)
_OWN = {"hash": "file.hash", "socket": "system.audit.socket"}
_LEFT_OUT = frozenset(("event.original", "event.id", "event.module", "event.dataset"))
_STARTED, _ENDED, _INFO = ("start",), ("end",), ("info",)
# Prefix or whole of event.action: what it means in ECS.
_MEANINGS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("process_started", ("process",), _STARTED),
    ("process_stopped", ("process",), _ENDED),
    ("existing_process", ("process",), _INFO),
    ("network_flow", ("network",), ("connection", "info")),
    ("socket_opened", ("network",), ("connection", "start")),
    ("socket_closed", ("network",), ("connection", "end")),
    ("existing_socket", ("network",), _INFO),
    ("user_login", ("authentication",), _STARTED),
    ("user_logout", ("authentication",), _ENDED),
    ("user_added", ("iam",), ("user", "creation")),
    ("user_removed", ("iam",), ("user", "deletion")),
    ("user_changed", ("iam",), ("user", "change")),
    ("password_changed", ("iam",), ("user", "change")),
    ("existing_user", ("iam",), ("user", "info")),
    ("package_installed", ("package",), ("installation",)),
    ("package_removed", ("package",), ("deletion",)),
    ("package_updated", ("package",), ("change",)),
    ("existing_package", ("package",), _INFO),
    ("boot", ("host",), _STARTED),
    ("shutdown", ("host",), _ENDED),
    ("reboot", ("host",), _STARTED),
    ("host", ("host",), _INFO),
    ("hostname_changed", ("host",), ("change",)),
    ("host_id_changed", ("host",), ("change",)),
    ("os_changed", ("host",), ("change",)),
    ("timezone_changed", ("host",), ("change",)),
    ("created", ("file",), ("creation",)),
    ("deleted", ("file",), ("deletion",)),
    ("updated", ("file",), ("change",)),
    ("moved", ("file",), ("change",)),
    ("attributes_modified", ("file",), ("change",)),
    ("config_change", ("file",), ("change",)),
    ("initial_scan", ("file",), _INFO),
)
_BY_ACTION = {action: (category, kind) for action, category, kind in _MEANINGS}
_CLASSES = {"authentication": "LC-01", "iam": "LC-02", "package": "LC-20", "configuration": "LC-20"}
_MAX_LEAVES = 400


def matches(raw: RawEvent) -> bool:
    """A document of one of the modules that Auditbeat wrote; others have a module "system" too."""
    record = raw.json
    if record is None:
        return False
    module = _named(record, "event", "module")
    if module not in _MODULES:
        return False
    if module == "file_integrity" or _named(record, "agent", "type") == "auditbeat":
        return True
    return _named(record, "event", "dataset") in _DATASETS and "metricset" not in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a document."""
    record = raw.json or {}
    read: Event = {}
    for key, value in record.items():
        root = key.partition(".")[0]
        if root in _ROOTS or root == "system":
            set_leaves(read, key, value, as_sent=True, limit=_MAX_LEAVES)
        elif root in _OWN:
            set_leaves(read, _OWN[root] + key[len(root) :], value, as_sent=True)
    module = str(read.get("event.module", ""))
    dataset = str(read.get("event.dataset") or "")
    event = {name: _text(name, value) for name, value in read.items() if _kept(name)}
    event.update(_system(read, dataset))
    event["event.dataset"] = _dataset(module, dataset)
    _mean(event, read)
    _complete(event, read)
    return event


def _named(record: Mapping[str, Any], parent: str, key: str) -> str:
    """Returns a text that is nested or dotted, "" if there is none."""
    inside = record.get(parent)
    value = inside.get(key) if isinstance(inside, dict) else record.get(f"{parent}.{key}")
    return value if isinstance(value, str) else ""


def _kept(name: str) -> bool:
    if name in _LEFT_OUT:
        return False
    return name in FIELDS or name.startswith(("labels.", "system.audit."))


def _text(name: str, value: Any) -> Any:
    """Old versions write ids as numbers."""
    return (
        str(value)
        if type(value) is int and name.endswith((".id", ".uid", ".gid", ".inode"))
        else value
    )


def _system(read: Event, dataset: str) -> Event:
    """Puts ``system.login.tty`` of version 6 where version 7 has it."""
    return {
        f"system.audit.{name.removeprefix('system.')}": value
        for name, value in read.items()
        if name.startswith("system.") and not name.startswith("system.audit.") and dataset
    }


def _dataset(module: str, dataset: str) -> str:
    if "." in dataset:
        return dataset
    return f"auditbeat.{'file_integrity' if module == 'file_integrity' else dataset or module}"


def _mean(event: Event, read: Event) -> None:
    """Sets kind, category and type where the agent was too old to do it."""
    old_kind = read.get("event.type")
    if "event.kind" not in event and old_kind in ("event", "state"):
        event["event.kind"] = old_kind
        del event["event.type"]
    actions = read.get("event.action")
    known = [
        _BY_ACTION[action]
        for action in (actions if isinstance(actions, list) else [actions])
        if isinstance(action, str) and action in _BY_ACTION
    ]
    if "event.category" not in event and known:
        event["event.category"] = list(dict.fromkeys(c for category, _ in known for c in category))
        event["event.type"] = list(dict.fromkeys(t for _, types in known for t in types))
    categories = event.get("event.category")
    first = categories[0] if isinstance(categories, list) and categories else categories
    event["samlog.log_class"] = _CLASSES.get(str(first), "LC-05")


def _complete(event: Event, read: Event) -> None:
    """Sets what rules read and old versions have elsewhere."""
    if (parent := read.get("process.ppid")) is not None:
        event.setdefault("process.parent.pid", parent)
    arguments = event.get("process.args")
    if isinstance(arguments, list):
        event.setdefault("process.command_line", " ".join(map(str, arguments)))
    for key in ("agent.hostname", "beat.hostname"):
        if host := read.get(key):
            event.setdefault("host.name", host)
    for key in ("name", "version"):
        if (value := read.get(f"system.audit.package.{key}")) is not None:
            event.setdefault(f"package.{key}", value)
