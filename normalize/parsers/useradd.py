"""shadow-utils: accounts, groups and passwords that useradd, usermod, passwd and the like changed.

Format: the texts of shadow's SYSLOG calls (useradd, usermod, userdel, groupadd, groupmod, groupdel,
gpasswd, passwd, chage, chfn, chsh, chpasswd, newusers). ``event.category: iam``; ``user.name`` or
``group.name`` is the account that was changed; where the line tells who did it, that is
``user.name`` and the account ``user.target.name``. Failures have ``event.outcome: failure``.
What useradd, userdel, usermod, groupadd, groupdel and groupmod log is of the tool's own kind
(``event.type``), also where it speaks of a user's group.
"""

import re

from normalize.header import program_key
from normalize.linux_auth import DATASET, LINUX, is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "useradd"
VERSION = 2
HINTS = frozenset({"linux_auth", "system.auth"})
PROGRAMS = frozenset(
    ("useradd", "adduser", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd")
    + ("passwd", "chage", "chfn", "chsh", "chpasswd", "newusers", "addgroup", "deluser", "delgroup")
)
LOGSOURCES = LINUX
LOG_CLASSES = ("LC-02", "LC-05")
CONTENT = "text"
ORDER = 85
SPECIFICATION = (
    "shadow-utils, useradd(8), usermod(8), userdel(8), groupadd(8), gpasswd(1), chage(1), "
    "and their SYSLOG calls",
)
SETTINGS = """
Nothing to set: the tools log to the facility authpriv. Who ran them is not in their lines;
auditd's ADD_USER and sudo's lines say it.
"""

_NAME = r"'([^']{1,256})'"
_NEW_GROUP = re.compile(r"new group: name=([^,]{1,256}), GID=(\d{1,10})")
_NEW_USER = re.compile(
    r"new user: name=([^,]{1,256}), UID=(\d{1,10}), GID=(\d{1,10}), home=([^,]{0,1024}),"
    r" shell=([^,]{0,1024})(?:, from=([^,]{0,256}))?"
)
_ADDED_GROUP = re.compile(r"group added to \S{1,100}: name=([^,\s]{1,256})(?:, GID=(\d{1,10}))?")
_DELETED_USER = re.compile(f"delete user {_NAME}")
_DELETED_GROUP = re.compile(
    f"removed (?:shadow )?group {_NAME}|group {_NAME} removed(?: from \\S{{1,100}})?"
)
_MEMBER = re.compile(f"(?:add|delete) {_NAME} (?:to|from) (?:shadow )?group {_NAME}")
_MEMBER_BY = re.compile(
    r"user (\S{1,256}) (?:added|removed) by (\S{1,256}) (?:to|from) group (\S{1,256})"
)
_CHANGED = re.compile(f"(?:change|changed|lock|unlock) user {_NAME} (.{{1,200}})", re.DOTALL)
_PASSWORD = re.compile(
    r"password (?:changed for|for) '?([^' ]{1,256})'?(?: changed by '?([^' ]{1,256})'?)?"
)
_EXPIRY = re.compile(r"changed password expiry for (\S{1,256})")
_FAILED = re.compile(
    f"failed (adding|deleting|changing|removing|to \\w{{1,16}}) (user|group) {_NAME}"
)
_CHANGES = {"adding": "creation", "deleting": "deletion", "removing": "deletion"}
_FAILS_WITHIN = 1_000
_TOOLS = {
    "useradd": ("user", "creation"),
    "userdel": ("user", "deletion"),
    "usermod": ("user", "change"),
    "groupadd": ("group", "creation"),
    "groupdel": ("group", "deletion"),
    "groupmod": ("group", "change"),
}


def matches(raw: RawEvent) -> bool:
    """Without a program name: the lines about new accounts."""
    if raw.program or raw.json is not None:
        return False
    return _NEW_USER.match(raw.body) is not None or _NEW_GROUP.match(raw.body) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    tool = _TOOLS.get(program_key(raw.program))
    if is_pam(body):
        event = user_line(raw)
        if match := _PASSWORD.search(body[:600]):
            event |= _iam("user", "change") | {"user.name": match[1]}
    elif match := _NEW_GROUP.match(body):
        event = _iam("group", "creation")
        event["group.name"], event["group.id"] = match.groups()
    elif match := _NEW_USER.match(body):
        event = _new_user(match)
    else:
        event = _changed(body) or user_line(raw)
    if tool is not None:
        event |= _iam(*tool)
        if "fail" in body[:_FAILS_WITHIN]:
            event["event.outcome"] = "failure"
    return event


def _new_user(match: re.Match[str]) -> Event:
    event = _iam("user", "creation")
    event["user.name"], event["user.id"], event["group.id"] = match.groups()[:3]
    event["system.auth.useradd.home"], event["system.auth.useradd.shell"] = match.groups()[3:5]
    if match[6] and match[6] != "none":
        event["system.auth.useradd.from"] = match[6]
    return event


def _changed(body: str) -> Event | None:
    """Returns the event of a line about an account that was there, None where it is none."""
    if match := _ADDED_GROUP.match(body):
        event = _iam("group", "creation") | {"group.name": match[1]}
        if match[2]:
            event["group.id"] = match[2]
    elif match := _DELETED_USER.match(body):
        event = _iam("user", "deletion") | {"user.name": match[1]}
    elif match := _DELETED_GROUP.match(body):
        event = _iam("group", "deletion") | {"group.name": match[1] or match[2]}
    elif match := _MEMBER.match(body):
        event = _iam("group", "change") | {"user.name": match[1], "group.name": match[2]}
    elif match := _MEMBER_BY.match(body):
        event = _iam("group", "change") | {"user.target.name": match[1], "user.name": match[2]}
        event["group.name"] = match[3]
    elif match := _EXPIRY.match(body):
        event = _iam("user", "change") | {"user.name": match[1]}
    elif match := _PASSWORD.match(body):
        event = _iam("user", "change") | {"user.name": match[1]}
        if match[2]:
            event |= {"user.name": match[2], "user.target.name": match[1]}
    elif match := _CHANGED.match(body):
        event = _iam("user", "change") | {"user.name": match[1]}
    elif match := _FAILED.match(body):
        event = _iam(match[2], _CHANGES.get(match[1], "change")) | {f"{match[2]}.name": match[3]}
        event["event.outcome"] = "failure"
    else:
        return None
    event["message"] = body
    return event


def _iam(kind: str, change: str) -> Event:
    return {
        "event.dataset": DATASET,
        "event.category": ["iam"],
        "event.type": [kind, change],
        "event.outcome": "success",
    }
