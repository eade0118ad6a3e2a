"""Stories that are too large to enumerate: any graph, any order of events, several misfortunes."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubernaut.api.workflow import Step, StepPhase, WorkflowExecution
from kubernaut.planning.phases import (
    ACTION,
    STEP,
    STEP_ENDED,
    WORKFLOW,
    is_allowed,
)

from .happenings import misfortunes, orphans_end, people_ask, pods_go_on, time_passes, turns
from .makers import START, retry, step, workflow
from .world import World, carry_out_next, crash, is_settled, look, loops_of, pending_of, running_steps

pytestmark = pytest.mark.timeout(120)

ACTIONS = ("test/plain", "test/plain", "test/idempotent", "test/unfenced")
CONDITIONS = (
    "true",
    "false",
    "steps.{}.phase == Succeeded",
    "steps.{}.outputs.n == 1",
    "steps.{}.phase != Skipped",
)


@st.composite
def workflows(draw: st.DrawFn) -> WorkflowExecution:
    names = [f"s{n}" for n in range(draw(st.integers(1, 7)))]
    main = [draw(steps(name, names[:index])) for index, name in enumerate(names)]
    last = [draw(steps(f"f{n}", names, is_last=True)) for n in range(draw(st.integers(0, 2)))]
    order = draw(st.permutations(main))
    return workflow(*order, finally_=tuple(last), parallelism=draw(st.integers(1, 4)))


@st.composite
def steps(draw: st.DrawFn, name: str, earlier: list[str], *, is_last: bool = False) -> Step:
    some = st.lists(st.sampled_from(earlier or ["none"]), max_size=3 if earlier else 0, unique=True)
    has_condition = draw(st.booleans())
    when = draw(st.sampled_from(CONDITIONS)) if earlier and has_condition else None
    return step(
        name,
        after=() if is_last else tuple(draw(some)),
        uses=tuple(draw(some)[:2]),
        action=draw(st.sampled_from(ACTIONS)),
        retry=retry(draw(st.integers(0, 2))),
        critical=draw(st.booleans()),
        when=(when.format(draw(st.sampled_from(earlier))),) if when else (),
        uses_workspace=draw(st.booleans()),
    )


def everything(world: World) -> list[tuple[str, World]]:
    return [
        *turns(world, with_refusals=True),
        *pods_go_on(world),
        *orphans_end(world),
        *misfortunes(world),
        *people_ask(world, "cancel", "abort", "suspend", "delete", "lose execution", "tamper"),
        *time_passes(world),
    ]


def check(before: World, label: str, after: World) -> None:
    """What must hold at every move; told one by one in the laws over small worlds."""
    if before.workflow is None or after.workflow is None:
        return
    old, new = before.workflow, after.workflow
    assert is_allowed(WORKFLOW, old.status.phase, new.status.phase), label
    was = {record.name: record for record in old.status.steps}
    now = {record.name: record for record in new.status.steps}
    for name, record in now.items():
        assert is_allowed(STEP, was[name].phase if name in was else StepPhase.PENDING, record.phase), (label, name)
    if old.status.completed_at is not None:
        assert new.status == old.status
    assert len(running_steps(after)) <= (new.spec.parallelism or 5)
    for spec in new.spec.steps:
        if spec.name in now and spec.name in set(running_steps(after)) - set(running_steps(before)):
            assert all(now[edge].phase in STEP_ENDED for edge in spec.run_after)
            assert all(now[str(v).split(".")[1]].phase == StepPhase.SUCCEEDED for v in spec.inputs.values())
    for name, execution in after.executions.items():
        if name in before.executions:
            assert is_allowed(ACTION, before.executions[name].status.phase, execution.status.phase)
        most = execution.spec.retry.limit + 1 if execution.spec.contract.idempotent else 1
        uid = execution.metadata.uid
        mine = [effect for effect in after.effects if effect.rsplit("/", 1)[0] == uid]
        assert len(mine) == len(set(mine)) <= most
        for attempt in execution.status.attempts:
            is_denied = attempt.completed_at is not None and attempt.executed == "no"
            assert not is_denied or f"{uid}/{attempt.number}" not in mine
        its_record = now.get(execution.spec.step)
        is_started = its_record is not None and its_record.execution is not None
        assert is_started or not mine


def patiently(world: World) -> Iterator[World]:
    """From here on nothing bad happens, people answer, and time passes: the story has to end."""
    for _ in range(800):
        yield world
        if world.workflow is None or is_settled(world):
            return
        world = _one_more(world)
    raise AssertionError("the story does not end")


def _one_more(world: World) -> World:
    for loop in loops_of(world):
        if pending_of(world, loop) is not None:
            return carry_out_next(world, loop)
        after = look(world, loop)
        if after is not world:
            return after
    poor = [*pods_go_on(world), *people_ask(world), *time_passes(world)]
    assert poor, "nothing can happen any more, and the story has not ended"
    return poor[0][1]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows(), st.data())
def test_any_story_keeps_the_laws_and_ends(asked: WorkflowExecution, data: st.DataObject) -> None:
    tell_any(asked, data, budget=3)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows(), st.data())
def test_a_great_many_stories_keep_the_laws_and_end(asked: WorkflowExecution, data: st.DataObject) -> None:
    tell_any(asked, data, budget=6)


def tell_any(asked: WorkflowExecution, data: st.DataObject, budget: int) -> None:
    world = World(now=START, workflow=asked, budget=budget)
    for index in data.draw(st.lists(st.integers(0, 999), max_size=120), "what happens"):
        options = everything(world)
        if not options:
            break
        label, after = options[index % len(options)]
        check(world, label, after)
        world = after
    for after in patiently(crash(world)):
        check(world, "patiently", after)
        world = after
