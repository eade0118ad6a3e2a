"""Nodes and pods on them, as objects that stand as they are written."""

from typing import Any

from action_worlds import TARGETS, ActionWorld
from kubernaut.cluster import AlreadyExists, ResourceKind, kinds

Object = dict[str, Any]
READY = ({"type": "Ready", "status": "True"},)
NOT_READY = ({"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."},)


async def node(world: ActionWorld, name: str, *, conditions: tuple[Object, ...] = READY, **spec: Any) -> Object:
    await world.admin.create(kinds.NODES, {"metadata": {"name": name}, "spec": spec})
    status = {"status": {"conditions": list(conditions)}}
    return await world.admin.patch(kinds.NODES, name, None, status, subresource="status")


async def spec_of(world: ActionWorld, name: str) -> Object:
    found = (await world.admin.get(kinds.NODES, name)).get("spec", {})
    return {key: value for key, value in found.items() if value}


async def owner(world: ActionWorld, kind: ResourceKind) -> list[Object]:
    """References to a controller that is there: pods of controllers that are gone are collected."""
    labels = {"of": "owner"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
    body = {"metadata": {"name": "owner"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    try:
        found = await world.admin.create(kind, body, TARGETS)
    except AlreadyExists:
        found = await world.admin.get(kind, "owner", TARGETS)
    reference = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": "owner",
        "uid": found["metadata"]["uid"],
    }
    return [{**reference, "controller": True}]


async def pod(
    world: ActionWorld,
    name: str,
    on: str,
    *,
    phase: str = "Running",
    volumes: Any = (),
    of: ResourceKind | None = kinds.REPLICA_SETS,
    **metadata: Any,
) -> Object:
    references = [] if of is None else await owner(world, of)
    metadata = {"name": name, "labels": {"app": name}, "ownerReferences": references, **metadata}
    body = {
        "metadata": metadata,
        "spec": {"nodeName": on, "containers": [{"name": "c", "image": "app:1"}], "volumes": list(volumes)},
    }
    made = await world.admin.create(kinds.PODS, body, TARGETS)
    conditions = [{"type": "Ready", "status": "True" if phase == "Running" else "False"}]
    status = {"status": {"phase": phase, "conditions": conditions}}
    await world.admin.patch(kinds.PODS, name, TARGETS, status, subresource="status")
    return made


async def names(world: ActionWorld) -> set[str]:
    return {pod["metadata"]["name"] for pod in await world.pods()}
