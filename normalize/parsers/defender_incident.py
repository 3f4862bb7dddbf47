"""Microsoft Defender XDR incidents and alerts with their evidence.

Format: the Graph types microsoft.graph.security.incident and .alert (alerts_v2), and the older
"Microsoft 365 Defender incidents API". Agent: a collector of the API. One event an incident; where
the collector took the alerts apart (``alerts`` is one object), one an alert. The evidence is in
ECS as ``host.*``, ``user.*``, ``file.*``, ``process.*``, ``email.*``, lists where there are
several. All fields are below ``m365_defender.incident.``. Datasets ``m365_defender.incident``,
``m365_defender.alert``, ``microsoft.m365_defender`` for the older API.
"""

from collections.abc import Mapping
from typing import Any

from normalize.microsoft import azure
from normalize.microsoft.defender_evidence import read_entities, read_evidence
from normalize.microsoft.m365_types import SEVERITIES
from normalize.microsoft.record import copy, objects, snake, spread, text
from samlog.event import Event, RawEvent

NAME = "defender_incident"
VERSION = 2
HINTS = frozenset({"defender_xdr", "m365_defender.incident", "m365_defender.alert"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"category": "antivirus"},)
LOG_CLASSES = ("LC-06",)
CONTENT = "json"
ORDER = 41

_PREFIX = "m365_defender.incident"
_NAMES = ("threatDisplayName", "threatFamilyName", "title")
_FOUND = {
    "malware": ("malware", "info"),
    "malicioususeractivity": ("malware", "info"),
    "phishing": ("email", "info"),
    "apt": ("threat", "indicator"),
}
"""What an incident was found to be → event.category and event.type."""
_TYPES = {"resolved": "end", "inprogress": "change"}
"""Status of an alert of the older API → event.type."""


def matches(raw: RawEvent) -> bool:
    """An incident with its alerts, or an alert of Graph."""
    record = raw.json
    if record is None:
        return False
    if "incidentWebUrl" in record or "incidentName" in record:
        return "severity" in record
    if "providerAlertId" in record and "serviceSource" in record:
        return True
    alerts = record.get("alerts")
    return "incidentId" in record and isinstance(alerts, dict | list)


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = raw.json or {}
    alone = "providerAlertId" in record
    alerts = [dict(record)] if alone else objects(record.get("alerts"))
    first: Mapping[str, Any] = alerts[0] if alerts else {}
    event: Event = {
        "event.dataset": "m365_defender.alert" if alone else "m365_defender.incident",
        "event.kind": "alert",
    }
    if "incidentName" in record or "alertId" in first:
        _older(event, record, first)
    else:
        _newer(event, record, first)
    evidence = [item for alert in alerts for item in objects(alert.get("evidence"))]
    entities = [item for alert in alerts for item in objects(alert.get("entities"))]
    read_evidence(event, evidence)
    read_entities(event, entities)
    devices = [text(d, "deviceDnsName") for a in alerts for d in objects(a.get("devices"))]
    if any(devices):
        event["related.hosts"] = [name for name in dict.fromkeys(devices) if name]
    names = [text(a, key) for a in alerts for key in _NAMES]
    if any(names):
        event[f"{_PREFIX}.threat_names"] = [name for name in dict.fromkeys(names) if name]
    techniques = [t for a in alerts for t in _texts(a.get("mitreTechniques"))]
    if techniques:
        event["threat.technique.id"] = list(dict.fromkeys(t.partition(".")[0] for t in techniques))
        subs = [t for t in dict.fromkeys(techniques) if "." in t]
        if subs:
            event["threat.technique.subtechnique.id"] = subs
    spread(event, _PREFIX, record, snake)
    return event


def _newer(event: Event, record: Mapping[str, Any], alert: Mapping[str, Any]) -> None:
    event["@timestamp"] = azure.parse_time(
        text(record, "lastUpdateDateTime", "createdDateTime") or text(alert, "createdDateTime")
    )
    event["event.created"] = azure.parse_time(text(record, "createdDateTime"))
    copy(event, record, (("incidentWebUrl", "event.url"), ("tenantId", "cloud.account.id")))
    message = text(record, "displayName") or text(record, "title") or text(alert, "title")
    if message:
        event["message"] = message
    copy(event, alert, (("serviceSource", "event.provider"),))
    copy(
        event,
        alert,
        (("category", "threat.tactic.name"), ("threatFamilyName", "threat.software.name")),
    )
    if identity := text(record, "id"):
        event["samlog.origin"] = f"defender|{identity}|{text(record, 'lastUpdateDateTime')}"
    found = _FOUND.get(text(record, "determination").lower())
    if found:
        event["event.category"], event["event.type"] = [found[0]], [found[1]]
    _severity(event, record)


def _older(event: Event, record: Mapping[str, Any], alert: Mapping[str, Any]) -> None:
    event["@timestamp"] = azure.parse_time(text(record, "lastUpdateTime", "createdTime"))
    event["event.dataset"] = "microsoft.m365_defender"
    event["cloud.provider"] = "azure"
    event["event.category"] = ["host"]
    if text(record, "determination") == "Malware":
        event["event.category"].append("malware")
    if kind := _TYPES.get(text(alert, "status").lower()):
        event["event.type"] = [kind]
    copy(
        event,
        alert,
        (("category", "event.action"), ("serviceSource", "event.provider"))
        + (("title", "message"), ("description", "rule.description"))
        + (("firstActivity", "event.start"), ("lastActivity", "event.end")),
    )
    set_span(event)
    if "message" not in event:
        copy(event, record, (("incidentName", "message"),))
    _severity(event, record)


def set_span(event: Event) -> None:
    """Writes ``event.duration`` in ns where start and end are known."""
    start = azure.parse_time(event.get("event.start"))
    end = azure.parse_time(event.get("event.end"))
    if start is None or end is None or isinstance(start, str) or isinstance(end, str):
        return
    if end >= start:
        event["event.duration"] = round((end - start).total_seconds() * 1e6) * 1_000


def _severity(event: Event, record: Mapping[str, Any]) -> None:
    severity = SEVERITIES.get(text(record, "severity").lower())
    if severity:
        event["event.severity"] = severity


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
