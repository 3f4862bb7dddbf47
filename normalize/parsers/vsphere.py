"""VMware ESXi and vCenter Server, through syslog (``Syslog.global.logHost``, vCenter's forwarding).

Formats: vCenter's events (``Event [key] [part-parts] [time] [vim.event.X] [level] [user]
[datacenter] [chain] [text]``, also as Aria Operations for Logs passes them on), the services'
own lines (applmgmt, updatemgr, vmon ..), ESXi's agents (``info hostd[id] [Originator@6876 sub=..
opID=.. user=..] text``), vobd's observations, vmkernel, and ``shell``: commands that were typed on
an ESXi host, and Single Sign-On's audit events (JSON, ``audit_events.log``). The time is the
service's own where the line has one.

Log-ins, refused log-ins and log-outs get ``event.category: authentication``, ``user.*`` and
``source.ip``; what a shell was told is ``process.command_line``, so that rules for esxcli and
vim-cmd fire. The rest is in ``vsphere.log.*``; the text stays in ``message``.
"""

import re
from datetime import UTC
from operator import itemgetter

from normalize.address import is_ip, set_endpoint
from normalize.times import parse_iso
from normalize.vsphere_sso import MARK, is_sso, object_in, set_sso, time_of
from samlog.event import Event, RawEvent

NAME = "vsphere"
VERSION = 2
HINTS = frozenset({"vmware_vsphere", "vsphere.log", "vmware", "esxi", "vcenter"})
PROGRAMS = frozenset(
    ("hostd", "vpxa", "vpxd", "vpxd-svcs", "vpxd-profiler", "vmkernel", "vmkwarning", "vmkeventd")
    + ("vobd", "fdm", "rhttpproxy", "hostd-probe", "vmauthd", "esxupdate", "esxtokend", "vsanmgmtd")
    + ("vmon", "vmcad", "vmdird", "vmafdd", "vmdnsd", "applmgmt", "applmgmt-audit", "updatemgr")
    + ("vsan-health", "vsan-health-main", "vpostgres", "vstats", "vapi-endpoint", "sps", "eam")
    + ("ssoadminserver", "sso-identity-perf", "sso-tokenservice", "vami", "vami-http", "vcha")
    + ("vsphere-ui", "vsphere-ui-runtime", "analytics", "perfcharts", "content-library", "rbd")
    + ("esxshell", "shell", "dcui", "vprobed", "cimslp", "storagerm", "vmsyslogd", "healthd")
    + ("esxgdpd", "settingsd", "apiforwarder", "netcpa", "nsxa", "sdrsinjector", "localcli")
)
LOGSOURCES = (
    {"product": "linux", "service": "syslog"},
    {"product": "linux", "category": "process_creation"},
)
LOG_CLASSES = ("LC-15", "LC-01", "LC-03")
KEYS = frozenset({"eventSeverity"})
ORDER = 40
SPECIFICATION = (
    "VMware, vSphere Web Services API, vim.event.*",
    'VMware, vSphere Monitoring and Performance, "System Log Files"; vSphere Security, '
    '"Single Sign-On Audit Events"',
    "Broadcom, knowledge base 423205",
)
SETTINGS = """
vCenter: Appliance Management (port 5480), Syslog, TLS; and `vpxd.event.syslog.enabled = true` for
its events. ESXi: `esxcli system syslog config set --loghost=ssl://collector:6514`, then `esxcli
system syslog reload`; `Config.HostAgent.log.level = info`. Send SSO's file too, from the
appliance: `/var/log/audit/sso-events/audit_events.log`.
"""

DATASET = "vsphere.log"
SHELL = "shell-command"
_LOGIN_WITHIN = 1_000
_SSO_WITHIN = 16_000
_RIGHTS = (
    "vim.event.Permission",
    "vim.event.Role",
    "vim.event.Account",
    "vim.event.GlobalPermission",
)

