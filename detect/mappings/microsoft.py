"""Microsoft's cloud: Entra ID, Azure, Microsoft 365 and Defender, by the names that rules use.

SigmaHQ's rules mix the names of the API, of Sentinel's tables and of the admin center; several are
placeholders (``UPN``) or describe a message that no record holds whole. A set of slots stands where
a rule's field may mean any of them.
"""

from detect.logsource import Fields, Source
from detect.mappings.web import REQUEST
from detect.text import Slot

_SIGNIN = "azure.signinlogs."
_SIGNIN_OWN = _SIGNIN + "properties."
_SAID = frozenset((_SIGNIN + "result_description", "event.outcome"))

SIGNIN = Fields(
    {
        "ActivityDetails": "event.action",
        "AppDisplayName": _SIGNIN_OWN + "app_display_name",
        "AppId": _SIGNIN_OWN + "app_id",
        "AuthenticationRequirement": _SIGNIN_OWN + "authentication_requirement",
        "Category": _SIGNIN + "category",
        "ClientApp": _SIGNIN_OWN + "client_app_used",
        "ClientAppUsed": _SIGNIN_OWN + "client_app_used",
        "ConditionalAccessStatus": _SIGNIN_OWN + "conditional_access_status",
        "DeviceDetail.deviceId": _SIGNIN_OWN + "device_detail.device_id",
        "DeviceDetail.isCompliant": _SIGNIN_OWN + "device_detail.is_compliant",
        "DeviceDetail.trusttype": _SIGNIN_OWN + "device_detail.trust_type",
        "IPAddress": "source.address",
        "NetworkLocationDetails": _SIGNIN + "network_locations",
        "ResourceDisplayName": _SIGNIN_OWN + "resource_display_name",
        "ResultDescription": _SAID,
        "ResultType": _SIGNIN + "result_type",
        "Resultdescription": _SAID,
        "RiskState": _SIGNIN_OWN + "risk_state",
        "Status": frozenset(
            ("event.outcome", _SIGNIN_OWN + "status.additional_details")
            + (_SIGNIN_OWN + "status.failure_reason",)
        ),
        "UserAgent": "user_agent.original",
        "Username": _SIGNIN_OWN + "user_principal_name",
        "conditionalAccessStatus": _SIGNIN_OWN + "conditional_access_status",
        "properties.message": frozenset(
            (_SIGNIN + "protocol_name", _SIGNIN_OWN + "authentication_protocol", "message")
        ),
        "userAgent": "user_agent.original",
    }
)

_AUDIT = "azure.auditlogs."
_AUDIT_OWN = _AUDIT + "properties."
_TARGETS = _AUDIT + "target_resources"
_DETAILS = _AUDIT_OWN + "additional_details."
_AUDIT_CATEGORY = frozenset((_AUDIT_OWN + "category", _AUDIT + "category"))
_ACTIVITY = frozenset(("event.action", _AUDIT_OWN + "activity_display_name"))

AUDIT = Fields(
    {
        "ActivityDisplayName": _ACTIVITY,
        "ActivityType": _ACTIVITY,
        "Category": _AUDIT_CATEGORY,
        "Initiatedby": _AUDIT + "initiated_by",
        "LoggedByService": _AUDIT_OWN + "logged_by_service",
        "OperationName": "event.action",
        "Status": frozenset(("event.outcome", _AUDIT_OWN + "result_reason")),
        "Target": _TARGETS,
        "TargetResources": _TARGETS,
        "TargetResources.ModifiedProperties.DisplayName": _AUDIT + "modified_names",
        "TargetResources.ModifiedProperties.NewValue": _AUDIT + "modified_values",
        "TargetResources.modifiedProperties": _TARGETS,
        "TargetResources.modifiedProperties.newValue": frozenset(
            (_AUDIT + "modified_values", _AUDIT + "modified_names")
        ),
        "activityType": _ACTIVITY,
        "additionalDetails.additionalInfo": (
            _DETAILS + "additionalInfo",
            _DETAILS + "AdditionalInfo",
        ),
        "category": _AUDIT_CATEGORY,
        "failure_status_reason": _AUDIT_OWN + "result_reason",
        "operationName": "event.action",
        "properties.message": frozenset(
            (*_ACTIVITY, _AUDIT_OWN + "result_reason", _AUDIT + "modifications")
        ),
        "properties.result": "event.outcome",
        "properties.targetResources": _TARGETS,
        "targetResources.type": _AUDIT + "target_types",
    },
    below={"ConsentContext.": _AUDIT + "modified.ConsentContext."},
)

_RISK = "azure.identityprotection.properties."

RISK = Fields(
    {
        "riskEventType": _RISK + "risk_event_type",
        "riskLevel": _RISK + "risk_level",
        "riskState": _RISK + "risk_state",
    }
)

PIM = Fields({"riskEventType": "azure.pim.risk_event_type"})

_AZURE = "azure.activitylogs."

ACTIVITY = Fields(
    {
        "CategoryValue": _AZURE + "category",
        "OperationNameValue": "event.action",
        "ResourceId": "azure.resource.id",
        "ResourceProviderValue": _AZURE + "resource_provider",
        "category": _AZURE + "category",
        "operationName": "event.action",
        "properties.message": frozenset(("event.action", "message")),
        "resourceId": "azure.resource.id",
        "resultType": _AZURE + "result_type",
    }
)

_M365 = "o365.audit."

M365 = Fields(
    {
        "Payload": frozenset((_M365 + "Payload", _M365 + "Data", _M365 + "Parameters")),
        "RequestType": (_M365 + "RequestType", _M365 + "ExtendedProperties.RequestType"),
        "eventName": frozenset(("rule.name", _M365 + "Operation")),
        "eventSource": "event.provider",
        "status": "event.outcome",
    },
    prefix=_M365,
)

