"""Before a workflow starts: what its judgement waits for, and what it needs a person's consent for."""

from dataclasses import replace as with_fields
from typing import Any

import pytest
from msgspec.structs import replace

from kubernaut.api.approval import ApprovalRequest
from kubernaut.api.faults import Fault
from kubernaut.api.meta import ObjectMeta, OwnerReference, Requester
from kubernaut.api.workflow import Step, WorkflowExecution, WorkflowPhase, WorkflowStatus
from kubernaut.planning import decide_workflow
from kubernaut.planning.facts import Limits, Obstacle, WorkflowFacts
from kubernaut.planning.turns import AddFinalizer, CreateApproval, Turn, WriteWorkflowStatus

from .makers import START, WORKFLOW_UID, at, request, step, workflow
from .world import World, workflow_facts

W = WorkflowPhase
DARK = Obstacle("RegistryUnreachable", "registry.example: connection refused", at(4))


def facts_of(asked: WorkflowExecution, **more: Any) -> WorkflowFacts:
    return with_fields(workflow_facts(World(now=START, workflow=asked)), **{"limits": Limits(), **more})


def status_of(turn: Turn[Any]) -> WorkflowStatus:
    [change] = turn.changes
    assert isinstance(change, WriteWorkflowStatus)
    return change.status


def later(seconds: float, status: WorkflowStatus, **more: Any) -> WorkflowFacts:
    asked = replace(workflow(step("a")), status=status)
    return facts_of(asked, **{"now": at(seconds), "obstacle": DARK, **more})


def test_what_cannot_be_judged_yet_is_told_and_looked_at_again() -> None:
    turn = decide_workflow(facts_of(workflow(step("a")), obstacle=DARK))
    status = status_of(turn)
    assert (status.phase, status.reason, status.message) == (W.VALIDATING, DARK.reason, DARK.message)
    assert status.completed_at is None
    assert turn.look_again_at == DARK.again_at


def test_what_has_only_just_begun_is_not_told() -> None:
    turn = decide_workflow(facts_of(workflow(step("a")), obstacle=with_fields(DARK, is_news=False)))
    assert turn == Turn((), DARK.again_at)


def test_the_same_cause_is_told_once_whatever_its_words() -> None:
    told = status_of(decide_workflow(facts_of(workflow(step("a")), obstacle=DARK)))
    again = with_fields(DARK, message="registry.example: timeout", again_at=at(9))
    assert decide_workflow(later(5, told, obstacle=again)) == Turn((), at(9))
    other = with_fields(DARK, reason="RegistryBusy", again_at=at(9))
    assert status_of(decide_workflow(later(5, told, obstacle=other))).reason == "RegistryBusy"


def test_it_is_refused_when_the_time_for_judging_is_over_counted_from_when_it_was_told() -> None:
    told = status_of(decide_workflow(facts_of(workflow(step("a")), obstacle=DARK)))
    before = decide_workflow(later(119, told, obstacle=with_fields(DARK, again_at=at(140))))
    assert before == Turn((), at(120))
    other = with_fields(DARK, reason="RegistryBusy", again_at=at(90))
    changed = status_of(decide_workflow(later(60, told, obstacle=other)))
    for status in (told, changed):
        refused = status_of(decide_workflow(later(120, status)))
        assert (refused.phase, refused.reason) == (W.FAILED, "Refused")
        assert refused.message == "registry.example: connection refused; it was waited for 120 s"
    # A controller that was away for an hour has not waited for anything.
    fresh = facts_of(workflow(step("a")), now=at(3600), obstacle=with_fields(DARK, again_at=at(3604)))
    assert status_of(decide_workflow(fresh)).phase == W.VALIDATING


def test_faults_that_are_certain_are_not_held_back_by_what_is_not_known_yet() -> None:
    refused = status_of(decide_workflow(facts_of(workflow(step("a")), obstacle=DARK, faults=(Fault("x", "no"),))))
    assert (refused.phase, refused.message) == (W.FAILED, "x: no")


def test_who_waits_for_a_judgement_can_be_cancelled() -> None:
    told = status_of(decide_workflow(facts_of(workflow(step("a")), obstacle=DARK)))
    asked = replace(workflow(step("a"), requests=(request("cancel"),)), status=told)
    assert status_of(decide_workflow(facts_of(asked, obstacle=DARK))).phase == W.CANCELLED


def test_it_goes_on_once_everything_is_known() -> None:
    told = status_of(decide_workflow(facts_of(workflow(step("a")), obstacle=DARK)))
    assert decide_workflow(later(5, told, obstacle=None)).changes == (AddFinalizer(),)


def waiting_status(asked: WorkflowExecution) -> WorkflowStatus:
    """Once the request for its approval was made."""
    [made] = decide_workflow(facts_of(asked)).changes
    assert isinstance(made, CreateApproval)
    owner = OwnerReference(api_version="", kind="", name="w", uid=WORKFLOW_UID, controller=True)
    meta = ObjectMeta(name=made.name, uid="apr-uid", owner_references=(owner,))
    request = ApprovalRequest(metadata=meta, spec=made.spec)
    _, written = decide_workflow(facts_of(asked, approvals={made.name: request})).changes
    assert isinstance(written, WriteWorkflowStatus)
    return written.status


def asked_by_ann(*steps: Step, **more: Any) -> WorkflowExecution:
    return workflow(*steps, requester=Requester(username="ann"), **more)


def test_an_answer_that_is_lost_takes_no_run_out_of_the_wait_for_its_approval() -> None:
    waiting = waiting_status(asked_by_ann(step("a"), requires_approval=True))
    assert waiting.phase == W.WAITING_APPROVAL
    for seconds in (1, 1000):
        assert decide_workflow(later(seconds, waiting)) == Turn((), DARK.again_at)


UNFENCED = step("b", action="test/unfenced")


@pytest.mark.parametrize(
    "asked",
    [asked_by_ann(step("a"), UNFENCED), asked_by_ann(step("a"), finally_=(UNFENCED,))],
    ids=["main", "finally"],
)
def test_an_image_without_a_fence_needs_an_approval(asked: WorkflowExecution) -> None:
    status = waiting_status(asked)
    assert (status.phase, status.approval_status) == (W.WAITING_APPROVAL, "Pending")
    assert "the images of b take no fence" in status.message
    limits = with_fields(facts_of(asked).limits, unfenced_needs_approval=False)
    assert decide_workflow(facts_of(asked, limits=limits)).changes == (AddFinalizer(),)


def test_every_reason_for_an_approval_is_told() -> None:
    steps = [step(f"s{n}", action="test/unfenced") for n in range(11)]
    message = waiting_status(asked_by_ann(*steps, requires_approval=True)).message
    assert message.startswith(
        "A person must approve: spec.requiresApproval is set; it has 11 steps, more than 10; "
    )
    assert "the images of s0, s1, s2, s3, s4 and 6 more take no fence" in message
