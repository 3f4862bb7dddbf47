"""Names of EventData in the order of the providers' manifests, for shippers that send bare values.

Facts from the manifests (``wevtutil gp <provider> /ge /gm:true``), Microsoft's pages of the audit
events and ``Sysmon64.exe -s``. Providers append fields to an event and insert them rarely; where
they did, `VARIANTS` has the other order by the number of values.
"""

_SUBJECT = "SubjectUserSid SubjectUserName SubjectDomainName SubjectLogonId"
_TARGET = "TargetUserName TargetDomainName TargetSid"
_SESSION = "TargetUserSid TargetUserName TargetDomainName TargetLogonId"
_MADE = f"{_TARGET} {_SUBJECT} PrivilegeList"
_SETTINGS = (
    "SamAccountName DisplayName UserPrincipalName HomeDirectory HomePath ScriptPath ProfilePath "
    "UserWorkstations PasswordLastSet AccountExpires PrimaryGroupId AllowedToDelegateTo "
    "OldUacValue NewUacValue UserAccountControl UserParameters SidHistory LogonHours"
)
_LOGON = (
    f"{_SUBJECT} {_SESSION} LogonType LogonProcessName AuthenticationPackageName WorkstationName "
    "LogonGuid TransmittedServices LmPackageName KeyLength ProcessId ProcessName IpAddress IpPort "
    "ImpersonationLevel RestrictedAdminMode "
)
_CLIENT = "ClientProcessStartKey ClientProcessId ParentProcessId RpcCallClientLocality FQDN"
_FLOW = "ProcessID Application Direction SourceAddress SourcePort DestAddress DestPort Protocol"
_BIND = "ProcessId Application SourceAddress SourcePort Protocol FilterRTID LayerName LayerRTID"
_SHARE = f"{_SUBJECT} ObjectType IpAddress IpPort ShareName ShareLocalPath"
_OUTBOUND = "TargetOutboundUserName TargetOutboundDomainName VirtualAccount TargetLinkedLogonId"

