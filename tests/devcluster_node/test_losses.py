"""Lost nodes, and what becomes of the pods that were on them. Hours pass in virtual time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kubernaut.concurrency import Supervisor, VirtualClock
from kubernaut.devcluster import admission
from kubernaut.devcluster.node import Account, Node, NodeSettings, Plain
from kubernaut.devcluster.resources import JOBS, NODES, PODS
from kubernaut.devcluster.workloads import LossSettings, moments
from kubernaut.devcluster.workloads.pod_collector import PodCollector

from .test_jobs import IMAGE, condition_types, hangs, is_over, reason_of
from .worlds import NAMESPACE, World, make_world

UNREACHABLE = "node.kubernetes.io/unreachable"
DISRUPTED = {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
POLICY: dict[str, Any] = {"podFailurePolicy": {"rules": [DISRUPTED]}, "podReplacementPolicy": "Failed"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with make_world(tmp_path, VirtualClock(), Plain()) as made:
        made.store.mutating.append(admission.default_tolerations)
        made.node.scripted.register(IMAGE, hangs)
        yield made


@asynccontextmanager
async def second_node(world: World, folder: Path) -> AsyncGenerator[Node]:
    settings = NodeSettings(folder / "n2", folder / "c2", name="second", runtime=Plain(), schedules=False)
    account = Account(sign=lambda pod, name, audience, seconds: "token", ca=b"")
    node = Node(world.store, world.clock, settings, account, ("127.0.0.1", 1))
    async with Supervisor() as supervisor:
        await node.start(supervisor)
        try:
            yield node
        finally:
            await node.stop()


def on(node: str) -> dict[str, Any]:
    return {"nodeSelector": {"kubernetes.io/hostname": node}}


def condition(obj: dict[str, Any], type_: str) -> dict[str, Any]:
    return next((c for c in obj["status"].get("conditions", []) if c["type"] == type_), {})


def taints(node: dict[str, Any]) -> set[tuple[str, str]]:
    return {(t["key"], t["effect"]) for t in node["spec"].get("taints", [])}


async def until_node(world: World, name: str, status: str) -> dict[str, Any]:
    async with world.store.watch(NODES, initial=True) as changes:
        async for change in changes:
            if change.object["metadata"]["name"] == name and condition(change.object, "Ready")["status"] == status:
                return change.object
    raise AssertionError("the watch ended")


async def test_a_silent_node_is_lost_after_its_grace_and_its_pods_are_not_ready(
    world: World, tmp_path: Path
) -> None:
    async with second_node(world, tmp_path) as node:
        world.create_pod("web", **on("second"))
        await world.until("pods", "web", lambda pod: condition(pod, "Ready").get("status") == "True")
        began = world.clock.now()
        await node.stop()
        lost = await until_node(world, "second", "Unknown")
        assert 40 <= (world.clock.now() - began).total_seconds() <= 65
        for type_ in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"):
            said = condition(lost, type_)
            assert (said["status"], said["reason"]) == ("Unknown", "NodeStatusUnknown")
            assert said["message"] == "Kubelet stopped posting node status."
        pod = await world.until("pods", "web", lambda pod: condition(pod, "Ready").get("status") == "False")
        assert pod["status"]["phase"] == "Running"
        assert "NodeNotReady" in world.reasons("web")
        async with world.store.watch(NODES, initial=True) as changes:
            async for change in changes:
                if taints(change.object) == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}:
                    break


async def test_pods_leave_a_lost_node_after_five_minutes_and_end_when_it_is_deleted(
    world: World, tmp_path: Path
) -> None:
    async with second_node(world, tmp_path) as node:
        node.scripted.register(IMAGE, hangs)
        world.store.patch(NODES, "devcluster", None, {"spec": {"unschedulable": True}})
        world.create_job("run", IMAGE, **POLICY)
        await world.until(JOBS, "run", lambda job: job["status"].get("ready") == 1)
        [pod] = world.pods()
        name = pod["metadata"]["name"]
        await node.stop()
        lost = await until_node(world, "second", "Unknown")
        going = await world.until(PODS, name, lambda pod: pod["metadata"].get("deletionTimestamp"))
        since = moments.from_text(condition(lost, "Ready")["lastTransitionTime"])
        assert 300 <= (world.clock.now() - since).total_seconds() <= 310
        assert condition(going, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
        # Nobody says that it has ended: it stays, and so does its Job.
        await world.clock.sleep(3600)
        assert not is_over(world.get(JOBS, "run"))
        assert world.get(JOBS, "run")["status"]["terminating"] == 1
        world.store.delete(NODES, "second")
        job = await world.until(JOBS, "run", is_over)
        assert condition_types(job) == ["FailureTarget", "Failed"]
        assert reason_of(job) == "PodFailurePolicy"
        assert "has condition DisruptionTarget" in job["status"]["conditions"][-1]["message"]
        await world.until_true(lambda: not world.pods())


async def test_a_node_that_is_heard_again_keeps_its_pods(world: World, tmp_path: Path) -> None:
    async with second_node(world, tmp_path) as node, Supervisor() as supervisor:
        world.create_pod("web", **on("second"))
        await world.until_phase("web", "Running")
        await node.stop()
        await until_node(world, "second", "Unknown")
        await node.start(supervisor)
        await until_node(world, "second", "True")
        await world.clock.sleep(400)
        assert taints(world.store.get(NODES, "second")) == set()
        assert not world.get(PODS, "web")["metadata"].get("deletionTimestamp")
        await node.stop()


async def test_where_every_node_is_lost_pods_stay(world: World) -> None:
    world.create_pod("web")
    await world.until_phase("web", "Running")
    await world.node.stop()
    await until_node(world, "devcluster", "Unknown")
    await world.clock.sleep(400)
    assert taints(world.store.get(NODES, "devcluster")) == {(UNREACHABLE, "NoSchedule")}
    assert not world.get(PODS, "web")["metadata"].get("deletionTimestamp")


async def test_pods_of_a_deleted_node_fail_and_go(world: World) -> None:
    world.create_job("run", IMAGE, **POLICY)
    await world.until(JOBS, "run", lambda job: job["status"].get("ready") == 1)
    began, [pod] = world.clock.now(), world.pods()
    async with world.store.watch(PODS) as changes:
        world.store.delete(NODES, world.node.name)
        async for change in changes:
            if condition(change.object, "DisruptionTarget"):
                break
    assert 40 <= (world.clock.now() - began).total_seconds() <= 85
    assert condition(change.object, "DisruptionTarget")["reason"] == "DeletionByPodGC"
    assert condition(change.object, "DisruptionTarget")["message"] == "PodGC: node no longer exists"
    assert change.object["status"]["phase"] == "Failed"
    job = await world.until(JOBS, "run", is_over)
    assert reason_of(job) == "PodFailurePolicy"
    await world.until_gone(PODS, pod["metadata"]["name"])


async def test_a_taint_sends_away_who_does_not_tolerate_it(world: World) -> None:
    toleration = {"key": "repair", "operator": "Exists", "effect": "NoExecute"}
    world.create_pod("short", tolerations=[{**toleration, "tolerationSeconds": 60}])
    world.create_pod("patient", tolerations=[toleration])
    world.create_pod("plain")
    for name in ("short", "patient", "plain"):
        await world.until_phase(name, "Running")
    began = moments.to_text(world.clock.now())
    taint = {"key": "repair", "effect": "NoExecute", "timeAdded": began}
    world.store.patch(NODES, world.node.name, None, {"spec": {"taints": [taint]}})
    await world.until_gone(PODS, "plain")
    assert world.store.find(PODS, "short", NAMESPACE)
    await world.until_gone(PODS, "short")
    assert moments.seconds_since(began, world.clock.now()) >= 60
    assert world.store.find(PODS, "patient", NAMESPACE)


async def test_a_pod_that_never_had_a_node_ends_although_its_job_tracks_it(world: World) -> None:
    world.create_job("run", IMAGE, nodeSelector={}, **POLICY, container={"resources": {"limits": {"cpu": "999"}}})
    await world.until_event("FailedScheduling", "run")
    [pod] = world.pods()
    world.store.delete(PODS, pod["metadata"]["name"], NAMESPACE)
    job = await world.until(JOBS, "run", is_over)
    assert job["status"]["failed"] == 1
    await world.until_true(lambda: not world.pods())


async def test_finished_pods_beyond_a_number_go_the_oldest_first(world: World) -> None:
    for number in range(4):
        world.create_pod(f"p{number}", metadata={"annotations": {"devcluster.kubernaut.ai/exit-code": "0"}})
        await world.until_phase(f"p{number}", "Succeeded")
        await world.clock.sleep(2)
    PodCollector(world.store, world.clock, LossSettings(kept_pods=2)).collect()
    assert [pod["metadata"]["name"] for pod in world.pods()] == ["p2", "p3"]
