"""Azure Application Gateway and Front Door: access log and web application firewall log.

Format: "Diagnostic logs for Application Gateway" (ApplicationGatewayAccessLog, -FirewallLog) and
"Monitor Azure Front Door" (FrontDoorAccessLog, FrontDoorWebApplicationFirewallLog). Agent: a
diagnostic setting to an Event Hub. The client is ``source.*``, the request ``http.*`` and
``url.*``, a hit of the firewall ``rule.*``. Dataset ``azure.application_gateway``.
"""

from collections.abc import Mapping
from typing import Any

from normalize.address import set_endpoint
from normalize.microsoft import azure
from normalize.microsoft.record import copy, mapping, snake, split_address, spread, text
from normalize.web import set_url
from samlog.event import Event, RawEvent

NAME = "azure_gateway"
VERSION = 1
HINTS = frozenset({"azure.application_gateway"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"category": "webserver"}, {"product": "azure"})
LOG_CLASSES = ("LC-13",)
CONTENT = "json"
ORDER = 40

_PREFIX = "azure.application_gateway"
_FIREWALL = frozenset(("ApplicationGatewayFirewallLog", "FrontDoorWebApplicationFirewallLog"))
CATEGORIES = _FIREWALL | {"ApplicationGatewayAccessLog", "FrontDoorAccessLog"}
_COPIED = (
    ("httpMethod", "http.request.method"),
    ("httpStatus", "http.response.status_code"),
    ("httpStatusCode", "http.response.status_code"),
    ("receivedBytes", "source.bytes"),
    ("requestBytes", "source.bytes"),
    ("sentBytes", "destination.bytes"),
    ("responseBytes", "destination.bytes"),
    ("referer", "http.request.referrer"),
    ("sslCipher", "tls.cipher"),
    ("action", "event.action"),
    ("ruleSetType", "rule.category"),
    ("ruleSetVersion", "rule.version"),
    ("ruleId", "rule.id"),
    ("ruleName", "rule.name"),
    ("ruleGroup", "rule.ruleset"),
    ("message", "message"),
)
_ALLOWED = frozenset(("allowed", "matched", "detected", "allow", "log"))
_DENIED = frozenset(("blocked", "block"))


def matches(raw: RawEvent) -> bool:
    """A record of one of the four categories."""
    return raw.json is not None and azure.category(raw.json) in CATEGORIES


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = azure.read_record(raw.json or {})
    own = record.properties
    event = azure.start("azure.application_gateway", record, _PREFIX)
    event.pop("event.action", None)
    event["network.protocol"] = "http"
    if text(record.top, "category") in _FIREWALL:
        event["event.category"] = ["network"]
        event["event.type"] = ["connection"]
    else:
        event["event.category"], event["event.type"] = ["network", "web"], ["connection", "access"]
    for key in ("timeStamp", "timestamp"):
        if "@timestamp" not in event and text(record.top, key):
            event["@timestamp"] = azure.parse_time(record.top[key])
    copy(event, own, _COPIED)
    agent = text(own, "userAgent")
    if agent and agent != "-":
        event["user_agent.original"] = agent
    _request(event, own)
    _verdict(event, own)
    spread(event, f"{_PREFIX}.properties", own, snake)
    return event


def _request(event: Event, own: Mapping[str, Any]) -> None:
    client, port = split_address(text(own, "clientIP", "clientIp", "socketIp"))
    other = own.get("clientPort")
    set_endpoint(event, "source", client, other if isinstance(other, str | int) else port)
    query = text(own, "requestQuery")
    if uri := text(own, "requestUri"):
        asked = query and query != "-" and "?" not in uri
        set_url(event, f"{uri}?{query}" if asked else uri)
    host = text(own, "host", "hostname", "hostName")
    if host and host != "-":
        event["url.domain"] = event["destination.address"] = event["destination.domain"] = host
    version = text(own, "httpVersion").partition("/")[2]
    if version:
        event["http.version"] = version
    name, _, number = text(own, "sslProtocol", "securityProtocol").partition("v")
    if number:
        event["tls.version"], event["tls.version_protocol"] = number, name.lower()
    status = event.get("http.response.status_code")
    if isinstance(status, str) and status.isascii() and status.isdecimal():
        status = event["http.response.status_code"] = int(status[:4])
    if isinstance(status, int):
        event["event.outcome"] = "success" if status < 400 else "failure"
    sent, received = event.get("source.bytes"), event.get("destination.bytes")
    if isinstance(sent, int) and isinstance(received, int):
        event["network.bytes"] = sent + received


def _verdict(event: Event, own: Mapping[str, Any]) -> None:
    action = str(event.get("event.action", "")).lower()
    if action in _ALLOWED or action in _DENIED:
        event["event.type"].append("allowed" if action in _ALLOWED else "denied")
    details = mapping(own.get("details"))
    copy(event, details, (("message", "rule.description"), ("data", "event.reason")))
