from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.patch_deployment import patch_deployment
from kubernaut.cluster import kinds

pytestmark = pytest.mark.journey

TARGET = {"namespace": TARGETS, "deployment": "payment"}
NEW_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}}}}
JSON_IMAGE = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "app:2"}]


def image(deployment: dict[str, Any]) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def owned(deployment: dict[str, Any]) -> Any:
    """What a rollback has to bring back."""
    metadata = deployment["metadata"]
    # An empty map and none are the same to the API.
    return metadata.get("labels") or None, metadata.get("annotations"), deployment["spec"]


@pytest.mark.parametrize(
    "inputs",
    [
        {"patch": NEW_IMAGE},
        {
            "patchType": "merge",
            "patch": {"metadata": {"labels": {"tier": "gold"}}, "spec": {"minReadySeconds": 1}},
        },
        {"patchType": "json", "operations": JSON_IMAGE},
        {"patch": {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}},
        {
            "patch": {
                "spec": {"template": {"spec": {"containers": [{"name": "second", "image": "b:1"}]}}},
                "metadata": {"annotations": {"example.com/why": "x"}},
            }
        },
    ],
    ids=["strategic", "merge", "json", "removal", "added list entry"],
)
async def test_a_patch_and_its_rollback_are_the_identity(world: ActionWorld, inputs: dict[str, Any]) -> None:
    await world.deploy(replicas=1)
    before = owned(await world.settled())
    ran = await world.run(patch_deployment, {**TARGET, **inputs}, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs["changed"] is True
    assert owned(await world.deployment()) != before
    assert ran.rollback["action"] == patch_deployment.name
    back = await world.run(patch_deployment, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    labels, annotations, spec = owned(await world.deployment())
    assert (labels, spec) == (before[0], before[2])
    assert annotations is None or "example.com/why" not in annotations


async def test_a_rollback_leaves_alone_what_others_changed_beside_it(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    ran = await world.run(patch_deployment, {**TARGET, "patch": NEW_IMAGE}, fenced=False)
    await world.admin.patch(kinds.DEPLOYMENTS, "payment", TARGETS, {"spec": {"replicas": 2}})
    back = await world.run(patch_deployment, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    now = await world.deployment()
    assert (image(now), now["spec"]["replicas"]) == ("app:1", 2)


async def test_a_rollback_refuses_to_overwrite_what_others_changed_since(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    ran = await world.run(patch_deployment, {**TARGET, "patch": NEW_IMAGE}, fenced=False)
    theirs = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "app:3"}]
    await world.admin.patch(kinds.DEPLOYMENTS, "payment", TARGETS, theirs, "json")
    back = await world.run(patch_deployment, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["executed"]) == (65, "no")
    assert "no longer, as it expects" in back.message["message"]
    assert image(await world.deployment()) == "app:3"


async def test_what_the_api_server_would_refuse_is_refused_before_anything_is_changed(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    await world.arm()
    bad = {"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}}
    ran = await world.run(patch_deployment, {**TARGET, "patch": bad})
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (65, "Invalid", "no")
    assert await world.holder() == ""
    assert world.writes() == []


async def test_a_patch_that_changes_nothing_says_so(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    await world.settled()
    ran = await world.run(patch_deployment, {**TARGET, "patch": {"spec": {"replicas": 1}}}, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs["changed"] is False
    assert ran.message["executed"] == "no"
    assert ran.message.get("rollback") is None


async def test_a_paused_deployment_keeps_its_pods_and_says_so(world: ActionWorld) -> None:
    await world.deploy(paused=True)
    ran = await world.run(patch_deployment, {**TARGET, "patch": NEW_IMAGE}, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "Paused")
    assert world.writes() == []


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"patch": {}, "patchType": "merge"},
        {"patchType": "json", "patch": NEW_IMAGE},
        {"operations": JSON_IMAGE},
        {"patch": {"status": {}}},
        {"patch": {"$patch": "delete"}},
        {"patch": {"metadata": None}},
        {"patch": {"spec": None}, "patchType": "merge"},
        {"patch": {"metadata": {"name": "other"}}},
        {"patch": {"metadata": {"finalizers": []}}},
        {"patchType": "json", "operations": [{"op": "remove", "path": "/metadata/ownerReferences"}]},
        {"patchType": "json", "operations": [{"op": "replace", "path": "", "value": {}}]},
        {"patchType": "yaml", "patch": NEW_IMAGE},
        {"patchType": "json", "operations": [{"op": "move", "from": "/metadata/finalizers", "path": "/spec/x"}]},
        {"image": "app:2", "patch": NEW_IMAGE},
        {"image": "app: 2"},
        {"containerName": "app", "patch": NEW_IMAGE},
    ],
)
async def test_patches_of_what_is_not_wanted_state_are_bad_inputs(
    world: ActionWorld, inputs: dict[str, Any]
) -> None:
    ran = await world.run(patch_deployment, {**TARGET, **inputs}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (64, "InvalidInputs", "no")


async def test_an_image_alone_is_rolled_out_and_its_rollback_is_the_identity(world: ActionWorld) -> None:
    await world.deploy(replicas=1)
    before = owned(await world.settled())
    ran = await world.run(patch_deployment, {**TARGET, "image": "app:2", "containerName": "app"}, fenced=False)
    assert ran.code == 0, ran.err
    assert image(await world.deployment()) == "app:2"
    back = await world.run(patch_deployment, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert owned(await world.deployment())[2] == before[2]


async def test_an_image_of_a_container_that_is_not_there_adds_none(still_world: ActionWorld) -> None:
    await still_world.deploy()
    ran = await still_world.run(patch_deployment, {**TARGET, "image": "x:2", "containerName": "ap"}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "NoSuchContainer", "no")
    assert "there are: app" in ran.message["message"]


async def test_replicas_that_an_autoscaler_owns_are_not_patched(still_world: ActionWorld) -> None:
    await still_world.deploy()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "payment"}
    body = {"metadata": {"name": "auto"}, "spec": {"scaleTargetRef": target, "maxReplicas": 5}}
    await still_world.admin.create(kinds.HORIZONTAL_POD_AUTOSCALERS, body, TARGETS)
    inputs = {**TARGET, "patch": {"spec": {"replicas": 7}}, "wait": False}
    ran = await still_world.run(patch_deployment, inputs, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "AutoscalerOwnsReplicas", "no")
    ran = await still_world.run(patch_deployment, {**TARGET, "image": "app:2", "wait": False}, fenced=False)
    assert ran.code == 0, ran.err
