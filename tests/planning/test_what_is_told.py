"""What a status says besides its phase: conditions, Events, outputs, the way back."""

from dataclasses import replace as with_fields
from typing import Any

import pytest
from msgspec.structs import replace

from kubernaut.api.action import ActionPhase, ActionStatus, Attempt, Waiting
from kubernaut.api.meta import LocalReference
from kubernaut.api.workflow import StepPhase, StepStatus, WorkflowPhase, WorkflowStatus
from kubernaut.planning import decide_action, decide_workflow
from kubernaut.planning.conditions import with_action_conditions, with_conditions
from kubernaut.planning.events import action_notes, workflow_notes
from kubernaut.planning.facts import ActionFacts, ExecutionFacts, FenceFacts, JobFacts, Outcome, WorkflowFacts
from kubernaut.planning.turns import WriteActionStatus, WriteWorkflowStatus

from .makers import START, at, lone_action, step, workflow
from .world import World, workflow_facts

P, W, A = StepPhase, WorkflowPhase, ActionPhase

GOOD = ("True", "True", "False", "False")
BAD = ("False", "False", "False", "True")
STUCK = ("Unknown", "False", "False", "True")
MOVING = ("Unknown", "False", "True", "False")


def truths(status: WorkflowStatus | ActionStatus) -> tuple[str, ...]:
    found = {condition.type: condition.status for condition in status.conditions}
    return tuple(found[kind] for kind in ("Succeeded", "Ready", "Reconciling", "Stalled"))


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (W.COMPLETED, GOOD),
        (W.PARTIALLY_COMPLETED, GOOD),
        (W.ROLLED_BACK, GOOD),
        (W.FAILED, BAD),
        (W.CANCELLED, BAD),
        (W.ABORTED, BAD),
        (W.TIMED_OUT, BAD),
        (W.INDETERMINATE, STUCK),
        (W.WAITING_APPROVAL, MOVING),
        (W.RUNNING, MOVING),
    ],
)
def test_each_phase_of_a_workflow_has_the_conditions_that_tools_wait_for(
    phase: WorkflowPhase, told: tuple[str, ...]
) -> None:
    facts = workflow_facts(World(now=START, workflow=workflow(step("a"))))
    assert truths(with_conditions(facts, WorkflowStatus(phase=phase))) == told


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        (A.SUCCEEDED, GOOD),
        (A.FAILED, BAD),
        (A.TIMED_OUT, BAD),
        (A.CANCELLED, BAD),
        (A.INDETERMINATE, STUCK),
        (A.RUNNING, MOVING),
    ],
)
def test_each_phase_of_an_action_has_the_conditions_that_tools_wait_for(
    phase: ActionPhase, told: tuple[str, ...]
) -> None:
    assert truths(with_action_conditions(ActionStatus(phase=phase), 1, START)) == told


def test_a_condition_keeps_the_moment_of_its_last_change() -> None:
    first = with_action_conditions(ActionStatus(phase=A.RUNNING), 1, START)
    later = with_action_conditions(replace(first, phase=A.FAILED), 2, at(60))
    moments = {c.type: c.last_transition_time for c in later.conditions}
    assert moments == {"Succeeded": at(60), "Ready": START, "Reconciling": at(60), "Stalled": at(60)}
    assert {c.observed_generation for c in later.conditions} == {2}


def test_events_tell_each_change_of_a_step_once_and_failures_as_warnings() -> None:
    before = WorkflowStatus(phase=W.RUNNING, steps=(StepStatus(name="a", phase=P.RUNNING), StepStatus(name="b")))
    failed = StepStatus(name="a", phase=P.FAILED, reason="Error", message="exit code 1")
    after = replace(before, steps=(failed, before.steps[1]))
    assert [(n.type, n.reason, n.message) for n in workflow_notes(before, after)] == [
        ("Warning", "StepFailed", "Step a is Failed (Error: exit code 1).")
    ]
    assert workflow_notes(after, after) == []
    ended = replace(after, phase=W.FAILED, message="a: Error")
    assert [(n.type, n.reason) for n in workflow_notes(after, ended)] == [("Warning", "WorkflowFailed")]
    good = replace(before, steps=(StepStatus(name="a", phase=P.SUCCEEDED), before.steps[1]))
    assert [(n.type, n.reason) for n in workflow_notes(before, good)] == [("Normal", "StepSucceeded")]


def test_events_tell_an_attempt_that_is_followed_by_another_and_what_is_waited_for() -> None:
    attempt = Attempt(number=1, job="j", completed_at=at(5), executed="no", reason="DryRunRefused")
    before = ActionStatus(phase=A.RUNNING)
    again = replace(before, attempts=(attempt,), next_attempt_at=at(15))
    assert [n.reason for n in action_notes(before, again)] == ["AttemptFailed"]
    assert action_notes(again, again) == []
    held = replace(before, waiting=Waiting(reason="ImagePullFailed", message="no such tag", since=START))
    assert [(n.type, n.reason) for n in action_notes(before, held)] == [("Warning", "ImagePullFailed")]
    assert action_notes(held, replace(held, started_at=START)) == []


