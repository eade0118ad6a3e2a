"""Each action runs as the account and the roles that an installation makes, and as those may do nothing more."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import product
from typing import Any

import pytest

from action_worlds import LEASE, TARGETS, ActionWorld
from kubernaut.actions import SHIPPED
from kubernaut.api.contract import Permission
from kubernaut.cli.installing.actions import account_of, action_manifests, target_manifests
from kubernaut.cli.options import EXECUTION_NAMESPACE
from kubernaut.cluster import Cluster, ClusterError, Forbidden, ResourceKind, kinds
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import find_action

from .cluster_nodes import node, pod

Object = dict[str, Any]
ACTIONS: dict[str, AnyAction] = {found.name: found for found in map(find_action, SHIPPED)}
IN_SHOP = {"namespace": TARGETS}
DEPLOYMENT = {**IN_SHOP, "deployment": "payment"}
# Whatever generation it will have, and however many pods are asked for: they are there.
STATUS = {
    "observedGeneration": 99,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
}

# -- something to do for each action ---------------------------------------------------------------

Prepare = Callable[[ActionWorld], Awaitable[Object]]
PREPARED: dict[str, Prepare] = {}


def prepares(name: str) -> Callable[[Prepare], Prepare]:
    def add(function: Prepare) -> Prepare:
        PREPARED[f"kubernetes/{name}"] = function
        return function

    return add


async def rolled_out(world: ActionWorld, kind: ResourceKind, name: str, **status: Any) -> None:
    body = {"status": {**STATUS, **status}}
    await world.admin.patch(kind, name, TARGETS, body, subresource="status")


async def deployed(world: ActionWorld) -> Object:
    made = await world.deploy(replicas=2)
    await rolled_out(world, kinds.DEPLOYMENTS, "payment")
    return made


@prepares("scale_deployment")
async def _(world: ActionWorld) -> Object:
    await world.deploy(replicas=1)
    await rolled_out(world, kinds.DEPLOYMENTS, "payment")
    return {**DEPLOYMENT, "replicas": 2}


@prepares("scale_statefulset")
async def _(world: ActionWorld) -> Object:
    await pod(world, "db-0", "a", of=kinds.STATEFUL_SETS)
    await rolled_out(world, kinds.STATEFUL_SETS, "owner")
    return {**IN_SHOP, "resourceName": "owner", "replicas": 2}


@prepares("restart_pod")
@prepares("delete_pod")
async def _(world: ActionWorld) -> Object:
    await pod(world, "web", "a")
    await world.admin.patch(kinds.REPLICA_SETS, "owner", TARGETS, {"spec": {"replicas": 0}})
    return {**IN_SHOP, "pod": "web", "gracePeriodSeconds": 0}


@prepares("restart_deployment")
@prepares("rollout_status")
@prepares("collect_diagnostics")
async def _(world: ActionWorld) -> Object:
    await deployed(world)
    return DEPLOYMENT


@prepares("patch_deployment")
async def _(world: ActionWorld) -> Object:
    await deployed(world)
    return {**DEPLOYMENT, "patch": {"spec": {"replicas": 3, "minReadySeconds": 1}}, "wait": False}


@prepares("rollback_deployment")
async def _(world: ActionWorld) -> Object:
    made = await deployed(world)
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment", "uid": made["metadata"]["uid"]}
    for revision in ("1", "2"):
        template = {**made["spec"]["template"]}
        template["spec"] = {"containers": [{"name": "app", "image": f"app:0.{revision}"}]}
        metadata = {
            "name": f"payment-{revision}",
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{**owner, "controller": True}],
        }
        spec = {"replicas": 0, "selector": made["spec"]["selector"], "template": template}
        await world.admin.create(kinds.REPLICA_SETS, {"metadata": metadata, "spec": spec}, TARGETS)
    return {**IN_SHOP, "resourceName": "payment", "revision": 1}


@prepares("increase_resources")
async def _(world: ActionWorld) -> Object:
    await deployed(world)
    limits = [{"name": "app", "resources": {"limits": {"memory": "64Mi"}}}]
    body = {"spec": {"template": {"spec": {"containers": limits}}}}
    await world.admin.patch(kinds.DEPLOYMENTS, "payment", TARGETS, body, "strategic")
    return {**IN_SHOP, "resourceName": "payment", "resourceType": "deployment", "memory": "128Mi"}


@prepares("update_hpa")
async def _(world: ActionWorld) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"}
    body = {"metadata": {"name": "auto"}, "spec": {"scaleTargetRef": target, "maxReplicas": 5}}
    await world.admin.create(kinds.HORIZONTAL_POD_AUTOSCALERS, body, TARGETS)
    return {**IN_SHOP, "resourceName": "auto", "maxReplicas": 6}


@prepares("apply_manifest")
async def _(world: ActionWorld) -> Object:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}
    return {**IN_SHOP, "manifest": manifest}


@prepares("update_configmap")
async def _(world: ActionWorld) -> Object:
    await world.admin.create(kinds.CONFIG_MAPS, {"metadata": {"name": "settings"}, "data": {"a": "1"}}, TARGETS)
    return {**IN_SHOP, "configMap": "settings", "data": {"a": "2"}}


@prepares("update_secret")
async def _(world: ActionWorld) -> Object:
    await world.admin.create(kinds.SECRETS, {"metadata": {"name": "db"}, "data": {"user": "YQ=="}}, TARGETS)
    return {**IN_SHOP, "secretName": "db", "remove": ["user"]}


@prepares("cordon_node")
async def _(world: ActionWorld) -> Object:
    await node(world, "a")
    await node(world, "b")
    return {"nodeName": "a"}


@prepares("drain_node")
async def _(world: ActionWorld) -> Object:
    await node(world, "a")
    await node(world, "b")
    await pod(world, "web", "a")
    return {"nodeName": "a", "gracePeriodSeconds": 0}


@prepares("uncordon_node")
async def _(world: ActionWorld) -> Object:
    await node(world, "a", unschedulable=True)
    return {"nodeName": "a"}


@prepares("taint_node")
async def _(world: ActionWorld) -> Object:
    await node(world, "a")
    await node(world, "b")
    return {"nodeName": "a", "key": "sick", "effect": "NoSchedule"}


@prepares("untaint_node")
async def _(world: ActionWorld) -> Object:
    await node(world, "a", taints=[{"key": "sick", "effect": "NoSchedule"}])
    return {"nodeName": "a", "key": "sick"}


# -- as it is installed ----------------------------------------------------------------------------


async def install(world: ActionWorld, action: AnyAction) -> str:
    """The token of the action's account, as the API server gives it to pods."""
    await world.admin.create(kinds.NAMESPACES, {"metadata": {"name": EXECUTION_NAMESPACE}})
    for manifest in (*action_manifests([action.contract]), *target_manifests([action.contract], TARGETS)):
        await world.admin.create(kinds.kind_of(manifest), manifest, manifest["metadata"].get("namespace"))
    lease = {"metadata": {"name": LEASE}, "spec": {"leaseTransitions": 1}}
    await world.admin.create(kinds.LEASES, lease, EXECUTION_NAMESPACE)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    account = account_of(action.contract)
    answer = await world.admin.create(
        kinds.SERVICE_ACCOUNTS, asked, EXECUTION_NAMESPACE, name=account, subresource="token"
    )
    return str(answer["status"]["token"])


