"""CloudTrail's event names to ECS categories: tables where AWS's words need one, else by verb."""

from typing import NamedTuple


class Action(NamedTuple):
    """Values of ``event.category`` and ``event.type``."""

    category: tuple[str, ...]
    type: tuple[str, ...]


_VERBS = (
    (("Create", "Add", "Put", "Upload", "Import", "Register", "Run"), "creation"),
    (("Delete", "Remove", "Deregister", "Terminate"), "deletion"),
    (("Get", "List", "Describe", "Lookup", "Head", "Search", "View", "Download"), "access"),
    (
        ("Update", "Change", "Modify", "Set", "Attach", "Detach", "Enable", "Disable", "Deactivate")
        + ("Associate", "Disassociate", "Reset", "Resync", "Tag", "Untag", "Authorize", "Revoke"),
        "change",
    ),
)

_NAMED: dict[str, Action] = {
    "ConsoleLogin": Action(("authentication",), ("info",)),
    "AssumeRole": Action(("authentication",), ("info",)),
    "AssumeRoleWithSAML": Action(("authentication",), ("info",)),
    "AssumeRoleWithWebIdentity": Action(("authentication",), ("info",)),
    "GetSessionToken": Action(("authentication",), ("info",)),
    "GetFederationToken": Action(("authentication",), ("info",)),
    "AddUserToGroup": Action(("iam",), ("change", "group")),
    "RemoveUserFromGroup": Action(("iam",), ("change", "group")),
    "AttachGroupPolicy": Action(("iam",), ("change", "group")),
    "CreateUser": Action(("iam",), ("creation", "user")),
    "DeleteUser": Action(("iam",), ("deletion", "user")),
    "CreateGroup": Action(("iam",), ("creation", "group")),
    "DeleteGroup": Action(("iam",), ("deletion", "group")),
    "UpdateGroup": Action(("iam",), ("change", "group")),
    "UpdateUser": Action(("iam",), ("change", "user")),
    "CreateAccessKey": Action(("iam",), ("change", "user")),
    "DeleteAccessKey": Action(("iam",), ("change", "user")),
    "UpdateAccessKey": Action(("iam",), ("change", "user")),
    "CreateVirtualMFADevice": Action(("iam",), ("change", "user")),
    "DeleteVirtualMFADevice": Action(("iam",), ("change", "user")),
    "EnableMFADevice": Action(("iam",), ("change", "user")),
    "DeactivateMFADevice": Action(("iam",), ("change", "user")),
    "ChangePassword": Action(("iam",), ("change", "user")),
    "UploadSSHPublicKey": Action(("iam",), ("change", "user")),
    "DeleteSSHPublicKey": Action(("iam",), ("change", "user")),
    "UpdateSSHPublicKey": Action(("iam",), ("change", "user")),
    "UpdateAccountPasswordPolicy": Action(("iam",), ("admin", "change")),
    "DeleteBucket": Action(("file",), ("deletion",)),
    "CreateBucket": Action(("file",), ("creation",)),
    "PutObject": Action(("file",), ("creation",)),
    "DeleteObject": Action(("file",), ("deletion",)),
    "GetObject": Action(("file",), ("access",)),
    "CreateKeyPair": Action(("iam",), ("admin", "creation")),
    "DeleteKeyPair": Action(("iam",), ("admin", "deletion")),
    "ImportKeyPair": Action(("iam",), ("admin", "creation")),
}

_OF_A_USER = ("User", "LoginProfile", "AccessKey", "MFADevice", "SSHPublicKey") + (
    "ServiceSpecificCredential",
    "SigningCertificate",
)
_SERVICES = {
    "iam": "iam",
    "organizations": "iam",
    "sso": "iam",
    "identitystore": "iam",
    "signin": "authentication",
    "sts": "authentication",
}
_DEFAULT = Action((), ("info",))


def action(name: str, source: str) -> Action:
    """Returns the categories of event ``name`` of service ``source`` (``iam.amazonaws.com``).

    Only identity and storage have categories of their own in ECS; others have a type only.
    """
    if name in _NAMED:
        return _NAMED[name]
    category = _SERVICES.get(source.partition(".")[0])
    if category is None:
        return _DEFAULT
    if category == "authentication":
        return Action((category,), ("info",))
    for words, kind in _VERBS:
        if name.startswith(words):
            who = ("group",) if "Group" in name else ()
            if any(word in name for word in _OF_A_USER):
                who = ("user",)
            return Action((category,), ("info",) if kind == "access" else (kind, *who))
    return Action((category,), ("info",))
