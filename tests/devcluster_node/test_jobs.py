"""Jobs as our engine uses them, on a node whose action images are Python functions."""

import asyncio
from typing import Any

import pytest

from kubernaut.devcluster.node import ScriptResult, ScriptStart
from kubernaut.devcluster.resources import JOBS, PODS

from .worlds import NAMESPACE, World, ended

pytestmark = pytest.mark.timeout(10)

IMAGE = "registry.example.com/action@sha256:" + "a" * 64


def condition_types(job: dict[str, Any]) -> list[str]:
    return [c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"]


def is_over(job: dict[str, Any]) -> bool:
    return bool({"Complete", "Failed"} & set(condition_types(job)))


def reason_of(job: dict[str, Any]) -> str:
    return str(job["status"]["conditions"][-1]["reason"])


def ends_with(code: int, **result: str) -> Any:
    async def script(start: ScriptStart) -> ScriptResult:
        return ScriptResult(exit_code=code, **result)

    return script


async def waits(start: ScriptStart) -> ScriptResult:
    """Until it is asked to stop."""
    await start.terminated.wait()
    return ScriptResult(exit_code=143)


async def hangs(start: ScriptStart) -> ScriptResult:
    await asyncio.Event().wait()
    raise AssertionError("nobody wakes it")


async def run(world: World, script: Any, **spec: Any) -> dict[str, Any]:
    world.node.scripted.register(IMAGE, script)
    world.create_job("run", IMAGE, **spec)
    return await world.until(JOBS, "run", is_over)


async def until_running(world: World) -> str:
    await world.until(JOBS, "run", lambda job: job["status"].get("ready") == 1)
    return str(world.pods()[0]["metadata"]["name"])


async def test_a_script_sees_what_a_process_would_see_and_its_outcome_is_written(world: World) -> None:
    async def script(start: ScriptStart) -> ScriptResult:
        start.log(f"{start.environment['GREETING']} {start.environment['KUBERNETES_SERVICE_PORT']}\n")
        token = (start.files["/var/run/secrets/kubernetes.io/serviceaccount"] / "token").read_text()
        return ScriptResult(0, log=f"{token}\n", termination_message='{"v":1}')

    env = {"env": [{"name": "GREETING", "value": "hello"}]}
    job = await run(world, script, container=env)
    assert condition_types(job) == ["SuccessCriteriaMet", "Complete"]
    assert job["status"]["succeeded"] == 1
    assert job["status"]["startTime"] <= job["status"]["completionTime"]
    (pod,) = world.pods()
    assert ended(pod)["message"] == '{"v":1}'
    assert await world.log(pod["metadata"]["name"]) == "hello 6443\ntoken-of-default\n"
    assert len(world.node.scripted.started) == 1
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "run"
    assert not pod["metadata"].get("finalizers")
    assert world.reasons("run") == ["SuccessfulCreate", "Completed"]


async def test_a_failure_ends_the_job_and_is_never_tried_again(world: World) -> None:
    job = await run(world, ends_with(70))
    assert condition_types(job) == ["FailureTarget", "Failed"]
    assert reason_of(job) == "BackoffLimitExceeded"
    assert job["status"]["failed"] == 1
    assert len(world.node.scripted.started) == 1


async def test_the_failure_policy_names_the_exit_code(world: World) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [64]}}
    job = await run(world, ends_with(64), podFailurePolicy={"rules": [rule]}, podReplacementPolicy="Failed")
    assert reason_of(job) == "PodFailurePolicy"
    assert "exit code 64" in job["status"]["conditions"][-1]["message"]


async def test_the_deadline_deletes_the_pod_and_failed_comes_when_it_has_ended(world: World) -> None:
    seen: list[tuple[list[str], int]] = []
    world.node.scripted.register(IMAGE, waits)
    async with world.store.watch(JOBS, namespace=NAMESPACE) as changes:
        world.create_job("run", IMAGE, activeDeadlineSeconds=1, podReplacementPolicy="Failed")
        async for change in changes:
            found = change.object
            seen.append((condition_types(found), found["status"].get("terminating", 0)))
            if is_over(found):
                break
    assert (["FailureTarget"], 1) in seen
    assert seen[-1] == (["FailureTarget", "Failed"], 0)
    assert reason_of(found) == "DeadlineExceeded"
    assert found["status"]["failed"] == 1
    await world.until_true(lambda: not world.pods())


async def test_a_pod_that_is_deleted_counts_as_failed_when_it_has_ended(world: World) -> None:
    world.node.scripted.register(IMAGE, waits)
    world.create_job("run", IMAGE, podReplacementPolicy="Failed")
    name = await until_running(world)
    world.store.delete(PODS, name, NAMESPACE)
    job = await world.until(JOBS, "run", is_over)
    assert reason_of(job) == "BackoffLimitExceeded"
    await world.until_gone(PODS, name)


async def test_a_forced_deletion_is_counted_too(world: World) -> None:
    world.node.scripted.register(IMAGE, hangs)
    world.create_job("run", IMAGE, podReplacementPolicy="Failed")
    name = await until_running(world)
    world.store.delete(PODS, name, NAMESPACE, grace=0)
    job = await world.until(JOBS, "run", is_over)
    assert job["status"]["failed"] == 1


async def test_a_suspended_job_starts_nothing_and_stops_what_runs(world: World) -> None:
    world.node.scripted.register(IMAGE, waits)
    world.create_job("run", IMAGE, suspend=True)
    await world.until(JOBS, "run", lambda job: condition_types(job) == ["Suspended"])
    assert not world.pods()
    world.store.patch(JOBS, "run", NAMESPACE, {"spec": {"suspend": False}})
    name = await until_running(world)
    world.store.patch(JOBS, "run", NAMESPACE, {"spec": {"suspend": True}})
    await world.until_gone(PODS, name)
    job = world.get(JOBS, "run")
    assert condition_types(job) == ["Suspended"]
    assert "failed" not in job["status"]


async def test_time_to_live_may_be_set_after_the_end(world: World) -> None:
    await run(world, ends_with(0))
    world.store.patch(JOBS, "run", NAMESPACE, {"spec": {"ttlSecondsAfterFinished": 0}})
    job = await world.until(JOBS, "run", lambda job: job["metadata"].get("deletionTimestamp"))
    assert "foregroundDeletion" in job["metadata"]["finalizers"]


async def test_pods_of_a_job_that_is_gone_lose_their_finalizer(world: World) -> None:
    world.node.scripted.register(IMAGE, waits)
    world.create_job("run", IMAGE)
    name = await until_running(world)
    world.store.delete(JOBS, "run", NAMESPACE, propagation="Background")
    await world.until(PODS, name, lambda pod: not pod["metadata"].get("finalizers"))


async def test_a_hundred_jobs_run_exactly_once_each(world: World) -> None:
    world.node.scripted.register(IMAGE, ends_with(0))
    names = [f"run-{number}" for number in range(100)]
    for name in names:
        world.create_job(name, IMAGE)
    for name in names:
        await world.until(JOBS, name, is_over)
    assert len(world.node.scripted.started) == 100
    assert {s.pod["metadata"]["labels"]["job-name"] for s in world.node.scripted.started} == set(names)
