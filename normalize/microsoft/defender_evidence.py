"""The evidence of Defender's alerts in ECS: Graph's ``evidence`` and the older ``entities``.

Graph's pieces of one kind give lists, of the older APIs the first fills the fields; users, hosts,
hashes and addresses of all are related. Source: the Graph type alertEvidence and its derived types.
"""

from collections.abc import Callable, Mapping
from typing import Any

from normalize.address import is_ip
from normalize.microsoft.record import MAX_PAIRS, Pairs, copy, mapping, objects, set_account, text
from normalize.web import set_url
from normalize.windows.values import HIVES
from samlog.event import Event

Item = Mapping[str, Any]

_GRAPH = "#microsoft.graph.security."
_KINDS: dict[str, str] = {"File": "file", "Process": "process", "Ip": "ip", "Url": "url",
                          "User": "user", "MailMessage": "mail", "Mailbox": "user"}  # fmt: skip


def read_evidence(event: Event, evidence: list[dict[str, Any]]) -> None:
    """Writes what pieces of evidence say, each told apart by its ``@odata.type``."""
    for item in evidence[:MAX_PAIRS]:
        kind = text(item, "@odata.type").removeprefix(_GRAPH).removesuffix("Evidence")
        reader = _READERS.get(kind)
        if reader is not None:
            reader(event, item)
        account = mapping(item.get("userAccount"))
        for key in ("userPrincipalName", "accountName", "azureAdUserId", "userSid"):
            _relate(event, "related.user", text(account, key))
        for user in objects(item.get("loggedOnUsers"))[:MAX_PAIRS]:
            _relate(event, "related.user", text(user, "accountName"))


def _first(event: Event, item: Item, pairs: tuple[tuple[str, str], ...]) -> None:
    """Copies into fields that are still empty."""
    copy(event, item, [(key, field) for key, field in pairs if field not in event])


def _add(event: Event, item: Item, pairs: Pairs) -> None:
    """Adds values to those that other pieces of evidence gave; one value alone is no list."""
    for key, field in pairs:
        value = item.get(key)
        if value is None or value == "" or isinstance(value, dict | list):
            continue
        before = event.get(field)
        known = before if isinstance(before, list) else [] if before is None else [before]
        if value not in known and len(known) < MAX_PAIRS:
            event[field] = [*known, value] if known else value


def _relate(event: Event, field: str, value: str) -> None:
    if value and value not in (before := event.get(field, ())) and len(before) < MAX_PAIRS:
        event[field] = [*before, value]


def _device(event: Event, item: Item) -> None:
    name = text(item, "deviceDnsName", "hostName").lower()
    if name:
        _add(event, {"name": name}, (("name", "host.name"),))
        _relate(event, "related.hosts", name)
    _add(event, item, (("mdeDeviceId", "host.id"), ("osPlatform", "host.os.platform")))
    if mapping(item.get("vmMetadata")):
        event["cloud.provider"] = "azure"


_FILE = (
    ("fileName", "file.name"),
    ("filePath", "file.path"),
    ("fileSize", "file.size"),
    ("sha1", "file.hash.sha1"),
    ("sha256", "file.hash.sha256"),
)
_PROCESS = (
    ("processId", "process.pid"),
    ("parentProcessId", "process.parent.pid"),
    ("processCommandLine", "process.command_line"),
    ("processCreationDateTime", "process.start"),
    ("parentProcessCreationDateTime", "process.parent.start"),
    ("detectionStatus", "event.action"),
)
_ACCOUNT = (
    ("accountName", "user.name"),
    ("domainName", "user.domain"),
    ("azureAdUserId", "user.id"),
    ("userPrincipalName", "user.email"),
)
_REGISTRY = (
    ("registryKey", "registry.key"),
    ("registryHive", "registry.hive"),
    ("registryValueName", "registry.value"),
    ("registryValueType", "registry.data.type"),
)


def _hashes(event: Event, details: Item, prefix: str) -> None:
    _add(event, details, [(key, f"{prefix}.hash.{key}") for key in ("sha1", "sha256")])
    for key in ("sha1", "sha256"):
        _relate(event, "related.hash", text(details, key))


