"""For each action in the box: objects that stand as they are written, and inputs to do something with them."""

from collections.abc import Awaitable, Callable
from typing import Any

from action_worlds import TARGETS, ActionWorld
from kubernaut.cluster import ResourceKind, kinds

from .cluster_nodes import node, pod

Object = dict[str, Any]
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
