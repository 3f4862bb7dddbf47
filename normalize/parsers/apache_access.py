"""Apache access logs: common, combined, with virtual host, and mod_ssl's ssl_request_log.

Formats of mod_log_config and of the stock ``ssl-request`` CustomLog. ``-`` means "nothing" and sets
nothing. Where a line could be nginx's as well, Apache is taken when the size is ``-`` or referrer
and agent are missing; the hint ``apache_access`` or a path with apache or httpd decides for sure.
"""

import re

from normalize.accesslog import read_access, set_access
from normalize.times import clf_time
from normalize.web import WEB_CLASSES, set_client, set_request, set_server, set_status, unescape
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "apache_access"
VERSION = 1
HINTS = frozenset({"apache", "apache.access", "tomcat_access"})
PROGRAMS = frozenset({"apache", "apache2", "httpd"})
LOGSOURCES = ({"category": "webserver"}, {"product": "apache", "service": "apache"})
LOG_CLASSES = WEB_CLASSES
CONTENT = "text"
ORDER = 60
SPECIFICATION = (
    'Apache HTTP Server, mod_log_config ("Custom Log Formats"), mod_ssl ("Custom Log Formats")',
)
SETTINGS = r"""
`LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\"" combined`; behind a
load balancer mod_remoteip, so that `%h` is the client.
"""

_SSL = re.compile(
    r"\[(\d\d/[A-Za-z]{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] (\S{1,255}) (\S{1,32}) (\S{1,128}) "
    r'"([^"\\]*(?:\\.[^"\\]*)*)" (\d{1,18}|-)',
    re.DOTALL,
)
_PROTOCOL = re.compile(r"(TLS|SSL)v(\d(?:\.\d)?)")


def matches(raw: RawEvent) -> bool:
    """What only Apache writes; `normalize.parsers.nginx_access` takes the rest."""
    if raw.json is not None:
        return False
    line = read_access(raw.body)
    if line is None:
        return _SSL.match(raw.body) is not None
    path = str(raw.fields.get("log.file.path", "")).lower()
    known = raw.source in HINTS or raw.source == NAME or "apache" in path or "httpd" in path
    return known or line.size == "-" or line.agent is None or line.request == "-"


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_access_log``) what is no access log line."""
    event: Event = {
        "event.dataset": "apache.access",
        "event.category": ["web"],
        "event.type": ["access"],
    }
    if match := _SSL.match(raw.body):
        _ssl(event, match)
        return event
    line = read_access(raw.body)
    if line is None:
        raise BadEvent("not_access_log", "expected the common or combined log format")
    if line.server:
        set_server(event, line.server)
    if line.clients:
        event["apache.access.remote_addresses"] = list(line.clients)
        set_client(event, line.clients[0])
    set_access(event, line)
    return event


def _ssl(event: Event, match: re.Match[str]) -> None:
    time, client, protocol, cipher, request, size = match.groups()
    moment = clf_time(time)
    if moment is not None:
        event["@timestamp"] = moment
    set_client(event, client)
    event["apache.access.ssl.protocol"] = protocol
    event["apache.access.ssl.cipher"] = event["tls.cipher"] = cipher
    if version := _PROTOCOL.fullmatch(protocol):
        event["tls.version_protocol"] = version[1].lower()
        event["tls.version"] = version[2]
    set_request(event, unescape(request))
    set_status(event, "-", size)
