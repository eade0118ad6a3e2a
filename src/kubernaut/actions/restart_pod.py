"""Evicts pods so that their controllers replace them, and waits until the replacements are ready."""

from collections import Counter
from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import Namespace, desired_replicas
from kubernaut.actions.pods import (
    EVICT,
    AllowUnmanaged,
    GracePeriod,
    controller_of,
    is_ending,
    refuse_unmanaged,
    take_away,
)
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
    grace_period_seconds: GracePeriod = 30
    max_pods: Annotated[
        int, Meta(ge=1, le=100, description="Refuse when the selector matches more pods than this.")
    ] = 10
    allow_unmanaged: AllowUnmanaged = False
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = ""

    def __post_init__(self) -> None:
        if (self.pod is None) == (self.label_selector is None):
            raise ValueError("give either `pod` or `labelSelector`")


class RestartPodOutputs(Outputs, frozen=True, kw_only=True):
    restarted_pods: Annotated[list[str], Meta(description="Names of the pods that were deleted.")]
    pods_restarted: Annotated[int, Meta(description="How many.")]


@action(
    "kubernetes/restart_pod",
    version="1.0.0",
    description="Evicts a pod, or the pods of a label selector, and waits until replacements are ready.",
    permissions=[
        Permission(api_groups=("",), resources=("pods",), verbs=("get", "list")),
        EVICT,
        Permission(api_groups=("apps",), resources=("replicasets", "statefulsets"), verbs=("get",)),
    ],
    timeout="2m",
)
async def restart_pod(inputs: RestartPodInputs, run: Run) -> RestartPodOutputs:
    pods = await _find(inputs, run)
    refuse_unmanaged(pods, allow=inputs.allow_unmanaged)
    siblings = await run.cluster.list(kinds.PODS, inputs.namespace) if pods else []
    ready_before = _ready_by_owner(siblings)
    if inputs.reason and not run.is_dry_run:
        run.say(f"restarting {len(pods)} pods: {inputs.reason}")

    async def present() -> list[Object]:
        return await run.cluster.list(kinds.PODS, inputs.namespace)

    await take_away(run, pods, present, grace_period_seconds=inputs.grace_period_seconds)
    await _wait_for_replacements(pods, ready_before, inputs.namespace, run)
    names = [pod["metadata"]["name"] for pod in pods]
    return RestartPodOutputs(restarted_pods=names, pods_restarted=len(names))


async def _find(inputs: RestartPodInputs, run: Run) -> list[Object]:
    if inputs.pod is not None:
        pod = await run.cluster.find(kinds.PODS, inputs.pod, inputs.namespace)
        if pod is None or is_ending(pod):
            # Somebody else restarted it: that is what was wanted.
            run.say(f"Pod {inputs.namespace}/{inputs.pod} is gone already")
            return []
        return [pod]
    pods = await run.cluster.list(kinds.PODS, inputs.namespace, label_selector=inputs.label_selector or "")
    pods = [p for p in pods if not is_ending(p) and _phase(p) not in _FINISHED]
    if len(pods) > inputs.max_pods:
        raise Refused(
            "TooManyPods",
            f"{len(pods)} pods match {inputs.label_selector!r}, maxPods is {inputs.max_pods}",
        )
    return sorted(pods, key=lambda p: str(p["metadata"]["name"]))


async def _wait_for_replacements(pods: list[Object], ready_before: Counter[str], namespace: str, run: Run) -> None:
    """As many pods of each controller shall be ready as were before, or as it wants by now if those are fewer."""
    owners = {reference["uid"]: reference for pod in pods if (reference := controller_of(pod)) is not None}

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
        reference = controller_of(pod)
        conditions = pod.get("status", {}).get("conditions", [])
        is_ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
        if reference is not None and is_ready and not is_ending(pod):
            ready[str(reference["uid"])] += 1
    return ready


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))
