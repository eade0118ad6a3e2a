"""Restarts all pods of a Deployment as a rollout, as `kubectl rollout restart` does."""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import (
    READ_AND_PATCH,
    DeploymentName,
    Namespace,
    get_deployment,
    missing_for_rollout,
    refuse_if_paused,
)
from kubernaut.actions.reading import part
from kubernaut.sdk import Inputs, Outputs, Refused, Run, action

# kubectl writes and shows this annotation; a new value makes a new pod template.
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


class RestartInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    deployment: DeploymentName


class RestartOutputs(Outputs, frozen=True, kw_only=True):
    restarted_at: Annotated[str, Meta(description="The moment, as kubectl writes it: an annotation of the pods.")]
    restarted_replicas: Annotated[int, Meta(description="Pods of the new template.")]


@action(
    "kubernetes/restart_deployment",
    version="1.0.0",
    description="Replaces all pods of a Deployment by a rollout and waits until the new ones are available.",
    permissions=[READ_AND_PATCH],
    timeout="10m",
)
async def restart_deployment(inputs: RestartInputs, run: Run) -> RestartOutputs:
    deployment = await get_deployment(run, inputs.deployment, inputs.namespace)
    refuse_if_paused(deployment)
    restarted_at = run.started_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: restarted_at}}}}}
    if part(deployment, "spec", "template", "metadata", "annotations").get(RESTARTED_AT) == restarted_at:
        raise Refused("JustRestarted", "somebody restarted it within this second: nothing would change")
    run.say(f"restarting Deployment {inputs.namespace}/{inputs.deployment}")
    deployment = await run.wait_for(await run.cluster.patch(deployment, body), missing_for_rollout)
    updated = int(deployment.get("status", {}).get("updatedReplicas", 0))
    return RestartOutputs(restarted_at=restarted_at, restarted_replicas=updated)
