"""Checks that the rollout of a Deployment is done, waiting for it; changes nothing."""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import (
    READ,
    DeploymentName,
    Namespace,
    get_deployment,
    missing_for_rollout,
    refuse_if_paused,
)
from kubernaut.sdk import Inputs, Outputs, Run, action


class RolloutInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    deployment: DeploymentName


class RolloutOutputs(Outputs, frozen=True, kw_only=True):
    available_replicas: Annotated[int, Meta(description="Replicas that are available.")]
    updated_replicas: Annotated[int, Meta(description="Replicas of the present template.")]
    generation: Annotated[int, Meta(description="Generation of the Deployment that was seen.")]


@action(
    "kubernetes/rollout_status",
    version="1.0.0",
    description="Waits until the rollout of a Deployment is done and fails when it is not in time.",
    permissions=[READ],
    idempotent=True,
    timeout="1m",
)
async def rollout_status(inputs: RolloutInputs, run: Run) -> RolloutOutputs:
    deployment = await get_deployment(run, inputs.deployment, inputs.namespace)
    refuse_if_paused(deployment)
    deployment = await run.wait_for(deployment, missing_for_rollout)
    status = deployment.get("status", {})
    return RolloutOutputs(
        available_replicas=status.get("availableReplicas", 0),
        updated_replicas=status.get("updatedReplicas", 0),
        generation=deployment["metadata"].get("generation", 0),
    )
