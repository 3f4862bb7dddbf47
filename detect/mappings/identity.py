"""Identity services by their vendors' own names, which SigmaHQ's rules use."""

from detect.logsource import Fields, Source

_DEBUG = "okta.debug_context.debug_data.flattened."

OKTA = Fields(
    {
        "actor.alternateId": "okta.actor.alternate_id",
        "actor.displayName": "okta.actor.display_name",
        "actor.id": "okta.actor.id",
        "actor.type": "okta.actor.type",
        "client.ipAddress": "source.ip",
        "client.userAgent.rawUserAgent": "user_agent.original",
        "client.zone": "okta.client.zone",
        "displayMessage": "okta.display_message",
        "eventType": "event.action",
        "legacyEventType": "okta.legacy_event_type",
        "outcome.reason": "okta.outcome.reason",
        "outcome.result": "okta.outcome.result",
        "securityContext.asNumber": "okta.security_context.as.number",
        "securityContext.asOrg": "okta.security_context.as.organization.name",
        "securityContext.domain": "okta.security_context.domain",
        "securityContext.isProxy": "okta.security_context.is_proxy",
        "securityContext.isp": "okta.security_context.isp",
        "severity": "okta.severity",
        "target.alternateId": "okta.target.alternate_id",
        "target.displayName": "okta.target.display_name",
        "target.id": "okta.target.id",
        "target.type": "okta.target.type",
        "transaction.id": "okta.transaction.id",
        "transaction.type": "okta.transaction.type",
    },
    below={"debugContext.debugData.": _DEBUG},
)

_DUO = "cisco_duo.auth."
DUO_LOGS = ("auth", "admin", "activity", "telephony", "offline_enrollment", "trust_monitor")
DUO = Fields(
    {
        "action": "event.action",
        "email": "user.email",
        "event_type": _DUO + "event_type",
        "factor": _DUO + "factor",
        "reason": _DUO + "reason",
        "result": _DUO + "result",
        "txid": _DUO + "txid",
        "username": "user.name",
        "user.name": "user.name",
    },
    below={
        "access_device.": _DUO + "access_device.",
        "application.": _DUO + "application.",
        "auth_device.": _DUO + "auth_device.",
    },
)

SOURCES: tuple[Source, ...] = (
    Source("okta", "", "okta", {"event.dataset": ("okta.system",)}, OKTA),
    Source(
        "cisco",
        "",
        "duo",
        {"event.dataset": tuple(f"cisco_duo.{log}" for log in DUO_LOGS)},
        DUO,
    ),
)
