"""Windows events: channels and event ids by logsource, and the places of their fields.

Fields are read from ``winlog.event_data.*``, which normalise leaves as it was sent, not from ECS:
Elastic's own documents lose ``Details`` and ``Hashes``, and ``user.name`` is not Sigma's ``User``.
Where only ECS fields are there (an endpoint's own events), these are read instead.

Sources: SigmaHQ taxonomy appendix and ``tests/thor.yml``; Sysmon's event ids; audit event 4688.
"""

from detect.logsource import Fields, Source
from detect.text import Slot

SYSMON = ("Microsoft-Windows-Sysmon/Operational",)

CHANNELS: dict[str, tuple[str, ...]] = {
    "application": ("Application",),
    "security": ("Security",),
    "system": ("System",),
    "sysmon": SYSMON,
    "powershell": ("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational"),
    "powershell-classic": ("Windows PowerShell",),
    "appmodel-runtime": ("Microsoft-Windows-AppModel-Runtime/Admin",),
    "applocker": (
        "Microsoft-Windows-AppLocker/MSI and Script",
        "Microsoft-Windows-AppLocker/EXE and DLL",
        "Microsoft-Windows-AppLocker/Packaged app-Deployment",
        "Microsoft-Windows-AppLocker/Packaged app-Execution",
    ),
    "appxdeployment-server": ("Microsoft-Windows-AppXDeploymentServer/Operational",),
    "appxpackaging-om": ("Microsoft-Windows-AppxPackaging/Operational",),
    "bitlocker": ("Microsoft-Windows-BitLocker/BitLocker Management",),
    "bits-client": ("Microsoft-Windows-Bits-Client/Operational",),
    "capi2": ("Microsoft-Windows-CAPI2/Operational",),
    "certificateservicesclient-lifecycle-system": (
        "Microsoft-Windows-CertificateServicesClient-Lifecycle-System/Operational",
    ),
    "codeintegrity-operational": ("Microsoft-Windows-CodeIntegrity/Operational",),
    "dhcp": ("Microsoft-Windows-DHCP-Server/Operational",),
    "diagnosis-scripted": ("Microsoft-Windows-Diagnosis-Scripted/Operational",),
    "dns-client": (
        "Microsoft-Windows-DNS Client Events/Operational",
        "Microsoft-Windows-DNS-Client/Operational",
    ),
    "dns-server": ("DNS Server",),
    "dns-server-analytic": ("Microsoft-Windows-DNS-Server/Analytical",),
    "dns-server-audit": ("Microsoft-Windows-DNS-Server/Audit",),
    "driver-framework": ("Microsoft-Windows-DriverFrameworks-UserMode/Operational",),
    "firewall-as": ("Microsoft-Windows-Windows Firewall With Advanced Security/Firewall",),
    "hyper-v-worker": ("Microsoft-Windows-Hyper-V-Worker",),
    "iis-configuration": ("Microsoft-IIS-Configuration/Operational",),
    "kernel-event-tracing": ("Microsoft-Windows-Kernel-EventTracing",),
    "kernel-shimengine": (
        "Microsoft-Windows-Kernel-ShimEngine/Operational",
        "Microsoft-Windows-Kernel-ShimEngine/Diagnostic",
    ),
    "ldap": ("Microsoft-Windows-LDAP-Client/Debug",),
    "ldap_debug": ("Microsoft-Windows-LDAP-Client/Debug",),
    "lsa-server": ("Microsoft-Windows-LSA/Operational",),
    "microsoft-servicebus-client": ("Microsoft-ServiceBus-Client",),
    "msexchange-management": ("MSExchange Management",),
    "ntfs": ("Microsoft-Windows-Ntfs/Operational",),
    "ntlm": ("Microsoft-Windows-NTLM/Operational",),
    "openssh": ("OpenSSH/Operational",),
    "printservice-admin": ("Microsoft-Windows-PrintService/Admin",),
    "printservice-operational": ("Microsoft-Windows-PrintService/Operational",),
    "security-mitigations": (
        "Microsoft-Windows-Security-Mitigations/KernelMode",
        "Microsoft-Windows-Security-Mitigations/UserMode",
        "Microsoft-Windows-Security-Mitigations/Kernel Mode",
        "Microsoft-Windows-Security-Mitigations/User Mode",
    ),
    "sense": ("Microsoft-Windows-SENSE/Operational",),
    "servicebus-client": (
        "Microsoft-ServiceBus-Client/Admin",
        "Microsoft-ServiceBus-Client/Operational",
    ),
    "shell-core": ("Microsoft-Windows-Shell-Core/Operational",),
    "smbclient-connectivity": ("Microsoft-Windows-SmbClient/Connectivity",),
    "smbclient-security": ("Microsoft-Windows-SmbClient/Security",),
    "smbserver-connectivity": ("Microsoft-Windows-SMBServer/Connectivity",),
    "taskscheduler": ("Microsoft-Windows-TaskScheduler/Operational",),
    "terminalservices-localsessionmanager": (
        "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
    ),
    "vhdmp": ("Microsoft-Windows-VHDMP/Operational",),
    "windefend": ("Microsoft-Windows-Windows Defender/Operational",),
    "wmi": ("Microsoft-Windows-WMI-Activity/Operational",),
}
"""Service → channels."""

