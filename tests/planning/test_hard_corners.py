"""Decisions that no small world reaches, or where a world would not notice: each a single look at the facts."""

from dataclasses import replace as with_fields
from typing import Any

import pytest
from msgspec.structs import replace

from kubernaut.api.action import ActionPhase, ActionStatus, Attempt, Stop
from kubernaut.api.contract import Parameter
from kubernaut.api.faults import Fault
from kubernaut.api.meta import LocalReference
from kubernaut.api.names import FINALIZER, workspace_name
from kubernaut.api.workflow import (
    Backoff,
    Step,
    StepPhase,
    StepStatus,
    WorkflowExecution,
    WorkflowPhase,
    WorkflowStatus,
)
from kubernaut.planning import decide_action, decide_workflow
from kubernaut.planning.backoff import wait_before
from kubernaut.planning.facts import (
    ActionFacts,
    ExecutionFacts,
    FenceFacts,
    JobFacts,
    Limits,
    Outcome,
    WorkflowFacts,
)
from kubernaut.planning.start import execution_spec
from kubernaut.planning.turns import (
    CreateExecution,
    CreateWorkspace,
    DeleteWorkspace,
    RemoveFinalizer,
    StartJob,
    StopExecution,
    Turn,
    VoidFence,
    WriteActionStatus,
    WriteWorkflowStatus,
)

from .makers import START, WORKFLOW_UID, at, lone_action, request, step, workflow
from .world import World, spec_hash, workflow_facts

P, W = StepPhase, WorkflowPhase


def facts_of(asked: WorkflowExecution, *records: StepStatus, **more: Any) -> WorkflowFacts:
    """What is known of a workflow under way; steps without a record are Pending."""
    known = {record.name: record for record in records}
    admitted = WorkflowStatus(
        phase=W.RUNNING,
        started_at=START,
        spec_hash=spec_hash(asked),
        steps=tuple(known.get(s.name, StepStatus(name=s.name)) for s in (*asked.spec.steps, *asked.spec.finally_)),
        actions=tuple(workflow_facts(World(now=START, workflow=asked)).actions.values()),
    )
    held = replace(asked.metadata, finalizers=(FINALIZER,))
    facts = workflow_facts(World(now=START, workflow=replace(asked, status=admitted, metadata=held)))
    return with_fields(facts, **{"now": at(9), **more})


def running(name: str) -> StepStatus:
    reference = LocalReference(name=f"w-{name}", uid=f"uid-{name}")
    return StepStatus(name=name, phase=P.RUNNING, started_at=START, execution=reference, fence=f"fence-{name}")


def over(name: str, phase: StepPhase = P.SUCCEEDED) -> StepStatus:
    return StepStatus(name=name, phase=phase, reason="Because", completed_at=at(5), executed="yes")


def execution_of(facts: WorkflowFacts, name: str, **more: Any) -> ExecutionFacts:
    """The ActionExecution that the step of this name has been given."""
    records = {record.name: record for record in facts.workflow.status.steps}
    spec = execution_spec(facts, facts.graph.steps[name], records)
    assert not isinstance(spec, str)
    made = ExecutionFacts(
        name=f"w-{name}",
        uid=f"uid-{name}",
        owner_uid=WORKFLOW_UID,
        spec=spec,
        status=ActionStatus(),
        fence_uid=f"fence-{name}",
    )
    return with_fields(made, **more)


def started(turn: Turn[Any]) -> list[str]:
    return [change.step for change in turn.changes if isinstance(change, CreateExecution)]


def stopped(turn: Turn[Any]) -> list[str]:
    return [change.execution for change in turn.changes if isinstance(change, StopExecution)]


def status_of(turn: Turn[Any]) -> WorkflowStatus:
    [status] = [change.status for change in turn.changes if isinstance(change, WriteWorkflowStatus)]
    return status


def record_of(turn: Turn[Any], name: str) -> StepStatus:
    return next(record for record in status_of(turn).steps if record.name == name)


