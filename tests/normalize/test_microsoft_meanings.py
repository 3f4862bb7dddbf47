"""Records of Microsoft 365, Entra ID and Defender mean what their schemas say."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from samlog.event import Event

One = Callable[..., Event]
STS, ALERT, ENDPOINT = 15, 40, 63


def audit(operation: str, kind: Any, **fields: Any) -> bytes:
    record = {"CreationTime": "2026-01-10T12:00:00", "RecordType": kind, "Operation": operation}
    return orjson.dumps({**record, "Workload": "x", "UserId": "åse@kommune.example", **fields})


@pytest.mark.parametrize(
    ("operation", "fields", "outcome"),
    [
        ("UserLoginFailed", {"ResultStatus": "Success", "ErrorNumber": "50126"}, "failure"),
        ("UserLoginFailed", {"ResultStatus": "Failed"}, "failure"),
        ("UserLoggedIn", {"ResultStatus": "Success", "ErrorNumber": "0"}, "success"),
        ("ForeignRealm", {"ResultStatus": "Succeeded", "ErrorNumber": 50053}, "failure"),
        ("ForeignRealm", {"ResultStatus": "Succeeded", "ErrorNumber": "0"}, "success"),
        ("ForeignRealm", {"ResultStatus": "Succeeded", "LogonError": "IdsLocked"}, "failure"),
        ("ForeignRealm", {"ResultStatus": "Succeeded", "ErrorNumber": ["x"]}, "success"),
    ],
)
def test_a_log_in_failed_where_its_record_says_so_in_any_way(
    one: One, operation: str, fields: dict[str, Any], outcome: str
) -> None:
    assert one(audit(operation, STS, **fields))["event.outcome"] == outcome


def test_why_a_log_in_failed_is_told(one: One) -> None:
    fields = {"ErrorNumber": "50126", "LogonError": "InvalidUserNameOrPassword"}
    event = one(audit("UserLoginFailed", STS, **fields))
    assert event["error.code"] == "50126"
    assert event["event.reason"] == "InvalidUserNameOrPassword"


@pytest.mark.parametrize("nothing", ["null", "<null>", "", "-", None, 7])
def test_an_address_that_says_nothing_gives_way_to_the_next(one: One, nothing: Any) -> None:
    event = one(audit("x", 1, ClientIPAddress=nothing, ActorIpAddress="203.0.113.1"))
    assert event["source.ip"] == "203.0.113.1"
    assert "client.domain" not in one(audit("x", 1, ClientIP=nothing))


@pytest.mark.parametrize(
    ("kind", "code"),
    [(261, "CopilotInteraction"), ("188", "PlannerPlan"), (999, "999"), ("Neues", "Neues")],
)
def test_a_record_type_without_a_name_stays_a_number(one: One, kind: Any, code: str) -> None:
    assert one(audit("x", kind))["event.code"] == code


@pytest.mark.parametrize("kind", [None, True, [], {}, 1.5, "9" * 60_000, 10**18, -1])
def test_a_record_type_of_any_kind_gives_an_event(one: One, kind: Any) -> None:
    event = one(audit("x", kind))
    assert event["event.dataset"] == "o365.audit"
    assert len(str(event.get("event.code", ""))) <= 60_000


def test_the_user_of_an_alert_is_the_one_it_is_about(one: One) -> None:
    fields = {"EntityType": "User", "AlertEntityId": "liv@kommune.example"}
    event = one(audit("AlertTriggered", ALERT, **fields))
    assert (event["user.name"], event["user.id"]) == ("liv", "liv@kommune.example")
    assert event["o365.audit.UserId"] == "åse@kommune.example"


def test_malware_of_an_alert_is_software(one: One) -> None:
    fields = {"EntityType": "MalwareFamily", "AlertEntityId": "Trojan:X"}
    assert one(audit("AlertTriggered", ALERT, **fields))["threat.software.name"] == "Trojan:X"


def test_a_file_on_a_managed_computer_is_an_alert_only_where_a_policy_matched(one: One) -> None:
    path = {"ObjectId": "C:\\Users\\åse\\løn.xlsx", "DeviceName": "PC-Ø"}
    plain = one(audit("FileRead", ENDPOINT, **path))
    matched = one(audit("FilePrinted", ENDPOINT, PolicyMatchInfo={"RuleName": "CPR"}, **path))
    assert (plain["event.kind"], matched["event.kind"]) == ("event", "alert")
    assert (plain["file.name"], plain["host.name"]) == ("løn.xlsx", "pc-ø")
    assert matched["rule.name"] == "CPR"


@pytest.mark.parametrize(
    ("operation", "kind"),
    [("FileCreated", "creation"), ("FileRenamed", "change"), ("FileDeleted", "deletion")]
    + [("FileCopiedToRemovableMedia", "access")],
)
def test_what_was_done_with_a_file_is_the_type(one: One, operation: str, kind: str) -> None:
    assert one(audit(operation, ENDPOINT, ObjectId="/a/b"))["event.type"] == [kind]


def test_the_mail_that_an_action_on_a_mailbox_is_about_is_named(one: One) -> None:
    items = [{"Subject": "Faktura", "InternetMessageId": "<1@x>"}, {"Subject": "Svar"}]
    event = one(audit("HardDelete", 3, AffectedItems=items))
    assert (event["email.subject"], event["email.message_id"]) == ("Faktura", "<1@x>")


@pytest.mark.parametrize(
    "fields",
    [
        {"Item": 1, "AffectedItems": "x"},
        {"Item": [], "AffectedItems": [1, None, [{}]]},
        {"PolicyMatchInfo": [1], "PolicyDetails": {"Rules": 1}, "ObjectId": ["x"]},
        {"ErrorNumber": {}, "LogonError": [], "AlertEntityId": {}, "EntityType": 7},
        {"Members": 5, "ObjectId": {"a": 1}, "SharePointMetaData": "{", "PolicyId": {}},
    ],
)
@pytest.mark.parametrize("kind", [1, 2, 3, 8, 11, 13, 15, 25, 28, 40, 50, 63])
def test_fields_of_wrong_types_take_nothing_else_along(
    one: One, kind: int, fields: dict[str, Any]
) -> None:
    event = one(audit("UserLoginFailed", kind, **fields))
    assert event["user.name"] == "åse"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [2, 15, 40, 63])
def test_long_values_take_linear_work(one: One, kind: int) -> None:
    for long in ("\\" * 60_000, "/" * 60_000, "@" * 60_000, " (" * 30_000, "[" * 60_000):
        fields = dict.fromkeys(("ObjectId", "AlertEntityId", "ClientIP", "LogonError"), long)
        event = one(audit("x", kind, EntityType="User", **fields))
        assert event["event.dataset"] == "o365.audit"


def entra(category: str, **properties: Any) -> bytes:
    record = {"time": "2026-01-10T12:00:00Z", "category": category, "properties": properties}
    return orjson.dumps(record | {"resourceId": "/tenants/t/providers/x", "operationName": "op"})


def test_a_user_at_risk_is_the_events_user(one: One) -> None:
    account = {"userPrincipalName": "liv@kommune.example", "userDisplayName": "Liv", "userId": "7"}
    event = one(entra("UserRiskEvents", riskEventType="leakedCredentials", **account))
    assert (event["user.name"], event["user.id"]) == ("liv", "7")
    assert event["user.full_name"] == "Liv"


def test_a_service_principal_at_risk_is_no_user(one: One) -> None:
    event = one(entra("RiskyServicePrincipals", displayName="app", riskState="atRisk"))
    assert not [name for name in event if name.startswith("user.")]


RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.X/y/z"


def platform(category: str, log: Any) -> bytes:
    record = {"time": "2026-01-10T12:00:00Z", "resourceId": RESOURCE, "category": category}
    return orjson.dumps(record | {"properties": {"log": log}})


def test_a_line_of_text_in_a_resource_log_is_the_message(one: One) -> None:
    assert one(platform("kube-scheduler", "noget skete\n"))["message"] == "noget skete"


@pytest.mark.parametrize("log", ['{"a": 1}', "[1]", "", None, 5, {"a": 1}])
def test_what_is_no_text_in_a_resource_log_is_no_message(one: One, log: Any) -> None:
    assert "message" not in one(platform("kube-scheduler", log))


def resource(identity: Any, **fields: Any) -> bytes:
    record = {"time": "2026-01-10T12:00:00Z", "resourceId": RESOURCE, "category": "AuditEvent"}
    return orjson.dumps({**record, "identity": identity, **fields})


@pytest.mark.parametrize(
    "identity",
    [
        {"claim": {"upn": "åse@kommune.example", "oid": "u-1", "appid": "app-1"}},
        {
            "claim": {
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "åse@kommune.example",
                "http://schemas.microsoft.com/identity/claims/objectidentifier": "u-1",
            }
        },
        {"type": "OAuth", "requester": {"upn": "åse@kommune.example", "objectId": "u-1"}},
    ],
)
def test_who_read_a_secret_or_a_blob_is_its_user(one: One, identity: Any) -> None:
    event = one(resource(identity))
    assert (event["user.name"], event["user.domain"]) == ("åse", "kommune.example")
    assert (event["user.email"], event["user.id"]) == ("åse@kommune.example", "u-1")
    assert event["related.user"] == ["åse"]


def test_an_application_that_read_a_secret_is_no_user_by_name(one: One) -> None:
    event = one(resource({"claim": {"appid": "app-1"}}))
    assert not [name for name in event if name.startswith("user.")]


@pytest.mark.parametrize("wrong", [None, True, [], {}, 7, "x" * 60_000, [[{}]], {"upn": ["x"]}])
@pytest.mark.parametrize("key", ["claim", "requester", "type"])
def test_an_identity_of_any_type_gives_an_event(one: One, key: str, wrong: Any) -> None:
    assert one(resource({key: wrong}))["event.dataset"] == "azure.platformlogs"
    assert one(resource(wrong))["event.dataset"] == "azure.platformlogs"


@pytest.mark.parametrize(
    ("word", "outcome"),
    [("Success", "success"), ("Failed", "failure"), ("SASNetworkFailure", None)],
)
def test_the_status_of_a_storage_request_is_its_outcome(
    one: One, word: str, outcome: str | None
) -> None:
    assert one(resource({}, statusText=word)).get("event.outcome") == outcome


@pytest.mark.parametrize("code", [401, "403", 500])
def test_a_request_that_was_refused_failed_whatever_its_result_says(one: One, code: Any) -> None:
    by_vault = resource({}, resultType="Success", properties={"httpStatusCode": code})
    assert one(by_vault)["event.outcome"] == "failure"
    assert one(resource({}, statusCode=code))["event.outcome"] == "failure"


@pytest.mark.parametrize("code", [200, "404x", True, 4030, None, [], {}, 2**63, "4" * 60_000])
def test_a_code_that_is_no_refusal_leaves_the_result(one: One, code: Any) -> None:
    by_vault = resource({}, resultType="Success", properties={"httpStatusCode": code})
    assert one(by_vault)["event.outcome"] == "success"


def test_reading_and_deleting_a_blob_differ_in_type(one: One) -> None:
    record = {"time": "2026-01-10T12:00:00Z", "resourceId": RESOURCE, "properties": {"a": 1}}
    kinds = {"StorageRead": None, "Read": ["access"], "Delete": ["deletion"], "Write": ["change"]}
    for category, kind in kinds.items():
        event = one(orjson.dumps(record | {"category": category}))
        assert event.get("event.type") == kind


def test_an_attachment_is_a_file_in_a_mail(one: One) -> None:
    row = {"Timestamp": "2026-01-10T12:00:00Z", "FileName": "løn.xlsm", "FileType": "xlsm"}
    record = {"category": "AdvancedHunting-EmailAttachmentInfo", "properties": row}
    event = one(orjson.dumps(record))
    assert event["event.category"] == ["email", "file"]


def device(table: str, **columns: Any) -> bytes:
    row = {"Timestamp": "2026-01-10T12:00:00Z", **columns}
    return orjson.dumps({"category": f"AdvancedHunting-{table}", "properties": row})


@pytest.mark.parametrize(
    ("table", "action", "types"),
    [
        ("DeviceProcessEvents", "ProcessCreated", ["start"]),
        ("DeviceEvents", "ProcessCreatedUsingWmiQuery", ["info", "start"]),
        ("DeviceEvents", "OpenProcessApiCall", ["info"]),
        ("DeviceImageLoadEvents", "ImageLoaded", ["start"]),
        ("DeviceFileEvents", "FileRenamed", ["change"]),
        ("DeviceLogonEvents", "LogonSuccess", ["info"]),
        ("DeviceNetworkEvents", "NetworkSignatureInspected", ["info"]),
        ("DeviceNetworkEvents", "ConnectionFailed", ["denied"]),
        ("DeviceNetworkInfo", "", None),
    ],
)
def test_an_action_on_a_device_has_the_type_of_what_happened(
    one: One, table: str, action: str, types: list[str] | None
) -> None:
    assert one(device(table, ActionType=action)).get("event.type") == types


@pytest.mark.parametrize(
    ("written", "field", "value", "version"),
    [
        ("TcpV6", "network.transport", "tcp", "ipv6"),
        ("Udp", "network.transport", "udp", None),
        ("Smb", "network.protocol", "smb", None),
        ("TcpX", "network.protocol", "tcpx", None),
    ],
)
def test_a_protocol_of_defender_is_transport_or_application(
    one: One, written: str, field: str, value: str, version: str | None
) -> None:
    event = one(device("DeviceNetworkEvents", Protocol=written))
    assert (event[field], event.get("network.type")) == (value, version)


@pytest.mark.parametrize(("status", "trusted"), [("Valid", True), ("Unsigned", False)])
def test_the_signature_of_a_process_is_told(one: One, status: str, trusted: bool) -> None:
    columns = {"InitiatingProcessSignatureStatus": status, "InitiatingProcessFileName": "a.exe"}
    event = one(device("DeviceFileEvents", **columns))
    assert event["process.code_signature.trusted"] is trusted
    assert event["process.code_signature.exists"] is trusted


def test_a_signature_that_is_neither_is_only_named(one: One) -> None:
    event = one(device("DeviceFileEvents", InitiatingProcessSignatureStatus="Unknown"))
    assert event["process.code_signature.status"] == "Unknown"
    assert "process.code_signature.trusted" not in event


def test_a_link_that_was_shared_is_kept_whole_and_a_file_is_taken_apart(one: One) -> None:
    url = {"ObjectId": "https://k.sharepoint.example/sites/a/b.docx", "SourceFileName": "b.docx"}
    shared, read = one(audit("SharingSet", 14, **url)), one(audit("FileAccessed", 6, **url))
    assert shared["url.original"] == read["url.original"] == url["ObjectId"]
    assert (read["url.domain"], read["url.extension"]) == ("k.sharepoint.example", "docx")
    assert "url.domain" not in shared


def test_an_alert_of_a_category_that_nobody_knows_is_no_log_in(one: One) -> None:
    assert one(audit("AlertTriggered", ALERT, Category="MailFlow"))["event.category"] == ["web"]


@pytest.mark.parametrize("status", [False, "False", "Failed", "FAILURE"])
def test_a_result_may_be_a_word_or_a_truth(one: One, status: Any) -> None:
    assert one(audit("Set-Mailbox", 1, ResultStatus=status))["event.outcome"] == "failure"


@pytest.mark.parametrize("users", [7, True, "x", {"accountName": "liv"}, [1, None], [[]]])
def test_users_of_any_type_at_a_device_in_evidence_give_an_event(one: One, users: Any) -> None:
    item = {"@odata.type": "#microsoft.graph.security.deviceEvidence", "loggedOnUsers": users}
    alert = {"providerAlertId": "1", "serviceSource": "x", "title": "fund", "evidence": [item]}
    assert one(orjson.dumps(alert))["message"] == "fund"


def endpoint_alert(status: str, *kinds: str) -> bytes:
    evidence = [{"entityType": kind, "url": "https://ond.example/a?b=1"} for kind in kinds]
    alert = {"alertCreationTime": "2026-01-10T12:00:00Z", "machineId": "m", "status": status}
    return orjson.dumps({**alert, "evidence": evidence})


@pytest.mark.parametrize(
    ("status", "kinds", "types"),
    [
        ("New", ("File",), ["creation", "start"]),
        ("New", ("User",), ["access", "creation", "start"]),
        ("Resolved", (), ["end"]),
        ("InProgress", (), ["change"]),
        ("Ukendt", (), ["info"]),
    ],
)
def test_the_status_of_an_alert_is_its_type(
    one: One, status: str, kinds: tuple[str, ...], types: list[str]
) -> None:
    assert one(endpoint_alert(status, *kinds))["event.type"] == types


def test_a_url_among_the_evidence_is_taken_apart(one: One) -> None:
    event = one(endpoint_alert("New", "Url"))
    assert event["url.full"] == "https://ond.example/a?b=1"
    assert (event["url.domain"], event["url.query"]) == ("ond.example", "b=1")


def test_an_incident_that_was_found_to_be_malware_is_of_that_category(one: One) -> None:
    record = {"incidentId": 1, "incidentName": "x", "severity": "High", "determination": "Malware"}
    event = one(orjson.dumps({**record, "alerts": [{"alertId": "1", "title": "t"}]}))
    assert event["event.category"] == ["host", "malware"]


def incident(evidence: Any, **fields: Any) -> bytes:
    alert = {"serviceSource": "microsoftDefenderForEndpoint", "evidence": evidence}
    record = {"incidentWebUrl": "https://ond.example/1", "severity": "high", "alerts": [alert]}
    return orjson.dumps({**record, "id": "1", **fields})


def piece(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@odata.type": f"#microsoft.graph.security.{kind}Evidence", **fields}


def test_files_of_several_pieces_of_evidence_are_all_told(one: One) -> None:
    names = ("ond.exe", "værre.dll", "ond.exe")
    event = one(incident([piece("file", fileDetails={"fileName": name}) for name in names]))
    assert event["file.name"] == ["ond.exe", "værre.dll"]


def test_one_piece_of_evidence_gives_values_and_no_lists(one: One) -> None:
    image = {"sha1": "a" * 40, "fileName": "ond.exe"}
    account = {"accountName": "åse", "domainName": "kommune", "azureAdUserId": "u-1"}
    evidence = [
        piece("process", processId=7, parentProcessImageFile=image, userAccount=account),
        piece("user", userAccount=account),
        piece("securityGroup", securityGroupId="g-1", displayName="Økonomi"),
    ]
    event = one(incident(evidence))
    assert event["process.pid"] == 7
    assert event["process.parent.hash.sha1"] == "a" * 40
    assert event["process.user.name"] == event["user.name"] == "åse"
    assert event["process.user.id"] == "u-1"
    assert event["group.name"] == "Økonomi"
    assert event["related.hash"] == ["a" * 40]


def test_both_senders_of_a_mail_in_evidence_are_told(one: One) -> None:
    mail = piece(
        "analyzedMessage",
        p1Sender={"emailAddress": "retur@ond.example"},
        p2Sender={"emailAddress": "chef@kommune.example"},
        recipientEmailAddress="åse@kommune.example",
        senderIp="203.0.113.9",
    )
    event = one(incident([mail]))
    assert event["email.from.address"] == ["chef@kommune.example", "retur@ond.example"]
    assert event["email.to.address"] == ["åse@kommune.example"]
    assert "203.0.113.9" in event["related.ip"]


@pytest.mark.parametrize(
    ("found", "category", "kind"),
    [
        ("phishing", ["email"], ["info"]),
        ("apt", ["threat"], ["indicator"]),
        ("malware", ["malware"], ["info"]),
        ("maliciousUserActivity", ["malware"], ["info"]),
    ],
)
def test_what_an_incident_was_found_to_be_is_its_category(
    one: One, found: str, category: list[str], kind: list[str]
) -> None:
    event = one(incident([], determination=found))
    assert (event["event.category"], event["event.type"]) == (category, kind)


@pytest.mark.parametrize("found", ["other", "", None, 7, ["phishing"], {"a": 1}, "p" * 60_000])
def test_an_incident_found_to_be_nothing_known_has_no_category(one: One, found: Any) -> None:
    assert "event.category" not in one(incident([], determination=found))


def test_evidence_is_read_up_to_a_bound(one: One) -> None:
    event = one(incident([piece("file", fileDetails={"fileName": f"{n}"}) for n in range(5_000)]))
    assert len(event["file.name"]) == 128


@pytest.mark.parametrize("wrong", [None, True, [], {}, 7, "x" * 60_000, [[[]]], [{"sha1": []}]])
@pytest.mark.parametrize("kind", ["file", "process", "user", "analyzedMessage", "ip", "url"])
def test_evidence_with_anything_in_each_place_gives_an_event(
    one: One, kind: str, wrong: Any
) -> None:
    places = ("fileDetails", "imageFile", "parentProcessImageFile", "userAccount", "p1Sender")
    more = ("p2Sender", "senderIp", "ipAddress", "url", "processId", "detectionStatus")
    item = piece(kind, **dict.fromkeys((*places, *more), wrong))
    event = one(incident([item, wrong, piece("file", fileDetails={"fileName": "ond.exe"})]))
    assert event["event.dataset"] == "m365_defender.incident"
    assert event["file.name"] == "ond.exe"
