"""The Security channel's events to ECS: who (user.*), on whom (user.target.*, group.*), from where.

Subject is the account that acted. Logons are the exception: there user.* is the account that
logged on (Target). Agrees with Elastic's ``system.security``.
"""

from collections.abc import Iterable

from normalize.windows import tables_codes as codes
from normalize.windows.network import TRANSPORTS
from normalize.windows.objects import (
    MAX_RIGHTS,
    message,
    set_access,
    set_object,
    set_registry_value,
    set_share,
    value,
)
from normalize.windows.plan import Finish, Plan, Rule, compile_plan
from normalize.windows.record import EventData
from normalize.windows.sddl import describe
from normalize.windows.tables_security import LOGON_TYPES, MEANINGS
from normalize.windows.tables_sids import WELL_KNOWN
from normalize.windows.values import (
    command_line,
    executable,
    integer,
    ip,
    port,
)
from samlog.event import Event

SUBJECT: tuple[Rule, ...] = (
    ("SubjectUserSid", "user.id"),
    ("SubjectUserName", "user.name"),
    ("SubjectDomainName", "user.domain"),
    ("SubjectLogonId", "winlog.logon.id"),
)
PROCESS: tuple[Rule, ...] = (
    ("ProcessId", "process.pid", integer),
    ("ProcessName", executable("process")),
)
CALLER_PROCESS: tuple[Rule, ...] = (
    ("CallerProcessId", "process.pid", integer),
    ("CallerProcessName", executable("process")),
)


def login(name: str) -> str:
    """Returns the name of an account that may be given as ``name@domain`` (MS-ADTS, UPN)."""
    return name.partition("@")[0] or name


LOGGED_ON: tuple[Rule, ...] = (
    ("TargetUserSid", "user.id"),
    ("TargetSid", "user.id"),
    ("TargetUserName", "user.name", login),
    ("TargetDomainName", "user.domain"),
)
TARGET: tuple[Rule, ...] = (
    ("TargetSid", "user.target.id"),
    ("TargetUserName", "user.target.name", login),
    ("TargetDomainName", "user.target.domain"),
)
EFFECTIVE: tuple[Rule, ...] = (
    ("TargetUserSid", "user.effective.id"),
    ("TargetUserName", "user.effective.name", login),
    ("TargetDomainName", "user.effective.domain"),
)
GROUP: tuple[Rule, ...] = (
    ("TargetSid", "group.id"),
    ("TargetUserName", "group.name"),
    ("TargetDomainName", "group.domain"),
)
MEMBER: tuple[Rule, ...] = (
    ("TargetSid", "user.target.group.id"),
    ("TargetUserName", "user.target.group.name"),
    ("TargetDomainName", "user.target.group.domain"),
    ("MemberSid", "user.target.id"),
)
COMPUTER: tuple[Rule, ...] = (
    ("TargetSid", "winlog.computerObject.id"),
    ("TargetUserName", "winlog.computerObject.name"),
    ("TargetDomainName", "winlog.computerObject.domain"),
)
ORIGIN: tuple[Rule, ...] = (
    ("IpAddress", "source.ip", ip),
    ("IpPort", "source.port", port),
    ("WorkstationName", "source.domain"),
)
LOGON: tuple[Rule, ...] = (
    *LOGGED_ON,
    *ORIGIN,
    *PROCESS,
    ("LogonType", "winlog.logon.type", lambda value: LOGON_TYPES.get(value, value)),
)
SESSION: tuple[Rule, ...] = (
    ("AccountName", "user.name"),
    ("AccountDomain", "user.domain"),
    ("LogonID", "winlog.logon.id"),
    ("ClientName", "source.domain"),
)
KERBEROS: tuple[Rule, ...] = (
    ("TargetSid", "user.id"),
    ("TargetDomainName", "user.domain"),
    ("ServiceName", "service.name"),
    ("IpAddress", "source.ip", ip),
    ("IpPort", "source.port", port),
)
FILTERING: tuple[Rule, ...] = (
    ("ProcessID", "process.pid", integer),
    ("ProcessId", "process.pid", integer),
    ("Application", executable("process")),
    ("SourceAddress", "source.ip", ip),
    ("SourcePort", "source.port", port),
    ("DestAddress", "destination.ip", ip),
    ("DestPort", "destination.port", port),
    ("Protocol", "network.iana_number"),
    ("Protocol", "network.transport", TRANSPORTS.get),
    (
        "Direction",
        "network.direction",
        {"%%14592": "ingress", "%%14593": "egress"}.get,
    ),
)
SHARE: tuple[Rule, ...] = (
    *SUBJECT,
    ("IpAddress", "source.ip", ip),
    ("IpPort", "source.port", port),
)
TRUST: tuple[Rule, ...] = (
    ("TdoType", "winlog.trustType", codes.TRUST_TYPES.get),
    ("TdoDirection", "winlog.trustDirection", codes.TRUST_DIRECTIONS.get),
    ("TdoAttributes", "winlog.trustAttribute", codes.TRUST_ATTRIBUTES.get),
)