CANCELLED = workflow(step("a"), step("b", after=("a",)), requests=(request("cancel"),))


def test_an_action_that_was_made_for_a_step_and_not_started_is_told_to_stop() -> None:
    facts = facts_of(CANCELLED)
    made = execution_of(facts, "a")
    assert stopped(decide_workflow(with_fields(facts, executions={"a": made}))) == ["w-a"]


def test_nobody_elses_action_is_told_to_stop() -> None:
    facts = facts_of(CANCELLED)
    strange = execution_of(facts, "a", owner_uid="another")
    assert stopped(decide_workflow(with_fields(facts, executions={"a": strange}))) == []


def test_an_action_that_has_ended_is_not_told_to_stop() -> None:
    facts = facts_of(CANCELLED)
    ended = execution_of(facts, "a", status=ActionStatus(completed_at=at(3)))
    assert stopped(decide_workflow(with_fields(facts, executions={"a": ended}))) == []


@pytest.mark.parametrize(
    "difference",
    [{"owner_uid": "another"}, {"spec": {"timeout": "3m"}}, {"spec": {"image": "other@sha256:" + "f" * 64}}],
    ids=["another owner", "another timeout", "another image"],
)
def test_what_stands_under_our_name_is_never_taken_for_ours(difference: dict[str, Any]) -> None:
    facts = facts_of(workflow(step("a")))
    ours = execution_of(facts, "a")
    changes = {key: replace(ours.spec, **value) if key == "spec" else value for key, value in difference.items()}
    turn = decide_workflow(with_fields(facts, executions={"a": with_fields(ours, **changes)}))
    record = record_of(turn, "a")
    assert (record.phase, record.reason, record.executed, record.execution) == (P.FAILED, "NameTaken", "no", None)


@pytest.mark.parametrize(
    ("asked", "limits", "most"),
    [
        (None, Limits(), 5),
        (None, Limits(default_parallel=2), 2),
        (7, Limits(default_parallel=2), 7),
        (7, Limits(max_parallel=3), 3),
        (None, Limits(default_parallel=6, max_parallel=4), 4),
        (1, Limits(), 1),
    ],
)
def test_so_many_steps_start_as_the_workflow_and_the_controller_both_allow(
    asked: int | None, limits: Limits, most: int
) -> None:
    wide = workflow(*(step(f"s{n}") for n in range(9)), parallelism=asked)
    assert started(decide_workflow(facts_of(wide, limits=limits))) == [f"s{n}" for n in range(most)]
    busy = facts_of(wide, running("s8"), limits=limits)
    busy = with_fields(busy, executions={"s8": execution_of(busy, "s8")})
    assert started(decide_workflow(busy)) == [f"s{n}" for n in range(most - 1)]


def broken(name: str, **more: Any) -> Step:
    """A step whose inputs turn out to break its contract when they are filled in."""
    return replace(step(name, **more), inputs={"n": "$(params.text)"})


TEXT = {"parameters": {"text": "no number"}}


def test_a_step_that_cannot_start_takes_no_place_of_another() -> None:
    pair = workflow(broken("a", critical=False), step("b"), parallelism=1, **TEXT)
    assert started(decide_workflow(facts_of(pair))) == ["b"]


def test_nothing_starts_beside_a_critical_step_that_cannot_start() -> None:
    for pair in ((broken("a"), step("b")), (step("b"), broken("a"))):
        turn = decide_workflow(facts_of(workflow(*pair, **TEXT)))
        assert started(turn) == []
        assert {name: record_of(turn, name).phase for name in "ab"} == {"a": P.FAILED, "b": P.SKIPPED}
        assert record_of(turn, "a").executed == "no"


def test_what_still_runs_when_a_deletion_is_overdue_is_unknown() -> None:
    facts = facts_of(workflow(step("a")), running("a"))
    held = with_fields(facts, executions={"a": execution_of(facts, "a")}, now=at(1000))
    meta = replace(held.workflow.metadata, deletion_timestamp=at(10))
    turn = decide_workflow(with_fields(held, workflow=replace(held.workflow, metadata=meta)))
    record = record_of(turn, "a")
    assert (record.phase, record.reason, record.executed) == (P.INDETERMINATE, "GivenUp", "unknown")
    assert status_of(turn).phase == W.CANCELLED


