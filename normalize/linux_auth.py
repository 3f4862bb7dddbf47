"""What the authentication programs of Linux have in common: PAM lines and words about users.

PAM modules log as the program that uses them: ``pam_unix(sudo:session): session opened ..``.
"""

import re
from collections.abc import Callable

from normalize.address import set_endpoint
from normalize.mentions import add_mentions
from samlog.event import Event, RawEvent

DATASET = "system.auth"
LINUX = ({"product": "linux", "service": "auth"}, {"product": "linux", "service": "syslog"})

_SESSION = re.compile(
    r"for user ['\"]?([^'\"\s(]{1,256})['\"]?(?:\(uid=(\d{1,10})\))?"
    r"(?: by ['\"]?([^'\"\s(]{0,256})['\"]?(?:\(uid=(\d{1,10})\))?)?\Z"
)
# PAM's own sentence; names from a directory may have blanks.
_PAM_SESSION = re.compile(
    r"session (?:opened|closed) for user (.{1,256}?)(?:\(uid=(\d{1,10})\))?"
    r"(?: by (.{0,256}?)(?:\(uid=(\d{1,10})\))?)?\Z"
)
_OF_THE_PEER = (
    "Received disconnect ",
    "Disconnect",
    "Bad protocol ",
    "banner exchange",
    "error: kex",
)
"""Lines of sshd that end in what the other side wrote."""
_BY_USER = re.compile(r"by user ['\"]?([^'\"\s]{1,256})['\"]?\Z")
_QUOTED_USER = re.compile(r"(?<! ) user (['\"])([^'\"\n]{1,256})\1")
_MODULE = re.compile(r"pam_\w{1,32}\([\w.@-]{1,64}:\w{1,16}\): ")
_VALUE = re.compile(r"\b(logname|uid|euid|tty|ruser|rhost|user)= ?([^\s=]*)(?=\s|\Z)")
_SEQUENCE = re.compile(r" seq=\d{1,10}\Z")
_USER = r"['\"`\[(]?(?P<user>[^\s'\"`\[\]()]{1,256}?)['\"`\])]?(?=:?\s|:?\Z)"

_LOCKED = "account-locked"
# What a module says: its text, event.action ("" for none), event.outcome.
_TEXTS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"[Aa]uthentication failure"), "", "failure"),
    (re.compile(r"authentication success; "), "", "success"),
    (re.compile(rf"received for user {_USER}: \d{{1,3}} \(Authentication"), "", "failure"),
    (re.compile(rf"auth could not identify password for {_USER}"), "", "failure"),
    (re.compile(rf"Consecutive login failures for user {_USER} account"), _LOCKED, "failure"),
    (re.compile(rf"user {_USER} \(\d{{1,10}}\) tally \d{{1,6}}, deny"), _LOCKED, "failure"),
    (re.compile(rf"user {_USER} denied access"), "", "failure"),
    (re.compile(rf"user {_USER} granted access"), "", "success"),
    (re.compile(rf"Refused user {_USER} for service"), "", "failure"),
    (re.compile(rf"[Aa]ccess denied for user {_USER}"), "", "failure"),
    (re.compile(rf"account {_USER} has (?:expired|password changed in future)"), "", "failure"),
    (re.compile(rf"Invalid verification code for {_USER}"), "", "failure"),
)
_DENIED_FROM = re.compile(r" from ['\"`]?([0-9A-Za-z][0-9A-Za-z.:_-]{0,254})")


def is_pam(body: str) -> bool:
    """Tells whether a PAM module wrote this line."""
    return body.startswith("pam_")


def user_line(raw: RawEvent, read: Callable[[Event, str], None] | None = None) -> Event:
    """Returns the event of a line that is kept as ``message``, with the users that it names.

    "session opened for user A by B(uid=N)": B acts (``user.*``) as A (``user.effective.name``).
    Addresses and users of other texts are in ``related.*``. ``read`` adds what a program says in
    its own words.
    """
    body = raw.body
    event: Event = {"event.dataset": DATASET, "message": body}
    # The word that all patterns hold is looked for first: 0.1 us instead of 2 where it is not.
    if "user" in body and not body.startswith(_OF_THE_PEER):
        _named(event, body)
    if is_pam(body):
        _pam(event, body)
    elif read is not None:
        read(event, body)
    if "user.name" not in event and "source.ip" not in event:
        add_mentions(event, body)
    return event


def _named(event: Event, body: str) -> None:
    tail = body[-600:]
    session = _PAM_SESSION.search(tail) if is_pam(body) else None
    if match := session or _SESSION.search(tail):
        _session(event, match)
    elif match := _BY_USER.search(tail):
        event["user.name"] = match[1]
    elif match := _QUOTED_USER.search(body[:600]):
        event["user.name"] = match[2]


def _session(event: Event, match: re.Match[str]) -> None:
    target, number, actor, uid = match.groups()
    if actor is None:
        event["user.name"] = target
        if number:
            event["user.id"] = number
        return
    event["user.effective.name"] = target
    if number:
        event["user.effective.id"] = number
    if actor:
        event["user.name"] = actor
    if uid:
        event["user.id"] = uid


def _pam(event: Event, body: str) -> None:
    """Reads ``pam_unix(sshd:auth): authentication failure; logname= uid=0 .. user=root``.

    ``PAM 3 more authentication failures`` is a sum of what was logged one by one, and stays text.
    """
    module = _MODULE.match(body)
    # Most lines tell of a session, which none of the texts does: 2 us less.
    if module is None or body.startswith("session ", module.end()):
        return
    text = body[module.end() : module.end() + 2_000]
    for pattern, action, outcome in _TEXTS:
        if match := pattern.match(text):
            decide(event, action, outcome)
            if name := match.groupdict().get("user"):
                event["user.name"] = name
                if source := _DENIED_FROM.match(text, match.end()):
                    set_endpoint(event, "source", source[1])
            elif "=" in text:
                _values(event, text)
            return


def decide(event: Event, action: str = "", outcome: str = "failure") -> None:
    """Says that somebody was let in or not; the words are those of Elastic's system.auth."""
    event["event.category"] = ["authentication"]
    event["event.type"] = ["info"]
    event["event.outcome"] = outcome
    if action:
        event["event.action"] = action


def _values(event: Event, text: str) -> None:
    # The user's name is last, and any text: what looks like a value in it is none.
    head, _, user = text.partition(" user=")
    values = dict(reversed(_VALUE.findall(head)))
    if user := _SEQUENCE.sub("", user).strip():
        event["user.name"] = user
    set_endpoint(event, "source", values.get("rhost", ""))
