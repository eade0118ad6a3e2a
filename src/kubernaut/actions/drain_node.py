"""Cordons a node and evicts its pods, as `kubectl drain` does; every refusal is told at once, before the cordon.

The pod of this action is never evicted: evicting it would race its own report (SIGTERM, "Terminated") and win
nothing, since it ends by itself as soon as it has reported. Pods of other actions are waited for instead of being
evicted, too: an action that is cut off leaves a run that a person must resolve.
"""

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from kubernaut.actions.evictions import evict_pods, few, pod_name
from kubernaut.actions.nodes import (
    LIST_NODES,
    READ_AND_PATCH_NODES,
    NodeName,
    Reason,
    get_node,
    is_cordoned,
    last_node_fault,
)
from kubernaut.api.names import LABEL_EXECUTION
from kubernaut.sdk import Inputs, Object, Outputs, Permission, Refused, Run, action, kinds

_MIRROR = "kubernetes.io/config.mirror"
_FINISHED = ("Succeeded", "Failed")


class DrainInputs(Inputs, frozen=True, kw_only=True):
    node_name: NodeName
    grace_period_seconds: Annotated[
        int, Meta(ge=0, le=3600, description="How long each pod may take to end, in seconds.")
    ] = 300
    ignore_daemonsets: Annotated[
        bool, Meta(description="Leave pods of DaemonSets where they are; otherwise refuse when there are some.")
    ] = True
    delete_local_data: Annotated[
        bool, Meta(description="Also evict pods with emptyDir volumes: data is lost.")
    ] = False
    force: Annotated[bool, Meta(description="Also evict pods that no controller will replace.")] = False
    reason: Reason = ""


class DrainOutputs(Outputs, frozen=True, kw_only=True):
    pods_evicted: Annotated[int, Meta(description="How many pods were evicted.")]
    evicted_pods: Annotated[list[str], Meta(description="Those pods, as namespace/name.")]
    was_cordoned: Annotated[bool, Meta(description="Whether it was closed to new pods before.")]


@action(
    "kubernetes/drain_node",
    version="1.0.0",
    description="Cordons a node, evicts its pods as disruption budgets allow, and waits until they are gone.",
    permissions=[
        READ_AND_PATCH_NODES,
        LIST_NODES,
        Permission(api_groups=("",), resources=("pods",), verbs=("get", "list"), cluster=True),
        Permission(api_groups=("",), resources=("pods/eviction",), verbs=("create",), cluster=True),
    ],
    reversible=True,
    timeout="15m",
)
async def drain_node(inputs: DrainInputs, run: Run) -> DrainOutputs:
    node = await get_node(run, inputs.node_name)
    was_cordoned = is_cordoned(node)
    pods = sort_pods(await _pods(run, inputs), inputs, run.pod_uid)
    refusals = [*pods.refusals, *filter(None, [await last_node_fault(run, inputs.node_name)])]
    if refusals:
        raise Refused("CannotDrain", f"node {inputs.node_name} is not drained: {'; '.join(refusals)}")
    if not was_cordoned:
        run.undo_with("kubernetes/uncordon_node", {"nodeName": inputs.node_name, "verifyHealth": False})
        await run.cluster.patch(node, {"spec": {"unschedulable": True}})
    if not run.is_dry_run:
        run.say(f"cordoned node {inputs.node_name}{f': {inputs.reason}' if inputs.reason else ''}")
        # Until the cordon, more may have come.
        pods = sort_pods(await _pods(run, inputs), inputs, run.pod_uid)
        if pods.refusals:
            raise Refused("CannotDrain", f"pods came meanwhile: {'; '.join(pods.refusals)}")
        for text in pods.left:
            run.say(text)

    async def present() -> list[Object]:
        return await _pods(run, inputs)

    await evict_pods(run, pods.evicted, present, grace_period_seconds=inputs.grace_period_seconds)
    await _wait_for_others(run, pods.waited, inputs)
    names = [pod_name(pod) for pod in pods.evicted]
    return DrainOutputs(pods_evicted=len(names), evicted_pods=names, was_cordoned=was_cordoned)


@dataclass
class Sorted:
    """What becomes of a node's pods."""

    evicted: list[Object] = field(default_factory=list[Object])
    waited: list[Object] = field(default_factory=list[Object])
    """They end by themselves, and that is waited for."""
    left: list[str] = field(default_factory=list[str])
    """They stay; why, in words."""
    refusals: list[str] = field(default_factory=list[str])
    """Why the node cannot be drained as it is asked for."""


def sort_pods(pods: list[Object], inputs: DrainInputs, own_uid: str) -> Sorted:
    """Who goes, who stays, and what forbids it.

    Source of the rules: kubectl's drain (kubectl/pkg/drain/filters.go).
    """
    found = Sorted()
    daemons: list[str] = []
    alone: list[str] = []
    local: list[str] = []
    for pod in sorted(pods, key=pod_name):
        meta = pod["metadata"]
        finished = pod.get("status", {}).get("phase") in _FINISHED
        owner = next((o["kind"] for o in meta.get("ownerReferences", []) if o.get("controller")), None)
        if own_uid and meta["uid"] == own_uid:
            found.left.append(f"{pod_name(pod)} runs this action; it ends when this has been reported")
        elif _MIRROR in (meta.get("annotations") or {}):
            found.left.append(f"{pod_name(pod)} is a static pod of the node's; only the node can end it")
        elif meta.get("deletionTimestamp"):
            found.waited.append(pod)
        elif owner == "DaemonSet" and not finished:
            daemons.append(pod_name(pod))
        elif LABEL_EXECUTION in (meta.get("labels") or {}) and not finished:
            found.waited.append(pod)
        else:
            found.evicted.append(pod)
            if owner is None and not finished:
                alone.append(pod_name(pod))
            if not finished and any("emptyDir" in volume for volume in pod["spec"].get("volumes", [])):
                local.append(pod_name(pod))
    if daemons and inputs.ignore_daemonsets:
        found.left.append(f"pods of DaemonSets stay: {few(daemons)}")
    elif daemons:
        found.refusals.append(f"DaemonSets would put their pods back ({few(daemons)}); see ignoreDaemonsets")
    if alone and not inputs.force:
        found.refusals.append(f"no controller would replace {few(alone)}; see force")
    if local and not inputs.delete_local_data:
        found.refusals.append(f"data in emptyDir volumes of {few(local)} would be lost; see deleteLocalData")
    return found


async def _pods(run: Run, inputs: DrainInputs) -> list[Object]:
    return await run.cluster.list(kinds.PODS, field_selector=f"spec.nodeName={inputs.node_name}")


async def _wait_for_others(run: Run, waited: list[Object], inputs: DrainInputs) -> None:
    uids = {pod["metadata"]["uid"] for pod in waited}

    async def missing() -> str | None:
        there = [
            pod_name(pod)
            for pod in await _pods(run, inputs)
            if pod["metadata"]["uid"] in uids and pod.get("status", {}).get("phase") not in _FINISHED
        ]
        return f"{few(there)} have not ended" if there else None

    if uids:
        await run.wait_until(missing, what=f"the last pods of node {inputs.node_name}")
