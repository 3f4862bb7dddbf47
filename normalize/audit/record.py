r"""One audit record: ``type=SYSCALL msg=audit(1611091464.740:263): key=value ..``.

Formats: auditd's log (raw and ENRICHED, where names follow behind ``\x1d``), what audisp hands to
syslog, what ausearch prints, and the kernel's own lines (``audit: type=1400 audit(..): ..``).
"""

import re
from typing import NamedTuple

from normalize.audit.types import NAMES

MAX_FIELDS = 512
"""Fields read of one record; an EXECVE of the kernel has at most about 300 (7,500 bytes)."""

HEAD = re.compile(
    r"(?:node=(?P<node>\S{1,255}) )?"
    r"(?:type=(?P<type>[A-Z][A-Z0-9_]{1,39}|\d{4}|UNKNOWN\[(?P<number>\d{1,5})\]) (?:msg=)?)"
    r"audit\((?P<s>\d{1,12})(?:\.(?P<fraction>\d{1,9}))?:(?P<serial>\d{1,10})\): ?"
)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}(?:\[\d{1,6}\])?=")
_WORD = re.compile(r"\S+")
_NEXT = re.compile(r"\s(?=[A-Za-z_][A-Za-z0-9_.-]{0,63}=)")
_MSG = re.compile(r"(?:^|\s)msg=(['\"])")
_HEX_DIGITS = frozenset("0123456789ABCDEF")
_TRIMMED = frozenset("'\",")
_HEX = re.compile(r"(?:[0-9A-F]{2})+")
_CUT_FROM = 16
_POLICY_TYPES = ("AVC", "USER_AVC")
AVC = re.compile(r"avc: {1,4}(denied|granted) {1,4}\{ ?([^{}]{0,1000}?) ?\}")
# One pattern for key and value: 11 us a record instead of 20.
_PAIR = re.compile(
    r'(?<!\S)([A-Za-z_][A-Za-z0-9_.-]{0,63}(?:\[\d{1,6}\])?)=("[^"]*"|\{[^{}]{0,512}\}|\S*)'
)
# A quoted value holds neither quotes nor blanks, so that nobody's argument looks like this.
_GLUED = re.compile(
    r"(?<=[\"'}a-z0-9)])(?=(?:UID|AUID|GID|OUID|ID|OLD-AUID)=\"[^\"\s]{1,256}\")"
    r"|(?:(?<= key=\(null\))|(?<=[^=]\"))(?=ARCH=[a-z0-9_])|(?<=[0-9A-F])(?=SADDR=\{ )"
    r"|(?<=') (?=A?UID=\"[^\"\s]{1,256}\")"
)
# The kernel leaves #035 in a value as it is: only behind a value and outside quotes is it \x1d.
_SEPARATOR = re.compile(r"\x1d|(?<=[\"'}0-9a-z)])#035(?=[A-Z][A-Z_-]{0,31}=)")
_LOGIN = re.compile(r"\b(old|new) (auid|ses)=")

NOTHING = frozenset({"?", "(null)", ""})
TEXTS = frozenset(
    ("exe", "cmd", "data", "path", "comm", "file", "name", "watch", "cwd", "acct", "dir", "vm")
    + ("old-chardev", "new-chardev", "old-disk", "new-disk", "old-fs", "new-fs", "old-net")
    + ("new-net", "device", "cgroup", "apparmor", "operation", "denied_mask", "info", "profile")
    + ("requested_mask", "old-rng", "new-rng", "ocomm", "grp", "new_group", "invalid_context")
    + ("sw", "root_dir", "proctitle", "key", "unit", "grantors", "hostname", "dest", "saddr_path")
    + ("op", "module", "profile_name", "pre_exe", "grp_name", "uri", "fp")
)
"""Fields whose value the sender chooses; written in hex where it has a space, a quote or any byte
outside of ASCII's letters (audit_log_untrustedstring)."""


class Record(NamedTuple):
    """``fields`` are the decoded values, without those that say "nothing"; ``inner`` those within
    ``msg='..'``; ``names`` what the daemon wrote behind them in capitals (``UID="root"``)."""

    type: str
    node: str
    epoch: str
    serial: int
    fields: dict[str, str]
    inner: dict[str, str]
    names: dict[str, str]
    text: str

    def get(self, *keys: str) -> str:
        """Returns the first of ``keys`` that has a value, "" if none has; ``inner`` counts too."""
        for key in keys:
            value = self.fields.get(key) or self.inner.get(key)
            if value:
                return value
        return ""


