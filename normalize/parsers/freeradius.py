"""FreeRADIUS: lines of radius.log (file or syslog, versions 2 to 3.2) and detail records.

Lines of log-ins become authentication with ``event.outcome``, ``user.name``, the module's message
in ``event.reason``, and below ``freeradius.`` client, port and calling station; other lines keep
their ``message``. A detail record (``Name = value`` lines, joined by the collector or escaped as
``#012#011`` by rsyslog) is accounting or a request: sessions start and end, with address and bytes.
The user name is the attacker's choice: client and port are read from the end of the line.
"""

import re
from collections.abc import Iterator, Mapping

from normalize.address import is_ip, set_endpoint, set_port
from normalize.times import syslog_time, zone
from normalize.vendor_object import put
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "freeradius"
VERSION = 2
HINTS = frozenset({"radius", "freeradius.log"})
PROGRAMS = frozenset({"radiusd", "freeradius"})
LOGSOURCES: tuple[Mapping[str, str], ...] = ()
LOG_CLASSES = ("LC-01", "LC-10")
CONTENT = "text"
ORDER = 55
SPECIFICATION = (
    "FreeRADIUS, `radiusd.conf`, section `log`, and the module `rlm_detail`; lines are "
    "made in auth.c and log.c of versions 2 to 3.2",
    "RFC 2865, RFC 2866: attributes",
)
SETTINGS = """
In `radiusd.conf`: `log { auth = yes  auth_badpass = no  auth_goodpass = no }`; bad passwords
are often good ones of another service. Collect radius.log, or `destination = syslog`. For
accounting the module `detail`; join its records at the collector (a record begins where a line
does not begin with a tab). Lines carry no zone: set `tz`.
"""

_STAMP = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d):(\d\d) (\d{4})"
_HEAD = re.compile(_STAMP + r" : ([A-Z][A-Za-z-]{2,9}): ")
_SESSION = re.compile(r" {0,8}\((\d{1,10})\) {1,8}")
_LOGIN = re.compile(
    r"(Login OK|Login incorrect|Invalid user|Multiple logins|Rejected in post-auth"
    r"|Rejected by policy)"
)
_WHO = re.compile(r"(?: \((.{0,512}?)\))?: \[")
_FROM = re.compile(
    r"\] \(from client (\S{1,128}) port (\d{1,10})(?: cli (\S{1,128}))?(?: (via TLS tunnel))?\)"
    r"(.{0,512})\Z",
    re.DOTALL,
)
_REFUSED = re.compile(
    r"Ignoring request to (?:\S{1,64} )?address (\S{1,64}) port (\d{1,5}) .{0,256}?from unknown "
    r"client (\S{1,64}) port (\d{1,5})(?: proto ([a-z]{1,8}))?"
)
_FORGED = re.compile(
    r".{0,128}?Received packet from (\S{1,64}) with invalid ([A-Za-z-]{1,64})", re.DOTALL
)
_VIA = re.compile(r"/<via Auth-Type = ([^>]{1,64})>\Z")
_DETAIL = re.compile(_STAMP + r"(?:\n|#012)(?:\t|#011| {1,8})[A-Z]")
_PAIR = re.compile(r"([A-Z][A-Za-z0-9_.:-]{1,63}) {0,4}:?= {0,4}(.*)\Z", re.DOTALL)
_LEVELS = frozenset(("info", "warning", "error", "debug", "warn"))
_MAX_PAIRS = 256
_ACCT = {"start": "start", "stop": "end"}
_SECRET = frozenset(("user-password", "cleartext-password", "chap-password", "nt-password"))


