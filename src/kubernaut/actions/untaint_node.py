"""Removes a taint of a node; undoing it puts exactly the removed ones back."""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.nodes import READ_AND_PATCH_NODES, NodeName, get_node, unhealthy
from kubernaut.actions.taints import Effect, TaintKey, TaintValue, refuse_kubernetes_own, taints_of, value_of
from kubernaut.sdk import Inputs, Outputs, Refused, Run, action


class UntaintInputs(Inputs, frozen=True, kw_only=True):
    node_name: NodeName
    key: TaintKey
    effect: Annotated[Effect | None, Meta(description="Only of this effect; without it, of all.")] = None
    value: Annotated[TaintValue | None, Meta(description="Refuse when it has another value.")] = None
    verify_health: Annotated[
        bool, Meta(description="Refuse a node that is not ready, or short of memory, disk or process ids.")
    ] = True
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = "issue_resolved"


class UntaintOutputs(Outputs, frozen=True, kw_only=True):
    removed: Annotated[int, Meta(description="How many taints were removed.")]


@action(
    "kubernetes/untaint_node",
    version="1.0.0",
    description="Removes a taint of a node.",
    permissions=[READ_AND_PATCH_NODES],
    reversible=True,
    timeout="30s",
)
async def untaint_node(inputs: UntaintInputs, run: Run) -> UntaintOutputs:
    node = await get_node(run, inputs.node_name)
    refuse_kubernetes_own(inputs.key)
    if inputs.verify_health and (faults := unhealthy(node)):
        raise Refused(
            "NodeNotHealthy", f"node {inputs.node_name} should take no pods: {'; '.join(faults)}; see verifyHealth"
        )
    found = taints_of(node)
    removed = [t for t in found if t["key"] == inputs.key and inputs.effect in (None, t["effect"])]
    if not removed:
        run.say(f"node {inputs.node_name} has no such taint")
        return UntaintOutputs(removed=0)
    if inputs.value is not None and any(value_of(taint) != inputs.value for taint in removed):
        raise Refused("Drifted", f"the taint {inputs.key} of node {inputs.node_name} has another value")
    run.undo_with("kubernetes/taint_node", {"nodeName": inputs.node_name, "restore": removed, "allowLast": True})
    kept = [taint for taint in found if taint not in removed]
    await run.cluster.patch(node, {"spec": {"taints": kept or None}})
    if not run.is_dry_run:
        run.say(f"removed {len(removed)} taint(s) {inputs.key} of node {inputs.node_name} ({inputs.reason})")
    return UntaintOutputs(removed=len(removed))
