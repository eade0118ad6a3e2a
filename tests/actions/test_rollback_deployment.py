from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.patch_deployment import patch_deployment
from kubernaut.actions.rollback_deployment import (
    HASH,
    REVISION,
    choose,
    restoring,
    revisions,
    rollback_deployment,
    template_of,
)
from kubernaut.cluster import kinds
from kubernaut.concurrency import SystemClock
from kubernaut.sdk import Refused

Object = dict[str, Any]
PAYMENT = {"namespace": TARGETS, "resourceName": "payment"}


async def roll_out(world: ActionWorld, image: str, **annotations: str) -> None:
    body = {
        "metadata": {"annotations": annotations},
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
    }
    was = (await world.deployment())["metadata"]["annotations"].get(REVISION)
    await world.admin.patch(kinds.DEPLOYMENTS, "payment", TARGETS, body, "strategic")
    while (await world.deployment())["metadata"]["annotations"].get(REVISION) == was:
        await SystemClock().sleep(0.01)
    await world.settled()


async def image(world: ActionWorld) -> str:
    return str((await world.deployment())["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.journey
async def test_the_revision_before_comes_back_and_its_rollback_brings_back_what_was(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    await roll_out(world, "app:2", **{"kubernetes.io/change-cause": "two"})
    before = await world.deployment()
    await world.arm()
    ran = await world.run(rollback_deployment, PAYMENT)
    assert ran.code == 0, ran.err
    assert ran.outputs == {"fromRevision": 2, "toRevision": 1, "images": ["app:1"], "changed": True}
    now = await world.deployment()
    assert HASH not in now["spec"]["template"]["metadata"]["labels"]
    assert "kubernetes.io/change-cause" not in now["metadata"]["annotations"]
    assert now["metadata"]["annotations"][REVISION] == "3"
    (pod,) = [p for p in await world.pods() if not p["metadata"].get("deletionTimestamp")]
    assert pod["spec"]["containers"][0]["image"] == "app:1"
    (change,) = ran.message["changes"]
    assert change["before"]["spec.template.spec.containers[0].image"] == "app:2"
    assert ran.rollback["action"] == patch_deployment.name
    back = await world.run(patch_deployment, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    after = await world.deployment()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"]["kubernetes.io/change-cause"] == "two"


@pytest.mark.journey
async def test_any_revision_can_be_named_and_the_one_in_place_changes_nothing(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    await roll_out(world, "app:2")
    await roll_out(world, "app:3")
    ran = await world.run(rollback_deployment, {**PAYMENT, "revision": 1}, fenced=False)
    assert (ran.code, ran.outputs["toRevision"]) == (0, 1), ran.err
    assert await image(world) == "app:1"
    again = await world.run(rollback_deployment, {**PAYMENT, "revision": 4}, fenced=False)
    assert (again.code, again.message["executed"], again.outputs["changed"]) == (0, "no", False), again.err
    none = await world.run(rollback_deployment, {**PAYMENT, "revision": 9}, fenced=False)
    assert (none.code, none.message["reason"]) == (66, "NoSuchRevision")
    assert "no revision 9 (there are: 2, 3, 4)" in none.message["message"]


@pytest.mark.journey
async def test_a_rollback_refuses_to_overwrite_what_others_rolled_out_since(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    await roll_out(world, "app:2")
    ran = await world.run(rollback_deployment, PAYMENT, fenced=False)
    assert ran.code == 0, ran.err
    await roll_out(world, "app:4")
    back = await world.run(patch_deployment, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["executed"]) == (65, "no")
    assert await image(world) == "app:4"


@pytest.mark.journey
async def test_a_rollback_that_does_not_get_ready_fails_by_its_own_deadline(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    await roll_out(world, "app:2")
    for node in (await world.admin.list(kinds.NODES)).items:
        body = {"spec": {"unschedulable": True}}
        await world.admin.patch(kinds.NODES, node["metadata"]["name"], None, body)
    ran = await world.run(rollback_deployment, {**PAYMENT, "timeout": "300ms"}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "NotInTime", "yes")
    assert ran.message["rollback"]["revision"] == 2


async def test_without_an_earlier_revision_and_while_paused_it_is_refused(still_world: ActionWorld) -> None:
    ran = await still_world.run(rollback_deployment, PAYMENT, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "TargetNotFound")
    await still_world.deploy()
    ran = await still_world.run(rollback_deployment, PAYMENT, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "NoSuchRevision")
    await still_world.deploy("held", paused=True)
    ran = await still_world.run(rollback_deployment, {**PAYMENT, "resourceName": "held"}, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "Paused")


def replica_set(revision: str, owner: str = "d-uid", **annotations: str) -> Object:
    return {
        "metadata": {
            "name": f"rs-{revision}",
            "creationTimestamp": f"2030-01-0{revision}T00:00:00Z",
            "annotations": {REVISION: revision, **annotations} if revision else {},
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"template": {"metadata": {"labels": {HASH: "x", "app": revision}}, "spec": {}}},
    }


DEPLOYMENT: Object = {
    "metadata": {"uid": "d-uid", "name": "d", "namespace": "n", "annotations": {REVISION: "3", "mine": "1"}},
    "spec": {"template": {"metadata": {"labels": {"app": "3"}}, "spec": {}}},
}


def test_only_its_own_replica_sets_are_its_history() -> None:
    found = revisions(DEPLOYMENT, [replica_set("1"), replica_set("2", owner="other"), replica_set("3")])
    assert sorted(found) == [1, 3]
    assert choose(DEPLOYMENT, found, None)[0] == 1
    with pytest.raises(Refused, match="no revision 2"):
        choose(DEPLOYMENT, found, 2)


def test_annotations_of_the_revision_come_back_and_those_of_the_deployment_itself_stay() -> None:
    then = replica_set("1", **{"deployment.kubernetes.io/max-replicas": "4", "cause": "one"})
    template, annotations = restoring(DEPLOYMENT, then)
    assert template["value"] == template_of(then)
    assert template["value"]["metadata"]["labels"] == {"app": "1"}
    assert annotations["value"] == {REVISION: "3", "cause": "one"}