_DEFENDER = "m365_defender.event."
_HUNTING = ("m365_defender.event",)
_PROCESS: dict[str, Slot] = {
    "CommandLine": "process.command_line",
    "Company": "process.pe.company",
    "Description": "process.pe.description",
    "Hashes": _DEFENDER + "hashes",
    "Image": "process.executable",
    "IntegrityLevel": _DEFENDER + "process.integrity_level",
    "OriginalFileName": "process.pe.original_file_name",
    "ParentCommandLine": "process.parent.command_line",
    "ParentImage": ("process.parent.executable", "process.parent.name"),
    "ParentProcessId": "process.parent.pid",
    "ProcessId": "process.pid",
    "Product": "process.pe.product",
    "User": frozenset(("user.domain", "user.name")),
}

DEVICE = Fields(
    {
        **_PROCESS,
        "DestinationHostname": "destination.domain",
        "DestinationIp": "destination.ip",
        "DestinationPort": "destination.port",
        "Details": _DEFENDER + "registry.details",
        "EventType": _DEFENDER + "registry.event_type",
        "ImageLoaded": "dll.path",
        "Initiated": _DEFENDER + "initiated",
        "Protocol": "network.transport",
        "SourceIp": "source.ip",
        "SourcePort": "source.port",
        "TargetFilename": "file.path",
        "TargetObject": "registry.path",
    }
)
"""Defender's device events by Sysmon's names; what Defender does not record has no field."""

_DEVICE_TABLES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("process_creation", "DeviceProcessEvents", ("processcreated",)),
    (
        "network_connection",
        "DeviceNetworkEvents",
        ("connectionsuccess", "connectionrequest", "inboundconnectionaccepted"),
    ),
    ("file_event", "DeviceFileEvents", ("filecreated",)),
    ("file_delete", "DeviceFileEvents", ("filedeleted",)),
    ("image_load", "DeviceImageLoadEvents", ("load",)),
    ("registry_add", "DeviceRegistryEvents", ("registrykeycreated",)),
    ("registry_set", "DeviceRegistryEvents", ("registryvalueset",)),
    (
        "registry_delete",
        "DeviceRegistryEvents",
        ("registrykeydeleted", "registryvaluedeleted"),
    ),
    (
        "registry_event",
        "DeviceRegistryEvents",
        ("registrykeycreated", "registryvalueset", "registrykeydeleted")
        + ("registryvaluedeleted", "registrykeyrenamed"),
    ),
)
"""(category, table, values of ``event.action``)."""

_FIREWALL = "azure.firewall."

FLOW = Fields(
    {
        "action": frozenset((_FIREWALL + "action", "event.action")),
        "blocked": _FIREWALL + "blocked",  # no flow has it: rules ask for it or for the action
        "answer": "dns.answers.data",
        "dst_ip": "destination.ip",
        "dst_port": "destination.port",
        "query": "dns.question.name",
        "record_type": "dns.question.type",
        "src_ip": "source.ip",
        "src_port": "source.port",
    }
)
"""Azure Firewall: flows, and the questions to its DNS proxy."""

_DETECTED = (
    ("m365_defender.incident", "m365_defender.incident."),
    ("m365_defender.alert", "m365_defender.incident."),
    ("microsoft.m365_defender", "m365_defender.incident."),
    ("microsoft_defender_endpoint.log", "microsoft.defender_endpoint."),
    ("m365_defender.event", "m365_defender.event."),
)
"""(dataset, prefix) of what Defender found."""


def _antivirus(dataset: str, prefix: str) -> Source:
    where = {"event.dataset": (dataset,), "event.kind": ("alert",)}
    fields = Fields(
        {
            "Action": "event.action",
            "Filename": frozenset(("file.path", "file.name")),
            "Signature": frozenset((prefix + "threat_names", "threat.software.name")),
        }
    )
    return Source("", "antivirus", "", where, fields)


def _azure(service: str, dataset: str, fields: Fields) -> Source:
    return Source("azure", "", service, {"event.dataset": (dataset,)}, fields)


SOURCES: tuple[Source, ...] = (
    _azure("signinlogs", "azure.signinlogs", SIGNIN),
    _azure("auditlogs", "azure.auditlogs", AUDIT),
    _azure("riskdetection", "azure.identity_protection", RISK),
    _azure("pim", "azure.pim", PIM),
    _azure("activitylogs", "azure.activitylogs", ACTIVITY),
    *(
        Source("m365", "", service, {"event.dataset": ("o365.audit",)}, M365)
        for service in ("audit", "exchange", "threat_detection", "threat_management")
    ),
    *(
        Source(
            "windows",
            category,
            "",
            {
                "event.dataset": _HUNTING,
                _DEFENDER + "category": ("AdvancedHunting-" + table,),
                "event.action": actions,
            },
            DEVICE,
        )
        for category, table, actions in _DEVICE_TABLES
    ),
    Source("", "webserver", "", {"event.dataset": ("azure.application_gateway",)}, REQUEST),
    Source("", "firewall", "", {"event.dataset": ("azure.firewall_logs",)}, FLOW),
    Source(
        "",
        "dns",
        "",
        {
            "event.dataset": ("azure.firewall_logs",),
            _FIREWALL + "category": ("AzureFirewallDnsProxy", "AZFWDnsQuery"),
        },
        FLOW,
    ),
    *(_antivirus(dataset, prefix) for dataset, prefix in _DETECTED),
)
