"""Requests that web servers and proxies log, by the W3C names that Sigma uses.

SigmaHQ's rules look for paths in ``cs-uri-query`` as often as for parameters, and for encoded
text as well as for plain: that field, and the URI itself, are looked up both in what was sent
(``url.original``) and in the decoded parts.
"""

from detect.logsource import Fields, Source
from detect.text import Slot

WEBSERVERS = {
    "apache": ("apache.access",),
    "nginx": ("nginx.access", "nginx_ingress_controller.access"),
    "iis": ("iis.access",),
    "haproxy": ("haproxy.log",),
    "traefik": ("traefik.access",),
    "tomcat": ("apache_tomcat.access",),
    "waf": ("aws.waf",),
}
ERROR_LOGS = {"apache": ("apache.error",), "nginx": ("nginx.error",)}
PROXIES = ("squid.log", "zscaler_zia.web", "zeek.http")

_URI: Slot = frozenset({"url.original", "url.path", "url.query"})

REQUEST = Fields(
    {
        "c-ip": ("source.ip", "source.address", "client.ip"),
        "c-uri": _URI,
        "c-uri-extension": "url.extension",
        "c-uri-query": _URI,
        "c-uri-stem": "url.path",
        "c-useragent": "user_agent.original",
        "cs-bytes": "http.request.bytes",
        "cs-content-type": "http.request.mime_type",
        "cs-host": ("url.domain", "destination.domain", "destination.address"),
        "cs-method": "http.request.method",
        "cs-referer": "http.request.referrer",
        "cs-referrer": "http.request.referrer",
        "cs-uri": _URI,
        "cs-uri-query": _URI,
        "cs-uri-stem": "url.path",
        "cs-user-agent": "user_agent.original",
        "cs-username": "user.name",
        "cs-version": "http.version",
        "dst_ip": "destination.ip",
        "dst_port": "destination.port",
        "sc-bytes": "http.response.bytes",
        "sc-status": "http.response.status_code",
        "src_ip": "source.ip",
        "src_port": "source.port",
    }
)

LINE = Fields({})

SOURCES: tuple[Source, ...] = (
    *(
        Source("", "webserver", service, {"event.dataset": datasets}, REQUEST)
        for service, datasets in WEBSERVERS.items()
    ),
    *(
        Source("", "", service, {"event.dataset": datasets}, LINE)
        for service, datasets in ERROR_LOGS.items()
    ),
    Source("", "proxy", "", {"event.dataset": PROXIES}, REQUEST),
)
