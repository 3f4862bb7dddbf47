"""AWS WAF's web ACL traffic logs, JSON, as in S3, CloudWatch Logs or Firehose.

Format: "Log fields for protection pack (web ACL) traffic" of the WAF developer guide. The request
is ``http.*``, ``url.*``, ``source.*``; ``event.action`` is what WAF did, ``rule.id`` the rule that
ended the evaluation. Headers are ``name: value`` in ``aws.waf.request.headers``: their names are
the client's choice and become no fields.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from normalize.address import is_ip
from normalize.aws_names import read_arn, set_cloud
from normalize.times import parse_epoch
from normalize.vendor_object import objects, part, put, set_leaves, text
from normalize.web import set_url
from samlog.event import Event, RawEvent

NAME = "aws_waf"
VERSION = 3
HINTS = frozenset({"waf", "aws.waf"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[Mapping[str, str], ...] = ({"category": "webserver"},)
LOG_CLASSES = ("LC-13", "LC-23")
CONTENT = "json"
ORDER = 40
KEYS = frozenset(("webaclId",))
SPECIFICATION = ('AWS WAF Developer Guide, "Log fields for protection pack (web ACL) traffic"',)
SETTINGS = """
Logging of the web ACL to S3, CloudWatch Logs or Firehose. Redact `Authorization` and `Cookie`
there: headers are kept as they come.
"""

_DENIED = frozenset(("BLOCK", "CAPTCHA", "CHALLENGE"))
_MAX_HEADERS = 64
_RENAMED = (
    ("webaclId", "arn"),
    ("httpSourceName", "source.name"),
    ("httpSourceId", "source.id"),
    ("ruleGroupList", "rule_group_list"),
    ("terminatingRuleMatchDetails", "terminating_rule_match_details"),
    ("nonTerminatingMatchingRules", "non_terminating_matching_rules"),
    ("rateBasedRuleList", "rate_based_rule_list"),
)
_APART = frozenset(("timestamp", "httpRequest", "action", *(key for key, _ in _RENAMED)))


def matches(raw: RawEvent) -> bool:
    """A JSON object with WAF's ``webaclId`` and ``httpRequest``."""
    record = raw.json
    return record is not None and "webaclId" in record and "httpRequest" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = raw.json or {}
    action = text(record, "action")
    event: Event = {
        "event.dataset": "aws.waf",
        "event.kind": "event",
        "event.category": ["web"],
        "event.type": ["access", "denied" if action in _DENIED else "allowed"],
        "network.protocol": "http",
        "network.transport": "tcp",
        "samlog.log_class": "LC-13",
    }
    moment = record.get("timestamp")
    if isinstance(moment, (int, float)) and not isinstance(moment, bool):
        put(event, "@timestamp", parse_epoch(moment, unit_s=1e-3))
    put(event, "event.action", action)
    service, region, account, resource = read_arn(text(record, "webaclId"))
    set_cloud(event, service, account, region)
    put(event, "aws.waf.id", resource)
    put(event, "rule.id", text(record, "terminatingRuleId"))
    put(event, "rule.ruleset", text(record, "terminatingRuleType"))
    _request(event, part(record, "httpRequest"))
    put(event, "tls.client.ja3", text(record, "ja3Fingerprint"))
    status = record.get("responseCodeSent")
    if isinstance(status, int) and 99 < status < 1_000:
        event["http.response.status_code"] = status
    for key, name in _RENAMED:
        value = record.get(key)
        set_leaves(event, f"aws.waf.{name}", None if value == "-" else value)
    set_leaves(event, "aws.waf", {k: v for k, v in record.items() if k not in _APART})
    return event


def _target(event: Event, path: str, query: str) -> None:
    """Path and query come apart ("Log fields": ``uri``, ``args``), and hold ``?`` and ``#``."""
    if path:
        if "?" in path or "#" in path:
            path = path.replace("?", "%3F").replace("#", "%23")
        set_url(event, path)
        del event["url.original"]
    put(event, "url.query", unquote(query, errors="replace") if "%" in query else query)


def _request(event: Event, request: Mapping[str, Any]) -> None:
    address = text(request, "clientIp")
    if is_ip(address):
        event["source.ip"] = address
    put(event, "http.request.method", text(request, "httpMethod"))
    put(event, "http.request.id", text(request, "requestId"))
    put(event, "http.version", text(request, "httpVersion").rpartition("/")[2])
    _target(event, text(request, "uri"), text(request, "args"))
    for key, field in (("scheme", "scheme"), ("host", "domain"), ("fragment", "fragment")):
        put(event, f"url.{field}", text(request, key))
    headers: list[str] = []
    for header in objects(request.get("headers"), _MAX_HEADERS):
        name, value = text(header, "name"), text(header, "value")
        headers.append(f"{name}: {value}")
        if name.lower() == "user-agent":
            put(event, "user_agent.original", value)
        elif name.lower() == "referer":
            put(event, "http.request.referrer", value)
    put(event, "aws.waf.request.headers", headers)
    known = ("headers", "clientIp", "httpMethod", "httpVersion", "requestId")
    set_leaves(event, "aws.waf.request", {k: v for k, v in request.items() if k not in known})
