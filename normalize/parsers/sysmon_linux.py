"""Sysmon for Linux: the XML of Sysmon's events in syslog, or in an agent's envelope.

Same schema and event ids as on Windows, read by the same code: processes, files, network
connections; event data whole below ``winlog.event_data``. Dataset ``sysmon_linux.log``, so that
rules for Linux see it and rules for Windows do not.
"""

from normalize.parsers import windows
from samlog.event import Event, RawEvent

NAME = "sysmon_linux"
VERSION = 3
HINTS = frozenset({"linux_sysmon", "sysmon_linux.log"})
PROGRAMS = frozenset({"sysmon"})
LOGSOURCES = (
    {"product": "linux", "service": "sysmon"},
    {"product": "linux", "category": "process_creation"},
    {"product": "linux", "category": "file_event"},
    {"product": "linux", "category": "network_connection"},
)
LOG_CLASSES = ("LC-05",)
ORDER = 30
KEYS = frozenset(("winlog",))
SPECIFICATION = (
    "Sysinternals, SysmonForLinux, README and schema (`sysmon -s`)",
    'Sysinternals, Sysmon, "Events"',
)
SETTINGS = """
Install with a configuration that has ProcessCreate, NetworkConnect and FileCreate (`sysmon
-accepteula -i config.xml`). It logs to syslog: send the program `sysmon` whole; its lines are 2
to 8 kB, so raise rsyslog's `$MaxMessageSize`, and use no UDP.
"""

CHANNEL = "Linux-Sysmon/Operational"
NO_NAME = "(null)"
"""The image of a process that was gone before it could be asked."""
_HEAD = 300
_SYSTEM = ("provider_name", "opcode", "version", "task")


def matches(raw: RawEvent) -> bool:
    """XML of an event whose provider is Linux-Sysmon, or Winlogbeat's form of its channel."""
    if raw.json is not None:
        winlog = raw.json.get("winlog")
        return isinstance(winlog, dict) and winlog.get("channel") == CHANNEL
    return raw.body.startswith("<Event>") and "Linux-Sysmon" in raw.body[:_HEAD]


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses what `normalize.parsers.windows` refuses."""
    _lift(raw)
    event = windows.parse(raw)
    event["event.dataset"] = "sysmon_linux.log"
    event["host.os.type"] = "linux"
    if isinstance(name := event.get("host.name"), str):
        event.setdefault("host.hostname", name)
    if event.get("process.name") == NO_NAME:
        del event["process.name"]
    return event


def _lift(raw: RawEvent) -> None:
    """Puts right what Elastic Agent's decoder leaves among the event data: the provider's name.

    Without it an event belongs to no provider.
    """
    winlog = raw.json.get("winlog") if raw.json is not None else None
    data = winlog.get("event_data") if isinstance(winlog, dict) else None
    if raw.json is None or not isinstance(winlog, dict) or not isinstance(data, dict):
        return
    lifted = {key: data[key] for key in _SYSTEM if key in data and key not in winlog}
    if lifted:
        rest = {key: value for key, value in data.items() if key not in lifted}
        raw.json = {**raw.json, "winlog": {**winlog, **lifted, "event_data": rest}}
