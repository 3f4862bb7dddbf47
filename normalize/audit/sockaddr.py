"""The ``saddr`` of SOCKADDR records: the sockaddr structure of a system call, in hex."""

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_NAMES = {_UNIX: "unix", _INET: "inet", _INET6: "inet6", _NETLINK: "netlink"}
_MAX_HEX = 512


class Address(NamedTuple):
    """``family`` is "" where it is not known; ``ip`` and ``path`` are "" where there is none."""

    family: str
    ip: str = ""
    port: int | None = None
    path: str = ""


def read_address(saddr: str) -> Address:
    """Returns what ``saddr`` says; an `Address` without anything where it is damaged.

    The family has the byte order of the machine; port and address that of the network (ip(7),
    ipv6(7), unix(7)). A leading zero byte of a UNIX path is written ``@``.
    """
    try:
        data = bytes.fromhex(saddr[:_MAX_HEX])
    except ValueError:
        return Address("")
    if len(data) < 2:
        return Address("")
    family = data[0] or data[1]
    name = _NAMES.get(family, str(family))
    if family == _INET and len(data) >= 8:
        return Address(name, str(IPv4Address(data[4:8])), int.from_bytes(data[2:4], "big"))
    if family == _INET6 and len(data) >= 24:
        ip = IPv6Address(data[8:24])
        return Address(name, str(ip.ipv4_mapped or ip), int.from_bytes(data[2:4], "big"))
    if family == _UNIX:
        abstract = data[2:3] == b"\0"
        path = data[3 if abstract else 2 :].partition(b"\0")[0].decode("utf-8", "replace")
        return Address(name, path=("@" if abstract else "") + path)
    return Address(name)
