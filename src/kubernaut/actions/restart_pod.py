"""Deletes pods so that their controllers replace them, and waits until the replacements are ready."""

from collections import Counter
from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import Namespace
from kubernaut.sdk import (
    DnsName,
    Inputs,
    Object,
    Outputs,
    Permission,
    Refused,
    Run,
    action,
    kinds,
)

Selector = Annotated[str, Meta(min_length=1, max_length=1024)]

_FINISHED = ("Succeeded", "Failed")


class RestartPodInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    pod: Annotated[DnsName | None, Meta(description="Name of the pod; or give labelSelector.")] = None
    label_selector: Annotated[Selector | None, Meta(description="Restarts all pods with these labels.")] = None
    grace_period_seconds: Annotated[
        int, Meta(ge=0, le=300, description="How long a pod may take to end, in seconds.")
    ] = 30
    max_pods: Annotated[
        int, Meta(ge=1, le=100, description="Refuse when the selector matches more pods than this.")
    ] = 10
    allow_unmanaged: Annotated[bool, Meta(description="Also delete pods that no controller will replace.")] = False

    def __post_init__(self) -> None:
        if (self.pod is None) == (self.label_selector is None):
            raise ValueError("give either `pod` or `labelSelector`")


class RestartPodOutputs(Outputs, frozen=True, kw_only=True):
    restarted_pods: Annotated[list[str], Meta(description="Names of the pods that were deleted.")]
    pods_restarted: Annotated[int, Meta(description="How many.")]


@action(
    "kubernetes/restart_pod",
    version="1.0.0",
    description="Deletes a pod, or the pods of a label selector, and waits until replacements are ready.",
    permissions=[Permission(api_groups=("",), resources=("pods",), verbs=("get", "list", "delete"))],
    timeout="2m",
)
async def restart_pod(inputs: RestartPodInputs, run: Run) -> RestartPodOutputs:
    pods = await _find(inputs, run)
    _refuse_unmanaged(pods, inputs)
    siblings = await run.cluster.list(kinds.PODS, inputs.namespace) if pods else []
    ready_before = _ready_by_owner(siblings)
    for pod in pods:
        run.say(f"deleting Pod {inputs.namespace}/{pod['metadata']['name']}")
        await run.cluster.delete(pod, grace_period_seconds=inputs.grace_period_seconds)
    for pod in pods:
        await run.wait_until_gone(pod)
    await _wait_for_replacements(pods, ready_before, inputs.namespace, run)
    names = [pod["metadata"]["name"] for pod in pods]
    return RestartPodOutputs(restarted_pods=names, pods_restarted=len(names))


async def _find(inputs: RestartPodInputs, run: Run) -> list[Object]:
    if inputs.pod is not None:
        pod = await run.cluster.find(kinds.PODS, inputs.pod, inputs.namespace)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            # Somebody else restarted it: that is what was wanted.
            run.say(f"Pod {inputs.namespace}/{inputs.pod} is gone already")
            return []
        return [pod]
    pods = await run.cluster.list(kinds.PODS, inputs.namespace, label_selector=inputs.label_selector or "")
    pods = [p for p in pods if not p["metadata"].get("deletionTimestamp") and _phase(p) not in _FINISHED]
    if len(pods) > inputs.max_pods:
        raise Refused(
            "TooManyPods",
            f"{len(pods)} pods match {inputs.label_selector!r}, maxPods is {inputs.max_pods}",
        )
    return sorted(pods, key=lambda p: str(p["metadata"]["name"]))


def _refuse_unmanaged(pods: list[Object], inputs: RestartPodInputs) -> None:
    alone = [pod["metadata"]["name"] for pod in pods if _owner(pod) is None]
    if alone and not inputs.allow_unmanaged:
        raise Refused(
            "Unmanaged",
            f"no controller would replace {', '.join(alone)}; set allowUnmanaged to delete nevertheless",
        )


async def _wait_for_replacements(pods: list[Object], ready_before: Counter[str], namespace: str, run: Run) -> None:
    """As many pods of each controller shall be ready as were before."""
    owners = {owner for pod in pods if (owner := _owner(pod)) is not None}

    async def missing() -> str | None:
        ready = _ready_by_owner(await run.cluster.list(kinds.PODS, namespace))
        short = sum(max(0, ready_before[owner] - ready[owner]) for owner in owners)
        return f"{short} replacements are not ready" if short else None

    await run.wait_until(missing)


def _ready_by_owner(pods: list[Object]) -> Counter[str]:
    ready: Counter[str] = Counter()
    for pod in pods:
        owner = _owner(pod)
        conditions = pod.get("status", {}).get("conditions", [])
        is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
        if owner is not None and is_ready and not pod["metadata"].get("deletionTimestamp"):
            ready[owner] += 1
    return ready


def _owner(pod: Object) -> str | None:
    for reference in pod["metadata"].get("ownerReferences", []):
        if reference.get("controller"):
            return str(reference["uid"])
    return None


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))
