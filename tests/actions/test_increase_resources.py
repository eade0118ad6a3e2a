import asyncio
from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.increase_resources import increase_resources
from kubernaut.actions.workloads import missing_for_workload
from kubernaut.cluster import ResourceKind, kinds
from kubernaut.concurrency import SystemClock

Object = dict[str, Any]
KINDS = {"deployment": kinds.DEPLOYMENTS, "statefulset": kinds.STATEFUL_SETS, "daemonset": kinds.DAEMON_SETS}
WEB = {"namespace": TARGETS, "resourceName": "web", "resourceType": "deployment"}
SMALL: Object = {"limits": {"memory": "128Mi", "cpu": "500m"}, "requests": {"memory": "128Mi", "cpu": "100m"}}


async def workload(world: ActionWorld, kind: ResourceKind, *resources: Object, **spec: Any) -> Object:
    labels = {"app": "web"}
    containers = [
        {"name": f"c{n}", "image": "app:1", "resources": each} for n, each in enumerate(resources or [SMALL])
    ]
    replicas = {} if kind is kinds.DAEMON_SETS else {"replicas": 1}
    body = {
        "metadata": {"name": "web"},
        "spec": {
            **replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            **spec,
        },
    }
    return await world.admin.create(kind, body, TARGETS)


async def settled(world: ActionWorld, kind: ResourceKind) -> Object:
    while missing_for_workload(found := await world.admin.get(kind, "web", TARGETS)):
        await SystemClock().sleep(0.01)
    return found


def resources(found: Object, container: int = 0) -> Object:
    given: Object = found["spec"]["template"]["spec"]["containers"][container]["resources"]
    return given