SYSMON_CATEGORIES: dict[str, tuple[str, ...]] = {
    "process_creation": ("1",),
    "file_change": ("2",),
    "network_connection": ("3",),
    "sysmon_status": ("4", "16"),
    "process_termination": ("5",),
    "driver_load": ("6",),
    "image_load": ("7",),
    "create_remote_thread": ("8",),
    "raw_access_thread": ("9",),
    "process_access": ("10",),
    "file_event": ("11",),
    "registry_add": ("12",),
    "registry_delete": ("12",),
    "registry_set": ("13",),
    "registry_rename": ("14",),
    "registry_event": ("12", "13", "14"),
    "create_stream_hash": ("15",),
    "pipe_created": ("17", "18"),
    "wmi_event": ("19", "20", "21"),
    "dns_query": ("22",),
    "file_delete": ("23", "26"),
    "clipboard_capture": ("24",),
    "process_tampering": ("25",),
    "file_block_executable": ("27",),
    "file_block_shredding": ("28",),
    "file_executable_detected": ("29",),
    "sysmon_error": ("255",),
}
"""Category → Sysmon event ids (Sysmon's manifest)."""

OTHER_CATEGORIES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("ps_module", CHANNELS["powershell"], ("4103",)),
    ("ps_script", CHANNELS["powershell"], ("4104",)),
    ("ps_classic_start", CHANNELS["powershell-classic"], ("400",)),
    ("ps_classic_provider_start", CHANNELS["powershell-classic"], ("600",)),
    ("ps_classic_script", CHANNELS["powershell-classic"], ("800",)),
    ("file_access", ("Microsoft-Windows-Kernel-File/Analytic",), ("12",)),
    ("file_rename", ("Microsoft-Windows-Kernel-File/Analytic",), ("19",)),
)
"""(category, channels, event ids) outside Sysmon."""

_SYSTEM: dict[str, Slot] = {
    "EventID": "event.code",
    "Channel": "winlog.channel",
    "Provider_Name": "winlog.provider_name",
    "Computer": "winlog.computer_name",
    "ComputerName": "winlog.computer_name",
    "Level": ("winlog.event_data.Level", "winlog.level_value", "winlog.level"),
    "Keywords": ("winlog.event_data.Keywords", "winlog.keywords"),
    "Message": ("message", "winlog.event_data.Message"),
    "SourceName": ("winlog.event_data.SourceName", "winlog.provider_name"),
    "Provider": ("winlog.event_data.Provider", "winlog.provider_name"),
    "Provider_Guid": "winlog.provider_guid",
    "Execution_ProcessID": "winlog.process.pid",
    "Execution_ThreadID": "winlog.process.thread.id",
    "Security_UserID": "winlog.user.identifier",
    "Correlation_ActivityID": "winlog.activity_id",
    "Correlation_RelatedActivityID": "winlog.related_activity_id",
}

