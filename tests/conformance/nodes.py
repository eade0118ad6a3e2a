"""Nodes for cases: one that runs pods, and Node objects behind which there is nobody."""

from kubernaut.concurrency import SystemClock

from .api import Json
from .work import Work, holds

NODES = "/api/v1/nodes"


async def a_node_that_runs(work: Work) -> str:
    """Ready, and without taints."""
    found = await work.get(NODES)
    fit = [node for node in found["items"] if holds(node, "Ready") and not node["spec"].get("taints")]
    return str(fit[0]["metadata"]["name"])


async def bare_node(work: Work, labels: Json | None = None) -> str:
    """Says that it is ready, with room for ten pods. No kubelet: its pods are bound, and stay Pending."""
    name = work.api.namespace
    own = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})}
    await work.make(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": own}})
    now = SystemClock().now().strftime("%Y-%m-%dT%H:%M:%SZ")
    room = {"cpu": "4", "memory": "4Gi", "pods": "10"}
    ready = {"type": "Ready", "status": "True", "reason": "Said", "message": "so", "lastTransitionTime": now}
    conditions = [{**ready, "lastHeartbeatTime": now}]
    status = {"status": {"capacity": room, "allocatable": room, "conditions": conditions}}
    answer = await work.api.patch(f"{NODES}/{name}/status", status)
    assert answer.code == 200, answer.body
    # A new node is tainted as not ready until a controller has seen that it is.
    await work.until(f"{NODES}/{name}", lambda node: not node["spec"].get("taints"))
    return name


async def remove_node(work: Work, name: str) -> None:
    """Its pods have nobody who would end them."""
    for pod in (await work.get("v1/pods"))["items"]:
        if pod["spec"].get("nodeName") == name:
            await work.api.delete(f"v1/pods/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
    await work.api.delete(f"{NODES}/{name}")
