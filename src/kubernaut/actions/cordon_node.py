"""Keeps new pods away from a node; those that are there stay."""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.nodes import (
    LIST_NODES,
    READ_AND_PATCH_NODES,
    NodeName,
    Reason,
    get_node,
    is_cordoned,
    last_node_fault,
)
from kubernaut.sdk import Inputs, Outputs, Refused, Run, action


class CordonInputs(Inputs, frozen=True, kw_only=True):
    node_name: NodeName
    allow_last: Annotated[bool, Meta(description="Also the last node that takes pods.")] = False
    reason: Reason = ""


class CordonOutputs(Outputs, frozen=True, kw_only=True):
    was_cordoned: Annotated[bool, Meta(description="Whether it was closed to new pods before.")]


@action(
    "kubernetes/cordon_node",
    version="1.0.0",
    description="Keeps new pods away from a node.",
    permissions=[READ_AND_PATCH_NODES, LIST_NODES],
    reversible=True,
    timeout="30s",
)
async def cordon_node(inputs: CordonInputs, run: Run) -> CordonOutputs:
    node = await get_node(run, inputs.node_name)
    if is_cordoned(node):
        run.say(f"node {inputs.node_name} is cordoned already")
        return CordonOutputs(was_cordoned=True)
    if not inputs.allow_last and (fault := await last_node_fault(run, inputs.node_name)):
        raise Refused("LastSchedulableNode", f"{fault}; set allowLast to cordon it nevertheless")
    # What was schedulable before may be so again, well or not.
    run.undo_with("kubernetes/uncordon_node", {"nodeName": inputs.node_name, "verifyHealth": False})
    await run.cluster.patch(node, {"spec": {"unschedulable": True}})
    if not run.is_dry_run:
        run.say(f"cordoned node {inputs.node_name}{f': {inputs.reason}' if inputs.reason else ''}")
    return CordonOutputs(was_cordoned=False)
