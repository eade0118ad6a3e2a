"""Patches a Deployment, or gives a container another image, and waits for the rollout.

Undoing it restores exactly the fields that it changed.
"""

import re
from typing import Annotated, Any, Literal

from msgspec import Meta

from kubernaut.actions.deployments import (
    READ_AND_PATCH,
    DeploymentName,
    Namespace,
    desired_replicas,
    get_deployment,
    missing_for_rollout,
    refuse_if_paused,
)
from kubernaut.actions.workloads import LIST_AUTOSCALERS, choose_container, refuse_if_autoscaled
from kubernaut.sdk import DnsLabel, Inputs, Object, Outputs, Run, action, kinds

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
    image: Annotated[
        str | None, Meta(description="Instead of a patch: the image that a container is to have.")
    ] = None
    container_name: Annotated[
        DnsLabel | None,
        Meta(description="With image: needed where there are several containers, and none is the default one."),
    ] = None
    wait: Annotated[bool, Meta(description="Wait until the rollout is done.")] = True

    def __post_init__(self) -> None:
        if self.image is not None:
            if self.patch or self.operations or self.patch_type != "strategic":
                raise ValueError("give `image` or a patch")
            if not re.fullmatch(r"[^\s]{1,512}", self.image):
                raise ValueError("`image` is no reference of an image")
            return
        if self.container_name is not None:
            raise ValueError("`containerName` belongs to `image`")
        if self.patch_type == "json" and (not self.operations or self.patch):
            raise ValueError("patchType json takes `operations`, not `patch`")
        if self.patch_type != "json" and (not self.patch or self.operations):
            raise ValueError(f"patchType {self.patch_type} takes `patch` or `image`, not `operations`")
        _check_reach(self)


class PatchOutputs(Outputs, frozen=True, kw_only=True):
    generation: Annotated[int, Meta(description="Generation of the Deployment after the patch.")]
    changed: Annotated[bool, Meta(description="False when everything was as the patch wants it before.")]


@action(
    "kubernetes/patch_deployment",
    version="1.0.0",
    description="Patches a Deployment (strategic, merge, JSON, or only an image) and waits for its rollout.",
    permissions=[READ_AND_PATCH, LIST_AUTOSCALERS],
    reversible=True,
    timeout="10m",
)
async def patch_deployment(inputs: PatchInputs, run: Run) -> PatchOutputs:
    before = await get_deployment(run, inputs.deployment, inputs.namespace)
    body: Object | list[Object] = inputs.operations if inputs.patch_type == "json" else inputs.patch
    if inputs.image is not None:
        # By a name that is there: a strategic patch of another name would add a container.
        containers = [{"name": choose_container(before, inputs.container_name)["name"], "image": inputs.image}]
        body = {"spec": {"template": {"spec": {"containers": containers}}}}
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
    if desired_replicas(before) != desired_replicas(after):
        await refuse_if_autoscaled(run, kinds.DEPLOYMENTS, inputs.deployment, inputs.namespace)
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
        # A move takes away what it is from.
        for path in (
            str(operation.get(part, "")) for part in ("path", "from") if part in operation or part == "path"
        ):
            if not path.startswith(("/spec/", "/metadata/labels", "/metadata/annotations")):
                touched.add(path or "the whole object")
    if touched:
        raise ValueError(f"the patch may not touch {', '.join(sorted(touched))}")
