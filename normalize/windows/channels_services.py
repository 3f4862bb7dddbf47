"""Channels of single services: NTLM, code integrity, drivers, SMB, LDAP, DNS server, SQL, Exchange.

Fields are those of the providers' manifests; SQL Server and Exchange have unnamed Data. Only what
rules and searches read is mapped; all else stays in EventData.
"""

from normalize.windows.network import dns_question
from normalize.windows.plan import Plan, Rule, compile_plan
from normalize.windows.record import EventData
from normalize.windows.values import account, executable, file_path, integer, ip
from samlog.event import Event

CONFIGURATION = ("configuration",)
AUTHENTICATION = ("authentication",)
INFO = ("info",)
CHANGE = ("change",)
CREATION = ("creation",)
DELETION = ("deletion",)
DENIED = ("denied",)
START = ("start",)


def _events(codes: str, plan: Plan) -> dict[str, Plan]:
    return dict.fromkeys(codes.split(), plan)


def server_of(name: str) -> str:
    """Returns the host of a service principal name (``cifs/host:445``), or the name itself."""
    return name.partition("/")[2].partition(":")[0] or name


NTLM_CLIENT: tuple[Rule, ...] = (
    ("UserName", "user.name"),
    ("DomainName", "user.domain"),
    ("TargetName", "destination.domain", server_of),
    ("ProcessName", executable("process")),
    ("ClientPID", "process.pid", integer),
)
NTLM: dict[str, Plan] = {
    "8001": compile_plan(
        NTLM_CLIENT, category=AUTHENTICATION, kind=INFO, action="ntlm-outgoing-audited"
    ),
    "8002": compile_plan(
        (*NTLM_CLIENT, ("CallerPID", "process.pid", integer)),
        category=AUTHENTICATION,
        kind=INFO,
        action="ntlm-incoming-audited",
    ),
    "8004": compile_plan(
        (*NTLM_CLIENT, ("WorkstationName", "source.domain")),
        category=AUTHENTICATION,
        kind=INFO,
        action="ntlm-domain-audited",
    ),
    **_events(
        "4001 4002 4004",
        compile_plan(NTLM_CLIENT, category=AUTHENTICATION, kind=DENIED, action="ntlm-blocked"),
    ),
}
SIGNED: tuple[Rule, ...] = (
    ("FileNameBuffer", file_path()),
    ("File Name", file_path()),
    ("FileName", file_path()),
    ("ProcessNameBuffer", executable("process")),
    ("Process Name", executable("process")),
    ("ProcessName", executable("process")),
)
CODE_INTEGRITY: dict[str, Plan] = {
    **_events(
        "3001 3002 3003 3010 3023 3032 3034 3035 3076 3082",
        compile_plan(SIGNED, category=("driver",), kind=INFO, action="signature-violation-audited"),
    ),
    **_events(
        "3004 3021 3022 3033 3036 3037 3077 3083 3104",
        compile_plan(SIGNED, category=("driver",), kind=DENIED, action="image-load-blocked"),
    ),
}
DRIVERS: dict[str, Plan] = {
    **_events(
        "2003 2004 2005 2010 2100 2101 2105 2106",
        compile_plan(category=("driver",), kind=START, action="device-driver-loaded"),
    ),
    "2102": compile_plan(category=("driver",), kind=("end",), action="device-driver-stopped"),
}
SMB: tuple[Rule, ...] = (
    ("UserName", account()),
    ("ServerName", "destination.domain"),
    ("ClientName", "source.domain"),
    ("ShareName", "file.path"),
)
SMB_CLIENT: dict[str, Plan] = {
    **_events(
        "30803 30804 30806",
        compile_plan(SMB, category=("network",), kind=("connection", "error"), action="smb-failed"),
    ),
    "31017": compile_plan(
        SMB, category=AUTHENTICATION, kind=DENIED, action="smb-guest-logon-rejected"
    ),
}
SMB_SERVER: dict[str, Plan] = {
    "551": compile_plan(
        SMB, category=AUTHENTICATION, kind=("start", "error"), action="smb-logon-failed"
    ),
    "3000": compile_plan(
        SMB, category=("network",), kind=("access",), action="smb1-access-audited"
    ),
}
LDAP: dict[str, Plan] = {
    "30": compile_plan(
        (("ProcessId", "process.pid", integer),),
        category=("network",),
        kind=("protocol", "info"),
        action="ldap-search",
        constants=(("network.protocol", "ldap"),),
    ),
}
QUERY: tuple[Rule, ...] = (
    ("QNAME", lambda out, name: dns_question(out, name.rstrip(".") or name)),
    ("Source", "source.ip", ip),
    ("InterfaceIP", "destination.ip", ip),
)
DNS_SERVER: dict[str, Plan] = {
    **_events(
        "256 257 258 259 260 261 262",
        compile_plan(
            QUERY,
            category=("network",),
            kind=("connection", "protocol", "info"),
            action="dns-query",
            constants=(("network.protocol", "dns"),),
        ),
    ),
    **_events(
        "150 770 771",
        compile_plan(category=CONFIGURATION, kind=CHANGE, action="dns-plugin-loaded"),
    ),
    "6004": compile_plan(category=("network",), kind=DENIED, action="dns-zone-transfer-refused"),
    **_events(
        "515", compile_plan(category=CONFIGURATION, kind=CREATION, action="dns-record-added")
    ),
    **_events(
        "516", compile_plan(category=CONFIGURATION, kind=DELETION, action="dns-record-deleted")
    ),
    "541": compile_plan(category=CONFIGURATION, kind=CHANGE, action="dns-setting-changed"),
}


