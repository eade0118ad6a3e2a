"""Applies manifests server-side and waits for what they make; undoing it restores the fields that changed.

What it may touch is what its role says, by default a few kinds of the target namespace. How to widen that:
docs/applying-manifests.md.
"""

from typing import Annotated, Any

from msgspec import Meta

from kubernaut.actions.deployments import Namespace, missing_for_rollout
from kubernaut.actions.manifests import (
    MANAGER,
    documents,
    drifted,
    is_restored,
    manifest_faults,
    named,
    owners_of,
    refuse_changed,
    undo_fault,
)
from kubernaut.sdk import (
    Conflict,
    Inputs,
    NotFound,
    Object,
    Outputs,
    Permission,
    Refused,
    Run,
    action,
    managers_of,
)

_VERBS = ("get", "create", "patch", "delete")


class ApplyInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    manifest: Annotated[dict[str, Any], Meta(description="One object, or a List.")] = {}
    manifests: Annotated[list[dict[str, Any]], Meta(description="Several objects, applied in this order.")] = []
    force: Annotated[bool, Meta(description="Take over fields that others own.")] = False
    wait: Annotated[bool, Meta(description="Wait until workloads are rolled out.")] = True
    undo: Annotated[
        list[dict[str, Any]], Meta(description="Instead of manifests: what is taken back, as rollbacks name it.")
    ] = []

    def __post_init__(self) -> None:
        found = self.documents()
        if bool(self.manifest) + bool(self.manifests) + bool(self.undo) != 1:
            raise ValueError("give one of `manifest`, `manifests` and `undo`")
        faults = manifest_faults(found, self.namespace)
        faults += [fault for entry in self.undo if (fault := undo_fault(entry, self.namespace))]
        if not found and not self.undo:
            faults.append("there is nothing to apply")
        if faults:
            raise ValueError("; ".join(faults))

    def documents(self) -> list[Object]:
        """What is to be applied, one by one."""
        return documents([*([self.manifest] if self.manifest else []), *self.manifests])


class ApplyOutputs(Outputs, frozen=True, kw_only=True):
    applied: Annotated[list[str], Meta(description="All objects, as `Deployment web`.")]
    created: Annotated[int, Meta(description="How many of them were not there before.")]


@action(
    "kubernetes/apply_manifest",
    version="1.0.0",
    description="Applies manifests server-side in one namespace, and waits until workloads are rolled out.",
    permissions=[
        Permission(api_groups=("",), resources=("configmaps", "services"), verbs=_VERBS),
        Permission(api_groups=("apps",), resources=("deployments", "statefulsets", "daemonsets"), verbs=_VERBS),
        Permission(api_groups=("autoscaling",), resources=("horizontalpodautoscalers",), verbs=_VERBS),
        Permission(api_groups=("policy",), resources=("poddisruptionbudgets",), verbs=_VERBS),
    ],
    reversible=True,
    timeout="10m",
)
async def apply_manifest(inputs: ApplyInputs, run: Run) -> ApplyOutputs:
    if inputs.undo:
        return await _take_back(inputs, run)
    run.undo_with("kubernetes/apply_manifest", {"namespace": inputs.namespace}, changes_as="undo")
    applied: list[Object] = []
    created = 0
    conflicts: list[str] = []
    for manifest in inputs.documents():
        kind = await _kind(run, manifest)
        before = await run.cluster.find(kind, manifest["metadata"]["name"], inputs.namespace)
        if before is not None and before["metadata"].get("deletionTimestamp"):
            raise Refused("BeingDeleted", f"{named(manifest)} is being deleted; apply it when it is gone")
        try:
            after = await _apply(run, manifest, inputs)
        except Conflict as error:
            if not error.causes or not run.is_dry_run:
                raise
            conflicts += [f"{named(manifest)}: {cause.field}: {cause.message}" for cause in error.causes]
            continue
        created += before is None
        applied.append(after)
        if not run.is_dry_run:
            run.say(f"{'created' if before is None else 'applied'} {named(manifest)}")
    if conflicts:
        raise Refused(
            "FieldConflict",
            f"others own fields and want them otherwise; leave them out, or set force to take them over: "
            f"{'; '.join(conflicts)}",
        )
    if inputs.wait:
        for obj in applied:
            await run.wait_for(obj, missing_for_workload)
    return ApplyOutputs(applied=[named(obj) for obj in applied], created=created)


