"""firewalld's daemon: what it did, and what it could not do.

Format: ``LEVEL: CODE: text`` (firewall.core.logger and firewall.errors). ``log.level`` and
``firewalld.code`` hold the first two, ``message`` the line. Packets that its rules logged come
from the kernel and are read by the parser kernel.
"""

import re

from samlog.event import Event, RawEvent

NAME = "firewalld"
VERSION = 1
HINTS = frozenset({"linux_syslog", "system.syslog"})
PROGRAMS = frozenset({"firewalld"})
LOGSOURCES = ({"product": "linux", "service": "syslog"},)
LOG_CLASSES = ("LC-07",)
CONTENT = "text"
SPECIFICATION = ("firewalld(1); firewall.errors and firewall.core.logger of its sources",)
SETTINGS = """
`LogDenied=all` in firewalld.conf(5) has the kernel log what is refused (read by the parser
kernel). The daemon's own lines come from the journal or from `/var/log/firewalld`.
"""

_LINE = re.compile(
    r"(DEBUG\d{0,2}|INFO\d?|NOTICE|WARNING|ERROR|FATAL): (?:([A-Z][A-Z_]{2,40}): ?)?"
)


def matches(raw: RawEvent) -> bool:
    """Needs the program name."""
    return False


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    event: Event = {"event.dataset": "system.syslog", "message": raw.body}
    if match := _LINE.match(raw.body):
        event["log.level"] = match[1].lower()
        if match[2]:
            event["firewalld.code"] = match[2]
        if match[1] in ("ERROR", "FATAL"):
            event["event.outcome"] = "failure"
    return event
