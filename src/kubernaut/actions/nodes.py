"""What several actions need to know of nodes. Pure but for reading."""

from typing import Annotated, Any

from msgspec import Meta

from kubernaut.sdk import DnsName, NotFound, Object, Permission, Refused, Run, kinds

NodeName = Annotated[DnsName, Meta(description="Name of the node.")]
Reason = Annotated[str, Meta(max_length=253, description="Why; for the log only.")]

READ_AND_PATCH_NODES = Permission(api_groups=("",), resources=("nodes",), verbs=("get", "patch"), cluster=True)
LIST_NODES = Permission(api_groups=("",), resources=("nodes",), verbs=("list",), cluster=True)

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
# Of the cordon itself; the node controller writes it and takes it away.
_CORDON = "node.kubernetes.io/unschedulable"


async def get_node(run: Run, name: str) -> Object:
    """The node. Raises Refused("TargetNotFound")."""
    try:
        return await run.cluster.get(kinds.NODES, name)
    except NotFound as error:
        raise Refused("TargetNotFound", f"there is no node {name}") from error


def is_cordoned(node: Object) -> bool:
    """Whether nothing new is to be scheduled there."""
    return bool(node.get("spec", {}).get("unschedulable"))


def unhealthy(node: Object) -> list[str]:
    """What speaks against the node's health, in words; empty when it is well."""
    conditions: list[Object] = node.get("status", {}).get("conditions", [])
    found = {str(condition.get("type")): condition for condition in conditions}
    ready = found.get("Ready", {})
    faults: list[str] = []
    if ready.get("status") != "True":
        faults.append(
            f"it is not ready ({ready.get('message') or ready.get('reason') or 'its kubelet says nothing'})"
        )
    for pressure in _PRESSURES:
        if found.get(pressure, {}).get("status") == "True":
            faults.append(f"{pressure}: {found[pressure].get('message') or 'True'}")
    return faults


def takes_pods(node: Object) -> bool:
    """Whether an ordinary pod can be scheduled there: ready, not cordoned, without taints that keep pods away."""
    taints: list[Any] = node.get("spec", {}).get("taints") or []
    keeps_away = any(
        taint.get("effect") in ("NoSchedule", "NoExecute") and taint.get("key") != _CORDON for taint in taints
    )
    return not is_cordoned(node) and not keeps_away and not any("not ready" in fault for fault in unhealthy(node))


async def last_node_fault(run: Run, name: str) -> str:
    """Why the node must not be closed: no other node would take its pods. Empty when one would."""
    nodes = await run.cluster.list(kinds.NODES)
    if any(takes_pods(node) for node in nodes if node["metadata"]["name"] != name):
        return ""
    return f"{name} is the last node that takes pods: none of the other {len(nodes) - 1} is ready and schedulable"
