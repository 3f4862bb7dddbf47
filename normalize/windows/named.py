"""Shippers that name the parts of an event apart: System in their own words, then values.

Fluent Bit (inputs winevtlog and winlog), Vector (windows_event_log), Wazuh, Azure's diagnostics
extension (Event Hub) and Log Analytics' table Event. Their names differ in case and underscores
only, so they are compared without. What no name tells is kept below ``winlog.shipper``.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import orjson

from normalize.windows import xml_event
from normalize.windows.inserts import add_inserts
from normalize.windows.record import Text, WindowsEvent, flatten, safe_name, text_of
from normalize.windows.system import (
    identify,
    merge_object,
    set_keywords,
    set_level,
    set_number,
    set_opcode,
    set_task,
)
from normalize.windows.times import utc_ms
from samlog.event import Event

MAX_NAME = 64
MAX_INSERTS = 1000
ROLES: dict[str, str] = {
    **dict.fromkeys(("providername", "provider", "sourcename", "source"), "provider"),
    **dict.fromkeys(("channel", "eventlog"), "channel"),
    "eventid": "code",
    **dict.fromkeys(("timecreated", "systemtime", "timegenerated", "timestamp", "time"), "time"),
    **dict.fromkeys(("stringinserts", "eventdata", "userdata", "parameterxml"), "data"),
}
"""Parts that `read` looks at together; the order of names is the order of trust."""
COPIED: dict[str, str] = {
    **dict.fromkeys(("eventrecordid", "recordnumber", "recordid"), "winlog.record_id"),
    **dict.fromkeys(("computer", "computername", "hostname"), "winlog.computer_name"),
    **dict.fromkeys(("userid", "sid"), "winlog.user.identifier"),
    "username": "winlog.user.name",
    "providerguid": "winlog.provider_guid",
    "activityid": "winlog.activity_id",
    "relatedactivityid": "winlog.related_activity_id",
    "qualifiers": "winlog.qualifiers",
    "taskname": "winlog.task",
    "opcodename": "winlog.opcode",
    **dict.fromkeys(("message", "description", "rendereddescription"), "message"),
}
TAKERS: dict[str, Callable[[Event, Any], None]] = {
    **dict.fromkeys(("level", "levelvalue", "eventlevel"), set_level),
    **dict.fromkeys(("task", "taskvalue", "eventcategory"), set_task),
    **dict.fromkeys(("opcode", "opcodevalue"), set_opcode),
    "keywords": set_keywords,
    "version": lambda out, value: set_number(out, "winlog.version", value),
    **dict.fromkeys(
        ("processid", "pid"), lambda out, value: set_number(out, "winlog.process.pid", value)
    ),
    **dict.fromkeys(
        ("threadid", "tid"), lambda out, value: set_number(out, "winlog.process.thread.id", value)
    ),
}
OUTCOMES = {
    "successaudit": "success",
    "auditsuccess": "success",
    "failureaudit": "failure",
    "auditfailure": "failure",
}
EMPTY = frozenset(("", "N/A"))
XML_NAMES = ("RawXml", "System", "_raw", "xml", "event", "message")
"""Where Azure's extension, Fluent Bit, Splunk and others put the event as XML."""
BLANK = "\ufeff \t\r\n"


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """Returns a name in lower case without underscores, for comparing."""
    return name.replace("_", "").lower()


def xml_of(obj: Mapping[str, Any]) -> str:
    """Returns the whole event as XML, where a shipper sends it as text beside its own words."""
    properties = obj.get("properties")
    for place in (properties, obj) if isinstance(properties, dict) else (obj,):
        for name in XML_NAMES:
            value = place.get(name)
            if type(value) is str and "<Event" in value[:512] and value.lstrip(BLANK)[:1] == "<":
                return value
    return ""


def read_xml(obj: Mapping[str, Any], text: str) -> WindowsEvent:
    """Reads ``text``; the rendered message and what else the shipper says are kept beside it."""
    event = xml_event.read(text)
    properties = obj.get("properties")
    for place in (properties, obj) if isinstance(properties, dict) else (obj,):
        for key, value in place.items():
            if value is text or value is properties:
                continue
            if key in ("Message", "Description") and type(value) is str:
                event.out.setdefault("message", value)
            else:
                flatten("winlog.shipper." + safe_name(key), value, event.out)
    return event


def read_wazuh(obj: Mapping[str, Any], win: Mapping[str, Any]) -> WindowsEvent:
    """Reads Wazuh's ``win``: names of both parts begin with a small letter there."""
    system, values = win.get("system"), win.get("eventdata")
    record: dict[str, Any] = dict(system) if isinstance(system, dict) else {}
    if isinstance(values, dict):
        record["eventdata"] = {name[:1].upper() + name[1:]: text for name, text in values.items()}
    event = read(record)
    for key, value in obj.items():
        if key not in ("win", "data"):
            flatten("winlog.shipper." + safe_name(key), value, event.out)
    return event