@pytest.mark.journey
@pytest.mark.parametrize("type_", ["deployment", "statefulset"])
async def test_more_memory_is_rolled_out_and_its_rollback_is_the_identity(world: ActionWorld, type_: str) -> None:
    kind = KINDS[type_]
    await workload(world, kind)
    before = (await settled(world, kind))["spec"]
    await world.arm()
    ran = await world.run(increase_resources, {**WEB, "resourceType": type_, "memory": "256Mi", "reason": "OOM"})
    assert ran.code == 0, ran.err
    assert ran.outputs == {"container": "c0", "previousMemory": "128Mi", "previousCpu": ""}
    now = resources(await world.admin.get(kind, "web", TARGETS))
    assert now["limits"] == {"memory": "256Mi", "cpu": "500m"}
    assert now["requests"] == {"memory": "256Mi", "cpu": "100m"}, "what equalled the limit grows with it"
    (pod,) = [p for p in await world.pods() if not p["metadata"].get("deletionTimestamp")]
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "256Mi"
    (change,) = ran.message["changes"]
    assert change["before"]["spec.template.spec.containers[0].resources.limits.memory"] == "128Mi"
    back = await world.run(increase_resources, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert (await world.admin.get(kind, "web", TARGETS))["spec"] == before


async def test_a_daemon_sets_pods_are_waited_for(still_world: ActionWorld) -> None:
    await workload(still_world, kinds.DAEMON_SETS)

    async def controller() -> None:
        while (await still_world.admin.get(kinds.DAEMON_SETS, "web", TARGETS))["metadata"]["generation"] < 2:
            await SystemClock().sleep(0.01)
        counts = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
        status = {"status": {"observedGeneration": 2, **dict.fromkeys(counts, 2)}}
        await still_world.admin.patch(kinds.DAEMON_SETS, "web", TARGETS, status, subresource="status")

    async with asyncio.TaskGroup() as group:
        group.create_task(controller())
        inputs = {**WEB, "resourceType": "daemonset", "cpu": "1"}
        ran = await still_world.run(increase_resources, inputs, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs["previousCpu"] == "500m"
    assert "waiting for DaemonSet shop/web" in ran.err


async def still(world: ActionWorld, **inputs: Any) -> Any:
    return await world.run(increase_resources, {**WEB, "waitForReady": False, **inputs}, fenced=False)


async def test_without_a_limit_the_request_grows(still_world: ActionWorld) -> None:
    await workload(still_world, kinds.DEPLOYMENTS, {"requests": {"memory": "1Gi"}})
    ran = await still(still_world, memory="2Gi")
    assert (ran.code, ran.outputs["previousMemory"]) == (0, "1Gi"), ran.err
    found = await still_world.admin.get(kinds.DEPLOYMENTS, "web", TARGETS)
    assert resources(found) == {"requests": {"memory": "2Gi"}}


@pytest.mark.parametrize(
    ("given", "inputs", "reason", "told"),
    [
        ([SMALL], {"memory": "128Mi"}, "DoesNotGrow", "has 128Mi of memory; 128Mi is not more"),
        ([SMALL], {"memory": "128M"}, "DoesNotGrow", "128M is not more"),
        ([SMALL], {"memory": "1Gi", "cpu": "100m"}, "DoesNotGrow", "500m of cpu"),
        ([{}], {"cpu": "1"}, "NothingToIncrease", "neither a limit nor a request of cpu"),
        ([SMALL, SMALL], {"cpu": "1"}, "WhichContainer", "(c0, c1)"),
        ([SMALL], {"cpu": "1", "containerName": "app"}, "NoSuchContainer", "there are: c0"),
        ([SMALL], {"cpu": "1", "resourceName": "other"}, "TargetNotFound", "Deployment shop/other"),
    ],
)
async def test_what_cannot_grow_is_refused(
    still_world: ActionWorld, given: list[Object], inputs: Object, reason: str, told: str
) -> None:
    await workload(still_world, kinds.DEPLOYMENTS, *given)
    ran = await still(still_world, **inputs)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, reason, "no")
    assert told in ran.message["message"]
    assert still_world.writes() == []


async def test_the_named_container_grows_and_the_others_stay(still_world: ActionWorld) -> None:
    await workload(still_world, kinds.DEPLOYMENTS, SMALL, SMALL)
    ran = await still(still_world, containerName="c1", cpu="2")
    assert (ran.code, ran.outputs["container"]) == (0, "c1"), ran.err
    found = await still_world.admin.get(kinds.DEPLOYMENTS, "web", TARGETS)
    assert resources(found, 0) == SMALL
    assert resources(found, 1)["limits"]["cpu"] == "2"


async def test_paused_rollouts_and_pods_that_nobody_replaces_are_refused(still_world: ActionWorld) -> None:
    await workload(still_world, kinds.DEPLOYMENTS, paused=True)
    await workload(still_world, kinds.STATEFUL_SETS, updateStrategy={"type": "OnDelete"})
    for type_, reason in (("deployment", "Paused"), ("statefulset", "NotRolledOut")):
        ran = await still(still_world, resourceType=type_, cpu="1")
        assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, reason, "no")


async def limits(world: ActionWorld, **item: Any) -> None:
    body = {"metadata": {"name": "few"}, "spec": {"limits": [{"type": "Container", **item}]}}
    await world.admin.create(kinds.LIMIT_RANGES, body, TARGETS)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"max": {"memory": "1Gi"}}, "LimitRange shop/few allows a container 1Gi of memory, c0 would have 2Gi"),
        ({"type": "Pod", "max": {"memory": "1Gi"}}, "allows a pod 1Gi of memory, its containers would have 2Gi"),
        ({"maxLimitRequestRatio": {"cpu": "8"}}, "allows limits of 8 times the request of cpu"),
    ],
)
async def test_more_than_a_limit_range_allows_is_refused_before_anything_is_changed(
    still_world: ActionWorld, item: Object, told: str
) -> None:
    await workload(still_world, kinds.DEPLOYMENTS)
    await limits(still_world, **item)
    ran = await still(still_world, memory="2Gi", cpu="1")
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "OverLimit", "no")
    assert told in ran.message["message"]
    assert still_world.writes() == []


