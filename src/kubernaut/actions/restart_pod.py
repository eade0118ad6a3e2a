"""Deletes pods so that their controllers replace them, and waits until the replacements are ready."""

from collections import Counter
from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import Namespace, desired_replicas
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
    permissions=[
        Permission(api_groups=("",), resources=("pods",), verbs=("get", "list", "delete")),
        Permission(api_groups=("apps",), resources=("replicasets", "statefulsets"), verbs=("get",)),
    ],
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
    """As many pods of each controller shall be ready as were before, or as it wants by now if those are fewer."""
    owners = {reference["uid"]: reference for pod in pods if (reference := _owner(pod)) is not None}

    async def missing() -> str | None:
        ready = _ready_by_owner(await run.cluster.list(kinds.PODS, namespace))
        short = 0
        for uid, reference in owners.items():
            if ready[uid] < ready_before[uid]:
                # Somebody may have scaled it down meanwhile: nobody waits for pods that are not wanted.
                wanted = await _wanted(reference, namespace, run)
                short += max(0, min(ready_before[uid], wanted) - ready[uid])
        return f"{short} replacements are not ready" if short else None

    await run.wait_until(missing)


_SCALED = {"ReplicaSet": kinds.REPLICA_SETS, "StatefulSet": kinds.STATEFUL_SETS}
_EVERY = 1_000_000


async def _wanted(reference: Object, namespace: str, run: Run) -> int:
    kind = _SCALED.get(str(reference["kind"]))
    if kind is None:
        return _EVERY
    owner = await run.cluster.find(kind, str(reference["name"]), namespace)
    if owner is None or owner["metadata"]["uid"] != reference["uid"]:
        return 0
    return desired_replicas(owner)


def _ready_by_owner(pods: list[Object]) -> Counter[str]:
    ready: Counter[str] = Counter()
    for pod in pods:
        reference = _owner(pod)
        conditions = pod.get("status", {}).get("conditions", [])
        is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
        if reference is not None and is_ready and not pod["metadata"].get("deletionTimestamp"):
            ready[str(reference["uid"])] += 1
    return ready


def _owner(pod: Object) -> Object | None:
    """The owner reference of the pod's controller."""
    references: list[Object] = pod["metadata"].get("ownerReferences", [])
    return next((reference for reference in references if reference.get("controller")), None)


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))
