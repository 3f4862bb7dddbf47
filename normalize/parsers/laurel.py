"""LAUREL: events of the Linux audit system as JSON, one object an event.

Format: what the plug-in laurel(8) of auditd writes: ``ID``, ``NODE``, and an object or a list of
objects for each type of record (``SYSCALL``, ``EXECVE``, ``CWD``, ``PATH``, ``SOCKADDR`` ..). The
documents are those that auditd's own records of the event give, with the same fields and the same
dataset ``auditd.log``, so that the same rules fire.

Beyond them LAUREL tells the parent process: ``process.parent.executable``, ``process.parent.name``,
``process.parent.start`` from ``PPID`` (``PARENT_INFO`` in older versions), so that rules that read
ParentImage fire too; ``process.env_vars`` and ``container.id``. Scripts, labels, groups and
event ids of processes are in ``auditd.laurel.*``.

Arguments that are written as one text only (``execve-argv = "string"``) are taken apart where none
of them holds a space; else ``process.command_line`` has them, and rules on ``a0`` .. do not fire.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from normalize.audit.joined import joined
from normalize.audit.laurel import CONTAINER, PARENT, Laurel, is_laurel, read_document
from normalize.audit.record import Record
from normalize.audit.single import lone, timestamp
from normalize.parsers import auditd
from normalize.vendor_object import set_leaves
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "laurel"
VERSION = 1
HINTS = frozenset({"linux_laurel", "auditd_laurel"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = auditd.LOGSOURCES
LOG_CLASSES = auditd.LOG_CLASSES
CONTENT = "json"
ORDER = 24
KEYS = frozenset({"ID"})
SPECIFICATION = (
    "threathunters-io/laurel: laurel(8), laurel-about(7), json-format.md, etc/laurel/config.toml",
)
SETTINGS = """
Rules as for auditd; for parents also what laurel-about(7) has on `fork` and `clone`. In
config.toml: `[transform] execve-argv = ["array"]`, `[translate] universal = true, user-db = true`
(as auditd's ENRICHED), `drop-raw = false`, `[enrich] pid = true, container = true`, and no
`prefix`. Send the file that `[auditlog]` names, line by line; `line-prefix` may be `@cee: `. Do
not send auditd's own log of the same host as well: every event would stand twice.
"""

_PARENT = {"exe": "executable", "comm": "name"}
_LEAVES = 100
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?")


def matches(raw: RawEvent) -> bool:
    """An audit id in ``ID``, beside it an object or list whose name is a type of record."""
    return raw.json is not None and is_laurel(raw.json)


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses an object without an audit id or without a record."""
    if raw.json is None or not is_laurel(raw.json):
        raise BadEvent("no_audit_record", 'expected {"ID": "time:serial", "SYSCALL": {..}, ..}')
    found = read_document(raw.json)
    if not found.records:
        raise BadEvent("no_audit_record", "its sections hold no objects")
    event = _joined(found.records)
    if found.command_line:
        event["process.command_line"] = found.command_line
    _add(event, found)
    auditd.set_tags(event, raw)
    return event


def _joined(records: Sequence[Record]) -> Event:
    """Returns the event of the records; a LOGIN among them says what happened, and to whom.

    The kernel writes LOGIN with a SYSCALL, which is only how it was set; auditd's are two events.
    """
    login = next((record for record in records if record.type == "LOGIN"), None)
    rest = [record for record in records if record is not login]
    if login is None or not rest:
        return joined(records)
    event = {name: value for name, value in joined(rest).items() if not name.startswith("user.")}
    event |= lone(login)
    event["auditd.log.record_type"] = list(dict.fromkeys(record.type for record in records))
    return event


def _add(event: Event, found: Laurel) -> None:
    """Sets what LAUREL knows beyond the records; what has no ECS field under its own name."""
    own: dict[str, Any] = {}
    for section, values in found.added.items():
        first = values[0] if type(values[0]) is dict else {}
        if section in ("pid", CONTAINER.lower()):
            _container(event, first)
        if section == "env" and first:
            event["process.env_vars"] = [f"{key}={value}" for key, value in first.items()]
        elif section in ("ppid", PARENT.lower()) and first:
            _parent(event, first)
            own[section] = {key: value for key, value in first.items() if key not in _PARENT}
        else:
            own[section] = values
    set_leaves(event, "auditd.laurel", own, limit=_LEAVES)


def _parent(event: Event, parent: Mapping[str, Any]) -> None:
    """Takes the parent that LAUREL saw; its number stands in the SYSCALL record."""
    for key, name in _PARENT.items():
        if isinstance(value := parent.get(key), str) and value:
            event.setdefault(f"process.parent.{name}", value)
    arguments = parent.get("ARGV")
    if type(arguments) is list and arguments:
        words = [str(word) for word in arguments if word is not None]
        event["process.parent.args"] = words
        event["process.parent.command_line"] = " ".join(words)
    start = parent.get("START_TIME")
    if isinstance(start, str) and _SECONDS.fullmatch(start):
        event["process.parent.start"] = timestamp(start)


def _container(event: Event, process: Mapping[str, Any]) -> None:
    """``CONTAINER_INFO`` has the id itself, ``PID`` an object ``container``."""
    inside = process.get("container", process)
    name = inside.get("ID", inside.get("id")) if type(inside) is dict else None
    if isinstance(name, str) and name:
        event["container.id"] = name
