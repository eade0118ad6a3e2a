"""Decisions factor by factor, where whole worlds would say too little."""

from dataclasses import replace as with_fields
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kubernaut.api.action import ActionPhase, Stop
from kubernaut.api.faults import Fault
from kubernaut.api.meta import Requester
from kubernaut.api.names import FINALIZER
from kubernaut.api.workflow import (
    Backoff,
    Request,
    RetryOf,
    StepPhase,
    StepStatus,
    WorkflowExecution,
    WorkflowPhase,
    WorkflowStatus,
)
from kubernaut.planning import decide_action, decide_workflow
from kubernaut.planning.backoff import wait_before
from kubernaut.planning.facts import Earlier, FenceFacts, JobFacts, Limits, Outcome, WorkflowFacts
from kubernaut.planning.turns import (
    AddFinalizer,
    CreateApproval,
    CreateExecution,
    DeleteJob,
    ExpireJob,
    RemoveFinalizer,
    StartJob,
    StopExecution,
    VoidFence,
    WriteActionStatus,
    WriteWorkflowStatus,
)

from .makers import START, at, lone_action, request, retry, step, workflow
from .stories import tell
from .world import (
    World,
    action_facts,
    carry_out_next,
    decided,
    look,
    pending_of,
    running_steps,
    spec_hash,
    with_execution,
    workflow_facts,
)

P, W = StepPhase, WorkflowPhase


def admitted(asked: WorkflowExecution, *records: StepStatus, **status: Any) -> World:
    """A workflow under way, with these records; steps without one are Pending."""
    facts = workflow_facts(World(now=START, workflow=asked))
    known = {record.name: record for record in records}
    names = [s.name for s in (*asked.spec.steps, *asked.spec.finally_)]
    under_way = WorkflowStatus(
        phase=W.RUNNING,
        started_at=START,
        spec_hash=spec_hash(asked),
        steps=tuple(known.get(name, StepStatus(name=name)) for name in names),
        actions=tuple(facts.actions.values()),
        **status,
    )
    held = replace(asked.metadata, finalizers=(FINALIZER,))
    return World(now=START, workflow=replace(asked, status=under_way, metadata=held))


def done(name: str, **more: Any) -> StepStatus:
    return StepStatus(name=name, phase=P.SUCCEEDED, completed_at=START, executed="yes", outputs={"n": 1}, **more)


def written(world: World) -> WorkflowStatus:
    (change,) = [c for c in decided(world, "").changes if isinstance(c, WriteWorkflowStatus)]
    return change.status


def phases(status: WorkflowStatus) -> dict[str, StepPhase]:
    return {record.name: record.phase for record in status.steps}


# --- what is asked of a run ------------------------------------------------------------------------------------

asked_pair = workflow(step("a"), step("b", after=("a",)), finally_=(step("f"),))


def with_requests(world: World, *requests: Any) -> World:
    spec = replace(world.the_workflow.spec, requests=requests)
    return replace(world, workflow=replace(world.the_workflow, spec=spec))


