"""What an audit event tells of the object that was asked for: a file, a key, a share."""

from normalize.windows import tables_codes as codes
from normalize.windows.plan import NOTHING
from normalize.windows.record import EventData
from normalize.windows.values import file_path, registry_path
from samlog.event import Event
from samlog.remember import remembered

MAX_RIGHTS = 64


def value(data: EventData, name: str) -> str:
    """Returns a field's text, "" where it has none."""
    found = data.get(name)
    return found if isinstance(found, str) and found not in NOTHING else ""


def message(code: str) -> str:
    """Returns the text of a ``%%nnnn`` reference, the reference itself where it is unknown."""
    return codes.MESSAGES.get(code[2:], code) if code.startswith("%%") else code


@remembered(1_024, 1_024)
def access_words(listed: str) -> tuple[str, ...]:
    """Returns the rights of an AccessList (``%%1538 %%4416``) in words."""
    return tuple(message(part) for part in listed.split()[:MAX_RIGHTS])


def set_access(out: Event, data: EventData) -> None:
    """Describes the rights that were asked for beside their codes."""
    if listed := value(data, "AccessList"):
        out["winlog.event_data.AccessListDescription"] = list(access_words(listed))


SET_FILE = file_path()
ROOTS = (("\\registry\\machine", "HKLM"), ("\\registry\\user", "HKU"))


def set_object(out: Event, data: EventData) -> None:
    """Writes file.* or registry.* of an accessed object, and its category."""
    name, kind = value(data, "ObjectName"), value(data, "ObjectType")
    if kind in ("File", "Directory"):
        out["event.category"] = ["file"]
        if name:
            SET_FILE(out, name)
    elif kind == "Key":
        out["event.category"] = ["registry"]
        set_key(out, name, "")
    elif kind in ("Process", "Thread"):
        out["event.category"] = ["process"]


def set_share(out: Event, data: EventData) -> None:
    """Writes file.* of what was asked for in a share, as the server that holds it names it.

    IPC$ has no local path: the relative name is a pipe's.
    """
    root = value(data, "ShareLocalPath").removeprefix("\\??\\").rstrip("\\")
    name = value(data, "RelativeTargetName").lstrip("\\")
    if root and name:
        SET_FILE(out, f"{root}\\{name}")
    elif name:
        out["file.name"] = name
    elif root:
        out["file.directory"] = root


def set_key(out: Event, name: str, value_name: str) -> None:
    r"""Writes registry.* from a kernel name such as ``\REGISTRY\MACHINE\SYSTEM\..``."""
    lowered = name.lower()
    for root, hive in ROOTS:
        if lowered.startswith(root):
            name = hive + name[len(root) :]
    if name:
        path = f"{name}\\{value_name}" if value_name else name
        registry_path(out, path, with_value=bool(value_name))


def set_registry_value(out: Event, data: EventData) -> None:
    """Writes registry.* of a changed value."""
    set_key(out, value(data, "ObjectName"), value(data, "ObjectValueName"))
    if new := value(data, "NewValue"):
        out["registry.data.strings"] = [new]
