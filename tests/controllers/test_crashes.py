"""Killed before or after any single API write, and started again, also after a long absence: same end.

The writes are enumerated from a run without a crash. Each story then runs once for each write and moment, on one
cluster; the controller dies exactly there (nothing after it happens), another one takes over.
"""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from controllers.bench import NAMESPACE, Bench, Killed, open_bench, step, steps_of
from kubernaut.cluster import Json, Write, kinds

Moment = Literal["before", "after"]


def single(bench: Bench) -> tuple[list[Json], Json]:
    return [step("only")], {}


def fork(bench: Bench) -> tuple[list[Json], Json]:
    join = step("join", "succeed", "left", "right", usesWorkspace=True)
    join["inputs"]["from"] = "$(steps.left.outputs.value)"
    return [step("left", usesWorkspace=True), step("right"), join], {}


def trouble(bench: Bench) -> tuple[list[Json], Json]:
    quick = {"limit": 1, "backoff": {"base": "10ms", "cap": "20ms"}}
    steps = [
        step("flaky", "refuse-once", retry=quick),
        step("broken", "fail", critical=False),
        step("fallback", "succeed", "broken", when=["steps.broken.phase == 'Failed'"]),
        step("unwanted", "succeed", "flaky", when=["steps.broken.phase == 'Succeeded'"], runAfter=["flaky", "broken"]),
        step("unfenced", "succeed", "fallback", type="test/plain"),
    ]
    return steps, {"finally": [step("evidence")]}


STORIES: dict[str, Callable[[Bench], tuple[list[Json], Json]]] = {
    "single": single,
    "fork": fork,
    "trouble": trouble,
}


class Reaper:
    """Counts the controller's writes (Events apart) and kills it at one of them."""

    def __init__(self, number: int = 0, moment: Moment = "before") -> None:
        self.number = number
        self.moment = moment
        self.seen = 0

    def __call__(self, moment: Moment, write: Write) -> None:
        if write.kind is kinds.EVENTS:
            return
        if moment == "before":
            self.seen += 1
        if self.seen == self.number and moment == self.moment:
            self.number = -1
            raise Killed


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    async with open_bench(tmp_path) as made:
        yield made


def essence(bench: Bench, workflow: Json) -> Any:
    """Everything that must not depend on when somebody died."""
    name = workflow["metadata"]["name"]
    records = {
        n: (r["phase"], r.get("reason", ""), r.get("executed"), r.get("attempts", 0), r.get("outputs"))
        for n, r in steps_of(workflow).items()
    }
    effects = {e["spec"]["step"]: bench.effects[e["metadata"]["name"]] for e in bench.executions(name).values()}
    return workflow["status"]["phase"], records, effects


async def run_story(bench: Bench, story: str, name: str, reaper: Reaper, absence: float) -> Any:
    steps, more = STORIES[story](bench)
    await bench.submit(name, steps, **more)
    try:
        async with bench.controller(reaper):
            await bench.until_ended(name)
    except BaseExceptionGroup as group:
        if group.split(Killed)[0] is None:
            raise
        if absence:
            await until_jobs_rest(bench)
            bench.clock.skipped += absence
        async with bench.controller():
            await bench.until_ended(name)
    return essence(bench, bench.get(name))


async def until_jobs_rest(bench: Bench) -> None:
    """During a long absence everything that was started comes to its end."""
    for _ in range(5):
        # What the dying controller had sent is carried out before what is asked now.
        await bench.admin.list(kinds.JOBS, NAMESPACE)
    while any(not _has_ended(job) for job in bench.cluster.store.list("jobs.batch", NAMESPACE).items):
        await bench.clock.sleep(0.01)


def _has_ended(job: Json) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or []
    return bool(job["spec"].get("suspend")) or any(
        c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("absence", [0.0, 1200.0], ids=["at once", "after twenty minutes"])
@pytest.mark.parametrize("story", ["single", "fork", pytest.param("trouble", marks=pytest.mark.long)])
async def test_the_end_does_not_depend_on_where_the_controller_died(
    bench: Bench, story: str, absence: float
) -> None:
    undisturbed = Reaper()
    expected = await run_story(bench, story, f"{story}-0", undisturbed, 0.0)
    assert undisturbed.seen > 0
    assert max(expected[2].values()) == 1
    for number in range(1, undisturbed.seen + 1):
        for moment in ("before", "after"):
            name = f"{story}-{number}-{moment}"
            found = await run_story(bench, story, name, Reaper(number, moment), absence)
            assert found == expected, f"killed {moment} write {number}: {found}"
