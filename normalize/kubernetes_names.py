"""Which names of Kubernetes objects become fields: those of the API that security rules look at.

What a user of the API writes into an object is the user's choice, its names too. A name that is
not here becomes no field, so that nobody can fill the index with names; it is in
``event.original``.
"""

from typing import Any

FIELD_NAMES = frozenset(
    # every object
    ("apiVersion", "kind", "metadata", "spec", "status", "items", "name", "namespace")
    + ("generateName", "ownerReferences", "uid", "controller", "finalizers", "reason", "message")
    # pods and what makes them
    + ("template", "jobTemplate", "containers", "initContainers", "ephemeralContainers", "image")
    + ("imagePullPolicy", "imagePullSecrets", "command", "args", "workingDir", "env", "envFrom")
    + ("value", "valueFrom", "secretRef", "secretKeyRef", "configMapRef", "configMapKeyRef", "key")
    + ("ports", "containerPort", "hostPort", "hostIP", "protocol", "volumes", "volumeMounts")
    + ("mountPath", "mountPropagation", "readOnly", "subPath", "hostPath", "path", "type", "secret")
    + ("secretName", "configMap", "projected", "sources", "serviceAccountToken", "persistentVolume")
    + ("persistentVolumeClaim", "claimName", "nfs", "csi", "driver", "emptyDir", "downwardAPI")
    + ("securityContext", "privileged", "allowPrivilegeEscalation", "capabilities", "add", "drop")
    + ("runAsUser", "runAsGroup", "runAsNonRoot", "readOnlyRootFilesystem", "procMount", "fsGroup")
    + ("seccompProfile", "appArmorProfile", "seLinuxOptions", "supplementalGroups", "sysctls")
    + (
        "localhostProfile",
        "user",
        "role",
        "level",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostUsers",
    )
    + ("serviceAccount", "serviceAccountName", "automountServiceAccountToken", "nodeName")
    + ("nodeSelector", "tolerations", "operator", "effect", "priorityClassName", "runtimeClassName")
    + (
        "restartPolicy",
        "replicas",
        "schedule",
        "suspend",
        "selector",
        "matchLabels",
        "tty",
        "stdin",
    )
    + ("lifecycle", "postStart", "preStop", "exec", "livenessProbe", "readinessProbe", "httpGet")
    # rights
    + ("rules", "verbs", "resources", "resourceNames", "apiGroups", "nonResourceURLs", "roleRef")
    + ("apiGroup", "subjects", "aggregationRule", "clusterRoleSelectors", "secrets", "groups")
    + ("resourceAttributes", "nonResourceAttributes", "verb", "group", "resource", "subresource")
    + ("audiences", "expirationSeconds", "boundObjectRef", "request", "signerName", "usages")
    + ("username", "conditions", "approved", "allowed", "denied", "authenticated", "token")
    # admission, network, nodes
    + ("webhooks", "clientConfig", "url", "service", "port", "failurePolicy", "sideEffects")
    + ("namespaceSelector", "objectSelector", "operations", "apiVersions", "scope", "caBundle")
    + ("externalIPs", "externalName", "clusterIP", "loadBalancerIP", "nodePort", "targetPort")
    + (
        "ingress",
        "egress",
        "from",
        "to",
        "ipBlock",
        "cidr",
        "except",
        "podSelector",
        "host",
        "hosts",
    )
    + ("policyTypes", "backend", "http", "paths", "tls", "unschedulable", "taints", "providerID")
    + ("validations", "expression", "policyName", "validationActions", "parameters", "code")
)
_MAPS = frozenset(("labels", "annotations", "matchLabels", "nodeSelector", "options"))
_SECRET_MAPS = frozenset(("data", "stringData", "binaryData"))
_HIDDEN = frozenset(("token", "caBundle"))
_MAX_DEPTH = 10
_MAX_ITEMS = 64


def known(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """Returns what of an object becomes fields: known names; of maps ``key=value``.

    Of the data of secrets and config maps only the keys, of tokens nothing.
    """
    if depth == 0:
        return None
    if isinstance(value, list):
        return [known(item, depth - 1) for item in value[:_MAX_ITEMS]]
    if not isinstance(value, dict):
        return value
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if key in _MAPS and isinstance(item, dict):
            pairs = list(item.items())[:_MAX_ITEMS]
            kept[key] = [f"{name}={text}" for name, text in pairs if isinstance(text, str)]
        elif key in _SECRET_MAPS and isinstance(item, dict):
            kept[key] = list(item)[:_MAX_ITEMS]
        elif key in FIELD_NAMES and key not in _HIDDEN:
            kept[key] = known(item, depth - 1)
    return kept
