"""su of util-linux and shadow-utils: changes of the user, done and refused.

``user.name`` asked, ``user.effective.name`` is who he wanted to be, ``event.outcome`` says whether
he became it. The line stays in ``message``.
"""

import re

from normalize.linux_auth import DATASET, LINUX, is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "su"
VERSION = 1
HINTS = frozenset({"linux_auth", "system.auth"})
PROGRAMS = frozenset({"su", "su-l", "runuser"})
LOGSOURCES = LINUX
LOG_CLASSES = ("LC-03", "LC-05")
CONTENT = "text"
SPECIFICATION = ("util-linux, su(1), and shadow-utils, su.c",)
SETTINGS = """
Nothing to set: su logs to the facility auth or authpriv. shadow-utils writes its file
`/var/log/sulog` only with `SULOG_FILE` in login.defs(5); the lines in syslog are enough.
"""

_NAMED = re.compile(r"(Successful|FAILED|failed) su for (\S{1,256}) by (\S{1,256})")
_TO = re.compile(r"(FAILED SU |BAD SU )?\(to (\S{1,256})\) (\S{1,256}) on (\S{1,64})")


def matches(raw: RawEvent) -> bool:
    """Needs the program name: its lines are too short to be told by themselves."""
    return False


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    if is_pam(body):
        return user_line(raw)
    event: Event = {"event.dataset": DATASET, "message": body}
    if match := _NAMED.match(body):
        done = match[1] == "Successful"
        target, actor = match[2], match[3]
    elif match := _TO.match(body):
        done, target, actor = match[1] is None, match[2], match[3]
    else:
        return event
    event["event.action"] = "su"
    event["event.category"] = ["authentication"]
    event["event.type"] = ["start"]
    event["event.outcome"] = "success" if done else "failure"
    event["user.name"] = actor
    event["user.effective.name"] = target
    return event
