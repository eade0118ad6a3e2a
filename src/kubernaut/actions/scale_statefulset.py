"""Changes the number of replicas of a StatefulSet; its claims stay, whatever the number.

Pods come in the order of their ordinals and go in the reverse one: one that is not ready holds up all others.
"""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import Namespace, desired_replicas
from kubernaut.actions.workloads import (
    LIST_AUTOSCALERS,
    MOST_REPLICAS,
    ExpectedReplicas,
    Replicas,
    ResourceName,
    get_workload,
    refuse_drift,
    refuse_if_autoscaled,
    refuse_overruled,
)
from kubernaut.sdk import Inputs, Object, Outputs, Permission, Run, action, kinds


class ScaleStatefulSetInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    resource_name: Annotated[ResourceName, Meta(description="Name of the StatefulSet.")]
    replicas: Replicas
    wait_for_ready: Annotated[bool, Meta(description="Wait until exactly that many are ready.")] = True
    expected_replicas: ExpectedReplicas = None
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = ""


class ScaleStatefulSetOutputs(Outputs, frozen=True, kw_only=True):
    previous_replicas: Annotated[int, Meta(description="Replicas asked for before.")]
    ready_replicas: Annotated[int, Meta(description="Replicas ready at the end.")]


@action(
    "kubernetes/scale_statefulset",
    version="1.0.0",
    description="Changes the number of replicas of a StatefulSet and waits until they are ready.",
    permissions=[
        Permission(api_groups=("apps",), resources=("statefulsets",), verbs=("get", "patch")),
        LIST_AUTOSCALERS,
    ],
    reversible=True,
    timeout="5m",
)
async def scale_statefulset(inputs: ScaleStatefulSetInputs, run: Run) -> ScaleStatefulSetOutputs:
    where = f"{inputs.namespace}/{inputs.resource_name}"
    found = await get_workload(run, kinds.STATEFUL_SETS, inputs.resource_name, inputs.namespace)
    refuse_drift(found, inputs.expected_replicas)
    await refuse_if_autoscaled(run, kinds.STATEFUL_SETS, inputs.resource_name, inputs.namespace)
    previous = desired_replicas(found)
    if previous <= MOST_REPLICAS:  # else the list of changes is the way back
        back = {"replicas": previous, "expectedReplicas": inputs.replicas, "waitForReady": inputs.wait_for_ready}
        run.undo_with(
            "kubernetes/scale_statefulset",
            {"namespace": inputs.namespace, "resourceName": inputs.resource_name, **back},
            previous_replicas=previous,
        )
    if previous != inputs.replicas:
        if not run.is_dry_run:
            why = f" ({inputs.reason})" if inputs.reason else ""
            run.say(f"scaling StatefulSet {where}: {previous} -> {inputs.replicas}{why}")
        found = await run.cluster.patch(found, {"spec": {"replicas": inputs.replicas}})

    def missing(now: Object) -> str | None:
        return missing_pods(now, inputs.replicas)

    if inputs.wait_for_ready:
        found = await run.wait_for(found, missing)
    ready = int(found.get("status", {}).get("readyReplicas", 0))
    return ScaleStatefulSetOutputs(previous_replicas=previous, ready_replicas=ready)


def missing_pods(stateful_set: Object, wanted: int) -> str | None:
    """What is missing until exactly that many replicas are there and ready.

    Raises Failed("Overruled") when somebody else has set another number.
    """
    refuse_overruled(stateful_set, wanted)
    status = stateful_set.get("status", {})
    if status.get("observedGeneration", 0) < stateful_set["metadata"].get("generation", 0):
        return "the change is not yet seen by the StatefulSet controller"
    ready, present = status.get("readyReplicas", 0), status.get("replicas", 0)
    if present > wanted:
        return f"{present - wanted} replicas too many are still there"
    if ready < wanted:
        return f"{ready} of {wanted} replicas are ready"
    return None
