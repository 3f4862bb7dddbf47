"""One audit record to ECS.

Users: ``user.*`` acts, ``user.audit.*`` logged in (auid), ``user.effective.*`` is who it acts as,
``user.target.*`` the account that is changed. What has no ECS field stays in ``auditd.log.*``
under the record's own names.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

from normalize.address import set_endpoint
from normalize.audit.record import Record, caret
from normalize.audit.sockaddr import Address, read_address
from normalize.audit.syscalls import ARCHITECTURES, syscall_name
from normalize.audit.types import (
    ANY_CALL,
    APPARMOR,
    CALLS,
    EGRESS,
    GRANTED,
    INGRESS,
    SELINUX,
    TYPES,
    Meaning,
)
from samlog.event import Event

DATASET = "auditd.log"
VENDOR = "auditd.log."
ARGUMENT = "auditd.execve.a"
MAX_ARGUMENTS = 16
"""Arguments of EXECVE with a field of their own (rules read a0 to a7); all are in process.args."""
MAX_VENDOR_FIELDS = 100
ARGUMENT_KEY = re.compile(r"a(\d{1,7})(_len)?(?:\[\d{1,6}\])?\Z")

_IDS = {
    "uid": "user.id",
    "gid": "user.group.id",
    "auid": "user.audit.id",
    "agid": "user.audit.group.id",
    "euid": "user.effective.id",
    "egid": "user.effective.group.id",
    "suid": "user.saved.id",
    "sgid": "user.saved.group.id",
    "fsuid": "user.filesystem.id",
    "fsgid": "user.filesystem.group.id",
    "ouid": "user.owner.id",
    "ogid": "user.owner.group.id",
}
_MOVED = {
    "comm": "process.name",
    "exe": "process.executable",
    "cwd": "process.working_directory",
    "terminal": "user.terminal",
}
_NUMBERS = {
    "pid": "process.pid",
    "ppid": "process.parent.pid",
    "exit": "process.exit_code",
    "argc": "process.args_count",
}
_LONGS = frozenset(
    ("lport", "rport", "entries", "dst_prefixlen", "src_prefixlen", "ksize", "size", "sig")
)
_OUTCOMES = {
    "success": "success",
    "yes": "success",
    "1": "success",
    "failed": "failure",
    "failure": "failure",
    "fail": "failure",
    "no": "failure",
    "0": "failure",
}
_TAKEN = frozenset((*_IDS, *_MOVED, *_NUMBERS, "acct", "user", "arch", "res", "result", "cmd"))
_GROUP_KINDS = frozenset({"group"})


def meaning_of(record: Record) -> Meaning | None:
    """Returns what the record's type means; None for types that say nothing by themselves."""
    if record.type == "AVC":
        if record.fields.get("seresult") == "granted":
            return GRANTED
        return APPARMOR if "apparmor" in record.fields else SELINUX
    found = TYPES.get(record.type)
    if found is None and "syscall" in record.fields:
        return CALLS.get(record.fields["syscall"], ANY_CALL)
    return found


def lone(record: Record) -> Event:
    """Returns the event of a record that stands alone."""
    meaning = meaning_of(record)
    event: Event = {
        "event.dataset": DATASET,
        "event.kind": "event",
        "event.action": record.type.lower(),
        "auditd.log.record_type": record.type,
        "auditd.log.sequence": record.serial,
    }
    if moment := timestamp(record.epoch):
        event["@timestamp"] = moment
    if meaning is not None:
        _mean(event, meaning)
    if record.node:
        event["auditd.log.node"] = event["host.name"] = record.node
    _fields(event, record, meaning.copies if meaning else "")
    _endpoints(event, record)
    _special(event, record)
    return event


