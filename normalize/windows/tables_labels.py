"""Labels in the English text of audit events and the fields of EventData that they show.

Facts: the message templates that Microsoft's pages of the audit events print ("Event XML" beside
the text). A label means a field within its section; the section "" is asked last.
"""

_ACCOUNT = (
    "Security ID={sid} | Account Name={name} | Account Domain={domain} | Logon ID={logon} | "
    "Group Name={name} | Group Domain={domain} | User ID={sid} | Supplied Realm Name={domain}"
)


def _who(sid: str, name: str, domain: str, logon: str) -> str:
    return _ACCOUNT.format(sid=sid, name=name, domain=domain, logon=logon)


_SUBJECT = _who("SubjectUserSid", "SubjectUserName", "SubjectDomainName", "SubjectLogonId")
_SESSION = _who("TargetUserSid", "TargetUserName", "TargetDomainName", "TargetLogonId")
_TARGET = _who("TargetSid", "TargetUserName", "TargetDomainName", "TargetLogonId")
_MEMBER = _who("MemberSid", "MemberName", "MemberDomain", "MemberLogonId")
_TEXTS: dict[str, str] = {
    **dict.fromkeys(("Subject", "Creator Subject"), _SUBJECT),
    **dict.fromkeys(("Target Subject", "Account For Which Logon Failed"), _SESSION),
    "New Logon": _SESSION
    + " | Linked Logon ID=TargetLinkedLogonId | Network Account Name=TargetOutboundUserName"
    " | Network Account Domain=TargetOutboundDomainName | Logon GUID=LogonGuid",
    "Account Whose Credentials Were Used": _TARGET + " | Logon GUID=TargetLogonGuid",
    **dict.fromkeys(
        ("Target Account", "New Account", "Account That Was Locked Out", "User")
        + ("New Computer Account", "Computer Account That Was Changed", "Target Computer")
        + ("Group", "New Group", "Deleted Group", "Account Modified", "Account Information"),
        _TARGET,
    ),
    "Member": _MEMBER,
    "Target Server": "Target Server Name=TargetServerName | Additional Information=TargetInfo",
    "Process Information": (
        "Process ID=ProcessId | Caller Process ID=ProcessId | Process Name=ProcessName | "
        "Caller Process Name=ProcessName | New Process ID=NewProcessId | "
        "New Process Name=NewProcessName | Token Elevation Type=TokenElevationType | "
        "Mandatory Label=MandatoryLabel | Creator Process ID=ProcessId | "
        "Creator Process Name=ParentProcessName | Process Command Line=CommandLine | "
        "Exit Status=Status"
    ),
    "Process": "Process ID=ProcessId | Process Name=ProcessName",
    "Network Information": (
        "Workstation Name=WorkstationName | Source Network Address=IpAddress | "
        "Source Port=IpPort | Network Address=IpAddress | Port=IpPort | "
        "Client Address=IpAddress | Client Port=IpPort | "
        "Direction=Direction | Source Address=SourceAddress | Destination Address=DestAddress | "
        "Destination Port=DestPort | Protocol=Protocol | Object Type=ObjectType"
    ),
    "Detailed Authentication Information": (
        "Logon Process=LogonProcessName | Authentication Package=AuthenticationPackageName | "
        "Transited Services=TransmittedServices | Package Name (NTLM only)=LmPackageName | "
        "Key Length=KeyLength"
    ),
    "Failure Information": "Failure Reason=FailureReason | Status=Status | Sub Status=SubStatus",
    "Logon Information": (
        "Logon Type=LogonType | Restricted Admin Mode=RestrictedAdminMode | "
        "Virtual Account=VirtualAccount | Elevated Token=ElevatedToken"
    ),
    "Service Information": (
        "Service Name=ServiceName | Service ID=ServiceSid | Service File Name=ServiceFileName | "
        "Service Type=ServiceType | Service Start Type=ServiceStartType | "
        "Service Account=ServiceAccount"
    ),
    "Service": "Server=ObjectServer | Service Name=Service",
    "Additional Information": (
        "Ticket Options=TicketOptions | Result Code=Status | Failure Code=Status | "
        "Ticket Encryption Type=TicketEncryptionType | Pre-Authentication Type=PreAuthType | "
        "Transited Services=TransmittedServices | Privileges=PrivilegeList | "
        "Caller Computer Name=TargetDomainName | Client Name=ClientName | "
        "Client Address=ClientAddress"
    ),
    "Certificate Information": (
        "Certificate Issuer Name=CertIssuerName | Certificate Serial Number=CertSerialNumber | "
        "Certificate Thumbprint=CertThumbprint"
    ),
    "Object": (
        "Object Server=ObjectServer | Object Type=ObjectType | Object Name=ObjectName | "
        "Handle ID=HandleId | Object Value Name=ObjectValueName | "
        "Resource Attributes=ResourceAttributes | Operation Type=OperationType"
    ),
    "Operation": "Operation Type=OperationType | Accesses=AccessList | Access Mask=AccessMask",
    "Access Request Information": (
        "Transaction ID=TransactionId | Accesses=AccessList | Access Reasons=AccessReason | "
        "Access Mask=AccessMask | Privileges Used for Access Check=PrivilegeList | "
        "Restricted SID Count=RestrictedSidCount"
    ),
    "Change Information": (
        "Old Value Type=OldValueType | Old Value=OldValue | New Value Type=NewValueType | "
        "New Value=NewValue"
    ),
    "Share Information": (
        "Share Name=ShareName | Share Path=ShareLocalPath | Relative Target Name=RelativeTargetName"
    ),
    "Application Information": "Process ID=ProcessID | Application Name=Application",
    "Filter Information": (
        "Filter Run-Time ID=FilterRTID | Layer Name=LayerName | Layer Run-Time ID=LayerRTID"
    ),
    "Task Information": (
        "Task Name=TaskName | Task Content=TaskContent | Task New Content=TaskContentNew"
    ),
    "Session": "Session Name=SessionName",
    "Audit Policy Change": (
        "Category=CategoryId | Subcategory=SubcategoryId | Subcategory GUID=SubcategoryGuid | "
        "Changes=AuditPolicyChanges"
    ),
    "Service Request Information": "Privileges=PrivilegeList",
    "": (
        "Logon Type=LogonType | Privileges=PrivilegeList | "
        "Impersonation Level=ImpersonationLevel | Authentication Package=PackageName | "
        "Logon Account=TargetUserName | "
        "Source Workstation=Workstation | Error Code=Status | Group Membership=GroupMembership"
    ),
}
_CODES: dict[str, str] = {
    "5152 5153 5156 5157": "Network Information/Source Port=SourcePort",
    "5154 5158": "Network Information/Source Port=SourcePort | Application Information/"
    "Process ID=ProcessId",
    "4798 4799": "Process Information/Process ID=CallerProcessId | "
    "Process Information/Process Name=CallerProcessName",
    "4778 4779": "Subject/Account Name=AccountName | Subject/Account Domain=AccountDomain | "
    "Subject/Logon ID=LogonID",
}


def _pairs(text: str) -> dict[str, str]:
    return dict(part.strip().rsplit("=", 1) for part in text.split(" | "))


SECTIONS: dict[str, dict[str, str]] = {name: _pairs(text) for name, text in _TEXTS.items()}
"""Section → label → field."""
EXCEPTIONS: dict[tuple[str, str, str], str] = {
    (code, *place.split("/", 1)): field  # type: ignore[misc]
    for codes, text in _CODES.items()
    for code in codes.split()
    for place, field in _pairs(text).items()
}
"""Event id, section, label → field, where an event calls it otherwise."""
SERVICE_INSTALLED = _pairs(
    "Service Name=ServiceName | Service File Name=ImagePath | Service Type=ServiceType | "
    "Service Start Type=StartType | Service Account=AccountName"
)
SESSION_CHANGED = _pairs("User=User | Session ID=SessionID | Source Network Address=Address")
