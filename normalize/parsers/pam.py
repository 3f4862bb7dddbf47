"""PAM modules and account tools that log to auth.log: log-in sessions, users, groups, passwords.

Reads lines of any program that a PAM module wrote (``pam_unix(gdm:session): ..``), of login and
systemd-logind, and what useradd, groupadd, usermod, userdel, groupdel, passwd, chage and chfn of
shadow-utils say. New and deleted accounts have ``event.category: iam``.
"""

import re

from normalize.linux_auth import DATASET, LINUX, is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "pam"
VERSION = 1
HINTS = frozenset({"linux_auth", "system.auth"})
PROGRAMS = frozenset(
    ("useradd", "adduser", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd")
    + ("passwd", "chage", "chfn", "chsh", "chpasswd", "login", "systemd-logind", "polkitd", "gdm")
    + ("unix_chkpwd", "systemd-user", "pkexec", "doas")
)
LOGSOURCES = LINUX
LOG_CLASSES = ("LC-05", "LC-02")
CONTENT = "text"
ORDER = 90

_NEW_GROUP = re.compile(r"new group: name=([^,]{1,256}), GID=(\d{1,10})")
_NEW_USER = re.compile(
    r"new user: name=([^,]{1,256}), UID=(\d{1,10}), GID=(\d{1,10}), home=([^,]{0,1024}),"
    r" shell=([^,]{0,1024})"
)
_DELETED = re.compile(r"(?:delete (user)|removed (group)) '([^']{1,256})'")
_MEMBER = re.compile(r"add '([^']{1,256})' to group '([^']{1,256})'")
_PASSWORD = re.compile(r"password (?:changed for|for) '?([^' ]{1,256})'?(?: changed by)?")


def matches(raw: RawEvent) -> bool:
    """A PAM module wrote it, whatever the program."""
    return raw.json is None and is_pam(raw.body)


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    if match := _NEW_GROUP.match(body):
        event = _iam("group", "creation")
        event["group.name"], event["group.id"] = match.groups()
        return event
    if match := _NEW_USER.match(body):
        event = _iam("user", "creation")
        event["user.name"], event["user.id"], event["group.id"] = match.groups()[:3]
        event["system.auth.useradd.home"], event["system.auth.useradd.shell"] = match.groups()[3:]
        return event
    if match := _MEMBER.match(body):
        event = _iam("group", "change")
        event["user.name"], event["group.name"] = match.groups()
    elif match := _DELETED.match(body):
        kind = match[1] or match[2]
        event = _iam(kind, "deletion")
        event[f"{kind}.name"] = match[3]
    elif match := _PASSWORD.match(body):
        event = _iam("user", "change")
        event["user.name"] = match[1]
    else:
        return user_line(raw)
    event["message"] = body
    return event


def _iam(kind: str, change: str) -> Event:
    return {
        "event.dataset": DATASET,
        "event.category": ["iam"],
        "event.type": [kind, change],
        "event.outcome": "success",
    }