def _mean(event: Event, meaning: Meaning) -> None:
    if meaning.action:
        event["event.action"] = meaning.action
    if meaning.category:
        event["event.category"] = list(meaning.category)
        event["event.type"] = list(meaning.type)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    """Returns ``2021-01-19T21:24:24``, "" outside of the years 1 to 9999; once a second."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    except (ValueError, OverflowError, OSError):
        return ""


def timestamp(epoch: str) -> str:
    """Returns ``epoch`` (seconds with a fraction) as ``@timestamp`` is written; "" of none."""
    if not epoch:
        return ""
    seconds, _, fraction = epoch.partition(".")
    second = _second(int(seconds))
    return f"{second}.{fraction[:3].ljust(3, '0')}Z" if second else ""


def _fields(event: Event, record: Record, copies: str) -> None:
    """Moves what has an ECS field there and keeps the rest below ``auditd.log``."""
    arguments = record.type == "EXECVE"
    for values in (record.fields, record.inner):
        for key, value in values.items():
            if arguments and ARGUMENT_KEY.match(key):
                continue
            if key in _IDS:
                event.setdefault(_IDS[key], value)
            elif key in _MOVED:
                event.setdefault(_MOVED[key], value)
            elif key in _NUMBERS and _is_number(value):
                event.setdefault(_NUMBERS[key], int(value))
            elif key not in _TAKEN or key == "exit":
                _keep(event, key, value)
    if name := record.get("acct", "user"):
        event["user.name"] = name
    if cmd := record.get("cmd"):
        event["process.args"] = cmd.split()
        event["process.args_count"] = len(event["process.args"])
        event["process.command_line"] = cmd
    if outcome := record.get("res", "result", "success"):
        event["event.outcome"] = _OUTCOMES.get(outcome.lower(), "unknown")
    _names(event, record, copies)
    if copies:
        _copy(event, record, copies)


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 16


def _keep(event: Event, key: str, value: str) -> None:
    if len(event) < MAX_VENDOR_FIELDS:
        number = key in _LONGS and _is_number(value)
        event.setdefault(VENDOR + key.replace(".", "_"), int(value) if number else value)


def _names(event: Event, record: Record, copies: str) -> None:
    """Takes the names that auditd wrote behind the record (log_format = ENRICHED)."""
    for key, name in record.names.items():
        field = _IDS.get(key.lower())
        if key == "UID" and copies:
            continue
        if field and _is_name(name):
            event.setdefault(field.removesuffix("id") + "name", name)
        elif key == "ARCH":
            event["host.architecture"] = name
        elif key == "SYSCALL":
            event["auditd.log.SYSCALL"] = name


def _is_name(text: str) -> bool:
    """Tells whether auditd found a name for a number: else it writes unset or unknown(1004)."""
    return bool(text) and text != "unset" and not text.startswith("unknown")


def _copy(event: Event, record: Record, copies: str) -> None:
    """Tells actor and target apart where the record's uid is only the daemon's."""
    uid = event.pop("user.id", "")
    if uid:
        event["auditd.log.uid"] = uid
    if copies == "loginuid":
        _put(event, "user", record.get("old_auid", "old-auid"))
        _put(event, "user.effective", record.get("new_auid", "new-auid", "auid"))
        return
    _put(event, "user", record.get("auid"))
    actor = record.names.get("AUID", "")
    if _is_name(actor):
        event["user.name"] = actor
    if copies == "actor":
        _put(event, "user.effective", uid)
        return
    if copies == "login":
        target = record.get("acct", "id") or record.inner.get("uid", "") or uid
        _put(event, "user.effective", target)
        if target == uid and "UID" in record.names:
            event["user.effective.name"] = record.names["UID"]
        _named(event, "user.effective", record)
        return
    _put(event, "user.effective", uid)
    side = "group" if copies in _GROUP_KINDS else "user.target"
    if side == "group" and event.get("user.name") != actor:
        event.pop("user.name", None)
    for value in (record.get("id"), record.get("acct") or record.get("grp", "new_group")):
        _put(event, side, value)
    _named(event, side, record)


def _named(event: Event, entity: str, record: Record) -> None:
    """Takes the name that auditd wrote for ``id=``: a group's where groups are changed."""
    name = record.names.get("ID", "")
    if _is_name(name) and event.get(f"{entity}.id") == record.get("id"):
        event.setdefault(f"{entity}.name", name)


def _put(event: Event, entity: str, value: str) -> None:
    if value:
        event[f"{entity}.{'id' if value.isdecimal() else 'name'}"] = value


