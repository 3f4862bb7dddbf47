"""Network fields of Windows events: domain parts, DNS answers, Community ID."""

from functools import lru_cache

from publicsuffixlist import PublicSuffixList

from normalize.community import community_id
from normalize.windows.values import ip
from samlog.event import Event
from samlog.remember import remembered

TRANSPORTS = {"1": "icmp", "2": "igmp", "6": "tcp", "17": "udp", "58": "ipv6-icmp", "132": "sctp"}
DNS_TYPES = {
    "1": "A",
    "2": "NS",
    "5": "CNAME",
    "6": "SOA",
    "10": "NULL",
    "12": "PTR",
    "13": "HINFO",
    "15": "MX",
    "16": "TXT",
    "17": "RP",
    "18": "AFSDB",
    "24": "SIG",
    "25": "KEY",
    "28": "AAAA",
    "29": "LOC",
    "33": "SRV",
    "35": "NAPTR",
    "39": "DNAME",
    "41": "OPT",
    "43": "DS",
    "44": "SSHFP",
    "46": "RRSIG",
    "47": "NSEC",
    "48": "DNSKEY",
    "50": "NSEC3",
    "52": "TLSA",
    "64": "SVCB",
    "65": "HTTPS",
    "99": "SPF",
    "249": "TKEY",
    "250": "TSIG",
    "255": "ANY",
    "257": "CAA",
    "65281": "WINS",
    "65282": "WINSR",
}
"""DNS record types by number (IANA, and Microsoft's WINS)."""
MAX_ANSWERS = 256


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@remembered(8_192)
def domain_parts(name: str) -> tuple[tuple[str, str], ...]:
    """Returns top_level_domain, registered_domain and subdomain of a host name, where it has them.

    Parts follow the Public Suffix List that the library ``publicsuffixlist`` carries.
    """
    if len(name) > 253 or "." not in name.strip("."):
        return ()
    host = name.rstrip(".").lower()
    registered = _suffixes().privatesuffix(host)
    if not registered:
        return ()
    parts = [
        ("registered_domain", registered),
        ("top_level_domain", registered.partition(".")[2]),
    ]
    rest = host[: -len(registered)].rstrip(".")
    if rest:
        parts.append(("subdomain", rest))
    return tuple(parts)


def dns_question(out: Event, name: str) -> None:
    """Writes dns.question.* for a queried name."""
    out["dns.question.name"] = name
    for part, value in domain_parts(name):
        out["dns.question." + part] = value


def dns_answers(out: Event, results: str) -> None:
    """Writes dns.answers.*, dns.resolved_ip from Sysmon's ``type:  5 name;::ffff:1.2.3.4;``."""
    data: list[str] = []
    types: list[str] = []
    addresses: list[str] = []
    for part in results.split(";", MAX_ANSWERS)[:MAX_ANSWERS]:
        answer = part.strip()
        if answer.startswith("type:"):
            number, _, value = answer[5:].lstrip().partition(" ")
            types.append(DNS_TYPES.get(number, number))
            if value.strip():
                data.append(value.strip())
        elif answer and (address := ip(answer)) is not None:
            types.append("AAAA" if ":" in address else "A")
            data.append(address)
            addresses.append(address)
    if types:
        out["dns.answers.type"] = types
    if data:
        out["dns.answers.data"] = data
    if addresses:
        out["dns.resolved_ip"] = addresses
    names = [name for name in data if name not in addresses]
    question = out.get("dns.question.name")
    out["related.hosts"] = [question, *names] if question else names


def set_community_id(out: Event) -> None:
    """Writes network.community_id where both ends of a connection are known."""
    flow = [
        out.get(f"{end}.{part}") for part in ("ip", "port") for end in ("source", "destination")
    ]
    if None in flow:
        return
    found = community_id(*flow, str(out.get("network.transport")))
    if found:
        out["network.community_id"] = found