def set_login(out: Event, data: EventData) -> None:
    """Writes user.name and source.ip of SQL Server's logins: param1, ``[CLIENT: 192.0.2.1]``."""
    name = data.get("param1")
    if isinstance(name, str) and name:
        account()(out, name)
    for place in ("param3", "param2"):
        text = data.get(place)
        client = text.partition("[CLIENT: ")[2].partition("]")[0] if isinstance(text, str) else ""
        if address := ip(client.strip()):
            out["source.ip"] = address
            return


SQL: dict[str, Plan] = {
    **_events(
        "18453 18454 18455",
        compile_plan(
            category=("authentication", "database"),
            kind=START,
            action="logged-in",
            constants=(("event.outcome", "success"),),
            finish=(set_login,),
        ),
    ),
    "18456": compile_plan(
        category=("authentication", "database"),
        kind=START,
        action="logon-failed",
        constants=(("event.outcome", "failure"),),
        finish=(set_login,),
    ),
    "15457": compile_plan(
        category=("database", "configuration"), kind=CHANGE, action="setting-changed"
    ),
    "33205": compile_plan(category=("database",), kind=INFO, action="audit-event"),
    "8128": compile_plan(category=("database",), kind=INFO, action="extended-procedure-used"),
}
EXCHANGE: dict[str, Plan] = {
    "1": compile_plan(
        (("param1", "event.action"), ("param3", account())), category=CONFIGURATION, kind=CHANGE
    ),
    "6": compile_plan(
        (("param1", "event.action"), ("param3", account())),
        category=CONFIGURATION,
        kind=("error",),
        constants=(("event.outcome", "failure"),),
    ),
}
FAMILIES: dict[str, dict[str, Plan]] = {
    "microsoft-windows-ntlm": NTLM,
    "microsoft-windows-codeintegrity": CODE_INTEGRITY,
    "microsoft-windows-driverframeworks-usermode": DRIVERS,
    "microsoft-windows-smbclient": SMB_CLIENT,
    "microsoft-windows-smbserver": SMB_SERVER,
    "microsoft-windows-ldap-client": LDAP,
    "microsoft-windows-dns-server-service": DNS_SERVER,
    "microsoft-windows-dnsserver": DNS_SERVER,
    "microsoft-windows-dns-server": DNS_SERVER,
    "mssqlserver": SQL,
    "msexchange cmdletlogs": EXCHANGE,
}
"""By provider, in lower case."""
