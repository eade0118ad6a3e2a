"""The node itself: what it says of itself, what it does when it comes back, and time as an argument."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from kubernaut.concurrency import Supervisor, VirtualClock
from kubernaut.devcluster.node import Account, Node, NodeSettings, Plain, ScriptResult, ScriptStart
from kubernaut.devcluster.resources import JOBS, LEASES, NODES, PODS
from kubernaut.devcluster.workloads import moments

from .test_jobs import IMAGE, condition_types, ends_with, is_over, reason_of
from .worlds import NAMESPACE, World, ended, make_world


async def test_the_node_is_ready_and_keeps_its_lease(tmp_path: Path) -> None:
    clock = VirtualClock(autojump=False)
    async with make_world(tmp_path, clock, Plain()) as world:
        node = world.store.get(NODES, world.node.name)
        conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
        assert conditions["Ready"] == "True"
        assert conditions["MemoryPressure"] == "False"
        assert node["status"]["allocatable"]["pods"] == "1000"
        await clock.advance(25)
        lease = world.store.get(LEASES, world.node.name, "kube-node-lease")
        renewed = moments.from_text(lease["spec"]["renewTime"])
        assert clock.now() - renewed <= timedelta(seconds=10)


@pytest.mark.timeout(4)
async def test_a_pod_that_had_started_is_not_started_again_by_a_new_node(world: World, tmp_path: Path) -> None:
    async def hangs(start: ScriptStart) -> ScriptResult:
        await asyncio.Event().wait()
        raise AssertionError("nobody wakes it")

    world.node.scripted.register(IMAGE, hangs)
    world.create_pod("action", image=IMAGE)
    await world.until_phase("action", "Running")
    await world.node.stop()

    settings = NodeSettings(tmp_path / "again", tmp_path / "cache", runtime=Plain())
    account = Account(sign=lambda pod, name, audience, seconds: "token", ca=b"")
    async with Supervisor() as supervisor:
        second = Node(world.store, world.clock, settings, account, ("127.0.0.1", 1))
        second.scripted.register(IMAGE, hangs)
        await second.start(supervisor)
        pod = await world.until_phase("action", "Failed")
        assert ended(pod)["reason"] == "ContainerStatusUnknown"
        assert second.scripted.started == []
        await second.stop()


async def test_a_cordon_survives_the_node(world: World) -> None:
    world.store.patch(NODES, world.node.name, None, {"spec": {"unschedulable": True}})
    await world.node.stop()
    async with Supervisor() as supervisor:
        await world.node.start(supervisor)
        assert world.store.get(NODES, world.node.name)["spec"]["unschedulable"] is True
        await world.node.stop()


@pytest.mark.timeout(10)
async def test_an_hour_passes_in_no_time_where_nothing_is_real(tmp_path: Path) -> None:
    clock = VirtualClock()

    async def slow(start: ScriptStart) -> ScriptResult:
        await clock.sleep(3600)
        return ScriptResult(0)

    async with make_world(tmp_path, clock, Plain()) as world:
        world.node.scripted.register(IMAGE, slow)
        world.create_job("patient", IMAGE)
        world.create_job("hurried", IMAGE, activeDeadlineSeconds=600, podReplacementPolicy="Failed")
        assert reason_of(await world.until(JOBS, "hurried", is_over)) == "DeadlineExceeded"
        assert 600 <= clock.monotonic() < 700
        assert condition_types(await world.until(JOBS, "patient", is_over))[-1] == "Complete"


async def test_time_to_live_removes_a_job_when_its_time_has_come(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with make_world(tmp_path, clock, Plain()) as world:
        world.node.scripted.register(IMAGE, ends_with(0))
        world.create_job("run", IMAGE, ttlSecondsAfterFinished=300)
        job = await world.until(JOBS, "run", is_over)
        finished = moments.from_text(job["status"]["completionTime"])
        await world.until(JOBS, "run", lambda found: found["metadata"].get("deletionTimestamp"))
        assert timedelta(seconds=299) <= clock.now() - finished <= timedelta(seconds=302)


async def test_a_pod_whose_script_fails_in_python_is_told_and_others_go_on(world: World) -> None:
    async def broken(start: ScriptStart) -> ScriptResult:
        raise RuntimeError("a bug of the test")

    world.node.scripted.register(IMAGE, broken)
    world.create_pod("broken", image=IMAGE)
    await world.until_event("FailedCreatePodSandBox", "broken")
    world.create_pod("web", restartPolicy="Always")
    await world.until_phase("web", "Running")


async def test_init_containers_come_first_and_one_by_one(world: World) -> None:
    order: list[str] = []

    async def script(start: ScriptStart) -> ScriptResult:
        order.append(start.container)
        return ScriptResult(1 if start.container == "second" and "fail" in start.argv else 0)

    world.node.scripted.register(IMAGE, script)
    first = [{"name": name, "image": IMAGE} for name in ("first", "second")]
    world.create_pod("good", image=IMAGE, initContainers=first)
    await world.until_phase("good", "Succeeded")
    assert order == ["first", "second", "main"]
    first[1]["args"] = ["fail"]  # type: ignore[assignment]
    world.create_pod("bad", image=IMAGE, initContainers=first)
    pod = await world.until_phase("bad", "Failed")
    assert "waiting" in pod["status"]["containerStatuses"][0]["state"]
    assert order == ["first", "second", "main", "first", "second"]


async def test_pods_deleted_while_nothing_but_the_store_knows_of_them_leave_no_trace(world: World) -> None:
    for number in range(20):
        world.create_pod(f"brief-{number}", restartPolicy="Always")
        world.store.delete(PODS, f"brief-{number}", NAMESPACE, grace=0)
    await world.until_true(lambda: not world.pods())


@pytest.mark.parametrize("container", ["", "main"])
async def test_a_log_asked_for_too_early_says_why(world: World, container: str) -> None:
    world.create_pod("lost", image="example.com/does-not-exist:1")
    await world.until_event("Failed", "lost")
    with pytest.raises(Exception, match='container "main" in pod "lost" is waiting to start'):
        await world.log("lost")


async def test_events_are_forgotten_an_hour_after_they_were_told(tmp_path: Path) -> None:
    clock = VirtualClock(autojump=False)
    async with make_world(tmp_path, clock, Plain()) as world:
        world.create_pod("web", restartPolicy="Always")
        await clock.advance(1)  # it is noticed
        await clock.advance(1)  # and starts
        assert "Started" in world.reasons("web")
        await clock.advance(3000)
        assert "Started" in world.reasons("web")
        await clock.advance(1000)
        assert world.reasons("web") == []


async def test_logs_outlive_the_node_that_wrote_them(world: World) -> None:
    world.node.scripted.register(IMAGE, ends_with(0, log="kept\n"))
    world.create_pod("action", image=IMAGE)
    await world.until_phase("action", "Succeeded")
    await world.node.stop()
    async with Supervisor() as supervisor:
        await world.node.start(supervisor)
        assert await world.log("action", follow=True) == "kept\n"
        await world.node.stop()
