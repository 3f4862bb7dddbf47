"""Zeek's logs by Zeek's own names, and by the names of the dns and proxy categories."""

from detect.logsource import Fields, Source
from detect.mappings.web import REQUEST
from detect.text import Slot

LOGS = (
    "conn",
    "dce_rpc",
    "dhcp",
    "dns",
    "dnp3",
    "files",
    "ftp",
    "http",
    "intel",
    "irc",
    "kerberos",
    "modbus",
    "mysql",
    "notice",
    "ntlm",
    "ntp",
    "pe",
    "radius",
    "rdp",
    "rfb",
    "sip",
    "smb_cmd",
    "smb_files",
    "smb_mapping",
    "smtp",
    "snmp",
    "socks",
    "software",
    "ssh",
    "ssl",
    "syslog",
    "traceroute",
    "tunnel",
    "weird",
    "x509",
)
"""Service → dataset ``zeek.<service>``; Elastic calls conn ``zeek.connection``."""

_FLOW: dict[str, Slot] = {
    "id.orig_h": ("source.ip", "source.address"),
    "id.orig_p": "source.port",
    "id.resp_h": ("destination.ip", "destination.address"),
    "id.resp_p": "destination.port",
    "uid": "zeek.session_id",
}
_WEB_NAMES: dict[str, Slot] = {
    name: slot for name, slot in REQUEST.names.items() if name.startswith(("c-", "cs-", "sc-"))
}


def _dataset(log: str) -> str:
    return "connection" if log == "conn" else log


def _fields(log: str) -> Fields:
    names = {**_FLOW, **_WEB_NAMES} if log == "http" else _FLOW
    return Fields(names, prefix=f"zeek.{_dataset(log)}.")


DNS = Fields(
    {
        "answer": "zeek.dns.answers",
        "query": "dns.question.name",
        "record_type": "dns.question.type",
        "src_ip": "source.ip",
        "dst_ip": "destination.ip",
    }
)

FLOW = Fields(
    {
        "dst_ip": "destination.ip",
        "dst_port": "destination.port",
        "src_ip": "source.ip",
        "src_port": "source.port",
    }
)
"""Of the firewall category; Zeek allows and blocks nothing, so there is no action."""

SOURCES: tuple[Source, ...] = (
    *(
        Source("zeek", "", log, {"event.dataset": (f"zeek.{_dataset(log)}",)}, _fields(log))
        for log in LOGS
    ),
    Source("", "dns", "", {"event.dataset": ("zeek.dns",)}, DNS),
    Source("", "firewall", "", {"event.dataset": ("zeek.connection",)}, FLOW),
)