@pytest.mark.parametrize(
    ("kinds", "phase", "finally_starts"),
    [
        (["cancel"], W.CANCELLED, True),
        (["abort"], W.ABORTED, False),
        (["cancel", "abort"], W.ABORTED, False),
        (["abort", "cancel"], W.ABORTED, False),
        (["suspend", "cancel"], W.CANCELLED, True),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else None,
)
def test_cancel_runs_finally_and_abort_does_not(
    kinds: list[str], phase: WorkflowPhase, finally_starts: bool
) -> None:
    world = with_requests(admitted(asked_pair), *(request(kind) for kind in kinds))
    creates = [c for c in decided(world, "").changes if isinstance(c, CreateExecution)]
    assert [c.step for c in creates] == (["f"] if finally_starts else [])
    if not finally_starts:
        assert written(world).phase == phase
        assert phases(written(world)) == {"a": P.CANCELLED, "b": P.CANCELLED, "f": P.CANCELLED}


def test_the_message_says_who_cancelled_and_why() -> None:
    world = with_requests(admitted(workflow(step("a"))), request("cancel", reason="wrong cluster"))
    assert written(world).message == "Cancel was requested by ann: wrong cluster"


@pytest.mark.parametrize(
    ("kinds", "is_suspended"),
    [(["suspend"], True), (["suspend", "resume"], False), (["suspend", "resume", "suspend"], True), ([], False)],
    ids=lambda value: "+".join(value) or "nothing" if isinstance(value, list) else None,
)
def test_the_last_word_on_suspension_counts(kinds: list[str], is_suspended: bool) -> None:
    world = with_requests(admitted(asked_pair), *(request(kind) for kind in kinds))
    starts = [c for c in decided(world, "").changes if isinstance(c, CreateExecution)]
    assert bool(starts) != is_suspended


def unknown(since: float = 0) -> StepStatus:
    return StepStatus(name="a", phase=P.INDETERMINATE, completed_at=at(since), executed="unknown")


@pytest.mark.parametrize(
    ("when", "outcome", "phase"),
    [
        (10, "succeeded", P.SUCCEEDED),
        (10, "failed", P.FAILED),
        (5, "succeeded", P.SUCCEEDED),
        (4, "succeeded", P.INDETERMINATE),
        (10, "", P.INDETERMINATE),
    ],
    ids=["after, succeeded", "after, failed", "at the same second", "before", "without an outcome"],
)
def test_only_a_word_said_after_a_step_became_unknown_resolves_it(
    when: float, outcome: str, phase: StepPhase
) -> None:
    world = admitted(workflow(step("a")), unknown(since=5))
    resolved = with_requests(world, request("resolve", at(when), step="a", outcome=outcome))
    assert phases(written(resolved)) == {"a": phase}


def test_a_word_about_another_step_does_not_resolve_this_one() -> None:
    world = admitted(workflow(step("a"), step("b")), unknown(), done("b"))
    asked = with_requests(world, request("resolve", at(9), step="b", outcome="succeeded"))
    assert phases(written(asked))["a"] == P.INDETERMINATE


def test_a_step_that_a_person_called_succeeded_has_no_outputs_to_use() -> None:
    user = step("b", uses=("a",), critical=False)
    world = admitted(workflow(step("a"), user), unknown())
    status = written(with_requests(world, request("resolve", at(9), step="a", outcome="succeeded")))
    assert phases(status) == {"a": P.SUCCEEDED, "b": P.SKIPPED}


# --- deletion --------------------------------------------------------------------------------------------------


def deleted(world: World, seconds_ago: float = 0) -> World:
    moment = world.now - timedelta(seconds=seconds_ago)
    meta = replace(world.the_workflow.metadata, deletion_timestamp=moment)
    return replace(world, workflow=replace(world.the_workflow, metadata=meta))


def test_a_workflow_that_was_never_admitted_is_let_go_at_once() -> None:
    asked = workflow(step("a"))
    meta = replace(asked.metadata, finalizers=(FINALIZER,))
    assert decided(deleted(World(now=START, workflow=replace(asked, metadata=meta))), "").changes == (
        RemoveFinalizer(),
    )


def test_deletion_looks_again_when_its_time_is_up() -> None:
    world = deleted(admitted(asked_pair, done("a"), done("b")))
    assert decided(world, "").look_again_at == at(2 * Limits().grace_seconds + 60)


def test_an_overdue_deletion_starts_no_finally() -> None:
    status = written(deleted(admitted(asked_pair), seconds_ago=120))
    assert phases(status)["f"] == P.CANCELLED
    assert status.phase == W.CANCELLED


# --- a changed spec ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tampered",
    [
        workflow(step("a", critical=False), step("b", after=("a",)), finally_=(step("f"),)),
        workflow(step("other"), finally_=(step("f"),)),
        workflow(*(step(n) for n in "abcdef")),
    ],
    ids=["a step differs", "steps are gone", "steps are new"],
)
def test_a_spec_changed_after_admission_starts_nothing_more(tampered: WorkflowExecution) -> None:
    world = admitted(asked_pair, done("a"))
    changed = replace(world, workflow=replace(world.the_workflow, spec=tampered.spec))
    status = written(changed)
    assert phases(status) == {"a": P.SUCCEEDED, "b": P.SKIPPED, "f": P.SKIPPED}
    assert (status.phase, status.reason) == (W.FAILED, "SpecChanged")


