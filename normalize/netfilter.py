"""Packets that Linux' netfilter logged: iptables, nftables, ufw, firewalld (``IN=eth0 OUT= ..``).

Format: the kernel's nf_log_ipv4.c and nf_log_ipv6.c; the words before ``IN=`` are the rule's own
``--log-prefix`` and say, if anything does, what became of the packet.
"""

import re

from normalize.address import is_ip, set_port
from normalize.community import community_id
from samlog.event import Event

DATASET = "iptables.log"

_PAIR = re.compile(r"([A-Z][A-Za-z]{1,9})=(\S{0,64})")
_FLAG = re.compile(r"(?<= )(SYN|ACK|FIN|RST|PSH|URG|ECE|CWR|DF|MF|CE)(?= |\Z)")
_ZONES = re.compile(r"\[([^\]\n]{1,100})-(\w{1,20})-([ADR])\]\Z")
_PREFIX_END = re.compile(r"[\s:>\]-]+\Z")
_DENIED = ("drop", "deny", "denied", "reject", "block", "refuse", "discard", "invalid")
_ALLOWED = ("accept", "allow", "pass", "permit")
_LETTERS = {"A": "accept", "D": "drop", "R": "reject"}
_NUMBERS = {
    "LEN": "length",
    "TTL": "ttl",
    "HOPLIMIT": "ttl",
    "ID": "id",
    "WINDOW": "tcp.window",
    "TYPE": "icmp.type",
    "CODE": "icmp.code",
    "FLOWLBL": "flow_label",
}
_TRANSPORTS = {"ICMPv6": "ipv6-icmp", "1": "icmp", "2": "igmp", "6": "tcp", "17": "udp"}
_WITHIN = 1_000
_REST = re.compile(r" {0,8}[A-Z]{1,9}=\S{0,64} (?:[A-Z]{2,9}(?:=\S{0,64})? ){0,12}PROTO=\w{1,10} ")


def is_packet(text: str) -> bool:
    """Tells whether a kernel line is a logged packet."""
    at = text.find("IN=", 0, 200)
    return at >= 0 and text.find("OUT=", at, at + 80) > 0 and "PROTO=" in text[at : at + _WITHIN]


def is_rest(text: str) -> bool:
    """Tells whether a kernel line is the second half of a logged packet: UDP cut it in two."""
    return _REST.match(text) is not None


def packet(text: str) -> Event:
    """Returns the event of a line that `is_packet` or `is_rest`.

    What it answers to (ICMP) is left out.
    """
    at = max(text.find("IN="), 0)
    prefix, body = text[:at].strip(), text[at : at + _WITHIN].partition("[")[0]
    event: Event = {
        "event.dataset": DATASET,
        "event.category": ["network"],
        "event.type": ["connection"],
        "message": text,
    }
    values: dict[str, str] = {}
    for name, value in _PAIR.findall(body):
        values.setdefault(name, value)
    _verdict(event, prefix)
    _addresses(event, values)
    for name, field in (("IN", "input_device"), ("OUT", "output_device")):
        if values.get(name):
            event[f"iptables.{field}"] = values[name]
    for name, field in _NUMBERS.items():
        number = values.get(name, "")
        if number.isdecimal() and len(number) < 10:
            event[f"iptables.{field}"] = int(number)
    if flags := _FLAG.findall(body):
        event["iptables.flags"] = flags
    return event


def _verdict(event: Event, prefix: str) -> None:
    if zones := _ZONES.search(prefix):
        # Ubiquiti and VyOS: [ruleset-rule-A]
        event["rule.name"], event["rule.id"] = zones[1], zones[2]
        action = _LETTERS[zones[3]]
    else:
        words = _PREFIX_END.sub("", prefix).replace("[", " ").split()
        if not words:
            return
        action = words[-1].lower()
    event["event.action"] = action
    if any(word in action for word in _DENIED):
        event["event.type"] = ["denied", "connection"]
    elif any(word in action for word in _ALLOWED):
        event["event.type"] = ["allowed", "connection"]


def _addresses(event: Event, values: dict[str, str]) -> None:
    source, destination = values.get("SRC", ""), values.get("DST", "")
    for side, address, port in (
        ("source", source, values.get("SPT", "")),
        ("destination", destination, values.get("DPT", "")),
    ):
        if is_ip(address):
            event[f"{side}.ip"] = address
        if port:
            set_port(event, side, port)
    protocol = values.get("PROTO", "")
    transport = _TRANSPORTS.get(protocol, protocol.lower())
    if transport:
        event["network.transport"] = transport
    if is_ip(source):
        event["network.type"] = "ipv6" if ":" in source else "ipv4"
    first, second = ("SPT", "DPT") if "SPT" in values else ("TYPE", "CODE")
    one, two = values.get(first, ""), values.get(second, "")
    if one.isdecimal() and two.isdecimal() and len(one) < 6 and len(two) < 6:
        known = community_id(source, destination, int(one), int(two), transport)
        if known:
            event["network.community_id"] = known
    _hardware(event, values.get("MAC", ""))


def _hardware(event: Event, mac: str) -> None:
    """``MAC=`` is the head of the frame: 6 bytes of destination, 6 of source, 2 of type."""
    parts = mac.upper().split(":")
    if len(parts) >= 12 and all(len(part) == 2 for part in parts[:12]):
        event["destination.mac"] = "-".join(parts[:6])
        event["source.mac"] = "-".join(parts[6:12])
