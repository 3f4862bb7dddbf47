"""Defender's advanced hunting tables about devices (``Device*Events``), in ECS.

Format: "Understand the advanced hunting schema", tables DeviceProcessEvents, DeviceNetworkEvents,
DeviceFileEvents, DeviceRegistryEvents, DeviceImageLoadEvents, DeviceLogonEvents, DeviceEvents,
DeviceInfo, DeviceNetworkInfo, DeviceFileCertificateInfo.
"""

from collections.abc import Mapping
from typing import Any

from normalize.address import is_ip, set_port
from normalize.microsoft.record import copy, inner, mapping, objects, text
from normalize.web import set_url
from normalize.windows.values import command_line, file_path, registry_path
from samlog.event import Event

Row = Mapping[str, Any]

_PREFIX = "m365_defender.event"

CATEGORIES: dict[str, str] = {
    "DeviceEvents": "host",
    "DeviceInfo": "host",
    "DeviceNetworkInfo": "network",
    "DeviceNetworkEvents": "network",
    "DeviceFileEvents": "file",
    "DeviceFileCertificateInfo": "file",
    "DeviceProcessEvents": "process",
    "DeviceImageLoadEvents": "library",
    "DeviceRegistryEvents": "registry",
    "DeviceLogonEvents": "authentication",
}
"""Table → event.category."""

_TYPES = {
    "processcreated": "start",
    "imageloaded": "start",
    "connectionrequest": "start",
    "listeningconnectioncreated": "start",
    "connectionsuccess": "end",
    "connectionfailed": "denied",
    "inboundconnectionaccepted": "allowed",
    "inboundconnectionblocked": "denied",
    "registrykeycreated": "creation",
    "registrykeydeleted": "deletion",
    "registryvaluedeleted": "deletion",
    "registrykeyrenamed": "change",
    "registryvalueset": "change",
    "filecreated": "creation",
    "filemodified": "change",
    "filerenamed": "change",
    "filedeleted": "deletion",
}
"""ActionType → event.type; DeviceEvents has longer ones (``ProcessCreatedUsingWmiQuery``)."""
_INFORM = frozenset(("authentication", "host", "file"))
"""Categories of which all other rows are information; of others nobody knows."""
_INBOUND = frozenset(("inboundconnectionaccepted", "inboundconnectionblocked"))
_OUTBOUND = frozenset(("connectionrequest", "connectionsuccess", "connectionfailed"))
_REGISTRY_EVENTS = {
    "registrykeycreated": "CreateKey",
    "registrykeydeleted": "DeleteKey",
    "registrykeyrenamed": "RenameKey",
    "registryvaluedeleted": "DeleteValue",
    "registryvalueset": "SetValue",
}
"""ActionType → Sysmon's EventType, which rules read."""
_HASHES = (("MD5", "md5"), ("SHA1", "sha1"), ("SHA256", "sha256"))
_VERSION = (
    ("VersionInfoCompanyName", "company"),
    ("VersionInfoProductName", "product"),
    ("VersionInfoProductVersion", "file_version"),
    ("VersionInfoOriginalFileName", "original_file_name"),
    ("VersionInfoFileDescription", "description"),
)
_LINES = {prefix: command_line(prefix) for prefix in ("process", "process.parent")}
_SUBJECT_IS_PROCESS = frozenset(("DeviceProcessEvents", "DeviceEvents"))
_MAX_USERS = 64


def read_device(event: Event, table: str, row: Row) -> None:
    """Writes what a row of ``table`` says in ECS."""
    action = text(row, "ActionType").lower()
    event["event.category"] = [CATEGORIES[table]]
    _set_types(event, CATEGORIES[table], action)
    if table in _SUBJECT_IS_PROCESS:
        _subject(event, row)
        _initiator(event, row, "process.parent", "")
    else:
        _initiator(event, row, "process", "process.parent")
        if table == "DeviceImageLoadEvents":
            _library(event, row)
            event["event.action"], event["event.type"] = "load", ["start"]
        _file(event, row)
    copy(event, row, (("ProcessId", "process.pid"), ("ProcessCreationTime", "process.start")))
    _version(event, row, "Process", "process")
    if line := text(row, "ProcessCommandLine"):
        _LINES["process"](event, line)
    _host(event, row)
    _users(event, row)
    _for_rules(event, row, action)
    if table == "DeviceRegistryEvents":
        _registry(event, row)
    if CATEGORIES[table] == "authentication":
        _logon(event, row, action)
    else:
        _flow(event, row, table, action)
    _certificate(event, row)


def _set_types(event: Event, category: str, action: str) -> None:
    kind = _TYPES.get(action)
    if kind is None and category == "host":
        kind = next((_TYPES[word] for word in _TYPES if action.startswith(word)), None)
        event["event.type"] = ["info", kind] if kind else ["info"]
    elif kind or category in _INFORM or action.startswith("networksignature"):
        event["event.type"] = [kind or "info"]


