"""Changes the bounds and targets of a HorizontalPodAutoscaler; only what is given changes.

What the autoscaler makes of it, and when, is its own affair (it looks every 15 seconds, and waits before it scales
down): nothing is waited for.
"""

import re
from typing import Annotated, Any

from msgspec import Meta

from kubernaut.actions.deployments import Namespace
from kubernaut.actions.reading import part, parts
from kubernaut.actions.workloads import ResourceName
from kubernaut.sdk import Inputs, NotFound, Object, Outputs, Permission, Refused, Run, action, kinds

_RESTORED = re.compile(r"/spec/(minReplicas|maxReplicas|metrics(/\d+/resource/.+)?)")

Utilization = Annotated[
    int, Meta(ge=1, le=100, description="Average utilization to aim at, in percent of what pods request.")
]


class UpdateHpaInputs(Inputs, frozen=True, kw_only=True):
    namespace: Namespace
    resource_name: Annotated[ResourceName, Meta(description="Name of the HorizontalPodAutoscaler.")]
    min_replicas: Annotated[int, Meta(ge=1, le=100, description="Never fewer replicas than this.")] | None = None
    max_replicas: Annotated[int, Meta(ge=1, le=1000, description="Never more replicas than this.")] | None = None
    target_cpu_utilization: Utilization | None = None
    target_memory_utilization: Utilization | None = None
    restore: Annotated[
        list[dict[str, Any]],
        Meta(description="Instead of the above: operations that take an update back, as rollbacks say."),
    ] = []
    reason: Annotated[str, Meta(max_length=253, description="Why; for the log only.")] = ""

    def __post_init__(self) -> None:
        bounds = (self.min_replicas, self.max_replicas)
        given = any(value is not None for value in (*bounds, *self.targets().values()))
        if given == bool(self.restore):
            raise ValueError("give some of minReplicas, maxReplicas and the two targets; or else `restore`")
        if self.min_replicas and self.max_replicas and self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas {self.min_replicas} is more than maxReplicas {self.max_replicas}")
        outside = {
            str(operation.get("path"))
            for operation in self.restore
            if "from" in operation or not _RESTORED.fullmatch(str(operation.get("path")))
        }
        if outside:
            raise ValueError(f"`restore` may only touch bounds and metrics of resources, not {sorted(outside)}")

    def targets(self) -> dict[str, int | None]:
        """By resource."""
        return {"cpu": self.target_cpu_utilization, "memory": self.target_memory_utilization}


class UpdateHpaOutputs(Outputs, frozen=True, kw_only=True):
    changed: Annotated[bool, Meta(description="False when everything was as wanted before.")]
    previous_min_replicas: Annotated[int, Meta(description="Before.")]
    previous_max_replicas: Annotated[int, Meta(description="Before.")]
    current_replicas: Annotated[int, Meta(description="Replicas that the autoscaler saw last.")]


@action(
    "kubernetes/update_hpa",
    version="1.0.0",
    description="Changes bounds and utilization targets of a HorizontalPodAutoscaler.",
    permissions=[
        Permission(api_groups=("autoscaling",), resources=("horizontalpodautoscalers",), verbs=("get", "patch"))
    ],
    reversible=True,
    timeout="30s",
)
async def update_hpa(inputs: UpdateHpaInputs, run: Run) -> UpdateHpaOutputs:
    hpa = await _get(inputs, run)
    operations = inputs.restore or changes(hpa, inputs)
    undo: list[Object] = []
    if operations:
        changed = await run.cluster.patch(hpa, operations, "json")
        undo = run.cluster.undo_of(changed)
        named = {"namespace": inputs.namespace, "resourceName": inputs.resource_name}
        run.undo_with("kubernetes/update_hpa", {**named, "restore": [*_tests(changed, undo), *undo]})
    if undo and not run.is_dry_run:
        why = f": {inputs.reason}" if inputs.reason else ""
        run.say(f"updated HorizontalPodAutoscaler {inputs.namespace}/{inputs.resource_name}{why}")
    elif not undo:
        run.say(f"HorizontalPodAutoscaler {inputs.namespace}/{inputs.resource_name} is as wanted already")
    return UpdateHpaOutputs(
        changed=bool(undo),
        previous_min_replicas=_least(hpa),
        previous_max_replicas=int(hpa["spec"]["maxReplicas"]),
        current_replicas=int(part(hpa, "status").get("currentReplicas") or 0),
    )


