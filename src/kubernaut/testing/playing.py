"""Playing a scenario: it is well, falls ill, is remedied, and is judged by its expectation."""

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kubernaut.api.duration import from_duration
from kubernaut.cluster import ClusterError
from kubernaut.concurrency import Clock, SystemClock
from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.writing import Write
from kubernaut.sdk.declare import AnyAction
from kubernaut.testing.checks import Check
from kubernaut.testing.installing import RUNS
from kubernaut.testing.scenario import Deletions, Expectation, Json, Place, Scenario, WorkflowEnd, name_of
from kubernaut.testing.stage import ENDED, WORKFLOWS, NotInTime, Stage, open_stage, phase_of, resource_of

_REQUESTER = "author"
_STRICT = Write(manager="scenario", field_validation="Strict")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One expectation, and what was found instead."""

    part: str
    """well, fault, ill, workflow, mended, untouched, lasting."""
    expected: str
    found: str = ""
    """Empty when it was as expected."""

    def __str__(self) -> str:
        return f"{self.part}: {self.expected}" + (f": {self.found}" if self.found else "")


Tell = Callable[[Verdict], None]


@dataclass
class Result:
    """How it went."""

    name: str
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    """In the order in which they were found. The first three parts must hold for the others to be looked at."""
    phases: dict[str, str] = field(default_factory=dict[str, str])
    """What became of each workflow."""
    simulated_seconds: float = 0.0
    real_seconds: float = 0.0

    @property
    def failures(self) -> list[Verdict]:
        """What was not as expected."""
        return [verdict for verdict in self.verdicts if verdict.found]

    @property
    def is_as_expected(self) -> bool:
        """Whether all of it was."""
        return not self.failures


async def run_scenario(
    scenario: Scenario,
    *,
    workflows: Sequence[Json] | None = None,
    actions: Sequence[AnyAction] | None = None,
    clock: Clock | None = None,
    tell: Tell | None = None,
) -> Result:
    """Play it on a stage of its own.

    scenario, workflows, tell: as of `play`; actions, clock: as of `open_stage`.

    Raises OSError when no port of the loopback can be had.
    """
    with tempfile.TemporaryDirectory(prefix="scenario-") as folder:
        async with open_stage(Path(folder), actions=actions, clock=clock) as stage:
            return await play(stage, scenario, workflows, tell)


async def play(
    stage: Stage, scenario: Scenario, workflows: Sequence[Json] | None = None, tell: Tell | None = None
) -> Result:
    """Play a `scenario` on a `stage` to its end. Raises nothing for what is not as expected: that is the result.

    workflows: take the place of the scenario's own; none at all is allowed. One that the expectation does not name
        is to end as the scenario's own do.
    tell: is told each verdict at once.
    """
    result, real = Result(scenario.name), SystemClock()
    began, began_for_real = stage.clock.monotonic(), real.monotonic()
    await _Course(stage, scenario, result, tell).run(workflows)
    result.simulated_seconds = stage.clock.monotonic() - began
    result.real_seconds = real.monotonic() - began_for_real
    return result


class _Stopped(Exception):
    """What comes later makes no sense any more."""


class _Course:
    """One play."""

    def __init__(self, stage: Stage, scenario: Scenario, result: Result, tell: Tell | None) -> None:
        self._stage = stage
        self._scenario = scenario
        self._expected = scenario.expectation
        self._result = result
        self._tell = tell
        self._seconds = from_duration(self._expected.within)

    async def run(self, workflows: Sequence[Json] | None) -> None:
        try:
            await self._arrange("well", self._begin(), self._expected.well)
            await self._arrange("ill", self._befall(), self._expected.ill)
            before = {place: self._identity(place) for place in map(Place.parse, self._expected.untouched)}
            ends = self._submit(workflows)
            for name, end in ends.items():
                await self._follow(name, end)
            if await self._is_mended():
                await self._stays_so(ends)
            for place, identity in before.items():
                changed = "it was changed or replaced" if self._identity(place) != identity else ""
                self._judge("untouched", str(place), changed if identity else "it was not there")
        except _Stopped:
            pass

    # -- before the workflow -----------------------------------------------------------------------

    async def _arrange(self, part: str, doing: Awaitable[None], checks: Sequence[Check]) -> None:
        try:
            await doing
            await self._stage.until(*checks, seconds=self._seconds)
        except NotInTime:
            self._judge_checks(part, checks)
            raise _Stopped from None
        except (ClusterError, ApiError, KeyError) as error:
            self._judge(part, "its objects can be put into the cluster", str(error))
            raise _Stopped from None
        self._judge_checks(part, checks)

    async def _begin(self) -> None:
        await self._stage.add(*self._scenario.workload, out_of_reach=self._expected.out_of_reach)

    async def _befall(self) -> None:
        """Changes first, then what breaks the cluster itself."""
        await self._stage.add(*self._scenario.changes)
        for one in self._scenario.breaks:
            if isinstance(one, Deletions):
                for place in map(Place.parse, one.objects):
                    await self._stage.cluster.delete(resource_of(place.kind), place.name, place.namespace)
            else:
                await self._stage.break_it(*one.all_faults, seed=one.seed)

    # -- the workflow ------------------------------------------------------------------------------

    def _submit(self, workflows: Sequence[Json] | None) -> dict[str, WorkflowEnd]:
        """How each is to end."""
        own = workflows is None
        refused = dict(self._expected.refused) if own else {}
        ends: dict[str, WorkflowEnd] = {}
        for workflow in map(_asked, self._scenario.workflows if workflows is None else workflows):
            try:
                # In process: a server that is away is the controller's trouble, and none of whoever watches.
                made = self._stage.dev.store.create(WORKFLOWS, workflow, RUNS, _STRICT)
                name = str(made["metadata"]["name"])
                ends[name] = self._expected.workflows.get(name) or _end_of_others(self._expected)
            except ApiError as error:
                name = name_of(workflow)
                wanted = refused.pop(name, None)
                if wanted is None or wanted not in str(error):
                    self._judge("workflow", f"{name} is accepted by the API server", str(error))
                    raise _Stopped from error
                self._judge("workflow", f"{name} is refused: {wanted}")
        for name in refused:
            self._judge("workflow", f"{name} is refused", "it was accepted")
        return ends

    async def _follow(self, name: str, end: WorkflowEnd) -> None:
        """To the phase that it is to reach, or to any other end."""
        said = ""
        try:
            await self._stage.until_phase(name, end.phase, *ENDED, seconds=self._seconds)
        except NotInTime as error:
            said = str(error)
        found = self._stage.workflow(name)
        self._result.phases[name] = phase_of(found)
        for expected, different in _compared(name, found, end):
            self._judge("workflow", expected, said or different)

    # -- afterwards --------------------------------------------------------------------------------

    async def _is_mended(self) -> bool:
        # What a workflow that went wrong has not mended by now, it will not.
        seconds = from_duration(self._expected.quiet) if self._result.failures else self._seconds
        try:
            await self._stage.until(*self._expected.mended, seconds=seconds)
        except NotInTime:
            self._judge_checks("mended", self._expected.mended)
            return False
        self._judge_checks("mended", self._expected.mended)
        return True

    async def _stays_so(self, ends: dict[str, WorkflowEnd]) -> None:
        quiet = self._expected.quiet
        said = await self._stage.while_holds(*self._expected.mended, seconds=from_duration(quiet))
        for name in ends:
            phase, before = phase_of(self._stage.workflow(name)), self._result.phases[name]
            if phase != before:
                said = said or f"{name} went from {before} on to {phase}"
                self._result.phases[name] = phase
        self._judge("lasting", f"it stays so for {quiet}", said)

    def _identity(self, place: Place) -> tuple[str, int] | None:
        found = self._stage.find(place.kind, place.name, place.namespace)
        return (found["metadata"]["uid"], found["metadata"].get("generation", 0)) if found else None

    def _judge_checks(self, part: str, checks: Sequence[Check]) -> None:
        for check in checks:
            self._judge(part, str(check), self._stage.missing(check))

    def _judge(self, part: str, expected: str, found: str = "") -> None:
        verdict = Verdict(part, expected, found)
        self._result.verdicts.append(verdict)
        if self._tell is not None:
            self._tell(verdict)


def _asked(workflow: Json) -> Json:
    """With the name of somebody who asks for it, as `kubernaut run` adds it: one who then may not approve it."""
    spec: Json = workflow.get("spec") or {}
    return {**workflow, "spec": {"requester": {"username": _REQUESTER}, **spec}}


def _end_of_others(expected: Expectation) -> WorkflowEnd:
    """How a workflow that the scenario does not know is to end: as all of its own."""
    phases = {end.phase for end in expected.workflows.values()}
    return WorkflowEnd(phase=phases.pop()) if len(phases) == 1 else WorkflowEnd()


def _compared(name: str, found: Json, end: WorkflowEnd) -> list[tuple[str, str]]:
    """(what is expected, what is different) of one workflow."""
    status: Json = found.get("status") or {}
    phase = phase_of(found)
    told = str(status.get("message") or "")
    compared = [(f"{name} ends as {end.phase}", "" if phase == end.phase else f"{phase}: {told}".rstrip(": "))]
    steps = {step["name"]: step.get("phase", "") for step in status.get("steps", [])}
    for step, wanted in end.steps.items():
        was = steps.get(step) or "not there"
        compared.append((f"step {step} of {name} is {wanted}", "" if was == wanted else was))
    if end.reason:
        says = end.reason in msgspec.json.encode(status).decode()
        compared.append((f"{name} says {end.reason!r}", "" if says else told))
    return compared