def _for_rules(event: Event, row: Row, action: str) -> None:
    """What rules read and no column holds in that form."""
    hashes = [f"{key}={row[key].upper()}" for key, _ in _HASHES if text(row, key)]
    if hashes:
        event[f"{_PREFIX}.hashes"] = ",".join(hashes)
    if action in _REGISTRY_EVENTS:
        event[f"{_PREFIX}.registry.event_type"] = _REGISTRY_EVENTS[action]
    if action == "antivirusdetection":
        event["event.kind"] = "alert"
        _file(event, row)
        found = mapping(row.get("AdditionalFields"))
        event[f"{_PREFIX}.threat_names"] = text(found, "ThreatName")


def joined(row: Row, prefix: str = "") -> str:
    """Returns a file's path. The column FolderPath holds the name too, but not always."""
    folder, name = text(row, f"{prefix}FolderPath"), text(row, f"{prefix}FileName")
    if not folder or not name:
        return folder
    if folder.replace("/", "\\").rpartition("\\")[2].lower() == name.lower():
        return folder
    slash = "/" if "/" in folder and "\\" not in folder else "\\"
    return folder.rstrip(slash) + slash + name


def _subject(event: Event, row: Row) -> None:
    """The process that the row is about."""
    if path := joined(row):
        event["process.executable"] = path
    copy(event, row, (("FileName", "process.name"),))
    copy(event, row, [(key, f"process.hash.{kind}") for key, kind in _HASHES])


def _initiator(event: Event, row: Row, prefix: str, parent: str) -> None:
    """The process that did it, as ``prefix``; its own parent as ``parent``."""
    if path := joined(row, "InitiatingProcess"):
        event[prefix + ".executable"] = path
    copy(
        event,
        row,
        [(f"InitiatingProcess{key}", f"{prefix}.hash.{kind}") for key, kind in _HASHES]
        + [("InitiatingProcessFileName", f"{prefix}.name")]
        + [("InitiatingProcessId", f"{prefix}.pid")]
        + [("InitiatingProcessCreationTime", f"{prefix}.start")],
    )
    if line := text(row, "InitiatingProcessCommandLine"):
        _LINES[prefix](event, line)
    _version(event, row, "InitiatingProcess", prefix)
    _signature(event, prefix, text(row, "InitiatingProcessSignatureStatus"))
    if parent:
        copy(
            event,
            row,
            (("InitiatingProcessParentFileName", f"{parent}.name"),)
            + (("InitiatingProcessParentId", f"{parent}.pid"),)
            + (("InitiatingProcessParentCreationTime", f"{parent}.start"),),
        )


def _version(event: Event, row: Row, owner: str, prefix: str) -> None:
    copy(event, row, [(owner + key, f"{prefix}.pe.{leaf}") for key, leaf in _VERSION])


def _signature(event: Event, prefix: str, status: str) -> None:
    """What Windows thinks of the signature: Valid, Unsigned, or why it does not trust it."""
    if not status:
        return
    event[f"{prefix}.code_signature.status"] = "trusted" if status == "Valid" else status
    if status in ("Valid", "Unsigned"):
        event[f"{prefix}.code_signature.exists"] = status == "Valid"
        event[f"{prefix}.code_signature.trusted"] = status == "Valid"


def _file(event: Event, row: Row) -> None:
    path = joined(row)
    if path and text(row, "FileName"):
        _FILE(event, path)
    copy(event, row, (("FileName", "file.name"), ("FileSize", "file.size")))
    copy(event, row, [(key, f"file.hash.{kind}") for key, kind in _HASHES])
    copy(event, row, (("FileOriginReferrerUrl", "http.request.referrer"),))


_FILE = file_path()


def _library(event: Event, row: Row) -> None:
    if path := joined(row):
        event["dll.path"] = path
    copy(event, row, (("FileName", "dll.name"),))
    copy(event, row, [(key, f"dll.hash.{kind}") for key, kind in _HASHES])


def _host(event: Event, row: Row) -> None:
    if name := text(row, "DeviceName"):
        event["host.name"] = name.lower()
    copy(
        event,
        row,
        (("DeviceId", "host.id"), ("OSArchitecture", "host.architecture"))
        + (("OSPlatform", "host.os.full"), ("OSVersion", "host.os.version"))
        + (("DeviceType", "host.type"), ("ClientVersion", "observer.version")),
    )
    if is_ip(text(row, "PublicIP")):
        event["host.ip"] = [row["PublicIP"]]
    if mac := text(row, "MacAddress"):
        event["host.mac"] = [mac.replace(":", "-").replace(".", "-").upper()]