def _endpoints(event: Event, record: Record) -> None:
    source = record.get("src", "addr", "saddr") if "saddr" not in record.fields else ""
    set_endpoint(event, "source", source)
    set_endpoint(event, "destination", record.get("dst", "daddr"))
    for key in ("src", "addr", "dst"):
        event.pop(VENDOR + key, None)


def _special(event: Event, record: Record) -> None:
    """What single types say in their own way."""
    kind, fields = record.type, record.fields
    if "arch" in fields or "syscall" in fields:
        set_call(event, record)
    if kind == "EXECVE":
        set_arguments(event, [record])
    elif kind == "AVC" or (kind == "USER_AVC" and "seresult" in fields):
        denied = "denied" in (fields.get("seresult"), fields.get("apparmor", "").lower())
        event.setdefault("event.outcome", "failure" if denied else "success")
    elif kind in ("TTY", "USER_TTY") and "data" in fields:
        event["auditd.log.data"] = caret(fields["data"])
    elif kind == "PROCTITLE" and "proctitle" in fields:
        event["auditd.log.proctitle"] = title(fields["proctitle"])
    elif kind == "SOCKADDR" and "saddr" in fields:
        family, ip, port, path = address_in(record)
        if family:
            event["auditd.log.socket_family"] = family
        if ip or path:
            event["auditd.log.socket_addr"] = ip or path
        if port is not None:
            event["auditd.log.socket_port"] = port
    elif kind in ("VIRT_MACHINE_ID", "VIRT_CONTROL"):
        _virtual(event, record)
    if keys := fields.get("key"):
        event["auditd.log.key"] = keys.split("\x01")


def address_in(record: Record) -> Address:
    """Returns the address of a SOCKADDR record, by the daemon's words where the hex is damaged."""
    address = read_address(record.get("saddr"))
    words = record.names.get("SADDR", "")
    return address if address.family or not words else read_address(words)


def _virtual(event: Event, record: Record) -> None:
    change = {"start": "start", "stop": "end", "create": "creation", "delete": "deletion"}
    if record.type == "VIRT_CONTROL":
        event["event.type"] = [change.get(record.get("op"), "info")]
        return
    for key, field in (("vm", "container.name"), ("virt", "container.runtime")):
        if value := record.get(key):
            event[field] = value


def title(text: str) -> str:
    """Returns a process title with its arguments apart by spaces (the kernel puts NUL there)."""
    return text.replace("\0", " ").rstrip(" ")


def set_call(event: Event, record: Record) -> None:
    """Sets the architecture, and the system call's name in ``auditd.log.SYSCALL``."""
    code = record.fields.get("arch", "")
    arch = ARCHITECTURES.get(code, code)
    if arch:
        event.setdefault("host.architecture", arch)
    call = record.fields.get("syscall", "")
    if call:
        name = event.setdefault("auditd.log.SYSCALL", syscall_name(arch, call))
        if record.type != "SYSCALL":
            # what seccomp refused did not go anywhere
            return
        if name in INGRESS:
            event["network.direction"] = "ingress"
        elif name in EGRESS:
            event["network.direction"] = "egress"


def set_arguments(event: Event, records: list[Record]) -> None:
    """Puts the arguments of EXECVE records together, also those that came in pieces.

    ``a1_len=9000 a1[0]=.. a1[1]=..`` is one argument; long lists go on in a second record.
    """
    pieces: dict[int, list[str]] = {}
    for record in records:
        for key, value in record.fields.items():
            if (match := ARGUMENT_KEY.match(key)) and not match[2]:
                pieces.setdefault(int(match[1]), []).append(value)
    if not pieces:
        return
    order = sorted(pieces)
    arguments = ["".join(pieces[number]) for number in order]
    for number in order:
        if number < MAX_ARGUMENTS:
            event[f"{ARGUMENT}{number}"] = "".join(pieces[number])
    event["process.command_line"] = " ".join(arguments)
    if order[0] == 0:
        event.setdefault("process.executable", arguments[0])
    else:
        arguments.insert(0, f"[... {order[0]} truncated arguments ...]")
    event["process.args"] = arguments
