"""Sysmon's events 1 to 29 and 255 to ECS.

Fields of each event: ``Sysmon64.exe -s`` (the provider's schema). Categories follow ECS and agree
with Elastic's dataset ``windows.sysmon_operational``.
"""

from normalize.windows.network import dns_answers, dns_question, set_community_id
from normalize.windows.plan import NOTHING, Plan, Rule, compile_plan
from normalize.windows.record import EventData
from normalize.windows.values import (
    account,
    boolean,
    command_line,
    executable,
    file_path,
    hashes,
    integer,
    ip,
    port,
    registry_data,
    registry_path,
)
from samlog.event import Event

SERVICE_SID = "S-1-5-18"
NO_GUID = "{00000000-0000-0000-0000-000000000000}"
SERVICE_USER = "NT AUTHORITY\\SYSTEM"


def known_guid(value: str) -> str | None:
    """Returns a process's GUID, None for the one of zeros, which Sysmon writes for unknown ones."""
    return None if value == NO_GUID else value


RULE: Rule = ("RuleName", "rule.name")
PROCESS: tuple[Rule, ...] = (
    RULE,
    ("ProcessGuid", "process.entity_id", known_guid),
    ("ProcessId", "process.pid", integer),
    ("Image", executable("process")),
    ("User", account()),
)
SOURCE_PROCESS: tuple[Rule, ...] = (
    RULE,
    ("SourceProcessGuid", "process.entity_id", known_guid),
    ("SourceProcessGUID", "process.entity_id", known_guid),
    ("SourceProcessId", "process.pid", integer),
    ("SourceThreadId", "process.thread.id", integer),
    ("SourceImage", executable("process")),
    ("SourceUser", account()),
)
PARENT: tuple[Rule, ...] = (
    ("ParentProcessGuid", "process.parent.entity_id", known_guid),
    ("ParentProcessId", "process.parent.pid", integer),
    ("ParentImage", executable("process.parent")),
    ("ParentCommandLine", command_line("process.parent")),
    ("ParentUser", "process.parent.user.name", lambda value: value.rpartition("\\")[2] or None),
)


def _pe(prefix: str) -> tuple[Rule, ...]:
    return (
        ("OriginalFileName", prefix + ".original_file_name"),
        ("FileVersion", prefix + ".file_version"),
        ("Description", prefix + ".description"),
        ("Product", prefix + ".product"),
        ("Company", prefix + ".company"),
    )


SIGNATURE: tuple[Rule, ...] = (
    ("Signed", "file.code_signature.exists", boolean),
    ("Signature", "file.code_signature.subject_name"),
    ("SignatureStatus", "file.code_signature.status"),
)
TARGET_FILE: tuple[Rule, ...] = (("TargetFilename", file_path()),)
FILE_HASHES: tuple[Rule, ...] = (("Hashes", hashes("file.hash", "file.pe")),)
DELETED: tuple[Rule, ...] = (
    *PROCESS,
    *TARGET_FILE,
    *FILE_HASHES,
    ("Archived", "sysmon.file.archived", boolean),
    ("IsExecutable", "sysmon.file.is_executable", boolean),
)


def set_user(out: Event, data: EventData) -> None:
    """Takes the SID of the System part as user.id, unless it is another account than User.

    Sysmon's System part names the account of its service; User names the account that acted.
    """
    sid = out.get("winlog.user.identifier")
    if not sid:
        return
    acted = data.get("User") or data.get("SourceUser")
    named = isinstance(acted, str) and acted not in NOTHING
    if not named or sid != SERVICE_SID or acted == SERVICE_USER:
        out["user.id"] = sid


def set_signature(out: Event, data: EventData) -> None:
    """Writes file.code_signature.valid where a status is there."""
    status = data.get("SignatureStatus")
    if isinstance(status, str) and status not in NOTHING:
        out["file.code_signature.valid"] = status == "Valid"


def set_registry(out: Event, data: EventData) -> None:
    """Writes registry.*; only value events (SetValue, DeleteValue) name a value at the end."""
    target = data.get("TargetObject")
    if not isinstance(target, str) or target in NOTHING:
        return
    kind = data.get("EventType")
    with_value = kind in ("SetValue", "DeleteValue") or out.get("event.code") == "13"
    registry_path(out, target, with_value=with_value)
    details = data.get("Details")
    if isinstance(details, str) and details not in NOTHING:
        registry_data(out, details)
    if kind in ("CreateKey", "CreateValue"):
        out["event.type"] = ["creation"]
    elif kind in ("DeleteKey", "DeleteValue"):
        out["event.type"] = ["deletion"]


def set_connection(out: Event, data: EventData) -> None:
    """Writes network.direction, .type, .protocol and .community_id of event 3."""
    initiated = boolean(str(data.get("Initiated", "")))
    if initiated is not None:
        out["network.direction"] = "egress" if initiated else "ingress"
    names = [data.get("DestinationPortName"), data.get("SourcePortName")]
    for name in names if initiated is not False else names[::-1]:
        if isinstance(name, str) and name not in NOTHING:
            out["network.protocol"] = name
            break
    v6 = boolean(str(data.get("SourceIsIpv6", "")))
    if v6 is not None:
        out["network.type"] = "ipv6" if v6 else "ipv4"
    set_community_id(out)


