"""vCenter's Single Sign-On audit events: ``/var/log/audit/sso-events/audit_events.log``.

A JSON object, alone or behind a time: user, client, timestamp, description, eventSeverity, type
(``com.vmware.sso.LoginFailure``). Source: VMware vSphere Security, "Single Sign-On Audit Events".
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from normalize.address import set_endpoint
from samlog.event import Event

MARK = '"type":"com.vmware.sso.'
_WITHIN = 16_000
_TIME = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d:\d\d:\d\d) UTC")
_PREFIX = "com.vmware.sso."
_SESSIONS = {
    "LoginSuccess": ("login", "start", "success"),
    "LoginFailure": ("login", "start", "failure"),
    "Logout": ("logout", "end", "success"),
}
_CHANGES = {
    "PrincipalManagement": ["iam"],
    "RoleManagement": ["iam"],
    "IdentitySourceManagement": ["iam", "configuration"],
    "DomainManagement": ["configuration"],
    "ConfigurationManagement": ["configuration"],
    "CertificateManager": ["configuration"],
}


def is_sso(record: Mapping[str, Any]) -> bool:
    """Tells whether ``record`` is an audit event of Single Sign-On."""
    kind = record.get("type")
    return isinstance(kind, str) and kind.startswith(_PREFIX) and "eventSeverity" in record


def object_in(text: str) -> Mapping[str, Any] | None:
    """Returns the audit event in a line, None if there is none."""
    begin = text.find("{")
    if begin < 0 or MARK not in text[begin : begin + _WITHIN]:
        return None
    try:
        record = orjson.loads(text[begin : text.rfind("}") + 1])
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and is_sso(record) else None


def set_sso(event: Event, record: Mapping[str, Any]) -> None:
    """Sets what an audit event says. The client is the last one: earlier ones it chose itself."""
    kind = str(record["type"]).removeprefix(_PREFIX)
    event["vsphere.log.event_type"] = _PREFIX + kind
    event["log.level"] = str(record.get("eventSeverity"))
    if isinstance(description := record.get("description"), str):
        event["message"] = description
    if kind in _SESSIONS:
        action, change, outcome = _SESSIONS[kind]
        event["event.action"] = action
        event["event.category"] = ["authentication"]
        event["event.type"] = [change]
        event["event.outcome"] = outcome
    elif kind in _CHANGES:
        event["event.action"] = kind
        event["event.category"] = list(_CHANGES[kind])
        event["event.type"] = ["change"]
    _set_user(event, record.get("user"))
    client = record.get("client")
    if isinstance(client, str):
        set_endpoint(event, "source", client.rpartition(",")[2].strip())


def time_of(record: Mapping[str, Any]) -> str | None:
    """Returns ``01/31/2026 12:37:03 UTC`` as ISO 8601, None where there is no such time."""
    match = _TIME.fullmatch(str(record.get("timestamp")))
    return f"{match[3]}-{match[1]}-{match[2]}T{match[4]}.000Z" if match else None


def _set_user(event: Event, name: Any) -> None:
    """``KOMMUNE\\kari`` or ``kari@vsphere.local``."""
    if not isinstance(name, str) or name in ("", "n/a"):
        return
    domain, separator, user = name.rpartition("\\")
    if not separator:
        user, separator, domain = name.rpartition("@")
    event["user.name"] = user if separator else name
    if domain and separator:
        event["user.domain"] = domain
