"""What agents wrap around a log line: recognised, taken off, its knowledge kept as ECS fields.

Filebeat and Elastic Agent (``message`` beside ``agent``, ``log``, ``@metadata``), Vector
(``message`` beside ``source_type``), Fluent Bit and Docker (``log``), journald (``MESSAGE``, and
``message`` beside ``systemd`` or ``journald`` where Filebeat read it), the
Syslog table of Azure Log Analytics (``SyslogMessage``), an event of a CloudWatch log group; and
what has taken a syslog header apart (`taken_apart`).
Structured JSON that merely has a ``message`` is no envelope: a key that no agent writes tells
(names with a leading underscore are an agent's own business).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from normalize.header import FACILITIES, SEVERITIES
from normalize.jsontext import capped
from normalize.taken_apart import TEXTS, Parts, parts
from normalize.times import parse_epoch, parse_iso
from samlog.ecs import FIELDS
from samlog.event import Event

_KEPT_OBJECTS = (
    "agent",
    "cloud",
    "container",
    "host",
    "log",
    "observer",
    "orchestrator",
    "service",
)
_BEATS_KEYS = frozenset(
    (*_KEPT_OBJECTS, "@metadata", "@timestamp", "@version", "beat", "data_stream", "ecs")
    + ("elastic_agent", "event", "fields", "fileset", "input", "labels", "message", "offset")
    + ("prospector", "source", "tags", "type", "docker", "kubernetes", "stream", "timestamp")
    + ("file", "hostname", "path", "port", "source_type", "source_ip", "date", "time", "log")
    + ("azure",)  # Filebeat's input azure-eventhub: where in the hub the message stood
)
_JOURNAL_OBJECTS = ("systemd", "journald")
"""What the journald input of Filebeat, Journalbeat and Elastic Agent writes beside ``message``."""
_EVENT_KEYS = frozenset(("timezone", "created", "dataset", "module"))
_LINES = frozenset((*TEXTS, "SyslogMessage", "log"))
"""Where agents put the line."""
_MAX_LABELS = 64
_JOURNAL_PLACES = (
    (
        "process.name",
        ("syslog.identifier", "log.syslog.appname", "journald.process.name", "process.name"),
    ),
    ("process.pid", ("process.pid", "journald.pid", "syslog.pid", "log.syslog.procid")),
    ("process.executable", ("process.executable", "journald.process.executable")),
    ("process.command_line", ("process.command_line", "journald.process.command_line")),
    ("process.user.id", ("user.id", "journald.uid")),
    ("process.group.id", ("group.id", "journald.gid")),
    ("host.hostname", ("host.hostname", "host.name")),
    ("host.boot.id", ("journald.host.boot_id",)),
)
"""ECS field ← where versions of the input put it."""
_CLOUDWATCH = frozenset(("id", "timestamp", "message"))
_DIGITS = 56
"""Length of an event's id in CloudWatch Logs."""


@dataclass(slots=True)
class Envelope:
    """``text`` is the raw line. ``created`` is when the agent read it, ``tz`` its zone or "".

    ``moment`` is when it happened, where the agent knows that better than when it read it;
    ``stamp`` is that as it is written, in the sender's zone where it names none.

    ``origin`` is a stable position at the source, or "". ``rest`` holds what has no ECS field.
    """

    text: str
    created: datetime | None = None
    moment: datetime | None = None
    stamp: str = ""
    tz: str = ""
    origin: str = ""
    fields: Event = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)
    header: bool = True
    """False where the agent took the syslog header off and gave its parts."""
    names_host: bool = False
    """True where the agent says itself which host it runs on (Beats, Vector)."""


