from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.update_hpa import update_hpa
from kubernaut.cluster import kinds

Object = dict[str, Any]
AUTO = {"namespace": TARGETS, "resourceName": "auto"}
PODS_METRIC: Object = {
    "type": "Pods",
    "pods": {"metric": {"name": "packets"}, "target": {"type": "AverageValue", "averageValue": "1k"}},
}


def metric(resource: str, **target: Any) -> Object:
    return {"type": "Resource", "resource": {"name": resource, "target": {"type": "Utilization", **target}}}


async def autoscaler(world: ActionWorld, *metrics: Object, **spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"}
    given = {"metrics": list(metrics)} if metrics else {}
    body = {
        "metadata": {"name": "auto"},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 5, **given, **spec},
    }
    return await world.admin.create(kinds.HORIZONTAL_POD_AUTOSCALERS, body, TARGETS)


async def spec_of(world: ActionWorld) -> Object:
    found = await world.admin.get(kinds.HORIZONTAL_POD_AUTOSCALERS, "auto", TARGETS)
    spec: Object = found["spec"]
    return spec


CPU = metric("cpu", averageUtilization=80)


@pytest.mark.parametrize(
    ("metrics", "inputs", "bounds", "after"),
    [
        ([CPU, PODS_METRIC], {"minReplicas": 3}, (3, 5), [CPU, PODS_METRIC]),
        ([CPU], {"minReplicas": 6, "maxReplicas": 9}, (6, 9), [CPU]),
        (
            [PODS_METRIC, CPU],
            {"targetCpuUtilization": 50},
            (2, 5),
            [PODS_METRIC, metric("cpu", averageUtilization=50)],
        ),
        ([CPU], {"targetMemoryUtilization": 70}, (2, 5), [CPU, metric("memory", averageUtilization=70)]),
        (
            [PODS_METRIC],
            {"targetCpuUtilization": 60, "targetMemoryUtilization": 70, "maxReplicas": 1000},
            (2, 1000),
            [PODS_METRIC, metric("cpu", averageUtilization=60), metric("memory", averageUtilization=70)],
        ),
    ],
    ids=["min", "both bounds", "cpu", "new memory", "all"],
)
async def test_only_what_is_given_changes_and_the_rollback_is_the_identity(
    still_world: ActionWorld, metrics: list[Object], inputs: Object, bounds: tuple[int, int], after: list[Object]
) -> None:
    await autoscaler(still_world, *metrics)
    before = await spec_of(still_world)
    ran = await still_world.run(update_hpa, {**AUTO, **inputs, "reason": "rush hour"}, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs == {
        "changed": True,
        "previousMinReplicas": 2,
        "previousMaxReplicas": 5,
        "currentReplicas": 0,
    }
    least, most = bounds
    assert await spec_of(still_world) == {**before, "minReplicas": least, "maxReplicas": most, "metrics": after}
    again = await still_world.run(update_hpa, {**AUTO, **inputs}, fenced=False)
    assert (again.code, again.message["executed"], again.outputs["changed"]) == (0, "no", False)
    back = await still_world.run(update_hpa, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert await spec_of(still_world) == before


@pytest.mark.parametrize(
    "theirs",
    [
        {"maxReplicas": 7},
        {"metrics": [metric("cpu", averageUtilization=55), CPU]},
        {"metrics": [metric("memory", averageUtilization=50)]},
    ],
)
async def test_a_rollback_refuses_to_overwrite_what_others_changed_since(
    still_world: ActionWorld, theirs: Object
) -> None:
    await autoscaler(still_world, CPU)
    inputs = {**AUTO, "maxReplicas": 8, "targetCpuUtilization": 50}
    ran = await still_world.run(update_hpa, inputs, fenced=False)
    await still_world.admin.patch(kinds.HORIZONTAL_POD_AUTOSCALERS, "auto", TARGETS, {"spec": theirs})
    now = await spec_of(still_world)
    back = await still_world.run(update_hpa, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["executed"]) == (65, "no")
    assert await spec_of(still_world) == now


@pytest.mark.parametrize(
    ("inputs", "reason", "told"),
    [
        ({"minReplicas": 6}, "BoundsCross", "minReplicas would be 6 and maxReplicas 5"),
        ({"maxReplicas": 1}, "BoundsCross", "minReplicas would be 2 and maxReplicas 1"),
        ({"targetMemoryUtilization": 50}, "OtherTarget", "target for memory is AverageValue"),
        ({"maxReplicas": 9, "resourceName": "away"}, "TargetNotFound", "HorizontalPodAutoscaler shop/away"),
    ],
)
async def test_what_must_not_be_is_refused(
    still_world: ActionWorld, inputs: Object, reason: str, told: str
) -> None:
    other = metric("memory")
    other["resource"]["target"] = {"type": "AverageValue", "averageValue": "1Gi"}
    await autoscaler(still_world, CPU, other)
    ran = await still_world.run(update_hpa, {**AUTO, **inputs}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, reason, "no")
    assert told in ran.message["message"]


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"minReplicas": 0},
        {"minReplicas": 101},
        {"maxReplicas": 1001},
        {"targetCpuUtilization": 0},
        {"targetMemoryUtilization": 101},
        {"minReplicas": 3, "maxReplicas": 2},
        {"minReplicas": 3, "restore": [{"op": "remove", "path": "/spec/metrics"}]},
        {"restore": [{"op": "replace", "path": "/spec/scaleTargetRef/name", "value": "x"}]},
    ],
)
async def test_inputs_that_make_no_sense_are_refused(still_world: ActionWorld, inputs: Object) -> None:
    ran = await still_world.run(update_hpa, {**AUTO, **inputs}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (64, "InvalidInputs", "no")
