"""Changes the number of replicas of a Deployment and waits until they are there."""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import (
    READ_AND_PATCH,
    DeploymentName,
    Namespace,
    desired_replicas,
    get_deployment,
    trouble,
)
from kubernaut.actions.workloads import (
    LIST_AUTOSCALERS,
    MOST_REPLICAS,
    ExpectedReplicas,
    Replicas,
    refuse_drift,
    refuse_if_autoscaled,
    refuse_overruled,
)
from kubernaut.sdk import Inputs, Object, Outputs, Run, action, kinds


class ScaleInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    deployment: DeploymentName
    replicas: Replicas
    expected_replicas: ExpectedReplicas = None
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = ""


class ScaleOutputs(Outputs, frozen=True, kw_only=True):
    previous_replicas: Annotated[int, Meta(description="Replicas asked for before.")]
    actual_replicas: Annotated[int, Meta(description="Replicas available at the end.")]


@action(
    "kubernetes/scale_deployment",
    version="1.0.0",
    description="Changes the number of replicas of a Deployment and waits until they are available.",
    permissions=[READ_AND_PATCH, LIST_AUTOSCALERS],
    reversible=True,
    timeout="5m",
)
async def scale_deployment(inputs: ScaleInputs, run: Run) -> ScaleOutputs:
    deployment = await get_deployment(run, inputs.deployment, inputs.namespace)
    refuse_drift(deployment, inputs.expected_replicas)
    await refuse_if_autoscaled(run, kinds.DEPLOYMENTS, inputs.deployment, inputs.namespace)
    previous = desired_replicas(deployment)
    if previous <= MOST_REPLICAS:  # else the list of changes is the way back
        back = {"replicas": previous, "expectedReplicas": inputs.replicas}
        run.undo_with(
            "kubernetes/scale_deployment",
            {"namespace": inputs.namespace, "deployment": inputs.deployment, **back},
            deployment=inputs.deployment,
            previous_replicas=previous,
        )
    if previous != inputs.replicas:
        run.say(f"scaling Deployment {inputs.namespace}/{inputs.deployment}: {previous} -> {inputs.replicas}")
        deployment = await run.cluster.patch(deployment, {"spec": {"replicas": inputs.replicas}})

    def missing(now: Object) -> str | None:
        return missing_replicas(now, inputs.replicas)

    deployment = await run.wait_for(deployment, missing)
    available = int(deployment.get("status", {}).get("availableReplicas", 0))
    return ScaleOutputs(previous_replicas=previous, actual_replicas=available)


def missing_replicas(deployment: Object, wanted: int) -> str | None:
    """What is missing until that many replicas are there. A rollout under way may go on; scaling is done."""
    status = deployment.get("status", {})
    refuse_overruled(deployment, wanted)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return "the change is not yet seen by the Deployment controller"
    available, present = status.get("availableReplicas", 0), status.get("replicas", 0)
    if available < wanted:
        return f"{available} of {wanted} replicas are available{trouble(deployment)}"
    if wanted < present and not _is_rolling_out(status):
        return f"{present - wanted} replicas too many are still there"
    return None


def _is_rolling_out(status: Object) -> bool:
    # Replicas of the old and the new template exist side by side, more of them than asked for.
    return bool(status.get("updatedReplicas", 0) < status.get("replicas", 0))
