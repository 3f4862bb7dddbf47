"""Cisco Duo's logs as JSON of its Admin API, or as duologsync sends them, one event a record.

Authentication (v1 and v2), administrator actions, telephony (v1 and v2), offline enrolment,
activity, trust monitor, and the account's summary; which one it is, its keys tell. ECS fields say
who (``user.*``), from which device (``source.*`` is the access device) and with which outcome.
Duo's whole object is below ``cisco_duo.<log>.`` under Elastic's names.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from normalize.address import is_ip, set_port
from normalize.duo_actions import has_failed, meaning
from normalize.jsontext import load
from normalize.times import parse_epoch
from normalize.vendor_object import part, put, set_class, set_leaves, text
from samlog.event import Event, RawEvent

NAME = "duo"
VERSION = 3
HINTS = frozenset({"cisco_duo", "cisco_duo.auth", "cisco_duo.admin", "duologsync"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "cisco", "service": "duo"},)
LOG_CLASSES = ("LC-01", "LC-02")
CONTENT = "json"
ORDER = 40
KEYS = frozenset(
    ("txid", "sekey", "activity_id", "akey", "credits", "isotimestamp")
    + ("telephony_credits_remaining", "stat")
)
SPECIFICATION = (
    'Cisco Duo, "Admin API", Logs: authentication (v2), activity (v2), telephony (v2), '
    "administrator and offline enrolment logs (v1), trust monitor events",
)
SETTINGS = """
An Admin API application with "Grant read log", read by `duologsync` (Duo's own, writes JSON
lines to a file or TCP) or by any poller that sends one object a line. The API gives the last
minutes late: poll two minutes behind. `isotimestamp` has microseconds, `@timestamp` the second
of `timestamp`.
"""

_ADDRESS_PORT = re.compile(
    r"\[([0-9A-Fa-f:.]{2,45})\]:(\d{1,5})|([0-9A-Fa-f:]{2,45})(?: port |[#p.])(\d{1,5})"
    r"|((?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}):(\d{1,5})|(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})"
)
"""The ways of RFC 5952, section 6, to write an address with its port."""
_TARGETS = {"user": "user.target", "admin": "user.target", "group": "group"}
_CLASSES = {"authentication": "LC-01", "iam": "LC-02", "configuration": "LC-02"}
_OF_ADMIN = frozenset(("description", "username"))
_OF_ONESELF = ("admin_login", "admin_self_activate", "admin_2fa")
"""Actions in whose details the administrator's own address stands, not that of the object."""


def matches(raw: RawEvent) -> bool:
    """A JSON object with the keys that only one of Duo's logs has together."""
    return raw.json is not None and _log(_answer(raw.json)) != ""


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = _answer(raw.json or {})
    log = _log(record) or "other"
    event: Event = {"event.dataset": f"cisco_duo.{log}", "event.kind": "event"}
    _time(event, record)
    prefix = f"cisco_duo.{log}"
    reader = _READERS.get(log)
    if reader is None:
        set_leaves(event, prefix, record)
    else:
        reader(event, prefix, record)
    other = "LC-02" if log == "admin" else "LC-01"
    set_class(event, _CLASSES, other)
    return event


