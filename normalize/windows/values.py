"""Single values of Windows events to ECS values; every function returns None for what is none.

A `Setter` writes the several ECS fields that one value stands for.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Any

from normalize.bounded import Bounded
from samlog.event import Event
from samlog.remember import remembered

Setter = Callable[[Event, str], None]
Convert = Callable[[str], Any]

MAX_LONG = 2**63 - 1
MAX_DIGITS = 20
KEPT = 16_384
"""Values of one sort that are remembered with what was made of them."""
MAX_KEPT = 384
"""Characters of such a value."""
MAX_ARGS = 1024
MAX_COMMAND_LINE = 32767
"""CreateProcess takes no longer one; a longer text is not taken apart."""


def integer(value: str) -> int | None:
    """Returns a decimal or 0x-hexadecimal number of at most 63 bits; 0.1 us instead of 0.3."""
    return _INTEGERS[value]


def _integer(value: str) -> int | None:
    if len(value) > MAX_DIGITS:
        return None
    try:
        number = int(value, 16) if value[:2] in ("0x", "0X") else int(value)
    except ValueError:
        return None
    return number if 0 <= number <= MAX_LONG else None


def _few(text: str) -> bool:
    return len(text) <= MAX_DIGITS


def _short(text: str) -> bool:
    return len(text) <= MAX_KEPT


_INTEGERS: Bounded[str, int | None] = Bounded(_integer, KEPT, _few)


def port(value: str) -> int | None:
    """Returns a TCP or UDP port, 0 to 65535."""
    number = integer(value)
    return number if number is not None and number <= 65535 else None


@remembered(8_192)
def ip(value: str) -> str | None:
    """Returns the address in its canonical form; IPv4 in IPv6 as IPv4, zones cut off."""
    try:
        address = ip_address(value.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def boolean(value: str) -> bool | None:
    """Returns true/false, also of the words in other case."""
    lowered = value.lower()
    return True if lowered == "true" else False if lowered == "false" else None


def _cut(path: str) -> int:
    """Returns where the name begins, less one; a path of Sysmon for Linux has slashes."""
    cut = path.rfind("\\")
    return cut if cut >= 0 else path.rfind("/")


def _split_path(path: str) -> tuple[str, str, str]:
    """Returns directory, name and extension, "" for what is not there."""
    cut = _cut(path)
    name = path[cut + 1 :]
    dot = name.rfind(".")
    return path[:cut] if cut > 0 else "", name, name[dot + 1 :] if dot >= 0 else ""


# Programs and libraries repeat: 0.1 us instead of 0.5.
_PATHS: Bounded[str, tuple[str, str, str]] = Bounded(_split_path, KEPT, _short)


def executable(prefix: str) -> Setter:
    """Returns a setter of ``<prefix>.executable`` and ``<prefix>.name``."""
    path_field, name_field = prefix + ".executable", prefix + ".name"

    def write(out: Event, value: str) -> None:
        out[path_field] = value
        name = _PATHS[value][1]
        if name and name[0] != "<":
            out[name_field] = name

    return write


def command_line(prefix: str) -> Setter:
    """Returns a setter of ``<prefix>.command_line``, ``.args`` and ``.args_count``."""
    line_field, args_field, count_field = (
        f"{prefix}.{leaf}" for leaf in ("command_line", "args", "args_count")
    )

    def write(out: Event, value: str) -> None:
        out[line_field] = value
        args = split_args(value)
        if args:
            out[args_field] = args
            out[count_field] = len(args)

    return write


def split_args(line: str) -> list[str]:
    """Splits a command line as CommandLineToArgvW does; at most `MAX_ARGS` parts.

    Backslashes are literal unless they stand before a quote: 2n of them give n and the quote
    delimits, 2n+1 give n and a literal quote. Two quotes inside quotes are one literal quote.
    """
    if len(line) > MAX_COMMAND_LINE:
        return []
    if '"' not in line:
        return [part for part in line.replace("\t", " ").split(" ") if part][:MAX_ARGS]
    if '\\"' in line or '""' in line:
        return _split_escaped(line)
    # Quotes only toggle: 4 us instead of 40 for a line of 160 characters.
    args: list[str] = []
    pieces: list[str] = []
    for number, segment in enumerate(line.split('"')):
        if number % 2:
            pieces.append(segment)
            continue
        first, *words = segment.replace("\t", " ").split(" ")
        if first:
            pieces.append(first)
        for word in words:
            if pieces:
                args.append("".join(pieces))
            pieces = [word] if word else []
        if len(args) >= MAX_ARGS:
            return args[:MAX_ARGS]
    if pieces:
        args.append("".join(pieces))
    return args[:MAX_ARGS]


ARGUMENT_PART = re.compile(r'(\\*+)("?)([^\\" \t]*+)([ \t]?)')


def _split_escaped(line: str) -> list[str]:
    """Splits a line with escaped or doubled quotes, part by part."""
    args: list[str] = []
    pieces: list[str] = []
    quoted = started = False
    position = 0
    while position < len(line) and len(args) < MAX_ARGS:
        match = ARGUMENT_PART.match(line, position)
        assert match is not None  # every part of the pattern may be empty
        slashes, quote, plain, blank = match.groups()
        position = match.end()
        if quote:
            started = True
            pieces.append("\\" * (len(slashes) // 2))
            if len(slashes) % 2:
                pieces.append('"')
            elif quoted and not plain and not blank and line[position : position + 1] == '"':
                pieces.append('"')
                position += 1
                continue
            else:
                quoted = not quoted
        else:
            pieces.append(slashes)
        pieces.append(plain)
        started = started or bool(slashes or plain)
        if not blank:
            continue
        if quoted:
            pieces.append(blank)
        elif started:
            args.append("".join(pieces))
            pieces, started = [], False
    if started and len(args) < MAX_ARGS:
        args.append("".join(pieces))
    return args


def file_path(prefix: str = "file") -> Setter:
    """Returns a setter of ``<prefix>.path``, ``.name``, ``.directory`` and ``.extension``."""
    path, name_field, directory, extension = (
        f"{prefix}.{leaf}" for leaf in ("path", "name", "directory", "extension")
    )

    def write(out: Event, value: str) -> None:
        out[path] = value
        folder, name, ending = _PATHS[value]
        if folder:
            out[directory] = folder
        if name:
            out[name_field] = name
        if ending:
            out[extension] = ending

    return write


def hashes(prefix: str, pe: str) -> Setter:
    """Returns a setter of ``<prefix>.<algorithm>`` and ``<pe>.imphash`` from Sysmon's list."""
    fields = {name.upper(): f"{prefix}.{name}" for name in ("md5", "sha1", "sha256", "sha512")}
    fields["IMPHASH"] = pe + ".imphash"

    def read(value: str) -> Event:
        found: Event = {}
        for part in value.split(",", 8):
            name, _, digest = part.partition("=")
            field = fields.get(name.strip().upper())
            if field is not None and digest.strip("0"):
                found[field] = digest.lower()
        return found

    # Libraries are loaded again and again: 0.2 us instead of 2.
    kept: Bounded[str, Event] = Bounded(read, KEPT // 4, _short)

    def write(out: Event, value: str) -> None:
        out.update(kept[value])

    return write


def account(prefix: str = "user") -> Setter:
    r"""Returns a setter of ``<prefix>.domain`` and ``<prefix>.name`` from ``DOMAIN\name``."""
    domain_field, name_field = prefix + ".domain", prefix + ".name"

    def write(out: Event, value: str) -> None:
        domain, slash, name = value.partition("\\")
        if not slash:
            out[name_field] = value
            return
        if domain:
            out[domain_field] = domain
        if name:
            out[name_field] = name

    return write


HIVES = {
    "HKEY_LOCAL_MACHINE": "HKLM",
    "HKEY_USERS": "HKU",
    "HKEY_CLASSES_ROOT": "HKCR",
    "HKEY_CURRENT_USER": "HKCU",
    "HKEY_CURRENT_CONFIG": "HKCC",
    "HKLM": "HKLM",
    "HKU": "HKU",
    "HKCR": "HKCR",
    "HKCU": "HKCU",
    "HKCC": "HKCC",
}


def registry_path(out: Event, path: str, *, with_value: bool) -> None:
    """Writes ``registry.hive``, ``key``, ``path`` and, with ``with_value``, ``value``.

    ECS: the key is relative to the hive and does not hold the value's name.
    """
    out["registry.path"] = path
    root, slash, key = path.partition("\\")
    hive = HIVES.get(root.upper())
    if hive is None:
        return
    out["registry.hive"] = hive
    if not slash:
        return
    if with_value:
        key, cut, value = key.rpartition("\\")
        if value:
            out["registry.value"] = value
    if key:
        out["registry.key"] = key


def registry_data(out: Event, details: str) -> None:
    """Writes ``registry.data.*`` from Sysmon's Details: ``DWORD (0x..)``, ``Binary Data``, text."""
    kind, _, rest = details.partition(" (")
    if kind == "DWORD" and rest.endswith(")"):
        out["registry.data.type"] = "REG_DWORD"
        number = integer(rest[:-1])
    elif kind == "QWORD" and rest.endswith(")"):
        out["registry.data.type"] = "REG_QWORD"
        high, _, low = rest[:-1].partition("-")
        halves = integer(high), integer(low)
        number = None if None in halves else (halves[0] or 0) << 32 | (halves[1] or 0)
    elif details == "Binary Data":
        out["registry.data.type"] = "REG_BINARY"
        return
    else:
        out["registry.data.type"] = "REG_SZ"
        out["registry.data.strings"] = [details]
        return
    out["registry.data.strings"] = [details if number is None else str(number)]
