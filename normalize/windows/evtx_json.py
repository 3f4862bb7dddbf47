"""EVTX as JSON, as the ``evtx`` crate and evtx_dump print it: ``{"Event": {"System": {..}, ..}}``.

Attributes stand in ``#attributes`` or, separated, in a neighbour called ``<name>_attributes``.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from normalize.windows.record import WindowsEvent, text_of
from normalize.windows.system import (
    identify,
    set_keywords,
    set_level,
    set_number,
    set_opcode,
    set_task,
)
from normalize.windows.times import utc_ms
from normalize.windows.xml_event import add


def read(obj: Mapping[str, Any]) -> WindowsEvent:
    """Reads ``Event`` or an object that has System at its top."""
    root = obj.get("Event")
    if not isinstance(root, dict):
        root = obj
    event = WindowsEvent()
    system = root.get("System")
    if isinstance(system, dict):
        _read_system(event, system)
    else:
        event.irregular = True
    _read_event_data(event, root.get("EventData"))
    user_data = root.get("UserData")
    if isinstance(user_data, dict):
        for name, value in user_data.items():
            if name != "#attributes" and not name.endswith("_attributes"):
                event.user_data.setdefault("xml_name", name)
                _read_leaves(event, value, 0)
    return event


def _attributes(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    inner = value.get("#attributes") if isinstance(value, dict) else None
    beside = parent.get(name + "_attributes")
    for found in (inner, beside, value):
        if isinstance(found, dict):
            return found
    return {}


def _text(parent: Mapping[str, Any], name: str) -> str:
    value = parent.get(name)
    if isinstance(value, dict):
        value = value.get("#text")
    return "" if value is None else str(text_of(value))


def _read_system(event: WindowsEvent, system: Mapping[str, Any]) -> None:
    out = event.out
    provider = _attributes(system, "Provider")
    for name, field in (
        ("Guid", "winlog.provider_guid"),
        ("EventSourceName", "winlog.event_source_name"),
    ):
        if value := provider.get(name):
            out[field] = str(value)
    if qualifiers := _attributes(system, "EventID").get("Qualifiers"):
        out["winlog.qualifiers"] = str(qualifiers)
    for name, take in (
        ("Level", set_level),
        ("Task", set_task),
        ("Opcode", set_opcode),
        ("Keywords", set_keywords),
    ):
        if text := _text(system, name):
            take(out, text)
    for name, field in (
        ("EventRecordID", "winlog.record_id"),
        ("Computer", "winlog.computer_name"),
    ):
        if text := _text(system, name):
            out[field] = text
    set_number(out, "winlog.version", _text(system, "Version"))
    execution = _attributes(system, "Execution")
    set_number(out, "winlog.process.pid", execution.get("ProcessID", ""))
    set_number(out, "winlog.process.thread.id", execution.get("ThreadID", ""))
    if sid := _attributes(system, "Security").get("UserID"):
        out["winlog.user.identifier"] = str(sid)
    correlation = _attributes(system, "Correlation")
    for name, field in (
        ("ActivityID", "winlog.activity_id"),
        ("RelatedActivityID", "winlog.related_activity_id"),
    ):
        if value := correlation.get(name):
            out[field] = str(value)
    created = str(_attributes(system, "TimeCreated").get("SystemTime", ""))
    if created:
        out["winlog.time_created"] = created
        event.when = partial(utc_ms, created)
    identify(
        event,
        _text(system, "Channel"),
        provider.get("Name") or provider.get("EventSourceName") or "",
        _text(system, "EventID"),
    )


def _read_event_data(event: WindowsEvent, payload: Any) -> None:
    """Takes named fields; ``Data: {"#text": [..]}`` are unnamed Data, ``Binary`` stays itself."""
    if not isinstance(payload, dict):
        return
    data = event.data
    for name, value in payload.items():
        if name == "#attributes" or value is None:
            continue
        if isinstance(value, dict):
            value = value.get("#text")
            if value is None:
                continue
        if name == "Data":
            unnamed = [
                str(text_of(item)) for item in (value if isinstance(value, list) else [value])
            ]
            data["Data"] = unnamed
            for number, text in enumerate(unnamed, 1):
                data.setdefault(f"param{number}", text)
        else:
            data[name] = text_of(value)


def _read_leaves(event: WindowsEvent, value: Any, depth: int) -> None:
    if not isinstance(value, dict) or depth > 8:
        return
    for name, inner in value.items():
        if name == "#attributes" or inner is None:
            continue
        if isinstance(inner, dict):
            if "#text" in inner:
                add(event.user_data, name, str(text_of(inner["#text"])))
            else:
                _read_leaves(event, inner, depth + 1)
        else:
            for item in inner if isinstance(inner, list) else [inner]:
                add(event.user_data, name, str(text_of(item)))
