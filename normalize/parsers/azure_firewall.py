"""Azure Firewall: network, application and NAT rules, threat intelligence, IDPS, DNS proxy.

Format: "Azure Firewall monitoring data reference", the structured categories (AZFWNetworkRule ..)
and the older ones whose ``msg`` is a sentence (AzureFirewallNetworkRule, -ApplicationRule,
-DnsProxy). Agent: a diagnostic setting to an Event Hub. The flow is in ECS, the rule ``rule.*``,
the verdict ``event.type`` (allowed, denied). The firewall's own fields are below
``azure.firewall.``. Dataset ``azure.firewall_logs``.
"""

import re
from collections.abc import Mapping
from typing import Any

from normalize.address import set_endpoint
from normalize.microsoft import azure
from normalize.microsoft.record import copy, snake, split_address, spread, text
from normalize.web import set_url
from samlog.event import Event, RawEvent

NAME = "azure_firewall"
VERSION = 1
HINTS = frozenset({"azure.firewall_logs", "azure.firewall"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"category": "firewall"}, {"category": "dns"}, {"product": "azure"})
LOG_CLASSES = ("LC-07",)
CONTENT = "json"
ORDER = 40

_PREFIX = "azure.firewall"
_TRANSPORTS = {"tcp": "6", "udp": "17", "icmp": "1"}
_FLOW = re.compile(
    r"(?P<protocol>[A-Za-z0-9/.-]{1,20})(?: Type=(?P<icmp>\d{1,3}))? request from "
    r"(?P<source>\S{1,300}?)(?: to (?P<destination>\S{1,300}?))?"
    r"(?: was DNAT'ed to (?P<nat>\S{1,300}?))?(?:\.(?=\s|$)(?P<rest>.*)|$)",
    re.DOTALL,
)
_PART = re.compile(r"\s*([A-Z][A-Za-z]{1,20}(?: [A-Z][A-Za-z]{1,20}){0,2}): ")
_PARTS = {
    "Action": f"{_PREFIX}.action",
    "Policy": f"{_PREFIX}.policy",
    "Rule Collection Group": f"{_PREFIX}.rule_collection_group",
    "Rule Collection": "rule.ruleset",
    "Rule": "rule.name",
    "Web Category": "rule.category",
    "Reason": "event.reason",
    "Signature": "rule.id",
    "IDS": "rule.name",
    "Priority": f"{_PREFIX}.priority",
    "Classification": "rule.category",
    "ThreatIntel": "rule.name",
}
_DNS = re.compile(
    r"DNS Request: (?P<source>\S{1,300}) - (?P<id>\d{1,10}) (?P<type>\S{1,20}) (?P<class>\S{1,20}) "
    r"(?P<name>\S{0,1024})\. (?P<transport>\w{1,8}) (?P<size>\d{1,10}) \S{1,8} \d{1,10} "
    r"(?P<code>\S{1,20}) (?P<flags>\S{1,64}) (?P<answer>\d{1,10}) (?P<seconds>[0-9.eE+-]{1,32})s?"
)
_COPIED = (
    ("Rule", "rule.name"),
    ("RuleCollection", "rule.ruleset"),
    ("Policy", f"{_PREFIX}.policy"),
    ("RuleCollectionGroup", f"{_PREFIX}.rule_collection_group"),
    ("Action", f"{_PREFIX}.action"),
    ("ActionReason", "event.reason"),
    ("Fqdn", "destination.domain"),
    ("SignatureId", "rule.id"),
    ("Description", "rule.name"),
    ("Category", "rule.category"),
    ("ThreatDescription", "rule.name"),
    ("QueryClass", "dns.question.class"),
    ("QueryName", "dns.question.name"),
    ("QueryType", "dns.question.type"),
    ("ResponseCode", "dns.response_code"),
    ("ErrorMessage", "error.message"),
)


def matches(raw: RawEvent) -> bool:
    """A record of a category of Azure Firewall."""
    return raw.json is not None and azure.category(raw.json).startswith(("AzureFirewall", "AZFW"))


