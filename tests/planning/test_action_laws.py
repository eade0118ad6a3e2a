"""Laws of one action, in every world it can meet.

Each world starts with one action, and lets everything happen in every order: turns begin, their changes arrive one
by one or get lost with the controller, pods go any way, and as many misfortunes befall it as its budget allows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from kubernaut.api.action import ActionExecution, ActionPhase, Attempt
from kubernaut.api.duration import from_duration
from kubernaut.api.meta import LocalReference
from kubernaut.api.workflow import StepPhase, StepStatus, WorkflowPhase, WorkflowStatus
from kubernaut.planning.phases import ACTION, is_allowed
from kubernaut.planning.turns import WriteActionStatus

from .explore import Reached, explore
from .happenings import misfortunes, orphans_end, pods_go_on, time_passes, turns
from .makers import START, WORKFLOW_UID, lone_action, step, workflow
from .world import (
    World,
    carry_out_next,
    decided,
    forget,
    job_key,
    look,
    pending_of,
    with_execution,
    with_fence,
)

# Exploring takes longer than one test may; the worlds are shared by all laws.
pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Setting:
    action: str = "test/plain"
    limit: int = 0
    budget: int = 0
    owned: bool = False
    """A step of a workflow that has recorded its start, instead of an action alone."""
    released: bool = True

    def __str__(self) -> str:
        kind = self.action.partition("/")[2]
        owner = "" if not self.owned else "-step" if self.released else "-unreleased"
        return f"{kind}{owner}-{self.limit}retries-{self.budget}misfortunes"


SETTINGS = (
    Setting(limit=1),
    Setting(budget=1),
    Setting(budget=1, owned=True),
    Setting("test/idempotent", limit=1),
    Setting("test/unfenced", limit=1, budget=1),
    Setting("test/unfenced", budget=1, owned=True),
    Setting(budget=1, owned=True, released=False),
)
LARGE = (
    Setting(limit=2),
    Setting(budget=2),
    Setting(limit=1, budget=1, owned=True),
    Setting(budget=2, owned=True),
    Setting("test/idempotent", limit=1, budget=1),
    Setting("test/unfenced", budget=2, owned=True),
)

LAWS: list[Callable[[Setting], None]] = []
WORLDS: dict[Setting, Reached] = {}
"""Exploring takes longer than asking a law: small worlds are kept for all laws."""


def everywhere(law: Callable[[Setting], None]) -> Callable[[Setting], None]:
    """A test in each small setting; in the large ones all laws are asked together, and then forgotten."""
    LAWS.append(law)
    decorated: Callable[[Setting], None] = pytest.mark.parametrize("setting", SETTINGS, ids=str)(law)
    return decorated


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("setting", LARGE, ids=str)
def test_every_law_holds_in_larger_worlds(setting: Setting) -> None:
    try:
        for law in LAWS:
            law(setting)
    finally:
        WORLDS.pop(setting, None)
        forget()


def everything(world: World) -> Iterator[tuple[str, World]]:
    yield from turns(world, with_refusals=True)
    yield from pods_go_on(world)
    yield from orphans_end(world)
    yield from misfortunes(world)
    yield from time_passes(world)


def beginning(setting: Setting) -> World:
    execution = lone_action(action=setting.action, limit=setting.limit)
    world = World(now=START, budget=setting.budget)
    if not setting.owned:
        return with_execution(world, execution)
    ref = LocalReference(name="w", uid=WORKFLOW_UID)
    execution = replace(execution, spec=replace(execution.spec, workflow_ref=ref, step="a"))
    record = StepStatus(name="a")
    if setting.released:
        fence = "fence-ae-uid" if execution.spec.contract.fenced else ""
        mine = LocalReference(name="alone", uid="ae-uid")
        record = StepStatus(name="a", phase=StepPhase.RUNNING, started_at=START, execution=mine, fence=fence)
    status = WorkflowStatus(phase=WorkflowPhase.RUNNING, steps=(record,))
    around = replace(world, workflow=replace(workflow(step("a")), status=status))
    return with_fence(with_execution(around, execution), execution)


def only_actions(world: World) -> Iterator[tuple[str, World]]:
    """The workflow's own loop sleeps in these worlds: its record is part of the scenery."""
    return (h for h in everything(world) if not h[0].endswith(" workflow"))


def worlds_of(setting: Setting) -> Reached:
    if setting not in WORLDS:
        WORLDS[setting] = explore(beginning(setting), only_actions)
    return WORLDS[setting]


def the_action(world: World) -> ActionExecution:
    return world.executions["alone"]


def is_idle(world: World) -> bool:
    """Nothing is pending: the controller could begin a turn here."""
    return not world.pending


def is_over(world: World) -> bool:
    return the_action(world).status.completed_at is not None


def recorded(world: World) -> dict[int, Attempt]:
    return {a.number: a for a in the_action(world).status.attempts if a.completed_at is not None}


@everywhere
def test_only_moves_of_the_table_are_written(setting: Setting) -> None:
    def law(before: World, after: World) -> None:
        assert is_allowed(ACTION, the_action(before).status.phase, the_action(after).status.phase)

    worlds_of(setting).each_move(law)


@everywhere
def test_an_ended_action_is_never_touched_again(setting: Setting) -> None:
    def law(before: World, after: World) -> None:
        if the_action(before).status.completed_at is not None:
            assert the_action(after).status == the_action(before).status

    worlds_of(setting).each_move(law)


