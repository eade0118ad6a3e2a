"""What taking pods away has in common: whom nobody would replace, and evicting them or deleting them."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from kubernaut.actions.evictions import Present, evict_pods, pod_name
from kubernaut.sdk import Object, Permission, Refused, Run

GracePeriod = Annotated[int, Meta(ge=0, le=300, description="How long a pod may take to end, in seconds.")]
AllowUnmanaged = Annotated[bool, Meta(description="Also delete pods that no controller will replace.")]

EVICT = Permission(api_groups=("",), resources=("pods/eviction",), verbs=("create",))

_MIRROR = "kubernetes.io/config.mirror"


def controller_of(pod: Object) -> Object | None:
    """The owner reference of the pod's controller."""
    references: list[Object] = pod["metadata"].get("ownerReferences", [])
    return next((reference for reference in references if reference.get("controller")), None)


def is_ending(pod: Object) -> bool:
    """Whether somebody has deleted it already."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def refuse_unmanaged(pods: Sequence[Object], *, allow: bool) -> None:
    """Raises Refused: `Unmanaged` for pods without a controller, `StaticPod` for those of a node's own files."""
    static = [pod_name(pod) for pod in pods if _MIRROR in (pod["metadata"].get("annotations") or {})]
    if static:
        raise Refused("StaticPod", f"only the node itself can end {', '.join(static)}: its file has to go there")
    alone = [pod_name(pod) for pod in pods if controller_of(pod) is None]
    if alone and not allow:
        raise Refused(
            "Unmanaged",
            f"no controller would replace {', '.join(alone)}; set allowUnmanaged to delete nevertheless",
        )


async def take_away(
    run: Run, pods: Sequence[Object], present: Present, *, grace_period_seconds: int, force: bool = False
) -> None:
    """Have exactly these pods (by uid) go, and wait until they are gone.

    Without `force` they are evicted: a PodDisruptionBudget that forbids it is asked again until shortly before the
    run's deadline. With it they are deleted, whatever budgets say.

    Raises Failed("BlockedByBudget") naming budgets and pods, Failed("NotInTime"); ClusterError.
    """
    if not force:
        await evict_pods(run, pods, present, grace_period_seconds=grace_period_seconds)
        return
    for pod in pods:
        if not run.is_dry_run:
            run.say(f"deleting Pod {pod_name(pod)}")
        await run.cluster.delete(pod, grace_period_seconds=grace_period_seconds)
    for pod in pods:
        await run.wait_until_gone(pod)
