"""Zeek's logs as JSON (policy/tuning/json-logs), of any log type, from files or Kafka.

The log type is Zeek's ``_path`` (json-streaming-logs, Kafka plugin), the hint ``zeek_<log>``, or is
told from the fields. Dataset ``zeek.<log>`` with Elastic's names (conn is ``zeek.connection``). All
of Zeek's own fields stay below ``zeek.<log>.`` under Zeek's names, which SigmaHQ's rules use; flows
have source, destination and ``network.community_id``. Log types that Zeek does not ship become
``zeek.other`` with the object in ``samlog.json``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from normalize.address import set_endpoint
from normalize.community import community_id
from normalize.jsontext import capped
from normalize.times import parse_epoch, parse_iso
from normalize.zeek_fields import MAPPERS, Fields
from normalize.zeek_logs import LOGS, Log
from samlog.event import Event, RawEvent

NAME = "zeek"
VERSION = 2
HINTS = frozenset(f"zeek_{log}" for log in LOGS) | {"corelight"}
PROGRAMS = frozenset({"zeek", "bro"})
LOGSOURCES = (
    {"product": "zeek"},
    {"category": "dns"},
    {"category": "proxy"},
    {"category": "firewall"},
)
LOG_CLASSES = ("LC-09",)
CONTENT = "json"
ORDER = 40
KEYS = frozenset(("ts", "_path"))
SPECIFICATION = (
    'Zeek documentation, "Log Files" and the script reference of each log (base/ and policy/)',
)
SETTINGS = """
`@load policy/tuning/json-logs` (JSON), Community ID by `@load
policy/protocols/conn/community-id-logging`; `_path` by json-streaming-logs or the Kafka plugin,
else `source: zeek_<log>` per file.
"""

_GUESSES = (
    ("connection", ("conn_state",)),
    ("dns", ("query", "trans_id")),
    ("dns", ("query", "qtype_name")),
    ("http", ("trans_depth", "response_body_len", "resp_fuids")),
    ("sip", ("call_id", "trans_depth")),
    ("http", ("trans_depth", "request_body_len")),
    ("smtp", ("trans_depth", "helo")),
    ("ssl", ("cipher", "established")),
    ("ssl", ("established", "resumed")),
    ("files", ("fuid", "seen_bytes")),
    ("ssh", ("auth_attempts",)),
    ("kerberos", ("request_type", "service")),
    ("dce_rpc", ("endpoint", "operation")),
    ("notice", ("note", "msg")),
    ("signature", ("note", "sig_id")),
    ("weird", ("name", "notice", "peer")),
    ("rdp", ("security_protocol",)),
    ("smb_mapping", ("share_type",)),
    ("smb_files", ("action", "name", "times.modified")),
    ("dhcp", ("uids", "msg_types")),
    ("ntp", ("stratum", "root_disp")),
    ("snmp", ("community", "get_requests")),
    ("capture_loss", ("percent_lost",)),
    ("traceroute", ("src", "dst", "proto")),
    ("tunnel", ("tunnel_type",)),
    ("syslog", ("facility", "severity", "message")),
    ("ocsp", ("issuerNameHash",)),
    ("intel", ("seen.indicator",)),
    ("dpd", ("analyzer", "failure_reason")),
    ("ftp", ("command", "reply_code")),
    ("irc", ("nick", "command")),
    ("irc", ("command", "value")),
    ("x509", ("certificate.serial",)),
    ("pe", ("machine", "subsystem")),
    ("known_services", ("host", "port_num")),
    ("software", ("host", "software_type")),
    ("known_hosts", ("host",)),
)
_WITHOUT_FLOW = (
    frozenset(("percent_lost", "ts_delta")),
    frozenset(("uids", "msg_types")),
    frozenset(("note", "msg", "actions")),
    frozenset(("src", "dst", "proto", "ts")),
    frozenset(("issuerNameHash", "certStatus")),
    frozenset(("software_type", "host")),
)
"""Names by which logs without uid and id are told."""
_KNOWN_HOST = frozenset(("ts", "host"))
_NOT_KEPT = frozenset(
    ("ts", "uid", "_path", "_write_ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p")
)
_MAX_FIELDS = 256


def matches(raw: RawEvent) -> bool:
    """A JSON object with Zeek's ``ts`` or ``_write_ts``, and a name that only Zeek's logs have."""
    record = raw.json
    if record is None or not ("ts" in record or "_path" in record):
        return False
    if "_write_ts" in record and "_path" in record:
        return True
    if "ts" not in record:
        return False
    if "_path" in record or "id.orig_h" in record or "uid" in record or "fuid" in record:
        return True
    if isinstance(record.get("id"), dict) and "orig_h" in record["id"]:
        return True
    if raw.source in HINTS or raw.source == NAME:
        return True
    keys = record.keys()
    return keys == _KNOWN_HOST or any(keys >= alone for alone in _WITHOUT_FLOW)


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = raw.json or {}
    fields: dict[str, Any] = {}
    _flatten(fields, "", record, 4)
    log = _log(raw.source, fields)
    if log is None:
        event: Event = {"event.dataset": "zeek.other", "samlog.json": capped(dict(record))}
        event["@timestamp"] = _time(fields.get("ts", fields.get("_write_ts")))
        return event
    event = {
        "event.dataset": f"zeek.{log.name}",
        "event.kind": log.kind,
        "event.category": list(log.category),
        "event.type": list(log.type),
        "@timestamp": _time(fields.get("ts", fields.get("_write_ts"))),
    }
    _flow(event, fields, log)
    uid = fields.get("uid", fields.get("uids"))
    if uid:
        event["zeek.session_id"] = uid
    duration = _nanoseconds(fields.get("duration", fields.get("rtt")))
    if duration is not None and log.name in ("connection", "dns"):
        event["event.duration"] = duration
    mapper = MAPPERS.get(log.name)
    if mapper is not None:
        mapper(event, fields)
    _community(event, fields)
    prefix = f"zeek.{log.name}."
    for field, value in fields.items():
        if field not in _NOT_KEPT and value is not None:
            event[prefix + field] = value
    return event


def _log(hint: str, fields: Fields) -> Log | None:
    path = fields.get("_path")
    if isinstance(path, str):
        return LOGS.get(path)
    if hint.startswith("zeek_") and hint[5:] in LOGS:
        return LOGS[hint[5:]]
    for name, needed in _GUESSES:
        if all(field in fields for field in needed):
            return LOGS[name]
    return None


def _flatten(out: dict[str, Any], prefix: str, node: Mapping[str, Any], depth: int) -> None:
    for key, value in node.items():
        name = prefix + key
        if len(out) >= _MAX_FIELDS:
            return
        if isinstance(value, dict) and depth:
            _flatten(out, name + ".", value, depth - 1)
        else:
            out[name] = capped(value) if isinstance(value, (dict, list)) else value


def _nanoseconds(seconds: Any) -> int | None:
    """Returns ``event.duration``; None for what is no number or does not fit its type, a long."""
    if type(seconds) not in (int, float) or not 0 <= seconds < 1e9:
        return None
    duration: int = round(seconds * 1e9)
    return duration


def _time(value: Any) -> datetime | str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return parse_epoch(value) or str(value)
    if isinstance(value, str):
        return parse_iso(value) or value
    return None


def _flow(event: Event, fields: Fields, log: Log) -> None:
    transport = fields.get("proto", log.transport)
    icmp = transport == "icmp"
    for side, prefix in (("source", "id.orig"), ("destination", "id.resp")):
        address, port = fields.get(f"{prefix}_h"), fields.get(f"{prefix}_p")
        if isinstance(address, str):
            number = port if isinstance(port, int) and not isinstance(port, bool) else None
            set_endpoint(event, side, address, None if icmp else number)
    if isinstance(transport, str) and transport:
        event["network.transport"] = transport.lower()
    if log.protocol:
        event["network.protocol"] = log.protocol


def _community(event: Event, fields: Fields) -> None:
    source, destination = event.get("source.ip"), event.get("destination.ip")
    transport = event.get("network.transport")
    given = fields.get("community_id")
    if isinstance(given, str) and given.startswith("1:"):
        event["network.community_id"] = given
    elif source and destination and transport:
        ports = [event.get(f"{side}.port", fields.get(f"id.{name}_p"))
                 for side, name in (("source", "orig"), ("destination", "resp"))]  # fmt: skip
        if all(isinstance(port, int) for port in ports):
            flow = community_id(source, destination, ports[0], ports[1], transport)
            if flow:
                event["network.community_id"] = flow