_EVENT = re.compile(
    r"Event \[(\d{1,12})\] \[(\d{1,6}-\d{1,6})\] \[([0-9T:.Z+-]{10,40})\] \[([\w.]{1,200})\]"
    r" \[(\w{0,20})\] \[([^\]\n]{0,256})\] \[([^\]\n]{0,256})\] \[([^\]\n]{0,32})\] \[(.*)",
    re.DOTALL,
)
_SERVICE = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[:.,]\d{1,9})Z?:? +"
    r"(?:'([^'\n]{1,100})' +\d{1,20} +)?"
    r"(DEBUG|INFO|WARN|WARNING|ERROR|TRACE|FATAL|CRITICAL)\s",
)
_AGENT = re.compile(
    r"(verbose|info|warning|error|panic|trivia|section|none) (\S{1,64}?)\[(\w{1,24})\]"
    r"(?: \[Originator@6876 ([^\]\n]{0,400})\])? ?"
)
_DETAIL = re.compile(r"(sub|opID|user|sid|item|type)=(\S{1,256})")
_SHELL = re.compile(r"\[([^\]\n]{1,256})\]: ")
_OBSERVED = re.compile(r"\[(\w{1,64})\] \d{1,20}us: \[((?:vob|esx|vprob)\.[\w.-]{1,200})\] ?")
_SSH_SESSION = re.compile(r"SSH session was (opened|closed) for '([^'\n]{1,256})@([^'@\n]{1,255})'")
_LOCKED = re.compile(r"local user account '([^'\n]{1,256})' has been locked")
# The name may hold "@" itself, so that the address begins at the last one.
_NAMED = r"(?P<user>[^\s\"]{1,256})"
_CHOSEN = r"(?P<user>.{1,256})"
"""The name of somebody who was not let in: any text, which ends where the address begins."""
_FROM = r"(?P<address>[^\s@\]:]{1,64})"
_LOGINS = (
    (re.compile(rf"User {_NAMED}@(?P<address>[^\s@\]]{{1,64}}) logged (?P<way>in as|out)"), True),
    (re.compile(rf"Cannot login (?:user )?{_CHOSEN}@{_FROM}"), False),
    (re.compile(rf"Successful login {_NAMED} from (?P<address>[^\s\]]{{1,64}})"), True),
    (re.compile(rf"Failed login {_CHOSEN} from (?P<address>[^\s\]]{{1,64}})"), False),
    (re.compile(rf"Rejected password for user {_CHOSEN} from (?P<address>[^\s\]]{{1,64}})"), False),
    (re.compile(rf"Accepted password for user {_NAMED} from (?P<address>[^\s\]]{{1,64}})"), True),
    (
        re.compile(
            r"User \{Name: (?P<user>[^,}]{1,256}), Domain: (?P<domain>[^,}]{1,256})\}"
            r" logged (?P<way>in|out)"
        ),
        True,
    ),
    (re.compile(rf'Logged in user: "?{_NAMED}'), True),
    (re.compile(rf"Authenticated user {_NAMED}@(?P<domain>[^\s@\]]{{1,256}})"), True),
    (re.compile(r"Shared secret from (?P<address>[^\s\]]{1,64}) logged in as"), True),
)
_WORDS = ("logged ", "ogin ", "password for user", "Authenticated user", "Logged in")
_AGENT_NAME = re.compile(r"(?:logged in as |user agent: )([^\])\n]{1,512})")
_ORIGINATED = re.compile(
    r"\s{0,4}(?:[\dTZ:.+-]{10,40}:? )?"
    r"(?:(?:verbose|info|warning|error|panic|trivia|section|none) )?"
    r"(?:[\w.-]{1,64}\[\w{1,24}\]:? )?\[Originator@6876 "
)
"""Before it stand a time, a level, a program, and no sender's text."""


def matches(raw: RawEvent) -> bool:
    """vCenter's event line, Single Sign-On's, or an ESXi agent's, whoever carries it."""
    if raw.json is not None:
        return is_sso(raw.json)
    body = raw.body
    return (
        MARK in body[:_SSO_WITHIN]
        or (body.startswith(("Event [", " Event [")) and "[vim.event." in body[:300])
        or _ORIGINATED.match(body) is not None
    )


def parse(raw: RawEvent) -> Event:
    """Returns the event; never refuses a line."""
    body = raw.body
    text = body.lstrip(" ")
    event: Event = {"event.dataset": DATASET, "message": text}
    if raw.host:
        raw.fields.pop("host.hostname", None)
        if is_ip(raw.host):
            event["host.ip"] = [raw.host]
        else:
            raw.fields.setdefault("host.name", raw.host)
    raw.fields.setdefault("event.timezone", "+00:00")
    if record := raw.json if raw.json is not None and is_sso(raw.json) else object_in(text):
        set_sso(event, record)
        if raw.timestamp is None and (moment := time_of(record)):
            event["@timestamp"] = moment
    elif match := _EVENT.match(text):
        _vcenter(event, match)
        _login(event, match[9])
    elif match := _SERVICE.match(text):
        _service(event, match, text)
    elif match := _AGENT.match(text):
        _agent(event, match)
        _login(event, text[match.end() :])
    elif raw.program.lower() in ("shell", "esxshell") and (match := _SHELL.match(text)):
        _shell(event, match[1], text[match.end() :])
    elif match := _OBSERVED.match(text):
        event["vsphere.log.correlator"], event["vsphere.log.event_type"] = match.groups()
        if match[2].startswith("esx.audit."):
            event["event.action"] = match[2]
            _audited(event, text[match.end() :])
    else:
        _login(event, text)
    return event


