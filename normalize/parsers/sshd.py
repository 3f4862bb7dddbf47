"""OpenSSH's server, as syslog writes it (facility auth or authpriv).

Formats: auth.c, auth2.c and packet.c of OpenSSH 3 to 9. Log-ins become ``event.action: ssh_login``
with ``event.outcome``, ``user.name``, ``source.ip`` and ``source.port``; ``system.auth.ssh.method``
and ``.signature`` say how. Other lines keep their ``message``.

An attacker chooses the user name, and with it text that looks like the rest of the line: address
and port are always read from the end.
"""

import re

from normalize.address import set_endpoint
from normalize.linux_auth import DATASET, LINUX, user_line
from samlog.event import Event, RawEvent

NAME = "sshd"
VERSION = 1
HINTS = frozenset({"linux_auth", "system.auth"})
PROGRAMS = frozenset({"sshd", "sshd-session", "sshd-auth", "ssh"})
LOGSOURCES = ({"product": "linux", "service": "sshd"}, *LINUX)
LOG_CLASSES = ("LC-05",)
CONTENT = "text"

_LOGIN = re.compile(
    r"(Accepted|Failed|Postponed|Partial) (\S{1,64}) for (?:(?:invalid|illegal) user )?(.*)"
    r" from (\S{1,255}) port (\d{1,5}) ssh2(?:: (.*))?\Z",
    re.DOTALL,
)
_INVALID = re.compile(
    r"(.{0,200}?) user (.*) from ([^\s:]\S{0,254}?)(?: port (\d{1,5}))?(?: on \S+ port \d+)?\Z",
    re.DOTALL,
)
_DROPPED = re.compile(r"Did not receive identification string from (\S{1,255})")
_OUTCOMES = {"Accepted": "success", "Failed": "failure", "Invalid": "failure"}
_REPEATED = re.compile(r"message repeated (\d{1,6}) times: \[ (.*)\]\Z", re.DOTALL)


def matches(raw: RawEvent) -> bool:
    """Without a program name: the lines that only sshd writes."""
    return not raw.program and raw.json is None and _LOGIN.match(raw.body) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    repeated = _REPEATED.match(body)
    if repeated:
        body = repeated[2]
    if match := _LOGIN.match(body):
        what, method, user, address, port, signature = match.groups()
        event = _login(what, user)
        event["system.auth.ssh.method"] = method
        if signature:
            event["system.auth.ssh.signature"] = signature
        set_endpoint(event, "source", address, port)
    elif (match := _INVALID.match(body)) and not body.startswith("subsystem"):
        event = _login(match[1], match[2])
        set_endpoint(event, "source", match[3], match[4])
    elif match := _DROPPED.match(body):
        event = {"event.dataset": DATASET, "system.auth.ssh.dropped_ip": match[1]}
        event["source.ip"] = match[1]
    else:
        event = user_line(raw)
    if repeated:
        event["system.auth.ssh.repeated"] = int(repeated[1])
    return event


def _login(what: str, user: str) -> Event:
    event: Event = {"event.dataset": DATASET, "system.auth.ssh.event": what, "user.name": user}
    outcome = _OUTCOMES.get(what)
    if outcome is not None:
        event["event.action"] = "ssh_login"
        event["event.outcome"] = outcome
        event["event.type"] = ["info"]
        event["event.category"] = (
            ["authentication", "session"] if outcome == "success" else ["authentication"]
        )
    return event