def missing_for_workload(obj: Object) -> str | None:
    """What is missing until a workload is rolled out; None when it is, or when it is none.

    Source of the rules: kubectl's `rollout status`.
    """
    spec: Object = obj.get("spec") or {}
    status: Object = obj.get("status") or {}
    if not str(obj.get("apiVersion")).startswith("apps/") or spec.get("paused"):
        return None
    if obj["kind"] == "Deployment":
        return missing_for_rollout(obj)
    if obj["kind"] not in ("StatefulSet", "DaemonSet") or spec.get("updateStrategy", {}).get("type") == "OnDelete":
        return None
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return f"the change is not yet seen by the {obj['kind']} controller"
    if obj["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    else:
        replicas = spec.get("replicas", 1)
        kept = spec.get("updateStrategy", {}).get("rollingUpdate", {}).get("partition") or 0
        wanted = max(0, replicas - kept)
        updated, available = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are updated"
    return f"{available} of {wanted} pods are available" if available < wanted else None


async def _kind(run: Run, manifest: Object) -> Any:
    try:
        kind = await run.cluster.kind_of(manifest)
    except NotFound as error:
        raise Refused("NoSuchKind", f"{named(manifest)}: {error}") from error
    if not kind.namespaced:
        raise Refused(
            "ClusterScoped", f"{named(manifest)} belongs to no namespace; this step is for one namespace"
        )
    return kind


async def _apply(run: Run, manifest: Object, inputs: ApplyInputs) -> Object:
    try:
        return await run.cluster.apply(manifest, inputs.namespace, field_manager=MANAGER, force=inputs.force)
    except Conflict as error:
        # After a rollback the fields are ours as a patch's, which counts as another owner.
        if not error.causes or owners_of([cause.message for cause in error.causes]) != {MANAGER}:
            raise
        return await run.cluster.apply(manifest, inputs.namespace, field_manager=MANAGER, force=True)


async def _take_back(inputs: ApplyInputs, run: Run) -> ApplyOutputs:
    """In reverse order, and only if all of it can be taken back."""
    done: list[tuple[Object, bool]] = []
    refusals: list[str] = []
    for entry in reversed(inputs.undo):
        try:
            obj = await _take_one_back(entry, run)
        except Refused as refusal:
            if not run.is_dry_run:
                raise
            refusals.append(refusal.message)
        else:
            if obj is not None:
                done.append((obj, bool(entry.get("created"))))
    if refusals:
        raise Refused("Drifted", "; ".join(refusals))
    for obj, is_gone in done:
        if is_gone:
            await run.wait_until_gone(obj)
        elif inputs.wait:
            await run.wait_for(obj, missing_for_workload)
    return ApplyOutputs(applied=[named(obj) for obj, _ in done], created=0)


async def _take_one_back(entry: Object, run: Run) -> Object | None:
    """The object that was changed; None where there was nothing to do any more."""
    kind = await run.cluster.kind_of(entry)
    obj = await run.cluster.find(kind, entry["name"], entry["namespace"])
    if entry.get("created"):
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        refuse_changed(obj, managers_of(obj), entry["uid"])
        await run.cluster.delete(obj)
        return obj
    if obj is None or obj["metadata"].get("uid") != entry["uid"]:
        raise Refused("Drifted", f"{entry['kind']} {entry['name']} is no longer there, or was made anew")
    if is_restored(obj, entry["patch"]):
        return None
    if paths := drifted(obj, entry["patch"]):
        raise Refused("Drifted", f"{named(obj)} was changed by somebody else since at {', '.join(paths)}")
    return await run.cluster.patch(obj, entry["patch"], "json", field_manager=MANAGER)
