"""Winlogbeat and Elastic Agent: nested ``winlog`` in ECS, and the flat form before version 7."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from normalize.windows.record import WindowsEvent, flatten, safe_name, text_of
from normalize.windows.system import identify, set_keywords, set_level
from normalize.windows.times import utc_ms
from samlog.event import Event

ECS_ROOTS = frozenset(
    [
        "@timestamp",
        "agent",
        "client",
        "cloud",
        "container",
        "destination",
        "device",
        "dll",
        "dns",
        "elastic_agent",
        "error",
        "event",
        "faas",
        "file",
        "group",
        "host",
        "http",
        "input",
        "labels",
        "log",
        "message",
        "network",
        "observer",
        "orchestrator",
        "organization",
        "package",
        "process",
        "registry",
        "related",
        "rule",
        "server",
        "service",
        "source",
        "tags",
        "threat",
        "tls",
        "trace",
        "transaction",
        "url",
        "user",
        "user_agent",
        "vulnerability",
    ]
)
PLAIN = frozenset(("@timestamp", "message", "tags", "labels"))
"""Top-level fields of ECS that are no objects; another one that is none goes to winlog.shipper."""
OURS = frozenset(("ecs", "samlog", "data_stream"))
"""Written by normalise itself, whatever a shipper says."""

OLD_NAMES = {
    "source_name": "winlog.provider_name",
    "provider_guid": "winlog.provider_guid",
    "log_name": "winlog.channel",
    "computer_name": "winlog.computer_name",
    "process_id": "winlog.process.pid",
    "thread_id": "winlog.process.thread.id",
    "opcode": "winlog.opcode",
    "task": "winlog.task",
    "version": "winlog.version",
    "activity_id": "winlog.activity_id",
    "related_activity_id": "winlog.related_activity_id",
    "message": "message",
    "message_error": "error.message",
    "tags": "tags",
}
OLD_OBJECTS = {"beat": "agent", "agent": "agent", "host": "host", "fields": "labels"}


def read(obj: Mapping[str, Any]) -> WindowsEvent:
    """Reads ``{"winlog": {...}, "event": {...}, ...}``; keys may be nested or dotted."""
    event = WindowsEvent()
    out = event.out
    for key, value in obj.items():
        root = key.partition(".")[0]
        if root == "winlog":
            if key != "winlog":
                _read_dotted(event, key, value)
            continue
        if root not in ECS_ROOTS:
            if root not in OURS:
                flatten("winlog.shipper." + safe_name(key), value, out)
        elif type(value) is str and (key in PLAIN or "." in key):
            out[key] = value
        elif key == "host" and isinstance(value, str):
            out["host.name"] = value
        elif isinstance(value, dict) or key in PLAIN:
            flatten(key, value, out)
        else:
            flatten("winlog.shipper." + safe_name(key), value, out)
    out.pop("event.original", None)
    winlog = obj.get("winlog")
    if isinstance(winlog, dict):
        _read_winlog(event, winlog)
    code = out.get("winlog.event_id", out.get("event.code", ""))
    identify(event, out.get("winlog.channel", ""), out.get("winlog.provider_name", ""), code)
    level = out.get("winlog.level")
    if level and "log.level" not in out:
        out["log.level"] = level
    event.when = partial(_time, out.get("winlog.time_created"), out.get("@timestamp"))
    return event


def _time(*candidates: Any) -> str:
    for text in candidates:
        if text is not None and (instant := utc_ms(str(text))):
            return instant
    return ""


def _read_dotted(event: WindowsEvent, key: str, value: Any) -> None:
    """Takes one ``winlog.*`` key of an object whose keys are dotted."""
    for prefix, target in (
        ("winlog.event_data.", event.data),
        ("winlog.user_data.", event.user_data),
    ):
        if key.startswith(prefix) and value is not None:
            target[key[len(prefix) :]] = text_of(value)
            return
    _read_winlog(event, {key.removeprefix("winlog."): value})


def _read_winlog(event: WindowsEvent, winlog: Mapping[str, Any]) -> None:
    out = event.out
    for key, value in winlog.items():
        if key == "event_data" and isinstance(value, dict):
            _read_fields(value, event.data)
        elif key == "user_data" and isinstance(value, dict):
            _read_fields(value, event.user_data)
        elif key == "keywords":
            set_keywords(out, value)
        elif type(value) is str:
            out["winlog." + safe_name(key)] = value
        else:
            flatten("winlog." + safe_name(key), value, out)
    for name in ("winlog.record_id", "winlog.event_id"):
        if name in out:
            out[name] = str(out[name])


def _read_fields(source: Mapping[str, Any], target: dict[str, Any]) -> None:
    for name, value in source.items():
        if type(value) is str:
            target[name] = value
        elif isinstance(value, dict):
            nested: Event = {}
            flatten(name, value, nested)
            target.update((inner, text_of(leaf)) for inner, leaf in nested.items())
        elif value is not None:
            target[name] = text_of(value)


def read_old(obj: Mapping[str, Any]) -> WindowsEvent:
    """Reads what Winlogbeat wrote before version 7: the fields of ``winlog`` at the top."""
    event = WindowsEvent()
    out = event.out
    for key, value in obj.items():
        if value is None or key in ("event_id", "type") or key in OURS:
            continue
        if key == "event_data" and isinstance(value, dict):
            _read_fields(value, event.data)
        elif key == "user_data" and isinstance(value, dict):
            _read_fields(value, event.user_data)
        elif key == "user" and isinstance(value, dict):
            flatten("winlog.user", value, out)
        elif key == "keywords":
            set_keywords(out, value)
        elif key == "level":
            set_level(out, value)
        elif key == "record_number":
            out["winlog.record_id"] = str(value)
        elif key in OLD_NAMES:
            out[OLD_NAMES[key]] = value
        elif key in OLD_OBJECTS:
            field = "host.name" if key == "host" and isinstance(value, str) else OLD_OBJECTS[key]
            flatten(field, value, out)
        elif key == "@timestamp":
            event.when = partial(_time, value)
        else:
            flatten("winlog.shipper." + safe_name(key), value, out)
    identify(
        event,
        out.get("winlog.channel", ""),
        out.get("winlog.provider_name", ""),
        obj.get("event_id", ""),
    )
    return event
