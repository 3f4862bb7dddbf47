"""The ``saddr`` of SOCKADDR records: the address of a system call, in hex or in words."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from normalize.address import is_ip

_UNIX, _INET, _INET6, _VSOCK = 1, 2, 10, 40
_NAMES = {
    _UNIX: "unix",
    _INET: "inet",
    3: "ax25",
    4: "ipx",
    5: "appletalk",
    9: "x25",
    _INET6: "inet6",
    12: "decnet",
    15: "key",
    16: "netlink",
    17: "packet",
    21: "rds",
    24: "pppox",
    26: "llc",
    29: "can",
    30: "tipc",
    31: "bluetooth",
    34: "isdn",
    38: "alg",
    39: "nfc",
    _VSOCK: "vsock",
    42: "qipcrtr",
    44: "xdp",
}
"""Address families of linux/socket.h that a record may hold."""
_MAX_HEX = 512
_WORD = re.compile(r"(saddr_fam|fam|laddr|lport|path)=([^\s}]{1,200})")
_FAMILIES = {"ipv4": "inet", "ipv6": "inet6", "local": "unix", "file": "unix"}


class Address(NamedTuple):
    """``family`` is "" where it is not known; ``ip`` and ``path`` are "" where there is none."""

    family: str
    ip: str = ""
    port: int | None = None
    path: str = ""


def read_address(saddr: str) -> Address:
    """Returns what ``saddr`` says; an `Address` without anything where it is damaged.

    The family has the byte order of the machine; port and address that of the network (ip(7),
    ipv6(7), unix(7)). A leading zero byte of a UNIX path is written ``@``. The words are those of
    auditd's ENRICHED format and of ausearch -i: ``saddr_fam=inet laddr=192.0.2.7 lport=443``.
    """
    saddr = saddr[:_MAX_HEX]
    if "=" in saddr:
        return _from_words(saddr)
    try:
        # cut off within a byte, the rest still counts
        data = bytes.fromhex(saddr[: len(saddr) & ~1])
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


def _from_words(text: str) -> Address:
    found = dict(_WORD.findall(text))
    family = found.get("saddr_fam") or found.get("fam") or ""
    ip, port = found.get("laddr", ""), found.get("lport", "")
    known = port.isascii() and port.isdecimal() and len(port) < 6
    return Address(
        _FAMILIES.get(family, family),
        ip if is_ip(ip) else "",
        int(port) if known else None,
        found.get("path", ""),
    )