@everywhere
def test_an_attempt_has_its_effect_at_most_once(setting: Setting) -> None:
    def law(world: World) -> None:
        assert len(world.effects) == len(set(world.effects))

    worlds_of(setting).each_world(law)


@everywhere
def test_there_is_no_second_effect_unless_the_author_called_it_harmless(setting: Setting) -> None:
    def law(world: World) -> None:
        most = setting.limit + 1 if setting.action == "test/idempotent" else 1
        assert len(world.effects) <= most

    worlds_of(setting).each_world(law)


@everywhere
def test_nothing_was_executed_is_never_said_where_an_effect_happened_or_still_may(setting: Setting) -> None:
    def law(world: World) -> None:
        # Worlds in which it happens later are worlds too: the word stays in the status, the effect comes.
        for number, attempt in recorded(world).items():
            assert attempt.executed != "no" or job_key("ae-uid", number) not in world.effects
        if the_action(world).status.completed_at is not None and the_action(world).status.executed == "no":
            assert not world.effects

    worlds_of(setting).each_world(law)


@everywhere
def test_an_effect_is_only_claimed_where_it_happened(setting: Setting) -> None:
    def law(world: World) -> None:
        status = the_action(world).status
        if status.executed == "yes" or status.phase == ActionPhase.SUCCEEDED:
            assert world.effects

    worlds_of(setting).each_world(law)


@everywhere
def test_another_attempt_follows_only_one_that_changed_nothing_or_may_be_repeated(setting: Setting) -> None:
    spec = the_action(beginning(setting)).spec

    def law(before: World, after: World) -> None:
        for key in set(after.jobs) - set(before.jobs):
            number = int(key.rsplit("/", 1)[1])
            assert number <= spec.retry.limit + 1
            if number > 1:
                last = recorded(before)[number - 1]
                assert spec.contract.fenced
                assert last.executed == "no" or spec.contract.idempotent

    worlds_of(setting).each_move(law)


@everywhere
def test_the_wait_before_another_attempt_is_kept_and_lies_between_base_and_cap(setting: Setting) -> None:
    backoff = the_action(beginning(setting)).spec.retry.backoff

    def law(before: World, after: World) -> None:
        planned, old = the_action(after).status.next_attempt_at, the_action(before).status.next_attempt_at
        if planned is not None and planned != old:
            ended = max(a.completed_at for a in recorded(after).values() if a.completed_at)
            wait = (planned - ended).total_seconds()
            assert from_duration(backoff.base) <= wait <= from_duration(backoff.cap)
        if set(after.jobs) - set(before.jobs) and old is not None:
            assert after.now >= old

    worlds_of(setting).each_move(law)


@everywhere
def test_turns_come_to_rest_and_never_write_what_stands_there_already(setting: Setting) -> None:
    def law(world: World) -> None:
        if not is_idle(world):
            return
        for _ in range(8):
            after = look(world, "alone")
            if after is world:
                return
            for change in after.pending[0].changes:
                assert not isinstance(change, WriteActionStatus) or change.status != the_action(world).status
            while pending_of(after, "alone") is not None:
                after = carry_out_next(after, "alone")
            world = after
        raise AssertionError("turn follows turn though nothing happens")

    worlds_of(setting).each_world(law)


@everywhere
def test_an_open_action_is_never_forgotten(setting: Setting) -> None:
    def law(world: World) -> None:
        if not is_idle(world) or is_over(world) or not setting.released:
            return
        turn = decided(world, "alone")
        assert turn.changes or (turn.look_again_at is not None and turn.look_again_at > world.now)

    worlds_of(setting).each_world(law)


@everywhere
def test_every_story_can_come_to_its_end(setting: Setting) -> None:
    def is_at_its_end(world: World) -> bool:
        return is_over(world) or (not setting.released and the_action(world).spec.stop is None)

    assert worlds_of(setting).dead_ends(is_at_its_end) == []


@everywhere
def test_time_alone_ends_every_story_though_no_pod_ever_moves(setting: Setting) -> None:
    """From any world: turns and time, and the cluster ending what it was told to end, lead to the end."""

    def law(world: World) -> None:
        if not is_idle(world) or not setting.released:
            return
        for _ in range(60):
            if is_over(world):
                return
            world = patiently(world)
        raise AssertionError("it never ends")

    worlds_of(setting).each_world(law)


def patiently(world: World) -> World:
    after = look(world, "alone")
    if after is not world:
        while pending_of(after, "alone") is not None:
            after = carry_out_next(after, "alone")
        return after
    own = [w for label, w in pods_go_on(world) if label in ("deadline", "job goes")]
    return own[0] if own else next(iter(time_passes(world)), ("", world))[1]


@everywhere
def test_nothing_runs_before_its_start_is_recorded(setting: Setting) -> None:
    def law(world: World) -> None:
        if not setting.released:
            assert not world.jobs
        if "unfenced" in setting.action:
            numbers = {a.number for a in the_action(world).status.attempts}
            assert all(pod.attempt in numbers for pod in world.pods)

    worlds_of(setting).each_world(law)


@everywhere
def test_what_ended_leaves_nothing_running(setting: Setting) -> None:
    def law(world: World) -> None:
        status = the_action(world).status
        if not is_idle(world) or status.completed_at is None or status.phase == ActionPhase.INDETERMINATE:
            return
        if not decided(world, "alone").changes:
            assert all(job.is_being_deleted or job.state in ("succeeded", "failed") for job in world.jobs.values())

    worlds_of(setting).each_world(law)