def parse(raw: RawEvent) -> Event:
    """Returns the event; a sentence of unknown form is kept and tagged ``unparsed_body``."""
    record = azure.read_record(raw.json or {})
    own = record.properties
    event = azure.start("azure.firewall_logs", record, _PREFIX)
    event.pop("event.action", None)
    event["event.category"], event["event.type"] = ["network"], ["connection"]
    event["observer.vendor"], event["observer.product"] = "Azure", "Network Firewall"
    event["observer.type"] = "firewall"
    if name := event.get("azure.resource.name"):
        event["observer.name"] = name
    sentence = text(own, "msg", "Msg")
    if not sentence:
        _structured(event, own)
    elif not _sentence(event, sentence):
        raw.tags.append("unparsed_body")
        event["message"] = sentence
    verdict = str(event.get(f"{_PREFIX}.action", "")).lower()
    if verdict.startswith(("allow", "deny", "drop")):
        event["event.type"].append("allowed" if verdict.startswith("allow") else "denied")
        event["event.action"] = "allowed" if verdict.startswith("allow") else "denied"
    spread(event, f"{_PREFIX}.properties", own, snake)
    return event


def _structured(event: Event, own: Mapping[str, Any]) -> None:
    for side, name in (("source", "Source"), ("destination", "Destination")):
        port = own.get(f"{name}Port")
        address = text(own, f"{name}Ip", f"{name}IP")
        set_endpoint(event, side, address, port if isinstance(port, str | int) else None)
    copy(event, own, _COPIED)
    if translated := text(own, "TranslatedIp"):
        event["destination.nat.ip"] = translated
        copy(event, own, (("TranslatedPort", "destination.nat.port"),))
    if identity := own.get("QueryId"):
        event["dns.id"] = str(identity)
    if url := text(own, "TargetUrl"):
        set_url(event, url)
    if flags := text(own, "ResponseFlags"):
        event["dns.header_flags"] = flags.upper().split(",")
    _protocol(event, text(own, "Protocol"))


def _protocol(event: Event, name: str) -> None:
    name = name.lower()
    if name in _TRANSPORTS:
        event["network.transport"], event["network.iana_number"] = name, _TRANSPORTS[name]
    elif name:
        event["network.protocol"] = name


def _sentence(event: Event, sentence: str) -> bool:
    """Reads ``TCP request from 10.0.0.4:1 to 192.0.2.1:443. Action: Deny. Rule: x``."""
    if sentence.startswith("DNS Request: "):
        return _dns(event, sentence)
    match = _FLOW.match(sentence)
    if match is None:
        return False
    _protocol(event, match["protocol"])
    for side, end in (("source", match["source"]), ("destination", match["destination"])):
        if end:
            address, port = split_address(end)
            set_endpoint(event, side, address, port)
    if match["nat"]:
        address, port = split_address(match["nat"])
        event["destination.nat.ip"] = address
        if port is not None:
            event["destination.nat.port"] = port
    if match["icmp"]:
        event[f"{_PREFIX}.icmp.request.code"] = match["icmp"]
    _parts(event, match["rest"] or "")
    return True


def _parts(event: Event, rest: str) -> None:
    """Reads ``Action: Deny. Rule Collection: a.b. Rule: c``; values may have full stops."""
    found = list(_PART.finditer(rest))
    for number, part in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(rest)
        value = rest[part.end() : end].strip()
        value = value[:-1] if value.endswith(".") else value
        if part[1] == "Action":
            value, _, reason = value.partition(". ")
            if reason:
                event["event.reason"] = reason
        if part[1] == "Url":
            set_url(event, value)
        elif part[1] in _PARTS and value:
            event[_PARTS[part[1]]] = value


def _dns(event: Event, sentence: str) -> bool:
    match = _DNS.match(sentence)
    if match is None:
        return False
    address, port = split_address(match["source"])
    set_endpoint(event, "source", address, port)
    event["dns.id"], event["dns.question.type"] = match["id"], match["type"]
    event["dns.question.class"], event["dns.question.name"] = match["class"], match["name"]
    event["dns.response_code"] = match["code"]
    event["dns.header_flags"] = match["flags"].upper().split(",")
    event["source.bytes"], event["destination.bytes"] = int(match["size"]), int(match["answer"])
    event[f"{_PREFIX}.duration"] = match["seconds"]
    event["network.protocol"] = "dns"
    event["network.transport"] = match["transport"].lower()
    return True
