"""Gives a container of a Deployment, StatefulSet or DaemonSet more memory or CPU, and waits for the rollout.

The value becomes the container's limit; a request that was equal to the limit grows with it, so that the pod keeps
its quality of service. Where there is no limit, the request grows.
"""

import re
from typing import Annotated, Any

from msgspec import Meta

from kubernaut.actions.deployments import Namespace
from kubernaut.actions.reading import part
from kubernaut.actions.room import LIST_LIMITS, read_room, refuse_without_room
from kubernaut.actions.workloads import (
    WORKLOADS,
    ResourceName,
    WorkloadType,
    choose_container,
    get_workload,
    missing_for_workload,
    refuse_if_held,
)
from kubernaut.api.quantity import from_quantity
from kubernaut.sdk import DnsLabel, Inputs, Object, Outputs, Permission, Refused, Run, action

_RESTORED = re.compile(r"/spec/template/spec/containers/\d+/(name|resources/(limits|requests)/(cpu|memory))")


class IncreaseInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    resource_name: ResourceName
    resource_type: Annotated[WorkloadType, Meta(description="Kind of the target.")]
    memory: (
        Annotated[
            str,
            Meta(pattern=r"^[0-9]+(Mi|Gi|M|G)$", max_length=16, description="How much there shall be, as 512Mi."),
        ]
        | None
    ) = None
    cpu: (
        Annotated[
            str, Meta(pattern=r"^[0-9]+(m)?$", max_length=16, description="How much there shall be, as 500m or 2.")
        ]
        | None
    ) = None
    container_name: Annotated[
        DnsLabel | None, Meta(description="Needed where there are several, and none is the default container.")
    ] = None
    wait_for_ready: Annotated[bool, Meta(description="Wait until the rollout is done.")] = True
    restore: Annotated[
        list[dict[str, Any]],
        Meta(description="Instead of memory and cpu: operations that take an increase back, as rollbacks say."),
    ] = []
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = ""

    def __post_init__(self) -> None:
        if bool(self.restore) == bool(self.memory or self.cpu):
            raise ValueError("give `memory`, `cpu` or both; or else `restore`")
        outside = {
            str(operation.get("path")) for operation in self.restore if not _RESTORED.fullmatch(_path(operation))
        }
        if outside:
            raise ValueError(f"`restore` may only touch requests and limits of containers, not {sorted(outside)}")


class IncreaseOutputs(Outputs, frozen=True, kw_only=True):
    container: Annotated[str, Meta(description="The container; empty for a restored one.")]
    previous_memory: Annotated[str, Meta(description="Memory before; empty when it was not to change.")]
    previous_cpu: Annotated[str, Meta(description="CPU before; empty when it was not to change.")]


@action(
    "kubernetes/increase_resources",
    version="1.0.0",
    description="Gives a container of a Deployment, StatefulSet or DaemonSet more memory or CPU.",
    permissions=[
        Permission(
            api_groups=("apps",), resources=("deployments", "statefulsets", "daemonsets"), verbs=("get", "patch")
        ),
        LIST_LIMITS,
    ],
    reversible=True,
    timeout="10m",
)
async def increase_resources(inputs: IncreaseInputs, run: Run) -> IncreaseOutputs:
    workload = await get_workload(run, WORKLOADS[inputs.resource_type], inputs.resource_name, inputs.namespace)
    refuse_if_held(workload)
    outputs = IncreaseOutputs(container="", previous_memory="", previous_cpu="")
    if inputs.restore:
        changed = await run.cluster.patch(workload, inputs.restore, "json")
    else:
        container = choose_container(workload, inputs.container_name)
        wanted = {name: value for name, value in (("memory", inputs.memory), ("cpu", inputs.cpu)) if value}
        was = {name: amount_of(container, name, value) for name, value in wanted.items()}
        body = grown(container, wanted)
        outputs = IncreaseOutputs(
            container=container["name"], previous_memory=was.get("memory", ""), previous_cpu=was.get("cpu", "")
        )
        if not run.is_dry_run:
            told = ", ".join(f"{name} {was[name]} -> {value}" for name, value in wanted.items())
            run.say(f"container {container['name']}: {told}{f' ({inputs.reason})' if inputs.reason else ''}")
        changed = await run.cluster.patch(workload, body, "strategic")
        if run.is_dry_run:
            refuse_without_room(await read_room(run, inputs.namespace), workload, changed)
    target = {
        "namespace": inputs.namespace,
        "resourceName": inputs.resource_name,
        "resourceType": inputs.resource_type,
        "waitForReady": inputs.wait_for_ready,
    }
    run.undo_with("kubernetes/increase_resources", {**target, "restore": run.cluster.undo_of(changed)})
    if inputs.wait_for_ready:
        await run.wait_for(changed, missing_for_workload)
    return outputs


def amount_of(container: Object, resource: str, wanted: str) -> str:
    """What the container has now. Raises Refused when there is nothing that could grow, or it would not grow."""
    resources = part(container, "resources")
    now = part(resources, "limits").get(resource) or part(resources, "requests").get(resource)
    if now is None:
        raise Refused(
            "NothingToIncrease",
            f"container {container['name']} has neither a limit nor a request of {resource}: it may take what "
            f"there is, and a value would only hold it back (a LimitRange's default is no part of it)",
        )
    if from_quantity(wanted) <= from_quantity(now):
        raise Refused(
            "DoesNotGrow", f"container {container['name']} has {now} of {resource}; {wanted} is not more"
        )
    return str(now)


def grown(container: Object, wanted: dict[str, str]) -> Object:
    """The strategic merge patch that brings the wanted amounts."""
    limits: dict[str, str] = part(container, "resources", "limits")
    requests: dict[str, str] = part(container, "resources", "requests")
    new: dict[str, dict[str, str]] = {}
    for resource, value in wanted.items():
        limit, request = limits.get(resource), requests.get(resource)
        if limit is not None:
            new.setdefault("limits", {})[resource] = value
        if request is not None and (limit is None or from_quantity(request) == from_quantity(limit)):
            new.setdefault("requests", {})[resource] = value
    containers = [{"name": container["name"], "resources": new}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


def _path(operation: Object) -> str:
    # `from` of a move or copy would reach elsewhere.
    return "" if "from" in operation else str(operation.get("path"))
