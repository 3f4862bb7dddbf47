"""Kubernetes audit events by the API's own names, which SigmaHQ's rules use."""

from detect.logsource import Fields, Source

_AUDIT = "kubernetes.audit."
_POD = _AUDIT + "requestObject.spec."

AUDIT = Fields(
    {
        "apiGroup": _AUDIT + "objectRef.apiGroup",
        "capabilities": _POD + "containers.securityContext.capabilities.add",
        "hostPath": _POD + "volumes.hostPath.path",
        "username": "user.name",
    },
    prefix=_AUDIT,
)
"""Two of SigmaHQ's rules read ``hostPath`` and ``capabilities`` as if they stood alone."""

_WHERE = {"event.dataset": ("kubernetes.audit_logs",)}

SOURCES: tuple[Source, ...] = (Source("kubernetes", "application", "audit", _WHERE, AUDIT),)
