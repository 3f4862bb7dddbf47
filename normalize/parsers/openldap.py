"""OpenLDAP's slapd at ``loglevel stats``: connections, binds, searches, changes and their results.

Formats: the Statslog calls of OpenLDAP 2.3 to 2.6, from syslog, or 2.6's own log file (hex time
and thread in front). Each line is an event; lines of one operation share ``openldap.connection``
and ``openldap.operation``, by which to join them. The address stands in the line ACCEPT only, the
outcome in RESULT only. A bind's user is the first value of its DN.
"""

import re
from collections.abc import Mapping

from normalize.address import set_endpoint
from normalize.times import parse_epoch
from normalize.vendor_object import put, set_class
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "openldap"
VERSION = 2
HINTS = frozenset({"slapd", "openldap.log", "ldap"})
PROGRAMS = frozenset({"slapd"})
LOGSOURCES: tuple[Mapping[str, str], ...] = ()
LOG_CLASSES = ("LC-01", "LC-02")
CONTENT = "text"
ORDER = 55
SPECIFICATION = (
    'OpenLDAP Administrator\'s Guide, section "Monitoring"/`loglevel`; the lines are those '
    "of Statslog in servers/slapd of versions 2.3 to 2.6",
    "RFC 4511 section 4.1.9: result codes",
)
SETTINGS = """
`loglevel stats` (olcLogLevel: stats) and syslog facility local4 at debug, without rate limits
(`$SystemLogRateLimitInterval 0`, journald's `RateLimitBurst=0`): a lost RESULT is a lost
outcome.
"""

_OWN_TIME = re.compile(r"([0-9a-f]{8})\.([0-9a-f]{5}|[0-9a-f]{8}) 0x[0-9a-f]{4,16} ")
_LINE = re.compile(r"conn=(-?\d{1,20}) (?:(op|fd)=(\d{1,10}) )?([A-Za-z]{2,16})(?: |\Z)")
_KEYS = re.compile(r'([a-z_]{2,16})=(?:"([^"]*)"|(\S*))')
_ADDRESS = re.compile(r"(?:IP=)?(\[[0-9A-Fa-f:.]{2,45}\]|\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})\Z")
_FIRST_VALUE = re.compile(r"[A-Za-z0-9.-]{1,64}=((?:[^,\\]|\\.)*)", re.DOTALL)
_KNOWN = frozenset(
    ("dn", "method", "mech", "ssf", "bind_ssf", "tls_ssf", "sasl_ssf", "base", "scope", "deref")
    + ("filter", "tag", "err", "qtime", "etime", "nentries", "oid", "tls_proto", "tls_cipher")
    + ("authcid", "authzid", "id", "new", "old", "newrdn", "deleteoldrdn", "attr", "msg", "proxy")
)
"""Names that slapd writes. A filter is the client's choice and may look like others."""

_OPERATIONS: Mapping[str, tuple[str, str]] = {
    "BIND": ("authentication", "start"),
    "UNBIND": ("authentication", "end"),
    "SRCH": ("database", "access"),
    "CMP": ("database", "access"),
    "ADD": ("iam", "creation"),
    "MOD": ("iam", "change"),
    "MODRDN": ("iam", "change"),
    "DEL": ("iam", "deletion"),
    "PASSMOD": ("iam", "change"),
    "EXT": ("session", "info"),
    "STARTTLS": ("session", "info"),
    "WHOAMI": ("session", "info"),
    "ABANDON": ("session", "info"),
    "ACCEPT": ("network", "start"),
    "closed": ("network", "end"),
    "TLS": ("network", "info"),
}
_RESULTS = {
    0: "success",
    1: "operationsError",
    2: "protocolError",
    3: "timeLimitExceeded",
    4: "sizeLimitExceeded",
    7: "authMethodNotSupported",
    8: "strongerAuthRequired",
    10: "referral",
    13: "confidentialityRequired",
    14: "saslBindInProgress",
    16: "noSuchAttribute",
    19: "constraintViolation",
    20: "attributeOrValueExists",
    32: "noSuchObject",
    34: "invalidDNSyntax",
    48: "inappropriateAuthentication",
    49: "invalidCredentials",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    65: "objectClassViolation",
    68: "entryAlreadyExists",
}
"""RFC 4511 section 4.1.9."""
_NO_FAILURE = frozenset((0, 5, 6, 10, 14))
_BIND_TAG = "97"


