"""cron and anacron: which job ran as whom.

``(root) CMD (run-parts /etc/cron.hourly)`` gives ``user.name`` and ``process.command_line``; PAM
lines of cron are sessions in ``system.auth`` as everywhere. Who may not use crontab has
``event.outcome: failure``. The line stays in ``message``.
"""

import re

from normalize.linux_auth import is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "cron"
VERSION = 2
HINTS = frozenset({"linux_auth", "linux_syslog", "system.syslog"})
PROGRAMS = frozenset({"cron", "crond", "anacron", "crontab", "atd", "fcron"})
LOGSOURCES = (
    {"product": "linux", "service": "cron"},
    {"product": "linux", "service": "syslog"},
)
LOG_CLASSES = ("LC-05",)
CONTENT = "text"
SPECIFICATION = ("cron(8) of Debian, cronie's crond(8) and crontab(1), anacron(8), atd(8)",)
SETTINGS = """
Debian: `EXTRA_OPTS="-L 15"` in `/etc/default/cron` also logs the end and the failure of jobs.
Send the facility cron, which many rsyslog.conf leave out of `/var/log/syslog`.
"""

_JOB = re.compile(r"\(([^()\s]{1,256})\) ([A-Z][A-Z ]{1,30}[A-Z]) \((.*)\)\Z", re.DOTALL)
_NOBODY = frozenset({"CRON", "cron", "*system*", "-"})
"""What stands for the daemon itself and for tables of the system."""
_AT = re.compile(r"Starting job \S{1,64} \(\S{1,64}\) for user '([^'\n]{1,256})' \((\d{1,10})\)")


def matches(raw: RawEvent) -> bool:
    """Needs the program name."""
    return False


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    if is_pam(body) or raw.source == "linux_auth":
        return user_line(raw)
    event: Event = {"event.dataset": "system.syslog", "message": body}
    if match := _JOB.match(body):
        if match[1] not in _NOBODY:
            event["user.name"] = match[1]
        if match[2] == "AUTH":
            event["event.outcome"] = "failure"
        if match[2] in ("CMD", "CMDEND"):
            event["process.command_line"] = match[3]
        else:
            event["event.action"] = match[2].lower().replace(" ", "-")
    elif match := _AT.match(body):
        event["user.name"], event["user.id"] = match.groups()
    return event