def matches(raw: RawEvent) -> bool:
    """The head of radius.log, the head of a detail record, or a log-in line of the server."""
    if raw.json is not None:
        return False
    body = raw.body
    return _HEAD.match(body) is not None or _DETAIL.match(body) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_freeradius``) a line that no FreeRADIUS writes."""
    body = raw.body
    if match := _DETAIL.match(body):
        return _detail(raw, match)
    head = _HEAD.match(body)
    if head is None and not raw.program:
        raise BadEvent("not_freeradius", "expected: Mon Jan 10 13:37:01 2026 : Auth: ..")
    event: Event = {"event.dataset": "freeradius.log"}
    text = body
    if head is not None:
        _time(event, head, raw)
        kind = head[4].lower()
        event["log.level" if kind in _LEVELS else "freeradius.log_type"] = kind
        text = body[head.end() :]
    if session := _SESSION.match(text):
        event["freeradius.request"] = int(session[1])
        text = text[session.end() :]
    _line(event, text)
    return event


def _time(event: Event, match: re.Match[str], raw: RawEvent) -> None:
    tz = zone(raw.tz)
    if tz is None:
        return
    stamp = syslog_time(match[1], int(match[2]), "", int(match[3]), tz, raw.received_at)
    if stamp is not None:
        event["@timestamp"] = stamp
        event["event.timezone"] = raw.tz


def _line(event: Event, text: str) -> None:
    login = _LOGIN.match(text)
    who = _WHO.match(text, login.end()) if login else None
    end = text.rfind("] (from client ")
    tail = _FROM.match(text, end) if end >= 0 else None
    if login is None or who is None or tail is None or end < who.end():
        event["message"] = text
        _refused(event, text)
        return
    good = login[1] == "Login OK"
    event["samlog.log_class"] = "LC-01"
    event["event.category"] = ["authentication"]
    event["event.type"] = ["start", "allowed"] if good else ["start", "denied"]
    event["event.action"] = login[1].lower().replace(" ", "-")
    event["event.outcome"] = "success" if good else "failure"
    put(event, "event.reason", who[1])
    _user(event, text[who.end() : end])
    client, port, calling, tunnel, more = tail.groups()
    event["freeradius.client"], event["freeradius.port"] = client, int(port)
    if calling:
        event["freeradius.calling_station_id"] = calling
        if is_ip(calling):
            set_endpoint(event, "source", calling)
        put(event, "source.mac", _mac(calling))
    if tunnel:
        event["freeradius.tunnel"] = True
    put(event, "freeradius.message", more.strip())


def _refused(event: Event, text: str) -> None:
    """A device that the server does not know, or that knows the shared secret not."""
    unknown, forged = _REFUSED.match(text), _FORGED.match(text)
    if unknown is not None:
        address, port, client, client_port, transport = unknown.groups()
        event["event.action"] = "unknown-client"
        if is_ip(address):
            event["destination.address"] = event["destination.ip"] = address
        set_port(event, "destination", port)
        set_port(event, "source", client_port)
        put(event, "network.transport", transport)
    elif forged is not None and is_ip(forged[1]):
        client = forged[1]
        event["event.action"] = "invalid-authenticator"
        event["event.reason"] = f"invalid {forged[2]}"
    else:
        return
    set_endpoint(event, "source", client)
    event["event.category"], event["event.type"] = ["network"], ["denied"]
    event["event.outcome"] = "failure"


def _user(event: Event, text: str) -> None:
    """``user``, ``user/password`` or ``user/<via Auth-Type = EAP>``; no password becomes a field.

    Computers are called ``host/<name>`` and have a slash of their own.
    """
    start = text.rfind("/<via ")
    via = _VIA.match(text, start) if start >= 0 else None
    if via:
        event["freeradius.auth_type"] = via[1]
        name = text[:start]
    elif text.startswith("host/"):
        name = text
    else:
        name = text.partition("/")[0]
    put(event, "user.name", name)


def _mac(text: str) -> str:
    """Returns ``00-11-22-33-44-55`` of the ways in which access points write it, else ""."""
    digits = "".join(c for c in text[:32].partition(";")[0] if c not in ":-.")
    if len(digits) < 12 or any(c not in "0123456789abcdefABCDEF" for c in digits[:12]):
        return ""
    if len(digits) > 12 and text[17:18] not in (":", "-"):
        return ""
    return "-".join(digits[i : i + 2] for i in range(0, 12, 2)).upper()


def _detail(raw: RawEvent, match: re.Match[str]) -> Event:
    """Takes a record of the module detail apart; each attribute is kept under its own name."""
    event: Event = {"event.dataset": "freeradius.detail", "event.kind": "event"}
    _time(event, match, raw)
    separator = "\n" if "\n" in raw.body else "#012"
    pairs: dict[str, str] = {}
    for line in _lines(raw.body.split(separator)[1 : _MAX_PAIRS + 1]):
        pair = _PAIR.match(line.removeprefix("#011").strip(" \t"))
        if pair is not None:
            name, value = pair[1].lower(), pair[2].strip().strip('"')
            pairs.setdefault(name, "***" if name in _SECRET else value)
    for name, value in pairs.items():
        put(event, f"freeradius.detail.{name.replace('-', '_')}", value)
    _accounting(event, pairs)
    return event


def _lines(pieces: list[str]) -> Iterator[str]:
    """Yields lines; a quoted value that holds the separator as text is one, up to its quote."""
    parts: list[str] = []
    for piece in pieces:
        parts.append(piece.rstrip())
        begun = parts[0].partition('"')[1]
        if not begun or _closed(parts):
            yield "#012".join(parts)
            parts = []
    if parts:
        yield "#012".join(parts)


def _closed(parts: list[str]) -> bool:
    last = parts[-1]
    whole = len(parts) > 1 or last.count('"') > 1
    return whole and last.endswith('"') and not last.endswith('\\"')


def _accounting(event: Event, pairs: Mapping[str, str]) -> None:
    """RFC 2866: the sides are those of the user; input is what the user sent."""
    status = pairs.get("acct-status-type", "").lower()
    kind = pairs.get("packet-type", "").lower()
    event["event.category"] = ["session", "network"] if status else ["authentication"]
    event["samlog.log_class"] = "LC-10" if status else "LC-01"
    event["event.type"] = [_ACCT.get(status, "info")]
    put(event, "event.action", f"accounting-{status}" if status else kind)
    if kind in ("access-accept", "access-reject"):
        event["event.outcome"] = "success" if kind == "access-accept" else "failure"
    put(event, "user.name", pairs.get("user-name"))
    put(event, "observer.ip", [ip] if is_ip(ip := pairs.get("nas-ip-address", "")) else [])
    put(event, "source.ip", ip if is_ip(ip := pairs.get("framed-ip-address", "")) else "")
    put(event, "source.mac", _mac(pairs.get("calling-station-id", "")))
    for attribute, field in (
        ("acct-input-octets", "source.bytes"),
        ("acct-output-octets", "destination.bytes"),
        ("acct-input-packets", "source.packets"),
        ("acct-output-packets", "destination.packets"),
    ):
        count = pairs.get(attribute, "")
        if count.isascii() and count.isdecimal() and len(count) < 19:
            event[field] = int(count)
    seconds = pairs.get("acct-session-time", "")
    if seconds.isascii() and seconds.isdecimal() and len(seconds) < 10:
        event["event.duration"] = int(seconds) * 1_000_000_000
