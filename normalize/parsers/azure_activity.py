"""Azure activity log: who created, changed or deleted which resource of a subscription.

Format: "Azure activity log event schema", as a diagnostic setting of a subscription sends it to
an Event Hub or storage account, and the table AzureActivity. The operation is ``event.action``,
the caller ``user.*`` (from the claims of the token) and ``source.ip``, the resource
``azure.resource.*``. All other fields are below ``azure.activitylogs.``. Dataset
``azure.activitylogs``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.microsoft import azure
from normalize.microsoft.record import (
    copy,
    mapping,
    plain,
    set_account,
    set_client,
    snake,
    spread,
    text,
)
from samlog.event import Event, RawEvent

NAME = "azure_activity"
VERSION = 1
HINTS = frozenset({"azure.activitylogs"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "azure", "service": "activitylogs"},)
LOG_CLASSES = ("LC-23",)
CONTENT = "json"
ORDER = 41

CATEGORIES = frozenset(
    ("Administrative", "ServiceHealth", "ResourceHealth", "Alert", "Autoscale", "Security")
    + ("Policy", "Recommendation", "Action", "Write", "Delete", "Read")
)
_PREFIX = "azure.activitylogs"
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"


def matches(raw: RawEvent) -> bool:
    """A record about a resource in one of the activity log's categories, or a row of its table."""
    record = raw.json
    if record is None:
        return False
    if azure.table(record) == "AzureActivity" or "OperationNameValue" in record:
        return True
    if azure.category(record) not in CATEGORIES:
        return False
    return "identity" in record or "correlationId" in record or "ReleaseVersion" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    whole = raw.json or {}
    record = _row(whole) if "OperationNameValue" in whole else azure.read_record(whole)
    own = record.properties
    identity = mapping(record.top.get("identity"))
    top = {key: value for key, value in record.top.items() if key != "identity"}
    event = azure.start("azure.activitylogs", azure.Record(top, own), _PREFIX)
    if not identity:
        copy(event, record.top, (("identity", f"{_PREFIX}.identity_name"),))
    _type(event, text(record.top, "category").lower())
    provider, slash, _ = str(event.get("event.action", "")).partition("/")
    if slash:
        event[f"{_PREFIX}.resource_provider"] = provider
    azure.set_outcome(
        event, record.top.get("resultType"), own.get("result"), record.top.get("resultSignature")
    )
    set_client(event, record.top.get("callerIpAddress"), "source", "client")
    copy(event, own, (("statusMessage", "message"),))
    _who(event, identity, text(record.top, "caller"))
    spread(event, f"{_PREFIX}.properties", own, snake)
    return event


def _type(event: Event, category: str) -> None:
    last = str(event.get("event.action", "")).rpartition("/")[2].lower()
    kind = azure.TYPES.get(category) or (
        azure.TYPES.get(last) if category == "administrative" else None
    )
    if kind:
        event["event.type"] = [kind]


def _who(event: Event, identity: Mapping[str, Any], caller: str) -> None:
    claims = mapping(identity.get("claims"))
    account = text(claims, _CLAIMS + "name", _CLAIMS + "upn") or caller
    if account:
        set_account(event, "user", account)
        if "user.domain" in event:
            event["user.email"] = account
    copy(event, claims, (("name", "user.full_name"),))
    spread(event, f"{_PREFIX}.identity.claims", claims, plain)
    rest = {key: value for key, value in identity.items() if key != "claims"}
    spread(event, f"{_PREFIX}.identity", rest)


def _row(row: Mapping[str, Any]) -> azure.Record:
    """Returns a row of the table AzureActivity, whose columns differ from those of other tables."""
    record = azure.read_record(row)
    top = {
        **record.top,
        "operationName": text(row, "OperationNameValue"),
        "category": text(row, "CategoryValue", "Category"),
        "resultType": text(row, "ActivityStatusValue", "ActivityStatus"),
        "resultSignature": text(row, "ActivitySubstatusValue"),
        "caller": text(row, "Caller"),
        "identity": {
            "claims": mapping(row.get("Claims")),
            "authorization": mapping(row.get("Authorization")),
        },
    }
    return azure.Record(top, record.properties)
