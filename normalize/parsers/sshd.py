"""OpenSSH's server, and Dropbear's, as syslog writes them (facility auth or authpriv).

Formats: auth.c, auth2.c and packet.c of OpenSSH 3 to 10. Log-ins become
``event.action: ssh_login`` with ``event.outcome``, ``user.name``, ``source.ip`` and
``source.port``; ``system.auth.ssh.method`` and ``.signature`` say how. Too many failures and
accounts that PAM refuses are failed log-ins too. Other lines keep their ``message``; the addresses
and users in them are in ``related.*``.

An attacker chooses the user name, and with it text that looks like the rest of the line: address
and port are always read from the end.
"""

import re

from normalize.address import set_endpoint
from normalize.linux_auth import DATASET, LINUX, decide, is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "sshd"
VERSION = 2
HINTS = frozenset({"linux_auth", "system.auth"})
PROGRAMS = frozenset({"sshd", "sshd-session", "sshd-auth", "ssh", "dropbear"})
LOGSOURCES = ({"product": "linux", "service": "sshd"}, *LINUX)
LOG_CLASSES = ("LC-05",)
CONTENT = "text"
SPECIFICATION = (
    "OpenSSH, sshd(8), and the log calls of auth.c, auth2.c, auth2-passwd.c and packet.c",
    "Dropbear, svr-auth.c, svr-authpasswd.c and svr-authpubkey.c",
    "RFC 3164, RFC 5424 for the header",
)
SETTINGS = """
Leave `LogLevel INFO` (sshd_config(5)); `VERBOSE` adds the fingerprint of the key that was used,
which is worth having. Send the facilities auth and authpriv: rsyslog `auth,authpriv.*
@@collector:6514`, or the file `/var/log/auth.log` (Debian) or `/var/log/secure` (Red Hat). Set
rsyslog's `$RepeatedMsgReduction off`, so that each attempt is a line.
"""

_END = r" from (\S{1,255}) port (\d{1,5}) ssh2(?:: (.*)| \[preauth\])?\Z"
_LOGIN = re.compile(
    r"(Accepted|Failed|Postponed|Partial) (\S{1,64}) for (?:(?:invalid|illegal) user )?(.*)" + _END,
    re.DOTALL,
)
# "error: maximum authentication attempts exceeded for ..", "Disconnecting: Too many .. for .."
_KEYED = re.compile(r"(?:Accepted|Failed|Postponed|Partial) (?:publickey|hostbased) for ")
_FROM = re.compile(r" from ([0-9A-Fa-f.:]{2,45}) port \d{1,5} ssh2")
_EXCEEDED = re.compile(
    r"(error:|Disconnecting:) ([Mm]aximum authentication attempts exceeded"
    r"|Too many authentication failures) for (?:(?:invalid|illegal) user )?(.*)" + _END,
    re.DOTALL,
)
_INVALID = re.compile(
    r"(Invalid|Illegal) user (.*) from ([^\s:]\S{0,254}?)(?: port (\d{1,5}))?(?: on \S+ port \d+)?"
    r"(?: \[preauth\])?\Z",
    re.DOTALL,
)
_BY_PAM = re.compile(r"(?:fatal: )?Access denied for user (\S{1,256}) by PAM account configuration")
_PAM_ERROR = re.compile(
    r"error: PAM: (.{1,200}?) for (?:illegal user )?([^\s']{1,256}) from (\S{1,255})\Z"
)
# Dropbear: svr-authpasswd.c, svr-authpubkey.c, svr-auth.c
_DROPBEAR = re.compile(
    r"(?:(Password|Pubkey|PAM password) auth succeeded|(Bad password|Bad PAM password) attempt"
    r"|(Login attempt) for nonexistent user|(Login attempt))"
    r"(?: for '([^'\n]{0,256})')?.{0,300}? from <?([0-9A-Fa-f.:]{2,45}):(\d{1,5})>?\Z"
)
_DROPPED = re.compile(r"Did not receive identification string from (\S{1,255})")
_OUTCOMES = {
    "Accepted": "success",
    "Failed": "failure",
    "Invalid": "failure",
    "error:": "failure",
    "Disconnecting:": "failure",
}
_REPEATED = re.compile(r"message repeated (\d{1,6}) times: \[ (.*)\]\Z", re.DOTALL)


def matches(raw: RawEvent) -> bool:
    """Without a program name: the lines that only sshd writes."""
    return not raw.program and raw.json is None and _LOGIN.match(raw.body) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    repeated = _REPEATED.match(body) if body.startswith("message repeated") else None
    if repeated:
        body = repeated[2]
    if _is_ambiguous(body):
        event = _login(body.partition(" ")[0], "")
        event["related.ip"] = list(dict.fromkeys(_FROM.findall(body)))
        raw.tags.append("ambiguous_value")
    elif match := _LOGIN.match(body) or _EXCEEDED.match(body):
        what, method, user, address, port, signature = match.groups()
        event = _login(what, user)
        event["system.auth.ssh.method"] = method
        if signature:
            event["system.auth.ssh.signature"] = signature
        set_endpoint(event, "source", address, port)
    elif is_pam(body):
        event = user_line(raw)
    elif (match := _invalid(body)) and not body.startswith("subsystem"):
        event = _login(match[1], match[2])
        set_endpoint(event, "source", match[3], match[4])
    elif match := _DROPPED.match(body):
        event = {"event.dataset": DATASET, "system.auth.ssh.dropped_ip": match[1]}
        event["source.ip"] = match[1]
    else:
        event = user_line(raw, _dropbear if raw.program == "dropbear" else _refused)
    if repeated:
        event["system.auth.ssh.repeated"] = int(repeated[1])
    return event


def _is_ambiguous(body: str) -> bool:
    """Tells whether an address may be one that the client wrote into its certificate's key id.

    It stands behind the real one, a name that the client chose before it: nobody can tell.
    """
    return " ID " in body and body.count(" ssh2: ") > 1 and _KEYED.match(body) is not None


def _invalid(body: str) -> re.Match[str] | None:
    # Words that must be there are looked for first: 0.2 us instead of 3 where they are not.
    return _INVALID.match(body) if " user " in body[:16] and " from " in body else None


def _login(what: str, user: str) -> Event:
    event: Event = {"event.dataset": DATASET, "system.auth.ssh.event": what}
    if user:
        event["user.name"] = user
    outcome = _OUTCOMES.get(what)
    if outcome is not None:
        event["event.action"] = "ssh_login"
        event["event.outcome"] = outcome
        event["event.type"] = ["info"]
        event["event.category"] = (
            ["authentication", "session"] if outcome == "success" else ["authentication"]
        )
    return event


def _refused(event: Event, body: str) -> None:
    """Reads what PAM refused, where sshd says so itself."""
    if match := _BY_PAM.match(body):
        event["user.name"] = match[1]
        decide(event, "ssh_login")
    elif match := _PAM_ERROR.match(body):
        event["user.name"] = match[2]
        set_endpoint(event, "source", match[3])
        decide(event, "ssh_login")


def _dropbear(event: Event, body: str) -> None:
    """``Bad password attempt for 'root' from 203.0.113.9:4000``."""
    if match := _DROPBEAR.match(body):
        decide(event, "ssh_login", "success" if match[1] else "failure")
        if match[5]:
            event["user.name"] = match[5]
        set_endpoint(event, "source", match[6], match[7])