SERVICE_TYPE: Rule = ("ServiceType", "service.type", codes.SERVICE_TYPES.get)


def set_failure(out: Event, data: EventData) -> None:
    """Writes winlog.logon.failure.* of a failed logon."""
    if reason := value(data, "FailureReason"):
        out["winlog.logon.failure.reason"] = message(reason)
    for name, field in (("Status", "status"), ("SubStatus", "sub_status")):
        if code := value(data, name):
            text = codes.LOGON_FAILURES.get(code.lower())
            out["winlog.logon.failure." + field] = text or code


def set_logon(out: Event, data: EventData) -> None:
    """Takes the caller's logon id, else the session's own, and relates the caller.

    The domain of ``name@domain`` counts where the event names none.
    """
    logon = value(data, "SubjectLogonId") or value(data, "TargetLogonId")
    if logon:
        out["winlog.logon.id"] = logon
    if caller := value(data, "SubjectUserName"):
        out["related.user"] = [caller]
    if "user.domain" not in out and (realm := value(data, "TargetUserName").partition("@")[2]):
        out["user.domain"] = realm


def set_descriptors(out: Event, data: EventData) -> None:
    """Describes the old and the new security descriptor beside their text."""
    for name in ("OldSd", "NewSd"):
        for part, text in describe(value(data, name)):
            out[f"winlog.event_data.{name}{part}"] = text


def set_outbound(out: Event, data: EventData) -> None:
    """Writes user.effective.* of a NewCredentials logon."""
    if name := value(data, "TargetOutboundUserName"):
        out["user.effective.name"] = name
    if domain := value(data, "TargetOutboundDomainName"):
        out["user.effective.domain"] = domain


def set_principal(out: Event, data: EventData) -> None:
    """Writes user.name of a Kerberos event; 4769 writes it as name@REALM."""
    name, _, realm = value(data, "TargetUserName").partition("@")
    if name:
        out["user.name"] = name
    if realm and "user.domain" not in out:
        out["user.domain"] = realm


def set_ticket(out: Event, data: EventData) -> None:
    """Describes status, encryption and options of a Kerberos event beside their codes."""
    status = integer(value(data, "Status"))
    if status in codes.KERBEROS_ERRORS:
        out["winlog.event_data.StatusDescription"] = codes.KERBEROS_ERRORS[status]
    encryption = integer(value(data, "TicketEncryptionType"))
    if encryption in codes.TICKET_ENCRYPTION:
        out["winlog.event_data.TicketEncryptionTypeDescription"] = codes.TICKET_ENCRYPTION[
            encryption
        ]
    options = integer(value(data, "TicketOptions"))
    if options is not None:
        words = [
            word for bit, word in codes.TICKET_OPTIONS.items() if options & (0x80000000 >> bit)
        ]
        if words:
            out["winlog.event_data.TicketOptionsDescription"] = words


