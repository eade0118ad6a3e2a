"""Lets new pods onto a node again."""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.nodes import (
    READ_AND_PATCH_NODES,
    NodeName,
    Reason,
    get_node,
    is_cordoned,
    unhealthy,
)
from kubernaut.sdk import Inputs, Outputs, Refused, Run, action


class UncordonInputs(Inputs, frozen=True, kw_only=True):
    node_name: NodeName
    verify_health: Annotated[
        bool, Meta(description="Refuse a node that is not ready, or short of memory, disk or process ids.")
    ] = True
    reason: Reason = ""


class UncordonOutputs(Outputs, frozen=True, kw_only=True):
    was_cordoned: Annotated[bool, Meta(description="Whether it was closed to new pods before.")]


@action(
    "kubernetes/uncordon_node",
    version="1.0.0",
    description="Lets new pods onto a node again.",
    permissions=[READ_AND_PATCH_NODES],
    reversible=True,
    timeout="30s",
)
async def uncordon_node(inputs: UncordonInputs, run: Run) -> UncordonOutputs:
    node = await get_node(run, inputs.node_name)
    if inputs.verify_health and (faults := unhealthy(node)):
        raise Refused(
            "NodeNotHealthy", f"node {inputs.node_name} should take no pods: {'; '.join(faults)}; see verifyHealth"
        )
    if not is_cordoned(node):
        run.say(f"node {inputs.node_name} is not cordoned")
        return UncordonOutputs(was_cordoned=False)
    run.undo_with("kubernetes/cordon_node", {"nodeName": inputs.node_name, "allowLast": True})
    await run.cluster.patch(node, {"spec": {"unschedulable": None}})
    if not run.is_dry_run:
        run.say(f"uncordoned node {inputs.node_name}{f': {inputs.reason}' if inputs.reason else ''}")
    return UncordonOutputs(was_cordoned=True)