def read_wrapped(obj: Mapping[str, Any], properties: Mapping[str, Any]) -> WindowsEvent:
    """Reads a record of Azure's diagnostics extension: the event's parts are ``properties``."""
    event = read(properties)
    for key, value in obj.items():
        if key == "time" and not event.when():
            event.when = partial(utc_ms, str(value))
        elif key != "properties":
            flatten("winlog.shipper." + safe_name(key), value, event.out)
    return event


def read(obj: Mapping[str, Any]) -> WindowsEvent:
    """Reads one object whose names are in `ROLES`, `COPIED` and `TAKERS`, in any spelling."""
    event = WindowsEvent()
    out = event.out
    parts: dict[str, Any] = {}
    for key, value in obj.items():
        if value is None:
            continue
        name = plain(key) if len(key) <= MAX_NAME else key
        if name in ROLES:
            parts[name] = value
        elif value == "" or (type(value) is str and value in EMPTY and name in COPIED):
            continue
        elif (field := COPIED.get(name)) is not None:
            out[field] = value if type(value) is str else text_of(value)
        elif (take := TAKERS.get(name)) is not None:
            take(out, value)
        else:
            _keep(out, key, name, value)
    _identify(event, parts)
    _read_values(event, parts)
    when = next((parts[n] for n, role in ROLES.items() if role == "time" and parts.get(n)), "")
    if when:
        out["winlog.time_created"] = str(when)
        event.when = partial(_instant, str(when))
    return event


def _keep(out: Event, key: str, name: str, value: Any) -> None:
    if name == "eventtype" and (outcome := OUTCOMES.get(str(value).replace(" ", "").lower())):
        out["event.outcome"] = outcome
    if name == "keywordnames" and isinstance(value, list):
        out.setdefault("winlog.keywords", []).extend(str(word) for word in value)
    else:
        flatten("winlog.shipper." + safe_name(key), value, out)


def _identify(event: WindowsEvent, parts: Mapping[str, Any]) -> None:
    found = {"provider": "", "channel": "", "code": ""}
    for name, role in ROLES.items():
        if role in found and not found[role] and parts.get(name):
            found[role] = str(parts[name])
    code = found["code"]
    if code.isdecimal() and len(code) <= 10:
        code = str(int(code) & 0xFFFF)  # the older input's ids carry the qualifiers above
    identify(event, found["channel"], found["provider"], code)


def _instant(text: str) -> str:
    """Reads ISO 8601, also with a blank before the offset, as Fluent Bit writes it."""
    head, blank, offset = text.rpartition(" ")
    if blank and offset[:1] in ("+", "-") and offset[1:].isdecimal():
        text = head + offset
    return utc_ms(text)


def _read_values(event: WindowsEvent, parts: Mapping[str, Any]) -> None:
    """Takes EventData by name where there is one, else the bare values by their places."""
    values = parts.get("eventdata")
    if isinstance(values, dict):
        merge_object(event.data, values)
    elif isinstance(values, str) and values.strip():
        _read_text(event, values)
    user_data = parts.get("userdata")
    if isinstance(user_data, dict):
        merge_object(event.user_data, user_data)
    inserts = parts.get("stringinserts")
    if isinstance(inserts, str):
        inserts = [inserts] if inserts else []
    if inserts is None and isinstance(parts.get("parameterxml"), str):
        inserts = _params(parts["parameterxml"])
    if isinstance(inserts, list) and not event.data and not event.user_data:
        bare: list[Text] = ["" if value is None else text_of(value) for value in inserts]
        add_inserts(event.data, event.provider, event.code, bare[:MAX_INSERTS])
        event.irregular = event.irregular or len(bare) > MAX_INSERTS


def _read_text(event: WindowsEvent, text: str) -> None:
    if text.lstrip()[:1] == "{":
        try:
            values = orjson.loads(text)
        except orjson.JSONDecodeError:
            values = {}
        merge_object(event.data, values)
        whole = bool(values)
    else:
        whole = xml_event.read_event_data(text, event.data)
    if not whole:
        event.irregular = True
        event.out["winlog.shipper.EventData"] = text


def _params(text: str) -> list[str]:
    """Returns the values of ``<Param>a</Param><Param>b</Param>``."""
    return [
        xml_event.unescape(part.partition("</Param>")[0])
        for part in text.split("<Param>", MAX_INSERTS + 1)[1:]
    ]
