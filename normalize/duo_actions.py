"""Duo's administrator and activity actions in ECS: what an action is about, and what it does to it.

Source: Cisco Duo, "Admin API", administrator logs (field ``action``) and activity logs: a name
begins with its subject and holds its verb, ``user_create``, ``integration_policy_assign``.
"""

from normalize.bounded import Bounded

Meaning = tuple[tuple[str, ...], tuple[str, ...]]
"""Values of ``event.category`` and ``event.type``; none of either is possible."""

_MAX_NAME = 128
_IAM, _SETTING = ("iam",), ("configuration",)
_VERBS = (
    (("create", "add"), "creation"),
    (("delete", "remove"), "deletion"),
    (("update", "edit", "modify", "lock", "unlock", "lockout", "disable", "enable"), "change"),
)
_OWNERS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("admin", "directory_group_admin", "activation_create_link", "activation_delete_link"),
        "admin",
    ),
    (("activation_send_link",), "admin"),
    (("hardtoken",), "info"),
    (("user", "phone", "tablet", "u2ftoken", "webauthncredential", "bypass"), "user"),
    (("group",), "group"),
)
"""Beginnings of actions → the type that says whom they are about; a hardware token may be nobody's
yet."""
_SETTINGS = (
    *("integration", "policy", "feature", "account", "custom_messaging", "log_export", "sso"),
    *("customer", "create_child_customer", "delete_child_customer", "credits", "edition"),
    *("directory", "azure_directory", "trusted_endpoints", "telephony", "branding"),
)
_CODES = ("regen_", "resend_", "send_")
"""New passcodes, and enrolment codes that are sent: nothing that is stored changes."""
_FAILED = ("_error", "_fail", "_failed", "_denied")


def has_failed(action: str) -> bool:
    """Tells whether the name says so, as ``ad_sync_failed`` does."""
    return action.endswith(_FAILED)


def meaning(action: str) -> Meaning:
    """Returns the categories and types; ``admin_login`` is a log-in, not an administrator."""
    return _KNOWN[action]


def _meaning(action: str) -> Meaning:
    if action.startswith("admin_") and "login" in action:
        return ("authentication",), ("info",)
    verbs = set(action.split("_"))
    kinds = tuple(kind for words, kind in _VERBS if verbs.intersection(words))
    for beginnings, owner in _OWNERS:
        if action.startswith(beginnings):
            return _IAM, (owner, *kinds)
    if action.startswith(_SETTINGS):
        return _SETTING, ("info", *kinds)
    if "_sync_" in action:
        return (), ("user" if "_by_user_" in action else "info",)
    return (), ("info",) if action.startswith(_CODES) else ()


def _fits(action: str) -> bool:
    return len(action) <= _MAX_NAME


_KNOWN = Bounded(_meaning, 1_024, _fits)
