"""Whole runs through the loops: what a user sees of each way in which a workflow goes."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from controllers.bench import Bench, open_bench, step, steps_of

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with open_bench(tmp_path) as made:
        yield made


async def test_a_single_step_runs_once_and_its_outputs_are_kept(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("one", [step("only")])
        ended = await bench.until_ended("one")
    record = steps_of(ended)["only"]
    assert ended["status"]["phase"] == "Completed"
    assert (record["phase"], record["executed"], record["outputs"]["value"]) == ("Succeeded", "yes", 1)
    assert list(bench.effects.values()) == [1]


async def test_writes_stay_within_the_budget(bench: Bench) -> None:
    async with bench.controller():
        for name, count, most in (("one", 1, 9), ("three", 3, 9 + 2 * 6)):
            bench.cluster.requests.reset()
            chain = [step(f"s{i}", "succeed", *([f"s{i - 1}"] if i else [])) for i in range(count)]
            await bench.submit(name, chain)
            await bench.until_ended(name)
            ours = bench.cluster.requests.writes("controller")
            runners = [c for c in bench.cluster.requests.writes("devcluster-admin") if c.kind.startswith("leases")]
            assert len(ours) + len(runners) == most, [(c.verb, c.kind, c.name) for c in [*ours, *runners]]