async def _get(inputs: UpdateHpaInputs, run: Run) -> Object:
    where = f"HorizontalPodAutoscaler {inputs.namespace}/{inputs.resource_name}"
    try:
        hpa = await run.cluster.get(kinds.HORIZONTAL_POD_AUTOSCALERS, inputs.resource_name, inputs.namespace)
    except NotFound as error:
        raise Refused("TargetNotFound", f"there is no {where}") from error
    if hpa["metadata"].get("deletionTimestamp"):
        raise Refused("TargetNotFound", f"{where} is being deleted")
    return hpa


def changes(hpa: Object, inputs: UpdateHpaInputs) -> list[Object]:
    """The JSON patch that brings what is given; empty when all is so already.

    Raises Refused: `BoundsCross` when minReplicas would be more than maxReplicas, `OtherTarget` when a resource
    has a target that is no utilization.
    """
    spec = hpa["spec"]
    least, most = inputs.min_replicas or _least(hpa), inputs.max_replicas or int(spec["maxReplicas"])
    if least > most:
        raise Refused("BoundsCross", f"minReplicas would be {least} and maxReplicas {most}: give both")
    wanted = {"minReplicas": inputs.min_replicas, "maxReplicas": inputs.max_replicas}
    patch: list[Object] = [
        {"op": "add", "path": f"/spec/{name}", "value": value}
        for name, value in wanted.items()
        if value is not None and value != (_least(hpa) if name == "minReplicas" else spec.get(name))
    ]
    metrics = parts(spec, "metrics")
    new: list[Object] = []
    for resource, target in inputs.targets().items():
        if target is None:
            continue
        at = next((n for n, metric in enumerate(metrics) if _resource_of(metric) == resource), None)
        if at is None:
            new.append(_metric(resource, target))
            continue
        found = part(metrics[at], "resource", "target")
        if found.get("type") != "Utilization":
            raise Refused(
                "OtherTarget",
                f"its target for {resource} is {found.get('type')}, no utilization: replacing it changes what the "
                f"number means (kubernetes/apply_manifest can)",
            )
        if found.get("averageUtilization") != target:
            path = f"/spec/metrics/{at}/resource/target/averageUtilization"
            patch.append({"op": "replace", "path": path, "value": target})
    if new and not metrics:
        return [*patch, {"op": "add", "path": "/spec/metrics", "value": new}]
    return [*patch, *({"op": "add", "path": "/spec/metrics/-", "value": metric} for metric in new)]


def _resource_of(metric: Object) -> str:
    return str(part(metric, "resource").get("name", "")) if metric.get("type") == "Resource" else ""


def _metric(resource: str, target: int) -> Object:
    aim = {"type": "Utilization", "averageUtilization": target}
    return {"type": "Resource", "resource": {"name": resource, "target": aim}}


def _least(hpa: Object) -> int:
    found = hpa["spec"].get("minReplicas")
    return 1 if found is None else int(found)


def _tests(changed: Object, undo: list[Object]) -> list[Object]:
    """That the metrics still stand in their places: they have no names by which the undo would know them."""
    places = {
        int(found[1]) for operation in undo if (found := re.match(r"/spec/metrics/(\d+)/", operation["path"]))
    }
    return [
        {
            "op": "test",
            "path": f"/spec/metrics/{n}/resource/name",
            "value": _resource_of(changed["spec"]["metrics"][n]),
        }
        for n in sorted(places)
    ]
