"""What a new cluster holds: namespaces and the roles that people expect."""

from __future__ import annotations

from .errors import AlreadyExists
from .objects import Object
from .resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES
from .store import Store, Write

_WRITE = Write(manager="devcluster-bootstrap")
_NAMESPACES = ("default", "kube-system", "kube-node-lease", "kube-public")
_GROUP = "rbac.authorization.k8s.io"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}

_READ = ["get", "list", "watch"]
_WRITE_VERBS = ["create", "delete", "deletecollection", "patch", "update"]
_VIEWED: tuple[tuple[str, list[str]], ...] = (
    (
        "",
        [
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "namespaces",
            "namespaces/status",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "pods/log",
            "pods/status",
            "resourcequotas",
            "resourcequotas/status",
            "serviceaccounts",
            "services",
            "services/status",
        ],
    ),
    (
        "apps",
        [
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        ],
    ),
    ("autoscaling", ["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
    ("batch", ["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
    ("events.k8s.io", ["events"]),
    ("networking.k8s.io", ["networkpolicies"]),
    ("policy", ["poddisruptionbudgets", "poddisruptionbudgets/status"]),
)
_EDITED: tuple[tuple[str, list[str]], ...] = (
    (
        "",
        [
            "configmaps",
            "events",
            "persistentvolumeclaims",
            "pods",
            "pods/eviction",
            "secrets",
            "serviceaccounts",
            "services",
        ],
    ),
    (
        "apps",
        [
            "daemonsets",
            "deployments",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
    ),
    ("autoscaling", ["horizontalpodautoscalers"]),
    ("batch", ["cronjobs", "jobs"]),
    ("coordination.k8s.io", ["leases"]),
    ("networking.k8s.io", ["networkpolicies"]),
    ("policy", ["poddisruptionbudgets"]),
)


def bootstrap(store: Store) -> None:
    """Create what is missing; a store that was loaded from disk keeps its own."""
    for name in _NAMESPACES:
        _ensure(store, NAMESPACES, {"metadata": {"name": name}})
    for name, rules in _roles().items():
        _ensure(store, CLUSTER_ROLES, {"metadata": {"name": name, "labels": _LABELS}, "rules": rules})
    for role, group in (
        ("cluster-admin", "system:masters"),
        ("system:discovery", "system:authenticated"),
        ("system:basic-user", "system:authenticated"),
        ("system:public-info-viewer", "system:authenticated"),
    ):
        body: Object = {
            "metadata": {"name": role, "labels": _LABELS},
            "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": _GROUP, "kind": "Group", "name": group}],
        }
        _ensure(store, CLUSTER_ROLE_BINDINGS, body)


def _roles() -> dict[str, list[Object]]:
    view = [{"apiGroups": [group], "resources": kinds, "verbs": _READ} for group, kinds in _VIEWED]
    edit = [
        *view,
        {"apiGroups": [""], "resources": ["secrets"], "verbs": _READ},
        *({"apiGroups": [group], "resources": kinds, "verbs": _WRITE_VERBS} for group, kinds in _EDITED),
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": _READ},
    ]
    admin = [
        *edit,
        {"apiGroups": [_GROUP], "resources": ["roles", "rolebindings"], "verbs": [*_READ, *_WRITE_VERBS]},
        {
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["localsubjectaccessreviews"],
            "verbs": ["create"],
        },
    ]
    reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
    return {
        "cluster-admin": [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ],
        "admin": admin,
        "edit": edit,
        "view": view,
        "system:basic-user": [
            {"apiGroups": ["authorization.k8s.io"], "resources": reviews, "verbs": ["create"]},
            {
                "apiGroups": ["authentication.k8s.io"],
                "resources": ["selfsubjectreviews"],
                "verbs": ["create"],
            },
        ],
        "system:discovery": [
            {
                "nonResourceURLs": [
                    "/api",
                    "/api/*",
                    "/apis",
                    "/apis/*",
                    "/healthz",
                    "/livez",
                    "/openapi",
                    "/openapi/*",
                    "/readyz",
                    "/version",
                    "/version/",
                ],
                "verbs": ["get"],
            }
        ],
        "system:public-info-viewer": [
            {
                "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"],
                "verbs": ["get"],
            }
        ],
        "system:auth-delegator": [
            {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
            {
                "apiGroups": ["authorization.k8s.io"],
                "resources": ["subjectaccessreviews"],
                "verbs": ["create"],
            },
        ],
    }


def _ensure(store: Store, kind: str, body: Object) -> None:
    try:
        store.create(kind, body, write=_WRITE)
    except AlreadyExists:
        return
