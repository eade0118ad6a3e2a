"""Brings back the pod template of an earlier revision of a Deployment, as `kubectl rollout undo` does.

Source of the rules: kubectl's rollback of Deployments (kubectl/pkg/polymorphichelpers/rollback.go) and the
Deployment controller's annotations (pkg/controller/deployment/util).
"""

from typing import Annotated

from msgspec import Meta

from kubernaut.actions.deployments import (
    READ_AND_PATCH,
    Namespace,
    get_deployment,
    missing_for_rollout,
    refuse_if_paused,
)
from kubernaut.actions.reading import part, parts
from kubernaut.actions.workloads import ResourceName
from kubernaut.api.duration import from_duration
from kubernaut.sdk import Duration, Inputs, Object, Outputs, Permission, Refused, Run, action, kinds

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
# Of the Deployment itself, not of a revision of it.
_NOT_OF_A_REVISION = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        "deployment.kubernetes.io/revision-history",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
        "deprecated.deployment.rollback.to",
    }
)


class RollbackInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    resource_name: Annotated[ResourceName, Meta(description="Name of the Deployment.")]
    revision: (
        Annotated[
            int, Meta(ge=1, description="As `kubectl rollout history` shows them; by default the one before.")
        ]
        | None
    ) = None
    wait_for_ready: Annotated[bool, Meta(description="Wait until the rollout is done.")] = True
    timeout: Annotated[Duration, Meta(description="How long to wait for that at most.")] = "5m"


class RollbackOutputs(Outputs, frozen=True, kw_only=True):
    from_revision: Annotated[int, Meta(description="The revision that was in place before.")]
    to_revision: Annotated[int, Meta(description="The revision whose template is in place now.")]
    images: Annotated[list[str], Meta(description="Images of the template that is in place now.")]
    changed: Annotated[bool, Meta(description="False when that template was in place before.")]


@action(
    "kubernetes/rollback_deployment",
    version="1.0.0",
    description="Brings back the pod template of an earlier revision of a Deployment and waits for the rollout.",
    permissions=[
        READ_AND_PATCH,
        Permission(api_groups=("apps",), resources=("replicasets",), verbs=("list",)),
    ],
    reversible=True,
    timeout="6m",
)
async def rollback_deployment(inputs: RollbackInputs, run: Run) -> RollbackOutputs:
    name, namespace = inputs.resource_name, inputs.namespace
    deployment = await get_deployment(run, name, namespace)
    refuse_if_paused(deployment)
    history = revisions(deployment, await run.cluster.list(kinds.REPLICA_SETS, namespace))
    number, chosen = choose(deployment, history, inputs.revision)
    template = template_of(chosen)
    outputs = RollbackOutputs(
        from_revision=_revision(deployment),
        to_revision=number,
        images=[str(container.get("image", "")) for container in template["spec"].get("containers", [])],
        changed=template != template_of(deployment),
    )
    if outputs.changed:
        if not run.is_dry_run:
            run.say(f"rolling Deployment {namespace}/{name} back to revision {number}")
        deployment = await run.cluster.patch(deployment, restoring(deployment, chosen), "json")
        back = {"patchType": "json", "operations": run.cluster.undo_of(deployment), "wait": inputs.wait_for_ready}
        named = {"namespace": namespace, "deployment": name}
        run.undo_with("kubernetes/patch_deployment", {**named, **back}, revision=outputs.from_revision)
    else:
        run.say(f"Deployment {namespace}/{name} has the template of revision {number} already")
    if inputs.wait_for_ready:
        await run.wait_for(deployment, missing_for_rollout, seconds=from_duration(inputs.timeout))
    return outputs


def revisions(deployment: Object, replica_sets: list[Object]) -> dict[int, Object]:
    """Revision -> ReplicaSet, of those that this very Deployment controls."""
    uid = deployment["metadata"]["uid"]
    found: dict[int, Object] = {}
    for replica_set in sorted(replica_sets, key=lambda rs: str(rs["metadata"].get("creationTimestamp"))):
        owners = parts(replica_set, "metadata", "ownerReferences")
        if any(owner.get("controller") and owner.get("uid") == uid for owner in owners):
            found[_revision(replica_set)] = replica_set
    found.pop(0, None)
    return found


def choose(deployment: Object, history: dict[int, Object], wanted: int | None) -> tuple[int, Object]:
    """The revision to go back to. Raises Refused("NoSuchRevision")."""
    meta = deployment["metadata"]
    where = f"Deployment {meta['namespace']}/{meta['name']}"
    known = ", ".join(map(str, sorted(history))) or "none"
    if wanted is None:
        # The newest may be in the making: what counts is what comes before it.
        earlier = sorted(history)[:-1]
        if not earlier:
            raise Refused("NoSuchRevision", f"{where} has no revision before the present one (there are: {known})")
        wanted = earlier[-1]
    if wanted not in history:
        raise Refused("NoSuchRevision", f"{where} has no revision {wanted} (there are: {known})")
    return wanted, history[wanted]


def template_of(owner: Object) -> Object:
    """The pod template without the hash by which a ReplicaSet knows its pods."""
    template: Object = owner["spec"]["template"]
    meta = {**part(template, "metadata")}
    meta.pop("creationTimestamp", None)
    labels = part(meta, "labels")
    meta["labels"] = {key: value for key, value in labels.items() if key != HASH}
    return {**template, "metadata": meta}


def restoring(deployment: Object, replica_set: Object) -> list[Object]:
    """The JSON patch that brings back the template, and the annotations that belong to the revision."""
    own = part(deployment, "metadata", "annotations")
    then = part(replica_set, "metadata", "annotations")
    annotations = {key: value for key, value in own.items() if key in _NOT_OF_A_REVISION}
    annotations |= {key: value for key, value in then.items() if key not in _NOT_OF_A_REVISION}
    patch: list[Object] = [{"op": "replace", "path": "/spec/template", "value": template_of(replica_set)}]
    if annotations != own:
        patch.append({"op": "add", "path": "/metadata/annotations", "value": annotations})
    return patch


def _revision(obj: Object) -> int:
    text = str(part(obj, "metadata", "annotations").get(REVISION, ""))
    return int(text) if text.isdigit() else 0
