"""systemd (process 1 and the users' managers): units that start, stop and fail.

Format: the texts of systemd's job and unit messages, in English. ``service.name`` is the unit (its
description where the line names no unit), ``event.action`` what happened to it, as audit records
of services say it (``started-service``, ``stopped-service``); failures have
``event.outcome: failure`` and ``systemd.result``. The line stays in ``message``.
"""

import re

from normalize.linux_auth import is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "systemd"
VERSION = 2
HINTS = frozenset({"linux_syslog", "system.syslog"})
PROGRAMS = frozenset({"systemd"})
LOGSOURCES = ({"product": "linux", "service": "syslog"},)
LOG_CLASSES = ("LC-05",)
CONTENT = "text"
SPECIFICATION = (
    "systemd, the messages of job.c and unit.c, in English (systemd does not translate its log)",
    'systemd.exec(5), "Process exit codes"',
)
SETTINGS = """
Nothing to set. `LogLevel=info` in systemd-system.conf(5) is what is read; journald may also send
the entries as JSON, then the parser is chosen by `SYSLOG_IDENTIFIER`.
"""

_JOB = re.compile(
    r"(Started|Starting|Stopped|Stopping|Reloaded|Reloading|Failed to start|Mounted|Unmounted)"
    r" (?!target |Session |User Manager for )(.{1,256}?)(?:\.{1,3})?\Z",
    re.DOTALL,
)
_UNIT = re.compile(
    r"([\w@.\\:-]{1,250}\.(?:service|socket|timer|mount|scope|target|path|slice)): (.{1,1000})",
    re.DOTALL,
)
_RESULT = re.compile(r"Failed with result '([\w-]{1,64})'")
_EXIT = re.compile(r"Main process exited, code=(\w{1,32}), status=(\d{1,10})")
_ACTIONS = {
    "Started": "started-service",
    "Stopped": "stopped-service",
    "Reloaded": "reloaded-service",
    "Failed to start": "failed-service",
}


def matches(raw: RawEvent) -> bool:
    """Needs the program name: its lines could be anybody's."""
    return False


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    if is_pam(body) or raw.source == "linux_auth":
        return user_line(raw)
    event: Event = {"event.dataset": "system.syslog", "message": body}
    if match := _UNIT.match(body):
        event["service.name"] = match[1]
        _unit(event, match[2])
    elif match := _JOB.match(body):
        # "Started cron.service - Regular background program processing daemon."
        event["service.name"] = match[2].partition(" - ")[0]
        if match[1] in _ACTIONS:
            event["event.action"] = _ACTIONS[match[1]]
        if match[1].startswith("Failed"):
            event["event.outcome"] = "failure"
    return event


def _unit(event: Event, text: str) -> None:
    if match := _RESULT.match(text):
        event["systemd.result"] = match[1]
        event["event.action"] = "failed-service"
        event["event.outcome"] = "failure"
    elif match := _EXIT.match(text):
        # of a process that was killed, status is the signal
        field = "process.exit_code" if match[1] == "exited" else "systemd.signal"
        event[field] = int(match[2])
