"""For each action: its account and its permissions from its contract."""

from collections.abc import Iterable
from typing import Any

from kubernaut.actions import SHIPPED
from kubernaut.api import names
from kubernaut.api.contract import ActionContract, Permission
from kubernaut.api.definition import ActionDefinition, DefinitionSpec
from kubernaut.api.meta import ObjectMeta, to_object, to_wire
from kubernaut.cli.installing.places import PART_OF
from kubernaut.cli.options import EXECUTION_NAMESPACE
from kubernaut.sdk.entrypoint import find_action

Json = dict[str, Any]

RUNNER = "kubernaut-runner"
EVERYWHERE = "*"
"""As a target: every namespace. Fit for a cluster of one's own."""
_RBAC = "rbac.authorization.k8s.io"


def shipped_contracts() -> list[ActionContract]:
    """Of the actions in the box."""
    return [find_action(module).contract for module in SHIPPED]


def account_of(contract: ActionContract) -> str:
    """The ServiceAccount that an action runs as: `kubernetes/scale_deployment` -> `scale-deployment-sa`."""
    return f"{names.short_type(contract.metadata.name)}-sa"


def role_of(contract: ActionContract) -> str:
    """The ClusterRole that holds an action's permissions."""
    return f"kubernaut-{names.short_type(contract.metadata.name)}-action"


def action_manifests(contracts: Iterable[ActionContract]) -> list[Json]:
    """Accounts and roles. What they may touch is bound by `target_manifests`, namespace by namespace.

    Only what a contract says it needs cluster-wide (nodes, for example) is bound here.
    """
    contracts = list(contracts)
    manifests: list[Json] = [_runner_role()]
    for contract in contracts:
        permissions = contract.spec.rbac.permissions
        manifests.append(_account(contract))
        local = [_rule(permission) for permission in permissions if not permission.cluster]
        if local:
            manifests.append(_cluster_role(role_of(contract), local))
        wide = [_rule(permission) for permission in permissions if permission.cluster]
        if wide:
            name = f"{role_of(contract)}-cluster"
            manifests += [
                _cluster_role(name, wide),
                _binding("ClusterRoleBinding", name, "", "ClusterRole", [contract]),
            ]
    manifests.append(_binding("RoleBinding", RUNNER, EXECUTION_NAMESPACE, "Role", contracts))
    return manifests


def own_action_manifests(contract: ActionContract) -> list[Json]:
    """The same for one action that comes to a cluster later; what stands there of others is left as it is."""
    manifests = [one for one in action_manifests([contract]) if one["metadata"]["name"] != RUNNER]
    if not contract.spec.fenced:
        return manifests
    binding = _binding("RoleBinding", RUNNER, EXECUTION_NAMESPACE, "Role", [contract])
    # Its own name: the subjects of a binding are one list, which whoever applies it replaces whole.
    return [
        *manifests,
        {**binding, "metadata": {**binding["metadata"], "name": f"{RUNNER}-{account_of(contract)}"}},
    ]


def target_manifests(contracts: Iterable[ActionContract], namespace: str) -> list[Json]:
    """What lets the actions touch one namespace, or all of them."""
    kind, place = ("ClusterRoleBinding", "") if namespace == EVERYWHERE else ("RoleBinding", namespace)
    return [
        _binding(kind, role_of(contract), place, "ClusterRole", [contract])
        for contract in contracts
        if any(not permission.cluster for permission in contract.spec.rbac.permissions)
    ]


def definition_manifest(contract: ActionContract, image: str) -> Json:
    """The action's entry in the catalogue; `image` is a reference by digest."""
    definition = ActionDefinition(
        metadata=ObjectMeta(
            name=contract.metadata.name.replace("/", ".").replace("_", "-"),
            labels=PART_OF | {names.LABEL_ACTION_TYPE: names.label_value(contract.metadata.name)},
            annotations={names.ANNOTATION_CONTRACT_VERSION: contract.api_version},
        ),
        spec=DefinitionSpec(
            action_type=contract.metadata.name,
            image=image,
            version=contract.metadata.version,
            service_account_name=account_of(contract),
            contract=contract.spec,
        ),
    )
    return to_object(definition)


def _account(contract: ActionContract) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": account_of(contract), "namespace": EXECUTION_NAMESPACE, "labels": dict(PART_OF)},
    }


def _runner_role() -> Json:
    """What the runner in every action container needs: its fence, and room for large results."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": RUNNER, "namespace": EXECUTION_NAMESPACE, "labels": dict(PART_OF)},
        "rules": [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "update"]},
        ],
    }


def _rule(permission: Permission) -> Json:
    wire = to_wire(permission)
    return {key: wire[key] for key in ("apiGroups", "resources", "resourceNames", "verbs") if key in wire}


def _cluster_role(name: str, rules: list[Json]) -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": dict(PART_OF)},
        "rules": rules,
    }


def _binding(kind: str, name: str, namespace: str, role_kind: str, contracts: Iterable[ActionContract]) -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), "labels": dict(PART_OF)},
        "roleRef": {"apiGroup": _RBAC, "kind": role_kind, "name": name},
        "subjects": [
            {"kind": "ServiceAccount", "name": account_of(contract), "namespace": EXECUTION_NAMESPACE}
            for contract in contracts
        ],
    }