# --- admission ---------------------------------------------------------------------------------------------------


def before_admission(asked: WorkflowExecution, **more: Any) -> WorkflowFacts:
    return with_fields(workflow_facts(World(now=START, workflow=asked)), **more)


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        (workflow(*(step(f"s{n}") for n in range(10))), False),
        (workflow(*(step(f"s{n}") for n in range(11))), True),
        (workflow(step("a"), requires_approval=True), True),
    ],
    ids=["ten steps", "eleven steps", "asked for"],
)
def test_nothing_awaiting_approval_starts(asked: WorkflowExecution, waits: bool) -> None:
    spec = replace(asked.spec, requester=Requester(username="ann"))
    turn = decide_workflow(before_admission(replace(asked, spec=spec)))
    if not waits:
        assert turn.changes == (AddFinalizer(),)
        return
    # What follows is told in test_approvals.
    (change,) = turn.changes
    assert isinstance(change, CreateApproval)


@pytest.mark.parametrize(("kind", "phase"), [("cancel", W.CANCELLED), ("abort", W.ABORTED)])
def test_what_waits_for_approval_can_be_cancelled(kind: str, phase: WorkflowPhase) -> None:
    asked = workflow(step("a"), requires_approval=True, requests=(request(kind),))
    (change,) = decide_workflow(before_admission(asked)).changes
    assert isinstance(change, WriteWorkflowStatus)
    assert change.status.phase == phase
    assert "Nothing had been started." in change.status.message


def test_a_refused_workflow_names_every_fault_and_never_starts() -> None:
    faults = (Fault("spec.steps[0].inputs.n", "a required input is missing"), Fault("spec.engine", "unknown"))
    (change,) = decide_workflow(before_admission(workflow(step("a")), faults=faults)).changes
    assert isinstance(change, WriteWorkflowStatus)
    assert (change.status.phase, change.status.reason) == (W.FAILED, "Refused")
    assert all(fault.path in change.status.message for fault in faults)


# --- retryOf ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("from_step", "kept"),
    [("", ["a", "b"]), ("b", ["a"]), ("a", []), ("c", ["a", "b"])],
    ids=["from what failed", "from the middle", "from the start", "from the failed step"],
)
def test_a_retry_keeps_what_succeeded_before_the_step_it_starts_from(from_step: str, kept: list[str]) -> None:
    chain = (step("a"), step("b", after=("a",)), step("c", after=("b",)))
    failed = StepStatus(name="c", phase=P.FAILED, completed_at=START)
    earlier = admitted(workflow(*chain, name="first"), done("a"), done("b"), failed).the_workflow
    asked = workflow(*chain, name="second", retry_of=RetryOf(name="first", from_step=from_step))
    held = replace(asked, metadata=replace(asked.metadata, finalizers=(FINALIZER,)))
    facts = before_admission(held, earlier=Earlier(earlier, {}))
    (change,) = decide_workflow(facts).changes
    assert isinstance(change, WriteWorkflowStatus)
    assert [r.name for r in change.status.steps if r.kept_from == "first"] == kept
    assert all(r.phase == P.PENDING for r in change.status.steps if r.name not in kept)
    assert all(r.execution is None for r in change.status.steps)


@pytest.mark.parametrize(("outcome", "kept"), [("succeeded", ["a"]), ("failed", [])])
def test_a_retry_keeps_what_a_person_says_succeeded_after_the_run_was_stopped(
    outcome: str, kept: list[str]
) -> None:
    unknown = StepStatus(name="a", phase=P.INDETERMINATE, completed_at=START)
    earlier = admitted(workflow(step("a"), name="first"), unknown).the_workflow
    said = Request(type="resolve", step="a", outcome=outcome, at=START)
    spoken = replace(earlier, spec=replace(earlier.spec, requests=(said,)))
    asked = workflow(step("a"), name="second", retry_of=RetryOf(name="first"))
    held = replace(asked, metadata=replace(asked.metadata, finalizers=(FINALIZER,)))
    (change,) = decide_workflow(before_admission(held, earlier=Earlier(spoken, {}))).changes
    assert isinstance(change, WriteWorkflowStatus)
    assert [r.name for r in change.status.steps if r.kept_from == "first"] == kept