EVENT = Fields(_SYSTEM, prefix="winlog.event_data.")
"""The fields of an event as its provider names them."""

_ECS_PROCESS: dict[str, str] = {
    "CommandLine": "process.command_line",
    "CurrentDirectory": "process.working_directory",
    "Image": "process.executable",
    "OriginalFileName": "process.pe.original_file_name",
    "ParentCommandLine": "process.parent.command_line",
    "ParentImage": "process.parent.executable",
}

PROCESS = Fields(
    {**_SYSTEM, **{name: (f"winlog.event_data.{name}", ecs) for name, ecs in _ECS_PROCESS.items()}},
    prefix="winlog.event_data.",
)
"""Sysmon 1; where the provider's field is missing, what ECS calls it."""

AUDIT_NAMES: dict[str, str] = {
    "Image": "NewProcessName",
    "ParentImage": "ParentProcessName",
    "User": "SubjectUserName",
    "LogonId": "SubjectLogonId",
    "ProcessId": "NewProcessId",
    "ParentProcessId": "ProcessId",
    "IntegrityLevel": "MandatoryLabel",
}
"""Sigma's process_creation field → the field of Security event 4688."""

AUDIT = Fields(
    {
        **_SYSTEM,
        **{name: f"winlog.event_data.{own}" for name, own in AUDIT_NAMES.items()},
        "User": ("winlog.created_process.user", "winlog.event_data.SubjectUserName"),
        "LogonId": ("winlog.created_process.logon_id", "winlog.event_data.SubjectLogonId"),
        "ProcessId": frozenset(("winlog.event_data.NewProcessId", "process.pid")),
        "ParentProcessId": frozenset(("winlog.event_data.ProcessId", "process.parent.pid")),
        "IntegrityLevel": frozenset(
            ("winlog.event_data.MandatoryLabel", "winlog.created_process.integrity_level")
        ),
    },
    prefix="winlog.event_data.",
)
"""4688 by Sysmon's names; normalise adds the account, integrity and numbers in Sysmon's words."""


def _source(
    category: str, service: str, channels: tuple[str, ...], codes: tuple[str, ...], fields: Fields
) -> Source:
    where = {"winlog.channel": channels}
    if codes:
        where["event.code"] = codes
    return Source("windows", category, service, where, fields)


SOURCES: tuple[Source, ...] = (
    _source("", "", (), (), EVENT),
    *(_source("", service, channels, (), EVENT) for service, channels in CHANNELS.items()),
    *(
        _source(category, "", SYSMON, codes, PROCESS if category == "process_creation" else EVENT)
        for category, codes in SYSMON_CATEGORIES.items()
    ),
    *(
        _source(category, "", channels, codes, EVENT)
        for category, channels, codes in OTHER_CATEGORIES
    ),
    _source("process_creation", "", ("Security",), ("4688",), AUDIT),
)

_RAW_NAMES = {"winlog.channel": "Channel", "event.code": "EventID"}
_RAW_PROVIDER: dict[str, Slot] = {"Provider_Name": ("Provider_Name", "SourceName")}
_RAW_EVENT = Fields(_RAW_PROVIDER, prefix="")
"""NXLog calls the provider SourceName."""
_RAW_AUDIT = Fields({**_RAW_PROVIDER, **AUDIT_NAMES}, prefix="")

RAW_SOURCES: tuple[Source, ...] = tuple(
    Source(
        source.product,
        source.category,
        source.service,
        {_RAW_NAMES[key]: values for key, values in source.where.items()},
        _RAW_AUDIT if source.fields is AUDIT else _RAW_EVENT,
    )
    for source in SOURCES
)
"""The same events with the provider's own names at the top level, as agents send them flat."""
