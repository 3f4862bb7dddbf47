"""System, Application and the operational channels: services, tasks, Defender, sessions and more.

Fields are those of the providers' manifests. Only what rules and searches read is mapped; all else
stays in EventData.
"""

from normalize.windows.network import dns_answers, dns_question
from normalize.windows.plan import NOTHING, Plan, Rule, compile_plan
from normalize.windows.record import EventData
from normalize.windows.values import account, executable, file_path, integer, ip
from samlog.event import Event

CONFIGURATION = ("configuration",)
PROCESS = ("process",)
SESSION = ("authentication", "session")
HOST = ("host",)
CHANGE = ("change",)
CREATION = ("creation",)
DELETION = ("deletion",)
START = ("start",)
END = ("end",)
INFO = ("info",)

SERVICE: tuple[Rule, ...] = (("param1", "service.name"),)
TASK: tuple[Rule, ...] = (
    ("UserContext", account()),
    ("UserName", account()),
    ("Path", executable("process")),
    ("ProcessID", "process.pid", integer),
)


SET_FILE = file_path()


def set_service(out: Event, data: EventData) -> None:
    """Writes a new service's command line as the file it starts."""
    image = data.get("ImagePath")
    if not isinstance(image, str) or image in NOTHING:
        return
    path = image[1:].partition('"')[0] if image[0] == '"' else image
    SET_FILE(out, path)


def set_threat(out: Event, data: EventData) -> None:
    r"""Makes it an alert and takes the first file of Path: ``file:_C:\a.exe; process:_pid:1``."""
    out["event.kind"] = "alert"
    for part in str(data.get("Path", "")).split(";", 16):
        kind, found, path = part.strip().partition(":_")
        if found and kind in ("file", "containerfile"):
            SET_FILE(out, path)
            break


def _threat(kind: tuple[str, ...], action: str) -> Plan:
    return compile_plan(
        (
            ("Threat Name", "rule.name"),
            ("Threat ID", "rule.id"),
            ("Process Name", executable("process")),
            ("Detection User", account()),
        ),
        category=("malware",),
        kind=kind,
        action=action,
        finish=(set_threat,),
    )


def _session(kind: tuple[str, ...], action: str) -> Plan:
    return compile_plan(
        (("User", account()), ("Address", "source.ip", ip)),
        category=SESSION,
        kind=kind,
        action=action,
    )


def _task(kind: tuple[str, ...], action: str) -> Plan:
    return compile_plan(TASK, category=CONFIGURATION, kind=kind, action=action)


def _service(kind: tuple[str, ...], action: str) -> Plan:
    return compile_plan(SERVICE, category=PROCESS, kind=kind, action=action)


