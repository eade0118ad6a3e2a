import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.scale_deployment import scale_deployment
from kubernaut.cluster import kinds

pytestmark = pytest.mark.journey

INPUTS = {"namespace": TARGETS, "deployment": "payment", "replicas": 10}


async def test_scaling_reaches_the_wanted_replicas_and_tells_before_and_after(world: ActionWorld) -> None:
    await world.deploy(replicas=3)
    await world.settled()
    await world.arm()
    ran = await world.run(scale_deployment, INPUTS)
    assert ran.code == 0, ran.err
    assert ran.outputs == {"previousReplicas": 3, "actualReplicas": 10}
    assert ran.message["executed"] == "yes"
    assert ran.message["outcome"] == "succeeded"
    (change,) = ran.message["changes"]
    assert (change["kind"], change["namespace"], change["name"]) == ("Deployment", TARGETS, "payment")
    assert (change["before"], change["after"]) == ({"spec.replicas": 3}, {"spec.replicas": 10})
    assert (await world.holder()).startswith("pod-1/")
    assert world.writes() == [("patch", "deployments.apps")]


async def test_rollback_information_brings_back_the_replicas_of_before(world: ActionWorld) -> None:
    await world.deploy(replicas=2)
    await world.settled()
    ran = await world.run(scale_deployment, INPUTS, fenced=False)
    assert ran.rollback["previous_replicas"] == 2
    assert ran.rollback["deployment"] == "payment"
    assert ran.rollback["action"] == scale_deployment.name
    assert ran.message["rollback"] == ran.rollback
    back = await world.run(scale_deployment, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert (await world.deployment())["spec"]["replicas"] == 2


async def test_scaling_to_zero_and_to_what_is_there_already_succeed(world: ActionWorld) -> None:
    await world.deploy(replicas=2)
    await world.settled()
    none = await world.run(scale_deployment, {**INPUTS, "replicas": 0}, fenced=False)
    assert none.outputs == {"previousReplicas": 2, "actualReplicas": 0}
    again = await world.run(scale_deployment, {**INPUTS, "replicas": 0}, fenced=False)
    assert again.code == 0
    assert again.message["executed"] == "no"
    assert again.message.get("rollback") is None
    assert len(world.writes()) == 1


async def test_a_missing_deployment_is_named_and_nothing_is_changed(world: ActionWorld) -> None:
    await world.arm()
    ran = await world.run(scale_deployment, INPUTS)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "TargetNotFound", "no")
    assert "shop/payment" in ran.message["message"]
    assert await world.holder() == ""


async def test_an_autoscaler_that_owns_the_replicas_is_named(world: ActionWorld) -> None:
    await world.deploy()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"}
    body = {"metadata": {"name": "auto"}, "spec": {"scaleTargetRef": target, "maxReplicas": 5}}
    await world.admin.create(kinds.HORIZONTAL_POD_AUTOSCALERS, body, TARGETS)
    ran = await world.run(scale_deployment, INPUTS)
    assert (ran.code, ran.message["reason"]) == (66, "AutoscalerOwnsReplicas")
    assert "shop/auto" in ran.message["message"]


async def test_without_permission_the_dry_run_is_refused_and_nothing_is_changed(world: ActionWorld) -> None:
    await world.deploy()
    reading = [p for p in scale_deployment.contract.spec.rbac.permissions if "patch" not in p.verbs]
    reading.append(type(reading[0])(api_groups=("apps",), resources=("deployments",), verbs=("get",)))
    await world.arm()
    ran = await world.run(scale_deployment, INPUTS, permissions=reading)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (65, "Forbidden", "no")
    assert await world.holder() == ""
    assert world.writes() == []


async def test_replicas_that_do_not_come_in_time_are_a_failure_after_the_change(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    node = await world.admin.list(kinds.NODES)
    for found in node.items:
        body = {"spec": {"unschedulable": True}}
        await world.admin.patch(kinds.NODES, found["metadata"]["name"], None, body)
    ran = await world.run(scale_deployment, INPUTS, fenced=False, KUBERNAUT_DEADLINE_SECONDS="2.8")
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "NotInTime", "yes")
    assert "1 of 10 replicas are available" in ran.message["message"]
    assert ran.message["rollback"]["previous_replicas"] == 1


async def test_a_rollback_refuses_to_overwrite_what_others_scaled_since(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    ran = await world.run(scale_deployment, {**INPUTS, "replicas": 2}, fenced=False)
    assert ran.code == 0, ran.err
    await world.admin.patch(kinds.DEPLOYMENTS, "payment", TARGETS, {"spec": {"replicas": 3}})
    back = await world.run(scale_deployment, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["reason"], back.message["executed"]) == (66, "Drifted", "no")
    assert (await world.deployment())["spec"]["replicas"] == 3


async def test_a_quota_that_keeps_pods_away_is_told(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "2"}}}
    await world.admin.create(kinds.RESOURCE_QUOTAS, quota, TARGETS)
    ran = await world.run(
        scale_deployment, {**INPUTS, "replicas": 3}, fenced=False, KUBERNAUT_DEADLINE_SECONDS="4"
    )
    assert (ran.code, ran.message["reason"]) == (70, "NotInTime")
    assert "2 of 3 replicas are available; pods cannot be created" in ran.message["message"]
    assert "exceeded quota: few" in ran.message["message"]


async def test_more_replicas_than_the_limit_can_be_brought_back(still_world: ActionWorld) -> None:
    await still_world.deploy(replicas=150)
    ran = await still_world.run(
        scale_deployment, {**INPUTS, "replicas": 100}, fenced=False, KUBERNAUT_DEADLINE_SECONDS="2.3"
    )
    assert ran.message["executed"] == "yes"
    (undo,) = ran.rollback["objects"]
    await still_world.admin.patch(kinds.DEPLOYMENTS, "payment", TARGETS, undo["patch"], "json")
    assert (await still_world.deployment())["spec"]["replicas"] == 150