def test_what_the_cluster_refused_is_told_before_it_is_tried_again() -> None:
    turn = decide_workflow(facts_of(workflow(step("a")), trouble="exceeded quota"))
    first, *others = turn.changes
    assert isinstance(first, WriteWorkflowStatus)
    assert (first.status.reason, first.status.message) == ("CannotStart", "exceeded quota")
    assert [type(change) for change in others] == [CreateExecution]
    calm = decide_workflow(facts_of(workflow(step("a"))))
    assert [type(change) for change in calm.changes] == [CreateExecution]


def test_a_workspace_is_made_for_its_first_user_and_goes_at_every_end() -> None:
    uses = step("a", uses_workspace=True)
    for asked, workspace, makes in (
        (workflow(step("a")), "absent", 0),
        (workflow(uses), "absent", 1),
        (workflow(uses, step("b", uses_workspace=True)), "absent", 1),
        (workflow(uses), "present", 0),
    ):
        changes = decide_workflow(facts_of(asked, workspace=workspace)).changes
        assert sum(isinstance(change, CreateWorkspace) for change in changes) == makes
    for phase in (P.SUCCEEDED, P.FAILED, P.CANCELLED, P.TIMED_OUT):
        turn = decide_workflow(facts_of(workflow(uses), over("a", phase), workspace="present"))
        assert DeleteWorkspace(workspace_name("w", WORKFLOW_UID)) in turn.changes
        assert status_of(turn).completed_at == at(9)
    nothing = decide_workflow(facts_of(workflow(uses), over("a"), workspace="absent"))
    assert [type(change) for change in nothing.changes] == [WriteWorkflowStatus]


def test_progress_counts_what_is_over() -> None:
    facts = facts_of(workflow(step("a"), step("b"), step("c", after=("b",))), over("a"), running("b"))
    turn = decide_workflow(with_fields(facts, executions={"b": execution_of(facts, "b")}))
    assert status_of(turn).progress == "1/3"


def test_a_running_workflow_is_looked_at_again_when_its_time_is_over_and_not_a_moment_later_stopped() -> None:
    asked = workflow(step("a"), timeout="1m")
    facts = facts_of(asked, running("a"))
    facts = with_fields(facts, executions={"a": execution_of(facts, "a")})
    assert decide_workflow(facts).look_again_at == at(60)
    assert stopped(decide_workflow(with_fields(facts, now=at(59.9)))) == []
    assert stopped(decide_workflow(with_fields(facts, now=at(60)))) == ["w-a"]


def test_the_finalizer_goes_with_deletion_only() -> None:
    facts = facts_of(workflow(step("a")), over("a"))
    ended = replace(facts.workflow, status=status_of(decide_workflow(facts)))
    assert decide_workflow(with_fields(facts, workflow=ended)).changes == ()
    deleted = replace(ended, metadata=replace(ended.metadata, deletion_timestamp=at(8)))
    assert decide_workflow(with_fields(facts, workflow=deleted)).changes == (RemoveFinalizer(),)
    let_go = replace(deleted, metadata=replace(deleted.metadata, finalizers=()))
    assert decide_workflow(with_fields(facts, workflow=let_go)).changes == ()


def action_under_way(fence: FenceFacts | None, *attempts: Attempt, limit: int = 0, **more: Any) -> ActionFacts:
    """An action alone whose start is recorded behind the fence `fence`."""
    execution = lone_action(limit=limit)
    started = ActionStatus(phase=ActionPhase.RUNNING, fence="fence", started_at=START, attempts=attempts)
    return ActionFacts(
        now=at(9),
        execution=replace(execution, status=started),
        is_released=True,
        released_at=START,
        recorded_fence="fence",
        fence=fence,
        **more,
    )


