"""Events of AWS, Okta, Duo and Kubernetes mean what their vendors say: kind, outcome, who, whom."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from normalize.aws_actions import action
from normalize.okta_types import meaning
from samlog.event import Event

One = Callable[..., Event]
IAM = "iam.amazonaws.com"


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("CreateUser", ("user", "creation")),
        ("DeleteGroup", ("group", "deletion")),
        ("UpdateUser", ("user", "change")),
        ("DeleteUserPolicy", ("user", "change")),
        ("PutGroupPolicy", ("group", "change")),
        ("AddUserToGroup", ("group", "change")),
        ("CreateAccessKey", ("user", "change")),
        ("DeactivateMFADevice", ("user", "change")),
        ("ListGroupsForUser", ("user", "info")),
        ("GetAccessKeyLastUsed", ("user", "info")),
        ("CreateRole", ("admin", "creation")),
        ("AttachRolePolicy", ("admin", "change")),
        ("SetDefaultPolicyVersion", ("admin", "change")),
        ("ListRoles", ("info",)),
    ],
)
def test_a_call_about_identities_says_of_whom_and_what(name: str, types: tuple[str, ...]) -> None:
    assert action(name, IAM) == (("iam",), types)


@pytest.mark.parametrize(
    ("name", "service", "category"),
    [
        ("ConsoleLogin", "signin", ("authentication",)),
        ("AssumeRoleWithSAML", "sts", ("authentication",)),
        ("AssumeRoot", "sts", ("authentication",)),
        ("GetCallerIdentity", "sts", ()),
        ("CreateGroupMembership", "identitystore", ("iam",)),
        ("CreateSecurityGroup", "ec2", ()),
        ("CreateKeyPair", "ec2", ("iam",)),
        ("DeleteBucket", "s3", ("file",)),
        ("DeleteBucket", "lightsail", ()),
    ],
)
def test_a_name_means_what_its_service_makes_of_it(
    name: str, service: str, category: tuple[str, ...]
) -> None:
    assert action(name, f"{service}.amazonaws.com").category == category


def trail(**fields: Any) -> bytes:
    record = {
        "eventVersion": "1.11",
        "eventSource": IAM,
        "eventName": "x",
        "eventTime": "2026-01-10",
    }
    return orjson.dumps(record | fields)


def test_the_user_that_a_call_of_any_service_is_about_is_the_target(one: One) -> None:
    event = one(trail(eventSource="transfer.amazonaws.com", requestParameters={"userName": "ø"}))
    assert event["user.target.name"] == "ø"


def test_a_group_of_firewall_rules_is_no_group_of_users(one: One) -> None:
    event = one(trail(eventSource="ec2.amazonaws.com", requestParameters={"groupName": "åben"}))
    assert "group.name" not in event
    assert one(trail(requestParameters={"groupName": "drift"}))["group.name"] == "drift"


@pytest.mark.parametrize(
    ("kind", "category", "types"),
    [
        ("user.session.start", ("authentication", "session"), ("start", "user")),
        ("user.session.impersonation.end", ("session",), ("end",)),
        ("user.authentication.auth_via_mfa", ("authentication",), ("info",)),
        ("user.lifecycle.create", ("iam",), ("user", "creation")),
        ("user.lifecycle.delete.initiated", ("iam",), ("user", "deletion")),
        ("user.account.lock", ("iam",), ("user", "change")),
        ("user.account.privilege.grant", ("iam",), ("user", "admin", "change")),
        ("group.user_membership.remove", ("iam",), ("group", "change")),
        ("application.user_membership.add", ("iam",), ("user", "change")),
        ("system.api_token.create", ("iam",), ("creation",)),
        ("system.import.group.create", ("iam",), ("group", "creation")),
        ("directory.user_profile.update", ("iam",), ("user", "change")),
        ("directory.mapping.update", ("configuration",), ("change",)),
        ("account.org.product.update", ("configuration",), ("change",)),
        ("policy.rule.add", ("configuration",), ("change",)),
        ("policy.lifecycle.delete", ("configuration",), ("deletion",)),
        ("policy.evaluate_sign_on", ("authentication",), ("info",)),
        ("event_hook.created", ("configuration",), ("creation",)),
        ("security.threat.detected", ("intrusion_detection",), ("info",)),
        ("device.lifecycle.suspend", ("host",), ("change",)),
        ("system.agent.ad.start", ("configuration",), ("info",)),
        ("nobody.knows.this", (), ("info",)),
        ("", (), ()),
    ],
)
def test_an_event_type_of_okta_has_a_category_by_subject_and_a_type_by_verb(
    kind: str, category: tuple[str, ...], types: tuple[str, ...]
) -> None:
    assert meaning(kind) == (category, types)


def okta(kind: str = "user.session.start", **fields: Any) -> bytes:
    record = {"eventType": kind, "actor": {"id": "1"}, "published": "2026-01-10T12:00:00Z"}
    return orjson.dumps(record | fields)


def debug(**data: Any) -> bytes:
    return okta(debugContext={"debugData": data})


def test_an_event_of_okta_without_outcome_has_an_unknown_one(one: One) -> None:
    assert one(okta())["event.outcome"] == "unknown"


def test_the_first_user_of_okta_is_the_target_and_all_are_related(one: One) -> None:
    targets = [
        {"type": "AppUser", "id": "a", "displayName": "Å", "alternateId": "å@x.example"},
        {"type": "User", "id": "b", "displayName": "B", "alternateId": "b@x.example"},
    ]
    event = one(okta(target=targets))
    assert (event["user.target.id"], event["user.target.full_name"]) == ("a", "Å")
    assert set(event["related.user"]) == {"Å", "å@x.example", "B", "b@x.example"}
    assert event["okta.target.id"] == ["a", "b"]


def test_a_placeholder_is_no_url(one: One) -> None:
    assert not [name for name in one(debug(url="<url>")) if name.startswith("url.")]


def test_behaviours_that_okta_found_are_named(one: One) -> None:
    event = one(debug(behaviors="{New IP=POSITIVE, New Device=NEGATIVE, Velocity=POSITIVE}"))
    assert event["okta.debug_context.debug_data.risk_behaviors"] == ["New IP", "Velocity"]


def test_commas_within_the_reasons_of_a_risk_belong_to_them(one: One) -> None:
    event = one(debug(risk="{reasons=Anomalous Location, New Device, level=HIGH}"))
    place = "okta.debug_context.debug_data."
    assert event[f"{place}risk_level"] == "HIGH"
    assert event[f"{place}risk_reasons"] == ["Anomalous Location", "New Device"]


@pytest.mark.parametrize(
    "said", ["", "{", "{]", "[1]", '{"risk":[]}', "{" * 60_000, "=, " * 20_000]
)
def test_broken_security_data_of_okta_takes_nothing_else_along(one: One, said: str) -> None:
    event = one(debug(logOnlySecurityData=said, risk=said, behaviors=said, requestId="r"))
    assert event["okta.debug_context.debug_data.request_id"] == "r"


def duo(action_: str, description: Any, **fields: Any) -> bytes:
    text = description if isinstance(description, str) else orjson.dumps(description).decode()
    record = {"action": action_, "object": "gæst", "username": "drift", "timestamp": 1_768_049_820}
    return orjson.dumps({**record, "isotimestamp": "x", "description": text, **fields})


def test_what_duo_changed_about_a_user_is_not_the_administrators(one: One) -> None:
    event = one(duo("user_update", {"realname": "Ny Å", "email": "ny@x.example"}))
    assert "user.email" not in event
    assert (event["user.changes.name"], event["user.changes.email"]) == ("Ny Å", "ny@x.example")
    assert (event["user.name"], event["user.target.name"]) == ("drift", "gæst")


def test_the_address_of_an_administrator_who_activates_himself_is_his(one: One) -> None:
    event = one(duo("admin_self_activate", {"email": "drift@x.example"}))
    assert event["user.email"] == "drift@x.example"


def test_a_description_of_duo_in_words_is_the_message(one: One) -> None:
    event = one(duo("ad_sync_failed", "kunne ikke læse"))
    assert (event["message"], event["event.outcome"]) == ("kunne ikke læse", "failure")


def test_a_bypass_code_is_created_not_changed(one: One) -> None:
    assert one(duo("bypass_create", "{}"))["event.type"] == ["user", "creation"]


def test_the_summary_is_taken_out_of_the_answer_of_duos_api(one: One) -> None:
    numbers = {"integration_count": 1, "telephony_credits_remaining": 9}
    event = one(orjson.dumps({"response": numbers, "stat": "OK"}))
    assert event["event.dataset"] == "cisco_duo.summary"
    assert event["cisco_duo.summary.telephony_credits_remaining"] == 9


def test_an_answer_of_another_api_is_not_duo(one: One) -> None:
    event = one(orjson.dumps({"response": {"x": 1}, "stat": "OK"}))
    assert not event["event.dataset"].startswith("cisco_duo")


def finding(**service: Any) -> bytes:
    record = {"schemaVersion": "2.0", "type": "A:B/C", "resource": {}, "service": service}
    return orjson.dumps(record)


def test_both_ends_of_a_connection_are_where_guardduty_says(one: One) -> None:
    connection = {
        "connectionDirection": "OUTBOUND",
        "remoteIpDetails": {"ipAddressV6": "2001:db8::1"},
        "remotePortDetails": {"port": 443},
        "localIpDetails": {"ipAddressV4": "192.0.2.1"},
        "localPortDetails": {"port": 40_000},
    }
    event = one(finding(action={"networkConnectionAction": connection}))
    assert (event["source.ip"], event["source.port"]) == ("192.0.2.1", 40_000)
    assert (event["destination.ip"], event["destination.port"]) == ("2001:db8::1", 443)
    assert event["network.direction"] == "outbound"


@pytest.mark.parametrize(
    ("started", "time"), [(1_768_048_200_000, "12:30"), (1_768_048_200, "12:30")]
)
def test_a_process_of_guardduty_started_when_it_says_in_either_unit(
    one: One, started: int, time: str
) -> None:
    event = one(finding(runtimeDetails={"process": {"pid": 7, "startTime": started}}))
    assert event["process.start"].startswith(f"2026-01-10T{time}")
    assert event["process.pid"] == 7


def test_files_that_a_scan_found_are_all_named(one: One) -> None:
    paths = [{"filePath": "/a", "hash": "1" * 64}, {"filePath": "/b", "hash": "2" * 64}]
    names = {"threatDetectedByName": {"threatNames": [{"filePaths": paths}]}}
    event = one(finding(ebsVolumeScanDetails={"scanDetections": names}))
    assert event["file.path"] == ["/a", "/b"]
    assert event["event.category"] == ["intrusion_detection", "malware"]


@pytest.mark.parametrize(
    "service",
    [
        {"runtimeDetails": [1], "action": {"portProbeAction": {"portProbeDetails": [[], 1]}}},
        {"runtimeDetails": {"process": {"pid": True, "startTime": "x" * 99, "lineage": [1, []]}}},
        {"runtimeDetails": {"process": {"startTime": 1e300, "userId": {}}, "context": 7}},
        {"ebsVolumeScanDetails": {"scanDetections": {"threatDetectedByName": {"threatNames": 1}}}},
        {"action": {"networkConnectionAction": {"remoteIpDetails": {"ipAddressV4": "x" * 9_999}}}},
        {"action": {"networkConnectionAction": {"remoteIpDetails": {"ipAddressV4": "192.0.2.1"},
                    "remotePortDetails": {"port": 10**18}, "localPortDetails": {"port": "22"}}}},
    ],
)  # fmt: skip
def test_a_finding_with_values_of_wrong_types_is_still_an_alert(
    one: One, service: dict[str, Any]
) -> None:
    event = one(finding(**service))
    assert (event["event.kind"], event["rule.name"]) == ("alert", "A:B/C")


def test_the_images_of_a_deployment_are_those_of_its_template(one: One) -> None:
    pod = {"spec": {"containers": [{"image": "x:1"}, {"image": "y:2"}]}}
    record = {"auditID": "1", "verb": "create", "requestObject": {"spec": {"template": pod}}}
    assert one(orjson.dumps(record))["container.image.name"] == ["x:1", "y:2"]


def test_all_hops_of_a_kubernetes_request_are_related(one: One) -> None:
    record = {"auditID": "1", "verb": "get", "sourceIPs": ["203.0.113.1", "192.0.2.1", "x", None]}
    event = one(orjson.dumps(record))
    assert event["source.ip"] == "203.0.113.1"
    assert event["related.ip"] == ["192.0.2.1", "203.0.113.1"]


def test_a_flow_of_a_transit_gateway_is_read_without_a_header(one: One) -> None:
    middle = "111122223333 444455556666 vpc-12345678 vpc-87654321 subnet-12345678 subnet-87654321"
    ends = "eni-12345678 eni-87654321 az-1 az-2 tgw-attach-2 192.0.2.1 198.51.100.1 40000 443 6"
    line = (
        f"6 TransitGateway 111122223333 tgw-12345678 tgw-attach-1 {middle} {ends} 5 500 "
        "1768049700 1768049760 OK IPv4 0 0 0 0 2 eu-north-1 ingress - -"
    )
    event = one(line)
    assert (event["source.ip"], event["destination.port"]) == ("192.0.2.1", 443)
    assert event["aws.vpcflow.tgw_id"] == "tgw-12345678"


def test_a_record_of_cloudtrail_is_taken_out_of_eventbridge(one: One) -> None:
    record = orjson.loads(trail(eventName="StopLogging"))
    outer = {"detail-type": "AWS API Call via CloudTrail", "source": "aws.x", "detail": record}
    event = one(orjson.dumps(outer))
    assert (event["event.dataset"], event["event.action"]) == ("aws.cloudtrail", "StopLogging")


@pytest.mark.parametrize("detail", [None, [], "x", {}, {"eventSource": 1}])
def test_another_event_of_eventbridge_is_not_cloudtrail(one: One, detail: Any) -> None:
    event = one(orjson.dumps({"detail-type": "EC2 Instance", "detail": detail}))
    assert event["event.dataset"] != "aws.cloudtrail"


def test_all_events_of_an_audit_webhook_are_read(normalize: Callable[..., list[Event]]) -> None:
    items = [{"auditID": str(n), "verb": "get", "requestURI": "/"} for n in range(3)]
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}
    events = normalize(orjson.dumps(body))
    assert [event["kubernetes.audit.auditID"] for event in events] == ["0", "1", "2"]


def test_a_list_of_something_else_stays_one_event(normalize: Callable[..., list[Event]]) -> None:
    for body in (
        {"kind": "PodList", "items": [{"a": 1}, {"a": 2}]},
        {"findings": [{"a": 1}, {"a": 2}]},
    ):
        assert len(normalize(orjson.dumps(body))) == 1


def test_all_findings_in_an_answer_are_read(normalize: Callable[..., list[Event]]) -> None:
    one_finding = orjson.loads(finding())
    events = normalize(orjson.dumps({"findings": [one_finding, one_finding]}))
    assert [event["event.dataset"] for event in events] == ["aws.guardduty"] * 2


def admin(representation: str, kind: str = "USER") -> bytes:
    record = {"realmId": "r", "operationType": "CREATE", "resourceType": kind, "time": 1}
    return orjson.dumps({**record, "resourcePath": "users/7", "representation": representation})


def test_the_user_that_keycloak_made_has_the_name_of_its_representation(one: One) -> None:
    event = one(admin('{"username": "gæst", "email": "g@x.example", "credentials": [{}]}'))
    assert (event["user.target.name"], event["user.target.id"]) == ("gæst", "7")


@pytest.mark.parametrize("written", ["", "{", "[]", "{" * 60_000, '{"username": {"a": 1}}', "null"])
def test_a_broken_representation_takes_nothing_along(one: One, written: str) -> None:
    event = one(admin(written))
    assert event["user.target.id"] == "7"
    assert "user.target.name" not in event


def test_who_acts_as_a_user_of_keycloak_is_related(one: One) -> None:
    record = {"realmId": "r", "type": "IMPERSONATE", "ipAddress": "192.0.2.1", "username": "åse"}
    event = one(orjson.dumps(record | {"details": {"impersonator": "drift"}}))
    assert event["related.user"] == ["drift", "åse"]


def cloudwatch(*messages: str, identity: object = "3" * 56) -> bytes:
    events = [{"id": identity, "timestamp": 1_768_049_760_000, "message": m} for m in messages]
    body = {"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "ø", "logEvents": events}
    return orjson.dumps(body)


def test_each_event_of_a_cloudwatch_subscription_is_read_by_its_own_parser(
    normalize: Callable[..., list[Event]],
) -> None:
    line = (
        "2 111122223333 eni-12345678 203.0.113.1 192.0.2.1 40000 22 6 1 40 1768049700 1768049760 "
        "REJECT OK"
    )
    asked = orjson.dumps({"auditID": "1", "verb": "get", "requestURI": "/"}).decode()
    events = normalize(cloudwatch(line, asked, trail().decode()))
    assert [event["event.dataset"] for event in events] == [
        *("aws.vpcflow", "kubernetes.audit_logs", "aws.cloudtrail"),
    ]
    assert events[0]["samlog.json"]["envelope"]["logGroup"] == "ø"


@pytest.mark.parametrize("identity", ["7", 7, None, "x" * 56, "3" * 60_000])
def test_an_object_with_a_message_is_no_envelope_of_cloudwatch(one: One, identity: object) -> None:
    record = {"id": identity, "timestamp": 1, "message": "hej"}
    assert one(orjson.dumps(record))["event.dataset"] == "samlog.json"


RADIUS = "Sat Jan 10 13:57:04 2026 : Error: "


def test_a_device_that_radius_does_not_know_is_refused(one: One) -> None:
    event = one(
        f"{RADIUS}Ignoring request to auth address * port 1812 bound to server default from "
        "unknown client 203.0.113.7 port 53211 proto udp"
    )
    assert (event["source.ip"], event["source.port"]) == ("203.0.113.7", 53211)
    assert (event["event.type"], event["event.outcome"]) == (["denied"], "failure")


@pytest.mark.parametrize("client", ["øst", "x" * 60_000, "203.0.113.7 with invalid " * 2_000])
def test_words_about_a_wrong_secret_name_an_address_or_nothing(one: One, client: str) -> None:
    event = one(f"{RADIUS}Received packet from {client} with invalid Message-Authenticator!")
    assert event.get("source.ip", "203.0.113.7") == "203.0.113.7"
    assert event["message"].startswith("Received packet from ")


def test_whose_password_was_changed_in_the_directory_is_the_target(one: One) -> None:
    event = one('Jan 10 13:57:11 l slapd[9]: conn=1 op=3 PASSMOD id="uid=åse,dc=x" new')
    assert event["user.target.name"] == "åse"