@pytest.fixture(params=sorted(ACTIONS), ids=lambda name: str(name).partition("/")[2])
def action(request: pytest.FixtureRequest) -> AnyAction:
    return ACTIONS[request.param]


async def test_an_action_runs_with_what_an_installation_gives_it(
    still_world: ActionWorld, action: AnyAction
) -> None:
    assert action.name in PREPARED, f"say here what {action.name} is to do"
    token = await install(still_world, action)
    inputs = await PREPARED[action.name](still_world)
    ran = await still_world.run(action, inputs, token=token, KUBERNAUT_NAMESPACE=EXECUTION_NAMESPACE)
    assert (ran.code, ran.message["outcome"]) == (0, "succeeded"), ran.err
    assert "forbidden" not in ran.err
    reads_only = not {"patch", "delete", "create"} & {verb for _, verb in granted(action)}
    assert ran.message["executed"] == ("no" if reads_only else "yes")


def granted(action: AnyAction) -> Iterator[tuple[Permission, str]]:
    for permission in action.contract.spec.rbac.permissions:
        for verb in permission.verbs:
            yield permission, verb


# -- and no more -----------------------------------------------------------------------------------

ELSEWHERE = "elsewhere"
VERBS = ("get", "list", "create", "update", "patch", "delete")
TRIED = (
    kinds.PODS,
    kinds.SECRETS,
    kinds.CONFIG_MAPS,
    kinds.SERVICE_ACCOUNTS,
    kinds.NODES,
    kinds.NAMESPACES,
    kinds.DEPLOYMENTS,
    kinds.REPLICA_SETS,
    kinds.STATEFUL_SETS,
    kinds.HORIZONTAL_POD_AUTOSCALERS,
    kinds.LEASES,
    kinds.ROLE_BINDINGS,
    kinds.CLUSTER_ROLE_BINDINGS,
)
RUNNER = {("leases", "get"), ("leases", "update"), ("configmaps", "create"), ("configmaps", "update")}


