"""sudo's log lines (sudoers(5), "LOG FORMAT"): who ran what as whom, and what was refused.

``user.name`` asked, ``user.effective.name`` is who it ran as, ``system.auth.sudo.command`` the
command with its arguments (``process.*`` is sudo itself); ``system.auth.sudo.*`` holds the other
parts as written. A refusal has ``event.outcome: failure`` and the reason in
``system.auth.sudo.error``.
"""

import re

from normalize.linux_auth import DATASET, LINUX, is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "sudo"
VERSION = 2
HINTS = frozenset({"linux_auth", "system.auth"})
PROGRAMS = frozenset({"sudo", "sudoedit"})
LOGSOURCES = ({"product": "linux", "service": "sudo"}, *LINUX)
LOG_CLASSES = ("LC-03", "LC-05")
CONTENT = "text"
SPECIFICATION = ('sudoers(5), "EVENT LOGGING" and "Log format"',)
SETTINGS = """
sudo logs to the facility authpriv by itself. Leave `Defaults syslog` on, and do not set
`!log_allowed` or `!log_denied`; set `Defaults loglinelen=0` where sudo also writes a file of its
own. Long commands are continued in further lines from 980 bytes on (`syslog_maxlen`): set
`Defaults syslog_maxlen=8192` where the path carries longer lines.
"""

_LINE = re.compile(r"\s{0,64}(\S.{0,255}?) : ((?:[^;]{1,300} ; ){0,3}?)(?=[A-Z]{3,10}=)")
_PART = re.compile(r"([A-Z]{3,10})=(.*?)(?: ; (?=[A-Z]{3,10}=)|\Z)", re.DOTALL)
_KEYS = {
    "TTY": "tty",
    "PWD": "pwd",
    "USER": "user",
    "GROUP": "group",
    "CHROOT": "chroot",
    "TSID": "tsid",
    "ENV": "env",
    "HOST": "host",
    "CWD": "cwd",
    "EXIT": "exit",
    "SIGNAL": "signal",
}


def matches(raw: RawEvent) -> bool:
    """Without a program name: a line that says who, TTY or PWD, and COMMAND."""
    if raw.program or raw.json is not None or "COMMAND=" not in raw.body[:4_000]:
        return False
    line = _LINE.match(raw.body)
    # A name stands before it, no sentence with quotation marks: those hold a sender's text.
    return line is not None and '"' not in line[1]


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    line = None if is_pam(body) else _LINE.match(body)
    if line is None:
        return user_line(raw)
    event: Event = {"event.dataset": DATASET, "user.name": line[1]}
    if line[2]:
        event["system.auth.sudo.error"] = line[2].removesuffix(" ; ")
        event["event.outcome"] = "failure"
    at = line.end()
    while part := _PART.match(body, at):
        key, value = part[1], part[2]
        if key == "COMMAND":
            # The command comes last and may hold " ; USER=root" itself.
            event["system.auth.sudo.command"] = body[part.start(2) :]
            break
        if key in _KEYS:
            event[f"system.auth.sudo.{_KEYS[key]}"] = value
        at = part.end()
    if "system.auth.sudo.user" in event:
        event["user.effective.name"] = event["system.auth.sudo.user"]
    return event
