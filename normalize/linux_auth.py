"""What the authentication programs of Linux have in common: PAM lines and words about users.

PAM modules log as the program that uses them: ``pam_unix(sudo:session): session opened ..``.
"""

import re

from samlog.event import Event, RawEvent

DATASET = "system.auth"
LINUX = ({"product": "linux", "service": "auth"}, {"product": "linux", "service": "syslog"})

_SESSION = re.compile(
    r"for user ['\"]?([^'\"\s(]{1,256})['\"]?(?:\(uid=\d{1,10}\))?"
    r"(?: by ['\"]?([^'\"\s(]{0,256})['\"]?(?:\(uid=(\d{1,10})\))?)?\Z"
)
_BY_USER = re.compile(r"by user ['\"]?([^'\"\s]{1,256})['\"]?\Z")
_CHANGED = re.compile(r"changed user '([^']{1,256})' information")
_PAM = re.compile(r"(pam_\w{1,32})\(([\w.-]{1,64}):(\w{1,16})\): (.{0,64})", re.DOTALL)
_PAM_VALUE = re.compile(r"\b(logname|uid|euid|tty|ruser|rhost|user)= ?([^\s=]*)(?=\s|\Z)")


def is_pam(body: str) -> bool:
    """Tells whether a PAM module wrote this line."""
    return body.startswith("pam_")


def user_line(raw: RawEvent) -> Event:
    """Returns the event of a line that is kept as ``message``, with the users that it names.

    "session opened for user A by B(uid=N)": B acts (``user.*``) as A (``user.effective.name``).
    """
    body = raw.body
    event: Event = {"event.dataset": DATASET, "message": body}
    tail = body[-600:]
    if match := _SESSION.search(tail):
        target, actor, uid = match.groups()
        if actor is None:
            event["user.name"] = target
        else:
            event["user.effective.name"] = target
            if actor:
                event["user.name"] = actor
            if uid:
                event["user.id"] = uid
    elif (match := _BY_USER.search(tail)) or (match := _CHANGED.match(body)):
        event["user.name"] = match[1]
    if is_pam(body):
        _pam(event, body)
    return event


def _pam(event: Event, body: str) -> None:
    """Reads ``pam_unix(sshd:auth): authentication failure; logname= uid=0 .. user=root``."""
    match = _PAM.match(body)
    if match is None or not match[4].startswith(("authentication failure", "check pass")):
        return
    values = dict(_PAM_VALUE.findall(body[:2_000]))
    event["event.category"] = ["authentication"]
    event["event.type"] = ["info"]
    event["event.outcome"] = "failure"
    if values.get("user"):
        event["user.name"] = values["user"]
    if values.get("rhost"):
        event["source.address"] = values["rhost"]
