"""Microsoft Entra ID sign-ins: interactive, non-interactive, service principal, managed identity.

Also those of AD FS (ADFSSignInLogs). Format: the Graph type signIn and the tables SigninLogs,
AADNonInteractiveUserSignInLogs, AADServicePrincipalSignInLogs and AADManagedIdentitySignInLogs.
Agent: a diagnostic setting of Entra ID to an Event Hub, or the Graph API. The account is
``user.*``, its address ``source.*``, the result ``event.outcome`` (error code 0 is success).
All of Entra's own fields are below ``azure.signinlogs.``. Dataset ``azure.signinlogs``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.microsoft import azure
from normalize.microsoft.record import (
    copy,
    json_text,
    mapping,
    named_values,
    plain,
    set_account,
    set_client,
    spread,
    text,
)
from samlog.event import Event, RawEvent

NAME = "entra_signin"
VERSION = 1
HINTS = frozenset({"azure.signinlogs", "entra"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "azure", "service": "signinlogs"},)
LOG_CLASSES = ("LC-23",)
CONTENT = "json"
ORDER = 40

CATEGORIES = frozenset(
    ("SignInLogs", "NonInteractiveUserSignInLogs", "ServicePrincipalSignInLogs")
    + ("ManagedIdentitySignInLogs", "MicrosoftServicePrincipalSignInLogs", "ADFSSignInLogs")
)
TABLES = frozenset(
    ("SigninLogs", "AADNonInteractiveUserSignInLogs", "AADServicePrincipalSignInLogs")
    + ("AADManagedIdentitySignInLogs", "ADFSSignInLogs")
)
_PREFIX = "azure.signinlogs"
_SPECIAL = {
    "createdDateTime": "created_at",
    "processingTimeInMilliseconds": "processing_time_ms",
    "riskLevelDuringSignIn": "risk_level_during_signin",
    "riskEventTypes_v2": "risk_event_types_v2",
    "mfaDetail": "mfa_detail",
}
_PROTOCOLS = {
    "deviceCode": "Device Code",
    "ropc": "ROPC",
    "oAuth2": "OAuth 2.0",
    "wsFederation": "WS-Federation",
    "saml20": "SAML 2.0",
    "authenticationTransfer": "Authentication transfer",
}
"""The values of protocolType, as the Entra admin center shows them and rules name them."""


def matches(raw: RawEvent) -> bool:
    """A record of one of the sign-in categories or tables, or a signIn object of Graph."""
    record = raw.json
    if record is None:
        return False
    if azure.category(record) in CATEGORIES or azure.table(record) in TABLES:
        return True
    if "createdDateTime" not in record or "appId" not in record:
        return False
    return "conditionalAccessStatus" in record or "signInEventTypes" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = azure.read_record(raw.json or {})
    own = record.properties
    event = azure.start("azure.signinlogs", record, _PREFIX)
    event["event.category"], event["event.type"] = ["authentication"], ["info"]
    if "event.action" not in event:
        event["event.action"] = "Sign-in activity"
    if "@timestamp" not in event:
        event["@timestamp"] = azure.parse_time(own.get("createdDateTime"))
    if identity := text(own, "id"):
        event["samlog.origin"] = f"entra|{identity}"
    _who(event, record)
    _result(event, record)
    if language := text(own, "userAgent"):
        event["user_agent.original"] = language
    _own_fields(event, own)
    return event


def _who(event: Event, record: azure.Record) -> None:
    own = record.properties
    copy(event, own, (("userId", "user.id"), ("userDisplayName", "user.full_name")))
    set_account(event, "user", text(own, "userPrincipalName"))
    address = text(own, "ipAddress") or text(record.top, "callerIpAddress")
    set_client(event, address, "source", "client", address=True)


def _result(event: Event, record: azure.Record) -> None:
    """The error code, in ``status`` or as the result type, and what is said about it."""
    status = mapping(record.properties.get("status"))
    code = status.get("errorCode", record.top.get("resultType"))
    if code is not None and code != "":
        event["event.outcome"] = "success" if str(code) == "0" else "failure"
    event.setdefault(f"{_PREFIX}.result_type", str(code) if code is not None else "")
    reason = text(status, "failureReason")
    if reason and reason != "Other.":
        event.setdefault(f"{_PREFIX}.result_description", reason)
    said = text(record.top, "resultDescription")
    more = text(status, "additionalDetails")
    message = f"{said} ({more})" if said and more else said or more
    if message:
        event["message"] = message


def _own_fields(event: Event, own: Mapping[str, Any]) -> None:
    prefix = f"{_PREFIX}.properties"
    details = named_values(own.get("authenticationProcessingDetails"), "key", "value")
    spread(event, f"{prefix}.authentication_processing_details", details, plain)
    rest = {
        key: value for key, value in own.items() if key != "authenticationProcessingDetails"
    } | {key: mapping(own[key]) for key in ("deviceDetail", "location", "status") if key in own}
    spread(event, prefix, rest, lambda name: azure.property_name(name, _SPECIAL))
    networks = own.get("networkLocationDetails")
    if networks is not None:
        event[f"{_PREFIX}.network_locations"] = (
            networks if isinstance(networks, str) else json_text(networks)
        )
    protocol = _PROTOCOLS.get(text(own, "authenticationProtocol"))
    if protocol:
        event[f"{_PREFIX}.protocol_name"] = protocol
