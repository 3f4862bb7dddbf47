"""Microsoft Entra ID Protection: risky users, risk detections, also of workload identities.

Format: the Graph types riskDetection, riskyUser, servicePrincipalRiskDetection and
riskyServicePrincipal; categories and tables of the same names. Agent: a diagnostic setting of
Entra ID to an Event Hub, or the Graph API. ID Protection's fields are below
``azure.identityprotection.``; what rules read is
``azure.identityprotection.properties.risk_event_type``. Dataset ``azure.identity_protection``.
"""

from normalize.microsoft import azure
from normalize.microsoft.record import (
    copy,
    inner,
    named_values,
    plain,
    set_account,
    set_client,
    snake,
    spread,
    text,
)
from samlog.event import Event, RawEvent

NAME = "entra_idprotection"
VERSION = 2
HINTS = frozenset({"entra_risk", "azure.identity_protection", "entra"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "azure", "service": "riskdetection"},)
LOG_CLASSES = ("LC-23",)
CONTENT = "json"
ORDER = 40

CATEGORIES = frozenset(
    ("RiskyUsers", "UserRiskEvents", "RiskyServicePrincipals", "ServicePrincipalRiskEvents")
)
TABLES = frozenset(
    ("AADRiskyUsers", "AADUserRiskEvents", "AADRiskyServicePrincipals")
    + ("AADServicePrincipalRiskEvents",)
)
_PREFIX = "azure.identityprotection"
_TIMES = ("detectedDateTime", "riskLastUpdatedDateTime", "lastUpdatedDateTime", "activityDateTime")


def matches(raw: RawEvent) -> bool:
    """A record of one of the categories or tables, or a risk object of Graph."""
    record = raw.json
    if record is None:
        return False
    if azure.category(record) in CATEGORIES or azure.table(record) in TABLES:
        return True
    if "riskState" not in record or "riskLevel" not in record:
        return False
    return "riskEventType" in record or "riskLastUpdatedDateTime" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = azure.read_record(raw.json or {})
    own = record.properties
    event = azure.start("azure.identity_protection", record, _PREFIX)
    if "event.action" not in event:
        event["event.action"] = "User Risk Detection" if "riskEventType" in own else "Risky user"
    for key in _TIMES:
        if "@timestamp" not in event and own.get(key):
            event["@timestamp"] = azure.parse_time(own[key])
    if "riskEventType" in own and (identity := text(own, "id")):
        event["samlog.origin"] = f"entra|{identity}|{own.get('lastUpdatedDateTime', '')}"
    address = text(own, "ipAddress") or text(record.top, "callerIpAddress")
    set_client(event, address, "source")
    copy(event, own, (("userId", "user.id"), ("userDisplayName", "user.full_name")))
    if account := text(own, "userPrincipalName"):
        set_account(event, "user", account)
        event["related.user"] = [account]
    more = inner(own.get("additionalInfo"))
    details = named_values(more, "Key", "Value")
    if agent := text(details, "userAgent"):
        event["user_agent.original"] = agent
    spread(event, f"{_PREFIX}.properties.additional_info", details, plain)
    rest = {**own, "additionalInfo": None if details else more}
    spread(event, f"{_PREFIX}.properties", rest, snake)
    return event
