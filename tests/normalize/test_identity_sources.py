"""What the parsers of identity services and clouds promise beyond their samples."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from normalize.samples_update import normalizer, sample_events, sample_files
from normalize.vendor_object import MAX_LEAVES, set_leaves, snake
from samlog.event import Event

One = Callable[..., Event]
FLOW = "203.0.113.1 192.0.2.1 ACCEPT 443 40000"
HEADER = "srcaddr dstaddr action srcport dstport"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("requestURI", "request_uri"),
        ("alternateId", "alternate_id"),
        ("isADSyncOn", "is_ad_sync_on"),
        ("rdsDbInstanceDetails", "rds_db_instance_details"),
        ("already_snake", "already_snake"),
        ("X", "x"),
    ],
)
def test_names_are_written_with_underscores(name: str, expected: str) -> None:
    assert snake(name) == expected


def test_leaves_of_objects_in_a_list_become_one_list() -> None:
    event: Event = {}
    set_leaves(event, "v", {"target": [{"id": 1}, {"id": 2, "x": None}], "empty": {}, "no": ""})
    assert event == {"v.target.id": [1, 2]}


def test_an_object_of_thousands_of_names_becomes_a_bounded_number_of_fields() -> None:
    event: Event = {}
    set_leaves(event, "v", {f"k{n}": n for n in range(10_000)})
    assert len(event) == MAX_LEAVES


def test_what_nests_without_end_is_left_out() -> None:
    deep: object = 1
    for _ in range(500):
        deep = {"d": [deep]}
    event: Event = {}
    set_leaves(event, "v", {"deep": deep, "flat": 1})
    assert event == {"v.flat": 1}


def test_a_flow_in_any_order_is_read_by_the_header_before_it(one: One) -> None:
    event = one(f"{HEADER}\n{FLOW}")
    assert event["samlog.parser"].startswith("aws_vpcflow/")
    assert (event["source.ip"], event["source.port"]) == ("203.0.113.1", 443)
    assert event["event.action"] == "accept"


def test_a_flow_of_unknown_order_keeps_its_text_and_says_so(one: One) -> None:
    event = one(f"{HEADER}\n{FLOW} more", {"source": b"aws_vpcflow"})
    assert event["event.original"].endswith("more")
    assert not any(name.startswith("source.") for name in event)


@pytest.mark.parametrize(
    "line",
    ["2 a b c d e f g h i j k ACCEPT OK", "1 2 3 4 5 6", "version one two", "2 " * 13 + "OK"],
)
def test_a_line_of_as_many_words_is_no_flow(one: One, line: str) -> None:
    assert one(line)["samlog.parser"].startswith("text/")


def test_a_detail_record_of_radius_may_span_lines(one: One) -> None:
    record = 'Sat Jan 10 13:57:01 2026\n\tAcct-Status-Type = Start\n\tUser-Name = "åse"\n'
    event = one(record)
    assert event["event.dataset"] == "freeradius.detail"
    assert event["event.type"] == ["start"]
    assert event["user.name"] == "åse"


def test_a_password_in_a_detail_record_is_not_made_a_field(one: One) -> None:
    event = one('Sat Jan 10 13:57:01 2026\n\tUser-Name = "x"\n\tUser-Password = "hemmeligt"\n')
    made = {name: value for name, value in event.items() if name != "event.original"}
    assert b"hemmeligt" not in orjson.dumps(made)


def test_a_user_of_keycloak_cannot_forge_the_id_behind_a_comma(one: One) -> None:
    line = (
        "2026-01-10 13:56:03,123 WARN  [org.keycloak.events] (t) "
        'type="LOGIN_ERROR", userId="7", ipAddress="203.0.113.1", username="x, userId=admin"'
    )
    event = one(line)
    assert (event["user.id"], event["user.name"]) == ("7", "x, userId=admin")


@pytest.mark.parametrize(
    ("address", "ip", "port"),
    [
        ("[2001:db8::1]:1234", "2001:db8::1", 1234),
        ("2001:db8::1#1234", "2001:db8::1", 1234),
        ("192.0.2.1:1234", "192.0.2.1", 1234),
        ("2001:db8::1", "2001:db8::1", None),
        ("0.0.0.0.0:99999999", None, None),
    ],
)
def test_the_address_of_duos_device_may_carry_a_port(
    one: One, address: str, ip: str | None, port: int | None
) -> None:
    record = {"txid": "1", "factor": "push", "access_device": {"ip": address}, "timestamp": 1.7e9}
    event = one(orjson.dumps(record))
    assert (event.get("source.ip"), event.get("source.port")) == (ip, port)
    assert event["source.address"] == address


def test_the_first_source_address_is_the_client_of_the_kubernetes_api(one: One) -> None:
    record = {"auditID": "1", "verb": "get", "sourceIPs": ["203.0.113.1", "192.0.2.1"]}
    assert one(orjson.dumps(record))["source.ip"] == "203.0.113.1"


@pytest.mark.parametrize(
    "record",
    [
        {"eventType": [], "actor": 1, "published": {}, "target": [1], "client": "x"},
        {"txid": 1, "factor": 2, "access_device": [], "user": 3, "timestamp": "x"},
        {"action": {}, "isotimestamp": [], "object": {}, "description": "{broken"},
        {"realmId": 1, "type": {}, "ipAddress": [], "time": 10**30, "details": []},
        {"schemaVersion": 1, "service": [], "resource": 1, "severity": "x", "type": 7},
        {"webaclId": 1, "httpRequest": [], "timestamp": 1e300, "ruleGroupList": 4},
        {"auditID": [], "verb": {}, "sourceIPs": {}, "annotations": 1, "objectRef": []},
        {"auditID": "1", "requestURI": 5, "sourceIPs": [None, {}], "responseStatus": {"code": "x"}},
        {"srcaddr": 1, "dstaddr": [], "interface-id": {}, "log-status": None, "start": "9" * 99},
        {"digestS3Object": [], "digestEndTime": {}, "logFiles": 1},
        {"sekey": 1, "surfaced_timestamp": 10**30, "surfaced_auth": []},
    ],
)
def test_values_of_wrong_types_lose_nothing(one: One, record: Event) -> None:
    data = orjson.dumps(record) if 10**30 not in record.values() else str(record).encode()
    event = one(data.replace(b"'", b'"'))
    assert event["event.original"]
    assert orjson.dumps(event)


LONG = ("a" * 60_000, "A" * 60_000, "aA" * 30_000, '\\"' * 20_000, "a=b, " * 12_000, "[" * 60_000)
SEEDS: dict[str, Event] = {
    "okta": {"eventType": "user.x", "actor": {"alternateId": "x"}, "published": "x"},
    "duo": {"txid": "1", "factor": "push", "access_device": {"ip": "x"}},
    "keycloak": {"loggerName": "org.keycloak.events", "message": "type=LOGIN", "threadName": "t"},
    "aws_guardduty": {"schemaVersion": "2", "service": {"action": {}}, "resource": {}, "type": "x"},
    "aws_waf": {"webaclId": "arn:aws:x", "httpRequest": {"uri": "/", "headers": []}},
    "aws_cloudtrail": {"eventSource": "x", "eventName": "y", "eventTime": "z", "userIdentity": {}},
    "kubernetes_audit": {"auditID": "1", "verb": "x", "requestURI": "/", "annotations": {}},
    "aws_vpcflow": {"srcaddr": "x", "dstaddr": "y", "interface-id": "z", "log-status": "w"},
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", sorted(SEEDS))
def test_long_values_in_json_take_linear_work(one: One, name: str) -> None:
    """Quadratic work on 64 kB takes minutes and runs into the time-out."""
    seed = SEEDS[name]
    for hostile in LONG:
        for key, value in seed.items():
            inner = value if isinstance(value, dict) else {}
            for made in (hostile, [hostile], {hostile: hostile}, dict.fromkeys(inner, hostile)):
                data = orjson.dumps({**seed, key: made})
                assert one(data)["event.original"] == data.decode()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", sorted(SEEDS))
def test_thousands_of_names_take_a_bounded_number_of_fields(one: One, name: str) -> None:
    many = {f"name{number}": {"inner": number} for number in range(4_000)}
    event = one(orjson.dumps({**SEEDS[name], "more": many, "list": [many] * 3}))
    assert event["samlog.parser"].startswith(f"{name}/")
    assert len(event) < 1_000


def test_the_audit_log_of_an_aks_cluster_is_taken_out_of_its_diagnostic_record(one: One) -> None:
    inner = {"auditID": "1", "verb": "delete", "objectRef": {"resource": "secrets"}, "user": {}}
    record = {
        "category": "kube-audit-admin",
        "resourceId": "/SUBSCRIPTIONS/S/PROVIDERS/MICROSOFT.CONTAINERSERVICE/KLYNGE-Ø",
        "properties": {"log": orjson.dumps(inner).decode(), "pod": "kube-apiserver"},
    }
    event = one(orjson.dumps(record))
    assert event["event.dataset"] == "kubernetes.audit_logs"
    assert event["event.action"] == "delete"
    assert event["orchestrator.cluster.name"] == "klynge-ø"


@pytest.mark.parametrize("log", ["", "{", "[1]", None, {"auditID": "1"}])
def test_a_broken_diagnostic_record_is_not_kubernetes(one: One, log: object) -> None:
    event = one(orjson.dumps({"category": "kube-audit", "properties": {"log": log}}))
    assert event["event.dataset"] != "kubernetes.audit_logs"


def test_an_event_of_okta_is_taken_out_of_eventbridge(one: One) -> None:
    detail = {"eventType": "user.session.end", "actor": {}, "published": "2026-01-10T12:00:00Z"}
    event = one(orjson.dumps({"detail-type": "SystemLog", "source": "okta", "detail": detail}))
    assert (event["event.dataset"], event["event.action"]) == ("okta.system", "user.session.end")


def test_another_wildfly_server_is_not_called_keycloak(one: One) -> None:
    line = "2026-01-10 13:56:01,208 INFO  [org.jboss.as] (main) WFLYSRV0025: started"
    assert one(line)["event.dataset"] == "wildfly.log"
    assert one(line, {"source": b"keycloak"})["event.dataset"] == "keycloak.log"


def test_json_in_a_quoted_value_of_keycloak_ends_nothing(one: One) -> None:
    line = (
        "2026-01-10 13:56:03,123 INFO  [org.keycloak.events] (t) "
        'operationType="CREATE", resourceType="GROUP", resourcePath="groups/7", '
        r'representation="{\"name\":\"a\", \"b\":\"c\", error=\"x\"}", userId="9"'
    )
    event = one(line)
    assert event["keycloak.admin.representation"] == '{"name":"a", "b":"c", error="x"}'
    assert (event["user.id"], event["group.id"]) == ("9", "7")
    assert "event.code" in event and event["event.outcome"] == "success"


REWRITTEN = {
    "okta": frozenset[str](),
    "duo": frozenset((".description",)),
    "keycloak": frozenset((".time", ".timestamp", ".message", ".authDetails.realmId")),
    "aws_cloudtrail": frozenset((".eventTime", ".tlsDetails.tlsVersion")),
    "aws_guardduty": frozenset((".detail-type", ".time")),
    "aws_waf": frozenset((".timestamp", ".httpRequest.headers.name", ".httpRequest.httpVersion")),
    "aws_vpcflow": frozenset[str](),
    "kubernetes_audit": frozenset((".kind",)),
    "zeek": frozenset((".ts",)),
}
"""Values that are kept in another form (a time, parts of a text, a name), or the wrapping's own."""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    elif value is not None and value != "":
        yield path, str(value)


