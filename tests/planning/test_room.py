"""What fits into one object, and what becomes of the rest: nothing is lost, nothing is tried for ever."""

from dataclasses import replace as with_fields
from typing import Any

import pytest
from msgspec.structs import replace

from kubernaut.api.action import MOST_INPUT_BYTES, ActionExecution, ActionPhase, ActionStatus
from kubernaut.api.contract import ContractSpec, Parameter
from kubernaut.api.meta import LocalReference, ObjectMeta, OwnerReference
from kubernaut.api.text import json_bytes
from kubernaut.api.workflow import (
    RetryOf,
    Step,
    StepPhase,
    StepStatus,
    WorkflowPhase,
    WorkflowStatus,
    record_bytes,
)
from kubernaut.planning import decide_workflow
from kubernaut.planning.facts import Earlier, ExecutionFacts, WorkflowFacts
from kubernaut.planning.start import execution_spec
from kubernaut.planning.turns import CreateExecution, WriteWorkflowStatus

from .makers import START, WORKFLOW_UID, request, step, workflow
from .test_tables import admitted, done
from .world import World, with_execution, workflow_facts

PASS_ON = ContractSpec(
    inputs=tuple(Parameter(name=name, type="object") for name in "abcd"),
    outputs=(Parameter(name="o", type="object"),),
    fenced=True,
)


def ended(world: World, name: str, status: ActionStatus) -> World:
    """The action of the step has ended so; its start is recorded."""
    facts = workflow_facts(world)
    spec = execution_spec(facts, facts.graph.steps[name], {r.name: r for r in world.the_workflow.status.steps})
    assert not isinstance(spec, str)
    owner = OwnerReference(api_version="v", kind="WorkflowExecution", name="w", uid=WORKFLOW_UID)
    meta = ObjectMeta(name=f"ae-{name}", namespace="ns", uid=f"ae-{name}", owner_references=(owner,))
    return with_execution(world, ActionExecution(metadata=meta, spec=spec, status=status))


def running(name: str) -> StepStatus:
    return StepStatus(
        name=name,
        phase=StepPhase.RUNNING,
        started_at=START,
        execution=LocalReference(name=f"ae-{name}", uid=f"ae-{name}"),
        fence=f"fence-ae-{name}",
    )


def records_after(world: World) -> dict[str, StepStatus]:
    [change] = [c for c in decide_workflow(workflow_facts(world)).changes if isinstance(c, WriteWorkflowStatus)]
    return {record.name: record for record in change.status.steps}


@pytest.mark.parametrize("steps", [2, 187, 300, 1000])
def test_messages_and_outputs_keep_to_the_room_of_a_record(steps: int) -> None:
    names = [f"s{n}" for n in range(steps)]
    # Suspended, so that nothing new begins and the status is written at once.
    steps_asked = (step(name, critical=False) for name in names)
    world = admitted(workflow(*steps_asked, requests=(request("suspend"),)), running("s0"), running("s1"))
    room = record_bytes(steps)
    failed = ActionStatus(phase=ActionPhase.FAILED, reason="Broken", message='"' * 1024, completed_at=START)
    fits, not_quite = {"n": "x" * (room - 10)}, {"n": "x" * (room - 8)}
    world = ended(world, "s0", failed)
    for outputs, kept in ((fits, fits), (not_quite, {})):
        succeeded = ActionStatus(phase=ActionPhase.SUCCEEDED, completed_at=START, outputs=outputs)
        records = records_after(ended(world, "s1", succeeded))
        assert room - 10 <= json_bytes(records["s0"].message) <= room
        assert records["s1"].outputs == kept


def test_outputs_that_do_not_fit_the_record_still_reach_who_uses_them() -> None:
    names = [f"s{n}" for n in range(1000)]
    asked = workflow(step("a"), step("b", uses=("a",)), *(step(n, critical=False) for n in names), parallelism=1)
    world = admitted(asked, running("a"))
    succeeded = ActionStatus(phase=ActionPhase.SUCCEEDED, completed_at=START, outputs={"n": 7, "x": "y" * 100})
    world = ended(world, "a", succeeded)
    changes = decide_workflow(workflow_facts(world)).changes
    [created] = [change for change in changes if isinstance(change, CreateExecution)]
    assert (created.step, created.spec.inputs) == ("b", {"n": 7})


