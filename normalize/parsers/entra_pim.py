"""Microsoft Entra Privileged Identity Management: its security alerts and their incidents.

Format: the Graph type unifiedRoleManagementAlert and its incidents
(``noMfaOnRoleActivationAlertIncident``, ``staleSignInAlertIncident`` ..). Agent: a collector of the
Graph API. What PIM does to roles is in the audit logs (see entra_audit). PIM's own fields are below
``azure.pim.``; ``azure.pim.risk_event_type`` is the alert's type, which rules read. Dataset
``azure.pim``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.microsoft import azure
from normalize.microsoft.record import copy, objects, set_account, snake, spread, text
from samlog.event import Event, RawEvent

NAME = "entra_pim"
VERSION = 1
HINTS = frozenset({"azure.pim", "entra"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "azure", "service": "pim"},)
LOG_CLASSES = ("LC-03",)
CONTENT = "json"
ORDER = 39

_PREFIX = "azure.pim"
_GRAPH = "#microsoft.graph."


def matches(raw: RawEvent) -> bool:
    """A role management alert or one of its incidents, as Graph returns them."""
    record = raw.json
    if record is None:
        return False
    if _type(record) == "unifiedRoleManagementAlert" or _type(record).endswith("AlertIncident"):
        return True
    return "alertDefinitionId" in record and "incidentCount" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = raw.json or {}
    event: Event = {
        "event.dataset": "azure.pim",
        "event.kind": "alert",
        "event.category": ["iam"],
        "event.type": ["info"],
        "cloud.provider": "azure",
    }
    kind = _risk(record)
    if kind:
        event["event.action"] = event[f"{_PREFIX}.risk_event_type"] = kind
    for key in ("lastModifiedDateTime", "activationTime", "createdDateTime", "lastScannedDateTime"):
        if "@timestamp" not in event and text(record, key):
            event["@timestamp"] = azure.parse_time(record[key])
    copy(event, record, (("assigneeId", "user.id"), ("assigneeDisplayName", "user.full_name")))
    set_account(event, "user", text(record, "assigneeUserPrincipalName"))
    spread(event, _PREFIX, record, snake)
    return event


def _type(record: Mapping[str, Any]) -> str:
    found = text(record, "@odata.type")
    return found.removeprefix(_GRAPH) if found.startswith(_GRAPH) else ""


def _risk(record: Mapping[str, Any]) -> str:
    """Returns the incident's type: its own, that of the alert's incidents, or by the definition."""
    kind = _type(record)
    if kind and kind != "unifiedRoleManagementAlert":
        return kind
    for incident in objects(record.get("alertIncidents")):
        if kind := _type(incident):
            return kind
    definition = text(record, "alertDefinitionId").rpartition("_")[2]
    return f"{definition}Incident" if definition.endswith("Alert") else definition
