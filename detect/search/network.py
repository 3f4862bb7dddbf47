"""Networks as wildcards, for addresses that are kept as text.

IPv4 is looked for as such and as ``::ffff:a.b.c.d``, IPv6 shortened (RFC 5952) and with all its
zeros written as single digits, as Sysmon writes it.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from samlog.errors import RuleError

_MAPPED = "::ffff:"
MAX_FORMS = 520
"""Wildcards that one network may stand for: all values of half a part of an IPv6 address, twice."""


def address_forms(network: str) -> list[str]:
    """Returns texts of which an address of ``network`` is one: ``*`` any text, ``?`` a character.

    Raises `RuleError` (``not_searchable``) for an IPv6 network that begins within a part of which
    too many values would have to be named.
    """
    found = ip_network(network)
    if isinstance(found, IPv4Network):
        return list(_version_4(found))
    mapped = found.network_address.ipv4_mapped
    if mapped is not None and found.prefixlen >= 96:
        return list(_version_4(IPv4Network((mapped, found.prefixlen - 96))))
    return list(dict.fromkeys(_version_6(found)))


def _version_4(network: IPv4Network) -> Iterator[str]:
    if network.prefixlen == 0:
        yield "*.*.*.*"
        return
    parts = -(-network.prefixlen // 8)
    rest = ".*" if parts < 4 else ""
    step = 1 << (32 - 8 * parts)
    first, last = int(network.network_address), int(network.broadcast_address)
    for number in range(first, last + 1, step):
        form = ".".join(str(IPv4Address(number)).split(".")[:parts]) + rest
        yield form
        yield _MAPPED + form


def _version_6(network: IPv6Network) -> Iterator[str]:
    parts, bits = divmod(network.prefixlen, 16)
    groups = [int(part, 16) for part in network.network_address.exploded.split(":")]
    whole = [f"{group:x}" for group in groups[:parts]]
    if not bits:
        yield from _below(whole) if parts < 8 else _written(network.network_address)
        return
    for part in _parts(groups[parts], bits, network):
        yield ":".join([*whole, part]) + (":*" if parts < 7 else "")
    if whole and not groups[parts]:
        yield ":".join(whole) + "::*"


def _parts(first: int, bits: int, network: IPv6Network) -> Iterator[str]:
    """Yields the forms of a part of which the upper ``bits`` are those of ``first``."""
    if first >= 0x1000:
        # Four digits whatever they are: those that are free need no list.
        digits, partly = divmod(bits, 4)
        fixed = f"{first:x}"[:digits]
        if not partly:
            yield fixed + "?" * (4 - digits)
            return
        start = int(f"{first:x}"[digits], 16)
        for digit in range(start, start + (1 << (4 - partly))):
            yield f"{fixed}{digit:x}" + "?" * (3 - digits)
        return
    if not first and bits % 4 == 0:
        for digits in range(1, (16 - bits) // 4 + 1):
            yield "?" * digits
        return
    if 1 << (16 - bits) > MAX_FORMS:
        raise RuleError(f"the network {network} is too wide", reason="not_searchable")
    for number in range(first, first + (1 << (16 - bits))):
        yield f"{number:x}"


def _below(whole: list[str]) -> Iterator[str]:
    """Yields the forms of all addresses whose first parts are ``whole``."""
    yield ":".join([*whole, "*"]) if whole else "*:*"
    shorter = list(whole)
    while shorter and shorter[-1] == "0":
        shorter.pop()
    if len(shorter) < len(whole):
        yield ":".join(shorter) + "::*"


def _written(address: IPv6Address) -> Iterator[str]:
    yield str(address)
    yield ":".join(f"{int(part, 16):x}" for part in address.exploded.split(":"))
