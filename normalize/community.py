"""Community ID version 1 (the open flow hashing standard of Corelight), seed 0.

The same flow has the same id whichever side or tool saw it: ``network.community_id``.
"""

from base64 import b64encode
from hashlib import sha1
from socket import AF_INET, AF_INET6, inet_pton
from struct import pack

from samlog.remember import remembered

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmp6": 58, "sctp": 132}
PORTLESS = {"igmp": 2, "gre": 47, "esp": 50, "ah": 51, "eigrp": 88, "ospf": 89, "pim": 103}
"""Protocols without ports: the hash leaves them out."""
_ICMP4 = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 10: 9, 9: 10, 17: 18, 18: 17}
_ICMP6 = {128: 129, 129: 128, 133: 134, 134: 133, 135: 136, 136: 135}
_ICMP6 |= {130: 131, 131: 130, 144: 145, 145: 144, 139: 140, 140: 139}


@remembered(16_384)
def community_id(
    source: str, destination: str, source_port: int, destination_port: int, transport: str
) -> str:
    """Returns ``1:`` and the Base64 of the flow's SHA-1; "" when it cannot be computed.

    For ICMP the ports are type and code, as Zeek writes them.
    """
    ports = transport in PROTOCOLS
    protocol = PROTOCOLS[transport] if ports else PORTLESS.get(transport)
    if protocol is None or not (0 <= source_port <= 65535 and 0 <= destination_port <= 65535):
        return ""
    try:
        left, right = _packed(source), _packed(destination)
    except (OSError, ValueError):
        return ""
    if not ports:
        source_port = destination_port = 0
    one_way = False
    if protocol in (1, 58):
        answers = _ICMP4 if protocol == 1 else _ICMP6
        if source_port in answers:
            destination_port = answers[source_port]
        else:
            one_way = True
    if not one_way and (left, source_port) > (right, destination_port):
        left, right = right, left
        source_port, destination_port = destination_port, source_port
    material = b"\0\0" + left + right + pack(">BB", protocol, 0)
    if ports:
        material += pack(">HH", source_port, destination_port)
    return "1:" + b64encode(sha1(material, usedforsecurity=False).digest()).decode()


def _packed(address: str) -> bytes:
    return inet_pton(AF_INET6 if ":" in address else AF_INET, address)
