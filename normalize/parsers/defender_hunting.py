"""Microsoft Defender XDR advanced hunting tables: processes, files, network, logons, mail, apps.

Format: "Understand the advanced hunting schema". Agent: Defender's streaming API to an Event Hub
(``category`` is ``AdvancedHunting-<table>``), or rows of the same tables in Sentinel (``Type``).
Device events have the process that acted as ``process.*`` (``process.parent.*`` where the row is
about a process itself), so that rules for Windows process creation, files, registry, network and
image loads read them. All columns are below ``m365_defender.event.``. Dataset
``m365_defender.event``.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from normalize.microsoft import azure
from normalize.microsoft.defender_device import CATEGORIES, read_device
from normalize.microsoft.defender_other import (
    ALERTS,
    BEHAVIORS,
    IDENTITY,
    MAIL,
    read_alert,
    read_behavior,
    read_identity,
    read_mail,
)
from normalize.microsoft.record import json_text, mapping, plain, snake, spread, text
from samlog.event import Event, RawEvent

NAME = "defender_hunting"
VERSION = 3
HINTS = frozenset({"defender_xdr", "m365_defender.event"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = (
    {"product": "windows", "category": "process_creation"},
    {"product": "windows", "category": "network_connection"},
    {"product": "windows", "category": "file_event"},
    {"product": "windows", "category": "registry_set"},
    {"product": "windows", "category": "image_load"},
    {"category": "antivirus"},
)
LOG_CLASSES = ("LC-06",)
CONTENT = "json"
ORDER = 39

_PREFIX = "m365_defender.event"
_HUNTING = "AdvancedHunting-"
_TABLES = frozenset(CATEGORIES) | IDENTITY | MAIL | ALERTS | BEHAVIORS
_GROUPS = (
    *(("InitiatingProcess", "initiating_process"), ("Process", "process"), ("Account", "account")),
    *(("Device", "device"), ("Registry", "registry"), ("Remote", "remote"), ("Local", "local")),
    *(("RequestAccount", "request.account"), ("Request", "request"), ("Sender", "sender")),
    *(("Recipient", "recipient"), ("File", "file"), ("Logon", "logon"), ("Target", "target")),
    *(("Certificate", "certificate"), ("Destination", "destination"), ("Previous", "previous")),
)
"""Beginnings of column names that stand before a level of their own, as Elastic has them."""
_SPECIAL = {"ActionType": "action.type", "OSPlatform": "os.platform", "OSVersion": "os.version"}
_OUTER = frozenset(("category", "properties"))
_NESTED = ("AdditionalFields", "RawEventData")


def matches(raw: RawEvent) -> bool:
    """A record of Defender's streaming API, or a row of one of its tables in Sentinel."""
    record = raw.json
    if record is None:
        return False
    category = record.get("category")
    if isinstance(category, str) and category.startswith(_HUNTING):
        return "properties" in record
    return azure.table(record) in _TABLES


def parse(raw: RawEvent) -> Event:
    """Returns the event; of a table that it does not know, with what columns say in all tables."""
    record = raw.json or {}
    table, row = _row(record)
    event: Event = {"event.dataset": "m365_defender.event", "event.kind": "event"}
    event["@timestamp"] = azure.parse_time(
        text(row, "Timestamp") or text(record, "TimeGenerated", "time")
    )
    event[f"{_PREFIX}.category"] = _HUNTING + table
    if row is not record:
        spread(event, _PREFIX, {key: record[key] for key in record if key not in _OUTER})
    if action := text(row, "ActionType"):
        event["event.action"] = action.lower().replace(" ", "-")
    if table in CATEGORIES:
        read_device(event, table, row)
    elif table in IDENTITY:
        read_identity(event, table, row)
    elif table in MAIL:
        read_mail(event, table, row)
    elif table in ALERTS:
        read_alert(event, table, row)
    else:
        read_behavior(event, table, row)
    _columns(event, row)
    return event


def _row(record: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    category = text(record, "category")
    if category.startswith(_HUNTING):
        return category.removeprefix(_HUNTING), mapping(record.get("properties"))
    return azure.table(record), record


def _columns(event: Event, row: Mapping[str, Any]) -> None:
    rest = dict(row)
    for key in _NESTED:
        fields = mapping(rest.get(key))
        if fields:
            prefix = f"{_PREFIX}.{snake(key)}"
            spread(event, prefix, fields, plain)
            rest[key] = json_text(fields)
    spread(event, _PREFIX, rest, _column)


def _column(name: str) -> str:
    return _column_of(name) if len(name) <= 128 else snake(name)


@lru_cache(maxsize=4096)
def _column_of(name: str) -> str:
    """Returns ``InitiatingProcessFileName`` as ``initiating_process.file_name``."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    for beginning, level in _GROUPS:
        rest = name.removeprefix(beginning)
        if rest != name and rest[:1].isupper():
            return f"{level}.{snake(rest)}"
    return snake(name)