def test_a_kept_result_feeds_the_steps_that_run_again() -> None:
    asked = workflow(step("a"), step("b", uses=("a",)), retry_of=RetryOf(name="first"))
    world = admitted(asked, done("a", kept_from="first"))
    (create,) = decided(world, "").changes
    assert isinstance(create, CreateExecution)
    assert create.spec.inputs == {"n": 1}


# --- conditions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_critical", [True, False], ids=["critical", "not critical"])
def test_a_condition_that_cannot_be_answered_fails_its_step_before_it_starts(is_critical: bool) -> None:
    asked = workflow(
        step("c", critical=False),
        step("a", when=("steps.c.outputs.n == 1",), critical=is_critical),
        step("b"),
    )
    world = admitted(asked, StepStatus(name="c", phase=P.FAILED, completed_at=START))
    creates = [c.step for c in decided(world, "").changes if isinstance(c, CreateExecution)]
    assert creates == ([] if is_critical else ["b"])


# --- an action's end ---------------------------------------------------------------------------------------------


def under_way(action: str = "test/plain", **spec: Any) -> World:
    """A lone action whose first Job runs and whose fence nobody holds yet."""
    execution = lone_action(action=action, **spec)
    started = replace(execution.status, phase=ActionPhase.RUNNING, fence="fence-uid", started_at=START)
    world = with_execution(World(now=START), replace(execution, status=started))
    return replace(world, fences={"ae-uid": FenceFacts("fence-uid", "1", "", 1)}, jobs={"ae-uid/1": running_job()})


def running_job(**more: Any) -> JobFacts:
    return JobFacts(uid="job", state="active", created_at=START, started_at=START, **more)


def held_by(holder: str, world: World) -> World:
    return replace(world, fences={"ae-uid": FenceFacts("fence-uid", "2", holder, 1)})


def ended_with(world: World, **job: Any) -> Any:
    finished = with_fields(running_job(), **{"state": "failed", "reason": "Error", **job})
    (change,) = decided(replace(world, jobs={"ae-uid/1": finished}), "alone").changes
    return change


@pytest.mark.parametrize(
    ("holder", "outcome", "executed"),
    [
        ("pod/1", Outcome(pod="pod", exit_code=70, executed="yes"), "yes"),
        ("pod/1", Outcome(pod="pod", exit_code=66, executed="no"), "no"),
        ("pod/1", Outcome(pod="pod", exit_code=137), "unknown"),
        ("pod/1", Outcome(), "unknown"),
        ("pod/1", Outcome(pod="twin", exit_code=75, executed="no"), "unknown"),
        ("pod/1", Outcome(pod="twin", exit_code=64, executed="no"), "unknown"),
        ("void", Outcome(pod="pod", exit_code=137), "no"),
    ],
    ids=["holder: yes", "holder: no", "holder killed", "nobody said", "held by another", "twin: no", "closed"],
)
def test_what_was_executed_is_believed_only_of_the_pod_that_held_the_fence(
    holder: str, outcome: Outcome, executed: str
) -> None:
    change = ended_with(held_by(holder, under_way()), outcome=outcome)
    assert isinstance(change, WriteActionStatus)
    assert change.status.executed == executed


def test_an_unheld_fence_is_closed_before_anything_is_said() -> None:
    assert ended_with(under_way(), outcome=Outcome(exit_code=137)) == VoidFence("1")


@pytest.mark.parametrize(
    ("has_started", "executed"),
    [(False, "no"), (True, "unknown"), (None, "unknown")],
    ids=["no", "yes", "unclear"],
)
def test_without_a_fence_only_a_container_that_never_started_did_nothing(
    has_started: bool | None, executed: str
) -> None:
    change = ended_with(under_way("test/unfenced", limit=5), outcome=Outcome(), container_started=has_started)
    assert isinstance(change, WriteActionStatus)
    assert change.status.executed == executed
    assert change.status.completed_at is not None, "it is never tried again"


