"""Changes the number of replicas of a Deployment and waits until they are there."""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import (
    READ_AND_PATCH,
    DeploymentName,
    Namespace,
    desired_replicas,
    get_deployment,
)
from kubernaut.sdk import (
    Failed,
    Forbidden,
    Inputs,
    NotFound,
    Object,
    Outputs,
    Permission,
    Refused,
    Run,
    action,
    kinds,
)


class ScaleInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    deployment: DeploymentName
    replicas: Annotated[int, Meta(ge=0, le=100, description="How many replicas there shall be.")]
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = ""


class ScaleOutputs(Outputs, frozen=True, kw_only=True):
    previous_replicas: Annotated[int, Meta(description="Replicas asked for before.")]
    actual_replicas: Annotated[int, Meta(description="Replicas available at the end.")]


@action(
    "kubernetes/scale_deployment",
    version="1.0.0",
    description="Changes the number of replicas of a Deployment and waits until they are available.",
    permissions=[
        READ_AND_PATCH,
        Permission(api_groups=("autoscaling",), resources=("horizontalpodautoscalers",), verbs=("list",)),
    ],
    reversible=True,
    timeout="5m",
)
async def scale_deployment(inputs: ScaleInputs, run: Run) -> ScaleOutputs:
    deployment = await get_deployment(run, inputs.deployment, inputs.namespace)
    await _refuse_if_autoscaled(inputs, run)
    previous = desired_replicas(deployment)
    undo = {"namespace": inputs.namespace, "deployment": inputs.deployment, "replicas": previous}
    run.undo_with("kubernetes/scale_deployment", undo, deployment=inputs.deployment, previous_replicas=previous)
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
    if desired_replicas(deployment) != wanted:
        raise Failed("Overruled", f"somebody else set the replicas to {desired_replicas(deployment)} meanwhile")
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return "the change is not yet seen by the Deployment controller"
    available, present = status.get("availableReplicas", 0), status.get("replicas", 0)
    if available < wanted:
        return f"{available} of {wanted} replicas are available"
    if wanted < present and not _is_rolling_out(status):
        return f"{present - wanted} replicas too many are still there"
    return None


def _is_rolling_out(status: Object) -> bool:
    # Replicas of the old and the new template exist side by side, more of them than asked for.
    return bool(status.get("updatedReplicas", 0) < status.get("replicas", 0))


async def _refuse_if_autoscaled(inputs: ScaleInputs, run: Run) -> None:
    """An autoscaler would set its own number again within seconds."""
    try:
        autoscalers = await run.cluster.list(kinds.HORIZONTAL_POD_AUTOSCALERS, inputs.namespace)
    except NotFound:
        return  # the cluster has no autoscalers
    except Forbidden:
        run.say("whether an autoscaler owns the replicas could not be seen: listing them is forbidden")
        return
    for autoscaler in autoscalers:
        target = autoscaler["spec"].get("scaleTargetRef", {})
        if target.get("kind") == "Deployment" and target.get("name") == inputs.deployment:
            name = autoscaler["metadata"]["name"]
            raise Refused(
                "AutoscalerOwnsReplicas",
                f"HorizontalPodAutoscaler {inputs.namespace}/{name} owns the replicas of this Deployment; "
                f"change its minReplicas and maxReplicas instead",
            )
