"""SigmaHQ's rules for Azure, Microsoft 365, antivirus and Windows fire on Microsoft's logs."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from detect.engine import Engine

ROOT = Path(__file__).parents[2]
SIGMAHQ = ROOT / "../shared/data/sigmahq"
SAMPLES = ROOT / "normalize/samples"
CLOUD = ("rules/cloud/azure", "rules/cloud/m365", "rules/category/antivirus")
FOLDERS: tuple[str, ...] = (*CLOUD, "rules-threat-hunting/cloud")
FOLDERS += ("rules/web/webserver_generic", "rules/network/firewall", "rules/network/dns")
FOLDERS += tuple(
    f"rules/windows/{name}"
    for name in ("process_creation", "registry", "file", "network_connection", "image_load")
)

FIRES = [
    ("entra_signin/signins", 0, "Sign-ins by Unknown Devices"),
    ("entra_signin/signins", 2, "Application Using Device Code Authentication Flow"),
    ("entra_signin/signins", 5, "Sign-ins from Non-Compliant Devices"),
    ("entra_signin/signins", 5, "User Access Blocked by Azure Conditional Access"),
    ("entra_signin/signins", 5, "Azure Sign-In With Axios User Agent"),
    ("entra_signin/signins", 6, "Account Lockout"),
    ("entra_audit/changes", 0, "User Added to an Administrator's Azure AD Role"),
    ("entra_audit/changes", 0, "Users Added to Global or Device Admin Roles"),
    ("entra_audit/changes", 1, "User State Changed From Guest To Member"),
    ("entra_audit/changes", 1, "Multi Factor Authentication Disabled For User Account"),
    ("entra_audit/changes", 2, "Azure Service Principal Created"),
    ("entra_audit/changes", 4, "End User Consent Blocked"),
    ("entra_audit/changes", 5, "New CA Policy by Non-approved Actor"),
    ("entra_audit/changes", 6, "Disabled MFA to Bypass Authentication Mechanisms"),
    ("entra_idprotection/risks", 0, "Anonymous IP Address"),
    ("entra_idprotection/risks", 2, "Atypical Travel"),
    ("entra_pim/alerts", 0, "Roles Activation Doesn't Require MFA"),
    ("entra_pim/alerts", 1, "Too Many Global Admins"),
    ("entra_pim/alerts", 2, "Stale Accounts In A Privileged Role"),
    ("azure_activity/operations", 0, "Rare Subscription-level Operations In Azure"),
    ("azure_activity/operations", 2, "Azure Active Directory Hybrid Health AD FS Service Delete"),
    ("azure_activity/operations", 3, "Granting Of Permissions To An Account"),
    ("m365_audit/workloads", 0, "Mail Forwarding/Redirecting Activity In O365"),
    ("m365_audit/workloads", 0, "Inbox Rules Creation Or Update Activity in O365"),
    ("m365_audit/workloads", 9, "Microsoft 365 - Potential Ransomware Activity"),
    ("m365_audit/workloads", 4, "Azure Login Bypassing Conditional Access Policies"),
    ("m365_audit/workloads", 10, "Suspicious Email Delivered In Microsoft 365"),
    ("m365_audit/workloads", 15, "Mail Forwarding/Redirecting Activity In O365"),
    ("defender_hunting/tables", 0, "Suspicious Microsoft Office Child Process"),
    (
        "defender_hunting/tables",
        1,
        "Office Application Initiated Network Connection To Non-Local IP",
    ),
    ("defender_hunting/tables", 3, "Startup Folder File Write"),
    ("defender_hunting/tables", 4, "Disable Windows Defender Functionalities Via Registry Keys"),
    ("defender_hunting/tables", 7, "Antivirus - Password Dumper Signature"),
    ("defender_hunting/tables", 13, "Antivirus - Hacktool Signature"),
    ("defender_hunting/tables", 14, "Whoami.EXE Execution From Privileged Process"),
    ("defender_endpoint/alerts", 0, "Antivirus - Password Dumper Signature"),
]
FIRES += [("azure_gateway/requests", 0, "SQL Injection Strings In URI")]
QUIET = [("entra_signin/signins", 1), ("entra_audit/changes", 3), ("entra_idprotection/risks", 1)]
QUIET += [("azure_activity/operations", 1), ("m365_audit/workloads", 2)]
QUIET += [("defender_hunting/tables", 8), ("defender_incident/incidents", 2)]


def folders(*names: str) -> list[Path]:
    if not SIGMAHQ.exists():
        pytest.skip("../shared/data is absent: sigmahq")
    return [SIGMAHQ / name for name in names]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(folders(*FOLDERS))


def sample(name: str, number: int) -> dict[str, Any]:
    events = orjson.loads((SAMPLES / f"{name}.expected.json").read_bytes())
    return events[number]  # type: ignore[no-any-return]  # what the file holds


def test_every_rule_for_azure_microsoft_365_and_antivirus_can_be_evaluated() -> None:
    report = Engine.load(folders(*CLOUD)).report

    assert report.unmapped == []
    assert report.refused == []


@pytest.mark.parametrize(("name", "number", "title"), FIRES)
def test_a_rule_fires_on_the_event_that_it_describes(
    engine: Engine, name: str, number: int, title: str
) -> None:
    assert title in [match.rule.title for match in engine.match(sample(name, number))]


@pytest.mark.parametrize(("name", "number"), QUIET)
def test_no_rule_fires_on_ordinary_work(engine: Engine, name: str, number: int) -> None:
    assert [match.rule.title for match in engine.match(sample(name, number))] == []


def test_a_rule_for_windows_processes_is_not_asked_about_other_tables(engine: Engine) -> None:
    process = sample("defender_hunting/tables", 14)
    elsewhere = {**process, "m365_defender.event.category": "AdvancedHunting-DeviceEvents"}

    assert engine.match(process)
    assert engine.match(elsewhere) == []