def read_record(line: str) -> Record | None:
    """Returns the record in ``line``, which may have a syslog header before it; None if none."""
    head = HEAD.search(line)
    if head is None:
        return None
    kind = head["number"] or head["type"]
    kind = NAMES.get(kind, f"UNKNOWN[{kind}]") if kind.isdecimal() else kind
    body, names = _split_names(line[head.end() :])
    inner_text = ""
    if "msg=" in body and (message := _MSG.search(body)):
        end = body.rfind(message[1])
        if end >= message.end():
            body, inner_text = body[: message.start()], body[message.end() : end]
        else:
            # cut off before the closing quote
            body, inner_text = body[: message.start()], body[message.end() :]
    fields: dict[str, str] = {}
    if kind in _POLICY_TYPES and (avc := AVC.match(body) or AVC.match(inner_text)):
        fields["seresult"], fields["seperms"] = avc.groups()
        if inner_text:
            inner_text = inner_text[avc.end() :]
        else:
            body = body[avc.end() :]
    if kind == "LOGIN":
        body = _LOGIN.sub(r"\1_\2=", body)
    _pairs(body, fields, names, bare=False)
    inner: dict[str, str] = {}
    if inner_text:
        user_space(inner_text, inner, names)
    epoch = f"{head['s']}.{(head['fraction'] or '0')[:9]}"
    return Record(kind, head["node"] or "", epoch, int(head["serial"]), fields, inner, names, line)


def user_space(text: str, fields: dict[str, str], names: dict[str, str]) -> None:
    """Reads what stands in ``msg='..'`` into ``fields``; names in capitals into ``names``."""
    if "(hostname=" in text:
        # libaudit before 2.0: : exe="/bin/su" (hostname=?, addr=?, terminal=pts/0 res=success)
        text = text.replace("(hostname=", "hostname=", 1).rstrip(")")
    _pairs(text, fields, names, bare=True)


def _split_names(body: str) -> tuple[str, dict[str, str]]:
    r"""Takes off what follows ``\x1d`` (which rsyslog writes as #035): names for the numbers.

    Some collectors drop control characters: then the names stick to the last value.
    """
    if ("UID=" in body or "ARCH=" in body or "SADDR=" in body) and "\x1d" not in body:
        body = _GLUED.sub("\x1d", body, count=1)
    for found in _SEPARATOR.finditer(body):
        at = found.start()
        if found[0] == "\x1d" or not (body.count('"', 0, at) % 2 or body.count("'", 0, at) % 2):
            names: dict[str, str] = {}
            _pairs(body[found.end() :], names, names, bare=False)
            return body[:at], names
    return body, {}


def _pairs(text: str, into: dict[str, str], names: dict[str, str], *, bare: bool) -> None:
    """Reads ``key=value`` pairs; with ``bare``, values without quotes reach to the next key."""
    pairs = spaced(text) if bare else _PAIR.findall(text)
    for name, value in pairs[:MAX_FIELDS]:
        first = value[:1]
        if first == '"' and len(value) > 1 and value[-1] == '"':
            value = value[1:-1]
            if value in NOTHING and not (value and _is_argument(name)):
                continue
        elif first == "{" and value[-1] == "}":
            value = value[1:-1].strip()
        else:
            if first == "'" or value[-1:] in _TRIMMED:
                value = value.strip("'\"").rstrip(",")
            if value in NOTHING:
                continue
            if first in _HEX_DIGITS and len(value) > 3 and (name in TEXTS or _is_argument(name)):
                value = unhex(value)
        target = names if name.isupper() else into
        target.setdefault(name, value)


def _is_argument(name: str) -> bool:
    return name[0] == "a" and name[1:2].isdecimal()


def spaced(text: str) -> list[tuple[str, str]]:
    """Returns the pairs of user space's text, ``op=adding user id=1004 exe="/x"``."""
    found: list[tuple[str, str]] = []
    at, end = 0, len(text)
    while at < end and len(found) < MAX_FIELDS:
        key = _KEY.match(text, at)
        if key is None:
            word = _WORD.match(text, at)
            at = word.end() + 1 if word else at + 1
            continue
        start = key.end()
        if text.startswith('"', start) and (close := text.find('"', start + 1)) > 0:
            at = close + 1
        else:
            following = _NEXT.search(text, start)
            at = following.start() if following else end
        found.append((key[0][:-1], text[start:at].strip()))
    return found


def unhex(value: str) -> str:
    """Returns the text that ``value`` is the hex of; ``value`` itself where it is plain text.

    The kernel uses capitals, and hex only where a byte needs it: ``comm=cafe`` is a name, and
    zeros are a number (``fp`` of BPRM_FCAPS). Of a long text that was cut within a byte the rest
    counts.
    """
    whole = value[:-1] if len(value) % 2 and len(value) > _CUT_FROM else value
    if len(value) < 4 or not _HEX.fullmatch(whole):
        return value
    data = bytes.fromhex(whole)
    if not any(byte < 33 or byte > 126 or byte == 34 for byte in data) or not any(data):
        return value
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def caret(text: str) -> str:
    """Writes control characters as a terminal shows them: ``^M`` for a carriage return."""
    return "".join(f"^{chr(ord(c) ^ 64)}" if c < " " or c == "\x7f" else c for c in text)
