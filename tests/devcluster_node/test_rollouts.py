"""Deployments roll out on the node as kubectl and operators expect."""

from typing import Any

import pytest

from kubernaut.devcluster.resources import DEPLOYMENTS, PODS, REPLICA_SETS

from .worlds import NAMESPACE, World

pytestmark = pytest.mark.timeout(10)


def deployment(image: str = "payment:1", replicas: int = 3, **more: Any) -> dict[str, Any]:
    annotations = more.pop("pod_annotations", {})
    annotations.setdefault("devcluster.kubernaut.ai/start-seconds", "0.01")
    return {
        "metadata": {"name": "payment-service"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "payment"}},
            "template": {
                "metadata": {"labels": {"app": "payment"}, "annotations": annotations},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
            **more,
        },
    }


def rolled_out(found: dict[str, Any]) -> bool:
    """What `kubectl rollout status` looks at."""
    status, wanted = found["status"], found["spec"]["replicas"]
    return (
        found["metadata"]["generation"] <= status.get("observedGeneration", 0)
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


async def roll(world: World) -> dict[str, Any]:
    return await world.until(DEPLOYMENTS, "payment-service", rolled_out)


def set_image(world: World, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    world.store.patch(DEPLOYMENTS, "payment-service", NAMESPACE, patch, "strategic")


def images(world: World) -> set[str]:
    living = [p for p in world.pods() if not p["metadata"].get("deletionTimestamp")]
    return {p["spec"]["containers"][0]["image"] for p in living}


def revision(found: dict[str, Any]) -> str:
    return str(found["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


async def test_three_replicas_are_up_within_a_second(world: World) -> None:
    body = deployment()
    del body["spec"]["template"]["metadata"]["annotations"]  # the default start delay
    begun = world.clock.monotonic()
    world.create(DEPLOYMENTS, body)
    found = await roll(world)
    assert world.clock.monotonic() - begun < 1
    assert revision(found) == "1"
    conditions = {c["type"]: c["reason"] for c in found["status"]["conditions"]}
    assert conditions == {"Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
    assert len(world.pods()) == 3
    assert "ScalingReplicaSet" in world.reasons("payment-service")


async def test_a_new_image_rolls_and_going_back_makes_a_new_revision(world: World) -> None:
    world.create(DEPLOYMENTS, deployment())
    await roll(world)
    set_image(world, "payment:2")
    second = await roll(world)
    assert revision(second) == "2"
    assert images(world) == {"payment:2"}
    set_image(world, "payment:1")
    third = await roll(world)
    assert revision(third) == "3"
    sets = world.store.list(REPLICA_SETS, NAMESPACE).items
    assert len(sets) == 2
    assert sorted(rs["spec"]["replicas"] for rs in sets) == [0, 3]


async def test_a_restart_replaces_every_pod_without_a_gap(world: World) -> None:
    world.create(DEPLOYMENTS, deployment())
    await roll(world)
    before = {p["metadata"]["uid"] for p in world.pods()}
    fewest = 3
    async with world.store.watch(DEPLOYMENTS, namespace=NAMESPACE) as changes:
        stamp = {"kubectl.kubernetes.io/restartedAt": "now"}
        patch = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        world.store.patch(DEPLOYMENTS, "payment-service", NAMESPACE, patch)
        async for change in changes:
            fewest = min(fewest, change.object["status"].get("availableReplicas", 0))
            if rolled_out(change.object):
                break
    assert fewest >= 3  # maxUnavailable 25 % of 3 is none
    left = {p["metadata"]["uid"] for p in world.pods() if not p["metadata"].get("deletionTimestamp")}
    assert not left & before


async def test_an_image_that_cannot_be_pulled_stops_the_rollout_and_leaves_the_old_pods(world: World) -> None:
    world.create(DEPLOYMENTS, deployment(progressDeadlineSeconds=1))
    await roll(world)
    set_image(world, "example.com/does-not-exist:2")

    def is_late(found: dict[str, Any]) -> bool:
        reasons = [c["reason"] for c in found["status"]["conditions"] if c["type"] == "Progressing"]
        return reasons == ["ProgressDeadlineExceeded"]

    late = await world.until(DEPLOYMENTS, "payment-service", is_late)
    assert late["status"]["availableReplicas"] == 3
    set_image(world, "payment:1")  # the way back
    await roll(world)
    assert images(world) == {"payment:1"}


async def test_scaling_up_down_and_to_zero(world: World) -> None:
    world.create(DEPLOYMENTS, deployment(replicas=1))
    await roll(world)
    for replicas in (5, 2, 0):
        world.store.patch(DEPLOYMENTS, "payment-service", NAMESPACE, {"spec": {"replicas": replicas}})
        await roll(world)
        living = [p for p in world.pods() if not p["metadata"].get("deletionTimestamp")]
        assert len(living) == replicas


async def test_recreate_never_runs_old_and_new_at_once(world: World) -> None:
    world.create(DEPLOYMENTS, deployment(strategy={"type": "Recreate"}))
    await roll(world)
    set_image(world, "payment:2")
    async with world.store.watch(PODS, DEPLOYMENTS, namespace=NAMESPACE) as changes:
        async for _ in changes:
            found = world.get(DEPLOYMENTS, "payment-service")
            every = {p["spec"]["containers"][0]["image"] for p in world.pods()}
            assert len(every) <= 1
            if rolled_out(found) and every == {"payment:2"}:
                break


async def test_a_deleted_pod_is_replaced(world: World) -> None:
    world.create(DEPLOYMENTS, deployment())
    await roll(world)
    victim = world.pods()[0]["metadata"]["name"]
    world.store.delete(PODS, victim, NAMESPACE)
    await world.until_gone(PODS, victim)
    await roll(world)
    assert len([p for p in world.pods() if not p["metadata"].get("deletionTimestamp")]) == 3


async def test_old_revisions_are_forgotten_beyond_the_limit(world: World) -> None:
    world.create(DEPLOYMENTS, deployment(replicas=1, revisionHistoryLimit=1))
    for number in range(2, 5):
        await roll(world)
        set_image(world, f"payment:{number}")
    await roll(world)
    await world.until_true(lambda: len(world.store.list(REPLICA_SETS, NAMESPACE).items) == 2)


async def test_pausing_holds_a_rollout_and_resuming_goes_on(world: World) -> None:
    world.create(DEPLOYMENTS, deployment())
    await roll(world)
    world.store.patch(DEPLOYMENTS, "payment-service", NAMESPACE, {"spec": {"paused": True}})
    set_image(world, "payment:2")

    def is_seen(found: dict[str, Any]) -> bool:
        return bool(found["metadata"]["generation"] == found["status"].get("observedGeneration"))

    await world.until(DEPLOYMENTS, "payment-service", is_seen)
    assert images(world) == {"payment:1"}
    world.store.patch(DEPLOYMENTS, "payment-service", NAMESPACE, {"spec": {"paused": None}})
    await roll(world)
    assert images(world) == {"payment:2"}
