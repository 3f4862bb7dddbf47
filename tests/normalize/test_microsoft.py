"""What the parsers of Microsoft's cloud promise beyond their samples."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from normalize.microsoft.azure import parse_time, set_resource
from normalize.microsoft.record import (
    MAX_LEAVES,
    MAX_PAIRS,
    named_values,
    nanoseconds,
    set_account,
    snake,
    split_address,
    spread,
)
from normalize.parsers import azure_firewall, m365_audit
from normalize.registry import Registry
from samlog.event import Event, RawEvent

One = Callable[..., Event]
TENANT = "/tenants/t-1/providers/Microsoft.aadiam"


def diagnostic(category: str, properties: Any, **top: Any) -> str:
    record = {"time": "2026-01-10T12:00:00Z", "resourceId": TENANT, "operationName": "op",
              "category": category, "properties": properties, **top}  # fmt: skip
    return orjson.dumps(record).decode()


def hunting(table: str, **columns: Any) -> str:
    properties = {"Timestamp": "2026-01-10T12:00:00Z", **columns}
    return diagnostic(f"AdvancedHunting-{table}", properties)


def audit(**fields: Any) -> str:
    record = {"CreationTime": "2026-01-10T12:00:00", "RecordType": 1, "Operation": "x"}
    return orjson.dumps({**record, "Workload": "Exchange", **fields}).decode()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("riskLevelDuringSignIn", "risk_level_during_sign_in"),
        ("InitiatingProcessSHA256", "initiating_process_sha256"),
        ("IPAddress", "ip_address"),
        ("@odata.type", "@odata_type"),
        ("", "_"),
    ],
)
def test_names_are_written_in_snake_case(name: str, expected: str) -> None:
    assert snake(name) == expected


def test_an_object_with_too_many_leaves_keeps_the_rest_as_one_text() -> None:
    event: Event = {}
    spread(event, "v", {f"k{number}": number for number in range(MAX_LEAVES + 5)})

    assert len(event) == MAX_LEAVES + 1
    assert orjson.loads(event["v.rest"]) == {f"k{MAX_LEAVES + n}": MAX_LEAVES + n for n in range(5)}


def test_an_object_that_is_nested_deep_is_kept_as_text_from_a_depth_on() -> None:
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"a": deep}
    event: Event = {}
    spread(event, "v", {"a": deep, "b": 1})

    assert event["v.b"] == 1
    assert all(name.count(".") < 16 for name in event)


def test_keys_that_become_one_field_keep_both_values() -> None:
    event: Event = {}
    spread(event, "v", {"clientIP": 1, "ClientIp": 2})

    assert event == {"v.client_ip": [1, 2]}


def test_named_values_are_bounded_and_keep_repeated_names() -> None:
    values = [{"Name": "a", "Value": 1}, {"Name": "a", "Value": 2}, {"Name": "b"}, "x"]

    assert named_values(values, "Name", "Value") == {"a": [1, 2]}
    many = [{"Name": str(number), "Value": 1} for number in range(1000)]
    assert len(named_values(many, "Name", "Value")) == MAX_PAIRS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", None)),
        ("192.0.2.1:443", ("192.0.2.1", 443)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("[192.0.2.1]", ("192.0.2.1", None)),
        ("::ffff:192.0.2.1", ("192.0.2.1", None)),
        ("[::ffff:192.0.2.1]:80", ("192.0.2.1", 80)),
        ("::ffff:192.0.2.1:80", ("192.0.2.1", 80)),
        ("host.example:25", ("host.example", 25)),
        ("fe80::1%eth0", ("fe80::1%eth0", None)),
    ],
)
def test_addresses_are_read_as_microsoft_writes_them(
    value: str, expected: tuple[str, int | None]
) -> None:
    assert split_address(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(6, 6_000_000), ("6", 6_000_000), (0, 0), (-1, None), ("x", None)]
)
def test_a_duration_is_nanoseconds(value: Any, expected: int | None) -> None:
    assert nanoseconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1/10/2026 12:52:01 AM", "2026-01-10T00:52:01+00:00"),
        ("1/10/2026 12:52:01 PM", "2026-01-10T12:52:01+00:00"),
        ("11/3/2026 9:06:42 AM +00:00", "2026-11-03T09:06:42+00:00"),
        ("2026-01-10T12:52:01.1234567Z", "2026-01-10T12:52:01.123456+00:00"),
        ("2026-01-10T12:52:01", "2026-01-10T12:52:01+00:00"),
        ("2026-01-10T8:52:01.500Z", "2026-01-10T08:52:01.500000+00:00"),
    ],
)
def test_times_are_read_in_both_forms(value: str, expected: str) -> None:
    moment = parse_time(value)
    assert not isinstance(moment, str) and moment is not None
    assert moment.isoformat() == expected


def test_a_time_that_is_none_is_tagged_and_kept(one: One) -> None:
    event = one(diagnostic("SignInLogs", {}, time="13/45/2026 1:00:00 PM"))

    assert "time_invalid" in event["tags"]
    assert event["samlog.invalid.@timestamp"] == "13/45/2026 1:00:00 PM"


def test_a_resource_is_taken_apart_in_any_case() -> None:
    event: Event = {}
    set_resource(event, "/Subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/www/x/y")

    assert event["azure.subscription_id"] == "s"
    assert event["azure.resource.provider"] == "Microsoft.Web/sites"
    assert (event["azure.resource.group"], event["azure.resource.name"]) == ("g", "www")


def test_an_account_with_two_at_signs_has_no_domain() -> None:
    event: Event = {}
    set_account(event, "user", "a@b@c")

    assert event == {"user.name": "a@b@c"}


def test_properties_that_are_a_json_text_are_read(one: One) -> None:
    event = one(diagnostic("SignInLogs", '{"userPrincipalName":"liv@kommune.example"}'))

    assert (event["user.name"], event["user.domain"]) == ("liv", "kommune.example")


@pytest.mark.parametrize("properties", [None, 7, "x", [], "{broken", {"status": "x"}])
def test_properties_of_any_type_still_give_an_event(one: One, properties: Any) -> None:
    for category in ("SignInLogs", "AuditLogs", "UserRiskEvents", "ProvisioningLogs",
                     "MicrosoftGraphActivityLogs", "AZFWNetworkRule", "Administrative",
                     "ApplicationGatewayAccessLog", "AdvancedHunting-DeviceEvents"):  # fmt: skip
        event = one(diagnostic(category, properties, correlationId="x"))
        assert event["event.dataset"].partition(".")[0] in ("azure", "m365_defender")


def test_what_an_error_code_says_is_the_outcome_of_a_sign_in(one: One) -> None:
    for code, outcome in ((0, "success"), ("0", "success"), (50126, "failure")):
        event = one(diagnostic("SignInLogs", {"status": {"errorCode": code}}))
        assert event["event.outcome"] == outcome
    assert "event.outcome" not in one(diagnostic("SignInLogs", {}))


def test_a_field_of_the_audit_log_cannot_pass_for_one_of_samlog(one: One) -> None:
    event = one(audit(**{"samlog.unit": "anden", "event.id": "1", "tags": ["x"]}))

    assert event["samlog.unit"] == "enheda"
    assert event["o365.audit.samlog.unit"] == "anden"
    assert "tags" not in event


def test_parameters_are_kept_as_fields_and_whole(one: One) -> None:
    event = one(audit(Parameters=[{"Name": "ForwardTo", "Value": "ond@angriber.example"}]))

    assert event["o365.audit.Parameters.ForwardTo"] == "ond@angriber.example"
    assert event["o365.audit.Parameters"] == (
        '[{"Name":"ForwardTo","Value":"ond@angriber.example"}]'
    )


@pytest.mark.parametrize("kind", [8, "8", "AzureActiveDirectory"])
def test_a_record_type_is_a_number_or_its_name(one: One, kind: Any) -> None:
    event = one(audit(RecordType=kind, Operation="Add user.", ObjectId="ny@kommune.example"))

    assert event["event.code"] == "AzureActiveDirectory"
    assert event["event.action"] == "added-user-account"
    assert event["o365.audit.Operation"] == "Add user."
    assert event["user.target.name"] == "ny"


def test_dlp_that_blocked_is_a_failure_unless_the_user_overrode_it(one: One) -> None:
    rule = {"RuleId": "r", "RuleName": "CPR", "Severity": "High", "Actions": ["BlockAccess"]}
    policies = [{"Rules": [rule, {**rule, "Severity": "Low"}]}]
    blocked = one(audit(RecordType=11, Operation="DLPRuleMatch", PolicyDetails=policies))
    overridden = one(
        audit(RecordType=11, Operation="x", PolicyDetails=policies, ExceptionInfo={"Reason": "ok"})
    )

    assert (blocked["event.outcome"], blocked["event.severity"]) == ("failure", 4)
    assert overridden["event.outcome"] == "success"


def test_a_page_of_graph_is_as_many_events_as_it_has_values(
    normalize: Callable[..., list[Event]],
) -> None:
    sign_in = {"createdDateTime": "2026-01-10T12:00:00Z", "appId": "a",
               "conditionalAccessStatus": "success", "status": {"errorCode": 0}}  # fmt: skip
    page = {"@odata.context": "https://graph.example/$metadata", "value": [sign_in, sign_in]}
    events = normalize(orjson.dumps(page))

    assert [event["event.dataset"] for event in events] == ["azure.signinlogs"] * 2
    other = normalize(orjson.dumps({"value": [{"a": 1}, {"a": 2}]}))
    assert len(other) == 1


def test_a_message_of_an_event_hub_is_taken_out_of_filebeats_record(one: One) -> None:
    hub = {"eventhub": "insights", "partition_id": "0", "sequence_number": 7}
    message = diagnostic("SignInLogs", {"userPrincipalName": "åse@kommune.example"})
    record = {"@timestamp": "2026-01-10T12:00:05Z", "message": message, "azure": hub,
              "agent": {"type": "filebeat"}, "ecs": {"version": "8.0.0"}}  # fmt: skip
    event = one(orjson.dumps(record))

    assert event["user.name"] == "åse"
    assert event["samlog.json"]["envelope"]["azure"] == hub
    assert event["@timestamp"] == "2026-01-10T12:00:00.000Z"


def test_a_record_behind_a_syslog_header_is_read(one: One) -> None:
    event = one(
        f"<13>Jan 10 13:37:01 relay azure: {diagnostic('AuditLogs', {'result': 'failure'})}"
    )

    assert event["samlog.parser"].startswith("entra_audit/")
    assert event["event.outcome"] == "failure"


def test_a_device_event_names_the_file_with_its_folder(one: One) -> None:
    path = "C:\\Users\\søren\\Ærø.exe"
    for folder in (path, "C:\\Users\\søren", "C:\\Users\\søren\\"):
        event = one(
            hunting(
                "DeviceFileEvents", ActionType="FileCreated", FileName="Ærø.exe", FolderPath=folder
            )  # fmt: skip
        )
        assert event["file.path"] == path
        assert event["file.directory"] == "C:\\Users\\søren"


def test_a_folder_that_ends_like_the_file_is_still_a_folder(one: One) -> None:
    event = one(hunting("DeviceProcessEvents", FileName="y", FolderPath="/opt/my"))

    assert event["process.executable"] == "/opt/my/y"


def test_an_inbound_connection_has_the_remote_end_as_its_source(one: One) -> None:
    flow = {"LocalIP": "10.0.0.1", "LocalPort": 3389, "RemoteIP": "192.0.2.9", "RemotePort": 50000}
    inbound = one(hunting("DeviceNetworkEvents", ActionType="InboundConnectionAccepted", **flow))
    outbound = one(hunting("DeviceNetworkEvents", ActionType="ConnectionSuccess", **flow))

    assert (inbound["source.ip"], inbound["destination.port"]) == ("192.0.2.9", 3389)
    assert (outbound["destination.ip"], outbound["source.port"]) == ("192.0.2.9", 3389)
    assert inbound["m365_defender.event.initiated"] is False


@pytest.mark.parametrize(
    ("kind", "data", "details"),
    [
        ("Dword", "1", "DWORD (0x00000001)"),
        ("Qword", "4294967297", "QWORD (0x00000001-0x00000001)"),
        ("String", "1", "1"),
        ("Dword", "²", "²"),
        ("Binary", "00 01", "Binary Data"),
    ],
)
def test_registry_data_is_also_written_as_rules_expect_it(
    one: One, kind: str, data: str, details: str
) -> None:
    event = one(
        hunting(
            "DeviceRegistryEvents",
            ActionType="RegistryValueSet",
            RegistryValueData=data,
            RegistryKey="HKEY_CURRENT_USER\\Software\\X",
            RegistryValueType=kind,
            RegistryValueName="y",
        )  # fmt: skip
    )

    assert event["m365_defender.event.registry.details"] == details
    assert event["registry.path"] == "HKCU\\Software\\X\\y"
    assert event["registry.data.strings"] == [data]


def test_a_table_that_is_new_keeps_its_columns(one: One) -> None:
    event = one(hunting("DeviceFutureEvents", NewColumn="å", AdditionalFields='{"a":{"b":1}}'))

    assert event["m365_defender.event.new_column"] == "å"
    assert event["m365_defender.event.additional_fields.a.b"] == 1
    assert event["m365_defender.event.category"] == "AdvancedHunting-DeviceFutureEvents"


def test_the_rule_of_a_firewall_may_have_full_stops(one: One) -> None:
    sentence = (
        "TCP request from 10.0.0.4:1 to 192.0.2.1:443. Action: Deny. Policy: a.b.c. "
        "Rule Collection Group: d. Rule Collection: e. Rule: f.g"
    )
    event = one(diagnostic("AzureFirewallNetworkRule", {"msg": sentence}))

    assert event["rule.name"] == "f.g"
    assert event["azure.firewall.policy"] == "a.b.c"
    assert event["event.type"] == ["connection", "denied"]


def test_a_message_tracking_line_of_too_few_columns_is_kept_as_text(one: One) -> None:
    line = "2026-01-10T12:00:00.000Z,192.0.2.1,a,192.0.2.2,b,c,d,SMTP,RECEIVE,1"
    event = one(line)

    assert event["samlog.parser"].startswith("text/")
    assert "no_message_tracking" in event["tags"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "TCP request from " * 3_700,
        "TCP request from a:1 to b:2. " + "Action: Deny. " * 4_500,
        "DNS Request: a - 1 A IN " + "x" * 64_000,
        "A" * 64_000,
        "Rule Collection Group: " * 2_700,
        "\\u00" * 16_000,
    ],
)
def test_long_hostile_sentences_of_a_firewall_take_linear_work(one: One, text: str) -> None:
    event = one(diagnostic("AzureFirewallNetworkRule", {"msg": text}))

    assert event["azure.firewall.properties.msg"] == text


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["Parameters", "ModifiedProperties", "Data", "PolicyDetails"])
def test_long_hostile_lists_of_the_audit_log_take_linear_work(one: One, name: str) -> None:
    values: tuple[Any, ...] = ("[" * 32_000, "{" * 32_000, '[{"Name":"a"},' * 4_000, [{}] * 20_000)
    for value in values:
        assert one(audit(RecordType=11, **{name: value}))["event.dataset"] == "o365.audit"


def test_a_client_that_is_a_host_with_its_address_has_both(one: One) -> None:
    event = one(audit(ClientIP="POST01 (192.0.2.4)"))

    assert event["client.domain"] == "POST01"
    assert event["source.ip"] == "192.0.2.4"


def test_no_parser_of_microsoft_claims_what_another_one_reads() -> None:
    raw = RawEvent("enheda", b"{}", "{}", parse_time("2026-01-10T12:00:00Z"), json={})  # type: ignore[arg-type]
    others = (
        {"eventSource": "ec2.amazonaws.com", "eventName": "x", "eventTime": "y"},
        {"ts": 1.0, "uid": "C", "id.orig_h": "192.0.2.1"},
        {"Type": "VMConnection", "TimeGenerated": "2026-01-10T12:00:00Z"},
        {"EventID": 4688, "Channel": "Security", "Hostname": "h"},
        {"id": "x", "severity": "high", "title": "y"},
        {"category": "auth", "time": "x"},
    )
    names = ("entra", "azure_", "m365", "defender", "exchange")
    parsers = [p for name, p in Registry().parsers.items() if name.startswith(names)]
    assert len(parsers) > 15
    for record in others:
        raw.json = record
        claimed = [p.NAME for p in parsers if p.NAME != "azure_vmconnection" and p.matches(raw)]
        assert claimed == []


def test_the_parsers_say_which_logsources_they_answer() -> None:
    assert {"product": "m365", "service": "audit"} in m365_audit.LOGSOURCES
    assert {"category": "firewall"} in azure_firewall.LOGSOURCES
