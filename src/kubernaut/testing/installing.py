"""What an action needs in a cluster of a test's own: its catalogue entry, its account, exactly its permissions."""

import hashlib
from collections.abc import Iterable, Sequence

from kubernaut.api import names
from kubernaut.api.contract import ActionContract, Permission
from kubernaut.api.definition import ActionDefinition, DefinitionSpec
from kubernaut.api.meta import ObjectMeta, to_object, to_wire
from kubernaut.cluster import Json

RUNS = "kubernaut-workflows"
"""The namespace of the executions, as everywhere."""
RUNNER = (
    Permission(api_groups=("coordination.k8s.io",), resources=("leases",), verbs=("get", "update")),
    Permission(api_groups=("",), resources=("configmaps",), verbs=("create", "update")),
)
_RBAC = "rbac.authorization.k8s.io"


def image_of(contract: ActionContract) -> str:
    """A name for what is played in this process; nothing could pull it."""
    digest = hashlib.sha256(contract.metadata.name.encode()).hexdigest()
    return f"in-process/{names.short_type(contract.metadata.name)}@sha256:{digest}"


def account_of(contract: ActionContract) -> str:
    return f"{names.short_type(contract.metadata.name)}-sa"


def user_of(contract: ActionContract) -> str:
    """As the request log names it."""
    return f"system:serviceaccount:{RUNS}:{account_of(contract)}"


def manifests_of(contract: ActionContract, targets: Iterable[str]) -> list[Json]:
    """Entry, account and permissions; those that are not cluster-wide hold in the target namespaces only."""
    asked, account = contract.spec.rbac.permissions, account_of(contract)
    definition = ActionDefinition(
        metadata=ObjectMeta(name=contract.metadata.name.replace("/", ".").replace("_", "-")),
        spec=DefinitionSpec(
            action_type=contract.metadata.name,
            image=image_of(contract),
            version=contract.metadata.version,
            service_account_name=account,
            contract=contract.spec,
        ),
    )
    local = [permission for permission in asked if not permission.cluster]
    wide = [permission for permission in asked if permission.cluster]
    return [
        to_object(definition),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": RUNS}},
        *_granted(account, "runner", RUNNER, [RUNS]),
        *_granted(account, "local", local, sorted({*targets})),
        *_granted(account, "wide", wide, [""]),
    ]


def rules_of(permissions: Sequence[Permission]) -> list[Json]:
    """As RBAC writes them."""
    wanted = ("apiGroups", "resources", "resourceNames", "verbs")
    return [{key: value for key, value in to_wire(one).items() if key in wanted} for one in permissions]


def _granted(account: str, part: str, permissions: Sequence[Permission], namespaces: Sequence[str]) -> list[Json]:
    if not permissions:
        return []
    name = f"{account}-{part}"
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules_of(permissions),
    }
    return [role, *(_binding(name, account, namespace) for namespace in namespaces)]


def _binding(name: str, account: str, namespace: str) -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": RUNS}],
    }
