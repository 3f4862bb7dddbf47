"""What the access logs of web servers have in common: request line, URL, status, user agent."""

import re
from urllib.parse import unquote

from normalize.address import is_ip, set_endpoint, set_port
from samlog.event import Event

_REQUEST = re.compile(r"([A-Za-z_-]{1,32}) (.*) HTTP/(\d(?:\.\d)?)\Z", re.DOTALL)
_OLD_REQUEST = re.compile(r"([A-Z]{1,32}) (\S+)\Z")
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,16})\Z")
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://([^/?#]{0,512})")
_HOST_PORT = re.compile(
    r"(?:(?P<user>[^@]*)@)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:@]*)(?::(?P<port>\d{1,5}))?"
)
_ESCAPED = re.compile(r"\\x([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "b": "\b", "f": "\f", "a": "\a"}

WEB_CLASSES = ("LC-13",)


def set_request(event: Event, request: str) -> None:
    """Reads ``GET /path?query HTTP/1.1``; what is no request sets nothing but stays in original."""
    match = _REQUEST.match(request)
    if match is not None:
        event["http.request.method"], target, event["http.version"] = match.groups()
        set_url(event, target)
    elif match := _OLD_REQUEST.match(request):
        event["http.request.method"] = match[1]
        set_url(event, match[2])


def set_url(event: Event, target: str) -> None:
    """Sets ``url.original``, ``.path``, ``.query``, ``.extension``; scheme and domain where given.

    Path and query are percent-decoded once, as Elastic's uri_parts does, so that a rule sees
    ``../`` whether it was encoded or not; ``url.original`` has what was sent.
    """
    event["url.original"] = target
    rest = target
    if match := _ABSOLUTE.match(target):
        event["url.scheme"] = match[1].lower()
        _authority(event, match[2])
        rest = target[match.end() :]
    rest, _, fragment = rest.partition("#")
    path, mark, query = rest.partition("?")
    if "%" in path:
        path = unquote(path, errors="replace")
    if path:
        event["url.path"] = path
    if mark and query:
        event["url.query"] = unquote(query, errors="replace") if "%" in query else query
    if fragment:
        event["url.fragment"] = fragment
    if extension := _EXTENSION.search(path[-20:]):
        event["url.extension"] = extension[1]


def _authority(event: Event, authority: str) -> None:
    match = _HOST_PORT.fullmatch(authority)
    if match is None:
        return
    if match["host"]:
        event["url.domain"] = match["host"]
    if match["user"]:
        event["url.username"] = match["user"].partition(":")[0]
    if match["port"]:
        set_port(event, "url", match["port"])


def set_status(event: Event, status: str, size: str) -> None:
    """Sets the response's status and body size; the outcome is failure from 400 on."""
    if status.isdecimal():
        code = int(status)
        event["http.response.status_code"] = code
        event["event.outcome"] = "success" if code < 400 else "failure"
    if size.isdecimal():
        event["http.response.body.bytes"] = int(size)


def set_server(event: Event, server: str) -> None:
    """Sets what a virtual host's name in front of the line says about the destination."""
    host, port = server, ""
    if server.count(":") == 1:
        host, _, port = server.partition(":")
    if is_ip(host):
        event["destination.ip"] = host
    elif host:
        event["destination.domain"] = event["url.domain"] = host
    if port:
        set_port(event, "destination", port)


def set_client(event: Event, address: str) -> None:
    """Sets ``source.*`` from the client's address; a socket (``unix:``) has no domain."""
    if address.startswith("unix:"):
        event["source.address"] = address
    else:
        set_endpoint(event, "source", address)


def unescape(text: str) -> str:
    r"""Returns a quoted field as it was sent: ``\"``, ``\\`` and ``\xhh`` undone.

    nginx and Apache write bytes beyond ASCII as ``\xhh``; they are UTF-8 most of the time.
    """
    if "\\" not in text:
        return text
    raw = bytearray()
    at = 0
    for match in _ESCAPED.finditer(text):
        raw += text[at : match.start()].encode("utf-8", "surrogatepass")
        if match[1]:
            raw.append(int(match[1], 16))
        else:
            raw += _LETTERS.get(match[2], match[2]).encode("utf-8", "surrogatepass")
        at = match.end()
    raw += text[at:].encode("utf-8", "surrogatepass")
    return raw.decode("utf-8", "replace")
