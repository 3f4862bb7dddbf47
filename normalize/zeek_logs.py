"""Zeek's log types and connection states: what each one is in ECS."""

from collections.abc import Mapping
from typing import NamedTuple


class Log(NamedTuple):
    """Constants of a log. ``name`` is Elastic's (conn is connection), ``protocol`` may be ""."""

    name: str
    protocol: str = ""
    transport: str = ""
    category: tuple[str, ...] = ("network",)
    type: tuple[str, ...] = ("connection", "protocol")
    kind: str = "event"


_INFO = ("connection", "protocol", "info")
STATES = {
    "S0": ("Connection attempt seen, no reply.", ("connection", "start")),
    "S1": ("Connection established, not terminated.", ("connection", "start")),
    "SF": ("Normal establishment and termination.", ("connection", "start", "end")),
    "REJ": ("Connection attempt rejected.", ("connection", "start", "denied")),
    "S2": (
        "Connection established and close attempt by originator seen (but no reply from "
        "responder).",
        ("connection", "info"),
    ),
    "S3": (
        "Connection established and close attempt by responder seen (but no reply from "
        "originator).",
        ("connection", "info"),
    ),
    "RSTO": ("Connection established, originator aborted (sent a RST).", ("connection", "info")),
    "RSTR": ("Responder sent a RST.", ("connection", "info")),
    "RSTOS0": (
        "Originator sent a SYN followed by a RST, we never saw a SYN-ACK from the responder.",
        ("connection", "info"),
    ),
    "RSTRH": (
        "Responder sent a SYN ACK followed by a RST, we never saw a SYN from the (purported) "
        "originator.",
        ("connection", "info"),
    ),
    "SH": (
        "Originator sent a SYN followed by a FIN, we never saw a SYN ACK from the responder (hence "
        "the connection was 'half' open).",
        ("connection", "info"),
    ),
    "SHR": (
        "Responder sent a SYN ACK followed by a FIN, we never saw a SYN from the originator.",
        ("connection", "info"),
    ),
    "OTH": (
        "No SYN seen, just midstream traffic (a 'partial connection' that was not later closed).",
        ("connection", "info"),
    ),
}
"""``conn_state`` of Zeek's conn.log: Zeek's own words, and the event types that follow."""

_METRICS = ("capture_loss", "prof", "stats", "telemetry", "weird_stats")
_WITH_PROTOCOL = (
    *("dnp3", "ftp", "irc", "kerberos", "ldap", "modbus", "mysql", "ntlm", "postgresql", "rdp"),
    *("rfb", "smtp", "socks", "websocket"),
)
_UDP = ("dhcp", "ntp", "radius", "quic")
_WITHOUT_FLOW = (
    *("broker", "cluster", "config", "loaded_scripts", "netcontrol", "packet_filter"),
    *("reporter", "stderr", "stdout"),
)
LOGS: Mapping[str, Log] = {
    "conn": Log("connection"),
    "connection": Log("connection"),
    "dns": Log("dns", "dns", "", type=_INFO),
    "http": Log("http", "http", "tcp", ("network", "web"), _INFO),
    "ssl": Log("ssl", "", "tcp"),
    "files": Log("files", category=("file",), type=("info",)),
    "pe": Log("pe", category=("file",), type=("info",)),
    "x509": Log("x509", category=("file",), type=("info",)),
    "ocsp": Log("ocsp", "", "tcp", (), ()),
    "dce_rpc": Log("dce_rpc", "dce_rpc", "tcp", type=_INFO),
    "smb_cmd": Log("smb_cmd", "smb", "tcp", type=_INFO),
    "smb_files": Log("smb_files", "smb", "tcp", ("network", "file"), _INFO),
    "smb_mapping": Log("smb_mapping", "smb", "tcp"),
    "ldap_search": Log("ldap_search", "ldap", "tcp"),
    "notice": Log("notice", category=("intrusion_detection",), type=("info",), kind="alert"),
    "intel": Log("intel", category=("threat",), type=("indicator",), kind="enrichment"),
    "signatures": Log("signature", category=("intrusion_detection",), type=("info",), kind="alert"),
    "signature": Log("signature", category=("intrusion_detection",), type=("info",), kind="alert"),
    "weird": Log("weird", type=("info",), kind="event"),
    "dpd": Log("dpd", type=("connection", "info")),
    "analyzer": Log("analyzer", type=("info",)),
    "traceroute": Log("traceroute", type=("info",)),
    "tunnel": Log("tunnel", type=("connection",)),
    "known_hosts": Log("known_hosts", category=("network", "host"), type=("info",)),
    "known_services": Log("known_services", category=("network", "host"), type=("info",)),
    "known_certs": Log("known_certs", category=("network", "host"), type=("info",)),
    "software": Log("software", category=("network", "host"), type=("info",)),
    "ssh": Log("ssh", "ssh", "tcp"),
    "sip": Log("sip", "sip", "udp"),
    "snmp": Log("snmp", "snmp", "udp"),
    "syslog": Log("syslog", "syslog", "udp", (), ()),
    **{name: Log(name, name, "tcp", type=_INFO) for name in _WITH_PROTOCOL},
    **{name: Log(name, name, "udp", type=_INFO) for name in _UDP},
    **{name: Log(name, type=("info",)) for name in _WITHOUT_FLOW},
    **{name: Log(name, category=(), type=("info",), kind="metric") for name in _METRICS},
}
"""``_path`` of a log to what it is. A log that is not here is stored as ``zeek.other``."""