def test_a_result_kept_from_a_smaller_run_keeps_to_the_room_too() -> None:
    before = workflow(step("a"), name="before")
    large = {"n": 1, "x": "y" * 400}
    status = WorkflowStatus(phase=WorkflowPhase.FAILED, completed_at=START, steps=(done("a"),))
    status = replace(status, steps=(replace(status.steps[0], outputs=large),))
    earlier = Earlier(replace(before, status=status), {"a": large})
    for others, kept in ((1, large), (999, {})):
        more = (step(f"s{n}") for n in range(others))
        asked = workflow(step("a"), *more, retry_of=RetryOf(name="before"))
        held = replace(asked, metadata=replace(asked.metadata, finalizers=("kubernaut.ai/workflow-execution",)))
        facts = workflow_facts(World(now=START, workflow=held))
        limits = with_fields(facts.limits, complexity_threshold=2000)
        [change] = decide_workflow(with_fields(facts, earlier=earlier, limits=limits)).changes
        assert isinstance(change, WriteWorkflowStatus)
        assert (change.status.steps[0].outputs, change.status.steps[0].kept_from) == (kept, "before")


def passing_on(sizes: dict[str, int], **more: Any) -> WorkflowFacts:
    """`last` takes one output of each of these many bytes."""
    last = Step(
        name="last",
        action_type="test/plain",
        inputs={name: f"$(steps.{name}.outputs.o)" for name in sizes},
    )
    asked = workflow(*(step(name) for name in sizes), last, **more)
    world = admitted(asked, *(done(name, execution=LocalReference(name=name, uid=name)) for name in sizes))
    facts = workflow_facts(world)
    pins = tuple(replace(pin, contract=PASS_ON) for pin in facts.workflow.status.actions)
    status = replace(facts.workflow.status, actions=pins)
    ended = ActionStatus(phase=ActionPhase.SUCCEEDED, completed_at=START)
    spec = execution_spec(facts, asked.spec.steps[0], {})
    assert not isinstance(spec, str)
    executions = {
        name: ExecutionFacts(name, name, WORKFLOW_UID, spec, ended, "f", {"o": {"x": "y" * size}})
        for name, size in sizes.items()
    }
    return with_fields(facts, workflow=replace(facts.workflow, status=status), executions=executions)


def test_inputs_that_grow_too_large_fail_the_step_before_anything_is_created() -> None:
    turn = decide_workflow(passing_on({"a": 256_000, "b": 256_000, "c": 256_000, "d": 256_001}))
    [change] = turn.changes
    assert isinstance(change, WriteWorkflowStatus)
    record = change.status.steps[-1]
    assert (record.phase, record.reason, record.executed) == (StepPhase.FAILED, "InputsTooLarge", "no")
    assert record.message == (
        "with outputs and parameters filled in, the inputs take 1024 kB: at most 800 kB fit; "
        "the largest is d with 256 kB"
    )
    assert change.status.phase == WorkflowPhase.FAILED


def test_inputs_that_just_fit_are_passed_on() -> None:
    [change] = decide_workflow(passing_on({"a": 256_000, "b": 256_000, "c": 256_000})).changes
    assert isinstance(change, CreateExecution)
    assert len(change.spec.inputs["a"]["x"]) == 256_000


def test_what_is_counted_is_what_is_stored_with_the_notes_about_each_key() -> None:
    # Few bytes a key: the API server's notes are larger than the object.
    facts = passing_on({"a": 1})
    many = {f"k{n:05}": n for n in range(29_000)}
    executions = {"a": with_fields(facts.executions["a"], outputs={"o": many})}
    assert len(str(many)) < MOST_INPUT_BYTES
    [change] = decide_workflow(with_fields(facts, executions=executions)).changes
    assert isinstance(change, WriteWorkflowStatus)
    assert change.status.steps[-1].reason == "InputsTooLarge"


def test_ready_steps_without_a_place_are_counted_and_no_others() -> None:
    steps = [*(step(name) for name in "abcd"), step("e", after=("a",))]
    for parallelism, queued in ((1, 3), (2, 2), (4, 0), (50, 0)):
        assert (
            decide_workflow(workflow_facts(admitted(workflow(*steps, parallelism=parallelism)))).queued == queued
        )
    suspended = workflow(*steps, parallelism=1, requests=(request("suspend"),))
    assert decide_workflow(workflow_facts(admitted(suspended))).queued == 0
    cancelled = workflow(*steps, parallelism=1, requests=(request("cancel"),))
    assert decide_workflow(workflow_facts(admitted(cancelled))).queued == 0
