"""The records of one event to one ECS event.

The SYSCALL record is the base; EXECVE gives the arguments, PATH the files, CWD the folder,
SOCKADDR the peer, PROCTITLE the title. A record of another kind (NETFILTER_CFG, KERN_MODULE,
AVC ..) that came before SYSCALL says what happened.
"""

import posixpath
from collections.abc import Sequence

from normalize.address import set_endpoint
from normalize.audit.record import Record
from normalize.audit.single import (
    VENDOR,
    address_in,
    lone,
    meaning_of,
    set_arguments,
    title,
)
from normalize.audit.sockaddr import Address
from normalize.audit.types import (
    ANY_CALL,
    CALLS,
    EGRESS,
    END,
    INGRESS,
    OBJECT_PLACE,
    Meaning,
)
from samlog.event import Event

MAX_PATHS = 64
"""PATH records whose values are kept in the lists; a call has five at most, a module more."""

_FOLDED = frozenset({"SYSCALL", "EXECVE", "CWD", "PATH", "SOCKADDR", "PROCTITLE", END})
_PATH_FIELDS = (
    *("name", "nametype", "inode", "dev", "mode", "ouid", "ogid", "rdev", "obj", "objtype"),
    *("cap_fp", "cap_fi", "cap_fe", "cap_fver", "cap_frootid"),
)
_CONTEXT = ("user", "role", "domain", "level", "category")


def joined(records: Sequence[Record]) -> Event:
    """Returns the event of records that have one audit id; of one record, that of it alone."""
    base = next((record for record in records if record.type == "SYSCALL"), records[0])
    if len(records) == 1:
        return lone(base)
    event = lone(base)
    if (code := event.pop("process.exit_code", None)) is not None:
        # what the call returned, not the process
        event["auditd.log.exit"] = str(code)
    event["auditd.log.record_type"] = list(dict.fromkeys(record.type for record in records))
    call = str(event.get("auditd.log.SYSCALL", ""))
    _mean(event, records, base, call)
    _executed(event, records)
    for record in records:
        if cwd := record.type == "CWD" and record.get("cwd"):
            event["process.working_directory"] = cwd
        elif record.type == "PROCTITLE" and (text := record.get("proctitle")):
            event["process.title"] = title(text)
        elif record.type == "SOCKADDR" and record.get("saddr"):
            _peer(event, call, address_in(record))
        elif record.type not in _FOLDED and record is not base:
            _add(event, record)
    if paths := [record for record in records if record.type == "PATH"]:
        _paths(event, paths, call)
    _users(event)
    return event


def _mean(event: Event, records: Sequence[Record], base: Record, call: str) -> None:
    """What happened: by the record before SYSCALL, else by the call's name."""
    by_call = CALLS.get(call, ANY_CALL) if call else None
    special = next((r for r in records if r.type not in _FOLDED), None)
    meaning: Meaning | None = None
    if special is not None and special is not base:
        meaning = meaning_of(special)
        event["event.action"] = meaning.action if meaning else special.type.lower()
    elif by_call is not None:
        meaning, by_call = by_call, None
        event["event.action"] = meaning.action or call
    for known in (meaning, by_call if meaning else None):
        for field, values in (
            ("event.category", known.category if known else ()),
            ("event.type", known.type if known else ()),
        ):
            before = event[field] if known is not meaning and field in event else []
            if values:
                event[field] = list(dict.fromkeys([*before, *values]))


def _executed(event: Event, records: Sequence[Record]) -> None:
    pieces = [record for record in records if record.type == "EXECVE"]
    if not pieces:
        return
    set_arguments(event, pieces)
    argc = pieces[0].get("argc")
    if argc.isdecimal() and len(argc) < 8:
        event["process.args_count"] = int(argc)


def _add(event: Event, record: Record) -> None:
    for field, value in lone(record).items():
        if field.startswith(VENDOR):
            event.setdefault(field, value)


def _peer(event: Event, call: str, address: Address) -> None:
    """The other end of a connection; of bind and the like only ``auditd.log.socket_*``."""
    if address.family:
        event["auditd.log.socket_family"] = address.family
    side = "destination" if call in EGRESS else "source" if call in INGRESS else ""
    if address.path:
        event["auditd.log.socket_path"] = address.path
        if side:
            event[f"{side}.address"] = address.path
    if not address.ip:
        return
    event["auditd.log.socket_addr"] = address.ip
    if address.port is not None:
        event["auditd.log.socket_port"] = address.port
    if side:
        set_endpoint(event, side, address.ip, address.port)
        event["network.type"] = "ipv6" if ":" in address.ip else "ipv4"
        event["auditd.log.initiated"] = "true" if side == "destination" else "false"


def _paths(event: Event, paths: Sequence[Record], call: str) -> None:
    for field in _PATH_FIELDS:
        values = [path.fields[field] for path in paths[:MAX_PATHS] if field in path.fields]
        if values:
            event[VENDOR + field] = values
    place = OBJECT_PLACE.get(call, 0)
    kinds = [path.get("nametype") for path in paths]
    start = place if place < len(paths) else 0
    wanted = (n for n in range(start, len(paths)) if kinds[n] not in ("PARENT", "UNKNOWN"))
    _file(event, paths[next(wanted, start)])
    created = next((path for path in paths if path.get("nametype") == "CREATE"), None)
    if created is not None and "file" in event.get("event.category", ()):
        change = [kind for kind in event["event.type"] if kind != "info"]
        event["event.type"] = list(dict.fromkeys(["creation", *change]))
        _target(event, created)
    elif "file" in event.get("event.category", ()):
        _target(event, paths[next(wanted, start)])


def _file(event: Event, path: Record) -> None:
    """The object of the call as ``file.*``; its name as the call was given it."""
    fields = path.fields
    for key, field in (
        ("name", "file.path"),
        ("inode", "file.inode"),
        ("rdev", "file.device"),
        ("ouid", "file.uid"),
        ("ogid", "file.gid"),
    ):
        if key in fields:
            event[field] = fields[key]
    for key, field in (("OUID", "file.owner"), ("OGID", "file.group")):
        if name := path.names.get(key) or _root(fields.get(key.lower(), "")):
            event[field] = name
    mode = fields.get("mode", "").removeprefix("0")
    if mode.isdecimal() and len(mode) < 8:
        event["file.mode"] = f"0{mode[-3:]}"
    _context(event, "file.selinux.", fields.get("obj", ""))


def _target(event: Event, path: Record) -> None:
    """The whole path: relative names are relative to the working directory (path_resolution(7))."""
    name, folder = path.get("name"), event.get("process.working_directory", "")
    if name:
        event["auditd.log.target_path"] = posixpath.normpath(posixpath.join(folder, name))


def _users(event: Event) -> None:
    """Names root, which is 0 everywhere; drops the effective user where it is the real one."""
    if event.get("user.effective.id") == event.get("user.id"):
        for field in [name for name in event if name.startswith("user.effective.")]:
            del event[field]
    for field in [name for name, value in event.items() if value == "0" and name[:5] == "user."]:
        if field.endswith("id"):
            event.setdefault(field.removesuffix("id") + "name", "root")
    _context(event, "user.selinux.", str(event.get("auditd.log.subj", "")))


def _context(event: Event, prefix: str, context: str) -> None:
    """``system_u:object_r:etc_t:s0:c1,c2``; AppArmor's profile names are no contexts."""
    if ":" in context:
        for part, value in zip(_CONTEXT, context.split(":", 4), strict=False):
            event[prefix + part] = value


def _root(number: str) -> str:
    return "root" if number == "0" else ""