def unwrap(record: Mapping[str, Any], *, trusting: bool = False) -> Envelope | None:
    """Returns the line inside an agent's JSON record, None when ``record`` is no envelope.

    ``trusting``: the operator named a parser of text lines, so any object with ``message`` is one.
    """
    # One look at the names for most objects: 0.4 us less.
    if record.keys().isdisjoint(_LINES):
        return None
    if (found := parts(record)) is not None:
        return _taken_apart(record, found)
    message = record.get("message")
    if isinstance(message, str) and message:
        if record.get("source_type") == "journald":
            return _vectors_journal(record, message)
        if any(isinstance(record.get(key), dict) for key in _JOURNAL_OBJECTS):
            return _journald_input(record, message)
        if trusting or all(key.startswith("_") for key in record.keys() - _BEATS_KEYS):
            return _beats(record, message)
        return _cloudwatch(record, message)
    if "MESSAGE" in record and ("__CURSOR" in record or "_HOSTNAME" in record):
        message = journal_text(record["MESSAGE"])
        if message:
            return _journald(record, message)
    message = record.get("SyslogMessage")
    if isinstance(message, str) and "TimeGenerated" in record:
        return _log_analytics(record, message)
    message = record.get("log")
    if isinstance(message, str) and message.strip():
        return _fluent(record, message)
    return None


def _vectors_journal(record: Mapping[str, Any], message: str) -> Envelope:
    """An entry of the journal as Vector's source journald renames three of its fields."""
    renamed = ("message", "host", "timestamp")
    own = {key: value for key, value in record.items() if key not in renamed}
    found = _journald(own | {"_HOSTNAME": record.get("host")}, message)
    found.created = found.created or _time(record.get("timestamp"))
    return found


def _taken_apart(record: Mapping[str, Any], found: Parts) -> Envelope:
    made = Envelope(found.text, stamp=found.stamp, header=False, fields=found.fields)
    if not found.stamp:
        made.created = _time(record.get("date") or record.get("@timestamp"))
    rest = [key for key in record if key not in found.known][:_MAX_LABELS]
    made.rest = {key: capped(record[key]) for key in rest}
    return made


def _cloudwatch(record: Mapping[str, Any], message: str) -> Envelope | None:
    """An event as a subscription of CloudWatch Logs has it: 56 digits, milliseconds, the line."""
    identity = record.get("id")
    if len(record) != len(_CLOUDWATCH) or not _CLOUDWATCH.issuperset(record):
        return None
    if not (isinstance(identity, str) and len(identity) == _DIGITS and identity.isdecimal()):
        return None
    moment = record["timestamp"]
    known = isinstance(moment, int) and not isinstance(moment, bool)
    created = parse_epoch(moment, unit_s=1e-3) if known else None
    return Envelope(message, created=created, origin=f"cloudwatch|{identity}")


def _beats(record: Mapping[str, Any], message: str) -> Envelope:
    moment = _time(record.get("@timestamp") or record.get("timestamp"))
    found = Envelope(message, created=moment, names_host=True)
    for key in _KEPT_OBJECTS:
        value = record.get(key)
        if isinstance(value, dict):
            _keep(found, key, value)
        elif value is not None and key != "log":
            found.rest[key] = capped(value)
    for key in ("_conf", "_tmp"):
        _setting(found, record.get(key))
    _event_part(found, record.get("event"))
    tags = record.get("tags")
    if isinstance(tags, list):
        found.tags += [tag for tag in tags[:_MAX_LABELS] if isinstance(tag, str)]
    for name in ("labels", "fields"):
        _labels(found, record.get(name))
    if isinstance(record.get("file"), str):
        found.fields["log.file.path"] = record["file"]
    if isinstance(record.get("host"), str):
        found.rest.pop("host", None)
        found.fields["host.name"] = record["host"]
    path, offset = found.fields.get("log.file.path"), found.rest.pop("log.offset", None)
    if path and isinstance(offset, int):
        found.origin = f"{found.fields.get('agent.id', '')}|{path}|{offset}"
    for key in ("docker", "kubernetes", "input", "azure"):
        if key in record:
            found.rest[key] = capped(record[key])
    if found.fields.get("log.syslog.appname"):
        _parsed_syslog(found)
    return found


