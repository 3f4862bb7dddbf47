"""AWS VPC flow logs, versions 2 to 10, also of transit gateways: lines, and JSON of these names.

A line says nothing about the order of its fields. It is known when a header line stands in the same
record (``version account-id ..``, line break, the flow; a collector may join them), when it is
the default format, or one of the formats of "Flow log record examples" in the VPC user guide. A
line in another order keeps its text and is tagged ``unparsed_body``: choose JSON, or join the
header. AWS's values are below ``aws.vpcflow.`` under Elastic's names.
"""

import re
from collections.abc import Mapping
from typing import Any

from normalize.address import is_ip, set_endpoint
from normalize.aws_names import set_cloud
from normalize.community import community_id
from normalize.times import parse_epoch
from normalize.vendor_object import put
from samlog.clock import iso_ms
from samlog.event import Event, RawEvent

NAME = "aws_vpcflow"
VERSION = 3
HINTS = frozenset({"vpcflow", "aws.vpcflow"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[Mapping[str, str], ...] = ({"category": "firewall"},)
LOG_CLASSES = ("LC-07", "LC-23")
ORDER = 60
KEYS = frozenset(("srcaddr", "dstaddr", "message"))
SPECIFICATION = (
    'Amazon VPC User Guide, "Flow log records": fields by version, and "Flow log record examples"',
)
SETTINGS = """
To S3 or CloudWatch Logs, or through Firehose as JSON. For a custom format send JSON, or put the
header line in front of each flow: only it tells the order. Take at least the default fields;
`flow-direction`, `pkt-srcaddr` and `pkt-dstaddr` tell who was behind a NAT gateway.
"""

_DEFAULT = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start "
    "end action log-status"
)
_EXAMPLES = (
    _DEFAULT,
    "instance-id interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr",
    "version interface-id account-id vpc-id subnet-id instance-id srcaddr dstaddr srcport dstport "
    "protocol tcp-flags type pkt-srcaddr pkt-dstaddr action log-status",
    "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport "
    "dstport pkt-srcaddr pkt-dstaddr protocol bytes packets start end action tcp-flags log-status",
    _DEFAULT + " vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id "
    "sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction "
    "traffic-path",
    "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id "
    "tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id "
    "tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr "
    "srcport dstport protocol packets bytes start end log-status type packets-lost-no-route "
    "packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region "
    "flow-direction pkt-src-aws-service pkt-dst-aws-service",
)
LAYOUTS = {len(names.split()): tuple(names.split()) for names in _EXAMPLES}
"""Number of fields → their names, of the documented formats."""

_FIELDS = frozenset(" ".join(_EXAMPLES).split()) | {
    *("ecs-cluster-arn", "ecs-cluster-name", "ecs-container-instance-arn", "ecs-service-name"),
    *("ecs-container-instance-id", "ecs-container-id", "ecs-second-container-id"),
    *("ecs-task-definition-arn", "ecs-task-arn", "ecs-task-id", "reject-reason", "resource-id"),
    *("encryption-status", "next-hop-interface-id"),
}
_IDS = {
    "interface-id": re.compile(r"eni-[0-9a-z]{4,32}|-"),
    "account-id": re.compile(r"\d{6,16}|unknown|-"),
    "tgw-id": re.compile(r"tgw-[0-9a-z]{4,32}|-"),
    "resource-type": re.compile(r"[A-Z][A-Za-z]{2,40}|-"),
    "vpc-id": re.compile(r"vpc-[0-9a-z]{4,32}|-"),
    "subnet-id": re.compile(r"subnet-[0-9a-z]{4,32}|-"),
    "instance-id": re.compile(r"i-[0-9a-z]{4,32}|-"),
    "action": re.compile(r"ACCEPT|REJECT|-"),
    "log-status": re.compile(r"OK|NODATA|SKIPDATA"),
    "version": re.compile(r"\d{1,2}"),
    "type": re.compile(r"IPv4|IPv6|EFA|-"),
}
_TRANSPORTS = {"1": "icmp", "2": "igmp", "6": "tcp", "17": "udp", "47": "gre", "50": "esp",
               "58": "ipv6-icmp", "132": "sctp"}  # fmt: skip
_FLAGS = ((1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"))
_MAX_LINE = 4_096
_OF_JSON = frozenset(("interface-id", "srcaddr", "dstaddr", "log-status"))


def matches(raw: RawEvent) -> bool:
    """A flow of a known layout, whose ids, addresses, action and status fit, or JSON of one."""
    if raw.json is not None:
        record = _line_in(raw.json)
        return record is not None or len(_OF_JSON.intersection(map(_name, raw.json))) >= 3
    text = raw.body
    if len(text) > _MAX_LINE:
        return False
    first = text[:40].partition(" ")[0]
    if not (first.isdecimal() or first in _FIELDS or first.startswith("i-") or first == "-"):
        return False
    return _is_header(text.split(None, 40)) or _read(text) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; a line of unknown order, and a header alone, keep their text."""
    event: Event = {"event.dataset": "aws.vpcflow", "samlog.log_class": "LC-07"}
    set_cloud(event)
    line = raw.body if raw.json is None else _line_in(raw.json)
    if line is not None:
        flow = _read(line) if len(line) <= _MAX_LINE else None
    else:
        flow = {_name(key): value for key, value in (raw.json or {}).items()}
    if flow is None:
        put(event, "message", line)
        if not _is_header((line or "").split(None, 40)):
            raw.tags.append("unparsed_body")
        return event
    _flow(event, {k: str(v) for k, v in flow.items() if v is not None and str(v) not in ("-", "")})
    return event


def _name(key: str) -> str:
    return key.replace("_", "-")


def _line_in(record: Mapping[str, Any]) -> str | None:
    """Returns the line of an export of CloudWatch (Firehose: ``{"message": ..}``)."""
    line = record.get("message")
    if isinstance(line, str) and len(line) <= _MAX_LINE and _read(line) is not None:
        return line
    return None


def _is_header(words: list[str]) -> bool:
    return len(words) > 1 and _FIELDS.issuperset(words)


def _read(text: str) -> dict[str, str] | None:
    """Returns field → value of a line, also of one below a header; None when none fits."""
    header, found, line = text.partition("\n")
    names: tuple[str, ...] | None = None
    if found and _is_header(header.split()):
        names = tuple(header.split())
    else:
        line = text
    values = line.split()
    if names is None:
        names = LAYOUTS.get(len(values))
    if names is None or len(names) != len(values):
        return None
    flow = dict(zip(names, values, strict=True))
    return flow if _fits(flow) else None


def _fits(flow: Mapping[str, str]) -> bool:
    for name, form in _IDS.items():
        if name in flow and form.fullmatch(flow[name]) is None:
            return False
    return all(flow.get(name, "-") == "-" or is_ip(flow[name]) for name in ("srcaddr", "dstaddr"))


def _flow(event: Event, flow: Mapping[str, str]) -> None:
    event["event.kind"], event["event.category"] = "event", ["network"]
    event["event.type"] = ["connection"]
    for name, value in flow.items():
        if name in _FIELDS:
            event[f"aws.vpcflow.{name.replace('-', '_')}"] = value
    if action := flow.get("action"):
        accepted = action.upper() == "ACCEPT"
        event["event.action"] = action.lower()
        event["event.outcome"] = "success" if accepted else "failure"
        event["event.type"].append("allowed" if accepted else "denied")
    set_cloud(event, account=flow.get("account-id", ""), region=flow.get("region", ""))
    put(event, "cloud.instance.id", flow.get("instance-id"))
    put(event, "cloud.availability_zone", flow.get("az-id"))
    _time(event, flow)
    _ends(event, flow)
    _volume(event, flow)
    direction = {"ingress": "ingress", "egress": "egress"}.get(flow.get("flow-direction", ""))
    put(event, "network.direction", direction)
    flags = flow.get("tcp-flags", "")
    if flags.isdecimal() and len(flags) < 4:
        set_flags = [name for bit, name in _FLAGS if int(flags) & bit]
        put(event, "aws.vpcflow.tcp_flags_array", set_flags)


def _time(event: Event, flow: Mapping[str, str]) -> None:
    for name in ("start", "end"):
        seconds = flow.get(name, "")
        if seconds.isascii() and seconds.isdecimal() and len(seconds) <= 11:
            moment = parse_epoch(int(seconds))
            if moment is not None:
                event[f"event.{name}"] = event["@timestamp"] = iso_ms(moment)


def _ends(event: Event, flow: Mapping[str, str]) -> None:
    """Addresses of the interface; where packets went through a gateway, their own are kept too."""
    source, target = flow.get("srcaddr", ""), flow.get("dstaddr", "")
    set_endpoint(event, "source", source, flow.get("srcport"))
    set_endpoint(event, "destination", target, flow.get("dstport"))
    protocol = flow.get("protocol", "")
    if protocol.isascii() and protocol.isdecimal():
        event["network.iana_number"] = protocol
        put(event, "network.transport", _TRANSPORTS.get(protocol))
    if "source.ip" not in event or "destination.ip" not in event:
        return
    event["network.type"] = "ipv6" if ":" in source else "ipv4"
    if protocol in _TRANSPORTS:
        ports = event.get("source.port", 0), event.get("destination.port", 0)
        put(event, "network.community_id", community_id(source, target, *ports,
                                                        _TRANSPORTS[protocol]))  # fmt: skip


def _volume(event: Event, flow: Mapping[str, str]) -> None:
    for name in ("bytes", "packets"):
        count = flow.get(name, "")
        if count.isascii() and count.isdecimal() and len(count) < 19:
            event[f"network.{name}"] = event[f"source.{name}"] = int(count)
