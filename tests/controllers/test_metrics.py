"""What /metrics says after real runs: every number that is declared is kept, and is right."""

import ast
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

import kubernaut.controllers
from controllers.bench import EXECUTIONS, Bench, step
from kubernaut.controllers.controller import Controller
from kubernaut.controllers.endpoints import Endpoints
from kubernaut.telemetry.metrics import Metrics

pytestmark = pytest.mark.timeout(20)

Scrape = Callable[[], Awaitable[dict[str, float]]]


@asynccontextmanager
async def scraping(controller: Controller) -> AsyncGenerator[Scrape]:
    """Asks the real port, and reads the text format."""
    ports = Endpoints(controller.health, controller.metrics, "127.0.0.1", 0, 0)
    await ports.start()
    async with aiohttp.ClientSession() as http:

        async def scrape() -> dict[str, float]:
            async with http.get(f"http://127.0.0.1:{ports.bound[1]}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
            return {name: float(value) for name, _, value in samples}

        yield scrape
    await ports.stop()


async def test_steps_that_wait_for_a_place_are_counted(bench: Bench) -> None:
    async with bench.controller() as controller, scraping(controller) as scrape:
        await bench.submit("one", [step(name, "hold") for name in "abcd"], parallelism=2)
        await bench.submit("two", [step("e", "hold"), step("f", "succeed", "e")], parallelism=1)
        for name in "abe":
            await bench.until_acting(name)
        crowded = await scrape()
        bench.go.set()
        await bench.until_ended("one")
        await bench.until_ended("two")
        empty = await scrape()
    assert crowded["workflow_parallel_steps_queued"] == 2  # c and d; f waits for e, not for a place
    assert crowded["workflow_parallel_workers_active"] == 3
    assert empty["workflow_parallel_steps_queued"] == 0


async def test_a_workflow_that_is_aborted_leaves_no_step_in_the_count(bench: Bench) -> None:
    async with bench.controller() as controller, scraping(controller) as scrape:
        await bench.submit("one", [step(name, "wait") for name in "abc"], parallelism=1)
        await bench.until_acting("a")
        assert (await scrape())["workflow_parallel_steps_queued"] == 2
        await bench.ask("one", "abort")
        await bench.until_ended("one")
        assert (await scrape())["workflow_parallel_steps_queued"] == 0


async def test_jobs_and_graphs_are_timed(bench: Bench) -> None:
    async with bench.controller() as controller, scraping(controller) as scrape:
        retried = step("again", "refuse-once", retry={"limit": 1, "backoff": {"base": "100ms", "cap": "1s"}})
        await bench.submit("run", [step("only"), retried, step("plain", type="test/plain")])
        await bench.until_ended("run")
        said = await scrape()
    jobs = {
        kind: said[f'kubernetesexecution_job_execution_duration_seconds_count{{action="{kind}"}}']
        for kind in ("test/script", "test/plain")
    }
    assert jobs == {"test/script": 3, "test/plain": 1}
    assert said["kubernetesexecution_job_creation_duration_seconds_count"] == 4
    assert said['kubernetesexecution_job_creation_total{status="created"}'] == 4
    assert 0 < said["kubernetesexecution_job_creation_duration_seconds_sum"] < 10
    lasted = said['kubernetesexecution_job_execution_duration_seconds_sum{action="test/script"}']
    assert 0 <= lasted < 20
    assert said["workflowexecution_dependency_resolution_duration_seconds_count"] == 1
    assert len(bench.objects(EXECUTIONS)) == 3


def test_nothing_is_declared_that_nobody_sets() -> None:
    body = ast.parse(inspect.getsource(Metrics)).body[0]
    declared = {
        node.attr
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr != "registry"
    }
    folder = Path(kubernaut.controllers.__file__).parent
    sources = "".join(path.read_text() for path in folder.glob("*.py"))
    assert declared
    assert [name for name in sorted(declared) if f"metrics.{name}" not in sources] == []
