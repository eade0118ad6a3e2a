"""The controller's identity, its permissions, and the Deployment that runs it."""

from collections.abc import Iterable
from typing import Any

from kubernaut.api import names
from kubernaut.cli.installing.places import PART_OF
from kubernaut.cli.options import EXECUTION_NAMESPACE, SYSTEM_NAMESPACE

Json = dict[str, Any]

CONTROLLER = "kubernaut-controller"
_RBAC = "rbac.authorization.k8s.io"
_LABELS = PART_OF | {"app.kubernetes.io/name": "kubernaut", names.LABEL_COMPONENT: "controller"}
_USER = 65532


def controller_manifests(image: str = "") -> list[Json]:
    """Account, roles and bindings; with an image also the Deployment."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": CONTROLLER, "namespace": SYSTEM_NAMESPACE, "labels": PART_OF},
    }
    manifests = [
        account,
        _role("ClusterRole", CONTROLLER, "", _cluster_rules()),
        _binding("ClusterRoleBinding", CONTROLLER, ""),
        _role("Role", CONTROLLER, EXECUTION_NAMESPACE, _execution_rules()),
        _binding("RoleBinding", CONTROLLER, EXECUTION_NAMESPACE),
        _role("Role", CONTROLLER, SYSTEM_NAMESPACE, _leadership_rules()),
        _binding("RoleBinding", CONTROLLER, SYSTEM_NAMESPACE),
        *_user_roles(),
    ]
    return [*manifests, _deployment(image)] if image else manifests


def _rule(group: str, resources: Iterable[str], verbs: str) -> Json:
    return {"apiGroups": [group], "resources": list(resources), "verbs": verbs.split()}


def _cluster_rules() -> list[Json]:
    definitions = [f"{plural}.{group}" for plural, group in _OUR_PLURALS.items()]
    return [
        _rule(names.GROUP, ["actiondefinitions"], "get list watch"),
        # Only to see at the start whether the definitions are new enough.
        _rule("apiextensions.k8s.io", ["customresourcedefinitions"], "get") | {"resourceNames": definitions},
    ]


_OUR_PLURALS = {
    "workflowexecutions": names.WORKFLOW_GROUP,
    "actionexecutions": names.EXECUTION_GROUP,
    "actiondefinitions": names.GROUP,
    "approvalrequests": names.GROUP,
}


def _execution_rules() -> list[Json]:
    return [
        _rule(names.WORKFLOW_GROUP, ["workflowexecutions"], "get list watch patch update delete"),
        _rule(
            names.WORKFLOW_GROUP, ["workflowexecutions/status", "workflowexecutions/finalizers"], "patch update"
        ),
        _rule(names.EXECUTION_GROUP, ["actionexecutions"], "get list watch create patch update delete"),
        _rule(names.EXECUTION_GROUP, ["actionexecutions/status", "actionexecutions/finalizers"], "patch update"),
        # `patch` and `delete` of requests are not among them: it asks, and says what came of it.
        _rule(names.GROUP, ["approvalrequests"], "get list watch create"),
        _rule(names.GROUP, ["approvalrequests/status"], "update"),
        _rule("batch", ["jobs"], "get list watch create patch delete"),
        _rule("", ["pods"], "get list watch"),
        _rule("", ["pods/log"], "get"),
        _rule("", ["persistentvolumeclaims"], "get list watch create delete"),
        _rule("", ["configmaps"], "get create"),
        _rule("", ["events"], "get list watch create patch"),
        _rule("coordination.k8s.io", ["leases"], "get list watch create update delete"),
    ]


def _leadership_rules() -> list[Json]:
    lease = _rule("coordination.k8s.io", ["leases"], "get update") | {"resourceNames": [CONTROLLER]}
    # RBAC knows no name at creation.
    return [lease, _rule("coordination.k8s.io", ["leases"], "create")]


def _user_roles() -> list[Json]:
    """For people: bind these in the namespace of executions."""
    ours = [(group, plural) for plural, group in _OUR_PLURALS.items()]
    look = [_rule(group, [plural], "get list watch") for group, plural in ours]
    logs = [_rule("", ["pods", "events"], "get list watch"), _rule("", ["pods/log"], "get")]
    submit = _rule(names.WORKFLOW_GROUP, ["workflowexecutions"], "create patch delete")
    viewer = _role("ClusterRole", "kubernaut-viewer", "", [*look, *logs])
    operator = _role("ClusterRole", "kubernaut-operator", "", [*look, *logs, submit])
    # Not aggregated into any role: whose word counts is said on purpose.
    decide = _rule(names.GROUP, ["approvalrequests"], "patch approve")
    approver = _role("ClusterRole", "kubernaut-approver", "", [*look, *logs, decide])
    viewer["metadata"]["labels"] |= {f"{_RBAC}/aggregate-to-view": "true"}
    operator["metadata"]["labels"] |= {f"{_RBAC}/aggregate-to-admin": "true"}
    return [viewer, operator, approver]


def _role(kind: str, name: str, namespace: str, rules: list[Json]) -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), "labels": dict(PART_OF)},
        "rules": rules,
    }


def _binding(kind: str, name: str, namespace: str) -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), "labels": dict(PART_OF)},
        "roleRef": {"apiGroup": _RBAC, "kind": kind.removesuffix("Binding"), "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": CONTROLLER, "namespace": SYSTEM_NAMESPACE}],
    }


def _deployment(image: str) -> Json:
    selector = {"app.kubernetes.io/name": "kubernaut", names.LABEL_COMPONENT: "controller"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CONTROLLER, "namespace": SYSTEM_NAMESPACE, "labels": _LABELS},
        "spec": {
            # Two: one leads, the other takes over within the lease when a node is lost.
            "replicas": 2,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "serviceAccountName": CONTROLLER,
                    "terminationGracePeriodSeconds": 45,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": _USER,
                        "runAsGroup": _USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [_container(image)],
                },
            },
        },
    }


def _container(image: str) -> Json:
    return {
        "name": "controller",
        "image": image,
        "args": ["controller"],
        "ports": [{"name": "health", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
        "livenessProbe": _probe("/healthz", 15, 20),
        "readinessProbe": _probe("/readyz", 5, 10),
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "512Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _probe(path: str, delay: int, period: int) -> Json:
    return {
        "httpGet": {"path": path, "port": "health"},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
    }
