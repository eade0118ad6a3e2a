"""Killed before or after any single API write, and started again, also after a long absence: same end.

The writes, ours and the runners', are enumerated from a run without a crash. Each story then runs once for each
write and moment, on one cluster; the controller dies exactly there (nothing after it happens), another one takes
over.
"""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from controllers.bench import EXECUTIONS, NAMESPACE, Bench, Killed, open_bench, step, steps_of
from kubernaut.cluster import Json, Write, kinds
from kubernaut.concurrency import SystemClock, VirtualClock

Moment = Literal["before", "after"]


def single(bench: Bench) -> tuple[list[Json], Json]:
    return [step("only")], {}


def fork(bench: Bench) -> tuple[list[Json], Json]:
    join = step("join", "succeed", "left", "right", usesWorkspace=True)
    join["inputs"]["from"] = "$(steps.left.outputs.value)"
    # What `left` says does not fit the termination message: its runner writes once more.
    return [step("left", "overflow", usesWorkspace=True), step("right"), join], {}


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


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    """Nobody waits out a pause here: when all are idle, the clock jumps to what is due next."""
    async with open_bench(tmp_path, real=VirtualClock(SystemClock().now(), settle=0.002)) as made:
        yield made


class Reaper:
    """Notes writes (Events apart) by what they are, and kills the controller at one of them."""

    def __init__(self, at: int | str = 0, moment: Moment = "before") -> None:
        self.at = at
        """The number of a write, or its name as in `writes`."""
        self.moment = moment
        self.writes: list[str] = []
        self.has_struck = False
        self._times: Counter[str] = Counter()
        self._last: dict[tuple[str, int], str] = {}

    @property
    def seen(self) -> int:
        return len(self.writes)

    def __call__(self, moment: Moment, write: Write) -> None:
        """For the controller's own writes: it dies in the middle of them."""
        if self.strikes(moment, write, write.name):
            raise Killed

    def strikes(self, moment: Moment, write: Write, what: str) -> bool:
        """Whether the controller dies here; `what` is the written object's part in the story."""
        if write.kind is None or write.kind is kinds.EVENTS:
            return False
        key = (write.user, write.number)
        if moment == "before":
            name = "/".join(
                filter(None, (f"{write.user} {write.verb} {write.kind.plural}", write.subresource, what))
            )
            self._times[name] += 1
            self._last[key] = f"{name} #{self._times[name]}"
            self.writes.append(self._last[key])
            number = self.seen
        else:
            number = self.writes.index(self._last[key]) + 1
        if self.has_struck or moment != self.moment or self.at not in (number, self._last[key]):
            return False
        self.has_struck = True
        return True


def part_of(bench: Bench, workflow: str, name: str) -> str:
    """Which part in the story an object plays: its step and attempt, without what is new with each run."""
    for of, execution in bench.executions(workflow).items():
        if execution["metadata"]["uid"] in name:
            return of
    return re.sub(r"-[0-9a-f]{8}(?=-|$)", "", name.removeprefix(workflow)).strip("-")


def essence(bench: Bench, workflow: Json) -> Any:
    """Everything that must not depend on when somebody died."""
    name = workflow["metadata"]["name"]
    records = {
        n: (r["phase"], r.get("reason", ""), r.get("executed"), r.get("attempts", 0), r.get("outputs"))
        for n, r in steps_of(workflow).items()
    }
    effects = {e["spec"]["step"]: bench.effects[e["metadata"]["name"]] for e in bench.executions(name).values()}
    return workflow["status"]["phase"], records, effects


def left_over(bench: Bench, workflow: str) -> Any:
    """What is there when all is over: fences and who holds them, Jobs and how they ended, workspaces."""
    fences = {
        part_of(bench, workflow, lease["metadata"]["name"]): (lease["spec"].get("holderIdentity") or "").count("/")
        for lease in bench.objects("leases.coordination.k8s.io")
        if _belongs(lease, workflow)
    }
    jobs = {
        part_of(bench, workflow, job["metadata"]["name"]): _ending(job)
        for job in bench.objects("jobs.batch")
        if _belongs(job, workflow)
    }
    claims = [claim["metadata"]["name"] for claim in bench.objects("persistentvolumeclaims")]
    return fences, jobs, [claim for claim in claims if claim == f"{workflow}-workspace"]