def told(facts: ActionFacts) -> ActionStatus:
    [change] = decide_action(facts).changes
    assert isinstance(change, WriteActionStatus)
    return change.status


def asked_to_stop(facts: ActionFacts, reason: Any = "Cancelled") -> ActionFacts:
    spec = replace(facts.execution.spec, stop=Stop(reason=reason, at=START))
    return with_fields(facts, execution=replace(facts.execution, spec=spec))


@pytest.mark.parametrize("fence", [None, FenceFacts("another", "1", "", 1)], ids=["gone", "made anew"])
def test_behind_another_fence_nothing_is_started_and_nothing_is_claimed(fence: FenceFacts | None) -> None:
    status = told(action_under_way(fence))
    assert (status.phase, status.reason, status.executed) == (ActionPhase.INDETERMINATE, "FenceLost", "unknown")
    failed = JobFacts("job", "failed", outcome=Outcome(pod="pod", executed="no"))
    claimed = told(action_under_way(fence, jobs={1: failed}))
    assert (claimed.phase, claimed.executed) == (ActionPhase.FAILED, "unknown")


def test_what_was_executed_is_the_most_that_any_attempt_did() -> None:
    first = Attempt(number=1, job="j", completed_at=at(3), executed="unknown", reason="Error")
    refused = JobFacts("job", "failed", outcome=Outcome(pod="pod", executed="no"))
    facts = action_under_way(FenceFacts("fence", "1", "pod/1", 2), first, jobs={2: refused})
    assert told(facts).executed == "unknown"
    did = replace(first, executed="yes")
    facts = action_under_way(FenceFacts("fence", "1", "pod/1", 2), did, jobs={2: refused})
    assert told(facts).executed == "yes"


def test_a_stopped_action_gets_no_job_and_its_fence_is_closed() -> None:
    facts = action_under_way(FenceFacts("fence", "7", "", 1))
    assert [type(change) for change in decide_action(facts).changes] == [StartJob]
    assert decide_action(asked_to_stop(facts)).changes == (VoidFence("7"),)


def test_a_step_whose_condition_is_false_is_skipped_and_fails_nothing() -> None:
    asked = workflow(step("a", when=("false",)), step("b", after=("a",)))
    turn = decide_workflow(facts_of(asked))
    assert started(turn) == ["b"]
    last = decide_workflow(facts_of(workflow(step("a", when=("false",)))))
    record = record_of(last, "a")
    assert (record.phase, record.reason, record.executed) == (P.SKIPPED, "ConditionFalse", "no")
    assert status_of(last).phase == W.COMPLETED


@pytest.mark.parametrize(("reason", "phase"), [("Cancelled", "Cancelled"), ("TimedOut", "TimedOut")])
def test_a_stopped_action_is_not_tried_again(reason: str, phase: str) -> None:
    refused = JobFacts("job", "failed", outcome=Outcome(pod="pod", executed="no"))
    facts = action_under_way(FenceFacts("fence", "1", "pod/1", 1), limit=3, jobs={1: refused})
    assert told(facts).next_attempt_at is not None
    status = told(asked_to_stop(facts, reason))
    assert (status.phase, status.executed, status.next_attempt_at) == (phase, "no", None)


def test_the_job_of_what_nobody_knows_stays_for_people_to_look_at() -> None:
    kept = JobFacts("job", "failed")
    facts = action_under_way(None, jobs={1: kept}, limits=Limits(job_ttl_seconds=60))
    unknown = replace(facts.execution.status, phase=ActionPhase.INDETERMINATE)
    held = with_fields(facts, execution=replace(facts.execution, status=unknown))
    assert decide_action(held).changes == ()


def test_faults_refuse_an_action_that_has_not_begun_and_stop_none_that_has() -> None:
    faults = (Fault("spec.inputs.n", "must be of type integer"),)
    fresh = with_fields(action_under_way(None), execution=lone_action(), faults=faults)
    status = told(fresh)
    assert (status.phase, status.reason, status.executed) == (ActionPhase.FAILED, "Refused", "no")
    assert "spec.inputs.n" in status.message
    begun = action_under_way(FenceFacts("fence", "1", "", 1), faults=faults)
    assert [type(change) for change in decide_action(begun).changes] == [StartJob]