def set_client(out: Event, data: EventData) -> None:
    """Writes source.ip of a session event; the console says LOCAL."""
    address = value(data, "ClientAddress")
    found = "127.0.0.1" if address == "LOCAL" else ip(address)
    if found:
        out["source.ip"] = found


def set_member(out: Event, data: EventData) -> None:
    """Writes user.target.* from a member's distinguished name ``CN=..,DC=..,DC=..``."""
    name = value(data, "MemberName")
    parts = [part.partition("=") for part in name.split(",")]
    common = next((text for key, _, text in parts if key.strip().upper() == "CN"), "")
    domain = ".".join(text for key, _, text in parts if key.strip().upper() == "DC")
    if common:
        out["user.target.name"] = common
    if domain:
        out["user.target.domain"] = domain


def set_parent(out: Event, data: EventData) -> None:
    """Writes a created process and its parent; before version 2 ProcessId is the creator's too."""
    parent = integer(value(data, "ProcessId"))
    if parent is not None:
        out["process.parent.pid"] = parent


INTEGRITY = {
    "S-1-16-0": "Untrusted",
    "S-1-16-4096": "Low",
    "S-1-16-8192": "Medium",
    "S-1-16-8448": "Medium Plus",
    "S-1-16-12288": "High",
    "S-1-16-16384": "System",
    "S-1-16-20480": "Protected Process",
}
"""Mandatory labels ([MS-DTYP] 2.4.4.17) in the words of Sysmon's IntegrityLevel."""


def set_created(out: Event, data: EventData) -> None:
    r"""Writes winlog.created_process.*: 4688 in the words in which Sysmon tells the same process.

    The account is the one that the process runs as: the target's where it is another than the
    creator's. A computer's own account is SYSTEM: its SID says so where its name is ``DC01$``.
    """
    label = INTEGRITY.get(value(data, "MandatoryLabel"))
    if label is not None:
        out["winlog.created_process.integrity_level"] = label
    side = "Target" if value(data, "TargetUserName") else "Subject"
    sid = value(data, f"{side}UserSid")
    domain, name = value(data, f"{side}DomainName"), value(data, f"{side}UserName")
    if sid in WELL_KNOWN and sid != "S-1-0-0":
        domain, name = WELL_KNOWN[sid]
    if name:
        out["winlog.created_process.user"] = f"{domain}\\{name}" if domain else name
    if logon := value(data, f"{side}LogonId"):
        out["winlog.created_process.logon_id"] = logon


def set_account_control(out: Event, data: EventData) -> None:
    """Names the bits of the new and the old account control value."""
    for name, field in (("NewUacValue", "NewUACList"), ("OldUacValue", "OldUACList")):
        mask = integer(value(data, name))
        if mask:
            out["winlog.event_data." + field] = [
                word for bit, word in codes.ACCOUNT_CONTROL if mask & bit
            ]


def set_audit_policy(out: Event, data: EventData) -> None:
    """Writes category, subcategory and change of an audit policy in words."""
    for name, field in (("CategoryId", "Category"), ("SubcategoryId", "SubCategory")):
        if code := value(data, name):
            out["winlog.event_data." + field] = message(code)
    changes = value(data, "AuditPolicyChanges")
    if changes:
        words = [message(part.strip()) for part in changes.split(",") if part.strip()]
        out["winlog.event_data.AuditPolicyChangesDescription"] = words


def set_groups(out: Event, data: EventData) -> None:
    """Names the groups of a list ``%{S-1-5-32-544} %{..}`` beside it."""
    sids = [part.strip("%{}") for part in value(data, "SidList").split()[:MAX_RIGHTS]]
    if sids:
        out["winlog.event_data.SidListDesc"] = [WELL_KNOWN.get(sid, ("", sid))[1] for sid in sids]


def set_renamed(out: Event, data: EventData) -> None:
    """Writes the old and the new name of an account."""
    if old := value(data, "OldTargetUserName"):
        out["user.target.name"] = old
    if new := value(data, "NewTargetUserName"):
        out["user.changes.name"] = new


