"""AWS CloudTrail records, one each, in a batch as in S3 (``{"Records": [..]}``) or by EventBridge.

Format: "CloudTrail record contents" of the user guide, versions 1.0 to 1.11. ECS fields say who
(``user.*``), from where (``source.*``, ``user_agent.original``), what (``event.action``,
``event.provider``) and with which outcome. AWS's own fields stay below ``aws.cloudtrail.`` under
Elastic's names; request parameters, response elements, additional data and service details are
there twice: leaf by leaf below ``aws.cloudtrail.flattened.<request_parameters|..>.<path>``, which
rules read, and whole as JSON text in ``aws.cloudtrail.request_parameters`` and so on. Digest files
(integrity of the log files) are read as well: ``file.path`` is the digest's place.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from normalize.address import is_ip
from normalize.aws_actions import action
from normalize.jsontext import MAX_FLATTENED_DEPTH, capped
from normalize.vendor_object import put, set_leaves, text
from samlog.event import Event, RawEvent

NAME = "aws_cloudtrail"
VERSION = 4
HINTS = frozenset({"cloudtrail", "aws.cloudtrail"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "aws", "service": "cloudtrail"},)
LOG_CLASSES = ("LC-23",)
CONTENT = "json"
ORDER = 40
KEYS = frozenset(("eventSource", "digestS3Object", "insightDetails", "detail"))
SPECIFICATION = (
    'AWS CloudTrail User Guide, "CloudTrail record contents", "userIdentity element", '
    '"CloudTrail digest file structure", "CloudTrail Insights event"',
)
SETTINGS = """
An organisation trail of all regions to S3, with log file validation; the collector reads its
files (`{"Records": [..]}`), each record becomes an event. Management events suffice for nearly
all rules; data events of S3 where LC-18 asks for them.
"""

MAX_LEAVES = 128
"""Leaves of one object that become fields; the rest is in its JSON text only."""

_COPIED = (
    ("eventVersion", "aws.cloudtrail.event_version"),
    ("eventType", "aws.cloudtrail.event_type"),
    ("eventCategory", "aws.cloudtrail.event_category"),
    ("managementEvent", "aws.cloudtrail.management_event"),
    ("readOnly", "aws.cloudtrail.read_only"),
    ("requestID", "aws.cloudtrail.request_id"),
    ("apiVersion", "aws.cloudtrail.api_version"),
    ("errorCode", "aws.cloudtrail.error_code"),
    ("errorMessage", "aws.cloudtrail.error_message"),
    ("recipientAccountId", "aws.cloudtrail.recipient_account_id"),
    ("sharedEventID", "aws.cloudtrail.shared_event_id"),
    ("vpcEndpointId", "aws.cloudtrail.vpc_endpoint_id"),
)
_COMMON = (
    ("eventName", "event.action"),
    ("eventSource", "event.provider"),
    ("@timestamp", "@timestamp"),  # Logstash renames eventTime
    ("eventTime", "@timestamp"),
    ("awsRegion", "cloud.region"),
    ("userAgent", "user_agent.original"),
)
_IDENTITY = (
    ("type", "aws.cloudtrail.user_identity.type"),
    ("arn", "aws.cloudtrail.user_identity.arn"),
    ("accessKeyId", "aws.cloudtrail.user_identity.access_key_id"),
    ("invokedBy", "aws.cloudtrail.user_identity.invoked_by"),
    ("identityProvider", "aws.cloudtrail.user_identity.identity_provider"),
)
_ACTOR = (
    ("accountId", "cloud.account.id"),
    ("principalId", "user.id"),
    ("userName", "user.name"),
)
_SESSION = "aws.cloudtrail.user_identity.session_context."
_ATTRIBUTES = (
    ("mfaAuthenticated", _SESSION + "mfa_authenticated"),
    ("creationDate", _SESSION + "creation_date"),
)
_ISSUER = (
    ("type", _SESSION + "session_issuer.type"),
    ("principalId", _SESSION + "session_issuer.principal_id"),
    ("arn", _SESSION + "session_issuer.arn"),
    ("accountId", _SESSION + "session_issuer.account_id"),
    ("userName", _SESSION + "session_issuer.user_name"),
)
_OBJECTS = (
    ("requestParameters", "request_parameters"),
    ("responseElements", "response_elements"),
    ("additionalEventData", "additional_eventdata"),
    ("serviceEventDetails", "service_event_details"),
    ("insightDetails", "insight_details"),
)
_TARGETS = (("userName", "user.target.name"), ("newUserName", "user.changes.name"))
_HAVE_GROUPS = frozenset(("iam", "identitystore"))
"""Services whose groups are groups of users; those of EC2 are rules of a firewall."""
_KNOWN = frozenset(key for key, _ in _COPIED + _COMMON + _OBJECTS) | frozenset(
    ("eventID", "sourceIPAddress", "userIdentity", "resources", "tlsDetails")
)
_NESTED = (dict, list)
_KNOWN_OF_CONTEXT = frozenset(("attributes", "sessionIssuer"))
_KNOWN_OF_IDENTITY = frozenset(key for key, _ in _IDENTITY + _ACTOR) | {"sessionContext"}


def matches(raw: RawEvent) -> bool:
    """A JSON object with CloudTrail's ``eventVersion``, ``eventSource`` and ``eventName``."""
    if raw.json is None:
        return False
    record = _record(raw.json)
    if "digestS3Object" in record and "digestEndTime" in record:
        return True
    if "eventSource" in record and "eventName" in record:
        return "eventTime" in record or "eventVersion" in record
    return "insightDetails" in record and "eventVersion" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    whole = raw.json or {}
    record = _record(whole)
    event: Event = {"event.dataset": "aws.cloudtrail", "cloud.provider": "aws"}
    if record is not whole:
        _unknown(event, "aws.eventbridge", whole, frozenset(("detail",)))
    if "digestS3Object" in record:
        return _digest(event, record)
    _copy(event, record, _COPIED)
    identity = record.get("userIdentity")
    if isinstance(record.get("eventID"), str):
        event["aws.cloudtrail.event_id"] = record["eventID"]
    issuer = _identity(event, identity) if isinstance(identity, dict) else None
    for key, field in _OBJECTS:
        _object(event, record.get(key), field)
    _resources(event, record.get("resources"))
    if not _KNOWN.issuperset(record):
        _unknown(event, "aws.cloudtrail", record, _KNOWN)
    # so far all is AWS's own; without a look at it 2 us less
    raw.settled = len(event)
    _common(event, record)
    if isinstance(identity, dict):
        _copy(event, identity, _ACTOR)
    if issuer is not None and "user.name" not in event:
        event["user.name"] = issuer
    _tls(event, record.get("tlsDetails"))
    _outcome(event, record)
    _targets(event, record, str(record.get("eventSource", "")))
    return event


