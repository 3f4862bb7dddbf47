"""Microsoft Entra ID provisioning: accounts and groups created, changed, deleted in other systems.

Format: the Graph type provisioningObjectSummary and the table AADProvisioningLogs. Agent: a
diagnostic setting of Entra ID (ProvisioningLogs) to an Event Hub, or the Graph API. The service's
own fields are below ``azure.provisioning.``. Dataset ``azure.provisioning``.
"""

from normalize.microsoft import azure
from normalize.microsoft.record import copy, mapping, snake, spread, text
from samlog.event import Event, RawEvent

NAME = "entra_provisioning"
VERSION = 1
HINTS = frozenset({"azure.provisioning", "entra"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[dict[str, str], ...] = ({"product": "azure"},)
LOG_CLASSES = ("LC-02",)
CONTENT = "json"
ORDER = 40

_PREFIX = "azure.provisioning"


def matches(raw: RawEvent) -> bool:
    """A record of the category or table of provisioning, or its object of Graph."""
    record = raw.json
    if record is None:
        return False
    if azure.category(record) == "ProvisioningLogs":
        return True
    if azure.table(record) == "AADProvisioningLogs":
        return True
    return "provisioningAction" in record and "jobId" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = azure.read_record(raw.json or {})
    own = record.properties
    event = azure.start("azure.provisioning", record, _PREFIX)
    if "event.action" not in event:
        event["event.action"] = "Provisioning activity"
    if "@timestamp" not in event:
        event["@timestamp"] = azure.parse_time(own.get("activityDateTime"))
    status = mapping(own.get("provisioningStatusInfo"))
    azure.set_outcome(event, record.top.get("resultType"), status.get("status"))
    reason = mapping(status.get("errorInformation"))
    copy(event, reason, (("reason", "error.message"), ("errorCode", "error.code")))
    if identity := text(own, "id"):
        event["samlog.origin"] = f"entra|{identity}"
    spread(event, f"{_PREFIX}.properties", own, snake)
    return event
