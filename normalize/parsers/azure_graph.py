"""Microsoft Graph activity logs: every HTTP request that a tenant's Graph API answered.

Format: the table and category MicrosoftGraphActivityLogs. Agent: a diagnostic setting of Entra ID
to an Event Hub. Who asked is ``user.id`` (or the application below
``azure.graphactivitylogs.properties.``), what ``http.*`` and ``url.*``. Dataset
``azure.graphactivitylogs``.
"""

from normalize.microsoft import azure
from normalize.microsoft.record import copy, set_client, snake, spread, text
from normalize.web import set_url
from samlog.event import Event, RawEvent

NAME = "azure_graph"
VERSION = 1
HINTS = frozenset({"azure.graphactivitylogs"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[dict[str, str], ...] = ({"product": "azure"},)
LOG_CLASSES = ("LC-23",)
CONTENT = "json"
ORDER = 40

_PREFIX = "azure.graphactivitylogs"
_TABLE = "MicrosoftGraphActivityLogs"
_MEMBERS = ("roles", "scopes", "wids")
_COPIED = (
    ("requestId", "http.request.id"),
    ("requestMethod", "http.request.method"),
    ("responseStatusCode", "http.response.status_code"),
    ("responseSizeBytes", "http.response.bytes"),
    ("userAgent", "user_agent.original"),
    ("userId", "user.id"),
)


def matches(raw: RawEvent) -> bool:
    """A record of the category or the table MicrosoftGraphActivityLogs."""
    record = raw.json
    if record is None:
        return False
    return azure.category(record) == _TABLE or azure.table(record) == _TABLE


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = azure.read_record(raw.json or {})
    own = dict(record.properties)
    event = azure.start("azure.graphactivitylogs", record, _PREFIX)
    event["event.type"] = ["access"]
    if "@timestamp" not in event:
        event["@timestamp"] = azure.parse_time(own.get("timeGenerated"))
    copy(event, own, _COPIED)
    if uri := text(own, "requestUri"):
        set_url(event, uri)
    address = text(record.top, "callerIpAddress") or text(own, "ipAddress")
    set_client(event, address, "source", "client")
    copy(event, record.top, (("tenantId", "cloud.account.id"), ("location", "cloud.region")))
    event["cloud.service.name"] = "Microsoft Graph"
    for key in _MEMBERS:
        words = own.get(key)
        if isinstance(words, str):
            own[key] = words.split()
    spread(event, f"{_PREFIX}.properties", own, snake)
    return event