def _common(event: Event, record: Mapping[str, Any]) -> None:
    """Sets what ECS has names for: what was done, when, and from where."""
    _copy(event, record, _COMMON)
    name, source = str(record.get("eventName", "")), str(record.get("eventSource", ""))
    categories, event["event.type"] = map(list, action(name, source))
    put(event, "event.category", categories)
    if isinstance(record.get("eventID"), str):
        event["samlog.origin"] = f"cloudtrail|{record['eventID']}"
    address = record.get("sourceIPAddress")
    if isinstance(address, str) and address:
        event["source.address"] = address
        if is_ip(address):
            event["source.ip"] = address


def _record(whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the record, taken out of EventBridge's event where it is in one."""
    detail = whole.get("detail")
    return detail if isinstance(detail, dict) and "detail-type" in whole else whole


def _unknown(event: Event, prefix: str, record: Mapping[str, Any], known: frozenset[str]) -> None:
    """Keeps what AWS added later, under its own name."""
    set_leaves(event, prefix, {key: record[key] for key in record if key not in known})


def _digest(event: Event, record: Mapping[str, Any]) -> Event:
    """What lists an hour's log files with their hashes ("CloudTrail digest file structure")."""
    put(event, "@timestamp", record.get("digestEndTime"))
    event["event.type"] = ["info"]
    put(event, "cloud.account.id", text(record, "awsAccountId"))
    put(event, "file.path", text(record, "digestS3Object"))
    set_leaves(event, "aws.cloudtrail.digest", record)
    return event


def _copy(event: Event, record: Mapping[str, Any], pairs: tuple[tuple[str, str], ...]) -> None:
    for key, field in pairs:
        value = record.get(key)
        if value is not None and value != "" and type(value) not in _NESTED:
            event[field] = value


def _identity(event: Event, identity: Mapping[str, Any]) -> str | None:
    """Sets who called; returns the name of an assumed role, which stands for a missing user."""
    _copy(event, identity, _IDENTITY)
    if not _KNOWN_OF_IDENTITY.issuperset(identity):
        _unknown(event, "aws.cloudtrail.user_identity", identity, _KNOWN_OF_IDENTITY)
    context = identity.get("sessionContext")
    if not isinstance(context, dict):
        return None
    if not _KNOWN_OF_CONTEXT.issuperset(context):
        _unknown(event, _SESSION[:-1], context, _KNOWN_OF_CONTEXT)
    attributes, issuer = context.get("attributes"), context.get("sessionIssuer")
    if isinstance(attributes, dict):
        _copy(event, attributes, _ATTRIBUTES)
    if not isinstance(issuer, dict):
        return None
    _copy(event, issuer, _ISSUER)
    name = issuer.get("userName")
    return name if isinstance(name, str) else None


def _object(event: Event, value: Any, field: str) -> None:
    if value is None or value == "" or value == {}:
        return
    written, limited = _written(value)
    event[f"aws.cloudtrail.{field}"] = written
    if isinstance(limited, dict):
        leaves: Event = {}
        _leaves(leaves, f"aws.cloudtrail.flattened.{field}", limited)
        event.update(leaves)


def _written(value: Any) -> tuple[str, Any]:
    """Returns ``value`` as text, and itself with what lies too deep as text."""
    if isinstance(value, str):
        return value, value
    try:
        text = orjson.dumps(value)
    except TypeError:
        text = b""  # too deep for orjson
    # Few brackets cannot be deep: 1 us instead of 2 to copy level by level.
    if text and text.count(b"{") + text.count(b"[") <= MAX_FLATTENED_DEPTH:
        return text.decode(), value
    limited = capped(value)
    return orjson.dumps(limited).decode(), limited


def _leaves(out: Event, prefix: str, value: Any) -> None:
    """Sets every leaf under its path; the leaves of objects in a list become one list."""
    if len(out) >= MAX_LEAVES and prefix not in out:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            _leaves(out, f"{prefix}.{key}", item)
    elif isinstance(value, list):
        for item in value:
            _leaves(out, prefix, item)
    elif value is not None:
        before = out.get(prefix)
        if before is None:
            out[prefix] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            out[prefix] = [before, value]


def _resources(event: Event, resources: Any) -> None:
    if not isinstance(resources, list):
        return
    for key, field in (("ARN", "arn"), ("accountId", "account_id"), ("type", "type")):
        values = [item[key] for item in resources[:MAX_LEAVES]
                  if isinstance(item, dict) and isinstance(item.get(key), str)]  # fmt: skip
        if values:
            event[f"aws.cloudtrail.resources.{field}"] = values


def _tls(event: Event, details: Any) -> None:
    if not isinstance(details, dict):
        return
    version = details.get("tlsVersion")
    if isinstance(version, str) and version.startswith("TLSv"):
        event["tls.version"], event["tls.version_protocol"] = version[4:], "tls"
    _copy(event, details, (("cipherSuite", "tls.cipher"),))
    _copy(event, details, (("clientProvidedHostHeader", "tls.client.server_name"),))


def _outcome(event: Event, record: Mapping[str, Any]) -> None:
    """Failure where AWS names an error, or says so in the response of a log-in."""
    response = record.get("responseElements")
    login = response.get("ConsoleLogin") if isinstance(response, dict) else None
    failed = bool(record.get("errorCode") or record.get("errorMessage")) or login == "Failure"
    event["event.outcome"] = "failure" if failed else "success"


def _targets(event: Event, record: Mapping[str, Any], source: str) -> None:
    """The user that a call is about, of any service; the group where groups have members."""
    parameters, response = record.get("requestParameters"), record.get("responseElements")
    groups = source.partition(".")[0] in _HAVE_GROUPS
    if isinstance(parameters, dict):
        _copy(event, parameters, _TARGETS)
        if groups:
            _copy(event, parameters, (("groupName", "group.name"),))
    if isinstance(response, dict):
        for key, field in (("user", "user.target.id"), ("group", "group.id")):
            made = response.get(key)
            if isinstance(made, dict) and (key == "user" or groups):
                _copy(event, made, ((f"{key}Id", field),))
