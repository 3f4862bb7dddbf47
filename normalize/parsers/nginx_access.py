"""nginx access logs: the combined format, optionally with the server's name in front.

``$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer"
"$http_user_agent"`` (ngx_http_log_module). Several addresses (X-Forwarded-For in front) are kept in
``nginx.access.remote_ip_list``; ``source.ip`` is the first public one, else the first.
"""

from ipaddress import ip_address

from normalize.accesslog import looks_like_access, read_access, set_access
from normalize.address import is_ip
from normalize.web import WEB_CLASSES, set_client, set_server
from samlog.errors import BadEvent
from samlog.event import Event, RawEvent

NAME = "nginx_access"
VERSION = 1
HINTS = frozenset({"nginx", "nginx.access"})
PROGRAMS = frozenset({"nginx"})
LOGSOURCES = ({"category": "webserver"}, {"product": "nginx"})
LOG_CLASSES = WEB_CLASSES
CONTENT = "text"
ORDER = 70
SPECIFICATION = ("nginx, ngx_http_log_module (`combined`)",)
SETTINGS = """
`access_log /var/log/nginx/access.log combined;`, behind a load balancer with
ngx_http_realip_module.
"""


def matches(raw: RawEvent) -> bool:
    """A client, a time in brackets and a quoted request."""
    return raw.json is None and looks_like_access(raw.body)


def parse(raw: RawEvent) -> Event:
    """Returns the event; refuses (``not_access_log``) what is no access log line."""
    line = read_access(raw.body)
    if line is None:
        raise BadEvent("not_access_log", "expected the combined log format")
    event: Event = {
        "event.dataset": "nginx.access",
        "event.category": ["web"],
        "event.type": ["access"],
    }
    if line.server:
        set_server(event, line.server)
    addresses = [client for client in line.clients if not client.startswith("unix:")]
    if addresses:
        event["nginx.access.remote_ip_list"] = addresses
    set_client(event, _client(line.clients))
    set_access(event, line)
    return event


def _client(clients: tuple[str, ...]) -> str:
    """Returns the first public address, else the first one."""
    for client in clients:
        if is_ip(client) and ip_address(client).is_global:
            return client
    return clients[0] if clients else ""
