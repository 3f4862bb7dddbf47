"""One `WindowsEvent` to one flat ECS document: dispatch by provider and event id."""

from itertools import islice
from typing import NamedTuple

from normalize.windows import channels, channels_services, powershell, security, sysmon
from normalize.windows.classes import log_class
from normalize.windows.plan import Plan, compile_plan
from normalize.windows.record import MAX_FIELDS, EventData, Names, WindowsEvent
from normalize.windows.system import outcome_of, set_account
from normalize.windows.times import stamp, utc_ms
from samlog.event import Event, RawEvent
from samlog.remember import remembered

SYSMON = "microsoft-windows-sysmon"
FAMILIES: dict[str, dict[str, Plan]] = {
    **channels.FAMILIES,
    **channels_services.FAMILIES,
    SYSMON: sysmon.PLANS,
    "microsoft-windows-sysmon/operational": sysmon.PLANS,
    "linux-sysmon": sysmon.PLANS,
    "microsoft-windows-security-auditing": security.PLANS,
    "microsoft-windows-eventlog": security.PLANS,
    "security": security.PLANS,
    "powershell": powershell.CLASSIC,
    "windows powershell": powershell.CLASSIC,
    "microsoft-windows-powershell": powershell.OPERATIONAL,
    "microsoft-windows-powershell/operational": powershell.OPERATIONAL,
    "powershellcore": powershell.OPERATIONAL,
    "powershellcore/operational": powershell.OPERATIONAL,
}
"""By provider, in lower case; by channel where the shipper names no provider."""
DATASETS = {
    "security": "system.security",
    "system": "system.system",
    "application": "system.application",
    "microsoft-windows-sysmon/operational": "windows.sysmon_operational",
    "linux-sysmon/operational": "sysmon_linux.log",
    "windows powershell": "windows.powershell",
    "microsoft-windows-powershell/operational": "windows.powershell_operational",
    "powershellcore/operational": "windows.powershell_operational",
}
OTHER_DATASET = "windows.forwarded"
UNKNOWN = compile_plan()
EVENT_DATA = Names("winlog.event_data.")
USER_DATA = Names("winlog.user_data.")


class Route(NamedTuple):
    """What provider, channel and event id decide."""

    dataset: str
    plan: Plan
    is_sysmon: bool
    log_class: str


@remembered(4_096)
def route(channel: str, provider: str, code: str) -> Route:
    """Returns what is to be done with events of one kind; cached, since triples repeat."""
    family = (provider or channel).lower()
    if family.startswith("mssql$"):  # a named instance
        family = "mssqlserver"
    plans = FAMILIES.get(family, {})
    dataset = DATASETS.get(channel.lower(), OTHER_DATASET)
    found = log_class(channel, provider, code)
    plan = plans.get(code) or plans.get(powershell.OTHER, UNKNOWN)
    return Route(dataset, plan, plans is sysmon.PLANS, found)


def to_ecs(event: WindowsEvent, raw: RawEvent) -> Event:
    """Returns the document: System and EventData whole, and what the plan makes of them.

    UserData stands in ``winlog.user_data`` and, where EventData lacks the name, in
    ``winlog.event_data`` too: rules read both as one. A name with spaces is also there without.
    """
    out, data = event.out, event.data
    if event.user_data:
        _add_user_data(event)
    if " " in "".join(data):
        _add_plain_names(data)
    if len(data) > MAX_FIELDS:
        raw.tags.append("fields_cut")
        data = event.data = dict(islice(data.items(), MAX_FIELDS))
    way = route(event.channel, event.provider, event.code)
    begin(out, data, way)
    set_account(out)
    if event.settled:
        raw.settled = len(out)
    way.plan.run(out, data)
    if "event.outcome" not in out and (outcome := outcome_of(out)):
        out["event.outcome"] = outcome
    out["@timestamp"] = _instant(event, raw, way.is_sysmon)
    finish(out, way, event.channel)
    if event.irregular:
        raw.tags.append("unparsed_body")
    return out


def begin(out: Event, data: EventData, way: Route) -> None:
    """Adds EventData as it was sent, and what all events of a kind say."""
    out.update(zip(map(EVENT_DATA.__getitem__, data), data.values(), strict=True))
    out["event.kind"] = "event"
    out["event.dataset"] = way.dataset
    way.plan.start(out)


def finish(out: Event, way: Route, channel: str) -> None:
    """Adds what takes its value from fields of all parts: the action, the host, the origin."""
    if "event.action" not in out and (task := out.get("winlog.task")):
        out["event.action"] = task
    out["samlog.log_class"] = way.log_class
    computer = out.get("winlog.computer_name")
    if computer and "host.name" not in out:
        out["host.name"] = computer
    record = out.get("winlog.record_id")
    if record and computer and channel:
        out["samlog.origin"] = f"{computer}\x1f{channel}\x1f{record}"


def _instant(event: WindowsEvent, raw: RawEvent, is_sysmon: bool) -> str:
    if is_sysmon:
        utc = event.data.get("UtcTime")
        if isinstance(utc, str) and (instant := utc_ms(utc)):
            return instant
    return event.when() or stamp(raw.timestamp or raw.received_at)


def _add_user_data(event: WindowsEvent) -> None:
    for name, value in islice(event.user_data.items(), MAX_FIELDS):
        event.out[USER_DATA[name]] = value
        if name != "xml_name":
            event.data.setdefault(name, value)


def _add_plain_names(data: EventData) -> None:
    for name in [name for name in data if " " in name]:
        data.setdefault(name.replace(" ", ""), data[name])
