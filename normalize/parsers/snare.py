"""Windows events as Snare sends them over syslog: tab-separated, with the rendered English text.

Also what NXLog's ``to_syslog_snare()`` and LogLogic's Universal Collector write, and lines in which
rsyslog turned tabs into ``#011``. After ``MSWinEventLog`` come criticality, channel, Snare's
counter, time, event id, provider, user, type of its SID, type of the event, computer, category,
data, the text and a counter.

EventData is not in the line: the text is taken apart in English by event id, into the same names
below ``winlog.event_data`` and on to the same ECS fields as other Windows events. Such an event is
tagged ``message_parsed``, since what an attacker chooses stands in that text too. Texts in other
languages and of other providers than Security, Sysmon, PowerShell's script blocks, services and
sessions are kept whole in ``message`` (tag ``unparsed_body``). Prefer agents that send EventData.

Times are local to the sender; give the source its zone.
"""

import re
from datetime import datetime

from normalize.windows import message
from normalize.windows.classes import CLASSES
from normalize.windows.mapper import to_ecs
from normalize.windows.record import WindowsEvent
from normalize.windows.system import identify, set_keywords, set_level
from normalize.windows.times import stamp, zone_of
from normalize.windows.values import account
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "snare"
VERSION = 1
HINTS = frozenset(("windows_snare", "mswineventlog"))
PROGRAMS = frozenset(("mswineventlog",))
LOGSOURCES = ({"product": "windows"},)
LOG_CLASSES = CLASSES
CONTENT = "text"
SPECIFICATION = ("Snare Enterprise Agent for Windows, Appendix A: Windows Event Output Format",)
SETTINGS = """At the agent: destination in SNARE or SYSLOG (RFC 3164) format, delimiter TAB, UTF-8.
The collector must keep tabs (rsyslog: `$EscapeControlCharactersOnReceive off`; `#011` is read too)
and messages of up to 64 kB."""

MARK = "MSWinEventLog"
SEARCHED = 384
NAMES_OF_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
TIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\Z")
MONTHS = {name: number for number, name in enumerate(NAMES_OF_MONTHS, 1)}
COUNTER = re.compile(r"\d{1,20}|[0-9A-Fa-f]{32}")
SET_ACCOUNT = account("winlog.user")
OUTCOMES = {"success audit": "Audit Success", "failure audit": "Audit Failure"}
LEVELS = frozenset(("information", "warning", "error", "critical", "verbose"))
NONE = frozenset(("", "N/A", "None"))


_TEXT = re.compile(r"[\"'=\[\](){}]")


def matches(raw: RawEvent) -> bool:
    """Looks for Snare's mark and the tab behind it near the beginning."""
    head = raw.text[:SEARCHED]
    mark = head.find(MARK)
    if mark < 0 or not head.startswith(("\t", "#011"), mark + len(MARK)):
        return False
    # Behind a syslog header alone: in quotation marks or behind a program it is a text.
    before = head[:mark]
    return ": " not in before and _TEXT.search(before) is None


def parse(raw: RawEvent) -> Event:
    """Returns the document of one event; see `normalize.windows.mapper.to_ecs`."""
    for name in ("process.name", "process.pid"):
        raw.fields.pop(name, None)
    start = raw.text.find(MARK)
    if start < 0:
        raise BadEvent("not_snare", f"{MARK} is not in the line")
    line = raw.text[start:]
    if "\t" not in line:
        line = line.replace("#011", "\t")
    parts = line.split("\t", 13)
    event = WindowsEvent()
    if len(parts) < 11 or not parts[5].isascii() or not parts[5].isdecimal():
        event.irregular = True
        event.out["message"] = line
        identify(event, parts[2] if len(parts) > 2 else "", "", "")
        return to_ecs(event, raw)
    _read_system(event, parts, raw.tz)
    text = _text(event, parts)
    if text:
        event.out["message"] = text
        event.data = message.read(event.provider, event.code, text)
        event.irregular = not event.data
    if event.data:
        raw.tags.append("message_parsed")
    return to_ecs(event, raw)


def _read_system(event: WindowsEvent, parts: list[str], tz: str) -> None:
    out = event.out
    identify(event, parts[2], parts[6], parts[5])
    out["winlog.computer_name"] = parts[10]
    out["winlog.shipper.Criticality"] = parts[1]
    out["winlog.shipper.Counter"] = parts[3]
    if parts[7] not in NONE:
        SET_ACCOUNT(out, parts[7])
    if parts[8] not in NONE:
        out["winlog.user.type"] = parts[8]
    kind = parts[9].lower()
    if kind in OUTCOMES:
        set_keywords(out, [OUTCOMES[kind]])
        set_level(out, "information")
    elif kind in LEVELS:
        set_level(out, kind)
    if len(parts) > 11 and parts[11] not in NONE:
        out["winlog.task"] = parts[11]
    out["winlog.time_created"] = parts[4]
    if instant := _time(parts[4], tz):
        event.when = lambda: instant


def _time(text: str, tz: str) -> str:
    match = TIME.match(text)
    if match is None or match[1] not in MONTHS:
        return ""
    day, hour, minute, second, year = (int(match[group]) for group in range(2, 7))
    try:
        return stamp(
            datetime(year, MONTHS[match[1]], day, hour, minute, second, tzinfo=zone_of(tz))
        )
    except (ValueError, OverflowError):
        return ""


def _text(event: WindowsEvent, parts: list[str]) -> str:
    """Returns the rendered text: behind the data, before the counters that end the line."""
    rest = parts[13].split("\t") if len(parts) > 13 else []
    while rest and (COUNTER.fullmatch(rest[-1].strip()) or not rest[-1].strip()):
        if rest[-1].strip():
            event.out["winlog.shipper.EventCounter"] = rest[-1].strip()
        rest.pop()
    text = " ".join(rest).strip()
    data = parts[12].strip() if len(parts) > 12 else ""
    if not text:
        return data
    if data:
        event.out["winlog.shipper.Data"] = data
    return text
