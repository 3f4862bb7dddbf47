"""Apache error logs of 2.2 and 2.4: ``[time] [module:level] [pid n:tid n] [client ip:port] text``.

Format: ErrorLogFormat in Apache's core documentation. The time has no zone: the source's ``tz``
counts. ``message`` is what follows the client.
"""

import re
from datetime import datetime

from normalize.address import set_endpoint
from normalize.times import MONTHS, local_time, zone
from normalize.web import WEB_CLASSES
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "apache_error"
VERSION = 1
HINTS = frozenset({"apache", "apache.error"})
PROGRAMS = frozenset({"apache", "apache2", "httpd"})
LOGSOURCES = ({"product": "apache", "service": "apache"},)
LOG_CLASSES = WEB_CLASSES
CONTENT = "text"
SPECIFICATION = ("Apache HTTP Server, core, ErrorLogFormat",)
SETTINGS = """
The stock ErrorLogFormat of 2.2 and 2.4. Lines carry no zone: set `tz`.
"""

_LINE = re.compile(
    r"\[[A-Z][a-z]{2} ([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\d{4})\]"
    r" \[(?:([\w-]{1,64}):)?(\w{1,16})\]"
    r"(?: \[pid (\d{1,10})(?::tid (\d{1,20}))?\])?"
    r"(?: \[client ([0-9A-Fa-f.:]{2,45}?|[^\s\]:]{1,255})(?::(\d{1,5}))?\])? ?"
)
_MISSING = re.compile(r"File does not exist: ([^,\n]{1,4096})")
_REFERER = re.compile(r", referer: (\S{1,4096})\Z")
_INFORMATIVE = frozenset(("notice", "info", "debug", *(f"trace{n}" for n in range(1, 9))))


def matches(raw: RawEvent) -> bool:
    """The weekday in brackets and a level in brackets."""
    return raw.json is None and _LINE.match(raw.body) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_error_log``) what does not begin as an error log line."""
    match = _LINE.match(raw.body)
    if match is None:
        raise BadEvent("not_error_log", "expected [Wed Oct 11 14:32:52 2000] [error] ..")
    module, level, pid, thread, client, port = match.groups()[7:]
    message = raw.body[match.end() :]
    event: Event = {
        "event.dataset": "apache.error",
        "event.category": ["web"],
        "event.type": ["info" if level in _INFORMATIVE else "error"],
        "event.timezone": raw.tz,
        "log.level": level,
        "message": message,
    }
    moment = _time(match, raw)
    if moment is not None:
        event["@timestamp"] = moment
    if module:
        event["apache.error.module"] = module
    if pid:
        event["process.pid"] = int(pid)
    if thread:
        event["process.thread.id"] = int(thread)
    if client:
        set_endpoint(event, "source", client, port)
    if missing := _MISSING.match(message):
        event["file.path"] = missing[1]
    if referer := _REFERER.search(message[-4200:]):
        event["http.request.referrer"] = referer[1]
    return event


def _time(match: re.Match[str], raw: RawEvent) -> datetime | None:
    month, day, hour, minute, second, fraction, year = match.groups()[:7]
    tz = zone(raw.tz)
    if tz is None or month.lower() not in MONTHS:
        return None
    micros = int((fraction or "").ljust(6, "0"))
    try:
        naive = datetime(
            int(year), MONTHS[month.lower()], int(day), int(hour), int(minute), int(second), micros
        )
    except ValueError:
        return None
    return local_time(naive, tz, raw.received_at)
