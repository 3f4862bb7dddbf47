"""Rules written for Microsoft's logs find their fields in our own samples; needs no rule set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from detect.engine import Engine

SAMPLES = Path(__file__).parents[2] / "normalize/samples"
Load = Callable[..., Engine]

SIGNIN, AUDIT, M365 = "entra_signin/signins", "entra_audit/changes", "m365_audit/workloads"
DEVICE = "defender_hunting/tables"

CASES: list[tuple[str, str, int, dict[str, Any]]] = [
    ("azure//signinlogs", SIGNIN, 1, {"ResultType": 50126, "Status": "failure"}),
    ("azure//signinlogs", SIGNIN, 2, {"properties.message": "Device Code"}),
    (
        "azure//signinlogs",
        SIGNIN,
        0,
        {"NetworkLocationDetails": "[]", "DeviceDetail.deviceId": "", "ResultType": 0},
    ),
    ("azure//signinlogs", SIGNIN, 5, {"userAgent|contains": "axios"}),
    ("azure//auditlogs", AUDIT, 0, {"TargetResources|contains": "62e90394-69f5-4237-9190"}),
    (
        "azure//auditlogs",
        AUDIT,
        1,
        {
            "Category": "UserManagement",
            "TargetResources.ModifiedProperties.NewValue|contains": 'State":0',
        },
    ),
    ("azure//auditlogs", AUDIT, 4, {"ConsentContext.IsAdminConsent": "false"}),
    ("azure//riskdetection", "entra_idprotection/risks", 2, {"riskEventType": "unlikelyTravel"}),
    ("azure//pim", "entra_pim/alerts", 2, {"riskEventType": "staleSignInAlertIncident"}),
    (
        "azure//activitylogs",
        "azure_activity/operations",
        2,
        {
            "ResourceProviderValue": "Microsoft.ADHybridHealthService",
            "ResourceId|contains": "AdFederationService",
        },
    ),
    ("m365//audit", M365, 0, {"Operation": "New-InboxRule", "Parameters|contains": "ForwardTo"}),
    ("m365//audit", M365, 4, {"RequestType": "Cmsi:Cmsi", "ResultStatus": "Success"}),
    ("m365//audit", M365, 5, {"Operation": "Add user."}),
    ("m365//exchange", M365, 0, {"eventSource": "Exchange", "eventName": "New-InboxRule"}),
    (
        "m365//threat_management",
        M365,
        9,
        {
            "eventSource": "SecurityComplianceCenter",
            "eventName": "Potential ransomware activity",
            "status": "success",
        },
    ),
    (
        "windows/process_creation/",
        DEVICE,
        0,
        {
            "Image|endswith": "\\powershell.exe",
            "ParentImage|endswith": "\\winword.exe",
            "CommandLine|contains": " -enc ",
            "OriginalFileName": "PowerShell.EXE",
            "IntegrityLevel": "High",
            "Hashes|contains": "SHA256=AAAA",
            "User|contains": "søren",
        },
    ),
    (
        "windows/network_connection/",
        DEVICE,
        1,
        {"Initiated": "true", "DestinationHostname|endswith": "ond.example"},
    ),
    ("windows/network_connection/", DEVICE, 2, {"Initiated": "false", "DestinationPort": 3389}),
    ("windows/file_event/", DEVICE, 3, {"TargetFilename|contains": "\\Startup\\løn"}),
    (
        "windows/registry_set/",
        DEVICE,
        4,
        {"TargetObject|startswith": "HKLM\\SOFTWARE\\Policies", "Details": "DWORD (0x00000001)"},
    ),
    ("windows/image_load/", DEVICE, 5, {"ImageLoaded|startswith": "C:\\Users\\Public\\"}),
    ("/antivirus/", DEVICE, 7, {"Signature|contains": "Mimikatz", "Filename|contains": "Temp"}),
    ("/antivirus/", "defender_incident/incidents", 0, {"Signature|contains": "Boef"}),
    ("/antivirus/", "defender_endpoint/alerts", 0, {"Filename|startswith": "C:\\Temp"}),
    ("/firewall/", "azure_firewall/flows", 0, {"dst_port": 443, "action": "deny"}),
    ("/dns/", "azure_firewall/flows", 4, {"query|endswith": ".example", "record_type": "A"}),
    ("/webserver/", "azure_gateway/requests", 0, {"cs-uri-query|contains": "union select"}),
]


def sample(name: str, number: int) -> dict[str, Any]:
    events = orjson.loads((SAMPLES / f"{name}.expected.json").read_bytes())
    return events[number]  # type: ignore[no-any-return]  # what the file holds


@pytest.mark.parametrize(("logsource", "name", "number", "selection"), CASES)
def test_a_rule_finds_its_fields(
    load: Load, rule: Any, logsource: str, name: str, number: int, selection: dict[str, Any]
) -> None:
    product, category, service = logsource.split("/")
    named = {"product": product, "category": category, "service": service}
    source = {key: value for key, value in named.items() if value}
    engine = load(rule({"selection": selection}, logsource=source), mode="ecs")

    assert engine.report.unmapped == []
    assert engine.match(sample(name, number))


def test_a_rule_for_one_service_is_not_asked_about_another(load: Load, rule: Any) -> None:
    source = {"product": "azure", "service": "signinlogs"}
    engine = load(rule({"selection": {"Status": "success"}}, logsource=source), mode="ecs")

    assert engine.match(sample(SIGNIN, 0))
    assert engine.match(sample(AUDIT, 0)) == []