def running(name: str = "a") -> StepStatus:
    reference = LocalReference(name=f"w-{name}", uid=f"uid-{name}")
    return StepStatus(name=name, phase=P.RUNNING, started_at=START, execution=reference, fence="fence")


def seen(status: ActionStatus, outputs: dict[str, Any]) -> WorkflowStatus:
    """The status that follows when the action of the only step stands so."""
    asked = workflow(step("a"))
    facts = workflow_facts(World(now=START, workflow=asked))
    under_way = WorkflowStatus(
        phase=W.RUNNING,
        started_at=START,
        spec_hash=facts.spec_hash,
        steps=(running(),),
        actions=tuple(facts.actions.values()),
    )
    execution = ExecutionFacts("w-a", "uid-a", "wf-uid", lone_action().spec, status, "fence", outputs)
    return written(with_fields(facts, workflow=replace(asked, status=under_way), executions={"a": execution}))


def written(facts: WorkflowFacts) -> WorkflowStatus:
    [change] = [c for c in decide_workflow(facts).changes if isinstance(c, WriteWorkflowStatus)]
    return change.status


@pytest.mark.parametrize(("size", "is_kept"), [(400, True), (600, False)])
def test_a_record_holds_small_outputs_and_leaves_large_ones_to_the_action(size: int, is_kept: bool) -> None:
    ended = ActionStatus(phase=A.SUCCEEDED, completed_at=at(5), executed="yes", rollback={"n": 1})
    [record] = seen(ended, {"text": "x" * size}).steps
    assert bool(record.outputs) is is_kept
    assert (record.phase, record.executed, record.rollback_available) == (P.SUCCEEDED, "yes", True)


@pytest.mark.parametrize("executed", ["yes", "no", "unknown"])
def test_a_record_says_of_a_failure_what_the_action_says(executed: Any) -> None:
    failed = ActionStatus(phase=A.FAILED, completed_at=at(5), executed=executed, reason="Error", message="m")
    [record] = seen(failed, {}).steps
    assert (record.executed, record.reason, record.message) == (executed, "Error", "m")


def test_a_person_is_asked_for_only_when_nothing_moves_any_more() -> None:
    asked = workflow(step("a"), step("b"))
    facts = workflow_facts(World(now=START, workflow=asked))
    lost = StepStatus(name="a", phase=P.INDETERMINATE, completed_at=START, executed="unknown")
    status = WorkflowStatus(
        phase=W.RUNNING, started_at=START, spec_hash=facts.spec_hash, actions=tuple(facts.actions.values())
    )
    moves = ExecutionFacts("w-b", "uid-b", "wf-uid", lone_action().spec, ActionStatus(phase=A.RUNNING), "fence")
    under_way = replace(asked, status=replace(status, steps=(lost, running("b"))))
    assert written(with_fields(facts, workflow=under_way, executions={"b": moves})).phase == W.RUNNING
    over = with_fields(moves, status=ActionStatus(phase=A.SUCCEEDED, completed_at=at(5), executed="yes"))
    after = written(with_fields(facts, workflow=under_way, executions={"b": over}))
    assert (after.phase, after.reason) == (W.INDETERMINATE, "StepIndeterminate")


def ended_job(outcome: Outcome, **job: Any) -> ActionStatus:
    """What is recorded of an action alone whose only attempt ended so."""
    execution = lone_action()
    started = replace(execution.status, phase=A.RUNNING, fence="fence", started_at=START)
    facts = ActionFacts(
        now=at(9),
        execution=replace(execution, status=started),
        is_released=True,
        released_at=START,
        recorded_fence="fence",
        fence=FenceFacts("fence", "1", "pod/1", 1),
        jobs={1: JobFacts(**{"uid": "job", "state": "failed", "outcome": outcome, "started_at": START, **job})},
    )
    [change] = decide_action(facts).changes
    assert isinstance(change, WriteActionStatus)
    return change.status


def test_the_way_back_is_kept_of_successes_and_of_failures() -> None:
    said = Outcome(pod="pod", executed="yes", rollback={"replicas": 1}, outputs={"n": 1}, log_tail="hello")
    failed, succeeded = ended_job(said), ended_job(said, state="succeeded")
    assert failed.rollback == succeeded.rollback == {"replicas": 1}
    assert failed.outputs == succeeded.outputs == {"n": 1}
    assert (failed.log_tail, succeeded.log_tail) == ("hello", "")


def test_a_deadline_is_told_as_one_and_other_failures_by_their_own_reason() -> None:
    late = ended_job(Outcome(pod="pod", executed="yes"), reason="DeadlineExceeded")
    assert (late.phase, late.reason) == (A.TIMED_OUT, "DeadlineExceeded")
    broken = ended_job(Outcome(pod="pod", executed="yes", reason="Sad"), reason="Error")
    assert (broken.phase, broken.reason) == (A.FAILED, "Sad")