def _plan(
    code: str, rules: Iterable[Rule] = SUBJECT, finish: Iterable[Finish] = ()
) -> tuple[str, Plan]:
    category, kind, action = MEANINGS[code]
    return code, compile_plan(rules, category=category, kind=kind, action=action, finish=finish)


def _same(codes_: str, rules: Iterable[Rule], *finish: Finish) -> Iterable[tuple[str, Plan]]:
    kept = tuple(rules)
    return [_plan(code, kept, finish) for code in codes_.split()]


DEFAULT = (*SUBJECT, *PROCESS)
PLANS: dict[str, Plan] = dict(_plan(code, DEFAULT) for code in MEANINGS)
PLANS.update(
    [
        *_same("4624", LOGON, set_logon, set_outbound),
        *_same("4625", LOGON, set_logon, set_failure),
        *_same("4634 4647 4626 4627 4800 4801 4802 4803", LOGON, set_logon),
        *_same("4648", (*SUBJECT, *EFFECTIVE, *ORIGIN, *PROCESS)),
        *_same("4964", LOGON, set_logon),
        *_same("4657", DEFAULT, set_registry_value),
        *_same("4656 4658 4660 4661 4663", DEFAULT, set_object, set_access),
        *_same("4662", DEFAULT, set_access),
        *_same("4670 4715 4817 4907", DEFAULT, set_descriptors),
        *_same("4690", (*SUBJECT, ("SourceProcessId", "process.pid", integer))),
        *_same(
            "4688",
            (
                *SUBJECT,
                *EFFECTIVE,
                ("NewProcessId", "process.pid", integer),
                ("NewProcessName", executable("process")),
                ("ParentProcessName", executable("process.parent")),
                ("CommandLine", command_line("process")),
            ),
            set_parent,
            set_created,
        ),
        *_same("4697", (*SUBJECT, ("ServiceName", "service.name"), SERVICE_TYPE)),
        *_same("4703", (*DEFAULT, *EFFECTIVE)),
        *_same("4704 4705 4717 4718", (*SUBJECT, ("TargetSid", "user.target.id"))),
        *_same("4706 4707 4716", (*SUBJECT, *TRUST)),
        *_same("4719 4912", SUBJECT, set_audit_policy),
        *_same("4908", SUBJECT, set_groups),
        *_same(
            "4720 4722 4723 4724 4725 4726 4738 4740 4765 4766 4767 4780 4782 4794 4797",
            (*SUBJECT, *TARGET),
            set_account_control,
        ),
        *_same("4798", (*SUBJECT, *TARGET, *CALLER_PROCESS)),
        *_same("4799", (*SUBJECT, *GROUP, *CALLER_PROCESS)),
        *_same("4781", (*SUBJECT, *TARGET), set_renamed),
        *_same("4741 4742 4743", (*SUBJECT, *COMPUTER), set_account_control),
        *_same(
            "4727 4730 4731 4734 4735 4737 4744 4745 4748 4749 4750 4753 4754 4755 4758 4759 4760 "
            "4763 4764",
            (*SUBJECT, *GROUP),
        ),
        *_same(
            "4728 4729 4732 4733 4746 4747 4751 4752 4756 4757 4761 4762",
            (*SUBJECT, *GROUP, *MEMBER),
            set_member,
        ),
        *_same("4768 4769 4770 4771 4772 4773 4820 4821 4824", KERBEROS, set_principal, set_ticket),
        *_same(
            "4774 4775 4776 4777 4822 4823",
            (("TargetUserName", "user.name", login), ("Workstation", "source.domain")),
            set_failure,
        ),
        *_same("4778 4779", SESSION, set_client),
        *_same("4825", (*SESSION, ("AccountName", "user.name")), set_client),
        *_same("5140 5142 5143 5144 5145", SHARE, set_share, set_access),
        *_same(
            "5031 5148 5149 5150 5151 5152 5153 5154 5155 5156 5157 5158 5159",
            FILTERING,
        ),
        *_same("5379 5380 5381 5382", SUBJECT),
    ]
)
"""By event id."""
