"""The System part of an event, the same in every shipper: numbers, names and their meaning.

Facts from the Windows event schema (``evntrace``/``winmeta.xml``): levels, opcodes, reserved
keywords.
"""

from collections.abc import Mapping
from typing import Any

from normalize.windows.record import WindowsEvent, text_of
from normalize.windows.tables_sids import WELL_KNOWN
from samlog.event import Event
from samlog.remember import remembered

LEVELS = {
    "0": "information",
    "1": "critical",
    "2": "error",
    "3": "warning",
    "4": "information",
    "5": "verbose",
}
OPCODES = {
    "0": "Info",
    "1": "Start",
    "2": "Stop",
    "3": "DCStart",
    "4": "DCStop",
    "5": "Extension",
    "6": "Reply",
    "7": "Resume",
    "8": "Suspend",
    "9": "Send",
    "240": "Receive",
}
KEYWORD_BITS = (
    (0x1000000000000, "Response Time"),
    (0x2000000000000, "WDI Context"),
    (0x4000000000000, "WDI Diag"),
    (0x8000000000000, "SQM"),
    (0x10000000000000, "Audit Failure"),
    (0x20000000000000, "Audit Success"),
    (0x40000000000000, "Correlation Hint"),
    (0x80000000000000, "Classic"),
)
OUTCOMES = {"audit success": "success", "audit failure": "failure"}


def set_level(out: Event, value: Any) -> None:
    """Takes a level by number or word into winlog.level_value, winlog.level and log.level."""
    text = str(value)
    if text.isdecimal():
        out["winlog.level_value"] = text
        text = LEVELS.get(text, "")
    if text:
        out["winlog.level"] = out["log.level"] = text.lower()


def set_opcode(out: Event, value: Any) -> None:
    """Takes an opcode by number or word into winlog.opcode_value and winlog.opcode."""
    text = str(value)
    if text.isdecimal():
        out["winlog.opcode_value"] = text
        text = OPCODES.get(text, "")
    if text:
        out.setdefault("winlog.opcode", text)


def set_task(out: Event, value: Any) -> None:
    """Takes a task by number or word into winlog.task_value or winlog.task."""
    text = str(value)
    out["winlog.task_value" if text.isdecimal() else "winlog.task"] = text


def set_keywords(out: Event, value: Any) -> None:
    """Takes the mask, hexadecimal or as a signed 64-bit number, or the words of the keywords.

    winlog.keywords gets what was sent, the mask as 0x-hexadecimal, and the reserved words.
    """
    sent = text_of(value)
    out["winlog.keywords"] = sent if isinstance(sent, list) else list(_keywords(sent))


@remembered(1_024)
def _keywords(sent: str) -> tuple[str, ...]:
    try:
        mask = int(sent, 16) if sent[:2] == "0x" else int(sent)
    except ValueError:
        return (sent,)
    mask &= 0xFFFFFFFFFFFFFFFF
    names = tuple(word for bit, word in KEYWORD_BITS if mask & bit)
    return (sent, *names) if sent[:2] == "0x" else (sent, hex(mask), *names)


def outcome_of(out: Event) -> str:
    """Returns the outcome that the audit keywords tell, "" where they tell none."""
    words = (str(word).lower() for word in out.get("winlog.keywords", ()))
    return next((OUTCOMES[word] for word in words if word in OUTCOMES), "")


def set_account(out: Event) -> None:
    """Names the System part's account by its SID, as an agent on the host does."""
    sid = out.get("winlog.user.identifier")
    if type(sid) is not str or sid not in WELL_KNOWN or "winlog.user.name" in out:
        return
    domain, out["winlog.user.name"] = WELL_KNOWN[sid]
    if domain:
        out["winlog.user.domain"] = domain


def set_number(out: Event, field: str, value: Any) -> None:
    """Writes a process or thread id as a number; what is none is left out."""
    if type(value) is not int:
        try:
            value = int(str(value), 0)
        except ValueError:
            return
    if 0 <= value < 2**63:
        out[field] = value


def identify(event: WindowsEvent, channel: Any, provider: Any, code: Any) -> None:
    """Sets channel, provider and event id of ``event`` and of its document."""
    event.channel, event.provider, event.code = str(channel), str(provider), str(code)
    out = event.out
    if event.channel:
        out["winlog.channel"] = event.channel
    if event.provider:
        out["winlog.provider_name"] = out["event.provider"] = event.provider
    out["winlog.event_id"] = out["event.code"] = event.code


def merge_object(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    """Copies EventData of an object into ``target`` as text; null is left out."""
    for name, value in source.items():
        if value is not None:
            target[name] = value if type(value) is str else text_of(value)
