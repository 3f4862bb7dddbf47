"""VMConnection of Azure Monitor (VM insights): which process of a machine talked to whom.

A row of the Log Analytics table of that name: the flow in ECS, bytes of one minute, the machine as
``host.name``; Azure's own fields below ``azure.vmconnection.``. Dataset ``azure.vmconnection``.
"""

from normalize.address import set_endpoint
from normalize.jsontext import capped
from samlog.event import Event, RawEvent

NAME = "azure_vmconnection"
VERSION = 1
HINTS = frozenset({"azure.vmconnection"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "azure"}, {"category": "firewall"})
LOG_CLASSES = ("LC-23",)
CONTENT = "json"

_MAX_FIELDS = 128


def matches(raw: RawEvent) -> bool:
    """A JSON object whose ``Type`` is VMConnection."""
    return raw.json is not None and raw.json.get("Type") == "VMConnection"


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = raw.json or {}
    event: Event = {
        "event.dataset": "azure.vmconnection",
        "event.category": ["network"],
        "event.type": ["connection"],
    }
    for side, name in (("source", "Source"), ("destination", "Destination")):
        address = record.get(f"{name}Ip")
        if isinstance(address, str):
            port = record.get("DestinationPort") if side == "destination" else None
            set_endpoint(event, side, address, port if isinstance(port, (int, str)) else None)
    outbound = record.get("Direction") == "outbound"
    sent, received = ("source", "destination") if outbound else ("destination", "source")
    pairs = (
        ("TimeGenerated", "@timestamp"),
        ("Computer", "host.name"),
        ("ProcessName", "process.name"),
        ("Protocol", "network.transport"),
        ("Direction", "network.direction"),
        ("BytesSent", f"{sent}.bytes"),
        ("BytesReceived", f"{received}.bytes"),
    )
    for key, field in pairs:
        value = record.get(key)
        if isinstance(value, (str, int)) and value != "":
            event[field] = value
    for key, value in list(record.items())[:_MAX_FIELDS]:
        if value is not None and value != "":
            event[f"azure.vmconnection.{key}"] = capped(value)
    return event
