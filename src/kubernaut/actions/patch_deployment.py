"""Patches a Deployment and waits for the rollout; undoing it restores exactly the fields that it changed."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from kubernaut.actions.deployments import (
    READ_AND_PATCH,
    DeploymentName,
    Namespace,
    get_deployment,
    missing_for_rollout,
    refuse_if_paused,
)
from kubernaut.sdk import Inputs, Object, Outputs, Run, action

_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "managedFields")


class PatchInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    deployment: DeploymentName
    patch_type: Annotated[
        Literal["strategic", "merge", "json"],
        Meta(description="`strategic` merges lists by name, `merge` replaces them, `json` takes operations."),
    ] = "strategic"
    patch: Annotated[dict[str, Any], Meta(description="The patch, for `strategic` and `merge`.")] = {}
    operations: Annotated[list[dict[str, Any]], Meta(description="The operations (RFC 6902), for `json`.")] = []
    wait: Annotated[bool, Meta(description="Wait until the rollout is done.")] = True

    def __post_init__(self) -> None:
        if self.patch_type == "json" and (not self.operations or self.patch):
            raise ValueError("patchType json takes `operations`, not `patch`")
        if self.patch_type != "json" and (not self.patch or self.operations):
            raise ValueError(f"patchType {self.patch_type} takes `patch`, not `operations`")
        _check_reach(self)


class PatchOutputs(Outputs, frozen=True, kw_only=True):
    generation: Annotated[int, Meta(description="Generation of the Deployment after the patch.")]
    changed: Annotated[bool, Meta(description="False when everything was as the patch wants it before.")]


@action(
    "kubernetes/patch_deployment",
    version="1.0.0",
    description="Patches a Deployment (strategic, merge or JSON patch) and waits until its rollout is done.",
    permissions=[READ_AND_PATCH],
    reversible=True,
    timeout="10m",
)
async def patch_deployment(inputs: PatchInputs, run: Run) -> PatchOutputs:
    before = await get_deployment(run, inputs.deployment, inputs.namespace)
    body = inputs.operations if inputs.patch_type == "json" else inputs.patch
    after = await run.cluster.patch(before, body, inputs.patch_type)
    undo = run.cluster.undo_of(after)
    run.undo_with(
        "kubernetes/patch_deployment",
        {
            "namespace": inputs.namespace,
            "deployment": inputs.deployment,
            "patchType": "json",
            "operations": undo,
        },
        deployment=inputs.deployment,
    )
    if _template(before) != _template(after):
        # A paused Deployment would keep its old pods: told in the dry run, before anything is changed.
        refuse_if_paused(after)
    if inputs.wait and not after["spec"].get("paused"):
        await run.wait_for(after, missing_for_rollout)
    generation = int(after["metadata"].get("generation", 0))
    return PatchOutputs(generation=generation, changed=bool(undo))


def _template(deployment: Object) -> Any:
    return deployment["spec"].get("template")


def _check_reach(inputs: PatchInputs) -> None:
    """A patch changes what the Deployment wants, not what it is or what controllers say of it."""
    metadata: Any = inputs.patch.get("metadata", {})
    touched = {key for key in inputs.patch if key not in ("apiVersion", "kind", "metadata", "spec")}
    if isinstance(metadata, dict):
        touched |= {f"metadata.{name}" for name in _IDENTITY if name in metadata}
    for part in ("metadata", "spec"):
        if not isinstance(inputs.patch.get(part, {}), dict):
            touched.add(f"{part} as a whole")
    for operation in inputs.operations:
        path = str(operation.get("path", ""))
        if not path.startswith(("/spec/", "/metadata/labels", "/metadata/annotations")):
            touched.add(path or "the whole object")
    if touched:
        raise ValueError(f"the patch may not touch {', '.join(sorted(touched))}")