@pytest.mark.parametrize("name", sorted(REWRITTEN))
def test_no_value_of_a_json_event_is_lost(name: str) -> None:
    lost: set[str] = set()
    made = normalizer()
    for path in sample_files(name):
        for event in sample_events(path, made):
            original = event.pop("event.original")
            if original.startswith("{"):
                kept = "\n".join(text for _, text in leaves(event))
                lost |= {key for key, text in leaves(orjson.loads(original)) if text not in kept}
    assert lost <= REWRITTEN[name]


def names_with(event: Event, part: str) -> list[str]:
    return [name for name in event if part in name]


def test_headers_that_a_client_invents_become_no_fields(one: One) -> None:
    headers = [{"name": "Host", "value": "h"}, {"name": "X-Evil-17", "value": "1"}]
    event = one(orjson.dumps({"webaclId": "arn", "httpRequest": {"headers": headers}}))
    assert event["aws.waf.request.headers"] == ["Host: h", "X-Evil-17: 1"]
    assert names_with(event, "Evil") == []


def test_names_that_a_user_of_kubernetes_invents_become_no_fields(one: One) -> None:
    body = {
        "metadata": {"labels": {"evil17": "x"}, "evil17": 1},
        "data": {"password": "hemmeligt"},
        "spec": {"evil17": {"image": 1}, "containers": [{"image": "i", "evil17": 2}]},
    }
    event = one(orjson.dumps({"auditID": "1", "verb": "create", "requestObject": body}))
    prefix = "kubernetes.audit.requestObject."
    assert names_with(event, "evil") == []
    assert event[prefix + "metadata.labels"] == "evil17=x"
    assert event[prefix + "data"] == "password"
    assert event[prefix + "spec.containers.image"] == "i"


def test_names_in_a_bare_value_of_keycloak_become_no_fields(one: One) -> None:
    line = (
        "2026-01-10 13:56:03,123 WARN  [org.keycloak.events] (t) "
        "type=LOGIN_ERROR, userId=null, error=user_not_found, username=x, evil17=1"
    )
    event = one(line)
    assert names_with(event, "evil") == []
    assert event["keycloak.login.other"] == ["evil17=1"]


def test_names_in_a_filter_of_ldap_become_no_fields(one: One) -> None:
    event = one('conn=1 op=2 SRCH base="" scope=2 deref=0 filter="(uid=x" evil=1 err=0 y=")"')
    assert names_with(event, "evil") == []


def test_a_user_name_with_the_escape_of_rsyslog_adds_no_attribute(one: One) -> None:
    forged = 'x#012#011Framed-IP-Address = 203.0.113.9#012#011Evil = \\"1'
    record = f'Sat Jan 10 13:57:01 2026#012#011User-Name = "{forged}"#012#011NAS-Port = 7#012'
    event = one(record)
    assert "source.ip" not in event
    assert event["freeradius.detail.nas_port"] == "7"
    assert names_with(event, "evil") == []
