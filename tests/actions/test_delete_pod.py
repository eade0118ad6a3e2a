from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.delete_pod import delete_pod
from kubernaut.cluster import kinds

from .cluster_nodes import pod

Object = dict[str, Any]
WEB = {"namespace": TARGETS, "pod": "web", "gracePeriodSeconds": 0}
BLOCKED = {"KUBERNAUT_DEADLINE_SECONDS": "2.6"}


async def budget(world: ActionWorld) -> None:
    spec = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}
    await world.admin.create(kinds.POD_DISRUPTION_BUDGETS, {"metadata": {"name": "keep"}, "spec": spec}, TARGETS)


async def named(world: ActionWorld, name: str) -> Object | None:
    return next((pod for pod in await world.pods() if pod["metadata"]["name"] == name), None)


@pytest.mark.journey
async def test_a_pod_is_evicted_and_its_controller_replaces_it(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    (victim,) = await world.pods()
    name, uid = victim["metadata"]["name"], victim["metadata"]["uid"]
    await world.arm()
    ran = await world.run(delete_pod, {**WEB, "pod": name, "uid": uid, "reason": "stuck"})
    assert ran.code == 0, ran.err
    owner = victim["metadata"]["ownerReferences"][0]["name"]
    assert ran.outputs == {"deleted": True, "uid": uid, "owner": f"ReplicaSet/{owner}"}
    (change,) = ran.message["changes"]
    assert (change["action"], change["kind"], change["before"]) == ("evict", "Pod", {"uid": uid})
    assert await named(world, name) is None
    assert ran.message["rollback"] is None
    assert "stuck" in ran.err


async def test_a_pod_that_is_gone_already_is_a_success_without_a_change(still_world: ActionWorld) -> None:
    ran = await still_world.run(delete_pod, WEB, fenced=False)
    assert (ran.code, ran.message["executed"]) == (0, "no"), ran.err
    assert ran.outputs == {"deleted": False, "uid": "", "owner": ""}


async def test_another_pod_of_the_same_name_is_left_alone(still_world: ActionWorld) -> None:
    await pod(still_world, "web", "a")
    ran = await still_world.run(delete_pod, {**WEB, "uid": "0" * 36}, fenced=False)
    assert (ran.code, ran.message["executed"], ran.outputs["deleted"]) == (0, "no", False)
    assert await named(still_world, "web") is not None


async def test_a_budget_is_waited_for_then_named(still_world: ActionWorld) -> None:
    await pod(still_world, "web", "a")
    await budget(still_world)
    ran = await still_world.run(delete_pod, WEB, fenced=False, **BLOCKED)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "BlockedByBudget", "no")
    assert f"{TARGETS}/web: The disruption budget keep needs 1" in ran.message["message"]
    assert await named(still_world, "web") is not None


async def test_force_deletes_whatever_budgets_say(still_world: ActionWorld) -> None:
    await pod(still_world, "web", "a")
    await budget(still_world)
    ran = await still_world.run(delete_pod, {**WEB, "force": True}, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.message["changes"][0]["action"] == "delete"
    assert await named(still_world, "web") is None


async def test_a_pod_that_its_lost_node_never_ends_goes_by_force_only(still_world: ActionWorld) -> None:
    await pod(still_world, "web", "lost")
    await still_world.admin.delete(kinds.PODS, "web", TARGETS)
    ran = await still_world.run(delete_pod, WEB, fenced=False, **BLOCKED)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "NotInTime", "no")
    forced = await still_world.run(delete_pod, {**WEB, "force": True}, fenced=False)
    assert (forced.code, forced.outputs["deleted"]) == (0, True), forced.err
    assert await named(still_world, "web") is None


async def test_a_pod_that_nobody_replaces_is_refused_unless_allowed(still_world: ActionWorld) -> None:
    await pod(still_world, "web", "a", of=None)
    ran = await still_world.run(delete_pod, {**WEB, "force": True}, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "Unmanaged")
    assert "allowUnmanaged" in ran.message["message"]
    ran = await still_world.run(delete_pod, {**WEB, "force": True, "allowUnmanaged": True}, fenced=False)
    assert (ran.code, ran.outputs["owner"]) == (0, ""), ran.err


async def test_a_static_pod_is_refused_since_only_its_node_can_end_it(still_world: ActionWorld) -> None:
    await pod(still_world, "web", "a", annotations={"kubernetes.io/config.mirror": "x"})
    ran = await still_world.run(delete_pod, WEB, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "StaticPod")


@pytest.mark.parametrize("more", [{"gracePeriodSeconds": 301}, {"gracePeriodSeconds": -1}, {"pod": "Web"}])
async def test_inputs_outside_their_limits_are_refused(still_world: ActionWorld, more: Object) -> None:
    ran = await still_world.run(delete_pod, {**WEB, **more}, fenced=False)
    assert (ran.code, ran.message["reason"]) == (64, "InvalidInputs")
