"""Microsoft Defender for Endpoint alerts, as its own API delivers them.

Format: "List alerts API" of Defender for Endpoint (``/api/alerts``, also with evidence expanded).
Agent: a collector of the API. The machine is ``host.*``, the account ``user.*``, the evidence
``file.*`` and ``process.*``, the title ``message``. All fields are below
``microsoft.defender_endpoint.``. Dataset ``microsoft_defender_endpoint.log``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.microsoft import azure
from normalize.microsoft.defender_evidence import read_entities
from normalize.microsoft.m365_types import SEVERITIES
from normalize.microsoft.record import copy, mapping, objects, snake, spread, text
from normalize.parsers.defender_incident import set_span
from samlog.event import Event, RawEvent

NAME = "defender_endpoint"
VERSION = 2
HINTS = frozenset({"microsoft_defender_endpoint.log", "defender_atp"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"category": "antivirus"},)
LOG_CLASSES = ("LC-06",)
CONTENT = "json"
ORDER = 40

_PREFIX = "microsoft.defender_endpoint"
_COPIED = (
    ("category", "event.action"),
    ("title", "message"),
    ("description", "rule.description"),
    ("detectionSource", "observer.name"),
    ("aadTenantId", "cloud.account.id"),
    ("machineId", "cloud.instance.id"),
    ("computerDnsName", "host.hostname"),
    ("firstEventTime", "event.start"),
    ("lastEventTime", "event.end"),
    ("threatFamilyName", "threat.software.name"),
)
_TYPES = {"new": ("creation", "start"), "inprogress": ("change",), "resolved": ("end",)}
"""Status → event.type."""


def matches(raw: RawEvent) -> bool:
    """An alert with its machine and its time of creation."""
    record = raw.json
    return (
        record is not None
        and "alertCreationTime" in record
        and ("machineId" in record or "computerDnsName" in record)
    )


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = raw.json or {}
    event: Event = {
        "event.dataset": "microsoft_defender_endpoint.log",
        "event.kind": "alert",
        "event.provider": "defender_endpoint",
        "observer.vendor": "Microsoft",
        "observer.product": "Defender for Endpoint",
        "cloud.provider": "azure",
    }
    event["@timestamp"] = azure.parse_time(text(record, "lastUpdateTime", "alertCreationTime"))
    event["event.created"] = azure.parse_time(text(record, "alertCreationTime"))
    copy(event, record, _COPIED)
    if name := text(record, "computerDnsName"):
        event["host.name"] = name.lower()
    set_span(event)
    severity = SEVERITIES.get(text(record, "severity").lower())
    if severity:
        event["event.severity"] = severity
    user = mapping(record.get("relatedUser"))
    copy(event, user, (("userName", "user.name"), ("domainName", "user.domain")))
    names = [text(record, key) for key in ("threatName", "threatFamilyName", "title")]
    event[f"{_PREFIX}.threat_names"] = [name for name in names if name]
    evidence = objects(record.get("evidence"))
    read_entities(event, evidence)
    _meaning(event, record, evidence)
    if identity := text(record, "id"):
        event["samlog.origin"] = f"defender|{identity}|{text(record, 'lastUpdateTime')}"
    spread(event, _PREFIX, record, snake)
    return event


def _meaning(event: Event, record: Mapping[str, Any], evidence: list[dict[str, Any]]) -> None:
    categories = ["host"]
    kinds = {text(item, "entityType") for item in evidence}
    if text(record, "category") == "Malware":
        categories.append("malware")
    if "Process" in kinds:
        categories.append("process")
    types = _TYPES.get(text(record, "status").lower(), ())
    if "User" in kinds:
        types = ("access", *types)
    event["event.category"], event["event.type"] = categories, list(types) or ["info"]
