"""Audit records on the bus: which event a message belongs to, and several messages as one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from normalize.audit.interpreted import head_of, is_interpreted
from normalize.audit.types import NAMES
from samlog.bus.base import Message
from samlog.event import H_FULL_LENGTH, H_HOST, H_UNIT, Event

RAW_BEGINNINGS = (b"type=", b"node=")
"""How auditd's own log begins; what syslog or an agent carries is known once it was parsed."""
TEXT_KEYS = ("message", "MESSAGE", "log", "SyslogMessage")
"""Where agents put the line."""

_RAW = re.compile(
    rb"(?:node=(\S{1,255}) )?type=([A-Z][A-Z0-9_]{1,39}|UNKNOWN\[\d{1,5}\])"
    rb" msg=audit\(((\d{1,12}(?:\.\d{1,9})?):\d{1,10})\)"
)
_HEAD_WITHIN = 2_048
_WHOLE = "laurel/"
"""Beginning of ``samlog.parser`` where events are never single records."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a message says about its event. ``stamp`` is ``time:serial``, ``epoch`` its time."""

    host: tuple[str, str]
    kind: str
    stamp: str
    epoch: float


def label_raw(message: Message, unit: str) -> Label | None:
    """Returns the label of a line of audit.log, None of anything else."""
    match = _RAW.match(message.value)
    if match is None or not _joinable(message, unit):
        return None
    node, kind, stamp, epoch = match.groups()
    name = (node or b"").decode("utf-8", "replace") or _stream(message)
    return Label((unit, name), _kind(kind.decode()), stamp.decode(), float(epoch))


def label_parsed(message: Message, unit: str, event: Event) -> Label | None:
    """Returns the label of a record that syslog or an agent carried, by its parsed ``event``.

    LAUREL's events are whole, whatever an argument in them looks like.
    """
    if str(event.get("samlog.parser", "")).startswith(_WHOLE):
        return None
    head = head_of(str(event.get("event.original", ""))[:_HEAD_WITHIN])
    if head is None or not _joinable(message, unit):
        return None
    if is_interpreted(head):
        stamp = f"{head['date']} {head['clock']}.{head['ms']}:{head['serial']}"
        moment = datetime.fromisoformat(event["@timestamp"]).timestamp()
    else:
        epoch = f"{head['s']}.{head['fraction'] or '0'}"
        stamp, moment = f"{epoch}:{head['serial']}", float(epoch)
    name = str(event.get("host.name") or "") or _stream(message)
    return Label((unit, name), _kind(head["number"] or head["type"]), stamp, moment)


def combine(messages: Sequence[Message]) -> bytes:
    """Returns the raw value of an event: its records' lines, in the first one's envelope if any."""
    values = [message.value for message in messages]
    if len(values) == 1 or not values[0].startswith(b"{"):
        return b"\n".join(values)
    try:
        envelopes = [orjson.loads(value) for value in values]
        key = next(key for key in TEXT_KEYS if isinstance(envelopes[0].get(key), str))
        text = "\n".join(str(envelope[key]).rstrip("\r\n") for envelope in envelopes)
        return orjson.dumps(envelopes[0] | {key: text})
    except (orjson.JSONDecodeError, StopIteration, KeyError, TypeError):
        return b"\n".join(values)


def _kind(kind: str) -> str:
    if kind.startswith("UNKNOWN"):
        kind = kind[8:-1]
    return NAMES.get(kind, "UNKNOWN") if kind.isdecimal() else kind


def _joinable(message: Message, unit: str) -> bool:
    """A line that was cut, or whose unit is contradicted, goes its own way."""
    headers = message.headers
    stated = headers.get(H_UNIT)
    return H_FULL_LENGTH not in headers and (stated is None or stated == unit.encode())


def _stream(message: Message) -> str:
    """Returns what tells hosts apart where no record names one: the header, else the stream."""
    known = message.headers.get(H_HOST) or message.key or b""
    return known[:512].decode("utf-8", "replace")
