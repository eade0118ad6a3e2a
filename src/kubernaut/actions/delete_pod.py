"""Deletes one pod and waits until it is gone; evicted as its PodDisruptionBudgets allow, unless forced."""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import Namespace
from kubernaut.actions.pods import (
    EVICT,
    AllowUnmanaged,
    GracePeriod,
    controller_of,
    is_ending,
    refuse_unmanaged,
    take_away,
)
from kubernaut.sdk import DnsName, Inputs, Object, Outputs, Permission, Run, action, kinds


class DeletePodInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    pod: Annotated[DnsName, Meta(description="Name of the pod.")]
    uid: Annotated[
        str, Meta(max_length=64, description="Only this very pod: another of its name is left alone.")
    ] = ""
    grace_period_seconds: GracePeriod = 30
    force: Annotated[
        bool,
        Meta(
            description="Delete whatever disruption budgets say, and also what is ending already: with "
            "gracePeriodSeconds 0 without waiting for its node."
        ),
    ] = False
    allow_unmanaged: AllowUnmanaged = False
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = ""


class DeletePodOutputs(Outputs, frozen=True, kw_only=True):
    deleted: Annotated[bool, Meta(description="False when it was gone, or ending, before.")]
    uid: Annotated[str, Meta(description="Of the pod that is gone; empty when there was none.")]
    owner: Annotated[str, Meta(description="The controller that replaces it, as ReplicaSet/name; empty for none.")]


@action(
    "kubernetes/delete_pod",
    version="1.0.0",
    description="Deletes one pod as its disruption budgets allow and waits until it is gone.",
    permissions=[Permission(api_groups=("",), resources=("pods",), verbs=("get", "delete")), EVICT],
    timeout="2m",
)
async def delete_pod(inputs: DeletePodInputs, run: Run) -> DeletePodOutputs:
    pod = await run.cluster.find(kinds.PODS, inputs.pod, inputs.namespace)
    if pod is None or (inputs.uid and pod["metadata"]["uid"] != inputs.uid):
        run.say(f"Pod {inputs.namespace}/{inputs.pod} is gone already")
        return DeletePodOutputs(deleted=False, uid="", owner="")
    deletes = inputs.force or not is_ending(pod)
    if deletes:
        refuse_unmanaged([pod], allow=inputs.allow_unmanaged)
        if inputs.reason and not run.is_dry_run:
            run.say(f"deleting Pod {inputs.namespace}/{inputs.pod}: {inputs.reason}")

        async def present() -> list[Object]:
            found = await run.cluster.find(kinds.PODS, inputs.pod, inputs.namespace)
            return [] if found is None else [found]

        await take_away(run, [pod], present, grace_period_seconds=inputs.grace_period_seconds, force=inputs.force)
    else:
        run.say(f"Pod {inputs.namespace}/{inputs.pod} is ending already")
        await run.wait_until_gone(pod)
    return DeletePodOutputs(deleted=deletes, uid=pod["metadata"]["uid"], owner=_owner(pod))


def _owner(pod: Object) -> str:
    owner = controller_of(pod)
    return "" if owner is None else f"{owner['kind']}/{owner['name']}"
