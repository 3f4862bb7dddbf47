r"""Records as ``ausearch -i`` prints them: names for numbers, no quotes, a local time.

``type=SYSCALL msg=audit(10-01-2026 13:37:01.204:4711) : arch=x86_64 syscall=execve .. uid=root``.
Source: audit-userspace, ausearch-report.c (``strftime("%x %T")``) and auparse's interpretations.
Two things are lost there, and told: the order of day and month, and where a value ends.
"""

import re
from collections.abc import Iterable
from datetime import datetime, tzinfo
from itertools import islice
from typing import NamedTuple

from normalize.audit.record import AVC, MAX_FIELDS, NOTHING, Record, spaced
from normalize.audit.record import HEAD as RAW_HEAD
from normalize.audit.types import NAMES
from normalize.times import MONTHS, YEARLESS_AHEAD, local_time

HEAD = re.compile(
    r"(?:node=(?P<node>\S{1,255}) )?"
    r"type=(?P<type>[A-Z][A-Z0-9_]{1,39}|UNKNOWN\[(?P<number>\d{1,5})\]) msg=audit\("
    r"(?P<date>[^()\n:]{6,24}) (?P<clock>\d\d:\d\d:\d\d)\.(?P<ms>\d{3}):(?P<serial>\d{1,10})\) : ?"
)
_BEHIND = ") : "
"""Stands behind the id in what ausearch prints, hardly ever in a raw record: cheap to look for."""
AMBIGUOUS_DATE, AMBIGUOUS_VALUE = "ambiguous_date", "ambiguous_value"
"""Tags of events whose date can be read in two ways, or where a value may be two."""

_DATES = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)"),
    re.compile(r"(?P<d>\d\d?)(?P<dot>[.-])(?P<m>\d\d?)(?P=dot)(?P<y>\d{4})"),
    re.compile(r"(?P<d>\d\d?)\.? (?P<name>[A-Za-z]{3})[a-z]{0,6}\.? (?P<y>\d{4})"),
)
_SLASHES = re.compile(r"(\d\d?)/(\d\d?)/((?:\d\d)?\d\d)")
_CALL = "arch syscall per success exit a0 a1 a2 a3 items ppid pid auid uid gid euid suid fsuid egid"
_CALL += " sgid fsgid tty ses comm exe subj key"
_PATH = "item name inode dev mode ouid ogid rdev obj objtype nametype cap_fp cap_fi cap_fe cap_fver"
_PATH += " cap_frootid"
_KNOWN = {
    kind: re.compile(rf"(?:^| )({'|'.join(keys.split())})=")
    for kind, keys in (("SYSCALL", _CALL), ("PATH", _PATH))
}
"""Fields of records whose values senders choose: what else looks like a field is text."""
_WHOLE = {"PROCTITLE": "proctitle=", "CWD": "cwd=", "SOCKADDR": "saddr="}
_MODE = re.compile(r"(file|dir|character|block|fifo|link|socket),(\d{3})")
_FORMATS = {"file": "0100", "dir": "040", "character": "020", "block": "060", "fifo": "010"}
_FORMATS |= {"link": "0120", "socket": "0140"}
_UNKNOWN = re.compile(r"unknown\((\d{1,10})\)")
_NUMBERS = {"root": "0", "unset": "4294967295"}
_COUNT = re.compile(r"argc=(\d{1,6}) a0=")
_PIECE = re.compile(r" a\d{1,6}_len=\d{1,9} a\d{1,6}\[0\]=")
_PIECES = re.compile(r"(?:^| )(argc|a\d{1,6}(?:_len|\[\d{1,6}\])?)=")
"""A long argument comes in pieces, in several records."""
_MESSAGE = re.compile(r"(?:^| )msg='")


class Interpreted(NamedTuple):
    """A record, and what about it is not certain (tags)."""

    record: Record
    doubts: tuple[str, ...]


def head_of(text: str) -> re.Match[str] | None:
    """Returns the first head of a record in ``text``, raw or interpreted; see `is_interpreted`.

    Senders choose values, so what looks like a head further behind is none.
    """
    raw = RAW_HEAD.search(text)
    if _BEHIND not in text:
        return raw
    printed = HEAD.search(text)
    return printed if printed and (raw is None or printed.start() < raw.start()) else raw


def is_interpreted(head: re.Match[str]) -> bool:
    """Tells whether `head_of` found what ``ausearch -i`` prints."""
    return head.re is HEAD


def read_interpreted(line: str, tz: tzinfo, received: datetime) -> Interpreted | None:
    """Returns the record that ``line`` begins with, None if there is none or it is a raw one.

    Its time is that of the zone ``tz``; without an ``epoch`` where nobody can read the date.
    """
    head = head_of(line) if _BEHIND in line else None
    if head is None or not is_interpreted(head):
        return None
    kind = head["number"] or head["type"]
    kind = NAMES.get(kind, f"UNKNOWN[{kind}]") if kind.isdecimal() else kind
    seconds, doubt = _seconds(head["date"], head["clock"], tz, received)
    epoch = "" if seconds is None else f"{seconds}.{head['ms']}"
    record = Record(kind, head["node"] or "", epoch, int(head["serial"]), {}, {}, {}, line)
    certain = _fill(record, line[head.end() :].rstrip(" "))
    doubts = (AMBIGUOUS_DATE,) * doubt + (AMBIGUOUS_VALUE,) * (not certain)
    return Interpreted(record, doubts)


