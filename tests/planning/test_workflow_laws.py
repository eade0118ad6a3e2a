"""Laws of workflows, in every world that small ones can meet.

All graphs of up to three steps, and in the long suite of four. Actions are black boxes here that end in any way
(their own laws stand in test_action_laws.py); turns and their single changes, requests, deletion, lost objects and
time come in any order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations

import pytest
from msgspec.structs import replace

from kubernaut.api.action import ActionPhase
from kubernaut.api.workflow import Step, StepPhase, StepStatus, WorkflowPhase, WorkflowStatus
from kubernaut.planning.phases import (
    STEP,
    STEP_ENDED,
    STEP_FAILURES,
    WORKFLOW,
    WORKFLOW_TERMINAL,
    is_allowed,
)
from kubernaut.planning.turns import CreateExecution, WriteWorkflowStatus

from .explore import Reached, explore
from .happenings import actions_end, people_ask, time_passes, turns
from .makers import START, step, workflow
from .world import (
    LIMITS,
    World,
    carry_out_next,
    decided,
    forget,
    is_settled,
    look,
    pending_of,
    running_steps,
    spec_hash,
)

pytestmark = pytest.mark.timeout(120)

PHASE = StepPhase
OPEN = frozenset({StepPhase.PENDING, StepPhase.BLOCKED})


TWO_ENDS = (ActionPhase.SUCCEEDED, ActionPhase.FAILED)
EVERY_END = (*TWO_ENDS, ActionPhase.INDETERMINATE)


@dataclass(frozen=True, eq=False)
class Setting:
    name: str
    steps: tuple[Step, ...]
    finally_: tuple[Step, ...] = ()
    parallelism: int = 5
    asks: tuple[str, ...] = ()
    budget: int = 1
    ends: tuple[ActionPhase, ...] = TWO_ENDS

    def __str__(self) -> str:
        return self.name


EVERY_ASK = ("cancel", "abort", "suspend", "delete", "lose execution", "tamper", "stop action")


def every_graph(size: int) -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    """All dependency graphs of so many steps, up to renaming: edges lead from later to earlier letters."""
    names = "abcd"[:size]
    edges = list(combinations(names, 2))
    for count in range(len(edges) + 1):
        for chosen in combinations(edges, count):
            after = {n: tuple(a for a, b in chosen if b == n) for n in names}
            yield "-".join(f"{n}({''.join(after[n])})" for n in names), after


def settings() -> Iterator[Setting]:
    for size in (1, 2, 3):
        for text, after in every_graph(size):
            plain = tuple(step(name, after=edges) for name, edges in after.items())
            yield Setting(f"{text}", plain, ends=EVERY_END if size < 3 else TWO_ENDS, parallelism=2)
            using = tuple(step(n, uses=e, critical=False) for n, e in after.items())
            yield Setting(f"{text}-outputs", using, parallelism=1)
    a, b = step("a"), step("b", after=("a",))
    f = step("f")
    picky = step("f", when=("steps.b.phase == Succeeded",))
    loose = step("a", critical=False)
    unsure = step("b", after=("a",), when=("steps.a.outputs.n == 1",))
    for ask in EVERY_ASK:
        is_costly = ask in ("delete", "lose execution")
        yield Setting(f"{ask}-chain", (a,) if is_costly else (a, b), (f,), asks=(ask,))
    yield Setting("cancel-pair", (a, step("b")), (picky,), asks=("cancel",))
    yield Setting("suspend-pair", (a, step("b")), (picky,), asks=("suspend",), parallelism=1)
    yield Setting("picky-finally", (loose, unsure), (picky,), ends=EVERY_END)
    yield Setting("finally-chain", (a, b), (f, step("g", after=("f",), uses=("a",))), ends=EVERY_END)
    yield Setting("never", (a, step("b", when=("false",)), step("c", uses=("b",))), (f,))
    yield Setting("wrong-condition", (loose, unsure, step("c", after=("b",))), (f,))
    yield Setting("either", (loose, step("b", critical=False), step("c", after=("a", "b"))), ends=EVERY_END)


SHAPES_OF_THREE = (
    {"a": (), "b": (), "c": ()},
    {"a": (), "b": ("a",), "c": ()},
    {"a": (), "b": ("a",), "c": ("a",)},
    {"a": (), "b": (), "c": ("a", "b")},
    {"a": (), "b": ("a",), "c": ("b",)},
    {"a": (), "b": ("a",), "c": ("a", "b")},
)
"""One of each kind: what only differs by the names of its steps tells nothing new about requests."""


def long_settings() -> Iterator[Setting]:
    f = step("f")
    for text, after in every_graph(4):
        plain = tuple(step(name, after=edges) for name, edges in after.items())
        yield Setting(text, plain, parallelism=2)
    for text, after in every_graph(3):
        plain = tuple(step(name, after=edges) for name, edges in after.items())
        yield Setting(f"{text}-unknown", plain, ends=EVERY_END)
    for after in (*(graph for _, graph in every_graph(2)), *SHAPES_OF_THREE):
        plain = tuple(step(name, after=edges) for name, edges in after.items())
        text = "-".join(f"{n}({''.join(edges)})" for n, edges in after.items())
        for ask in EVERY_ASK:
            # Three steps that know nothing of each other meet 90,000 worlds then; two do as well.
            is_too_costly = ask in ("delete", "lose execution") and after == SHAPES_OF_THREE[0]
            if not is_too_costly:
                yield Setting(f"{ask}-{text}", plain, (f,), asks=(ask,), parallelism=2)
    a, b = step("a"), step("b", after=("a",))
    for ask in EVERY_ASK:
        yield Setting(f"{ask}-chain-unknown", (a, b), (f,), asks=(ask,), ends=EVERY_END)
    yield Setting("two-asks", (a, b), (f,), asks=("cancel", "abort", "suspend"), budget=2)
    yield Setting("two-asks-of-one", (a,), (f,), asks=("cancel", "abort", "suspend", "delete"), budget=2)


LAWS: list[Callable[[Setting], None]] = []
WORLDS: dict[Setting, Reached] = {}
"""Exploring takes longer than asking a law: small worlds are kept for all laws."""
SMALL = tuple(settings())


def everywhere(law: Callable[[Setting], None]) -> Callable[[Setting], None]:
    """A test in each small setting; in the large ones all laws are asked together, and then forgotten."""
    LAWS.append(law)
    decorated: Callable[[Setting], None] = pytest.mark.parametrize("setting", SMALL, ids=str)(law)
    return decorated


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("setting", list(long_settings()), ids=str)
def test_every_law_holds_in_larger_worlds(setting: Setting) -> None:
    try:
        for law in LAWS:
            law(setting)
    finally:
        WORLDS.pop(setting, None)
        forget()


def worlds_of(setting: Setting) -> Reached:
    if setting not in WORLDS:
        WORLDS[setting] = explored(setting)
    return WORLDS[setting]


def explored(setting: Setting) -> Reached:
    asked = workflow(*setting.steps, finally_=setting.finally_, parallelism=setting.parallelism)
    start = World(now=START, workflow=asked, budget=setting.budget if setting.asks else 0)

    def everything(world: World) -> Iterator[tuple[str, World]]:
        if world.workflow is None:
            return
        yield from (h for h in turns(world) if " workflow" in h[0] or h[0] == "crash")
        yield from actions_end(world, *setting.ends)
        yield from people_ask(world, *setting.asks)
        if setting.asks and not world.pending:
            yield from time_passes(world)

    return explore(start, everything)


def records_of(world: World) -> dict[str, StepStatus]:
    return {record.name: record for record in world.the_workflow.status.steps}


def said(world: World) -> set[str]:
    return {request.type for request in world.the_workflow.spec.requests}


def is_held(world: World) -> bool:
    asked = [r.type for r in world.the_workflow.spec.requests if r.type in ("suspend", "resume")]
    return bool(asked) and asked[-1] == "suspend"


def is_idle(world: World) -> bool:
    return world.workflow is not None and not world.pending


def is_gone(world: World) -> bool:
    return world.workflow is None


def is_timed_out(world: World) -> bool:
    started = status_of(world).started_at
    return started is not None and world.now >= started + timedelta(hours=1)


def status_of(world: World) -> WorkflowStatus:
    return world.the_workflow.status


def begun(before: World, after: World) -> set[str]:
    """Steps whose start this move recorded."""
    return set(running_steps(after)) - set(running_steps(before))


def each_world(setting: Setting, law: Callable[[World], None]) -> None:
    worlds_of(setting).each_world(lambda world: None if is_gone(world) else law(world))


def each_move(setting: Setting, law: Callable[[World, World], None]) -> None:
    def of_living(before: World, after: World) -> None:
        if not is_gone(after):
            law(before, after)

    worlds_of(setting).each_move(of_living)


@everywhere
def test_only_moves_of_the_tables_are_written(setting: Setting) -> None:
    def law(before: World, after: World) -> None:
        assert is_allowed(WORKFLOW, status_of(before).phase, status_of(after).phase)
        old = records_of(before)
        for name, record in records_of(after).items():
            assert is_allowed(STEP, old[name].phase if name in old else PHASE.PENDING, record.phase), name

    each_move(setting, law)


@everywhere
def test_no_step_is_ever_dropped_from_the_record(setting: Setting) -> None:
    def law(before: World, after: World) -> None:
        assert records_of(before).keys() <= records_of(after).keys()

    each_move(setting, law)


@everywhere
def test_an_ended_workflow_is_never_touched_again(setting: Setting) -> None:
    def law(before: World, after: World) -> None:
        status = status_of(before)
        assert (status.completed_at is not None) == (status.phase in WORKFLOW_TERMINAL)
        if status.completed_at is not None:
            assert status_of(after) == status

    each_move(setting, law)


@everywhere
def test_a_step_starts_only_after_everything_it_waits_for(setting: Setting) -> None:
    waits = {s.name: {*s.run_after, *used_by(s)} for s in setting.steps}

    def law(before: World, after: World) -> None:
        records = records_of(after)
        for name in begun(before, after) & waits.keys():
            assert all(records[edge].phase in STEP_ENDED for edge in waits[name])

    each_move(setting, law)


@everywhere
def test_outputs_are_used_only_of_steps_that_succeeded(setting: Setting) -> None:
    uses = {s.name: used_by(s) for s in (*setting.steps, *setting.finally_)}

    def law(before: World, after: World) -> None:
        records = records_of(after)
        for name in begun(before, after):
            assert all(records[source].phase == PHASE.SUCCEEDED for source in uses[name])

    each_move(setting, law)


@everywhere
def test_never_more_steps_run_at_once_than_parallelism_allows(setting: Setting) -> None:
    each_world(setting, lambda world: no_more_than(setting.parallelism, world))


def no_more_than(most: int, world: World) -> None:
    assert len(running_steps(world)) <= most


@everywhere
def test_finally_starts_only_when_no_main_step_runs_any_more(setting: Setting) -> None:
    last = {s.name for s in setting.finally_}

    def law(before: World, after: World) -> None:
        if begun(before, after) & last:
            main = [r.phase for name, r in records_of(after).items() if name not in last]
            is_ended_by_person = bool(said(after) & {"cancel", "abort"}) or is_being_deleted(after)
            over = STEP_ENDED | ({PHASE.INDETERMINATE} if is_ended_by_person else set())
            assert all(phase in over for phase in main)

    each_move(setting, law)


@everywhere
def test_finally_runs_before_every_end_unless_aborted(setting: Setting) -> None:
    def law(world: World) -> None:
        status = status_of(world)
        if status.completed_at is None or not status.spec_hash or "abort" in said(world):
            return
        if status.reason == "SpecChanged" or is_spec_changed(world) or is_overdue(world):
            return
        for name in (s.name for s in setting.finally_):
            record = records_of(world)[name]
            had_its_chance = record.execution is not None or record.reason in ("ConditionFalse", "NoOutputs")
            assert had_its_chance, record

    each_world(setting, law)


@everywhere
def test_nothing_of_finally_starts_after_an_abort(setting: Setting) -> None:
    last = {s.name for s in setting.finally_}

    def law(world: World) -> None:
        if is_idle(world) and "abort" in said(world):
            assert not wants_to_create(world) & last

    each_world(setting, law)


@everywhere
def test_a_condition_of_finally_sees_how_every_main_step_ended(setting: Setting) -> None:
    def law(world: World) -> None:
        for name, record in records_of(world).items():
            assert record.reason != "ConditionError" or name not in {s.name for s in setting.finally_}

    each_world(setting, law)


@everywhere
def test_turns_come_to_rest_and_never_write_what_stands_there_already(setting: Setting) -> None:
    def law(world: World) -> None:
        if not is_idle(world):
            return
        for _ in range(8):
            after = look(world, "")
            if after is world:
                return
            for change in after.pending[0].changes:
                assert not isinstance(change, WriteWorkflowStatus) or change.status != status_of(world)
            world = carried_out(after)
            if is_gone(world):
                return
        raise AssertionError("turn follows turn though nothing happens")

    each_world(setting, law)


@everywhere
def test_an_open_workflow_is_never_forgotten(setting: Setting) -> None:
    def law(world: World) -> None:
        if not is_idle(world) or is_settled(world) or decided(world, "").changes:
            return
        phases = {r.phase for r in records_of(world).values()}
        waits_for_a_person = PHASE.INDETERMINATE in phases or is_held(world)
        waits_for_an_action = PHASE.RUNNING in phases
        assert waits_for_a_person or waits_for_an_action
        if status_of(world).phase == WorkflowPhase.INDETERMINATE:
            assert PHASE.INDETERMINATE in phases
        if not waits_for_a_person:
            assert status_of(world).phase == WorkflowPhase.RUNNING

    each_world(setting, law)


@everywhere
def test_the_workflow_itself_says_when_only_a_person_can_go_on(setting: Setting) -> None:
    def law(world: World) -> None:
        if not is_idle(world) or is_settled(world) or decided(world, "").changes:
            return
        phases = {r.phase for r in records_of(world).values()}
        if PHASE.INDETERMINATE in phases and PHASE.RUNNING not in phases:
            assert status_of(world).phase == WorkflowPhase.INDETERMINATE
            assert {c.type: c.status for c in status_of(world).conditions}["Stalled"] == "True"

    each_world(setting, law)


@everywhere
def test_every_story_can_come_to_its_end(setting: Setting) -> None:
    assert worlds_of(setting).dead_ends(lambda world: is_gone(world) or is_settled(world)) == []


@everywhere
def test_a_suspended_workflow_starts_nothing_new(setting: Setting) -> None:
    def law(world: World) -> None:
        # To stop is stronger than to hold: what was cancelled runs its `finally` also while it is held.
        is_stopped = bool(said(world) & {"cancel", "abort"}) or is_being_deleted(world)
        if is_idle(world) and is_held(world) and not is_stopped and not is_timed_out(world):
            assert not wants_to_create(world)
            assert not wants_to_start(world)

    each_world(setting, law)


@everywhere
def test_no_main_step_starts_after_a_critical_one_failed(setting: Setting) -> None:
    critical = {s.name for s in setting.steps if s.critical}

    def law(world: World) -> None:
        records = records_of(world)
        has_failed = any(records[n].phase in STEP_FAILURES for n in critical if n in records)
        if is_idle(world) and has_failed:
            assert not (wants_to_create(world) | wants_to_start(world)) & {s.name for s in setting.steps}

    each_world(setting, law)


@everywhere
def test_a_stopped_workflow_stops_what_runs_and_starts_no_main_step(setting: Setting) -> None:
    main = {s.name for s in setting.steps}

    def law(world: World) -> None:
        is_stopped = bool(said(world) & {"cancel", "abort"}) or is_being_deleted(world)
        if not is_idle(world) or not is_stopped or is_settled(world):
            return
        assert not (wants_to_create(world) | wants_to_start(world)) & main
        if not decided(world, "").changes:
            for execution in world.executions.values():
                is_ours = execution.spec.step in main and execution.status.completed_at is None
                assert not is_ours or execution.spec.stop is not None

    each_world(setting, law)


@everywhere
def test_how_it_ended_agrees_with_how_its_steps_ended(setting: Setting) -> None:
    critical = {s.name for s in (*setting.steps, *setting.finally_) if s.critical}

    def law(world: World) -> None:
        status = status_of(world)
        if status.completed_at is None or not status.steps:
            return
        records = records_of(world)
        phases = {r.phase for r in records.values()}
        assert not phases & {*OPEN, PHASE.RUNNING}
        bad = {n for n, r in records.items() if r.phase in (*STEP_FAILURES, PHASE.CANCELLED)}
        match status.phase:
            case WorkflowPhase.COMPLETED:
                assert not bad
                assert PHASE.INDETERMINATE not in phases
            case WorkflowPhase.PARTIALLY_COMPLETED:
                assert bad
                assert not bad & critical
            case WorkflowPhase.FAILED:
                assert bad & critical or is_spec_changed(world)
            case WorkflowPhase.TIMED_OUT:
                assert any(r.reason == "TimedOut" for r in records.values())
            case _:
                assert said(world) & {"cancel", "abort"} or is_being_deleted(world)

    each_world(setting, law)


@everywhere
def test_a_deleted_workflow_is_let_go_in_time_though_no_action_ever_ends(setting: Setting) -> None:
    most = timedelta(seconds=2 * LIMITS.grace_seconds + 60)

    def law(world: World) -> None:
        if not is_idle(world) or not is_being_deleted(world):
            return
        deleted = world.the_workflow.metadata.deletion_timestamp
        assert deleted is not None
        world = replace(world, now=max(world.now, deleted + most))
        for _ in range(8):
            world = carried_out(look(world, ""))
            if is_gone(world):
                return
        raise AssertionError("the finalizer is still there")

    each_world(setting, law)


def used_by(one: Step) -> set[str]:
    return {str(text).split(".")[1] for text in one.inputs.values()}


def is_being_deleted(world: World) -> bool:
    return world.the_workflow.metadata.deletion_timestamp is not None


def is_overdue(world: World) -> bool:
    deleted = world.the_workflow.metadata.deletion_timestamp
    return deleted is not None and world.now >= deleted + timedelta(seconds=2 * LIMITS.grace_seconds + 60)


def is_spec_changed(world: World) -> bool:
    return bool(status_of(world).spec_hash) and status_of(world).spec_hash != spec_hash(world.the_workflow)


def carried_out(world: World) -> World:
    """All pending changes of the workflow's loop, one after the other."""
    while not is_gone(world) and pending_of(world, "") is not None:
        world = carry_out_next(world, "")
    return world


def wants_to_create(world: World) -> set[str]:
    return {c.step for c in decided(world, "").changes if isinstance(c, CreateExecution)}


def wants_to_start(world: World) -> set[str]:
    written = [c.status for c in decided(world, "").changes if isinstance(c, WriteWorkflowStatus)]
    new = {r.name for status in written for r in status.steps if r.phase == PHASE.RUNNING}
    return new - set(running_steps(world))
