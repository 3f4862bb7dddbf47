"""A line that no parser knows and that has no syslog header: kept whole as ``message``.

Tagged ``unparsed_body`` and counted per source, so that a new format or a firmware upgrade is seen.
A time in ISO 8601 at the start of the line becomes ``@timestamp``.
"""

import re
from datetime import UTC

from normalize.times import parse_iso, zone
from samlog.event import Event, RawEvent

NAME = "text"
VERSION = 1
HINTS: frozenset[str] = frozenset()
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[dict[str, str], ...] = ()
LOG_CLASSES: tuple[str, ...] = ()
SPECIFICATION = ("none: it is what is left",)
SETTINGS = """
Name the source (`source:`), or write a parser (docs/add-a-source.md); the metric of events that
were not read says which sources it is about.
"""

_TIME = re.compile(r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)(Z|[+-]\d\d:?\d\d)?")


def matches(raw: RawEvent) -> bool:
    """Anything is text."""
    return True


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    raw.tags.append("unparsed_body")
    event: Event = {"event.dataset": "samlog.text", "message": raw.body}
    if match := _TIME.match(raw.body):
        moment = parse_iso(match[1].replace(",", ".") + (match[2] or ""), zone(raw.tz) or UTC)
        if moment is not None:
            event["@timestamp"] = moment
            if not match[2]:
                event["event.timezone"] = raw.tz
    return event
