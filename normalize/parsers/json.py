"""JSON objects of unknown origin: the whole object in one ``flattened`` field, ``samlog.json``.

``message`` is taken from ``message`` or ``msg``, the time from the first of ``@timestamp``,
``timestamp``, ``time``, ``ts``, ``eventTime`` that is one. Tagged ``unparsed_body``.
"""

from typing import Any

from normalize.jsontext import capped
from normalize.times import parse_iso
from samlog.event import Event, RawEvent

NAME = "json"
VERSION = 1
HINTS: frozenset[str] = frozenset()
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[dict[str, str], ...] = ()
LOG_CLASSES: tuple[str, ...] = ()

_TIMES = ("@timestamp", "timestamp", "time", "ts", "eventTime")
_MESSAGES = ("message", "msg", "Message")


def matches(raw: RawEvent) -> bool:
    """Any JSON object."""
    return raw.json is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    raw.tags.append("unparsed_body")
    record = raw.json or {}
    event: Event = {"event.dataset": "samlog.json", "samlog.json": capped(dict(record))}
    for key in _MESSAGES:
        if isinstance(record.get(key), str) and record[key]:
            event["message"] = record[key]
            break
    for key in _TIMES:
        if moment := _time(record.get(key)):
            event["@timestamp"] = moment
            break
    return event


def _time(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if parse_iso(value) is not None else None