SECURITY: dict[str, str] = {
    "1102": _SUBJECT,
    "4624": f"{_LOGON}{_OUTBOUND} ElevatedToken",
    "4625": (
        f"{_SUBJECT} TargetUserSid TargetUserName TargetDomainName Status FailureReason SubStatus "
        "LogonType LogonProcessName AuthenticationPackageName WorkstationName TransmittedServices "
        "LmPackageName KeyLength ProcessId ProcessName IpAddress IpPort"
    ),
    "4627": f"{_SUBJECT} {_SESSION} LogonType EventIdx EventCountTotal GroupMembership",
    "4634": f"{_SESSION} LogonType",
    "4647": _SESSION,
    "4648": (
        f"{_SUBJECT} LogonGuid TargetUserName TargetDomainName TargetLogonGuid TargetServerName "
        "TargetInfo ProcessId ProcessName IpAddress IpPort"
    ),
    "4656": (
        f"{_SUBJECT} ObjectServer ObjectType ObjectName HandleId TransactionId AccessList "
        "AccessReason AccessMask PrivilegeList RestrictedSidCount ProcessId ProcessName "
        "ResourceAttributes"
    ),
    "4657": (
        f"{_SUBJECT} ObjectName ObjectValueName HandleId OperationType OldValueType OldValue "
        "NewValueType NewValue ProcessId ProcessName"
    ),
    "4658": f"{_SUBJECT} ObjectServer HandleId ProcessId ProcessName",
    "4660": f"{_SUBJECT} ObjectServer HandleId ProcessId ProcessName TransactionId",
    "4661": (
        f"{_SUBJECT} ObjectServer ObjectType ObjectName HandleId TransactionId AccessList "
        "AccessReason AccessMask PrivilegeList Properties RestrictedSidCount ProcessId ProcessName"
    ),
    "4662": (
        f"{_SUBJECT} ObjectServer ObjectType ObjectName OperationType HandleId AccessList "
        "AccessMask Properties AdditionalInfo AdditionalInfo2"
    ),
    "4663": (
        f"{_SUBJECT} ObjectServer ObjectType ObjectName HandleId AccessList AccessMask ProcessId "
        "ProcessName ResourceAttributes"
    ),
    "4670": (
        f"{_SUBJECT} ObjectServer ObjectType ObjectName HandleId OldSd NewSd ProcessId ProcessName"
    ),
    "4672": f"{_SUBJECT} PrivilegeList",
    "4673": f"{_SUBJECT} ObjectServer Service PrivilegeList ProcessId ProcessName",
    "4674": (
        f"{_SUBJECT} ObjectServer ObjectType ObjectName HandleId AccessMask PrivilegeList "
        "ProcessId ProcessName"
    ),
    "4688": (
        f"{_SUBJECT} NewProcessId NewProcessName TokenElevationType ProcessId CommandLine "
        f"{_SESSION} ParentProcessName MandatoryLabel"
    ),
    "4689": f"{_SUBJECT} Status ProcessId ProcessName",
    "4690": f"{_SUBJECT} SourceHandleId SourceProcessId TargetHandleId TargetProcessId",
    "4697": (
        f"{_SUBJECT} ServiceName ServiceFileName ServiceType ServiceStartType ServiceAccount "
        f"{_CLIENT}"
    ),
    **dict.fromkeys(("4698", "4699", "4700", "4701"), f"{_SUBJECT} TaskName TaskContent {_CLIENT}"),
    "4702": f"{_SUBJECT} TaskName TaskContentNew {_CLIENT}",
    "4703": (
        f"{_SUBJECT} {_SESSION} ProcessName ProcessId EnabledPrivilegeList DisabledPrivilegeList"
    ),
    **dict.fromkeys(("4704", "4705"), f"{_SUBJECT} TargetSid PrivilegeList"),
    "4717": f"{_SUBJECT} TargetSid AccessGranted",
    "4718": f"{_SUBJECT} TargetSid AccessRemoved",
    "4719": f"{_SUBJECT} CategoryId SubcategoryId SubcategoryGuid AuditPolicyChanges",
    "4720": f"{_MADE} {_SETTINGS}",
    **dict.fromkeys(("4722", "4724", "4725", "4740", "4767"), f"{_TARGET} {_SUBJECT}"),
    **dict.fromkeys(("4723", "4726", "4730", "4734", "4743", "4758"), _MADE),
    **dict.fromkeys(
        ("4727", "4731", "4735", "4737", "4754", "4755"), f"{_MADE} SamAccountName SidHistory"
    ),
    **dict.fromkeys(
        ("4728", "4729", "4732", "4733", "4746", "4747", "4751", "4752", "4756", "4757"),
        f"MemberName MemberSid {_MADE}",
    ),
    "4738": f"Dummy {_MADE} {_SETTINGS}",
    "4741": f"{_MADE} {_SETTINGS} DnsHostName ServicePrincipalNames",
    "4742": f"ComputerAccountChange {_MADE} {_SETTINGS} DnsHostName ServicePrincipalNames",
    "4768": (
        f"{_TARGET} ServiceName ServiceSid TicketOptions Status TicketEncryptionType PreAuthType "
        "IpAddress IpPort CertIssuerName CertSerialNumber CertThumbprint"
    ),
    "4769": (
        "TargetUserName TargetDomainName ServiceName ServiceSid TicketOptions TicketEncryptionType "
        "IpAddress IpPort Status LogonGuid TransmittedServices"
    ),
    "4770": (
        "TargetUserName TargetDomainName ServiceName ServiceSid TicketOptions TicketEncryptionType "
        "IpAddress IpPort"
    ),
    "4771": (
        "TargetUserName TargetSid ServiceName TicketOptions Status PreAuthType IpAddress IpPort "
        "CertIssuerName CertSerialNumber CertThumbprint"
    ),
    "4776": "PackageName TargetUserName Workstation Status",
    **dict.fromkeys(
        ("4778", "4779"), "AccountName AccountDomain LogonID SessionName ClientName ClientAddress"
    ),
    "4781": f"OldTargetUserName NewTargetUserName TargetDomainName TargetSid {_SUBJECT}"
    " PrivilegeList",
    **dict.fromkeys(("4798", "4799"), f"{_TARGET} {_SUBJECT} CallerProcessId CallerProcessName"),
    **dict.fromkeys(("4800", "4801", "4802", "4803"), f"{_SESSION} SessionId"),
    "5136": (
        f"OpCorrelationID AppCorrelationID {_SUBJECT} DSName DSType ObjectDN ObjectGUID "
        "ObjectClass AttributeLDAPDisplayName AttributeSyntaxOID AttributeValue OperationType"
    ),
    "5140": f"{_SHARE} AccessMask AccessList",
    "5145": f"{_SHARE} RelativeTargetName AccessMask AccessList AccessReason",
    **dict.fromkeys(("5152", "5153"), f"{_FLOW} FilterRTID LayerName LayerRTID"),
    **dict.fromkeys(
        ("5156", "5157"), f"{_FLOW} FilterRTID LayerName LayerRTID RemoteUserID RemoteMachineID"
    ),
    **dict.fromkeys(("5154", "5158"), _BIND),
    "5379": (
        f"{_SUBJECT} TargetName Type CountOfCredentialsReturned ReadOperation ReturnCode "
        "ProcessCreationTime ClientProcessId"
    ),
}
_PROCESS = "RuleName UtcTime ProcessGuid ProcessId"
_TYPED = "RuleName EventType UtcTime ProcessGuid ProcessId"
_FILE = f"{_PROCESS} User Image TargetFilename Hashes"
_PE = "FileVersion Description Product Company OriginalFileName"
SYSMON: dict[str, str] = {
    "1": (
        f"{_PROCESS} Image {_PE} CommandLine CurrentDirectory User LogonGuid LogonId "
        "TerminalSessionId IntegrityLevel Hashes ParentProcessGuid ParentProcessId ParentImage "
        "ParentCommandLine ParentUser"
    ),
    "2": f"{_PROCESS} Image TargetFilename CreationUtcTime PreviousCreationUtcTime User",
    "3": (
        f"{_PROCESS} Image User Protocol Initiated SourceIsIpv6 SourceIp SourceHostname SourcePort "
        "SourcePortName DestinationIsIpv6 DestinationIp DestinationHostname DestinationPort "
        "DestinationPortName"
    ),
    "4": "UtcTime State Version SchemaVersion",
    "5": f"{_PROCESS} Image User",
    "6": "RuleName UtcTime ImageLoaded Hashes Signed Signature SignatureStatus",
    "7": f"{_PROCESS} Image ImageLoaded {_PE} Hashes Signed Signature SignatureStatus User",
    "8": (
        "RuleName UtcTime SourceProcessGuid SourceProcessId SourceImage TargetProcessGuid "
        "TargetProcessId TargetImage NewThreadId StartAddress StartModule StartFunction "
        "SourceUser TargetUser"
    ),
    "9": f"{_PROCESS} Image Device User",
    "10": (
        "RuleName UtcTime SourceProcessGUID SourceProcessId SourceThreadId SourceImage "
        "TargetProcessGUID TargetProcessId TargetImage GrantedAccess CallTrace SourceUser "
        "TargetUser"
    ),
    "11": f"{_PROCESS} Image TargetFilename CreationUtcTime User",
    "12": f"{_TYPED} Image TargetObject User",
    "13": f"{_TYPED} Image TargetObject Details User",
    "14": f"{_TYPED} Image TargetObject NewName User",
    "15": f"{_PROCESS} Image TargetFilename CreationUtcTime Hash Contents User",
    "16": "UtcTime Configuration ConfigurationFileHash",
    "17": f"{_TYPED} PipeName Image User",
    "18": f"{_TYPED} PipeName Image User",
    "19": "RuleName EventType UtcTime Operation User EventNamespace Name Query",
    "20": "RuleName EventType UtcTime Operation User Name Type Destination",
    "21": "RuleName EventType UtcTime Operation User Consumer Filter",
    "22": f"{_PROCESS} QueryName QueryStatus QueryResults Image User",
    "23": f"{_FILE} IsExecutable Archived",
    "24": f"{_PROCESS} Image Session ClientInfo Hashes Archived User",
    "25": f"{_PROCESS} Image Type User",
    "26": f"{_FILE} IsExecutable",
    "27": _FILE,
    "28": f"{_FILE} IsExecutable",
    "29": _FILE,
    "255": "UtcTime ID Description",
}
POWERSHELL: dict[str, str] = {
    "4103": "ContextInfo UserData Payload",
    "4104": "MessageNumber MessageTotal ScriptBlockText ScriptBlockId Path",
    "4105": "ScriptBlockId RunspaceId",
    "4106": "ScriptBlockId RunspaceId",
}
SERVICES: dict[str, str] = {"7045": "ServiceName ImagePath ServiceType StartType AccountName"}
TASKS: dict[str, str] = {
    "106": "TaskName UserContext",
    "129": "TaskName Path ProcessID Priority",
    "140": "TaskName UserName",
    "141": "TaskName UserName",
    "142": "TaskName UserName",
    "200": "TaskName ActionName TaskInstanceId",
    "201": "TaskName TaskInstanceId ActionName ResultCode",
}
SESSIONS: dict[str, str] = {
    **dict.fromkeys(("21", "22", "24", "25"), "User SessionID Address"),
    "23": "User SessionID",
}
FIELDS: dict[str, dict[str, str]] = {
    "microsoft-windows-security-auditing": SECURITY,
    "microsoft-windows-eventlog": SECURITY,
    "microsoft-windows-sysmon": SYSMON,
    "microsoft-windows-powershell": POWERSHELL,
    "powershellcore": POWERSHELL,
    "service control manager": SERVICES,
    "microsoft-windows-taskscheduler": TASKS,
    "microsoft-windows-terminalservices-localsessionmanager": SESSIONS,
    "microsoft-windows-terminalservices-remoteconnectionmanager": {"1149": "Param1 Param2 Param3"},
}
"""By provider in lower case and event id: the names, separated by blanks."""
VARIANTS: dict[tuple[str, str, int], str] = {
    ("microsoft-windows-security-auditing", "4624", 28): (
        f"{_LOGON}RemoteCredentialGuard {_OUTBOUND} ElevatedToken"
    ),
    ("microsoft-windows-security-auditing", "5379", 10): SECURITY["5379"].replace(" Type ", " "),
}
"""By provider, event id and number of values, where a version inserted a field."""