def in_order(records: list[Record]) -> list[Record]:
    """Returns the records of an event as the kernel wrote them; ausearch prints the last first."""
    if records[0].type == "PROCTITLE" or records[-1].type == "SYSCALL":
        return records[::-1]
    return records


def _seconds(date: str, clock: str, tz: tzinfo, received: datetime) -> tuple[int | None, bool]:
    """Returns seconds since 1970, and whether the date could be another.

    With slashes the month comes first, as in the locales C and en_US; not where there is no such
    month, nor where the event would lie in the future and only so.
    """
    found = [
        moment
        for year, month, day in _days(date)
        if (moment := _moment(year, month, day, clock, tz, received)) is not None
    ]
    past = [moment for moment in found if moment <= received + YEARLESS_AHEAD]
    possible = past or found
    if not possible:
        return None, False
    return int(possible[0].timestamp()), len(set(possible)) > 1


def _days(date: str) -> Iterable[tuple[int, int, int]]:
    """Yields the days that ``date`` may mean, the likelier one first."""
    for form in _DATES:
        if match := form.fullmatch(date):
            named = match.groupdict()
            month = MONTHS.get(named["name"].lower()) if "name" in named else int(named["m"])
            if month is not None:
                yield int(named["y"]), month, int(named["d"])
            return
    if match := _SLASHES.fullmatch(date):
        first, second, year = (int(number) for number in match.groups())
        year += 2000 if year < 100 else 0
        yield year, first, second
        yield year, second, first


def _moment(
    year: int, month: int, day: int, clock: str, tz: tzinfo, received: datetime
) -> datetime | None:
    try:
        naive = datetime(year, month, day, int(clock[:2]), int(clock[3:5]), min(int(clock[6:]), 59))
    except ValueError:
        return None
    return local_time(naive, tz, received)


def _fill(record: Record, body: str) -> bool:
    """Reads the fields of ``body`` into ``record``; tells whether no value may be two."""
    kind = record.type
    if kind in ("AVC", "USER_AVC") and (avc := AVC.search(body)):
        record.fields["seresult"], record.fields["seperms"] = avc.groups()
        body = body[: avc.start()] + body[avc.end() :]
    if (start := _WHOLE.get(kind)) and body.startswith(start):
        return _keep(record, record.fields, [(start[:-1], body[len(start) :].strip("{} "))])
    if kind == "EXECVE":
        return _keep(record, record.fields, _arguments(body))
    if kind in _KNOWN:
        return _keep(record, record.fields, _known(body, _KNOWN[kind]))
    message = _MESSAGE.search(body)
    if message is None:
        return _keep(record, record.fields, spaced(body))
    inner = spaced(body[message.end() :].rstrip("' "))
    outer = _keep(record, record.fields, spaced(body[: message.start()]))
    return _keep(record, record.inner, inner) and outer


def _keep(record: Record, fields: dict[str, str], pairs: Iterable[tuple[str, str]]) -> bool:
    """Sets values as raw records have them; tells whether no field was there twice."""
    once = True
    for name, value in pairs:
        value = value.strip('"') if len(value) > 1 else value
        if value in NOTHING and record.type != "EXECVE":
            continue
        if name.endswith(("uid", "gid")) and not value.isdecimal():
            unknown = _UNKNOWN.fullmatch(value)
            number = unknown[1] if unknown else _NUMBERS.get(value, "")
            record.names.setdefault(name.upper(), value)
            if not number:
                continue
            value = number
        elif name == "ses":
            value = _NUMBERS.get(value, value)
        elif name == "mode" and (mode := _MODE.fullmatch(value)):
            value = _FORMATS[mode[1]] + mode[2]
        elif value == "none" and name.startswith("cap_f"):
            value = "0"
        elif record.type == "SYSCALL" and name in ("a0", "a1", "a2", "a3"):
            value = value.removeprefix("0x")
        if name == "key" and name in fields:
            fields[name] += f"\x01{value}"
            continue
        once = once and name not in fields
        fields.setdefault(name, value)
    return once


def _known(body: str, keys: re.Pattern[str]) -> list[tuple[str, str]]:
    """Returns the pairs of a record whose fields are known; a value reaches to the next one."""
    found: list[tuple[str, str]] = []
    end = len(body)
    for match in reversed(list(islice(keys.finditer(body), MAX_FIELDS))):
        found.append((match[1], body[match.end() : end].strip(" ")))
        end = match.start()
    return found[::-1]


def _arguments(body: str) -> Iterable[tuple[str, str]]:
    """Yields ``argc`` and the arguments, each up to the next number that is due."""
    head = _COUNT.match(body)
    if head is None or _PIECE.search(body):
        yield from _known(body, _PIECES)
        return
    yield "argc", head[1]
    start, last = head.end(), int(head[1]) - 1
    for number in range(last + 1):
        following = f" a{number + 1}="
        end = body.find(following, start) if number < last else -1
        yield f"a{number}", body[start : end if end >= 0 else len(body)].rstrip(" ")
        if end < 0:
            return
        start = end + len(following)