def _belongs(found: Json, workflow: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    return bool(labels.get("kubernaut.ai/workflow-execution") == workflow)


async def run_story(bench: Bench, story: str, name: str, reaper: Reaper, absence: float) -> Any:
    steps, more = STORIES[story](bench)
    await bench.submit(name, steps, **more)

    def of_controller(moment: Moment, write: Write) -> None:
        if reaper.strikes(moment, write, part_of(bench, name, write.name)):
            raise Killed

    async def of_runner(moment: Moment, write: Write) -> None:
        if reaper.strikes(moment, write, part_of(bench, name, write.name)):
            await bench.kill()

    unhook = bench.runner.on_write(of_runner)
    try:
        async with bench.controller(of_controller):
            await bench.until_ended(name)
    except BaseExceptionGroup as group:
        if group.split(Killed)[0] is None:
            raise
        if absence:
            await until_jobs_rest(bench)
            bench.clock.skipped += absence
        async with bench.controller():
            await bench.until_ended(name)
    finally:
        unhook()
    return essence(bench, bench.get(name)), left_over(bench, name)


async def until_jobs_rest(bench: Bench) -> None:
    """During a long absence everything that was started comes to its end."""
    for _ in range(5):
        # What the dying controller had sent is carried out before what is asked now.
        await bench.admin.list(kinds.JOBS, NAMESPACE)
    while any(not _ending(job) for job in bench.cluster.store.list("jobs.batch", NAMESPACE).items):
        await bench.clock.sleep(0.01)


def _ending(job: Json) -> str:
    """How a Job ended; empty while it may go on by itself."""
    conditions = (job.get("status") or {}).get("conditions") or []
    ended = [c["type"] for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"]
    return "Suspended" if job["spec"].get("suspend") else "".join(ended)


def _long(*values: object) -> Any:
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("story", "moment", "absence"),
    [
        ("single", "before", 0.0),
        ("single", "after", 0.0),
        ("single", "before", AWAY),
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
    effects = expected[0][2]
    assert max(effects.values()) == 1
    assert sum(write.startswith("runner") for write in undisturbed.writes) >= sum(effects.values()) - 1
    met = 0
    for number, write in enumerate(undisturbed.writes, start=1):
        name = f"{story}-{number}"
        reaper = Reaper(write, moment)
        found = await run_story(bench, story, name, reaper, absence)
        assert found == expected, f"killed {moment} {write}: {found}"
        met += reaper.has_struck
        # Whoever takes over lists everything: what is over would only make the next story slower.
        await bench.admin.delete(kinds.WORKFLOW_EXECUTIONS, name, NAMESPACE)
        await bench.admin.patch(kinds.WORKFLOW_EXECUTIONS, name, NAMESPACE, {"metadata": {"finalizers": None}})
    # Steps at the same time may share a write of the status, or not: then one write fewer can be met.
    assert met >= 0.8 * undisturbed.seen


async def test_a_step_cancelled_between_its_record_and_its_fence_never_runs(bench: Bench) -> None:
    await bench.submit("halved", [step("only")])
    with pytest.raises(BaseExceptionGroup):
        async with bench.controller(Reaper(4, "before")):
            await bench.until_ended("halved")
    assert list(bench.executions("halved")) == ["only"]
    assert not bench.objects("leases.coordination.k8s.io")
    await bench.ask("halved", "cancel")
    async with bench.controller():
        ended = await bench.until_ended("halved")
        recorded = await bench.until_object(EXECUTIONS, lambda e: e.get("status", {}).get("completedAt"))
    assert (ended["status"]["phase"], recorded["status"]["phase"]) == ("Cancelled", "Cancelled")
    assert recorded["status"]["executed"] == "no"
    assert not bench.started
