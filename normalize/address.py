"""Addresses and ports as logs write them, to ECS fields."""

from samlog.ecs_types import to_ip
from samlog.event import Event
from samlog.remember import remembered

_MAX_NAME = 255


@remembered(65_536)
def is_ip(text: str) -> bool:
    """Tells whether ``text`` is an IPv4 or IPv6 address and nothing else."""
    try:
        to_ip(text)
    except ValueError:
        return False
    return True


def set_endpoint(event: Event, side: str, address: str, port: str | int | None = None) -> None:
    """Sets ``<side>.address`` and, by what it is, ``<side>.ip`` or ``<side>.domain``.

    ``side`` is source, destination, client or server. "" and "-" set nothing.
    """
    if not address or address == "-":
        return
    event[side + ".address"] = address
    if is_ip(address):
        event[side + ".ip"] = address
    elif len(address) <= _MAX_NAME:
        event[side + ".domain"] = address
    if port is not None:
        set_port(event, side, port)


def set_port(event: Event, side: str, port: str | int) -> None:
    """Sets ``<side>.port`` when it is one (0 to 65,535)."""
    if isinstance(port, str):
        if not (port.isascii() and port.isdecimal() and len(port) <= 5):
            return
        port = int(port)
    if 0 <= port <= 65535:
        event[side + ".port"] = port
