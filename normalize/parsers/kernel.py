"""The Linux kernel's own lines (facility kern): packets that a firewall logged, and what it met.

Format: printk, with ``[seconds since boot]`` before the text or without. Lines of iptables,
nftables, ufw and firewalld (``IN=eth0 OUT= .. SRC= DST=``) become dataset ``iptables.log`` with
``source.*``, ``destination.*``, ``network.*`` and, where the rule's prefix says so,
``event.action`` and ``event.type`` denied or allowed. Audit records that the kernel prints itself
are read as the parser auditd reads them. Programs that crashed or were killed for want of memory,
USB devices, promiscuous interfaces, foreign kernel modules, forged source addresses, floods of
connections and what lockdown refused have ``event.action``; everything else keeps its ``message``.
"""

import re

from normalize.address import set_endpoint, set_port
from normalize.netfilter import is_packet, is_rest, packet
from normalize.parsers import auditd
from samlog.event import Event, RawEvent

NAME = "kernel"
VERSION = 2
HINTS = frozenset({"linux_syslog", "system.syslog", "iptables", "iptables.log"})
PROGRAMS = frozenset({"kernel"})
LOGSOURCES = ({"product": "linux", "service": "syslog"},)
LOG_CLASSES = ("LC-05", "LC-07")
CONTENT = "text"
ORDER = 60
SPECIFICATION = (
    "Linux, Documentation/core-api/printk-basics.rst",
    "Linux, net/ipv4/netfilter/nf_log_ipv4.c and nf_log_ipv6.c; iptables-extensions(8), LOG",
    'ufw(8), "LOGGING"; Linux, Documentation/networking/ip-sysctl.rst, log_martians',
)
SETTINGS = """
Give each logging rule a prefix that says what becomes of the packet (`--log-prefix "DROP "`,
nftables `log prefix "DROP "`), limited (`-m limit`), and leave the facility kern in what is sent.
Forged source addresses are logged with `net.ipv4.conf.all.log_martians=1`.
"""

_UPTIME = re.compile(r"\[ {0,8}\d{1,10}\.\d{1,9}\] ?")
_CRASHED = re.compile(r"(\S{1,64})\[(\d{1,10})\]: segfault at |traps: (\S{1,64})\[(\d{1,10})\] ")
_KILLED = re.compile(
    r"(?:Out of memory|Memory cgroup out of memory): Kill(?:ed)? process (\d{1,10}) \((.{1,64}?)\)"
)
_USB = re.compile(
    r"usb \S{1,32}: New USB device found, idVendor=([0-9a-f]{4}), idProduct=([0-9a-f]{4})"
)
_DEVICE = re.compile(
    r"device (\S{1,32}) (entered|left) promiscuous mode|(\S{1,32}): (entered|left) promiscuous mode"
)
_MODULE = re.compile(
    r"(\S{1,64}): (?:loading out-of-tree module taints kernel|module verification failed)"
)
_MARTIAN = re.compile(r"(?:IPv4: )?martian source (\S{7,45}) from (\S{7,45}), on dev (\S{1,32})")
_FLOOD = re.compile(
    r"(?:request_sock_)?TCP(?:v6)?: (?:request_sock_TCP(?:v6)?: )?[Pp]ossible SYN flooding on port"
    r" (?:\S{1,45}?[:.])?(\d{1,5})\."
)
_PREFIX = re.compile(
    r"(?:\[ {0,12}\d{1,10}\.\d{1,9}\] ?)?(?:\[[\w .:-]{1,48}\])?[\w .:,#*/-]{0,64}IN="
)
_CAPITALS = re.compile(r"[A-Z0-9_:. \[\]-]{0,32}?IN=")
_LOCKDOWN = re.compile(r"Lockdown: (\S{1,64}): (.{1,200}?) is restricted")


def matches(raw: RawEvent) -> bool:
    """The kernel's program name, or a logged packet under any name."""
    if raw.program == "kernel":
        return True
    if raw.json is not None or not is_packet(raw.body):
        return False
    # Behind another program's words a packet is a text that somebody sent; a rule's prefix may be
    # all there is, or have been taken for the program.
    prefix = _PREFIX if raw.program in ("", "ulogd") else _CAPITALS
    return prefix.match(raw.body) is not None


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    if auditd.matches(raw):
        return auditd.parse(raw)
    uptime = _UPTIME.match(raw.body)
    text = raw.body[uptime.end() :] if uptime else raw.body
    rest = raw.program == "kernel" and is_rest(text)
    if rest:
        raw.tags.append("truncated")
    if rest or is_packet(text):
        if raw.program != "kernel" and text.startswith("IN="):
            # the rule's prefix was taken for a program or a zone: "DENY: IN=eth0 .."
            text = f"{_before(raw.text)} {text}".lstrip()
        raw.fields.pop("process.name", None)
        event = packet(text)
        if raw.host:
            event["observer.name"] = raw.host
        return event
    return _met(raw.body, text)


def _before(line: str) -> str:
    """Returns the word before ``IN=``."""
    words = line[: line.find("IN=")].split()[-1:]
    return words[0] if words and words[0][0].isalpha() else ""


def _met(message: str, text: str) -> Event:
    event: Event = {"event.dataset": "system.syslog", "message": message}
    if match := _CRASHED.match(text):
        name, number = match[1] or match[3], match[2] or match[4]
        _act(event, "crashed-program", "process", "end")
        event["process.name"], event["process.pid"] = name, int(number)
    elif match := _KILLED.match(text):
        _act(event, "killed-out-of-memory", "process", "end")
        event["process.pid"], event["process.name"] = int(match[1]), match[2]
    elif match := _USB.match(text):
        _act(event, "connected-usb-device", "host", "change")
        event["device.id"] = f"{match[1]}:{match[2]}"
    elif match := _DEVICE.match(text):
        _act(event, f"{match[2] or match[4]}-promiscuous-mode", "network", "change")
        event["observer.ingress.interface.name"] = match[1] or match[3]
    elif match := _MODULE.match(text):
        _act(event, "loaded-foreign-kernel-module", "driver", "start")
        event["file.name"] = match[1]
    else:
        _guarded(event, text)
    return event


def _guarded(event: Event, text: str) -> None:
    """What the kernel itself kept out."""
    if match := _MARTIAN.match(text):
        # "martian source <destination> from <source>"
        _act(event, "met-martian-source", "network", "denied")
        set_endpoint(event, "destination", match[1])
        set_endpoint(event, "source", match[2])
        event["observer.ingress.interface.name"] = match[3]
    elif match := _FLOOD.match(text):
        _act(event, "met-syn-flood", "network", "info")
        set_port(event, "destination", match[1])
    elif match := _LOCKDOWN.match(text):
        _act(event, "refused-by-lockdown", "process", "info")
        event["event.outcome"] = "failure"
        event["process.name"] = match[1]


def _act(event: Event, action: str, category: str, kind: str) -> None:
    event["event.action"] = action
    event["event.category"] = [category]
    event["event.type"] = [kind]
