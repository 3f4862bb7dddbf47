"""nginx error logs: ``2016/10/25 14:49:34 [error] 54053#0: *1 open() "..." failed, client: ..``.

The time has no zone: the source's ``tz`` counts. ``message`` is what follows the connection number;
``nginx.error.connection_id``, ``process.pid`` and ``process.thread.id`` are taken out of the head.
"""

import re

from normalize.times import parse_iso, zone
from normalize.web import WEB_CLASSES
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "nginx_error"
VERSION = 1
HINTS = frozenset({"nginx", "nginx.error"})
PROGRAMS = frozenset({"nginx"})
LOGSOURCES = ({"product": "nginx"},)
LOG_CLASSES = WEB_CLASSES
CONTENT = "text"
SPECIFICATION = ('nginx, "Core functionality", error_log',)
SETTINGS = """
`error_log /var/log/nginx/error.log warn;`. Lines carry no zone: set `tz`.
"""

_LINE = re.compile(
    r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d) \[(\w{3,10})\]"
    r" (\d{1,10})#(\d{1,10}): (?:\*(\d{1,19}) )?"
)


def matches(raw: RawEvent) -> bool:
    """The slashed date and the level in brackets."""
    return raw.json is None and _LINE.match(raw.body) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_error_log``) what does not begin as an error log line."""
    match = _LINE.match(raw.body)
    if match is None:
        raise BadEvent("not_error_log", "expected 2016/10/25 14:49:34 [error] 1#0: ..")
    year, month, day, clock, level, pid, thread, connection = match.groups()
    event: Event = {
        "event.dataset": "nginx.error",
        "event.category": ["web"],
        "event.type": ["error"],
        "event.timezone": raw.tz,
        "log.level": level,
        "process.pid": int(pid),
        "process.thread.id": int(thread),
        "message": raw.body[match.end() :],
    }
    if connection:
        event["nginx.error.connection_id"] = int(connection)
    tz = zone(raw.tz)
    if tz is not None:
        event["@timestamp"] = parse_iso(f"{year}-{month}-{day}T{clock}", tz) or f"{year}-{month}"
    return event