def _vcenter(event: Event, match: re.Match[str]) -> None:
    key, part, _, kind, level, user, datacenter, chain, _ = match.groups()
    event["vsphere.log.event_id"] = key
    event["vsphere.log.event_part"] = part
    event["log.logger"] = event["vsphere.log.event_type"] = kind
    event["vsphere.log.chain_id"] = chain
    if level:
        event["log.level"] = level
    if kind.startswith(_RIGHTS):
        event["event.action"] = kind.removeprefix("vim.event.")
        event["event.category"], event["event.type"] = ["iam"], ["change"]
    if datacenter:
        event["vsphere.log.datacenter"] = datacenter
    _user(event, user)


def _service(event: Event, match: re.Match[str], text: str) -> None:
    """``2021-09-06T14:40:25:001Z 'Module' thread LEVEL  text``, or only time and level."""
    stamp, module, level = match.groups()
    event["log.level"] = level
    if module:
        event["event.action"] = module
    else:
        moment = parse_iso(stamp[:19] + "." + stamp[20:], UTC)
        if moment is not None:
            event["@timestamp"] = moment
    event["message"] = text[match.end() :].strip()


def _agent(event: Event, match: re.Match[str]) -> None:
    level, program, thread, details = match.groups()
    event["log.level"] = level
    event["vsphere.log.agent"] = program
    event["process.thread.name"] = thread
    for name, value in _DETAIL.findall(details or ""):
        if name == "user":
            # user=vpxuser:VSPHERE.LOCAL\kari is who the agent acts for
            _user(event, value.partition(":")[2] or value)
        else:
            event[f"vsphere.log.{name.lower()}"] = value


def _shell(event: Event, user: str, command: str) -> None:
    """ESXi's commands are links in /bin; the shell writes down the line as it was typed."""
    event["event.action"] = SHELL
    event["event.category"] = ["process"]
    event["event.type"] = ["start"]
    event["user.name"] = user
    event["process.command_line"] = command
    words = command.split(None, 1)
    if words and len(words[0]) < 256:
        event["process.executable"] = words[0] if "/" in words[0] else f"/bin/{words[0]}"


def _audited(event: Event, text: str) -> None:
    """What ESXi itself watches: sessions of SSH, and accounts that it locked."""
    if match := _SSH_SESSION.match(text):
        event["event.category"] = ["session"]
        event["event.type"] = ["start" if match[1] == "opened" else "end"]
        event["user.name"] = match[2]
        set_endpoint(event, "source", match[3])
    elif match := _LOCKED.search(text[:_LOGIN_WITHIN]):
        event["event.category"] = ["authentication"]
        event["event.type"] = ["info"]
        event["event.outcome"] = "failure"
        event["user.name"] = match[1]


def _user(event: Event, name: str) -> None:
    domain, separator, user = name.rpartition("\\")
    if separator:
        event["user.domain"], event["user.name"] = domain, user
    elif name:
        event["user.name"] = name


def _login(event: Event, text: str) -> None:
    """Who logged in or out, from where, and whether he was let in."""
    text = text[:_LOGIN_WITHIN]
    if not any(word in text for word in _WORDS):
        return
    matches = ((pattern.search(text), succeeded) for pattern, succeeded in _LOGINS)
    # The first one in the text: another may stand in the name that somebody chose.
    found_at = [(match.start(), match, succeeded) for match, succeeded in matches if match]
    for _, match, succeeded in sorted(found_at, key=itemgetter(0))[:1]:
        found = match.groupdict()
        out = found.get("way") == "out"
        event["event.action"] = "logout" if out else "login"
        event["event.category"] = ["authentication"]
        event["event.type"] = ["end" if out else "start"]
        event["event.outcome"] = "success" if succeeded else "failure"
        if found.get("user"):
            _user(event, found["user"])
        if found.get("domain"):
            event["user.domain"] = found["domain"]
        set_endpoint(event, "source", found.get("address") or "")
        if agent := _AGENT_NAME.search(text):
            event["user_agent.original"] = agent[1]
        return
