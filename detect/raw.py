"""Events as they are, for `--raw`: the rules' own field names on the sender's JSON.

Windows events in their nested shapes (``Event.System``/``EventData``, Winlogbeat's ``winlog``) are
read by their own field names. Everything else is flattened to dotted names; the objects stay
beside their members, so that a rule may also look into the whole of one.
"""

from collections.abc import Mapping
from typing import Any

from detect.rule import LogSource
from detect.text import fold

MAX_DEPTH = 32
MAX_FIELDS = 20_000
NOT_NAMED: LogSource = ("", "", "")


def flatten_raw(event: dict[str, Any]) -> dict[str, Any]:
    """Returns the event with the names that rules use.

    Deeper than 32 levels, and beyond 20,000 fields, an object stays whole. An event without
    nested objects is returned itself.
    """
    if _is_flat(event):
        return event
    inner = event.get("Event")
    if isinstance(inner, Mapping) and isinstance(inner.get("System"), Mapping):
        return _windows_event(inner)
    winlog = event.get("winlog")
    if isinstance(winlog, Mapping) and "channel" in winlog:
        return _winlogbeat(event, winlog)
    flat: dict[str, Any] = {}
    for key, value in event.items():
        _flatten(key, value, flat, 1)
    return flat


def _is_flat(event: dict[str, Any]) -> bool:
    kinds = set(map(type, event.values()))  # faster than a loop, which few events need
    if dict in kinds:
        return False
    if list in kinds:
        for value in event.values():
            if value.__class__ is list and dict in map(type, value):
                return False
    return True


def _has_objects(value: Any) -> bool:
    return value.__class__ is list and dict in map(type, value)


def _flatten(name: str, value: Any, flat: dict[str, Any], depth: int) -> None:
    if value.__class__ is dict:
        flat[name] = value
        if depth >= MAX_DEPTH or len(flat) >= MAX_FIELDS:
            return
        for key, part in value.items():
            _flatten(f"{name}.{key}", part, flat, depth + 1)
    elif _has_objects(value):
        _flatten_list(name, value, flat, depth)
    else:
        _put(flat, name, value)


def _flatten_list(name: str, values: list[Any], flat: dict[str, Any], depth: int) -> None:
    """Puts a list of objects below one name: each member's field joins the others of its name."""
    flat[name] = values
    for part in values:
        if part.__class__ is dict and depth < MAX_DEPTH and len(flat) < MAX_FIELDS:
            below: dict[str, Any] = {}
            for key, inner in part.items():
                _flatten(f"{name}.{key}", inner, below, depth + 1)
            for key, inner in below.items():
                _put(flat, key, inner)


def _put(flat: dict[str, Any], name: str, value: Any) -> None:
    if name not in flat:
        flat[name] = value
        return
    old = flat[name]
    flat[name] = (old if isinstance(old, list) else [old]) + (
        value if isinstance(value, list) else [value]
    )


def _windows_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the JSON form of an EVTX record: System first, then what the provider sent.

    Attributes in System are named ``Provider_Name``, ``Execution_ProcessID`` (specification 2.1,
    rules, Field Usage).
    """
    flat: dict[str, Any] = {}
    for key, value in event["System"].items():
        if value.__class__ is not dict:
            flat[key] = value
            continue
        flat[key] = _element(value)
        attributes = value.get("#attributes")
        if attributes.__class__ is dict:
            for name, attribute in attributes.items():
                flat[f"{key}_{name}"] = attribute
    for part in ("EventData", "UserData"):
        data = event.get(part)
        if isinstance(data, Mapping):
            _provider_data(data, flat)
    return flat


def _provider_data(data: Mapping[str, Any], flat: dict[str, Any]) -> None:
    for key, value in data.items():
        if key == "#attributes":
            continue
        if isinstance(value, Mapping) and "#text" not in value:
            _provider_data(value, flat)
        else:
            flat.setdefault(key, _element(value))
            if " " in key:
                flat.setdefault(key.replace(" ", ""), _element(value))


def _element(value: Any) -> Any:
    """Returns the text of an XML element; ``EventID`` may be ``{"#text": 1, "#attributes"..}``."""
    return value["#text"] if isinstance(value, Mapping) and "#text" in value else value


def _winlogbeat(event: Mapping[str, Any], winlog: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {
        "Channel": winlog["channel"],
        "EventID": winlog.get("event_id"),
        "Provider_Name": winlog.get("provider_name"),
        "Computer": winlog.get("computer_name"),
        "Message": event.get("message"),
    }
    for part in ("event_data", "user_data"):
        data = winlog.get(part)
        if isinstance(data, Mapping):
            _provider_data(data, flat)
    return flat


def declared(event: Mapping[str, Any]) -> LogSource:
    """Returns the logsource that a raw event names itself, or shows by its shape.

    ``product``, ``category`` and ``service`` of the event count; else CloudTrail and Zeek records
    are known by fields that each has and nothing else does.
    """
    own = named(event)
    if own != NOT_NAMED:
        return own
    if "eventSource" in event and "eventName" in event:
        return ("aws", "", "cloudtrail")
    if isinstance(path := event.get("_path"), str):
        return ("zeek", "", path[:40])
    return own


def named(event: Mapping[str, Any]) -> LogSource:
    """Returns what the event itself says in ``product``, ``category`` and ``service``."""
    return (_name(event, "product"), _name(event, "category"), _name(event, "service"))


def _name(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    return fold(value) if isinstance(value, str) and len(value) <= 40 else ""
