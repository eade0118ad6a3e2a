from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.restart_deployment import RESTARTED_AT, restart_deployment
from kubernaut.actions.restart_pod import restart_pod
from kubernaut.actions.rollout_status import rollout_status
from kubernaut.cluster import kinds

pytestmark = pytest.mark.journey

DEPLOYMENT = {"namespace": TARGETS, "deployment": "payment"}


def uids(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


async def test_restarting_a_deployment_replaces_every_pod(world: ActionWorld) -> None:
    await world.deploy(replicas=3)
    await world.settled()
    before = uids(await world.pods())
    await world.arm()
    ran = await world.run(restart_deployment, DEPLOYMENT)
    assert ran.code == 0, ran.err
    assert ran.outputs["restartedReplicas"] == 3
    alive = [p for p in await world.pods() if not p["metadata"].get("deletionTimestamp")]
    assert len(alive) == 3
    assert uids(alive).isdisjoint(before)
    annotations = (await world.deployment())["spec"]["template"]["metadata"]["annotations"]
    assert annotations[RESTARTED_AT] == ran.outputs["restartedAt"]
    assert ran.message["rollback"] is None


async def test_a_paused_deployment_is_not_restarted(world: ActionWorld) -> None:
    await world.deploy(paused=True)
    ran = await world.run(restart_deployment, DEPLOYMENT)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "Paused", "no")
    assert "kubectl rollout resume" in ran.message["message"]


async def test_rollout_status_needs_no_more_than_reading_and_changes_nothing(world: ActionWorld) -> None:
    await world.deploy(replicas=2)
    await world.arm()
    ran = await world.run(rollout_status, DEPLOYMENT)
    assert ran.code == 0, ran.err
    assert ran.outputs["availableReplicas"] == 2
    assert ran.message["executed"] == "no"
    assert world.writes() == []


async def test_restarting_a_pod_waits_for_its_replacement(world: ActionWorld) -> None:
    await world.deploy(replicas=2)
    await world.settled()
    victim, other = await world.pods()
    inputs = {"namespace": TARGETS, "pod": victim["metadata"]["name"], "gracePeriodSeconds": 0}
    ran = await world.run(restart_pod, inputs, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs == {"restartedPods": [victim["metadata"]["name"]], "podsRestarted": 1}
    now = uids(await world.pods())
    assert victim["metadata"]["uid"] not in now
    assert other["metadata"]["uid"] in now
    assert len(now) == 2
    (change,) = ran.message["changes"]
    assert (change["action"], change["before"]) == ("evict", {"uid": victim["metadata"]["uid"]})


async def test_a_label_selector_restarts_all_its_pods_and_no_others(world: ActionWorld) -> None:
    await world.deploy("payment", replicas=2)
    await world.deploy("cart", replicas=1)
    await world.settled("payment")
    await world.settled("cart")
    cart = [p for p in await world.pods() if p["metadata"]["labels"]["app"] == "cart"]
    payment = [p for p in await world.pods() if p["metadata"]["labels"]["app"] == "payment"]
    inputs = {"namespace": TARGETS, "labelSelector": "app=payment", "gracePeriodSeconds": 0}
    ran = await world.run(restart_pod, inputs, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs["podsRestarted"] == 2
    now = uids(await world.pods())
    assert uids(cart) <= now
    assert uids(payment).isdisjoint(now)


async def test_a_pod_that_is_gone_already_is_a_success_without_a_change(world: ActionWorld) -> None:
    ran = await world.run(restart_pod, {"namespace": TARGETS, "pod": "away"}, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs == {"restartedPods": [], "podsRestarted": 0}
    assert ran.message["executed"] == "no"


async def test_pods_that_nobody_would_replace_are_refused_unless_allowed(world: ActionWorld) -> None:
    body = {"metadata": {"name": "alone"}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
    await world.admin.create(kinds.PODS, body, TARGETS)
    inputs = {"namespace": TARGETS, "pod": "alone", "gracePeriodSeconds": 0}
    ran = await world.run(restart_pod, inputs, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "Unmanaged")
    assert len(await world.pods()) == 1
    ran = await world.run(restart_pod, {**inputs, "allowUnmanaged": True}, fenced=False)
    assert ran.code == 0, ran.err
    assert await world.pods() == []


async def test_a_selector_that_matches_too_much_is_refused(world: ActionWorld) -> None:
    await world.deploy(replicas=3)
    await world.settled()
    inputs = {"namespace": TARGETS, "labelSelector": "app=payment", "maxPods": 2}
    ran = await world.run(restart_pod, inputs, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "TooManyPods")
    assert world.writes() == []


async def test_pod_and_selector_together_or_neither_are_bad_inputs(world: ActionWorld) -> None:
    for more in ({}, {"pod": "a", "labelSelector": "a=b"}):
        ran = await world.run(restart_pod, {"namespace": TARGETS, **more}, fenced=False)
        assert (ran.code, ran.message["reason"], ran.message["executed"]) == (64, "InvalidInputs", "no")
        assert "either `pod` or `labelSelector`" in ran.message["message"]


async def test_a_pod_that_does_not_go_is_a_failure_after_the_change(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    (pod,) = await world.pods()
    body = {"metadata": {"finalizers": ["example.com/hold"]}}
    await world.admin.patch(kinds.PODS, pod["metadata"]["name"], TARGETS, body)
    inputs = {"namespace": TARGETS, "pod": pod["metadata"]["name"], "gracePeriodSeconds": 0}
    ran = await world.run(restart_pod, inputs, fenced=False, KUBERNAUT_DEADLINE_SECONDS="4")
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "NotInTime", "yes")
    assert "still ending" in ran.message["message"]


async def test_a_selector_is_restarted_as_fast_as_its_budget_lets_replacements_come(world: ActionWorld) -> None:
    await world.deploy(replicas=2)
    await world.settled()
    before = uids(await world.pods())
    await budget(world, minAvailable=1)
    inputs = {"namespace": TARGETS, "labelSelector": "app=payment", "gracePeriodSeconds": 0}
    ran = await world.run(restart_pod, inputs, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs["podsRestarted"] == 2
    assert uids(await world.pods()).isdisjoint(before)
    assert {write for write in world.writes() if write[1] == "pods"} == set(), (
        "nothing was deleted past the budget"
    )


async def test_a_budget_that_never_gives_way_is_named_and_nothing_was_done(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    (pod,) = await world.pods()
    await budget(world, minAvailable=1)
    inputs = {"namespace": TARGETS, "pod": pod["metadata"]["name"]}
    ran = await world.run(restart_pod, inputs, fenced=False, KUBERNAUT_DEADLINE_SECONDS="2.6")
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "BlockedByBudget", "no")
    assert "The disruption budget keep needs 1 healthy pods" in ran.message["message"]
    assert uids(await world.pods()) == {pod["metadata"]["uid"]}


async def budget(world: ActionWorld, **rule: Any) -> None:
    spec = {"selector": {"matchLabels": {"app": "payment"}}, **rule}
    await world.admin.create(kinds.POD_DISRUPTION_BUDGETS, {"metadata": {"name": "keep"}, "spec": spec}, TARGETS)