SERVICES: dict[str, Plan] = {
    "7000": _service(("start", "error"), "service-start-failed"),
    "7009": _service(("start", "error"), "service-start-timeout"),
    "7023": _service(("end", "error"), "service-terminated-with-error"),
    "7024": _service(("end", "error"), "service-terminated-with-error"),
    "7031": _service(END, "service-terminated-unexpectedly"),
    "7034": _service(END, "service-terminated-unexpectedly"),
    "7035": _service(INFO, "service-control-sent"),
    "7036": _service(CHANGE, "service-state-changed"),
    "7040": compile_plan(
        SERVICE, category=CONFIGURATION, kind=CHANGE, action="service-start-type-changed"
    ),
    "7045": compile_plan(
        (("ServiceName", "service.name"),),
        category=CONFIGURATION,
        kind=CREATION,
        action="service-installed",
        finish=(set_service,),
    ),
}
TASKS: dict[str, Plan] = {
    "100": _task(START, "scheduled-task-started"),
    "101": _task(("start", "error"), "scheduled-task-start-failed"),
    "102": _task(END, "scheduled-task-completed"),
    "103": _task(("start", "error"), "scheduled-task-action-failed"),
    "106": _task(CREATION, "scheduled-task-created"),
    "129": compile_plan(
        TASK, category=PROCESS, kind=START, action="scheduled-task-process-created"
    ),
    "140": _task(CHANGE, "scheduled-task-updated"),
    "141": _task(DELETION, "scheduled-task-deleted"),
    "142": _task(CHANGE, "scheduled-task-disabled"),
    "200": _task(START, "scheduled-task-action-started"),
    "201": _task(END, "scheduled-task-action-completed"),
}
DEFENDER: dict[str, Plan] = {
    "1006": _threat(INFO, "malware-detected"),
    "1007": _threat(CHANGE, "malware-action-taken"),
    "1008": _threat(("error",), "malware-action-failed"),
    "1015": _threat(INFO, "suspicious-behaviour-detected"),
    "1116": _threat(INFO, "malware-detected"),
    "1117": _threat(CHANGE, "malware-action-taken"),
    "1118": _threat(("error",), "malware-action-failed"),
    "1119": _threat(("error",), "malware-action-failed"),
    "1121": compile_plan(
        (("ID", "rule.id"), ("User", account()), ("Process Name", executable("process"))),
        category=("malware",),
        kind=("denied",),
        action="attack-surface-reduction-blocked",
    ),
    "1122": compile_plan(
        (("ID", "rule.id"), ("User", account()), ("Process Name", executable("process"))),
        category=("malware",),
        kind=INFO,
        action="attack-surface-reduction-audited",
    ),
    "5001": compile_plan(
        category=CONFIGURATION, kind=CHANGE, action="real-time-protection-disabled"
    ),
    "5007": compile_plan(category=CONFIGURATION, kind=CHANGE, action="configuration-changed"),
    "5010": compile_plan(category=CONFIGURATION, kind=CHANGE, action="malware-scanning-disabled"),
    "5012": compile_plan(category=CONFIGURATION, kind=CHANGE, action="virus-scanning-disabled"),
    "5013": compile_plan(
        category=CONFIGURATION, kind=("denied",), action="tamper-protection-blocked"
    ),
}
SESSIONS: dict[str, Plan] = {
    "21": _session(START, "session-logged-on"),
    "22": _session(START, "session-shell-started"),
    "23": _session(END, "session-logged-off"),
    "24": _session(END, "session-disconnected"),
    "25": _session(START, "session-reconnected"),
}
CONNECTIONS: dict[str, Plan] = {
    "1149": compile_plan(
        (("Param1", "user.name"), ("Param2", "user.domain"), ("Param3", "source.ip", ip)),
        category=("authentication", "network"),
        kind=START,
        action="remote-connection-authenticated",
    ),
}
WMI_PROCESS: tuple[Rule, ...] = (
    ("ClientProcessId", "process.pid", integer),
    ("ProcessID", "process.pid", integer),
    ("User", account()),
)
WMI: dict[str, Plan] = {
    "5857": compile_plan(WMI_PROCESS, category=PROCESS, kind=INFO, action="wmi-provider-started"),
    "5858": compile_plan(
        WMI_PROCESS, category=PROCESS, kind=("error",), action="wmi-operation-failed"
    ),
    "5859": compile_plan(
        WMI_PROCESS, category=CONFIGURATION, kind=CREATION, action="wmi-filter-registered"
    ),
    "5860": compile_plan(
        WMI_PROCESS, category=CONFIGURATION, kind=CREATION, action="wmi-temporary-consumer-created"
    ),
    "5861": compile_plan(
        WMI_PROCESS, category=CONFIGURATION, kind=CREATION, action="wmi-permanent-consumer-created"
    ),
}
TRANSFER: tuple[Rule, ...] = (
    ("url", "url.full"),
    ("RemoteName", "url.full"),
    ("LocalName", file_path()),
    ("processPath", executable("process")),
    ("processId", "process.pid", integer),
    ("jobOwner", account()),
)
BITS: dict[str, Plan] = {
    "3": compile_plan(TRANSFER, category=("file",), kind=CREATION, action="transfer-job-created"),
    "16403": compile_plan(
        TRANSFER, category=("file",), kind=CREATION, action="transfer-file-added"
    ),
    "59": compile_plan(
        TRANSFER, category=("network",), kind=("start", "connection"), action="transfer-started"
    ),
    "60": compile_plan(
        TRANSFER, category=("network",), kind=("end", "connection"), action="transfer-stopped"
    ),
    "61": compile_plan(
        TRANSFER, category=("network",), kind=("end", "connection"), action="transfer-failed"
    ),
}
DNS_CLIENT: dict[str, Plan] = {
    code: compile_plan(
        (("QueryName", dns_question), ("QueryResults", dns_answers)),
        category=("network",),
        kind=("connection", "protocol", "info"),
        constants=(("network.protocol", "dns"),),
    )
    for code in ("3006", "3008", "3020")
}
BLOCKED: tuple[Rule, ...] = (
    ("FilePath", file_path()),
    ("FullFilePath", file_path()),
    ("TargetUser", "user.id"),
    ("TargetProcessId", "process.pid", integer),
)
ALLOWED_PLAN = compile_plan(BLOCKED, category=PROCESS, kind=("allowed",), action="run-allowed")
AUDITED_PLAN = compile_plan(BLOCKED, category=PROCESS, kind=INFO, action="run-audited")
DENIED_PLAN = compile_plan(BLOCKED, category=PROCESS, kind=("denied",), action="run-blocked")
APPLOCKER: dict[str, Plan] = {
    **dict.fromkeys(("8002", "8005", "8020", "8023"), ALLOWED_PLAN),
    **dict.fromkeys(("8003", "8006", "8021", "8024"), AUDITED_PLAN),
    **dict.fromkeys(("8004", "8007", "8022", "8025"), DENIED_PLAN),
}
FIREWALL_RULE: tuple[Rule, ...] = (
    ("RuleId", "rule.id"),
    ("RuleName", "rule.name"),
    ("ModifyingUser", "user.id"),
    ("ModifyingApplication", executable("process")),
)
FIREWALL: dict[str, Plan] = {
    **dict.fromkeys(
        ("2004", "2071", "2097"),
        compile_plan(
            FIREWALL_RULE, category=CONFIGURATION, kind=CREATION, action="firewall-rule-added"
        ),
    ),
    **dict.fromkeys(
        ("2005", "2073", "2099"),
        compile_plan(
            FIREWALL_RULE, category=CONFIGURATION, kind=CHANGE, action="firewall-rule-changed"
        ),
    ),
    **dict.fromkeys(
        ("2006", "2033", "2052", "2059"),
        compile_plan(
            FIREWALL_RULE, category=CONFIGURATION, kind=DELETION, action="firewall-rule-deleted"
        ),
    ),
    "2003": compile_plan(
        FIREWALL_RULE, category=CONFIGURATION, kind=CHANGE, action="firewall-setting-changed"
    ),
}
APPLICATION_ERROR: dict[str, Plan] = {
    "1000": compile_plan(
        (("AppName", "process.name"), ("AppPath", "process.executable")),
        category=PROCESS,
        kind=("error",),
        action="application-crashed",
    ),
}
KERNEL: dict[str, Plan] = {
    "12": compile_plan(category=HOST, kind=START, action="system-started"),
    "13": compile_plan(category=HOST, kind=END, action="system-stopped"),
}
EVENT_LOG: dict[str, Plan] = {
    "6005": compile_plan(category=HOST, kind=START, action="event-log-started"),
    "6006": compile_plan(category=HOST, kind=END, action="event-log-stopped"),
    "6008": compile_plan(category=HOST, kind=END, action="unexpected-shutdown"),
}

FAMILIES: dict[str, dict[str, Plan]] = {
    "service control manager": SERVICES,
    "microsoft-windows-taskscheduler": TASKS,
    "microsoft-windows-windows defender": DEFENDER,
    "microsoft-windows-terminalservices-localsessionmanager": SESSIONS,
    "microsoft-windows-terminalservices-remoteconnectionmanager": CONNECTIONS,
    "microsoft-windows-wmi-activity": WMI,
    "microsoft-windows-bits-client": BITS,
    "microsoft-windows-dns-client": DNS_CLIENT,
    "microsoft-windows-applocker": APPLOCKER,
    "microsoft-windows-windows firewall with advanced security": FIREWALL,
    "application error": APPLICATION_ERROR,
    "microsoft-windows-kernel-general": KERNEL,
    "eventlog": EVENT_LOG,
}
"""By provider, in lower case."""
