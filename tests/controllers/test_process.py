"""The controller as a process: leadership, an orderly end, ports, Events, retention, rest."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from controllers.bench import EXECUTIONS, NAMESPACE, WORKFLOWS, Bench, open_bench, step, steps_of
from kubernaut.cluster import ElectionTimes, LeadershipLost, kinds
from kubernaut.concurrency import Supervisor
from kubernaut.controllers.controller import Controller, LeadershipSettings
from kubernaut.controllers.endpoints import Endpoints
from kubernaut.controllers.retention import RetentionSettings

pytestmark = pytest.mark.timeout(20)

TIMES = ElectionTimes(lease=2.0, renew=1.5, retry=0.05)


@asynccontextmanager
async def candidate(bench: Bench, name: str) -> AsyncGenerator[Controller]:
    """A controller that competes for the leadership; leaving the block ends it in good order."""
    async with bench.client(name) as cluster:
        leadership = LeadershipSettings(identity=name, namespace=NAMESPACE, times=TIMES)
        controller = Controller(cluster, replace(bench.settings, leadership=leadership), bench.clock)
        async with Supervisor() as supervisor:
            supervisor.start(name, controller.run())
            try:
                yield controller
            finally:
                controller.stop()


async def test_a_second_controller_writes_nothing_until_the_first_has_stopped(bench: Bench) -> None:
    async with candidate(bench, "first") as first:
        await first.working.wait()
        async with candidate(bench, "second") as second:
            await second.caches.wait_synced()
            await bench.submit("one", [step("only")])
            await bench.until_ended("one")
            assert not second.working.is_set()
            assert not bench.cluster.requests.writes("second")
            first.stop()
            await second.working.wait()
            await bench.submit("two", [step("only")])
            await bench.until_ended("two")
    assert bench.cluster.requests.writes("second")
    assert sum(bench.effects.values()) == 2


async def test_a_controller_that_lost_the_leadership_writes_nothing_more(bench: Bench) -> None:
    async def lose_it() -> None:
        async with candidate(bench, "first") as first:
            await first.working.wait()
            lease = await bench.admin.get(kinds.LEASES, "kubernaut-controller", NAMESPACE)
            lease["spec"]["holderIdentity"] = "somebody-else"
            await bench.admin.replace(kinds.LEASES, lease)
            bench.cluster.requests.reset()
            await asyncio.Event().wait()

    with pytest.raises(BaseExceptionGroup) as caught:
        await lose_it()
    assert caught.value.split(LeadershipLost)[0] is not None
    await bench.submit("one", [step("only")])
    assert not [c for c in bench.cluster.requests.writes("first") if not c.kind.startswith("leases")]


async def test_stopping_in_the_middle_of_a_run_loses_nothing(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("first", "hold"), step("second", "succeed", "first")])
        await bench.until_acting("first")
    bench.go.set()
    async with bench.controller():
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"
    assert sum(bench.effects.values()) == 2


async def test_health_readiness_and_metrics_are_served(bench: Bench) -> None:
    async with bench.client("controller") as cluster:
        controller = Controller(cluster, bench.settings, bench.clock)
        ports = Endpoints(controller.health, controller.metrics, "127.0.0.1", 0, 0)
        await ports.start()
        health, metrics = (f"http://127.0.0.1:{port}" for port in ports.bound)
        async with aiohttp.ClientSession() as http, Supervisor() as supervisor:

            async def ask(url: str) -> tuple[int, str]:
                async with http.get(url) as answer:
                    return answer.status, await answer.text()

            assert (await ask(f"{health}/healthz"))[0] == 200
            status, said = await ask(f"{health}/readyz")
            assert status == 503
            assert "not listed yet: workflowexecutions" in said
            supervisor.start("controller", controller.run())
            await controller.working.wait()
            assert (await ask(f"{health}/readyz"))[0] == 200
            await bench.submit("one", [step("only")])
            await bench.until_ended("one")
            status, said = await ask(f"{metrics}/metrics")
            controller.stop()
        await ports.stop()
    assert status == 200
    for line in (
        'workflowexecution_total{status="Completed"} 1.0',
        'kubernetesexecution_action_execution_total{action="test/script",status="Succeeded"} 1.0',
        "kubernaut_leader 1.0",
        'kubernaut_queue_depth{loop="action"} 0.0',
        'workflowexecution_reconciler_total{loop="workflow",outcome=',
    ):
        assert line in said, said


async def test_the_number_of_runs_under_way_is_right_after_a_restart(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("only", "hold")])
        await bench.until_acting("only")
    async with bench.controller() as controller:
        assert "workflowexecution_active_total 1.0" in controller.metrics.text().decode()
        bench.go.set()
        await bench.until_ended("run")
        await controller.caches.wait_synced()
    assert "workflowexecution_active_total 0.0" in controller.metrics.text().decode()


async def test_every_event_is_told_once_also_over_a_restart(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("only", "hold")])
        await bench.until_acting("only")
    bench.go.set()
    async with bench.controller():
        await bench.until_ended("run")
    async with bench.controller():
        pass
    ours = [e for e in bench.objects("events") if e.get("reportingComponent") == "kubernaut-controller"]
    told = Counter((e["involvedObject"]["kind"], e["reason"]) for e in ours)
    assert set(told.values()) == {1}, told
    assert {
        ("WorkflowExecution", "WorkflowRunning"),
        ("WorkflowExecution", "StepRunning"),
        ("WorkflowExecution", "StepSucceeded"),
        ("WorkflowExecution", "WorkflowCompleted"),
        ("ActionExecution", "JobCreated"),
        ("ActionExecution", "ActionSucceeded"),
    } <= set(told)


async def lose(bench: Bench, name: str) -> None:
    """A run whose outcome nobody knows."""
    await bench.submit(name, [step("lost", "linger")])
    await bench.until_acting("lost")
    execution = bench.executions(name)["lost"]["metadata"]["name"]
    await bench.admin.delete(kinds.ACTION_EXECUTIONS, execution, NAMESPACE)
    await bench.until_phase(name, "Indeterminate")


async def until_cached(controller: Controller, holds: Callable[[dict[str, str]], bool]) -> None:
    """Until this holds of the phases of all runs, by name, as the controller sees them."""
    changed = asyncio.Event()
    workflows = controller.caches.workflows
    leave = workflows.subscribe(lambda *_: changed.set())
    while not holds({w["metadata"]["name"]: w.get("status", {}).get("phase", "") for w in workflows.items()}):
        changed.clear()
        await changed.wait()
    leave()


async def test_finished_runs_are_removed_by_age_with_all_that_is_theirs(tmp_path: Path) -> None:
    async with (
        open_bench(tmp_path, retention=RetentionSettings(age_seconds=3600)) as bench,
        bench.controller() as controller,
    ):
        await bench.submit("old", [step("only")])
        await lose(bench, "unknown")
        await bench.submit("live", [step("only", "hold")])
        await bench.until_step("live", "only", "Running")
        await until_cached(controller, lambda phases: phases.get("old") == "Completed")
        assert await controller.retention.sweep() == 0
        bench.clock.skipped += 3601
        assert await controller.retention.sweep() == 1
        await until_cached(controller, lambda phases: set(phases) == {"unknown", "live"})
        bench.go.set()
        await bench.until_none_of(EXECUTIONS, "old")
        await bench.until_none_of("jobs.batch", "old")


async def test_of_too_many_finished_runs_the_oldest_go(tmp_path: Path) -> None:
    async with (
        open_bench(tmp_path, retention=RetentionSettings(count=2)) as bench,
        bench.controller() as controller,
    ):
        await lose(bench, "unknown")
        for number in range(3):
            await bench.submit(f"r{number}", [step("only")])
            await bench.until_ended(f"r{number}")
        await until_cached(controller, lambda phases: phases.get("r2") == "Completed")
        assert await controller.retention.sweep() == 1
        await until_cached(controller, lambda phases: set(phases) == {"unknown", "r1", "r2"})


async def test_a_run_at_rest_takes_no_turns(bench: Bench) -> None:
    async with bench.controller() as controller:
        await bench.submit("run", [step("long", "hold")])
        await bench.until_acting("long")
        await bench.until_object("pods", lambda pod: pod["status"]["phase"] == "Running")
        before = -1
        while before != controller.workflow_loop.turns + controller.action_loop.turns:
            before = controller.workflow_loop.turns + controller.action_loop.turns
            await bench.clock.sleep(0.3)
        assert before < 40
        bench.go.set()
        await bench.until_ended("run")


async def test_nothing_is_remembered_of_runs_that_are_gone(bench: Bench) -> None:
    async with bench.controller() as controller:
        for number in range(3):
            await bench.submit(f"r{number}", [step("first", "overflow"), step("next", "succeed", "first")])
            ended = await bench.until_ended(f"r{number}")
            assert steps_of(ended)["next"]["phase"] == "Succeeded"
            await bench.admin.delete(kinds.WORKFLOW_EXECUTIONS, f"r{number}", NAMESPACE)
        for kind in (WORKFLOWS, EXECUTIONS, "jobs.batch"):
            await bench.until_none(kind)
        # One more, so that every watch has come past those deletions.
        await bench.submit("last", [step("only")])
        await bench.until_ended("last")
        observer = controller.workflow_loop._turn.__self__._observer  # type: ignore[attr-defined]
        assert len(observer._graphs) <= 1
        assert not observer._results
        assert len(observer._workflows._known) <= 1
        assert len(observer._executions._known) <= 1
