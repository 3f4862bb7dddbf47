"""LAUREL's JSON to the audit records that it was made of.

LAUREL writes one object an event: ``ID`` (time:serial), ``NODE``, and one name for each type of
record with an object or, where there may be several, a list of them. Against auditd's text,
numbers have their prefix (``0xc000003e``, ``0o100755``), ``a0`` .. are a list ``ARGV``, bytes that
are no printable UTF-8 are percent-encoded (as ``%`` and ``+``), and what has no value is null.
What LAUREL adds is written in capitals, like the names that auditd adds (laurel-about(7)).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from normalize.audit.record import AVC, MAX_FIELDS, NOTHING, Record, user_space

MAX_RECORDS = 1_000
_ID = re.compile(r"(\d{1,12})\.(\d{1,9}):(\d{1,10})")
_TYPE = re.compile(r"[A-Z][A-Z0-9_]{1,39}|UNKNOWN\[\d{1,5}\]")
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_NUMBER = re.compile(r"0x([0-9a-f]{1,16})")
_OCTAL = re.compile(r"0o([0-7]{1,11})")
_BARE_HEX = frozenset(
    ("arch", "per", "qbytes", "fi", "fp", "fver", "pa", "pe", "pi", "pp", "old_pa", "old_pe")
    + ("old_pi", "old_pp", "cap_fe", "cap_fi", "cap_fp", "cap_fver", "cap_pa", "cap_pe")
    + ("cap_pi", "cap_pp", "new_pa", "new_pe", "new_pi", "new_pp", "a0", "a1", "a2", "a3")
)
"""Fields that the kernel writes in hex without ``0x``; others have it in auditd's text too."""
PARENT = "PARENT_INFO"
CONTAINER = "CONTAINER_INFO"
_NO_RECORDS = frozenset({"ID", "NODE", PARENT, CONTAINER})
_OWN_WORDS = frozenset({"ARGV", "ARGV_STR", "SCRIPT"})
"""What LAUREL adds as text or as the list of arguments; all else that is text names a number."""
_SADDR_WORDS = {"addr": "laddr", "port": "lport"}


@dataclass(slots=True)
class Laurel:
    """The records of an event; ``added`` is what LAUREL knows beyond them, by its names.

    ``command_line`` is set where the arguments are one text that cannot be taken apart for certain.
    """

    records: list[Record] = field(default_factory=list)
    added: dict[str, list[Any]] = field(default_factory=dict)
    command_line: str = ""


def is_laurel(document: Mapping[str, Any]) -> bool:
    """Tells whether an object has LAUREL's id and at least one record; looks at names only."""
    stamp = document.get("ID")
    if not isinstance(stamp, str) or len(stamp) > 33 or _ID.fullmatch(stamp) is None:
        return False
    return any(
        type(value) in (dict, list) and name not in _NO_RECORDS and _TYPE.fullmatch(name)
        for name, value in document.items()
    )


def read_document(document: Mapping[str, Any]) -> Laurel:
    """Returns what a document says in which `is_laurel` has seen an id."""
    seconds, fraction, serial = _ID.fullmatch(document["ID"]).groups()  # type: ignore[union-attr]
    node = plain(document["NODE"]) if isinstance(document.get("NODE"), str) else ""
    found = Laurel()
    for kind, section in document.items():
        if kind in (PARENT, CONTAINER):
            found.added[kind.lower()] = [_plain_within(section)]
        elif kind not in _NO_RECORDS and _TYPE.fullmatch(kind):
            for values in _objects(section)[: MAX_RECORDS - len(found.records)]:
                record = Record(kind, node, f"{seconds}.{fraction}", int(serial), {}, {}, {}, "")
                _read(found, record, values)
    return found


def plain(text: str) -> str:
    """Returns the text that LAUREL percent-encoded where it had to."""
    return _ENCODED.sub(_decoded, text) if "%" in text else text


