"""What actions need to know of Deployments, StatefulSets and DaemonSets alike: finding one, and its rollout.

Source of the rules of a rollout: kubectl's `rollout status` (kubectl/pkg/polymorphichelpers/rollout_status.go).
"""

from typing import Annotated, Literal

from msgspec import Meta

from kubernaut.actions.deployments import desired_replicas, missing_for_rollout, refuse_if_paused
from kubernaut.actions.reading import part
from kubernaut.sdk import (
    DnsName,
    Failed,
    Forbidden,
    NotFound,
    Object,
    Permission,
    Refused,
    ResourceKind,
    Run,
    kinds,
)

WorkloadType = Literal["deployment", "statefulset", "daemonset"]
ResourceName = Annotated[DnsName, Meta(description="Name of the target.")]

MOST_REPLICAS = 100
Replicas = Annotated[int, Meta(ge=0, le=MOST_REPLICAS, description="How many replicas there shall be.")]
ExpectedReplicas = Annotated[
    int | None,
    Meta(description="Refuse unless it is to have this many now: a rollback overwrites nobody's later change."),
]

WORKLOADS: dict[str, ResourceKind] = {
    "deployment": kinds.DEPLOYMENTS,
    "statefulset": kinds.STATEFUL_SETS,
    "daemonset": kinds.DAEMON_SETS,
}

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

LIST_AUTOSCALERS = Permission(
    api_groups=("autoscaling",), resources=("horizontalpodautoscalers",), verbs=("list",)
)


async def get_workload(run: Run, kind: ResourceKind, name: str, namespace: str) -> Object:
    """The object. Raises Refused("TargetNotFound") when there is none, or when it is being deleted."""
    try:
        found = await run.cluster.get(kind, name, namespace)
    except NotFound as error:
        raise Refused("TargetNotFound", f"there is no {kind.kind} {namespace}/{name}") from error
    if found["metadata"].get("deletionTimestamp"):
        raise Refused("TargetNotFound", f"{kind.kind} {namespace}/{name} is being deleted")
    return found


def refuse_if_held(workload: Object) -> None:
    """Raises Refused when what changes the pods would not be rolled out: paused, or `OnDelete`."""
    if workload["kind"] == "Deployment":
        refuse_if_paused(workload)
    elif part(workload, "spec", "updateStrategy").get("type") == "OnDelete":
        raise Refused(
            "NotRolledOut",
            f"{_named(workload)} replaces pods only when somebody deletes them (updateStrategy OnDelete)",
        )


def missing_for_workload(workload: Object) -> str | None:
    """What is missing until the rollout is done; None when it is. Raises Failed when it has given up."""
    if workload["kind"] == "Deployment":
        return missing_for_rollout(workload)
    status: Object = workload.get("status", {})
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return f"the change is not yet seen by the {workload['kind']} controller"
    missing = _missing_of_stateful_set if workload["kind"] == "StatefulSet" else _missing_of_daemon_set
    return missing(workload["spec"], status, desired_replicas(workload))


def _missing_of_stateful_set(spec: Object, status: Object, wanted: int) -> str | None:
    ready = status.get("readyReplicas", 0)
    if ready < wanted:
        return f"{ready} of {wanted} replicas are ready"
    updated = status.get("updatedReplicas", 0)
    partition = int(part(spec, "updateStrategy", "rollingUpdate").get("partition") or 0)
    if updated < wanted - partition:
        return f"{updated} of {wanted - partition} replicas are updated"
    if not partition and status.get("updateRevision") != status.get("currentRevision"):
        return f"{updated} of {wanted} replicas are updated, the rest is yet to come"
    return None


def _missing_of_daemon_set(_: Object, status: Object, __: int) -> str | None:
    wanted = status.get("desiredNumberScheduled", 0)
    if (updated := status.get("updatedNumberScheduled", 0)) < wanted:
        return f"{updated} of {wanted} pods are updated"
    if (available := status.get("numberAvailable", 0)) < wanted:
        return f"{available} of {wanted} pods are available"
    return None


def choose_container(workload: Object, wanted: str | None) -> Object:
    """The container that is meant. Raises Refused("NoSuchContainer") or Refused("WhichContainer")."""
    template = workload["spec"]["template"]
    containers: dict[str, Object] = {container["name"]: container for container in template["spec"]["containers"]}
    known = ", ".join(containers)
    annotations: dict[str, str] = part(template, "metadata", "annotations")
    name = wanted or annotations.get(_DEFAULT_CONTAINER) or (known if len(containers) == 1 else "")
    if not name:
        raise Refused("WhichContainer", f"there are several containers ({known}): say which by containerName")
    if name not in containers:
        raise Refused("NoSuchContainer", f"there is no container {name}; there are: {known}")
    return containers[name]


async def refuse_if_autoscaled(run: Run, kind: ResourceKind, name: str, namespace: str) -> None:
    """Raises Refused("AutoscalerOwnsReplicas"): it would set its own number again within seconds."""
    try:
        autoscalers = await run.cluster.list(kinds.HORIZONTAL_POD_AUTOSCALERS, namespace)
    except NotFound:
        return  # the cluster has no autoscalers
    except Forbidden:
        run.say("whether an autoscaler owns the replicas could not be seen: listing them is forbidden")
        return
    for autoscaler in autoscalers:
        target = part(autoscaler, "spec", "scaleTargetRef")
        if (target.get("kind"), target.get("name")) == (kind.kind, name):
            raise Refused(
                "AutoscalerOwnsReplicas",
                f"HorizontalPodAutoscaler {namespace}/{autoscaler['metadata']['name']} owns the replicas of this "
                f"{kind.kind}; change its minReplicas and maxReplicas instead (kubernetes/update_hpa)",
            )


def refuse_drift(workload: Object, expected: int | None) -> None:
    """Raises Refused("Drifted") unless the replicas are as expected; None expects nothing."""
    now = desired_replicas(workload)
    if expected is not None and now != expected:
        raise Refused(
            "Drifted",
            f"{_named(workload)} has {now} replicas by now, not {expected}: somebody scaled it since; "
            f"nothing was overwritten",
        )


def refuse_overruled(workload: Object, wanted: int) -> None:
    """Raises Failed("Overruled") when somebody else has set another number."""
    if (now := desired_replicas(workload)) != wanted:
        raise Failed("Overruled", f"somebody else set the replicas to {now} meanwhile")


def _named(workload: Object) -> str:
    meta = workload["metadata"]
    return f"{workload['kind']} {meta['namespace']}/{meta['name']}"
