"""What several actions need to know of Deployments: finding one, and telling how far its rollout is.

Source of the rules of a rollout: kubectl's `rollout status` (kubectl/pkg/polymorphichelpers/rollout_status.go).
"""

from typing import Annotated

from msgspec import Meta

from kubernaut.sdk import DnsLabel, DnsName, Failed, NotFound, Object, Permission, Refused, Run, kinds

Namespace = Annotated[DnsLabel, Meta(description="Namespace of the target.")]
DeploymentName = Annotated[DnsName, Meta(description="Name of the Deployment.")]

READ_AND_PATCH = Permission(api_groups=("apps",), resources=("deployments",), verbs=("get", "patch"))
READ = Permission(api_groups=("apps",), resources=("deployments",), verbs=("get",))


async def get_deployment(run: Run, name: str, namespace: str) -> Object:
    """The Deployment. Raises Refused("TargetNotFound") when there is none, or when it is being deleted."""
    try:
        deployment = await run.cluster.get(kinds.DEPLOYMENTS, name, namespace)
    except NotFound as error:
        raise Refused("TargetNotFound", f"there is no Deployment {namespace}/{name}") from error
    if deployment["metadata"].get("deletionTimestamp"):
        raise Refused("TargetNotFound", f"Deployment {namespace}/{name} is being deleted")
    return deployment


def refuse_if_paused(deployment: Object) -> None:
    """Raises Refused("Paused"): what changes the pods of a paused Deployment would not be rolled out."""
    if deployment["spec"].get("paused"):
        meta = deployment["metadata"]
        raise Refused(
            "Paused",
            f"the rollout of Deployment {meta['namespace']}/{meta['name']} is paused; resume it first "
            f"(kubectl rollout resume deployment/{meta['name']} -n {meta['namespace']})",
        )


def missing_for_rollout(deployment: Object) -> str | None:
    """What is missing until the rollout is done; None when it is. Raises Failed when it has given up."""
    status = deployment.get("status", {})
    wanted = desired_replicas(deployment)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return "the change is not yet seen by the Deployment controller"
    for condition in status.get("conditions", []):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise Failed("ProgressDeadlineExceeded", f"the rollout has given up: {condition.get('message', '')}")
    updated = status.get("updatedReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} replicas are updated{trouble(deployment)}"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} old replicas are still there"
    if (available := status.get("availableReplicas", 0)) < updated:
        return f"{available} of {updated} replicas are available{trouble(deployment)}"
    return None


def desired_replicas(deployment: Object) -> int:
    """`spec.replicas`; absent means 1."""
    replicas = deployment["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def trouble(deployment: Object) -> str:
    """Why its pods cannot be created (a quota, for example), to follow what is missing; empty when they can."""
    for condition in deployment.get("status", {}).get("conditions", []):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"; pods cannot be created: {condition.get('message', '')}"
    return ""