DNS_STATUS = {
    "0": "SUCCESS",
    "9001": "DNS_ERROR_RCODE_FORMAT_ERROR",
    "9002": "DNS_ERROR_RCODE_SERVER_FAILURE",
    "9003": "DNS_ERROR_RCODE_NAME_ERROR",
    "9004": "DNS_ERROR_RCODE_NOT_IMPLEMENTED",
    "9005": "DNS_ERROR_RCODE_REFUSED",
    "9501": "DNS_INFO_NO_RECORDS",
    "9502": "DNS_ERROR_BAD_PACKET",
    "9560": "DNS_ERROR_INVALID_NAME_CHAR",
    "9701": "DNS_ERROR_RECORD_DOES_NOT_EXIST",
    "123": "ERROR_INVALID_NAME",
    "1214": "ERROR_INVALID_NETNAME",
    "1460": "ERROR_TIMEOUT",
    "87": "INVALID_PARAMETER",
}
"""Win32 and DNS error codes (winerror.h) that a resolver returns."""
STATUS: Rule = ("QueryStatus", "sysmon.dns.status", lambda value: DNS_STATUS.get(value, value))

U = (set_user,)
FAILED = (("event.outcome", "failure"),)
PLANS: dict[str, Plan] = {
    "1": compile_plan(
        (
            *PROCESS,
            *PARENT,
            *_pe("process.pe"),
            ("CommandLine", command_line("process")),
            ("CurrentDirectory", "process.working_directory"),
            ("Hashes", hashes("process.hash", "process.pe")),
            ("LogonId", "winlog.logon.id"),
        ),
        category=("process",),
        kind=("start",),
        finish=U,
    ),
    "2": compile_plan((*PROCESS, *TARGET_FILE), category=("file",), kind=("change",), finish=U),
    "3": compile_plan(
        (
            *PROCESS,
            ("Protocol", "network.transport", str.lower),
            ("SourceIp", "source.ip", ip),
            ("SourceHostname", "source.domain"),
            ("SourcePort", "source.port", port),
            ("DestinationIp", "destination.ip", ip),
            ("DestinationHostname", "destination.domain"),
            ("DestinationPort", "destination.port", port),
        ),
        category=("network",),
        kind=("start", "connection", "protocol"),
        finish=(set_user, set_connection),
    ),
    "4": compile_plan(category=("process",), kind=("change",), finish=U),
    "5": compile_plan(PROCESS, category=("process",), kind=("end",), finish=U),
    "6": compile_plan(
        (RULE, ("ImageLoaded", file_path()), *FILE_HASHES, *SIGNATURE),
        category=("driver",),
        kind=("start",),
        finish=(set_user, set_signature),
    ),
    "7": compile_plan(
        (*PROCESS, ("ImageLoaded", file_path()), *_pe("file.pe"), *FILE_HASHES, *SIGNATURE),
        category=("process",),
        kind=("change",),
        finish=(set_user, set_signature),
    ),
    "8": compile_plan(SOURCE_PROCESS, category=("process",), kind=("change",), finish=U),
    "9": compile_plan(
        (*PROCESS, ("Device", "file.path")),
        category=("process",),
        kind=("access",),
        finish=U,
    ),
    "10": compile_plan(SOURCE_PROCESS, category=("process",), kind=("access",), finish=U),
    "11": compile_plan((*PROCESS, *TARGET_FILE), category=("file",), kind=("creation",), finish=U),
    "12": compile_plan(
        PROCESS,
        category=("configuration", "registry"),
        kind=("change",),
        finish=(set_user, set_registry),
    ),
    "13": compile_plan(
        PROCESS,
        category=("configuration", "registry"),
        kind=("change",),
        finish=(set_user, set_registry),
    ),
    "14": compile_plan(
        PROCESS,
        category=("configuration", "registry"),
        kind=("change",),
        finish=(set_user, set_registry),
    ),
    "15": compile_plan(
        (*PROCESS, *TARGET_FILE, ("Hash", hashes("file.hash", "file.pe"))),
        category=("file",),
        kind=("access",),
        finish=U,
    ),
    "16": compile_plan(category=("configuration",), kind=("change",), finish=U),
    "17": compile_plan(
        (*PROCESS, ("PipeName", "file.name")), category=("file",), kind=("creation",), finish=U
    ),
    "18": compile_plan(
        (*PROCESS, ("PipeName", "file.name")), category=("file",), kind=("access",), finish=U
    ),
    "19": compile_plan(
        (RULE, ("User", account())), category=("process",), kind=("info",), finish=U
    ),
    "20": compile_plan(
        (RULE, ("User", account()), ("Destination", "process.executable")),
        category=("process",),
        kind=("change",),
        finish=U,
    ),
    "21": compile_plan(
        (RULE, ("User", account())), category=("process",), kind=("access",), finish=U
    ),
    "22": compile_plan(
        (*PROCESS, ("QueryName", dns_question), ("QueryResults", dns_answers), STATUS),
        category=("network",),
        kind=("connection", "protocol", "info"),
        constants=(("network.protocol", "dns"),),
        finish=U,
    ),
    "23": compile_plan(DELETED, category=("file",), kind=("deletion",), finish=U),
    "24": compile_plan(
        (*PROCESS, ("Hashes", hashes("file.hash", "file.pe"))),
        category=("process",),
        kind=("change",),
        finish=U,
    ),
    "25": compile_plan(
        (*PROCESS, ("Type", "message")), category=("process",), kind=("change",), finish=U
    ),
    "26": compile_plan(DELETED, category=("file",), kind=("deletion",), finish=U),
    "27": compile_plan(
        DELETED, category=("file",), kind=("creation", "denied"), constants=FAILED, finish=U
    ),
    "28": compile_plan(
        DELETED, category=("file",), kind=("deletion", "denied"), constants=FAILED, finish=U
    ),
    "29": compile_plan(DELETED, category=("file",), kind=("creation",), finish=U),
    "255": compile_plan(
        (("ID", "error.code"), ("Description", "error.message")),
        category=("process",),
        kind=("error",),
        constants=FAILED,
    ),
}
"""By event id."""
