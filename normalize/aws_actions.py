"""CloudTrail's event names to ECS categories, by what a name is made of: verb, then subject."""

from typing import NamedTuple

from normalize.bounded import Bounded


class Action(NamedTuple):
    """Values of ``event.category`` and ``event.type``."""

    category: tuple[str, ...]
    type: tuple[str, ...]


_MAX_NAMES = 256
"""Characters of a name and its service; longer ones are not remembered."""
_NONE = Action((), ("info",))
_LOGIN = Action(("authentication",), ("info",))
_VERBS = (
    (("Create", "Add", "Put", "Upload", "Import", "Register", "Invite", "Accept"), "creation"),
    (("Delete", "Remove", "Deregister", "Terminate", "Close", "Leave", "Decline"), "deletion"),
    (
        ("Get", "List", "Describe", "Lookup", "Head", "Search", "View", "Download", "Generate")
        + ("Simulate", "Is"),
        "info",
    ),
)
"""Beginnings of a name → event.type; whatever does none of these changes something."""
_LOGINS = (
    *("ConsoleLogin", "SwitchRole", "RenewRole", "ExitRole", "CheckMfa", "Logout", "UserAuth"),
    *("GetSigninToken", "GetSessionToken", "GetFederationToken", "CredentialChallenge"),
    *("CredentialVerification", "Authenticate", "Federate", "PasswordRecoveryRequested"),
    "PasswordRecoveryCompleted",
)
_BUCKETS = {
    "CreateBucket": "creation",
    "PutObject": "creation",
    "CopyObject": "creation",
    "DeleteBucket": "deletion",
    "DeleteObject": "deletion",
    "DeleteObjects": "deletion",
    "GetObject": "access",
}
_KEY_PAIRS = {"CreateKeyPair": "creation", "ImportKeyPair": "creation", "DeleteKeyPair": "deletion"}
_DIRECTORIES = frozenset(("iam", "organizations", "sso", "sso-directory", "identitystore"))
_OF_A_USER = (
    "User",
    "LoginProfile",
    "AccessKey",
    "MFADevice",
    "SSHPublicKey",
    "ChangePassword",
) + (
    "ServiceSpecificCredential",
    "SigningCertificate",
    "SecurityTokenForUser",
)


def action(name: str, source: str) -> Action:
    """Returns the categories of event ``name`` of service ``source`` (``iam.amazonaws.com``).

    Only log-ins, identity and storage have categories of their own in ECS; others have a type only.
    """
    return _KNOWN[name, source]


def _action(key: tuple[str, str]) -> Action:
    name, source = key
    service = source.partition(".")[0]
    if service == "s3" and name in _BUCKETS:
        return Action(("file",), (_BUCKETS[name],))
    if name in _KEY_PAIRS:
        return Action(("iam",), ("admin", _KEY_PAIRS[name]))
    if service == "signin" or name.startswith("AssumeRo") or name in _LOGINS:
        return _LOGIN
    return _identity(name) if service in _DIRECTORIES else _NONE


def _identity(name: str) -> Action:
    """A user and a group are created and deleted; all that hangs on one is a change of it."""
    kind = next((kind for words, kind in _VERBS if name.startswith(words)), "change")
    if "Group" in name and not name.endswith("ForUser"):
        owner = "group"
    elif any(word in name for word in _OF_A_USER):
        owner = "user"
    else:
        return Action(("iam",), ("info",) if kind == "info" else ("admin", kind))
    if kind != "info" and not name.endswith(("eUser", "eGroup")):
        kind = "change"
    return Action(("iam",), (owner, kind))


def _fits(key: tuple[str, str]) -> bool:
    return len(key[0]) + len(key[1]) <= _MAX_NAMES


_KNOWN = Bounded(_action, 4_096, _fits)
