"""The Linux audit system: ``/var/log/audit/audit.log``, audisp, syslog and the kernel's own lines.

Formats: the kernel's audit records and those of audit-userspace (auditd.conf(5): ``log_format``
RAW and ENRICHED; audisp-syslog; text of ``ausearch``, also with ``-i``). One event of the kernel is
several records (SYSCALL, EXECVE, CWD, PATH, SOCKADDR, PROCTITLE) with one id
``audit(time:serial)``: normalise waits for them, up to three seconds, and makes one event;
``event.original`` holds all of them. A record that stays alone is an event as well.

An executed program: ``event.action: executed``, ``process.*`` with ``args`` and ``command_line``
from EXECVE. A connection: ``connected-to``, ``destination.ip`` and ``.port`` from SOCKADDR. Files:
``file.path`` as the call was given it, ``auditd.log.target_path`` with the working directory before
it. Values that the kernel wrote in hex are decoded. ``user.audit.id`` is who logged in. All else
stays in ``auditd.log.*`` by its own name; ``auditd.log.SYSCALL`` is the name of the system call.

Agent: any that sends lines; records of one host must come in their order (one file, one stream).
Have auditd log ``execve`` (``-a always,exit -F arch=b64 -S execve -k exec``): rules for
``linux/process_creation`` then fire. The kernel does not tell the parent's path, so rules that
read ParentImage need LAUREL or Sysmon for Linux.

``ausearch -i`` prints the date of the reader's locale: ``2026-01-10``, ``10-01-2026``,
``10.01.2026`` and ``10. jan. 2026`` are certain; with slashes the month is first, and the event
has the tag ``ambiguous_date`` where it need not be. The time is that of the source's zone. It
prints no quotes either: a value that may be two has the tag ``ambiguous_value``. Send the log.
"""

import re
from datetime import UTC

from normalize.audit import interpreted
from normalize.audit.joined import joined
from normalize.audit.record import Record, read_record
from normalize.audit.single import DATASET
from normalize.times import zone
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "auditd"
VERSION = 4
HINTS = frozenset({"linux_auditd", "auditd.log"})
PROGRAMS = frozenset(
    {"auditd", "audispd", "audisp-syslog", "audit", "audisp", "audisp-remote", "kernel"}
)
LOGSOURCES = (
    {"product": "linux", "service": "auditd"},
    {"product": "linux", "category": "process_creation"},
    {"product": "linux", "category": "network_connection"},
    {"product": "linux", "category": "file_event"},
)
LOG_CLASSES = ("LC-05", "LC-03", "LC-01", "LC-02")
CONTENT = "text"
ORDER = 20
SPECIFICATION = (
    "Linux, include/uapi/linux/audit.h and kernel/auditsc.c",
    'audit-userspace, libaudit.h, auditd.conf(5), audit.rules(7); linux-audit, "Audit '
    'Event Fields" and "Audit Record Types"',
)
SETTINGS = """
`log_format = ENRICHED` in auditd.conf(5): only so the names of users come along. Rules, at least:
`-a always,exit -F arch=b64 -S execve,execveat -k exec`, `-a always,exit -F arch=b64 -S connect -k
net`, and `-w` for what must not change; `max_log_file_action = keep_logs`. Send the file, or
enable the plug-in `syslog` (audisp-syslog). All records of a host must go one way, in their
order.
"""

MAX_RECORDS = 1_000
_HEAD_WITHIN = 512
_BEFORE = re.compile(
    r"(?:-{4}\n)?(?:time->[^\n]{0,64}\n)?(?:\[ {0,12}\d{1,10}\.\d{1,9}\] ?)?"
    r"(?:(?:kernel|audit|auditd|audispd|audisp-syslog|audisp-remote)(?:\[\d{1,10}\])?: ?)?\s{0,4}"
)
"""What may stand before a record. Anywhere else it is a sender's text: a user agent, a name."""
_NO_ID = re.compile(r"type=([A-Z][A-Z0-9_]{1,39}|UNKNOWN\[\d{1,5}\]) msg=(.{0,8192})", re.DOTALL)
"""A record whose audit id is lost, as the kernel's older versions write of types unknown to it."""


def matches(raw: RawEvent) -> bool:
    """An audit id near the beginning of the line, or a record of a type unknown to the kernel."""
    begin = raw.body[:_HEAD_WITHIN]
    if "audit(" in begin:
        head = interpreted.head_of(begin)
        return head is not None and _BEFORE.fullmatch(begin, 0, head.start()) is not None
    return begin.startswith("type=UNKNOWN[") and _NO_ID.fullmatch(begin) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event of the record, or of the records, one a line.

    A record without an audit id keeps its text; what auditd itself says through syslog is its
    ``message``. Refuses what else holds no record.
    """
    records = read_records(raw)
    if not records and (cut := _NO_ID.fullmatch(raw.body)):
        kind, text = cut.groups()
        return {
            "event.dataset": DATASET,
            "event.action": kind.lower(),
            "auditd.log.record_type": kind,
            "message": text,
        }
    if not records:
        if raw.program:
            return {"event.dataset": "system.syslog", "message": raw.body}
        raise BadEvent("no_audit_record", "expected type=.. msg=audit(time:serial): ..")
    event = joined(records)
    set_tags(event, raw)
    return event


def read_records(raw: RawEvent) -> list[Record]:
    """Returns the records in the lines of ``raw``, also those that ausearch has interpreted."""
    lines = raw.body.split("\n", MAX_RECORDS)[:MAX_RECORDS]
    records: list[Record] = []
    printed = False
    for line in lines:
        if (found := _interpreted(raw, line)) is not None:
            records.append(found)
            printed = True
        elif (record := read_record(line)) is not None:
            records.append(record)
    return interpreted.in_order(records) if printed else records


def _interpreted(raw: RawEvent, line: str) -> Record | None:
    found = interpreted.read_interpreted(line, zone(raw.tz) or UTC, raw.received_at)
    if found is None:
        return None
    raw.tags += found.doubts
    if found.record.epoch:
        raw.fields["event.timezone"] = raw.tz
    return found.record


def set_tags(event: Event, raw: RawEvent) -> None:
    """The keys of audit rules (auditctl -k) are tags as well.

    The program in the syslog header only carried the record: it is not the event's process.
    """
    keys = event.get("auditd.log.key")
    if isinstance(keys, list):
        raw.tags += [key for key in keys[:10] if len(key) < 128]
    raw.fields.pop("process.name", None)
    raw.fields.pop("process.pid", None)
