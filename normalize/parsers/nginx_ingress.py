"""Ingress NGINX controller of Kubernetes: access lines in ``upstreaminfo``, and its klog lines.

Formats: "Log format" of the ingress-nginx guide (combined, then request length and time, the
upstream, its address, length, time and status, the request id), and klog's header of the
controller itself. klog lines of other programs look the same: they are read here with the hint,
or when the path or container names ingress.
"""

import re

from normalize.accesslog import Access, looks_like_access, read_access, set_access
from normalize.times import syslog_time, zone
from normalize.web import WEB_CLASSES, set_client
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "nginx_ingress"
VERSION = 1
HINTS = frozenset({"nginx_ingress_controller", "ingress_nginx"})
PROGRAMS: frozenset[str] = frozenset()
LOGSOURCES = ({"category": "webserver"},)
LOG_CLASSES = WEB_CLASSES
CONTENT = "text"
ORDER = 65
SPECIFICATION = (
    'ingress-nginx, user guide "Log format" (upstreaminfo); klog: k8s.io/klog, "Header formatting"',
)
SETTINGS = """
Collect the controller's standard output. The path of the file names the container: keep it in
`log.file.path`.
"""

_BETWEEN = r"(?:, | : )"
_ADDRESSES = rf"((?:[^\s,]{{1,255}})(?:{_BETWEEN}[^\s,]{{1,255}}){{0,31}})"
_NUMBERS = rf"((?:[\d.]{{1,18}}|-)(?:{_BETWEEN}(?:[\d.]{{1,18}}|-)){{0,31}})"
_UPSTREAM = re.compile(
    r"(\d{1,18}) ([\d.]{1,20}) \[([^\]]{0,253})\] \[([^\]]{0,253})\]"
    rf" {_ADDRESSES} {_NUMBERS} {_NUMBERS} {_NUMBERS} ([0-9A-Za-z-]{{1,64}})\Z"
)
_KLOG = re.compile(
    r"([IWEF])(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) {1,8}(\d{1,10})"
    r" ([^\s:\]]{1,128}):(\d{1,7})\] "
)
_LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "fatal"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAX_TAIL = 2_048


def matches(raw: RawEvent) -> bool:
    """An access line with the upstream's part behind, or a klog line of an ingress."""
    if raw.json is not None:
        return False
    if looks_like_access(raw.body):
        if "] [" not in raw.body:  # 0.3 us instead of 9 for a line of nginx's own
            return False
        line = read_access(raw.body)
        return line is not None and _upstream(line) is not None
    if _KLOG.match(raw.body) is None:
        return False
    path = str(raw.fields.get("log.file.path", "")).lower()
    return raw.source in HINTS or raw.source == NAME or "ingress" in path


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_ingress``) lines of neither kind."""
    if match := _KLOG.match(raw.body):
        return _klog(raw, match)
    line = read_access(raw.body)
    if line is None:
        raise BadEvent("not_ingress", "expected upstreaminfo or a klog line")
    event: Event = {
        "event.dataset": "nginx_ingress_controller.access",
        "event.category": ["web"],
        "event.type": ["access"],
    }
    if line.clients:
        event["nginx_ingress_controller.access.remote_ip_list"] = list(line.clients)
        set_client(event, line.clients[0])
    set_access(event, line)
    match = _upstream(line)
    if match is not None:
        _set_upstream(event, match)
    return event


def _upstream(line: Access) -> re.Match[str] | None:
    return _UPSTREAM.match(line.rest) if len(line.rest) <= _MAX_TAIL else None


def _set_upstream(event: Event, match: re.Match[str]) -> None:
    """What the ingress asked of a pod; several attempts are separated by commas."""
    length, seconds, name, other, address, size, time, status, request = match.groups()
    event["http.request.bytes"] = int(length)
    event["http.request.id"] = request
    prefix = "nginx_ingress_controller.access."
    for field, value in (
        ("http.request.time", seconds),
        ("upstream.name", name),
        ("upstream.alternative_name", other),
        ("upstream.address", address),
        ("upstream.response.length", size),
        ("upstream.response.time", time),
        ("upstream.response.status_code", status),
    ):
        if value and value != "-":
            event[prefix + field] = value


def _klog(raw: RawEvent, match: re.Match[str]) -> Event:
    """``Lmmdd hh:mm:ss.uuuuuu threadid file:line] text`` of k8s.io/klog; it has no year."""
    letter, month, day, hour, minute, second, micro, thread, file, line = match.groups()
    event: Event = {
        "event.dataset": "nginx_ingress_controller.error",
        "event.category": ["web"],
        "event.type": ["error" if letter in "EF" else "info"],
        "log.level": _LEVELS[letter],
        "process.thread.id": int(thread),
        "log.origin.file.name": file,
        "log.origin.file.line": int(line),
        "message": raw.body[match.end() :],
    }
    tz = zone(raw.tz)
    if tz is not None and 1 <= int(month) <= 12:
        stamp = f"{_MONTHS[int(month) - 1]} {day} {hour}:{minute}"
        moment = syslog_time(stamp, int(second), micro, 0, tz, raw.received_at)
        if moment is not None:
            event["@timestamp"] = moment
    return event
