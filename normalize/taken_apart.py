"""Syslog messages that an agent has taken apart: who said what on which host, as JSON.

Vector's source ``syslog``, Fluent Bit's parsers ``syslog-rfc3164`` and
``syslog-rfc5424``, syslog-ng's ``format-json``, rsyslog's ``%jsonmesg%``, NXLog's ``xm_syslog`` and
Logstash's input ``syslog``. Logs of applications have a program and a message too: one is taken for
syslog only where it names the host and something that syslog alone has (facility, priority,
process id).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from normalize.header import FACILITIES, SEVERITIES
from samlog.event import Event

TEXTS = ("message", "MESSAGE", "Message", "msg")
PROGRAMS = ("appname", "ident", "PROGRAM", "programname", "program")
"""Keys of the program's name; NXLog's ``SourceName`` is also that of a Windows provider."""
_NXLOG = "SourceName"
_HOSTS = ("hostname", "Hostname", "HOST", "logsource", "host")
_PIDS = ("procid", "pid", "PID", "ProcessID")
_TIMES = ("timereported", "ISODATE", "EventTime", "timestamp", "time", "DATE")
_FACILITIES = ("facility", "FACILITY", "facility_label", "SyslogFacility", "syslogfacility")
_SEVERITIES = ("severity", "PRIORITY", "severity_label", "SyslogSeverity", "syslogseverity")
_PRIORITIES = ("pri", "PRI", "priority")
_ONLY_SYSLOG = frozenset((*_PIDS, *_FACILITIES, *_PRIORITIES, "PRIORITY", "syslogtag"))
_NAMES = frozenset((*PROGRAMS, _NXLOG))
_SHORT = {"emerg": 0, "panic": 0, "crit": 2, "err": 3, "warn": 4, "info": 6}
"""Names of severities as syslog.h has them, where RFC 5424 has longer ones."""
_PROGRAM = re.compile(r"[^\s\[\]]{1,128}")
_MAX_STAMP = 40


class Parts(NamedTuple):
    """``stamp`` is the time as it is written, "" for none; ``known`` the keys that were read."""

    text: str
    stamp: str
    fields: Event
    known: frozenset[str]


def parts(record: Mapping[str, Any]) -> Parts | None:
    """Returns what a record says of a syslog message, None when it is none."""
    keys = record.keys()
    if keys.isdisjoint(_NAMES) or keys.isdisjoint(_ONLY_SYSLOG):
        return None
    names = (_NXLOG,) if "SyslogFacility" in record and "EventID" not in record else PROGRAMS
    text, text_key = _first(record, TEXTS)
    program, program_key = _first(record, names)
    host, host_key = _first(record, _HOSTS)
    if not (text and host and _PROGRAM.fullmatch(program)):
        return None
    pid, pid_key = _first(record, _PIDS)
    stamp, stamp_key = _first(record, _TIMES)
    fields: Event = {"process.name": program, "host.hostname": host}
    if pid.isascii() and pid.isdecimal():
        fields["process.pid"] = pid
    _priority(fields, record)
    known = frozenset((text_key, program_key, host_key, pid_key, stamp_key))
    return Parts(text.lstrip(" "), stamp if len(stamp) <= _MAX_STAMP else "", fields, known)


def _first(record: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, str]:
    """Returns the first text or whole number at one of ``keys``, and where it stands."""
    for key in keys:
        value = record.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value), key
    return "", ""


def _priority(fields: Event, record: Mapping[str, Any]) -> None:
    """Sets facility and severity, from their own keys or from the priority (RFC 5424, 6.2.1)."""
    number, _ = _first(record, _PRIORITIES)
    whole = int(number) if number.isascii() and number.isdecimal() and len(number) < 4 else 1_000
    for kind, keys, words, coded in (
        ("facility", _FACILITIES, FACILITIES, whole // 8),
        ("severity", _SEVERITIES, SEVERITIES, whole % 8 if whole < 192 else 8),
    ):
        said, _ = _first(record, keys)
        if said.isascii() and said.isdecimal() and len(said) < 3:
            coded = int(said)
        elif said.lower() in words:
            coded = words.index(said.lower())
        elif kind == "severity":
            coded = _SHORT.get(said.lower(), coded)
        if coded < len(words):
            fields[f"log.syslog.{kind}.code"] = coded
            fields[f"log.syslog.{kind}.name"] = words[coded]
