from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.scale_statefulset import missing_pods, scale_statefulset
from kubernaut.cluster import kinds
from kubernaut.concurrency import SystemClock
from kubernaut.sdk import Failed

Object = dict[str, Any]
DB = {"namespace": TARGETS, "resourceName": "db", "replicas": 3}


async def stateful_set(world: ActionWorld, replicas: int, **spec: Any) -> Object:
    labels = {"app": "db"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "db", "image": "db:1"}]}}
    body = {
        "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": labels},
            "template": template,
            **spec,
        },
    }
    return await world.admin.create(kinds.STATEFUL_SETS, body, TARGETS)


async def settled(world: ActionWorld) -> None:
    while missing_pods(await found(world), (await found(world))["spec"]["replicas"]):
        await SystemClock().sleep(0.01)


async def found(world: ActionWorld) -> Object:
    return await world.admin.get(kinds.STATEFUL_SETS, "db", TARGETS)


@pytest.mark.journey
async def test_scaling_and_its_rollback_are_the_identity_and_pods_keep_their_order(world: ActionWorld) -> None:
    await stateful_set(world, 1)
    await settled(world)
    (first,) = await world.pods()
    before = (await found(world))["spec"]
    await world.arm()
    ran = await world.run(scale_statefulset, DB)
    assert ran.code == 0, ran.err
    assert ran.outputs == {"previousReplicas": 1, "readyReplicas": 3}
    (change,) = ran.message["changes"]
    assert (change["before"], change["after"]) == ({"spec.replicas": 1}, {"spec.replicas": 3})
    pods = sorted(await world.pods(), key=lambda pod: str(pod["metadata"]["name"]))
    assert [pod["metadata"]["name"] for pod in pods] == ["db-0", "db-1", "db-2"]
    back = await world.run(scale_statefulset, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert (await found(world))["spec"] == before
    (left,) = await world.pods()
    assert left["metadata"]["uid"] == first["metadata"]["uid"]
    assert world.writes() == [("patch", "statefulsets.apps")] * 2


@pytest.mark.journey
async def test_scaling_to_zero_and_to_what_is_there_already_succeed(world: ActionWorld) -> None:
    await stateful_set(world, 1)
    none = await world.run(scale_statefulset, {**DB, "replicas": 0}, fenced=False)
    assert (none.code, none.outputs) == (0, {"previousReplicas": 1, "readyReplicas": 0}), none.err
    again = await world.run(scale_statefulset, {**DB, "replicas": 0}, fenced=False)
    assert (again.code, again.message["executed"], again.message.get("rollback")) == (0, "no", None)


async def test_without_waiting_it_is_done_when_it_is_asked_for(still_world: ActionWorld) -> None:
    await stateful_set(still_world, 1)
    ran = await still_world.run(scale_statefulset, {**DB, "waitForReady": False}, fenced=False)
    assert (ran.code, ran.outputs) == (0, {"previousReplicas": 1, "readyReplicas": 0}), ran.err


async def test_what_others_scaled_since_is_not_overwritten(still_world: ActionWorld) -> None:
    await stateful_set(still_world, 1)
    ran = await still_world.run(scale_statefulset, {**DB, "waitForReady": False}, fenced=False)
    await still_world.admin.patch(kinds.STATEFUL_SETS, "db", TARGETS, {"spec": {"replicas": 5}})
    back = await still_world.run(scale_statefulset, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["reason"], back.message["executed"]) == (66, "Drifted", "no")
    assert (await found(still_world))["spec"]["replicas"] == 5


async def test_a_missing_one_and_one_that_an_autoscaler_owns_are_refused(still_world: ActionWorld) -> None:
    ran = await still_world.run(scale_statefulset, DB, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "TargetNotFound")
    assert "StatefulSet shop/db" in ran.message["message"]
    await stateful_set(still_world, 1)
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}
    body = {"metadata": {"name": "auto"}, "spec": {"scaleTargetRef": target, "maxReplicas": 5}}
    await still_world.admin.create(kinds.HORIZONTAL_POD_AUTOSCALERS, body, TARGETS)
    ran = await still_world.run(scale_statefulset, DB, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "AutoscalerOwnsReplicas")
    assert "shop/auto" in ran.message["message"]


@pytest.mark.parametrize("replicas", [-1, 101, "3"])
async def test_replicas_outside_their_limits_are_refused(still_world: ActionWorld, replicas: Any) -> None:
    ran = await still_world.run(scale_statefulset, {**DB, "replicas": replicas}, fenced=False)
    assert (ran.code, ran.message["reason"]) == (64, "InvalidInputs")


DONE = {"observedGeneration": 4, "replicas": 3, "readyReplicas": 3}


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        ({}, None),
        ({"observedGeneration": 3}, "not yet seen"),
        ({"readyReplicas": 1}, "1 of 3 replicas are ready"),
        ({"replicas": 5, "readyReplicas": 5}, "2 replicas too many"),
    ],
)
def test_whatever_a_scaling_lacks_is_told(status: Object, missing: str | None) -> None:
    now = {"metadata": {"generation": 4}, "spec": {"replicas": 3}, "status": {**DONE, **status}}
    told = missing_pods(now, 3)
    assert told is None if missing is None else missing in (told or "")


def test_scaling_stops_when_somebody_else_sets_another_number() -> None:
    now = {"metadata": {"generation": 4}, "spec": {"replicas": 3}, "status": DONE}
    with pytest.raises(Failed, match="somebody else set the replicas to 3"):
        missing_pods(now, 5)