def matches(raw: RawEvent) -> bool:
    """Without a program name: ``conn=<n> op=<n> <OPERATION>`` as slapd writes it."""
    if raw.json is not None or raw.program:
        return False
    start = _OWN_TIME.match(raw.body)
    line = _LINE.match(raw.body, start.end() if start else 0)
    return line is not None and (line[4] in _OPERATIONS or line[4] in ("RESULT", "SEARCH"))


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_slapd``) a line without program that is no stats line."""
    event: Event = {"event.dataset": "openldap.log"}
    text = raw.body
    if own := _OWN_TIME.match(text):
        unit = 1e-6 if len(own[2]) == 5 else 1e-9
        seconds = int(own[1], 16) + int(own[2], 16) * unit
        put(event, "@timestamp", parse_epoch(seconds))
        text = text[own.end() :]
    line = _LINE.match(text)
    if line is None:
        if not raw.program:
            raise BadEvent("not_slapd", "expected: conn=<n> op=<n> <OPERATION> ..")
        event["message"] = text
        return event
    event["event.kind"] = "event"
    event["openldap.connection"] = line[1]
    if line[2]:
        event["openldap.operation" if line[2] == "op" else "openldap.fd"] = int(line[3])
    _operation(event, line[4], text[line.end() :])
    set_class(event, {"iam": "LC-02"}, "LC-01")
    return event


def _operation(event: Event, word: str, rest: str) -> None:
    keys = _values(rest)
    if word in ("RESULT", "SEARCH"):
        _result(event, keys)
    else:
        category, kind = _OPERATIONS.get(word, ("database", "info"))
        event["event.category"], event["event.type"] = [category], [kind]
        event["event.action"] = word.lower()
    for name, value in keys.items():
        put(event, f"openldap.{name}", value)
    dn = keys.get("dn", "")
    if word == "BIND":
        _bind(event, dn, keys)
    elif word in ("ADD", "MOD", "DEL", "MODRDN"):
        put(event, "user.target.name", _first(dn) if dn.lower().startswith("uid=") else "")
    elif word == "PASSMOD":
        named = keys.get("id", "")
        put(event, "user.target.id", named)
        put(event, "user.target.name", _first(named) if "=" in named else named)
    elif word == "ACCEPT":
        _accept(event, rest)
    elif word == "closed":
        put(event, "event.reason", rest.strip("() "))
    elif word == "TLS":
        put(event, "tls.cipher", keys.get("tls_cipher"))
        put(event, "tls.version", keys.get("tls_proto", "").removeprefix("TLSv"))


def _values(rest: str) -> dict[str, str]:
    """Reads ``name="value" name=value``; ``attr=`` and ``text=`` take the rest of the line."""
    if rest.startswith("attr="):
        return {"attr": rest.removeprefix("attr=")}
    found: dict[str, str] = {}
    text, mark, message = rest.partition(" text=")
    if mark:
        found["text"] = message
    for match in _KEYS.finditer(text):
        if match[1] in _KNOWN:
            found.setdefault(match[1], match[3] if match[2] is None else match[2])
    return found


def _bind(event: Event, dn: str, keys: Mapping[str, str]) -> None:
    """Method 128 is a simple bind (RFC 4511 section 4.2); without a DN it is anonymous."""
    if dn:
        event["user.id"] = dn
        put(event, "user.name", _first(dn))
    elif "authcid" not in keys:
        event["openldap.anonymous"] = True
    put(event, "user.name", keys.get("authcid"))


def _first(dn: str) -> str:
    match = _FIRST_VALUE.match(dn)
    return match[1] if match else ""


def _accept(event: Event, rest: str) -> None:
    """``from IP=<client> (IP=<server>)``, or a socket's path; 2.6 may have a name before it."""
    words = rest.split()
    sides = [("source", words[1])] if len(words) > 1 and words[0] == "from" else []
    sides += [("destination", word.strip("()")) for word in words[2:] if word.startswith("(IP=")]
    for side, word in sides:
        if match := _ADDRESS.match(word):
            set_endpoint(event, side, match[1].strip("[]"), match[2])
        elif word.startswith("PATH="):
            event[f"{side}.address"] = word.removeprefix("PATH=")


def _result(event: Event, keys: Mapping[str, str]) -> None:
    bind = keys.get("tag") == _BIND_TAG
    event["event.category"] = ["authentication"] if bind else ["database"]
    event["event.type"] = ["info"]
    event["event.action"] = "bind-result" if bind else "result"
    code = keys.get("err", "")
    if code.isdecimal() and len(code) < 6:
        number = int(code)
        event["event.outcome"] = "success" if number in _NO_FAILURE else "failure"
        event["event.code"] = code
        put(event, "openldap.result", _RESULTS.get(number))
    put(event, "event.reason", keys.get("text"))
    seconds = keys.get("etime", "")
    if re.fullmatch(r"\d{1,6}(?:\.\d{1,9})?", seconds):
        event["event.duration"] = round(float(seconds) * 1e9)
