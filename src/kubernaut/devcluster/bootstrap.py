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


_PUBLIC_PATHS = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_PUBLIC_PATHS]


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


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _roles() -> dict[str, list[Object]]:
    view = [_rule(group, kinds, _READ) for group, kinds in _VIEWED]
    edit = [
        *view,
        _rule("", ["secrets"], _READ),
        *(_rule(group, kinds, _WRITE_VERBS) for group, kinds in _EDITED),
        _rule("", ["serviceaccounts/token"], ["create"]),
        _rule("coordination.k8s.io", ["leases"], _READ),
    ]
    admin = [
        *edit,
        _rule(_GROUP, ["roles", "rolebindings"], [*_READ, *_WRITE_VERBS]),
        _rule("authorization.k8s.io", ["localsubjectaccessreviews"], ["create"]),
    ]
    own_reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
    return {
        "cluster-admin": [_rule("*", ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}],
        "admin": admin,
        "edit": edit,
        "view": view,
        "system:basic-user": [
            _rule("authorization.k8s.io", own_reviews, ["create"]),
            _rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
        ],
        "system:discovery": [{"nonResourceURLs": _DISCOVERY_PATHS, "verbs": ["get"]}],
        "system:public-info-viewer": [{"nonResourceURLs": _PUBLIC_PATHS, "verbs": ["get"]}],
        "system:auth-delegator": [
            _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
            _rule("authorization.k8s.io", ["subjectaccessreviews"], ["create"]),
        ],
    }


def _ensure(store: Store, kind: str, body: Object) -> None:
    try:
        store.create(kind, body, write=_WRITE)
    except AlreadyExists:
        return