def test_a_job_that_succeeded_before_the_stop_reached_it_succeeded() -> None:
    world = held_by("pod/1", under_way(stop=Stop(reason="Cancelled", at=START)))
    change = ended_with(world, state="succeeded", outcome=Outcome(pod="pod", exit_code=0, executed="yes"))
    assert isinstance(change, WriteActionStatus)
    assert change.status.phase == ActionPhase.SUCCEEDED


def test_a_stop_after_the_fence_was_taken_ends_the_job_and_waits_for_it() -> None:
    world = held_by("pod/1", under_way(stop=Stop(reason="Cancelled", at=START)))
    assert decided(world, "alone").changes == (DeleteJob(1, "job"),)
    dying = running_job(is_being_deleted=True, deletion_started_at=START)
    turn = decided(replace(world, jobs={"ae-uid/1": dying}), "alone")
    assert turn.changes == ()
    assert turn.look_again_at == at(Limits().grace_seconds + 60)


def test_jobs_are_left_to_their_ttl_only_after_the_outcome_was_recorded() -> None:
    world = held_by("pod/1", under_way())
    over = with_fields(running_job(), state="failed", outcome=Outcome())
    facts = with_fields(
        action_facts(replace(world, jobs={"ae-uid/1": over}), "alone"), limits=Limits(job_ttl_seconds=60)
    )
    (record,) = decide_action(facts).changes
    assert isinstance(record, WriteActionStatus)
    later = with_fields(facts, execution=replace(facts.execution, status=record.status))
    assert decide_action(later).changes == (ExpireJob(1, 60),)
    let_go = with_fields(later, jobs={1: with_fields(over, has_ttl=True)})
    assert decide_action(let_go).changes == ()


def test_an_order_to_stop_names_the_very_object_it_is_meant_for() -> None:
    world = tell(workflow(step("a")), {"a": ("hangs",)}, until=running_steps).world
    stop = decided(with_requests(world, request("cancel")), "").changes[0]
    (execution,) = world.executions.values()
    assert isinstance(stop, StopExecution)
    assert (stop.execution_uid, stop.stop.reason) == (execution.metadata.uid, "Cancelled")


@pytest.mark.parametrize("action", ["test/plain", "test/unfenced"])
def test_an_action_whose_job_is_refused_for_its_whole_timeout_is_given_up_untouched(action: str) -> None:
    world = with_execution(World(now=START), lone_action(action=action))
    for _ in range(40):
        while decided(world, "alone").changes and world.executions["alone"].status.completed_at is None:
            world = look(world, "alone")
            while (pending := pending_of(world, "alone")) is not None:
                is_job = isinstance(pending.changes[0], StartJob)
                world = carry_out_next(world, "alone", refused=is_job)
            if is_job:
                break
        world = replace(world, now=world.now + timedelta(seconds=10))
    status = world.executions["alone"].status
    assert (status.phase, status.executed, status.reason) == (ActionPhase.TIMED_OUT, "no", "QuotaExceeded")
    assert "exceeded quota" in status.message


# --- waits -------------------------------------------------------------------------------------------------------

seconds = st.integers(1, 600)


@given(seconds, seconds, st.floats(1, 10), st.integers(0, 100), st.integers(1, 400), st.text())
def test_waits_stay_between_base_and_cap_and_are_the_same_after_a_restart(
    base: int, cap: int, factor: float, jitter: int, attempt: int, key: str
) -> None:
    backoff = Backoff(base=f"{base}s", cap=f"{cap}s", factor=factor, jitter=jitter)
    wait = wait_before(backoff, attempt, key)
    assert min(base, cap) <= wait <= cap
    assert wait == wait_before(backoff, attempt, key)


@given(seconds, st.floats(1, 10), st.integers(1, 60), st.text())
def test_waits_without_jitter_never_shrink(base: int, factor: float, attempt: int, key: str) -> None:
    backoff = Backoff(base=f"{base}s", cap="1h", factor=factor, jitter=0)
    assert wait_before(backoff, attempt, key) <= wait_before(backoff, attempt + 1, key)


def test_jitter_parts_those_that_failed_together() -> None:
    backoff = retry(1, jitter=50, base="10s", cap="1h").backoff
    assert len({wait_before(backoff, 3, f"uid-{n}") for n in range(20)}) > 15
