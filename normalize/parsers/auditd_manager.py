"""Auditbeat's auditd module and Elastic Agent's Auditd Manager: JSON, one document an event.

Format: the fields of Auditbeat (``auditd.*`` beside ECS), nested or dotted. The agent has joined
the kernel's records already; they are in ``auditd.messages`` where it was told to send them
(``include_raw_message``). ``user.audit``, ``user.saved``, ``user.filesystem`` and SELinux contexts
are below ``auditd.user`` and ``auditd.file``, as in Elastic's integration. Adds
``process.command_line`` and, for rules that read EXECVE's ``a0`` .., ``auditd.execve.a0`` ...

An operator who calls a source ``auditbeat`` and sends the kernel's own records gets documents by
the same conventions.
"""

from normalize.audit.beat import as_auditbeat, from_document
from normalize.audit.joined import joined
from normalize.parsers import auditd
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "auditd_manager"
VERSION = 2
HINTS = frozenset(
    {"linux_auditd_manager", "auditd_manager.auditd", "auditbeat", "linux_auditbeat_raw"}
)
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = auditd.LOGSOURCES
LOG_CLASSES = auditd.LOG_CLASSES
ORDER = 25
KEYS = frozenset(("auditd", "auditd.message_type"))
SPECIFICATION = (
    "Elastic, Auditbeat reference, module auditd; integration Auditd Manager, exported fields",
    "elastic/go-libaudit, package aucoalesce",
)
SETTINGS = """
The rules are those of auditd, in `audit_rules:` of the module. `include_raw_message: true` keeps
the kernel's records; `resolve_ids: true` (the default) names users and groups on the host. Only
one program takes the kernel's records: stop auditd, or let Auditbeat listen with `socket_type:
multicast`.
"""


def matches(raw: RawEvent) -> bool:
    """A document with ``auditd``; text only by a hint, for `auditd` is asked before."""
    if raw.json is None:
        return auditd.matches(raw)
    known = raw.json.get("auditd")
    if isinstance(known, dict):
        return not known.keys().isdisjoint(("message_type", "data", "summary", "result"))
    return "auditd.message_type" in raw.json


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses text without an audit record."""
    if raw.json is not None:
        return from_document(raw.json)
    records = auditd.read_records(raw)
    if not records:
        raise BadEvent("no_audit_record", "expected type=.. msg=audit(time:serial): ..")
    event = joined(records)
    auditd.set_tags(event, raw)
    base = next((record for record in records if record.type == "SYSCALL"), records[0])
    return as_auditbeat(event, base)