def test_waits_double_from_the_first_failure_on() -> None:
    backoff = Backoff(base="10s", cap="1m", factor=2, jitter=0)
    assert [wait_before(backoff, attempt, "key") for attempt in (1, 2, 3, 4, 5, 5000)] == [10, 20, 40, 60, 60, 60]


def test_a_condition_that_was_not_asked_yet_starts_nothing() -> None:
    facts = facts_of(workflow(step("a", when=("true",)), step("b")))
    assert started(decide_workflow(facts)) == ["a", "b"]
    assert started(decide_workflow(with_fields(facts, verdicts={}))) == ["b"]


def test_who_waits_for_an_unknown_step_says_so_until_a_person_has_spoken() -> None:
    lost = StepStatus(name="a", phase=P.INDETERMINATE, completed_at=at(5), executed="unknown")
    asked = workflow(step("a"), step("b", after=("a",)), step("c", after=("b",)))
    held = decide_workflow(facts_of(asked, lost))
    assert (record_of(held, "b").phase, record_of(held, "b").reason) == (P.BLOCKED, "DependencyIndeterminate")
    assert "a" in record_of(held, "b").message
    assert record_of(held, "c").phase == P.PENDING
    word = request("resolve", at(8), step="a", outcome="succeeded")
    blocked = (lost, record_of(held, "b"))
    spoken = facts_of(workflow(*asked.spec.steps, parallelism=1, requests=(word,)), *blocked)
    assert started(decide_workflow(spoken)) == ["b"]
    later = facts_of(workflow(*asked.spec.steps, requests=(word, request("suspend"))), *blocked)
    freed = record_of(decide_workflow(later), "b")
    assert (freed.phase, freed.reason, freed.message) == (P.PENDING, "", "")


@pytest.mark.parametrize("uid", [None, "another"], ids=["gone", "made anew"])
def test_a_lost_execution_is_unknown_whoever_has_its_name(uid: str | None) -> None:
    facts = facts_of(workflow(step("a")), running("a"))
    executions = {} if uid is None else {"a": execution_of(facts, "a", uid=uid)}
    turn = decide_workflow(with_fields(facts, executions=executions))
    record = record_of(turn, "a")
    assert (record.phase, record.reason, record.executed) == (P.INDETERMINATE, "ExecutionLost", "unknown")
    assert started(turn) == []


def test_an_action_is_given_what_its_step_its_contract_and_its_workflow_say() -> None:
    plain = step("a")
    own = step("b", service_account_name="own", timeout="3m", uses_workspace=True)
    facts = facts_of(workflow(plain, own))
    contract = replace(
        facts.workflow.status.actions[0].contract,
        inputs=(
            Parameter(name="n", type="integer", default=7),
            Parameter(name="token", secret=True),
            Parameter(name="note", type="object"),
        ),
    )
    pins = tuple(replace(pin, contract=contract) for pin in facts.workflow.status.actions)
    status = replace(facts.workflow.status, actions=pins)
    facts = with_fields(facts, workflow=replace(facts.workflow, status=status))
    secret = {"secretKeyRef": {"name": "s", "key": "k"}}
    given = execution_spec(facts, replace(plain, inputs={"token": secret, "note": secret}), {})
    assert not isinstance(given, str)
    assert given.inputs == {"n": 7, "note": secret}
    assert [(one.input, one.secret_key_ref.name) for one in given.secret_inputs] == [("token", "s")]
    assert (given.service_account_name, given.timeout, given.workspace_claim) == ("sa", contract.timeout, "")
    other = execution_spec(facts, own, {})
    assert not isinstance(other, str)
    assert (other.service_account_name, other.timeout) == ("own", "3m")
    assert other.workspace_claim == workspace_name("w", WORKFLOW_UID)
