"""systemd's journal: ``journalctl -o json``, the export format, and agents that read the journal.

Formats: systemd.journal-fields(7) as JSON, one entry a line (binary values as arrays of numbers),
the journal export format (``journalctl -o export``, systemd-journal-upload), also several entries
in one record, and what the journald input of Filebeat and Elastic Agent makes of an entry. The
entry's text is read by the parser of its program, as if syslog had
carried it: sshd's by sshd, sudo's by sudo. ``host.hostname``, ``process.*``, priority and facility
come from the entry's own trusted fields, ``@timestamp`` from ``_SOURCE_REALTIME_TIMESTAMP``, and
``__CURSOR`` names the entry, so that reading it twice gives one event. Fields without a place in
ECS are kept in ``samlog.json``.

This parser takes entries without a text (core dumps, audit fields alone).
"""

from normalize.jsontext import capped
from normalize.times import parse_epoch
from samlog.event import Event, RawEvent

NAME = "journald"
VERSION = 1
HINTS = frozenset({"journal", "systemd_journal"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "linux", "service": "syslog"},)
LOG_CLASSES = ("LC-05",)
CONTENT = "json"
SPECIFICATION = (
    "systemd, systemd.journal-fields(7)",
    'systemd, "Journal Export Formats"',
    "Elastic, Filebeat reference, input journald",
)
SETTINGS = """
`journalctl -o json -f` into the collector, systemd-journal-upload(8), Vector's source journald,
Fluent Bit's input systemd (`Strip_Underscores Off`), or Filebeat's input journald. Keep
`__CURSOR`: with it an entry that is sent twice is one event.
"""

_NAMES = (
    ("_HOSTNAME", "host.name"),
    ("SYSLOG_IDENTIFIER", "process.name"),
    ("_COMM", "process.name"),
    ("_PID", "process.pid"),
    ("_EXE", "process.executable"),
    ("_CMDLINE", "process.command_line"),
    ("_SYSTEMD_UNIT", "service.name"),
)


def matches(raw: RawEvent) -> bool:
    """An entry of the journal: its cursor, and the boot or the host that it comes from."""
    record = raw.json
    return (
        record is not None
        and "__CURSOR" in record
        and ("_BOOT_ID" in record or "_HOSTNAME" in record)
    )


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an entry."""
    record = raw.json or {}
    event: Event = {"event.dataset": "system.syslog", "samlog.json": capped(dict(record))}
    for key, field in _NAMES:
        value = record.get(key)
        if isinstance(value, str) and value:
            event.setdefault(field, value)
    cursor = record.get("__CURSOR")
    if isinstance(cursor, str):
        event["samlog.origin"] = cursor
    micros = record.get("_SOURCE_REALTIME_TIMESTAMP") or record.get("__REALTIME_TIMESTAMP")
    if isinstance(micros, str) and micros.isascii() and micros.isdecimal() and len(micros) < 18:
        moment = parse_epoch(int(micros), unit_s=1e-6)
        if moment is not None:
            event["@timestamp"] = moment
    return event
