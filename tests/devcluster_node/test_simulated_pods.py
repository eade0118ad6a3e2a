"""Pods whose containers only pretend: what a user sees of them."""

import pytest

from kubernaut.devcluster.resources import CONFIG_MAPS, NODES, PODS, SECRETS

from .worlds import NAMESPACE, World, ended, state_of, waiting_reason

PREFIX = "devcluster.kubernaut.ai/"


def annotated(**values: str) -> dict[str, object]:
    return {"annotations": {f"{PREFIX}{key.replace('_', '-')}": value for key, value in values.items()}}


def is_ready(pod: dict[str, object]) -> bool:
    conditions = pod["status"].get("conditions", [])  # type: ignore[attr-defined]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def test_a_pod_is_scheduled_runs_becomes_ready_and_says_that_it_is_simulated(world: World) -> None:
    world.create_pod("web", restartPolicy="Always")
    pod = await world.until(PODS, "web", is_ready)
    assert pod["spec"]["nodeName"] == world.node.name
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["ready"] is True
    assert pod["status"]["podIP"]
    assert "running" in state_of(pod)
    assert world.reasons("web") == ["Scheduled", "Pulled", "Created", "Started"]
    assert "simulated" in await world.log("web")


async def test_an_exit_code_ends_it(world: World) -> None:
    world.create_pod("job", metadata=annotated(exit_code="3", start_seconds="0"))
    pod = await world.until_phase("job", "Failed")
    assert ended(pod)["exitCode"] == 3
    assert ended(pod)["reason"] == "Error"
    world.create_pod("fine", metadata=annotated(exit_code="0", start_seconds="0"))
    assert ended(await world.until_phase("fine", "Succeeded"))["reason"] == "Completed"


async def test_never_ready_runs_without_readiness(world: World) -> None:
    world.create_pod("slow", restartPolicy="Always", metadata=annotated(never_ready="true", start_seconds="0"))
    pod = await world.until_phase("slow", "Running")
    assert not is_ready(pod)


async def test_an_image_that_cannot_be_pulled_says_so_and_backs_off(world: World) -> None:
    world.create_pod("lost", image="example.com/does-not-exist:1", restartPolicy="Always")
    pod = await world.until(PODS, "lost", lambda p: waiting_reason(p) == "ErrImagePull")
    assert pod["status"]["phase"] == "Pending"
    await world.until(PODS, "lost", lambda p: waiting_reason(p) == "ImagePullBackOff")
    assert {"Failed", "BackOff"} <= set(world.reasons("lost"))
    # Deleting it needs no grace: nothing runs.
    world.store.delete(PODS, "lost", NAMESPACE)
    await world.until_gone(PODS, "lost")


async def test_an_image_name_that_is_none_is_told(world: World) -> None:
    world.create_pod("typo", image="Not A Name")
    await world.until(PODS, "typo", lambda p: waiting_reason(p) == "InvalidImageName")


async def test_a_missing_secret_key_is_waited_for(world: World) -> None:
    reference = {"secretKeyRef": {"name": "credentials", "key": "password"}}
    env = [{"name": "PASSWORD", "valueFrom": reference}]
    world.create_pod("app", restartPolicy="Always", container={"env": env}, metadata=annotated(start_seconds="0"))
    pod = await world.until(PODS, "app", lambda p: waiting_reason(p) == "CreateContainerConfigError")
    assert state_of(pod)["waiting"]["message"] == 'secret "credentials" not found'
    world.create(SECRETS, {"metadata": {"name": "credentials"}, "stringData": {"other": "x"}})
    said = "couldn't find key password in Secret work/credentials"
    await world.until(PODS, "app", lambda p: state_of(p).get("waiting", {}).get("message") == said)
    world.store.patch(SECRETS, "credentials", NAMESPACE, {"stringData": {"password": "y"}})
    await world.until_phase("app", "Running")