def _decoded(run: re.Match[str]) -> str:
    data = unquote_to_bytes(run[0])
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _plain_within(value: Any, depth: int = 12) -> Any:
    """Returns ``value`` with every text in it as `plain` has it, down to ``depth`` levels."""
    if isinstance(value, str):
        return plain(value)
    if type(value) is dict and depth:
        return {plain(key): _plain_within(one, depth - 1) for key, one in value.items()}
    if type(value) is list and depth:
        return [_plain_within(one, depth - 1) for one in value]
    return value


def _objects(section: Any) -> list[dict[str, Any]]:
    listed = section if type(section) is list else [section]
    return [one for one in listed if type(one) is dict]


def _read(found: Laurel, record: Record, values: dict[str, Any]) -> None:
    """Adds the record that ``values`` holds."""
    for name, value in list(values.items())[:MAX_FIELDS]:
        if value is None or not name:
            continue
        if name == "saddr" and isinstance(value, str):
            record.fields[name] = unquote_to_bytes(value).hex().upper()
        elif name == "SADDR":
            record.names[name] = _socket_words(value)
        elif name in ("denied", "granted") and type(value) is list:
            record.fields.update(seresult=name, seperms=" ".join(map(str, value)))
        elif name == "msg" and isinstance(value, str):
            _message(record, plain(value))
        elif name.isupper() and isinstance(value, str) and name not in _OWN_WORDS:
            record.names[name] = plain(value)
        elif not name.isupper() and type(value) is not dict:
            _field(record, name, value)
        elif name not in ("ARGV", "ARGV_STR"):
            found.added.setdefault(name.lower(), []).append(_plain_within(value))
    found.command_line = _arguments(record, values) or found.command_line
    for name in ("arch", "syscall", "saddr"):
        if translated := record.names.get(name.upper()):
            # drop-raw leaves only the translation
            record.fields.setdefault(name, translated)
    found.records.append(record)


def _message(record: Record, text: str) -> None:
    """Reads what user space sent, which LAUREL leaves as it is."""
    if record.type == "USER_AVC" and (decision := AVC.match(text)):
        record.fields["seresult"], record.fields["seperms"] = decision.groups()
        text = text[decision.end() :]
    user_space(text, record.inner, record.names)


def _field(record: Record, name: str, value: Any) -> None:
    """Writes a value as the record of auditd has it."""
    if type(value) is list:
        text = "\x01".join(_text(name, one) for one in value)
    else:
        text = _text(name, value)
    if text not in NOTHING:
        record.fields[name] = text


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if value.startswith("0x") and name in _BARE_HEX and (match := _NUMBER.fullmatch(value)):
        return match[1]
    if value.startswith("0o") and name == "mode" and (match := _OCTAL.fullmatch(value)):
        return f"0{match[1]}"
    return plain(value)


def _arguments(record: Record, values: dict[str, Any]) -> str:
    """Puts ``ARGV`` where the record has its arguments; returns those that are one text only.

    ``ARGV_STR`` has as many spaces as there are gaps, or an argument has one: nobody knows which.
    """
    listed, line = values.get("ARGV"), values.get("ARGV_STR")
    if type(listed) is list:
        words = [(n, str(one)) for n, one in enumerate(listed) if one is not None]
    elif isinstance(line, str):
        pieces = line.split(" ")
        if str(values.get("argc")) != str(len(pieces)):
            return plain(line)
        words = list(enumerate(pieces))
    else:
        return ""
    if record.type == "PROCTITLE":
        record.fields["proctitle"] = "\0".join(plain(word) for _, word in words)
    elif record.type == "EXECVE":
        record.fields.update((f"a{n}", plain(word)) for n, word in words)
    else:
        record.fields.update((f"a{n}", word.removeprefix("0x")) for n, word in words[:4])
    return ""


def _socket_words(value: Any) -> str:
    """Returns an address as auditd's ENRICHED format writes it."""
    if type(value) is not dict:
        return plain(str(value)).strip("{} ")
    known = [(key, one) for key, one in value.items() if isinstance(one, (str, int))]
    return " ".join(f"{_SADDR_WORDS.get(key, key)}={plain(str(one))}" for key, one in known)
