"""Killed before or after any single API write, and started again, also after a long absence: same end.

The writes are enumerated from a run without a crash. Each story then runs once for each write and moment, on one
cluster; the controller dies exactly there (nothing after it happens), another one takes over.
"""

from collections.abc import Callable
from typing import Any, Literal

import pytest

from controllers.bench import NAMESPACE, Bench, Killed, step, steps_of
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
        step(
            "unwanted",
            "succeed",
            "flaky",
            when=["steps.broken.phase == 'Succeeded'"],
            runAfter=["flaky", "broken"],
        ),
        step("unfenced", "succeed", "fallback", type="test/plain"),
    ]
    return steps, {"finally": [step("evidence")]}


AWAY = 1200.0
"""Seconds: longer than any timeout of these steps."""

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


def _long(*values: object) -> Any:
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("story", "moment", "absence"),
    [
        ("single", "before", 0.0),
        _long("single", "after", 0.0),
        _long("single", "before", AWAY),
        ("single", "after", AWAY),
        ("fork", "after", 0.0),
        _long("fork", "before", 0.0),
        _long("fork", "before", AWAY),
        _long("fork", "after", AWAY),
        _long("trouble", "before", 0.0),
        _long("trouble", "after", 0.0),
        _long("trouble", "before", AWAY),
        _long("trouble", "after", AWAY),
    ],
)
async def test_the_end_does_not_depend_on_where_the_controller_died(
    bench: Bench, story: str, moment: Moment, absence: float
) -> None:
    undisturbed = Reaper()
    expected = await run_story(bench, story, f"{story}-0", undisturbed, 0.0)
    assert undisturbed.seen > 0
    assert max(expected[2].values()) == 1
    for number in range(1, undisturbed.seen + 1):
        name = f"{story}-{number}"
        found = await run_story(bench, story, name, Reaper(number, moment), absence)
        assert found == expected, f"killed {moment} write {number}: {found}"
        # Whoever takes over lists everything: what is over would only make the next story slower.
        await bench.admin.delete(kinds.WORKFLOW_EXECUTIONS, name, NAMESPACE)
        await bench.admin.patch(kinds.WORKFLOW_EXECUTIONS, name, NAMESPACE, {"metadata": {"finalizers": None}})
