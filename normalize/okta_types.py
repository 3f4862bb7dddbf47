"""Okta's event types in ECS: the category by what an event is about, the type by what happened.

Source: Okta, "Event types" of the System Log API: ``user.session.start`` is subject and verb, the
verb is the last word that has a meaning here (``user.lifecycle.delete.completed`` is a deletion).
"""

from normalize.bounded import Bounded

Meaning = tuple[tuple[str, ...], tuple[str, ...]]
"""Values of ``event.category`` and ``event.type``."""

_MAX_NAME = 256
_IAM, _LOGIN, _SETTING = ("iam",), ("authentication",), ("configuration",)
_SESSION = ("authentication", "session")
_FOUND = ("intrusion_detection",)

_NAMED: dict[str, Meaning] = {
    "user.session.start": (_SESSION, ("start", "user")),
    "user.session.end": (_SESSION, ("end", "user")),
    "user.authentication.sso": (_LOGIN, ("user",)),
    "policy.evaluate_sign_on": (_LOGIN, ("info",)),
    "policy.rule.add": (_SETTING, ("change",)),
}
"""What does not follow from the words."""
_SUBJECTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("user.session.", "system.import.session."), ("session",)),
    (("user.authentication.", "user.identity_verification", "user.mfa.factor.challenge"), _LOGIN),
    (("user.mfa.attempt_bypass", "user.mfa.okta_verify", "policy.auth_reevaluate"), _LOGIN),
    (("app.oauth2.", "app.inbound_del_auth", "app.generic.unauth", "system.push."), _LOGIN),
    (("app.kerberos_rich_client", "system.iwa_agentless.auth", "system.sms.", "system.voice."),
     _LOGIN),
    (("security.", "user.risk.", "user.account.report_suspicious", "analytics.risk"), _FOUND),
    (("core.user",), _LOGIN),
    (("directory.linked_object.", "directory.mapping."), _SETTING),
    (("user.", "credential.", "group.", "iam.", "support.org.", "access.", "directory."), _IAM),
    (("application.user_membership.", "application.provision.", "application.integration."), _IAM),
    (("app.user_management.", "app.ad.api.user_import", "app.access_request.", "device.user."),
     _IAM),
    (("system.api_token.", "system.idp.", "system.import.user.", "system.import.group"), _IAM),
    (("workflows.user.role.",), _IAM),
    (("device.assurance.", "device.integration.", "device.posture."), _SETTING),
    (("device.",), ("host",)),
    (("policy.", "zone.", "application.", "app.", "system.", "event_hook.", "inline_hook."),
     _SETTING),
    (("account.", "analytics.", "certification.", "core."), _SETTING),
    (("oauth2.", "master_application.", "network_zone.", "pam.", "workflows.", "scheduled_action."),
     _SETTING),
)  # fmt: skip
"""Beginnings of event types → category; the first that fits counts."""
_VERBS = {
    "creation": ("create", "add", "grant", "generate", "register", "import", "provision", "issue"),
    "deletion": ("delete", "remove", "revoke", "purge", "deprovision", "cancel"),
    "change": (
        *("update", "activate", "deactivate", "suspend", "unsuspend", "lock", "unlock", "reset"),
        *("expire", "change", "convert", "rotate", "enable", "disable", "assign", "unassign"),
        *("clear", "reactivate", "upgrade", "transfer", "set", "rename", "link", "unlink"),
        "privilege",
    ),
    "start": ("start", "initiate"),
    "end": ("end", "logout"),
}
_TYPE_OF = {word: kind for kind, words in _VERBS.items() for word in words} | {
    f"{word}{'' if word.endswith('e') else 'e'}d": kind
    for kind, words in _VERBS.items()
    for word in words
}
"""``updated`` says what ``update`` does."""
_STAGES = frozenset(("completed", "initiated", "complete", "failed", "summary", "request"))
_OWNERS = frozenset(("user", "group"))


def meaning(event_type: str) -> Meaning:
    """Returns the categories and types of an event; ((), ()) for what Okta does not call so."""
    return _KNOWN[event_type]


def _meaning(event_type: str) -> Meaning:
    named = _NAMED.get(event_type)
    if named is not None:
        return named
    for beginnings, category in _SUBJECTS:
        if event_type.startswith(beginnings):
            return category, _types(event_type, category)
    return (), ("info",) if event_type else ()


def _types(event_type: str, category: tuple[str, ...]) -> tuple[str, ...]:
    if category in (_FOUND, _LOGIN) or event_type.startswith("policy.evaluate"):
        return ("info",)
    words = event_type.split(".")
    verb = next((word for word in reversed(words) if word not in _STAGES), "")
    kind = _TYPE_OF.get(verb) or _TYPE_OF.get(verb.partition("_")[0])
    privilege = "privilege" in words
    if kind in ("creation", "deletion") and (privilege or "membership" in event_type):
        kind = "change"
    if kind in ("start", "end") and category != ("session",):
        kind = None
    parts = event_type.replace("_", ".").split(".")
    owner = next((word for word in parts if word in _OWNERS), None)
    found = (owner if category == _IAM else None, "admin" if privilege else None, kind)
    return tuple(word for word in found if word) or ("info",)


def _fits(event_type: str) -> bool:
    return len(event_type) <= _MAX_NAME


_KNOWN = Bounded(_meaning, 2_048, _fits)