def _parsed_syslog(found: Envelope) -> None:
    """Takes program and host from what Beats' processor ``syslog`` read of the header.

    ``message`` is then the body alone, and ``host.*`` of the agent is not where it was written.
    """
    fields = found.fields
    found.header = False
    fields["process.name"] = fields["log.syslog.appname"]
    pid = fields.get("log.syslog.procid")
    if isinstance(pid, str) and pid.isascii() and pid.isdecimal():
        fields["process.pid"] = pid
    if host := fields.get("log.syslog.hostname"):
        fields["host.hostname"] = host


def _journald_input(record: Mapping[str, Any], message: str) -> Envelope:
    """An entry of the journal as Filebeat's input journald translates it, in all its versions.

    ``process.*`` and ``user.*`` are the program that logged; its identifier is what syslog calls
    the program. ``@timestamp`` is the entry's own, ``event.created`` when it was read.
    ``log.syslog.priority`` is journald's PRIORITY, which is a severity.
    """
    found = _beats(record, message)
    found.header = False
    found.moment = _time(record.get("@timestamp"))
    for name, places in _JOURNAL_PLACES:
        value = next((v for place in places if (v := _at(record, place)) not in (None, "")), None)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            found.fields[name] = value
    found.fields.pop("log.syslog.priority", None)
    _syslog_code(found, "severity", _at(record, "log.syslog.priority"), SEVERITIES)
    _syslog_code(found, "severity", _at(record, "syslog.priority"), SEVERITIES)
    _syslog_code(found, "facility", _at(record, "log.syslog.facility.code"), FACILITIES)
    _syslog_code(found, "facility", _at(record, "syslog.facility"), FACILITIES)
    for key in ("journald", "systemd"):
        if key in record:
            found.rest[key] = capped(record[key])
    return found


def _at(record: Mapping[str, Any], path: str) -> Any:
    """Returns what stands at ``a.b.c``, None if nothing does."""
    value: Any = record
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _syslog_code(found: Envelope, kind: str, code: Any, words: tuple[str, ...]) -> None:
    """Sets code and name of a severity or a facility that is a number or digits."""
    text = str(code)
    if not isinstance(code, bool) and text.isascii() and text.isdecimal() and len(text) < 3:
        number = int(text)
        if number < len(words):
            found.fields[f"log.syslog.{kind}.code"] = number
            found.fields[f"log.syslog.{kind}.name"] = words[number]


def _fluent(record: Mapping[str, Any], message: str) -> Envelope:
    """Fluent Bit and Docker's json-file: ``log`` with a line break, ``stream``, ``time``."""
    moment = record.get("@timestamp") or record.get("time") or record.get("date")
    found = Envelope(message.rstrip("\n"), created=_time(moment))
    skipped = ("log", "@timestamp", "time", "date")
    found.rest = {key: capped(value) for key, value in record.items() if key not in skipped}
    return found


def _log_analytics(record: Mapping[str, Any], message: str) -> Envelope:
    """A row of the table Syslog of Azure Log Analytics; the time is the event's own."""
    moment = _time(record.get("EventTime")) or _time(record.get("TimeGenerated"))
    found = Envelope(message, created=moment, header=False)
    names = (
        ("HostName", "host.hostname"),
        ("HostIP", "host.ip"),
        ("ProcessName", "process.name"),
        ("ProcessID", "process.pid"),
        ("Facility", "log.syslog.facility.name"),
        ("SeverityLevel", "log.syslog.severity.name"),
    )
    for key, name in names:
        value = record.get(key)
        if isinstance(value, (str, int)) and value != "":
            found.fields[name] = value
    known = {"SyslogMessage", *(key for key, _ in names)}
    found.rest = {key: capped(value) for key, value in record.items() if key not in known}
    return found


