"""Forms of Duo, Keycloak, AWS and Kubernetes that their vendors document and few systems send."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from normalize.duo_actions import meaning
from samlog.event import Event

One = Callable[..., Event]


@pytest.mark.parametrize(
    ("action", "category", "types"),
    [
        ("user_create", ("iam",), ("user", "creation")),
        ("admin_login_error", ("authentication",), ("info",)),
        ("hardtoken_delete", ("iam",), ("info", "deletion")),
        ("integration_update", ("configuration",), ("info", "change")),
        ("azure_sync_by_user_begin", (), ("user",)),
        ("ad_sync_finish", (), ("info",)),
        ("send_enroll_code", (), ("info",)),
        ("activation_set_password", (), ()),
        ("", (), ()),
    ],
)
def test_an_action_of_duo_says_what_it_is_about(
    action: str, category: tuple[str, ...], types: tuple[str, ...]
) -> None:
    assert meaning(action) == (category, types)


def duo(address: str) -> bytes:
    record = {"txid": "t", "factor": "duo_push", "access_device": {"ip": address}}
    return orjson.dumps(record | {"auth_device": {"ip": address}})


@pytest.mark.parametrize(
    ("written", "address", "port"),
    [
        ("192.0.2.5", "192.0.2.5", None),
        ("192.0.2.5:99", "192.0.2.5", 99),
        ("2001:db8::5", "2001:db8::5", None),
        ("[2001:db8::5]:99", "2001:db8::5", 99),
        ("2001:db8::5#99", "2001:db8::5", 99),
        ("2001:db8::5p99", "2001:db8::5", 99),
        ("2001:db8::5.99", "2001:db8::5", 99),
        ("2001:db8::5 port 99", "2001:db8::5", 99),
        ("2001:db8:0:0:0:0:0:5:99", "2001:db8:0:0:0:0:0:5", 99),
        ("øst", None, None),
        (":::::99", None, None),
    ],
)
def test_an_address_of_duo_is_parted_from_its_port(
    one: One, written: str, address: str | None, port: int | None
) -> None:
    event = one(duo(written))
    assert (event.get("source.ip"), event.get("source.port")) == (address, port)
    assert event.get("related.ip") == ([address] if address else None)
    assert event["source.address"] == written


def test_an_operation_of_keycloak_that_failed_keeps_its_name(one: One) -> None:
    line = "2026-01-10 13:00:00,000 WARN [org.keycloak.events] (t) operationType=CREATE, "
    event = one(f"{line}realmId=r, resourceType=USER, error=conflict".encode())
    assert (event["event.code"], event["event.reason"]) == ("CREATE-USER", "conflict")
    assert event["event.outcome"] == "failure"


def test_a_path_of_waf_is_never_a_query_or_another_host(one: One) -> None:
    request = {"uri": "//anden.example/a?b#c", "args": "d=%2e%2e?#", "clientIp": "192.0.2.6"}
    event = one(orjson.dumps({"webaclId": "x", "action": "ALLOW", "httpRequest": request}))
    assert (event["url.path"], event["url.query"]) == ("//anden.example/a?b#c", "d=..?#")
    assert not {"url.domain", "url.fragment", "url.original"} & event.keys()


def probes(*found: Any) -> bytes:
    action = {"actionType": "PORT_PROBE", "portProbeAction": {"portProbeDetails": found}}
    return orjson.dumps({"schemaVersion": "2.0", "service": {"action": action}, "resource": {}})


def test_all_who_probed_ports_are_sources(one: One) -> None:
    found = [
        {"localPortDetails": {"port": 22}, "remoteIpDetails": {"ipAddressV4": f"192.0.2.{number}"}}
        for number in (7, 8, 7)
    ]
    event = one(probes(*found))
    assert event["source.ip"] == event["source.address"] == ["192.0.2.7", "192.0.2.8"]
    assert event["destination.port"] == 22


@pytest.mark.parametrize("found", [[], [None], ["x", "y"], [{}, {}], [{"remoteIpDetails": 1}] * 2])
def test_broken_probes_are_no_source(one: One, found: list[Any]) -> None:
    assert "source.ip" not in one(probes(*found))


def audit(**fields: Any) -> dict[str, Any]:
    return {
        "auditID": "1",
        "verb": "get",
        "user": {"username": "ø"},
        "stage": "ResponseComplete",
    } | fields


def test_an_audit_event_that_an_agent_decoded_is_read(one: One) -> None:
    held = {"audit": audit(), "pod": {"name": "api"}}
    event = one(orjson.dumps({"agent": {"name": "knude"}, "kubernetes": held}))
    assert (event["event.dataset"], event["user.name"]) == ("kubernetes.audit_logs", "ø")
    assert event["kubernetes.envelope.agent.name"] == "knude"
    assert event["kubernetes.pod.name"] == "api"


@pytest.mark.parametrize("held", [None, [], "x", {}, {"audit": None}, {"audit": {"verb": "get"}}])
def test_another_event_about_kubernetes_is_no_audit_event(one: One, held: Any) -> None:
    assert one(orjson.dumps({"kubernetes": held}))["event.dataset"] == "samlog.json"


@pytest.mark.parametrize(
    ("decision", "status", "outcome"),
    [
        ("allow", {"code": 200}, "success"),
        ("allow", {"code": 404}, "failure"),
        ("allow", None, "success"),
        ("forbid", None, "failure"),
        (None, None, None),
    ],
)
def test_without_an_answer_the_decision_is_the_outcome(
    one: One, decision: str | None, status: Any, outcome: str | None
) -> None:
    said = {"authorization.k8s.io/decision": decision} if decision else {}
    event = one(orjson.dumps(audit(annotations=said, responseStatus=status)))
    assert event.get("event.outcome") == outcome
