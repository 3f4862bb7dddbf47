"""SigmaHQ's rules for identity services and clouds fire on normalised events of their sources."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from detect.engine import Engine

ROOT = Path(__file__).parents[2]
SIGMAHQ = ROOT / "../shared/data/sigmahq/rules"
SAMPLES = ROOT / "normalize/samples"
FOLDERS = ("identity/okta", "identity/cisco_duo", "application/kubernetes", "cloud/aws")
FOLDERS += ("network/firewall", "../rules-emerging-threats/2017/TA/Equation-Group")

FIRES = [
    ("okta/events", 1, "Okta User Session Start Via An Anonymising Proxy Service"),
    ("okta/events", 2, "Okta FastPass Phishing Detection"),
    ("okta/events", 4, "Okta Policy Rule Modified or Deleted"),
    ("okta/events", 6, "Okta Security Threat Detected"),
    ("okta/events", 7, "Okta API Token Created"),
    ("okta/events", 9, "New Okta User Created"),
    ("duo/events", 2, "Cisco Duo Successful MFA Authentication Via Bypass Code"),
    ("kubernetes_audit/events", 0, "Container With A hostPath Mount Created"),
    ("kubernetes_audit/events", 0, "Privileged Container Deployed"),
    ("kubernetes_audit/events", 1, "Kubernetes Secrets Enumeration"),
    ("kubernetes_audit/events", 2, "Kubernetes Unauthorized or Unauthenticated Access"),
    ("kubernetes_audit/events", 3, "Potential Remote Command Execution In Pod Container"),
    ("kubernetes_audit/events", 4, "Kubernetes Rolebinding Modification"),
    ("kubernetes_audit/events", 5, "Kubernetes Events Deleted"),
    ("aws_cloudtrail/digest", 2, "AWS User Login Profile Was Modified"),
    ("aws_vpcflow/lines", 6, "Cleartext Protocol Usage"),
]
QUIET = [("okta/events", 0), ("duo/events", 0), ("kubernetes_audit/events", 6)]
QUIET += [("aws_vpcflow/lines", 1), ("aws_cloudtrail/digest", 0)]


@pytest.fixture(scope="module")
def engine() -> Engine:
    if not SIGMAHQ.exists():
        pytest.skip("../shared/data is absent: sigmahq")
    return Engine.load([SIGMAHQ / folder for folder in FOLDERS])


def sample(name: str, number: int) -> dict[str, Any]:
    events = orjson.loads((SAMPLES / f"{name}.expected.json").read_bytes())
    return events[number]  # type: ignore[no-any-return]  # what the file holds


def test_every_rule_of_these_sources_can_be_evaluated(engine: Engine) -> None:
    assert engine.report.unmapped == []
    assert engine.report.refused == []


@pytest.mark.parametrize(("name", "number", "title"), FIRES)
def test_a_rule_fires_on_the_event_that_it_describes(
    engine: Engine, name: str, number: int, title: str
) -> None:
    assert title in [match.rule.title for match in engine.match(sample(name, number))]


@pytest.mark.parametrize(("name", "number"), QUIET)
def test_no_rule_fires_on_an_everyday_event(engine: Engine, name: str, number: int) -> None:
    assert engine.match(sample(name, number)) == []


def test_an_address_on_the_firewall_list_is_seen_by_zeek_too(engine: Engine) -> None:
    event = {"event.dataset": "zeek.connection", "destination.ip": "89.185.234.145"}
    titles = [match.rule.title for match in engine.match(event)]
    assert titles == ["Equation Group C2 Communication"]