async def is_allowed(cluster: Cluster, verb: str, kind: ResourceKind, namespace: str | None) -> bool:
    body: Object = {"metadata": {"name": "none", **({"namespace": namespace} if namespace else {})}}
    try:
        match verb:
            case "get":
                await cluster.get(kind, "none", namespace)
            case "list":
                await cluster.list(kind, namespace, limit=1)
            case "create":
                await cluster.create(kind, body, namespace, dry_run=True)
            case "update":
                await cluster.replace(kind, body, dry_run=True)
            case "patch":
                await cluster.patch(kind, "none", namespace, {}, dry_run=True)
            case _:
                await cluster.delete(kind, "none", namespace, dry_run=True)
    except Forbidden:
        return False
    except ClusterError:
        return True  # let in, and then not found or invalid
    return True


def may(action: AnyAction, verb: str, kind: ResourceKind, namespace: str | None) -> bool:
    if namespace == EXECUTION_NAMESPACE and (kind.plural, verb) in RUNNER:
        return True
    return any(
        kind.group in permission.api_groups
        and kind.plural in permission.resources
        and (permission.cluster or namespace == TARGETS)
        for permission, granted_verb in granted(action)
        if granted_verb == verb
    )


async def test_its_account_may_do_what_the_contract_says_and_nothing_else(
    still_world: ActionWorld, action: AnyAction
) -> None:
    token = await install(still_world, action)
    await still_world.admin.create(kinds.NAMESPACES, {"metadata": {"name": ELSEWHERE}})
    wrong: list[str] = []
    async with still_world.connect(token) as cluster:
        for verb, kind in product(VERBS, TRIED):
            places = (TARGETS, ELSEWHERE, EXECUTION_NAMESPACE) if kind.namespaced else (None,)
            for namespace in places:
                allowed = await is_allowed(cluster, verb, kind, namespace)
                if allowed != may(action, verb, kind, namespace):
                    wrong.append(f"{'may' if allowed else 'may not'} {verb} {kind.resource} in {namespace}")
    assert wrong == []


# Granted, and used on other ways than the one prepared above.
OTHER_WAYS = {
    "kubernetes/delete_pod": {("pods", "delete")},  # with `force`
    "kubernetes/restart_pod": {("statefulsets.apps", "get")},
    "kubernetes/drain_node": {("pods", "get")},  # whether one that cannot be evicted is gone
    "kubernetes/collect_diagnostics": {("pods/log", "get")},  # there are no pods
    "kubernetes/increase_resources": {
        (resource, verb) for resource in ("statefulsets.apps", "daemonsets.apps") for verb in ("get", "patch")
    },
    "kubernetes/apply_manifest": {
        (resource, verb)
        for resource in (
            "services",
            "deployments.apps",
            "statefulsets.apps",
            "daemonsets.apps",
            "horizontalpodautoscalers.autoscaling",
            "poddisruptionbudgets.policy",
        )
        for verb in ("get", "create", "patch", "delete")
    }
    | {("configmaps", "delete"), ("configmaps", "create")},
}


async def test_nothing_is_granted_that_it_does_not_use(still_world: ActionWorld, action: AnyAction) -> None:
    inputs = await PREPARED[action.name](still_world)
    token = await install(still_world, action)
    await still_world.run(action, inputs, token=token, KUBERNAUT_NAMESPACE=EXECUTION_NAMESPACE)
    user = f"system:serviceaccount:{EXECUTION_NAMESPACE}:{account_of(action.contract)}"
    used = {(call.kind, call.verb) for call in still_world.dev.requests.find(user=user)}
    given = {
        (f"{resource}.{group}" if group else resource, verb)
        for permission, verb in granted(action)
        for group in permission.api_groups
        for resource in permission.resources
    }
    assert given - used == OTHER_WAYS.get(action.name, set())
