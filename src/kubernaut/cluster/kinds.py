"""The kinds of object this program speaks of, and where the API keeps them.

Names and scopes as in the Kubernetes API reference; not here: what the objects contain.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """One kind of object as the API serves it."""

    group: str
    """API group; empty for the core group."""
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As written in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """As RBAC and kubectl write it: `jobs.batch`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """The path under which the API serves this group and version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


PODS = ResourceKind("", "v1", "Pod", "pods")
CONFIG_MAPS = ResourceKind("", "v1", "ConfigMap", "configmaps")
SECRETS = ResourceKind("", "v1", "Secret", "secrets")
SERVICES = ResourceKind("", "v1", "Service", "services")
SERVICE_ACCOUNTS = ResourceKind("", "v1", "ServiceAccount", "serviceaccounts")
NAMESPACES = ResourceKind("", "v1", "Namespace", "namespaces", namespaced=False)
NODES = ResourceKind("", "v1", "Node", "nodes", namespaced=False)
EVENTS = ResourceKind("", "v1", "Event", "events")
PERSISTENT_VOLUME_CLAIMS = ResourceKind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
PERSISTENT_VOLUMES = ResourceKind("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
RESOURCE_QUOTAS = ResourceKind("", "v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGES = ResourceKind("", "v1", "LimitRange", "limitranges")

DEPLOYMENTS = ResourceKind("apps", "v1", "Deployment", "deployments")
REPLICA_SETS = ResourceKind("apps", "v1", "ReplicaSet", "replicasets")
STATEFUL_SETS = ResourceKind("apps", "v1", "StatefulSet", "statefulsets")
DAEMON_SETS = ResourceKind("apps", "v1", "DaemonSet", "daemonsets")

JOBS = ResourceKind("batch", "v1", "Job", "jobs")
CRON_JOBS = ResourceKind("batch", "v1", "CronJob", "cronjobs")

LEASES = ResourceKind("coordination.k8s.io", "v1", "Lease", "leases")

_RBAC = "rbac.authorization.k8s.io"
ROLES = ResourceKind(_RBAC, "v1", "Role", "roles")
ROLE_BINDINGS = ResourceKind(_RBAC, "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLES = ResourceKind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDINGS = ResourceKind(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)

NETWORK_POLICIES = ResourceKind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
POD_DISRUPTION_BUDGETS = ResourceKind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
HORIZONTAL_POD_AUTOSCALERS = ResourceKind(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
)

CUSTOM_RESOURCE_DEFINITIONS = ResourceKind(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)
_ADMISSION = "admissionregistration.k8s.io"
VALIDATING_ADMISSION_POLICIES = ResourceKind(
    _ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
)
VALIDATING_ADMISSION_POLICY_BINDINGS = ResourceKind(
    _ADMISSION,
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    namespaced=False,
)
PRIORITY_CLASSES = ResourceKind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False)
STORAGE_CLASSES = ResourceKind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)

TOKEN_REVIEWS = ResourceKind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False)
SUBJECT_ACCESS_REVIEWS = ResourceKind(
    "authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False
)
SELF_SUBJECT_ACCESS_REVIEWS = ResourceKind(
    "authorization.k8s.io",
    "v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
)

WORKFLOW_EXECUTIONS = ResourceKind(
    "workflowexecution.kubernaut.ai", "v1alpha1", "WorkflowExecution", "workflowexecutions"
)
ACTION_EXECUTIONS = ResourceKind("execution.kubernaut.ai", "v1alpha1", "ActionExecution", "actionexecutions")
ACTION_DEFINITIONS = ResourceKind(
    "kubernaut.ai", "v1alpha1", "ActionDefinition", "actiondefinitions", namespaced=False
)
APPROVAL_REQUESTS = ResourceKind("kubernaut.ai", "v1alpha1", "ApprovalRequest", "approvalrequests")

BUILTIN = tuple(value for value in list(globals().values()) if isinstance(value, ResourceKind))
"""Every kind above."""

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in BUILTIN}


def kind_of(document: dict[str, object]) -> ResourceKind:
    """The kind of an object that says its own `apiVersion` and `kind`.

    Raises KeyError, naming both, for a kind that is not above.
    """
    name = (str(document.get("apiVersion")), str(document.get("kind")))
    try:
        return _BY_NAME[name]
    except KeyError:
        raise KeyError(f"no kind {name[1]} in {name[0]} is known here") from None
