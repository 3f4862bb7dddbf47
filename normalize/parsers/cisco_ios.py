"""Cisco IOS and IOS XE system messages: ``%FACILITY-SEVERITY-MNEMONIC: text``.

Format: "System Message Format" of the IOS manuals, with every header that a device, a relay or a
collector may put in front. Logged commands (``PARSER-5-CFGLOG_LOGGEDCMD``) give the user and
``process.command_line``, configuration sessions the user, log-ins the outcome, access lists the
flow. ``message`` is the text after the mnemonic, which SigmaHQ's cisco/aaa rules search. ASA and
FTD are other products.
"""

import re

from normalize.address import set_endpoint
from normalize.community import community_id
from normalize.header import SEVERITIES
from normalize.times import syslog_time, zone
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "cisco_ios"
VERSION = 2
HINTS = frozenset({"cisco", "cisco_ios.log"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = (
    {"product": "cisco", "service": "aaa"},
    {"product": "cisco", "service": "bgp"},
    {"product": "cisco", "service": "ldp"},
)
LOG_CLASSES = ("LC-08",)
CONTENT = "text"
SPECIFICATION = (
    'Cisco IOS Configuration Guide, "System Message Format"; System Message Guide of each release',
)
SETTINGS = """
```text
service timestamps log datetime msec localtime show-timezone year
service sequence-numbers
login on-failure log
login on-success log
archive
 log config
  logging enable
  notify syslog contenttype plaintext
  hidekeys
logging host 192.0.2.10
```
"""

_HEAD = 400
_LINE = re.compile(
    r"(?:(?P<seq>\d{1,10}): )?(?:(?P<host>[A-Za-z][\w.-]{0,254}): )?(?:[*.]?"
    r"(?P<stamp>[A-Z][a-z]{2} {1,2}\d{1,2} )(?:(?P<year>\d{4}) )?(?P<clock>\d\d:\d\d):(?P<s>\d\d)"
    r"(?:\.(?P<fraction>\d{1,9}))?(?: (?P<tz>[A-Z]{3,5}))?: )?"
    r"%(?P<facility>[A-Z][A-Z0-9_]{1,31})(?:-[A-Z0-9_]{1,31})?-(?P<severity>[0-7])"
    r"-(?P<code>[A-Z0-9_]{1,64}): ?"
)
_STAMP = (
    r"(?:[*.]?[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d\d:\d\d(?::\d\d)?(?:\.\d{1,9})?"
    r"(?: [A-Z]{3,5})?|\d{4}-\d\d-\d\dT\S{8,24})"
)
_BEFORE = re.compile(
    rf"(?:<\d{{1,3}}>)?(?:1 )?\s{{0,4}}(?:{_STAMP}:? )?(?:[\w.:-]{{1,255}}:? ){{0,2}}(?:- ){{0,4}}"
    rf"(?:\d{{1,10}}: ){{0,2}}(?:{_STAMP}: )?"
)
"""What may stand before a message: headers of syslog and of the device. Else it is in a text."""
_ACL = re.compile(
    r"list (\S{1,128}) (permitted|denied) (\S{1,32}) (\S{1,45}?)(?:\((\d{1,5})\))?(?: \S{1,64})?"
    r" -> (\S{1,45}?)(?:\((\d{1,5})\))?(?: \((\d{1,3})(?:/(\d{1,3}))?\))?, (\d{1,10}) packets?"
)
_COMMAND = re.compile(r"User: ?(\S{1,128}) {1,4}logged command: ?(.*)", re.DOTALL)
# The name is the client's: what follows it is read from the end.
_LOGIN = re.compile(
    r"Login (Success|failed) \[user: (.{0,256})\] \[Source: ([^\]]{0,64})\]", re.DOTALL
)
_CONFIGURED = re.compile(
    r"Configured from (\S{1,64})(?: by (.{1,128}?))?(?: on (\S{1,64}))?(?: \(([^)]{1,64})\))?\Z"
)
_OTHER_PRODUCTS = frozenset({"ASA", "FTD", "PIX", "FWSM", "NGIPS"})


def matches(raw: RawEvent) -> bool:
    """The mnemonic of an IOS message near the start."""
    if raw.json is not None or "%" not in raw.text[:_HEAD]:
        return False
    match = _LINE.search(raw.text, 0, _HEAD)
    return (
        match is not None
        and match["facility"] not in _OTHER_PRODUCTS
        and _BEFORE.fullmatch(raw.text, 0, match.start()) is not None
    )


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_cisco_ios``) a line without a mnemonic."""
    match = _LINE.search(raw.text, 0, _HEAD)
    if match is None:
        raise BadEvent("not_cisco_ios", "expected %FACILITY-SEVERITY-MNEMONIC:")
    severity = int(match["severity"])
    message = raw.text[match.end() :]
    for name in ("process.name", "process.pid"):
        raw.fields.pop(name, None)
    event: Event = {
        "event.dataset": "cisco_ios.log",
        "event.category": ["network"],
        "event.type": ["info"],
        "event.provider": "firewall",
        "event.code": match["code"],
        "event.severity": severity,
        "log.level": "notification" if severity == 5 else SEVERITIES[severity],
        "cisco.ios.facility": match["facility"],
        "observer.vendor": "Cisco",
        "observer.product": "IOS",
        "observer.type": "firewall",
        "message": message,
    }
    if match["seq"]:
        event["event.sequence"] = int(match["seq"])
    host = match["host"] or raw.host
    if host:
        event["log.syslog.hostname"] = host
    _time(event, match, raw)
    _body(event, message)
    return event


def _time(event: Event, match: re.Match[str], raw: RawEvent) -> None:
    """The device's own time is nearer to the event than a relay's in front of it."""
    tz = zone(match["tz"] or "") if match["tz"] else None
    if match["stamp"] is None or (local := tz or zone(raw.tz)) is None:
        return
    moment = syslog_time(
        f"{match['stamp']}{match['clock']}",
        int(match["s"]),
        match["fraction"] or "",
        int(match["year"] or 0),
        local,
        raw.received_at,
    )
    if moment is not None:
        event["@timestamp"] = moment
        if tz is None:
            event["event.timezone"] = raw.tz


def _body(event: Event, message: str) -> None:
    if match := _ACL.match(message):
        _flow(event, match)
    elif match := _COMMAND.match(message):
        event["user.name"], event["process.command_line"] = match.groups()
        event["event.category"] = ["configuration"]
        event["event.type"] = ["change"]
    elif match := _CONFIGURED.match(message.rstrip()):
        event["event.category"], event["event.type"] = ["configuration"], ["change"]
        if match[2]:
            event["user.name"] = match[2]
        set_endpoint(event, "source", match[4] or "")
    elif match := _LOGIN.match(message):
        event["event.category"] = ["authentication"]
        event["event.outcome"] = "success" if match[1] == "Success" else "failure"
        event["event.action"] = "login"
        event["user.name"] = match[2]
        set_endpoint(event, "source", match[3])


def _flow(event: Event, match: re.Match[str]) -> None:
    name, verdict, transport, source, sport, target, dport, kind, code, packets = match.groups()
    denied = verdict == "denied"
    event["cisco.ios.access_list"] = name
    event["event.action"] = "deny" if denied else "allow"
    event["event.type"] = ["info", "denied" if denied else "allowed"]
    set_endpoint(event, "source", source, sport)
    set_endpoint(event, "destination", target, dport)
    event["network.packets"] = event["source.packets"] = int(packets)
    if transport.isdecimal():
        event["network.iana_number"] = transport
    else:
        event["network.transport"] = transport.lower()
    if "source.ip" in event:
        event["network.type"] = "ipv6" if ":" in event["source.ip"] else "ipv4"
    if transport == "icmp" and kind:
        event["cisco.ios.icmp_type"], event["cisco.ios.icmp_code"] = kind, code or "0"
        sport, dport = kind, code or "0"
    flow = community_id(source, target, int(sport or 0), int(dport or 0), transport.lower())
    if flow:
        event["network.community_id"] = flow