def _users(event: Event, row: Row) -> None:
    """Whose the row is; without an account of its own, that of the process which did it."""
    for prefix in ("Account", "RequestAccount", "InitiatingProcessAccount"):
        if text(row, f"{prefix}Name"):
            copy(
                event,
                row,
                ((f"{prefix}Name", "user.name"), (f"{prefix}Domain", "user.domain"))
                + ((f"{prefix}Sid", "user.id"),),
            )
            break
    names = [text(user, "UserName") for user in objects(row.get("LoggedOnUsers"))[:_MAX_USERS]]
    names.append(text(row, "InitiatingProcessAccountName"))
    if any(names):
        event["related.user"] = [name for name in names if name]


def _registry(event: Event, row: Row) -> None:
    key, value = text(row, "RegistryKey"), text(row, "RegistryValueName")
    if not key:
        key = text(row, "PreviousRegistryKey")
        value = value or text(row, "PreviousRegistryValueName")
    if key:
        registry_path(event, key, with_value=False)
        hive = event.get("registry.hive")
        path = f"{hive}\\{event['registry.key']}" if hive and "registry.key" in event else key
        event["registry.path"] = f"{path}\\{value}" if value else path
    if value:
        event["registry.value"] = value
    data = row.get("RegistryValueData")
    if data is not None and data != "":
        event["registry.data.strings"] = [str(data)]
        event[f"{_PREFIX}.registry.details"] = _details(row, str(data))


def _details(row: Row, data: str) -> str:
    """Returns the data as Sysmon writes it, ``DWORD (0x00000001)``, which rules expect."""
    kind = text(row, "RegistryValueType").lower()
    if kind in ("dword", "qword") and data.isascii() and data.isdecimal() and len(data) < 21:
        number = int(data)
        if kind == "dword":
            return f"DWORD (0x{number:08x})"
        return f"QWORD (0x{number >> 32:08x}-0x{number & 0xFFFFFFFF:08x})"
    return "Binary Data" if kind == "binary" else data


def _logon(event: Event, row: Row, action: str) -> None:
    _end(event, "source", row, "Remote")
    copy(event, row, (("RemoteDeviceName", "source.domain"),))
    if protocol := text(row, "Protocol"):
        event["network.protocol"] = protocol.lower()
    failed = bool(text(row, "FailureReason")) or action == "logonfailed"
    event["event.outcome"] = "failure" if failed else "success"


def _flow(event: Event, row: Row, table: str, action: str) -> None:
    network = table == "DeviceNetworkEvents"
    said = text(mapping(row.get("AdditionalFields")), "direction").lower()
    inbound = said == "in" or (not said and action in _INBOUND)
    outbound = said == "out" or (not said and action in _OUTBOUND)
    local, remote = ("destination", "source") if inbound else ("source", "destination")
    _end(event, local, row, "Local")
    _end(event, remote, row, "Remote")
    _end(event, "source", row, "RequestSource", address="RequestSourceIP")
    copy(event, row, (("RemoteDeviceName", f"{remote}.domain"),))
    _protocol(event, text(row, "Protocol") or text(row, "RequestProtocol"))
    if network:
        direction = "inbound" if inbound else "outbound" if outbound else "unknown"
        event["network.direction"] = direction
        if direction != "unknown":
            event[f"{_PREFIX}.initiated"] = outbound
    if url := text(row, "RemoteUrl"):
        if "/" in url:
            set_url(event, url)
        else:
            event["url.original"] = event["url.domain"] = url
            event.setdefault(f"{remote}.domain", url)


def _protocol(event: Event, written: str) -> None:
    """``Tcp``, ``TcpV6``, or an application's (``Smb``)."""
    name = written.lower()
    transport, version = name[:3], name[3:]
    if transport in ("tcp", "udp") and version in ("", "v4", "v6"):
        event["network.transport"] = transport
        if version:
            event["network.type"] = f"ip{version}"
    elif name:
        event["network.protocol"] = name


def _end(event: Event, side: str, row: Row, prefix: str, address: str = "") -> None:
    value = text(row, address or f"{prefix}IP").removeprefix("::ffff:")
    if is_ip(value):
        event[side + ".ip"] = value
    port = row.get(f"{prefix}Port")
    if isinstance(port, str | int) and not isinstance(port, bool):
        set_port(event, side, port)


def _certificate(event: Event, row: Row) -> None:
    copy(
        event,
        row,
        (("CertificateExpirationTime", "file.x509.not_after"),)
        + (("CertificateSerialNumber", "file.x509.serial_number"),)
        + (("Signer", "file.code_signature.subject_name"),),
    )
    if issuer := text(row, "Issuer"):
        event["file.x509.issuer.common_name"] = [issuer]
    for key, field in (("IsSigned", "exists"), ("IsTrusted", "trusted")):
        value = inner(row.get(key))
        if value is not None and value != "":
            event[f"file.code_signature.{field}"] = value