async def test_a_missing_volume_keeps_a_pod_creating_until_it_is_there(world: World) -> None:
    volumes = [{"name": "settings", "configMap": {"name": "absent"}}]
    world.create_pod("app", restartPolicy="Always", volumes=volumes, metadata=annotated(start_seconds="0"))
    event = await world.until_event("FailedMount", "app")
    assert event["message"] == 'MountVolume.SetUp failed for volume "settings" : configmap "absent" not found'
    assert waiting_reason(world.get(PODS, "app")) == "ContainerCreating"
    world.create(CONFIG_MAPS, {"metadata": {"name": "absent"}, "data": {"a": "b"}})
    await world.until_phase("app", "Running")


async def test_deletion_is_graceful_and_then_final(world: World) -> None:
    world.create_pod("web", restartPolicy="Always", metadata=annotated(start_seconds="0"))
    await world.until_phase("web", "Running")
    marked = world.store.delete(PODS, "web", NAMESPACE)
    assert not marked.is_gone
    assert marked.object["metadata"]["deletionGracePeriodSeconds"] == 30
    await world.until_gone(PODS, "web")
    assert "Killing" in world.reasons("web")


async def test_a_cordoned_node_takes_no_pods_until_it_is_open_again(world: World) -> None:
    world.store.patch(NODES, world.node.name, None, {"spec": {"unschedulable": True}})
    world.create_pod("late", restartPolicy="Always", metadata=annotated(start_seconds="0"))
    event = await world.until_event("FailedScheduling", "late")
    assert event["message"].startswith("0/1 nodes are available: 1 node(s) were unschedulable. ")
    pod = world.get(PODS, "late")
    scheduled = next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    assert pod["status"]["phase"] == "Pending"
    world.store.patch(NODES, world.node.name, None, {"spec": {"unschedulable": None}})
    pod = await world.until_phase("late", "Running")
    scheduled = next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")
    assert scheduled["status"] == "True"


async def test_too_large_a_request_waits_until_others_leave(world: World) -> None:
    large = {"resources": {"requests": {"cpu": "10"}}}
    for name in ("first", "second"):
        world.create_pod(name, restartPolicy="Always", container=large, metadata=annotated(start_seconds="0"))
    await world.until_phase("first", "Running")
    event = await world.until_event("FailedScheduling", "second")
    assert "Insufficient cpu" in event["message"]
    world.store.delete(PODS, "first", NAMESPACE, grace=0)
    await world.until_phase("second", "Running")


async def test_the_deadline_of_a_pod_ends_it(world: World) -> None:
    world.create_pod("late", activeDeadlineSeconds=1, metadata=annotated(start_seconds="0"))
    pod = await world.until_phase("late", "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"


async def test_a_pod_deleted_before_its_container_started_says_that_nothing_ran(world: World) -> None:
    keep = {"finalizers": ["example.com/keep"]}
    world.create_pod("lost", image="example.com/does-not-exist:1", metadata=keep)
    await world.until(PODS, "lost", lambda p: waiting_reason(p) == "ErrImagePull")
    world.store.delete(PODS, "lost", NAMESPACE)
    pod = await world.until_phase("lost", "Failed")
    assert ended(pod)["reason"] == "ContainerStatusUnknown"
    assert ended(pod)["exitCode"] == 137
    assert ended(pod).get("startedAt") is None


async def test_a_failing_container_is_restarted_at_once_and_then_backs_off(world: World) -> None:
    quick = annotated(exit_code="1", start_seconds="0")
    world.create_pod("loop", restartPolicy="Always", metadata=quick)
    pod = await world.until(PODS, "loop", lambda p: waiting_reason(p) == "CrashLoopBackOff")
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert pod["status"]["phase"] == "Running"
    assert "BackOff" in world.reasons("loop")


@pytest.mark.timeout(10)
async def test_hundreds_of_pods_run_at_once(world: World) -> None:
    names = [f"many-{number}" for number in range(300)]
    for name in names:
        world.create_pod(name, restartPolicy="Always", metadata=annotated(start_seconds="0"))
    for name in names:
        await world.until_phase(name, "Running")
