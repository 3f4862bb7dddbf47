"""What the schemas of single Microsoft 365 workloads say in ECS: one function a kind of record."""

from collections.abc import Callable, Mapping
from typing import Any

from normalize.microsoft.m365_types import SEVERITIES
from normalize.microsoft.record import MAX_PAIRS, copy, mapping, objects, set_account, text
from normalize.web import set_url
from samlog.event import Event

Record = Mapping[str, Any]

_ENDPOINT_TYPES = {
    **dict.fromkeys(("FileCreated", "ArchiveCreated", "FileCreatedOnNetworkShare"), "creation"),
    **dict.fromkeys(("FileModified", "FileRenamed", "FileMoved", "FileArchived"), "change"),
    "FileDeleted": "deletion",
}
"""Operation of endpoint DLP → event.type; copies, prints, uploads and reads are access."""

_ALERT_CATEGORIES = {
    "AccessGovernance": "authentication",
    "DataGovernance": "file",
    "DataLossPrevention": "file",
    "ThreatManagement": "malware",
}


def exchange_admin(event: Event, record: Record) -> None:
    """A cmdlet of Exchange Online."""
    copy(event, record, (("OrganizationName", "organization.name"),))
    _server(event, text(record, "OriginatingServer"))


def exchange_item(event: Event, record: Record) -> None:
    """An action on an item or a folder of a mailbox."""
    exchange_admin(event, record)
    copy(
        event,
        record,
        (("MailboxOwnerUPN", "user.email"), ("LogonUserDisplayName", "user.full_name"))
        + (("ClientProcessName", "process.name"),),
    )
    if "user.id" not in event:
        copy(event, record, (("LogonUserSid", "user.id"),))
    items = [mapping(record.get("Item")), *objects(record.get("AffectedItems"))]
    first = next((item for item in items if item), {})
    copy(
        event,
        first,
        (("Subject", "email.subject"), ("InternetMessageId", "email.message_id")),
    )


def _server(event: Event, server: str) -> None:
    """Reads ``AM6PR01MB4535 (192.0.2.9)``; what stands in the brackets may be a build number."""
    name, bracket, address = server.replace("\r", "").replace("\n", "").partition(" (")
    address = address.rstrip().removesuffix(")")
    if bracket and name and address:
        event["server.domain"], event["server.address"] = name, address
    elif server.strip():
        event["server.address"] = server.strip()


def directory(event: Event, record: Record) -> None:
    """A change in Entra ID; the object is a user where it is named like one."""
    target = text(record, "ObjectId")
    if target.count("@") == 1 and ";" not in target:
        event["user.target.id"] = event["user.target.email"] = target
        set_account(event, "user.target", target)


def sharepoint(event: Event, record: Record) -> None:
    """An operation on a file, folder or sharing link of SharePoint and OneDrive."""
    copy(
        event,
        record,
        (("SourceRelativeUrl", "file.directory"), ("SourceFileName", "file.name"))
        + (("SourceFileExtension", "file.extension"),),
    )
    url = text(record, "ObjectId")
    if url and event.get("event.code") == "SharePointFileOperation":
        set_url(event, url)
    elif url:
        event["url.original"] = url


def alert(event: Event, record: Record) -> None:
    """An alert of the compliance center (alert policies)."""
    event["event.kind"] = "alert"
    category = text(record, "Category")
    event["event.category"] = [_ALERT_CATEGORIES.get(category, "web")]
    event["event.type"] = ["info"]
    copy(
        event,
        record,
        (("Comments", "message"), ("Name", "rule.name"), ("PolicyId", "rule.id"))
        + (("Category", "rule.category"), ("EntityType", "rule.ruleset"))
        + (("AlertEntityId", "rule.description"),),
    )
    links = [link for item in objects(record.get("AlertLinks")) if (link := _link(item))]
    if links:
        event["rule.reference"] = links if len(links) > 1 else links[0]
    kind, entity = text(record, "EntityType"), text(record, "AlertEntityId")
    if kind == "User" and entity:
        # UserId is the service that raises alerts.
        event["user.id"] = entity
    elif kind == "MalwareFamily" and entity:
        event["threat.software.name"] = entity
    elif kind in ("Recipients", "Sender") and entity:
        event["user.email"] = entity
    severity = SEVERITIES.get(text(record, "Severity").lower())
    if severity:
        event["event.severity"] = severity


def _link(item: Record) -> str:
    return text(item, "AlertLinkHref")


def dlp(event: Event, record: Record) -> None:
    """A hit of data loss prevention in SharePoint, OneDrive or Exchange."""
    event["event.kind"] = "alert"
    event["event.category"], event["event.type"] = ["file"], ["access"]
    item = mapping(record.get("SharePointMetaData"))
    copy(
        event,
        item,
        (("FileName", "file.name"), ("UniqueID", "file.inode"), ("UniqueId", "file.inode"))
        + (("FileOwner", "file.owner"), ("LastModifiedTime", "file.mtime")),
    )
    # UserId is DLP's own agent.
    copy(event, item, (("From", "user.id"),))
    if url := text(item, "FilePathUrl"):
        set_url(event, url)
    mail = mapping(record.get("ExchangeMetaData"))
    copy(event, mail, (("From", "source.user.email"), ("Subject", "message")))
    copy(event, record, (("PolicyId", "rule.id"), ("PolicyName", "rule.name")))
    recipients = [address for key in ("To", "CC", "BCC") for address in _texts(mail.get(key))]
    if recipients:
        event["destination.user.email"] = recipients
    _policies(event, record)


