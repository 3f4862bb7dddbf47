"""Azure platform logs: the resource logs of any Azure service that has no parser of its own.

Format: "Azure resource log common and service-specific schemas", as a diagnostic setting sends
them to an Event Hub or storage account, one each or in ``records`` (Key Vault, AKS, Event Hubs,
IoT Hub, SQL, Storage ..). The operation is ``event.action``, the resource ``azure.resource.*``,
the service's own fields are below ``azure.platformlogs.``, JSON within texts taken apart. Rows of
the table AzureDiagnostics too. Key Vault ("Azure Key Vault logging": claims) and Storage ("Azure
Blob Storage monitoring data reference": requester) tell who asked. Dataset ``azure.platformlogs``.
"""

from typing import Any

from normalize.microsoft import azure
from normalize.microsoft.record import (
    copy,
    inner,
    mapping,
    set_account,
    set_client,
    snake,
    spread,
    text,
)
from samlog.event import Event, RawEvent

NAME = "azure_platform"
VERSION = 2
HINTS = frozenset({"azure.platformlogs"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[dict[str, str], ...] = ({"product": "azure"},)
LOG_CLASSES = ("LC-23",)
CONTENT = "json"
ORDER = 60

_PREFIX = "azure.platformlogs"
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_REFUSALS = frozenset((*range(400, 600), *map(str, range(400, 600))))
_OBJECT = "http://schemas.microsoft.com/identity/claims/objectidentifier"


def matches(raw: RawEvent) -> bool:
    """A record of diagnostic settings (a category, a resource by its path), or a row of them."""
    record = raw.json
    if record is None:
        return False
    if azure.table(record) == "AzureDiagnostics":
        return True
    if not azure.category(record):
        return False
    resource = record.get("resourceId")
    return isinstance(resource, str) and resource[:1] == "/" and resource.count("/") > 2


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = azure.read_record(raw.json or {})
    top = record.top
    own = dict(record.properties)
    event = azure.start("azure.platformlogs", record, _PREFIX)
    copy(event, top, (("Region", "cloud.region"),))
    if "event.action" not in event:
        copy(event, top, (("EventName", "event.action"),))
    for key in ("EventTimeString", "EventTime", "eventTime"):
        if "@timestamp" not in event and text(top, key):
            event["@timestamp"] = azure.parse_time(top[key])
    if kind := azure.TYPES.get(text(top, "category").lower()):
        event["event.type"] = [kind]
    written = text(own, "log")
    if written and inner(written) is written:
        event["message"] = written.rstrip()
    azure.set_outcome(
        event,
        *(top.get(key) for key in ("Status", "resultType", "resultSignature", "statusText")),
    )
    if any(_refused(code) for code in (top.get("statusCode"), own.get("httpStatusCode"))):
        event["event.outcome"] = "failure"
    _who(event, top.get("identity"))
    copy(event, own, (("userAgentHeader", "user_agent.original"),))
    set_client(event, top.get("callerIpAddress"), "source", "client")
    own.update(mapping(top.get("EventProperties")))
    spread(event, f"{_PREFIX}.properties", {key: inner(own[key]) for key in own}, snake)
    return event


def _refused(code: Any) -> bool:
    """Key Vault calls a request answered with 403 a success."""
    return isinstance(code, str | int) and code in _REFUSALS


def _who(event: Event, value: Any) -> None:
    """Writes the user by name, and the object id of a user or of an application."""
    identity = mapping(value)
    claims = mapping(identity.get("claim")) or mapping(identity.get("requester"))
    if account := text(claims, "upn", _CLAIMS + "upn", _CLAIMS + "name"):
        set_account(event, "user", account)
        if "user.domain" in event:
            event["user.email"] = account
    if known := text(claims, "objectId", "oid", _OBJECT):
        event["user.id"] = known