def _answer(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the summary out of the API's answer, ``{"response": {..}, "stat": "OK"}``."""
    response = record.get("response")
    if "stat" in record and isinstance(response, dict):
        return {**response, "stat": record["stat"]}
    return record


def _log(record: Mapping[str, Any]) -> str:
    """Returns the name of the log that has such records, "" where none has."""
    if "txid" in record and "factor" in record and "access_device" in record:
        return "auth"
    if "surfaced_timestamp" in record and "sekey" in record:
        return "trust_monitor"
    if "activity_id" in record or ("akey" in record and "actor" in record):
        return "activity"
    if "telephony_credits_remaining" in record and "integration_count" in record:
        return "summary"
    if "credits" in record and "phone" in record and "context" in record:
        return "telephony_v2" if "telephony_id" in record else "telephony"
    if (
        "action" in record
        and "isotimestamp" in record
        and ("object" in record or _OF_ADMIN.issubset(record))
    ):
        offline = text(record, "action").startswith("o2fa_")
        return "offline_enrollment" if offline else "admin"
    if "factor" in record and "isotimestamp" in record and "integration" in record:
        return "auth"
    return ""


def _time(event: Event, record: Mapping[str, Any]) -> None:
    """Seconds since 1970 where they are; Duo writes its ISO times with spaces now and then."""
    moment = record.get("timestamp")
    if isinstance(moment, (int, float)) and not isinstance(moment, bool):
        put(event, "@timestamp", parse_epoch(moment))
        return
    surfaced = record.get("surfaced_timestamp")
    if isinstance(surfaced, (int, float)) and not isinstance(surfaced, bool):
        put(event, "@timestamp", parse_epoch(surfaced, unit_s=1e-3))
        return
    written = text(record, "ts") or text(record, "isotimestamp")
    put(event, "@timestamp", written.replace(" ", ""))


def _auth(event: Event, prefix: str, record: Mapping[str, Any]) -> None:
    enrolled = record.get("event_type") == "enrollment"
    event["event.category"] = ["iam"] if enrolled else ["authentication"]
    event["event.type"] = ["user", "info"] if enrolled else ["info"]
    result = text(record, "result").lower()
    event["event.outcome"] = "success" if result == "success" else "failure"
    put(event, "event.reason", text(record, "reason"))
    if identity := text(record, "txid"):
        event["samlog.origin"] = f"duo|{identity}"
    device = part(record, "access_device")
    _device(event, device, text(record, "ip"))
    address, _ = _apart(text(record, "auth_device", "ip"))
    put(event, "related.ip", [address] if address else [])
    user = part(record, "user")
    name = text(user, "name") or text(record, "username")
    for side in ("", "source."):
        put(event, f"{side}user.id", text(user, "key"))
        put(event, f"{side}user.name", name)
        put(event, f"{side}user.email", text(record, "email"))
    groups = user.get("groups")
    if isinstance(groups, list):
        put(event, "source.user.group.name", [group for group in groups if type(group) is str])
    set_leaves(event, prefix, record)


def _device(event: Event, device: Mapping[str, Any], fallback: str) -> None:
    """The device at which the user logs in; its address may carry a port."""
    address = text(device, "ip") or text(device, "ip", "address") or fallback
    host = text(device, "hostname")
    put(event, "source.address", host or address)
    put(event, "related.hosts", [host] if host else [])
    address, port = _apart(address)
    if address:
        event["source.ip"] = address
        set_port(event, "source", port)
    for key, field in (
        ("browser", "name"),
        ("browser_version", "version"),
        ("os", "os.name"),
        ("os_version", "os.version"),
    ):
        put(event, f"user_agent.{field}", text(device, key))


def _apart(address: str) -> tuple[str, str]:
    """Returns the address and its port, "" for what is not there or is no address."""
    port = ""
    if not is_ip(address):
        match = _ADDRESS_PORT.fullmatch(address)
        address, port = (one for one in match.groups() if one) if match else ("", "")
    return (address, port) if address and is_ip(address) else ("", "")


def _admin(event: Event, prefix: str, record: Mapping[str, Any]) -> None:
    action = text(record, "action")
    put(event, "event.action", action)
    event["event.outcome"] = "failure" if has_failed(action) else "success"
    _classify(event, action)
    put(event, "user.name", text(record, "username"))
    put(event, "user.target.name", text(record, "object"))
    put(event, f"{prefix}.action", action)
    put(event, f"{prefix}.action_performed_on", text(record, "object"))
    put(event, f"{prefix}.user.name", text(record, "username"))
    description = _description(record.get("description"))
    if isinstance(description, dict):
        set_leaves(event, f"{prefix}.flattened", description, as_sent=True)
        if is_ip(address := text(description, "ip_address")):
            event["source.ip"] = event["source.address"] = address
        _subject(event, action, description)
    elif isinstance(description, str) and description:
        event["message"] = event["event.reason"] = event[f"{prefix}.description"] = description
    known = ("action", "object", "username", "description")
    set_leaves(event, prefix, {k: v for k, v in record.items() if k not in known})


def _subject(event: Event, action: str, description: Mapping[str, Any]) -> None:
    """Whose name and address stand in the details: the caller's, or what the object has now."""
    if action.startswith(_OF_ONESELF):
        put(event, "user.email", text(description, "email"))
    elif action.startswith(("user_", "admin_")):
        place = "user.changes" if action.endswith("_update") else "user.target"
        shown = text(description, "realname") or text(description, "name")
        put(event, f"{place}.{'name' if place == 'user.changes' else 'full_name'}", shown)
        put(event, f"{place}.email", text(description, "email"))


def _classify(event: Event, action: str) -> None:
    categories, types = meaning(action)
    put(event, "event.category", list(categories))
    put(event, "event.type", list(types))


def _description(value: Any) -> Any:
    """Duo writes the details as JSON in a string."""
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        return load(value)[0]
    except ValueError:
        return value


def _telephony(event: Event, prefix: str, record: Mapping[str, Any]) -> None:
    if identity := text(record, "telephony_id"):
        event["samlog.origin"] = f"duo|{identity}"
        put(event, f"{prefix}.id", identity)
    put(event, f"{prefix}.event_type", text(record, "context"))
    put(event, f"{prefix}.phone_number", text(record, "phone"))
    known = ("context", "phone", "telephony_id")
    set_leaves(event, prefix, {k: v for k, v in record.items() if k not in known})


def _offline(event: Event, prefix: str, record: Mapping[str, Any]) -> None:
    """A user set up log-in without network on a computer."""
    event["event.category"], event["event.type"] = ["iam"], ["user", "info"]
    event["event.outcome"] = "success"
    put(event, "event.action", text(record, "action"))
    put(event, "user.name", text(record, "username"))
    put(event, f"{prefix}.user.name", text(record, "username"))
    description = _description(record.get("description"))
    if isinstance(description, dict):
        put(event, "user_agent.original", text(description, "user_agent"))
        put(event, "host.hostname", text(description, "hostname"))
    set_leaves(event, f"{prefix}.description", description)
    known = ("username", "description")
    set_leaves(event, prefix, {k: v for k, v in record.items() if k not in known})


def _activity(event: Event, prefix: str, record: Mapping[str, Any]) -> None:
    action = text(record, "action", "name")
    put(event, "event.action", action)
    _classify(event, action)
    result = text(record, "outcome", "result").lower()
    if result:
        event["event.outcome"] = "success" if result == "success" else "failure"
    if identity := text(record, "activity_id"):
        event["samlog.origin"] = f"duo|{identity}"
    put(event, "user.id", text(record, "actor", "key"))
    put(event, "user.name", text(record, "actor", "name"))
    place = _TARGETS.get(text(record, "target", "type"))
    if place:
        put(event, f"{place}.id", text(record, "target", "key"))
        put(event, f"{place}.name", text(record, "target", "name"))
    _device(event, part(record, "access_device"), "")
    set_leaves(event, prefix, record)


def _trust_monitor(event: Event, prefix: str, record: Mapping[str, Any]) -> None:
    """What Duo found strange; the log-in that it is about comes along."""
    event["event.kind"] = "alert"
    event["event.category"], event["event.type"] = ["intrusion_detection"], ["info"]
    if identity := text(record, "sekey"):
        event["samlog.origin"] = f"duo|{identity}"
    surfaced = part(record, "surfaced_auth")
    _device(event, part(surfaced, "access_device"), "")
    user = part(surfaced, "user") or part(record, "enabled_for")
    put(event, "user.id", text(user, "key"))
    put(event, "user.name", text(user, "name"))
    put(event, "rule.name", text(record, "type"))
    put(event, "event.url", text(record, "triage_event_uri"))
    set_leaves(event, prefix, record)


_READERS: Mapping[str, Callable[[Event, str, Mapping[str, Any]], None]] = {
    "auth": _auth,
    "admin": _admin,
    "telephony": _telephony,
    "telephony_v2": _telephony,
    "offline_enrollment": _offline,
    "activity": _activity,
    "trust_monitor": _trust_monitor,
}
