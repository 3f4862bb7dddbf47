"""Defender's advanced hunting tables about identities, cloud apps, mail and alerts, in ECS.

Format: "Understand the advanced hunting schema", tables Identity*Events, CloudAppEvents,
Email*Events, UrlClickEvents, AlertInfo and AlertEvidence, BehaviorInfo and BehaviorEntities.
"""

from collections.abc import Mapping
from typing import Any

from normalize.address import is_ip, set_port
from normalize.microsoft.defender_device import joined
from normalize.microsoft.m365_types import SEVERITIES
from normalize.microsoft.record import copy, mapping, text
from normalize.web import set_url
from normalize.windows.values import command_line, file_path, registry_path
from samlog.event import Event

Row = Mapping[str, Any]

IDENTITY = frozenset(
    ("IdentityLogonEvents", "IdentityQueryEvents", "IdentityDirectoryEvents", "IdentityInfo")
    + ("CloudAppEvents", "CloudAuditEvents", "AADSignInEventsBeta", "AADSpnSignInEventsBeta")
    + ("EntraIdSignInEvents", "EntraIdSpnSignInEvents")
)
MAIL = frozenset(
    ("EmailEvents", "EmailAttachmentInfo", "EmailUrlInfo", "EmailPostDeliveryEvents")
    + ("UrlClickEvents", "MessageEvents", "MessageUrlInfo", "MessagePostDeliveryEvents")
)
ALERTS = frozenset(("AlertInfo", "AlertEvidence"))
BEHAVIORS = frozenset(("BehaviorInfo", "BehaviorEntities"))
_ON_A_HOST = frozenset(("IdentityQueryEvents", "IdentityDirectoryEvents", "IdentityInfo"))
"""Tables whose IPAddress is that of the machine ``DeviceName``, not of who connects to it."""

_ENTITIES = {"file": "file", "process": "process", "device": "host", "machine": "host",
             "user": "iam", "ip": "network", "url": "web", "registrykey": "registry"}  # fmt: skip
_MALWARE = frozenset(("malware", "ransomware"))
_THREATS = frozenset(
    ("persistence", "privilegeescalation", "suspiciousactivity", "threatmanagement")
)
_LINE = command_line("process")
_FILE = file_path()


def read_identity(event: Event, table: str, row: Row) -> None:
    """An account's sign-in, query or change that Defender for Identity or Cloud Apps saw."""
    logon = table in ("IdentityLogonEvents", "AADSignInEventsBeta", "EntraIdSignInEvents")
    if logon:
        event["event.category"] = ["authentication"]
    elif table == "IdentityInfo":
        event["event.category"] = ["iam"]
    elif table == "CloudAuditEvents":
        event["event.category"] = ["configuration"]
    event["event.type"] = ["info"]
    if name := text(row, "DeviceName"):
        event["host.name"] = name.lower()
    copy(
        event,
        row,
        (("DeviceType", "host.type"), ("OSPlatform", "host.os.name"))
        + (("TargetDeviceName", "destination.domain"), ("AccountName", "user.name"))
        + (("AccountDomain", "user.domain"), ("EmailAddress", "user.email"))
        + (("UserAgent", "user_agent.original"),),
    )
    address = text(row, "IPAddress")
    if is_ip(address):
        event["host.ip"] = [address]
        if table not in _ON_A_HOST:
            event["source.ip"] = address
    target = text(row, "DestinationIPAddress")
    if is_ip(target):
        event["destination.ip"] = target
    port = row.get("DestinationPort")
    if isinstance(port, str | int):
        set_port(event, "destination", port)
    if protocol := text(row, "Protocol"):
        event["network.protocol"] = protocol.lower()
    _account(event, table, row)
    if logon:
        failed = bool(text(row, "FailureReason")) or text(row, "ActionType") == "LogonFailed"
        event["event.outcome"] = "failure" if failed else "success"


def _account(event: Event, table: str, row: Row) -> None:
    if table == "CloudAppEvents":
        copy(event, row, (("AccountId", "user.id"),))
    elif table == "IdentityInfo":
        copy(event, row, (("AccountObjectId", "user.id"), ("AccountDisplayName", "user.full_name")))
    else:
        copy(event, row, (("AccountSid", "user.id"),) if table == "IdentityLogonEvents" else ())
    if "user.name" not in event:
        copy(event, mapping(row.get("RawEventData")), (("UserId", "user.name"),))
    if "user.name" not in event:
        copy(event, row, (("AccountDisplayName", "user.name"),))
    related = [text(row, key) for key in ("AccountUpn", "AccountDisplayName", "TargetAccountUpn")]
    if any(related):
        event["related.user"] = [name for name in related if name]


