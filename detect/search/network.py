"""Networks as wildcards, for addresses that are kept as text.

IPv4 is looked for as such and as ``::ffff:a.b.c.d``, IPv6 shortened (RFC 5952) and with all its
zeros written as single digits, as Sysmon writes it.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from detect.search.regex import MAX_TEXT
from detect.search.syntax import with_gaps
from samlog.errors import RuleError

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_MAPPED = "::ffff:"
MAX_FORMS = 520
"""Wildcards that one network may stand for: all values of half a part of an IPv6 address, twice."""


def address_forms(network: str) -> list[str]:
    """Returns texts of which an address of ``network`` is one: ``*`` any text, ``?`` a character.

    Raises `RuleError` (``not_searchable``) for an IPv6 network that begins within a part of which
    too many values would have to be named.
    """
    found = ip_network(network)
    found = _mapped(found) or found
    if isinstance(found, IPv4Network):
        return list(_version_4(found))
    return list(dict.fromkeys(_version_6(found)))


def any_form(network: str) -> str:
    """Returns wildcards for every way in which an address of ``network`` may be written.

    And for much else: rules take outer spaces, a zone, and IPv4 in all forms of IPv6.
    """
    found = ip_network(network)
    if isinstance(found, IPv6Network) and not _mapped(found):
        return "*\\:*"
    found = _mapped(found) or found
    parts = str(found.network_address).split(".")[: found.prefixlen // 8]
    return f"(*{with_gaps('.'.join(parts))}* OR *\\:*)" if parts else "(*.* OR *\\:*)"


def usual_addresses(network: str) -> str:
    """Returns an expression for the IPv4 addresses of ``network`` as they are usually written.

    "" where there is none: IPv6 has too many forms.
    """
    found = ip_network(network)
    if not isinstance(found, IPv4Network) or not found.prefixlen:
        return ""
    forms = [form.removesuffix(".*") for form in _version_4(found) if ":" not in form]
    rest = 3 - forms[0].count(".")
    listed = "|".join(form.replace(".", "\\.") for form in forms)
    text = f"({listed})" + f"(\\.{_OCTET}){{{rest}}}" * bool(rest)
    return text if len(text) <= MAX_TEXT else ""


def _mapped(network: IPv4Network | IPv6Network) -> IPv4Network | None:
    """Returns the IPv4 network that an IPv6 network writes."""
    if isinstance(network, IPv4Network):
        return None
    first = network.network_address.ipv4_mapped
    if first is None or network.prefixlen < 96:
        return None
    return IPv4Network((first, network.prefixlen - 96))


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