def _file(event: Event, item: Item) -> None:
    details = mapping(item.get("fileDetails"))
    _add(event, details, _FILE)
    _add(event, item, (("detectionStatus", "event.action"),))
    _hashes(event, details, "file")


def _process(event: Event, item: Item) -> None:
    _add(event, item, _PROCESS)
    _hashes(event, mapping(item.get("imageFile")), "process")
    _hashes(event, mapping(item.get("parentProcessImageFile")), "process.parent")
    account = mapping(item.get("userAccount"))
    _add(
        event,
        account,
        (("accountName", "process.user.name"), ("azureAdUserId", "process.user.id")),
    )


def _user(event: Event, item: Item) -> None:
    _add(event, mapping(item.get("userAccount")), _ACCOUNT)


def _mail(event: Event, item: Item) -> None:
    _first(
        event,
        item,
        (("subject", "email.subject"), ("receivedDateTime", "email.delivery_timestamp"))
        + (("internetMessageId", "email.message_id"), ("networkMessageId", "email.local_id")),
    )
    senders = [text(mapping(item.get(key)), "emailAddress") for key in ("p2Sender", "p1Sender")]
    for address in senders:
        _relate(event, "email.from.address", address)
    _relate(event, "email.to.address", text(item, "recipientEmailAddress"))
    for address in (*senders, text(item, "recipientEmailAddress")):
        _relate(event, "related.user", address)
    if is_ip(text(item, "senderIp")):
        _relate(event, "related.ip", item["senderIp"])


def _ip(event: Event, item: Item) -> None:
    address = text(item, "ipAddress")
    if is_ip(address):
        _relate(event, "host.ip", address)
        _relate(event, "related.ip", address)


def _url(event: Event, item: Item) -> None:
    _add(event, item, (("url", "url.original"),))


def _group(event: Event, item: Item) -> None:
    _add(event, item, (("securityGroupId", "group.id"), ("displayName", "group.name")))


def _registry(event: Event, item: Item) -> None:
    _add(event, item, _REGISTRY)
    hive, key = text(item, "registryHive"), text(item, "registryKey")
    if hive and key:
        path = f"{HIVES.get(hive.upper(), hive)}\\{key}"
        _add(event, {"path": path}, (("path", "registry.path"),))


_READERS: dict[str, Callable[[Event, Item], None]] = {
    "device": _device,
    "file": _file,
    "process": _process,
    "user": _user,
    "mailbox": _user,
    "analyzedMessage": _mail,
    "ip": _ip,
    "url": _url,
    "registryKey": _registry,
    "registryValue": _registry,
    "securityGroup": _group,
}


def read_entities(event: Event, entities: list[dict[str, Any]]) -> None:
    """Writes what the entities of the older APIs say, each told apart by its ``entityType``."""
    for item in entities[:MAX_PAIRS]:
        for key in ("sha1", "sha256"):
            _relate(event, "related.hash", text(item, key))
        if is_ip(text(item, "ipAddress")):
            _relate(event, "related.ip", item["ipAddress"])
        _relate(event, "related.user", text(item, "userPrincipalName", "accountName"))
        kind = _KINDS.get(text(item, "entityType"), "")
        if kind in ("file", "process"):
            _first(event, item, _FILE)
        if kind == "process" and "process.pid" not in event:
            copy(
                event,
                item,
                (("processId", "process.pid"), ("processCreationTime", "process.start"))
                + (("parentProcessId", "process.parent.pid"),)
                + (("parentProcessCreationTime", "process.parent.start"),)
                + (("processCommandLine", "process.command_line"),),
            )
        if kind == "user":
            _first(event, item, (("domainName", "user.domain"), ("aadUserId", "user.id")))
            if "user.name" not in event:
                set_account(event, "user", text(item, "accountName", "userPrincipalName"))
        if kind == "url" and "url.full" not in event and (url := text(item, "url")):
            set_url(event, url)
            event["url.full"] = url