def dlp_endpoint(event: Event, record: Record) -> None:
    """What a user of a managed computer did with a file; an alert where a policy matched."""
    event["event.category"] = ["file"]
    matched = mapping(record.get("PolicyMatchInfo"))
    if matched or objects(record.get("PolicyDetails")):
        event["event.kind"] = "alert"
    kind = _ENDPOINT_TYPES.get(text(record, "Operation"), "access")
    event["event.type"] = [kind]
    copy(
        event,
        matched,
        (("RuleId", "rule.id"), ("RuleName", "rule.name"), ("PolicyName", "rule.ruleset")),
    )
    copy(
        event,
        record,
        (("FileSize", "file.size"), ("FileExtension", "file.extension"))
        + (("Sha1", "file.hash.sha1"), ("Sha256", "file.hash.sha256"))
        + (("Application", "process.name"), ("TargetDomain", "destination.domain")),
    )
    if path := text(record, "ObjectId"):
        event["file.path"] = path
        event["file.name"] = path.replace("/", "\\").rpartition("\\")[2]
    if name := text(record, "DeviceName") or text(
        mapping(record.get("EndpointMetaData")), "DeviceName"
    ):
        event["host.name"] = name.lower()
    _policies(event, record)


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values[:MAX_PAIRS] if isinstance(item, str) and item]


def _policies(event: Event, record: Record) -> None:
    """The rules that matched, the worst of their severities, and whether access was blocked."""
    rules = [
        rule
        for policy in objects(record.get("PolicyDetails"))
        for rule in objects(policy.get("Rules"))
    ][:MAX_PAIRS]
    if not rules:
        return
    named = [rule for rule in rules if text(rule, "RuleId") and text(rule, "RuleName")]
    if named:
        event["rule.id"] = [rule["RuleId"] for rule in named]
        event["rule.name"] = [rule["RuleName"] for rule in named]
    event["event.severity"] = max(
        SEVERITIES.get(text(rule, "Severity").lower(), 0) for rule in rules
    )
    blocked = any("BlockAccess" in _texts(rule.get("Actions")) for rule in rules)
    operation = text(record, "Operation")
    if not blocked or operation == "DlpRuleUndo":
        event["event.outcome"] = "success"
    elif operation == "DlpInfo":
        event["event.outcome"] = "failure"
    else:
        event["event.outcome"] = "success" if record.get("ExceptionInfo") else "failure"


def yammer(event: Event, record: Record) -> None:
    """An operation of Viva Engage (Yammer)."""
    copy(
        event,
        record,
        (("ActorUserId", "user.email"), ("FileId", "file.inode"), ("FileName", "file.name"))
        + (("GroupName", "group.name"), ("TargetUserId", "destination.user.email")),
    )
    for key, field in (
        ("ActorYammerUserId", "user.id"),
        ("TargetYammerUserId", "destination.user.id"),
    ):
        if isinstance(record.get(key), str | int):
            event.setdefault(field, str(record[key]))


def teams(event: Event, record: Record) -> None:
    """An operation of Teams; the members that it names are related users."""
    copy(event, record, (("TeamName", "group.name"),))
    if text(record, "Operation") == "Delete user.":
        directory(event, record)
    members = [upn for member in objects(record.get("Members")) if (upn := text(member, "UPN"))]
    if members:
        event["related.user"] = members[:MAX_PAIRS]


def threat(event: Event, record: Record) -> None:
    """A mail or URL that Defender for Office 365 found harmful."""
    event["event.kind"] = "alert"
    event["event.category"], event["event.type"] = ["email", "threat"], ["indicator"]
    copy(
        event,
        record,
        (("InternetMessageId", "email.message_id"), ("NetworkMessageId", "email.local_id"))
        + (("Subject", "email.subject"), ("Directionality", "email.direction"))
        + (("P2Sender", "email.from.address"), ("P1Sender", "email.sender.address")),
    )
    if recipients := _texts(record.get("Recipients")):
        event["email.to.address"] = recipients
    if direction := event.get("email.direction"):
        event["email.direction"] = str(direction).lower()


READERS: dict[str, Callable[[Event, Record], None]] = {
    "ExchangeAdmin": exchange_admin,
    "ExchangeItem": exchange_item,
    "ExchangeItemGroup": exchange_item,
    "ExchangeItemAggregated": exchange_item,
    "AzureActiveDirectory": directory,
    "SharePointFileOperation": sharepoint,
    "SharePointSharingOperation": sharepoint,
    "SecurityComplianceAlerts": alert,
    "ComplianceDLPSharePoint": dlp,
    "ComplianceDLPExchange": dlp,
    "DLPEndpoint": dlp_endpoint,
    "Yammer": yammer,
    "MicrosoftTeams": teams,
    "ThreatIntelligence": threat,
}
"""Record type → what its schema adds to the common one."""