def read_mail(event: Event, table: str, row: Row) -> None:
    """A message, its attachment or link, what was done with it later, or a click."""
    event["event.category"], event["event.type"] = ["email"], ["info"]
    if text(row, "FileType") or text(row, "FileName"):
        event["event.category"].append("file")
    copy(
        event,
        row,
        (("Subject", "email.subject"), ("EmailDirection", "email.direction"))
        + (("NetworkMessageId", "email.message_id"), ("InternetMessageId", "email.local_id"))
        + (("FileName", "file.name"), ("FileType", "file.extension"), ("FileSize", "file.size"))
        + (("SHA256", "file.hash.sha256"),),
    )
    for key, field in (
        ("SenderFromAddress", "email.from.address"),
        ("RecipientEmailAddress", "email.to.address"),
    ):
        if address := text(row, key):
            event[field] = [address]
    senders = [row[key] for key in ("SenderIPv4", "SenderIPv6") if is_ip(text(row, key))]
    if senders:
        event["source.ip"] = senders[0]
        event["related.ip"] = senders
    if is_ip(text(row, "IPAddress")):
        event["host.ip"] = [row["IPAddress"]]
        event.setdefault("source.ip", row["IPAddress"])
    if url := text(row, "Url"):
        set_url(event, url)
    people = [
        text(row, key) for key in ("SenderFromAddress", "RecipientEmailAddress", "AccountUpn")
    ]
    if any(people):
        event["related.user"] = [name for name in people if name]


def read_alert(event: Event, table: str, row: Row) -> None:
    """An alert, or one entity of an alert."""
    event["event.kind"] = "alert"
    category = text(row, "Category").lower()
    entity = _ENTITIES.get(text(row, "EntityType").lower())
    event["event.type"] = ["info"]
    if category in _MALWARE:
        event["event.category"] = ["malware"]
    elif category in _THREATS:
        event["event.category"], event["event.type"] = ["threat"], ["indicator"]
    elif entity:
        event["event.category"] = [entity]
    copy(
        event,
        row,
        (("ServiceSource", "event.provider"), ("Title", "message"), ("FileName", "file.name"))
        + (("AccountName", "user.name"), ("AccountDomain", "user.domain"))
        + (("AccountSid", "user.id"), ("SHA1", "file.hash.sha1"), ("FileSize", "file.size"))
        + (("SHA256", "file.hash.sha256"), ("FolderPath", "file.path"), ("DeviceId", "host.id"))
        + (("RegistryValueName", "registry.value"), ("ThreatFamily", "threat.software.name")),
    )
    if name := text(row, "DeviceName"):
        event["host.name"] = name.lower()
    if line := text(row, "ProcessCommandLine"):
        _LINE(event, line)
    if key := text(row, "RegistryKey"):
        registry_path(event, key, with_value=False)
    if is_ip(text(row, "RemoteIP")):
        event["source.ip"] = row["RemoteIP"]
    names = [text(row, key) for key in ("ThreatFamily", "Title")]
    if any(names):
        event["m365_defender.event.threat_names"] = [name for name in names if name]
    severity = SEVERITIES.get(text(row, "Severity").lower())
    if severity:
        event["event.severity"] = severity


def read_behavior(event: Event, table: str, row: Row) -> None:
    """A behavior or an entity of one, as an alert's, though it is none; or any other table's row.

    Columns have the same name and meaning in all tables.
    """
    read_alert(event, table, row)
    event["event.kind"] = "event"
    if event.pop("file.path", "") and text(row, "FileName"):
        _FILE(event, joined(row))
    event.pop("source.ip", None)
    for key, field in (("LocalIP", "source.ip"), ("RemoteIP", "destination.ip")):
        if is_ip(text(row, key)):
            event[field] = row[key]
    for key, side in (("LocalPort", "source"), ("RemotePort", "destination")):
        port = row.get(key)
        if isinstance(port, str | int) and not isinstance(port, bool):
            set_port(event, side, port)
    copy(event, row, (("NetworkMessageId", "email.message_id"), ("EmailSubject", "email.subject")))
    if url := text(row, "RemoteUrl"):
        set_url(event, url)
    if data := text(row, "RegistryValueData"):
        event["registry.data.strings"] = [data]
    people = [text(row, key) for key in ("AccountName", "AccountUpn")]
    if any(people):
        event["related.user"] = [name for name in people if name]
