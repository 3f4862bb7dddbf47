"""Exchange Online message trace: who sent which message to whom, and what became of it.

Format: the report MessageTrace of the Office 365 reporting web service and the cmdlet
Get-MessageTraceV2. Agent: a collector of the service. The message is ``email.*``, the servers
``source.ip`` and ``destination.ip``, the accounts ``source.user.*`` and ``destination.user.*``, the
outcome ``event.outcome``, the status ``event.action``. All fields are below
``microsoft.online_message_trace.``. Dataset ``microsoft_exchange_online_message_trace.log``.
"""

from normalize.address import is_ip
from normalize.microsoft import azure
from normalize.microsoft.record import copy, plain, set_account, spread, text
from samlog.event import Event, RawEvent

NAME = "exchange_online_trace"
VERSION = 2
HINTS = frozenset({"microsoft_exchange_online_message_trace.log"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES: tuple[dict[str, str], ...] = ({"product": "m365"},)
LOG_CLASSES = ("LC-14",)
CONTENT = "json"
ORDER = 40

_COPIED = (
    ("MessageId", "email.message_id"),
    ("MessageTraceId", "email.local_id"),
    ("Subject", "email.subject"),
    ("Received", "email.delivery_timestamp"),
    ("Size", "email.attachments.file.size"),
    ("StartDate", "event.start"),
    ("EndDate", "event.end"),
)
_DELIVERED = frozenset(("delivered", "expanded", "resolved"))
_REFUSED = frozenset(("failed", "filteredasspam", "quarantined"))


def matches(raw: RawEvent) -> bool:
    """An object with the trace's id and its sender or recipient."""
    record = raw.json
    if record is None or "MessageTraceId" not in record:
        return False
    return "SenderAddress" in record or "RecipientAddress" in record


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses an object."""
    record = raw.json or {}
    event: Event = {
        "event.dataset": "microsoft_exchange_online_message_trace.log",
        "event.category": ["email"],
        "@timestamp": azure.parse_time(text(record, "Received")),
    }
    copy(event, record, _COPIED)
    sender, recipient = text(record, "SenderAddress"), text(record, "RecipientAddress")
    organisation = text(record, "Organization").lower()
    for side, account, key in (
        ("source", sender, "FromIP"),
        ("destination", recipient, "ToIP"),
    ):
        if account:
            set_account(event, side + ".user", account)
            event[f"{side}.user.id"] = event[f"{side}.user.email"] = account
            if domain := event.get(f"{side}.user.domain"):
                event[side + ".domain"] = domain
        if is_ip(text(record, key)):
            event[side + ".ip"] = record[key]
    if sender:
        event["email.from.address"] = [sender]
    if recipient:
        event["email.to.address"] = [recipient]
    _direction(event, organisation)
    _status(event, text(record, "Status").lower())
    trace = text(record, "MessageTraceId")
    event["samlog.origin"] = f"exchange|{trace}|{recipient}|{text(record, 'Received')}"
    spread(event, "microsoft.online_message_trace", record, plain)
    return event


def _status(event: Event, status: str) -> None:
    if status:
        event["event.action"] = status
    if status in _DELIVERED:
        event["event.outcome"] = "success"
    elif status in _REFUSED:
        event["event.outcome"] = "failure"


def _direction(event: Event, organisation: str) -> None:
    """Inbound or outbound by whose domain is the organisation's; the user is its own side."""
    if not organisation:
        return
    inside = {
        side: str(event.get(f"{side}.user.domain", "")).lower() == organisation
        for side in ("source", "destination")
    }
    if inside["source"] and inside["destination"]:
        event["email.direction"] = "internal"
    elif inside["destination"]:
        event["email.direction"] = "inbound"
    elif inside["source"]:
        event["email.direction"] = "outbound"
    own = "source" if inside["source"] else "destination" if inside["destination"] else ""
    for leaf in ("id", "name", "email") if own else ():
        if value := event.get(f"{own}.user.{leaf}"):
            event[f"user.{leaf}"] = value
