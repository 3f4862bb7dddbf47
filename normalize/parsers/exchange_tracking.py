"""Exchange Server message tracking logs: each step of every message through a mail server.

Format: "Message tracking" of Exchange Server, the CSV files MSGTRK*.LOG with the columns of
version 15 (26 to 31). Agent: any that reads files or sends their lines by syslog, in UTF-8 or the
server's code page. The message is ``email.*``, the hosts ``client.*`` and ``server.*``; all columns
are below ``microsoft.exchange.``. Dataset ``microsoft_exchange_server.messagetracking``.
"""

import csv
import re

from normalize.address import is_ip
from normalize.microsoft import azure
from normalize.microsoft.record import copy
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "exchange_messagetracking"
VERSION = 2
HINTS = frozenset({"microsoft_exchange_server.messagetracking"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[dict[str, str], ...] = ()
LOG_CLASSES = ("LC-14",)
CONTENT = "text"
ORDER = 45

COLUMNS = (
    *("date-time", "client-ip", "client-hostname", "server-ip", "server-hostname"),
    *("source-context", "connector-id", "source", "event-id", "internal-message-id"),
    *("message-id", "network-message-id", "recipient-address", "recipient-status"),
    *("total-bytes", "recipient-count", "related-recipient-address", "reference"),
    *("message-subject", "sender-address", "return-path", "message-info", "directionality"),
    *(
        "tenant-id",
        "original-client-ip",
        "original-server-ip",
        "custom-data",
        "transport-traffic-type",
    ),
    *("log-id", "schema-version"),
)
_START = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?Z,[0-9a-fA-F.:]{0,45},")
_SOURCES = frozenset(
    ("ADMIN", "AGENT", "APPROVAL", "BOOTLOADER", "DNS", "DSN", "GATEWAY", "MAILBOXRULE")
    + ("MEETINGMESSAGEPROCESSOR", "ORAR", "PICKUP", "POISONMESSAGE", "PUBLICFOLDER", "QUEUE")
    + ("REDUNDANCY", "ROUTING", "SAFETYNET", "SMTP", "STOREDRIVER", "MAILBOXRULES", "AD")
)
_COPIED = (
    ("total-bytes", "network.bytes"),
    ("message-id", "email.message_id"),
    ("internal-message-id", "email.local_id"),
    ("message-subject", "email.subject"),
    ("directionality", "email.direction"),
)
_FAILED = frozenset(("FAIL", "BADMAIL", "POISONMESSAGE", "DROP"))


def matches(raw: RawEvent) -> bool:
    """A line with the time first, and the source in its eighth column."""
    body = raw.body
    if _START.match(body) is None:
        return False
    cells = body[:4096].split(",", 9)
    return len(cells) > 8 and (cells[7] in _SOURCES or any(c in _SOURCES for c in cells[7:9]))


def parse(raw: RawEvent) -> Event:
    """Returns the event. Raises `BadEvent` for a line of fewer than 22 columns."""
    cells = _cells(raw.body)
    if len(cells) < 22 or len(cells) > len(COLUMNS) + 4:
        raise BadEvent("no_message_tracking", f"{len(cells)} columns, expected 26 to 31")
    row = dict(zip(COLUMNS, cells, strict=False))
    event: Event = {
        "event.dataset": "microsoft_exchange_server.messagetracking",
        "event.category": ["email"],
        "@timestamp": azure.parse_time(row["date-time"]),
        "message": raw.body,
    }
    copy(event, row, _COPIED)
    for side in ("client", "server"):
        if is_ip(row[f"{side}-ip"]):
            event[side + ".ip"] = row[f"{side}-ip"]
        if row[f"{side}-hostname"]:
            event[side + ".domain"] = row[f"{side}-hostname"]
    for key, field in (
        ("sender-address", "email.from.address"),
        ("return-path", "email.sender.address"),
    ):
        if row[key]:
            event[field] = row[key] if field.startswith("email.sender") else [row[key]]
    if recipients := row["recipient-address"]:
        event["email.to.address"] = recipients.split(";")
    if step := row["event-id"]:
        event["event.action"] = step.lower()
        if step in _FAILED:
            event["event.outcome"] = "failure"
    for name, value in row.items():
        if value:
            event[f"microsoft.exchange.{name.replace('-', '_')}"] = value
    return event


def _cells(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line.replace("\0", "")]), [])
    except csv.Error as error:
        raise BadEvent("no_message_tracking", str(error)) from error
