"""Any program that logs through syslog, and that no other parser knows.

RFC 3164 and RFC 5424 headers are read by the frame; the body becomes ``message``. Dataset
``system.syslog``; ``system.auth`` for the facilities auth and authpriv and for files that the
operator calls ``linux_auth``.
"""

from normalize.linux_auth import is_pam, user_line
from samlog.event import Event, RawEvent

NAME = "syslog"
VERSION = 1
HINTS = frozenset({"linux_syslog", "system.syslog"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"product": "linux", "service": "syslog"},)
LOG_CLASSES: tuple[str, ...] = ()
SPECIFICATION = (
    "RFC 5424; RFC 3164",
    "rsyslog, templates RSYSLOG_TraditionalFileFormat, RSYSLOG_FileFormat, "
    "RSYSLOG_SyslogProtocol23Format",
    "BusyBox, syslogd",
)
SETTINGS = """
Prefer RFC 5424 over TCP with TLS (rsyslog `template="RSYSLOG_SyslogProtocol23Format"`): its time
has a year, a zone and fractions of a second. Otherwise set `tz:` of the source to the device's
zone. Raise `$MaxMessageSize` to 64k; rsyslog cuts at 8 kB.
"""

_AUTH = (4, 10)


def matches(raw: RawEvent) -> bool:
    """A syslog header was found."""
    return bool(raw.program or raw.host)


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    facility = raw.fields.get("log.syslog.facility.code")
    if raw.source == "linux_auth" or facility in _AUTH or is_pam(raw.body):
        return user_line(raw)
    return {"event.dataset": "system.syslog", "message": raw.body}