def journal_text(value: Any) -> str:
    """Returns a journal field's text: journald writes what is not printable UTF-8 as numbers.

    Of a field that is there several times the first one counts; "" of anything else.
    """
    if isinstance(value, list) and value:
        if all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
            data = bytes(value)
            try:
                return data.decode()
            except UnicodeDecodeError:
                return data.decode("cp1252", "replace")
        value = value[0]
    return value if isinstance(value, str) else ""


def _journald(record: Mapping[str, Any], message: str) -> Envelope:
    """``journalctl -o json``: all values are strings; systemd.journal-fields(7)."""
    micros = record.get("_SOURCE_REALTIME_TIMESTAMP") or record.get("__REALTIME_TIMESTAMP")
    moment = None
    if isinstance(micros, str) and micros.isascii() and micros.isdecimal() and len(micros) < 20:
        moment = parse_epoch(int(micros), unit_s=1e-6)
    found = Envelope(message, created=moment, header=False)
    cursor = record.get("__CURSOR")
    found.origin = cursor if isinstance(cursor, str) else ""
    names = (
        ("_HOSTNAME", "host.hostname"),
        ("SYSLOG_IDENTIFIER", "process.name"),
        ("_PID", "process.pid"),
        ("_EXE", "process.executable"),
        ("_CMDLINE", "process.command_line"),
        ("_UID", "process.user.id"),
        ("_GID", "process.group.id"),
        ("_MACHINE_ID", "host.id"),
        ("_BOOT_ID", "host.boot.id"),
    )
    for key, name in names:
        value = record.get(key)
        if isinstance(value, str) and value:
            found.fields[name] = value
    if "process.pid" not in found.fields and isinstance(record.get("SYSLOG_PID"), str):
        found.fields["process.pid"] = record["SYSLOG_PID"]
    known = {"MESSAGE", *(key for key, _ in names)}
    rest = [key for key in record if key not in known][:_MAX_LABELS]
    found.rest = {key: capped(record[key]) for key in rest}
    if "process.name" not in found.fields and isinstance(record.get("_COMM"), str):
        found.fields["process.name"] = record["_COMM"]
    for key, name, words in (
        ("PRIORITY", "severity", SEVERITIES),
        ("SYSLOG_FACILITY", "facility", FACILITIES),
    ):
        _syslog_code(found, name, record.get(key), words)
    return found


def _keep(found: Envelope, prefix: str, value: dict[str, Any]) -> None:
    for key, item in value.items():
        name = f"{prefix}.{key}"
        if isinstance(item, dict):
            if name.count(".") < 4:
                _keep(found, name, item)
        elif name in FIELDS:
            found.fields[name] = item
        else:
            found.rest[name] = capped(item)


def _event_part(found: Envelope, event: Any) -> None:
    """Of the agent's own ``event.*`` only the zone and the time of reading are believed."""
    if not isinstance(event, dict):
        return
    tz = event.get("timezone")
    if isinstance(tz, str):
        found.tz = tz
    if created := _time(event.get("created")):
        found.created = created
    if rest := {key: event[key] for key in event if key not in _EVENT_KEYS}:
        found.rest["event"] = capped(rest)


def _setting(found: Envelope, settings: Any) -> None:
    """Elastic Agent's setting "Timezone Offset", which its integrations send along."""
    tz = settings.get("tz_offset") if isinstance(settings, dict) else None
    if isinstance(tz, str) and tz != "local":
        found.tz = tz


def _labels(found: Envelope, labels: Any) -> None:
    if not isinstance(labels, dict):
        return
    for key, value in list(labels.items())[:_MAX_LABELS]:
        if isinstance(value, (str, int, float, bool)):
            found.fields[f"labels.{key.replace('.', '_')}"] = str(value)


def _time(value: Any) -> datetime | None:
    if isinstance(value, str):
        return parse_iso(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return parse_epoch(value)
    return None