@pytest.mark.parametrize(
    ("rule", "hard", "allowed"),
    [
        ({"maxUnavailable": 0}, "640Mi", True),
        ({"maxUnavailable": 0}, "639Mi", False),
        ({"maxUnavailable": 1}, "512Mi", True),
        ({"maxUnavailable": 1}, "511Mi", False),
    ],
)
async def test_a_quota_must_have_room_for_the_growth_and_for_a_pod_that_comes_first(
    still_world: ActionWorld, rule: Object, hard: str, allowed: bool
) -> None:
    await workload(still_world, kinds.DEPLOYMENTS, replicas=2, strategy={"rollingUpdate": rule})
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"limits.memory": hard}}}
    await still_world.admin.create(kinds.RESOURCE_QUOTAS, quota, TARGETS)
    status = {"status": {"hard": {"limits.memory": hard}, "used": {"limits.memory": "256Mi"}}}
    await still_world.admin.patch(kinds.RESOURCE_QUOTAS, "few", TARGETS, status, subresource="status")
    ran = await still(still_world, memory="256Mi")
    assert (ran.code == 0) is allowed, ran.message
    if not allowed:
        assert (ran.message["reason"], ran.message["executed"]) == ("OverQuota", "no")
        assert f"ResourceQuota shop/few allows limits.memory={hard}, of which 256Mi" in ran.message["message"]


async def test_a_rollback_refuses_to_overwrite_what_others_set_since(still_world: ActionWorld) -> None:
    await workload(still_world, kinds.DEPLOYMENTS)
    ran = await still(still_world, memory="256Mi")
    await still_world.run(increase_resources, {**WEB, "memory": "512Mi", "waitForReady": False}, fenced=False)
    back = await still_world.run(increase_resources, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["executed"]) == (65, "no")
    found = await still_world.admin.get(kinds.DEPLOYMENTS, "web", TARGETS)
    assert resources(found)["limits"]["memory"] == "512Mi"


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"memory": "1"},
        {"memory": "1Ti"},
        {"memory": "1.5Gi"},
        {"cpu": "0.5"},
        {"cpu": "1", "resourceType": "job"},
        {"cpu": "1", "restore": [{"op": "replace", "path": "/spec/replicas", "value": 0}]},
        {"restore": [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "x"}]},
        {"restore": [{"op": "move", "from": "/spec/x", "path": "/spec/template/spec/containers/0/name"}]},
    ],
)
async def test_inputs_that_make_no_sense_are_refused(still_world: ActionWorld, inputs: Object) -> None:
    ran = await still(still_world, **inputs)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (64, "InvalidInputs", "no")


STATEFUL: Object = {
    "observedGeneration": 2,
    "readyReplicas": 3,
    "updatedReplicas": 3,
    "updateRevision": "b",
    "currentRevision": "b",
}
DAEMON = {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
ROLLING = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "missing"),
    [
        ("StatefulSet", {}, STATEFUL, None),
        ("StatefulSet", {}, {**STATEFUL, "observedGeneration": 1}, "not yet seen by the StatefulSet controller"),
        ("StatefulSet", {}, {**STATEFUL, "readyReplicas": 2}, "2 of 3 replicas are ready"),
        ("StatefulSet", {}, {**STATEFUL, "updatedReplicas": 1}, "1 of 3 replicas are updated"),
        ("StatefulSet", {}, {**STATEFUL, "currentRevision": "a"}, "the rest is yet to come"),
        ("StatefulSet", ROLLING, {**STATEFUL, "updatedReplicas": 1, "currentRevision": "a"}, None),
        ("StatefulSet", ROLLING, {**STATEFUL, "updatedReplicas": 0}, "0 of 1 replicas are updated"),
        ("DaemonSet", {}, DAEMON, None),
        ("DaemonSet", {}, {}, "not yet seen by the DaemonSet controller"),
        ("DaemonSet", {}, {**DAEMON, "updatedNumberScheduled": 1}, "1 of 3 pods are updated"),
        ("DaemonSet", {}, {**DAEMON, "numberAvailable": 2}, "2 of 3 pods are available"),
    ],
)
def test_a_rollout_is_done_as_kubectl_sees_it(
    kind: str, spec: Object, status: Object, missing: str | None
) -> None:
    found = {"kind": kind, "metadata": {"generation": 2}, "spec": {"replicas": 3, **spec}, "status": status}
    told = missing_for_workload(found)
    assert told is None if missing is None else missing in (told or "")
