"""No plan runs without the word of enough people who were asked, who did not ask for it, about this very plan."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from datetime import datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kubernaut.api.approval import (
    ApprovalPhase,
    ApprovalRequest,
    ApprovalSpec,
    ApprovalStatus,
    Approvers,
    Decision,
)
from kubernaut.api.meta import ObjectMeta, OwnerReference, Requester
from kubernaut.api.names import FINALIZER
from kubernaut.api.workflow import WorkflowExecution, WorkflowPhase, pin_key
from kubernaut.planning import decide_workflow
from kubernaut.planning.approval import counts, request_name
from kubernaut.planning.facts import Limits, WorkflowFacts
from kubernaut.planning.phases import APPROVAL, WORKFLOW_TERMINAL, is_allowed
from kubernaut.planning.plan import plan_hash
from kubernaut.planning.turns import (
    AddFinalizer,
    CreateApproval,
    CreateExecution,
    WriteApprovalStatus,
    WriteWorkflowStatus,
)

from .makers import START, WORKFLOW_UID, at, request, step, workflow
from .world import World, workflow_facts

P, W = ApprovalPhase, WorkflowPhase
LIMITS = Limits(approval_quorum=1, approval_groups=("ops",), approval_users=("zoe",), approval_seconds=900)
ASKED = workflow(step("a", uses=()), requires_approval=True, requester=Requester(username="ann", groups=("ops",)))


@dataclass
class Place:
    """A workflow, what was asked of people about it, and the catalogue of the day."""

    quorum: int = 1
    workflow: WorkflowExecution = ASKED
    now: datetime = START
    version: int = 1
    requests: dict[str, ApprovalRequest] = field(default_factory=dict[str, ApprovalRequest])
    ran_by: WorkflowFacts | None = None
    """The facts on which the run started."""

    def facts(self) -> WorkflowFacts:
        limits = with_fields(LIMITS, approval_quorum=self.quorum)
        facts = workflow_facts(World(now=self.now, workflow=self.workflow))
        actions = {k: replace(a, service_account_name=f"v{self.version}") for k, a in facts.actions.items()}
        return with_fields(facts, limits=limits, actions=actions, approvals=dict(self.requests))

    def settle(self) -> None:
        for _ in range(12):
            facts = self.facts()
            turn = decide_workflow(facts)
            if not turn.changes:
                return
            for change in turn.changes:
                self.carry_out(facts, change)
            if self.ran_by is not None:
                return
        raise AssertionError("it goes round in circles")

    def carry_out(self, facts: WorkflowFacts, change: Any) -> None:
        match change:
            case AddFinalizer():
                meta = replace(self.workflow.metadata, finalizers=(FINALIZER,))
                self.workflow = replace(self.workflow, metadata=meta)
            case CreateApproval(name, spec):
                assert name not in self.requests
                owner = OwnerReference(api_version="", kind="", name="w", uid=WORKFLOW_UID, controller=True)
                meta = ObjectMeta(name=name, uid=f"uid-{self.now}", owner_references=(owner,))
                self.requests[name] = ApprovalRequest(metadata=meta, spec=spec)
            case WriteApprovalStatus(seen, status):
                assert is_allowed(APPROVAL, seen.status.phase, status.phase)
                self.requests[seen.metadata.name] = replace(seen, status=status)
            case WriteWorkflowStatus(status):
                self.workflow = replace(self.workflow, status=status)
                if status.phase == W.RUNNING:
                    self.ran_by = facts
            case _:
                raise AssertionError(f"nothing else may happen at the gate: {change}")

    @property
    def open(self) -> ApprovalRequest | None:
        found = [r for r in self.requests.values() if r.status.phase in (P.PENDING, P.APPROVED)]
        assert len(found) <= 1
        return found[0] if found else None

    def say(
        self, who: str, word: Literal["approve", "reject"], groups: tuple[str, ...] = ("ops",), about: str = ""
    ) -> None:
        for asked in list(self.requests.values()):
            if asked is self.open or (about and asked.status.phase == P.SUPERSEDED):
                digest = about or asked.spec.plan_hash
                said = Decision(decision=word, plan_hash=digest, by=Requester(username=who, groups=groups))
                spec = replace(asked.spec, decisions=(*asked.spec.decisions, said))
                self.requests[asked.metadata.name] = replace(asked, spec=spec)


FIRST_PLAN = plan_hash(Place().facts())


def _pass(place: Place, seconds: float) -> None:
    place.now = at((place.now - START).total_seconds() + seconds)


def _forget(place: Place) -> None:
    place.requests.clear()


def _change_catalogue(place: Place) -> None:
    place.version = 3 - place.version


def _forge_status(place: Place) -> None:
    for name, asked in place.requests.items():
        if asked.status.phase == P.PENDING:
            place.requests[name] = replace(asked, status=replace(asked.status, phase=P.APPROVED))


def _cancel(place: Place) -> None:
    spec = replace(place.workflow.spec, requests=(request("cancel"),))
    place.workflow = replace(place.workflow, spec=spec)


EVENTS: Mapping[str, Callable[[Place], None]] = {
    "bob approves": lambda p: p.say("bob", "approve"),
    "zoe approves": lambda p: p.say("zoe", "approve", ()),
    "ann approves her own": lambda p: p.say("ann", "approve"),
    "a stranger approves": lambda p: p.say("eve", "approve", ("dev",)),
    "nobody approves": lambda p: p.say("", "approve"),
    "bob approves the first plan": lambda p: p.say("bob", "approve", about=FIRST_PLAN),
    "bob rejects": lambda p: p.say("bob", "reject"),
    "a stranger rejects": lambda p: p.say("eve", "reject", ("dev",)),
    "ann rejects": lambda p: p.say("ann", "reject"),
    "five minutes pass": lambda p: _pass(p, 300),
    "an hour passes": lambda p: _pass(p, 3600),
    "the catalogue changes": _change_catalogue,
    "the request is deleted": _forget,
    "a status is forged": _forge_status,
    "it is cancelled": _cancel,
}


def _tell(place: Place, event: str) -> Place:
    """The place after one more event, and after everything that followed."""
    after = with_fields(place, requests=dict(place.requests))
    EVENTS[event](after)
    after.settle()
    return after


def _begin(quorum: int) -> Place:
    place = Place(quorum)
    place.settle()
    return place


def _is_over(place: Place) -> bool:
    return place.ran_by is not None or place.workflow.status.phase in WORKFLOW_TERMINAL


def _play(quorum: int, story: Sequence[str]) -> Place:
    place = _begin(quorum)
    for event in story:
        if not _is_over(place):
            place = _tell(place, event)
    return place


def _hold_the_laws(place: Place) -> None:
    facts = place.ran_by
    if facts is not None:
        digest = plan_hash(facts)
        asked = place.requests[request_name(facts, digest)]
        words = [d for d in asked.spec.decisions if d.by.username in ("bob", "zoe") and d.plan_hash == digest]
        assert len({d.by.username for d in words if d.decision == "approve"}) >= place.quorum
        assert not [d for d in words if d.decision == "reject"]
        assert asked.status.phase == P.APPROVED
        assert asked.status.decided_at is not None
        assert asked.status.decided_at < asked.spec.expires_at
        status = place.workflow.status
        assert status.approval is not None
        assert (status.approval_status, status.approval.plan_hash) == ("Approved", digest)
        assert set(status.approval.decided_by) <= {"bob", "zoe"}
        return
    phase = place.workflow.status.phase
    assert phase in (W.WAITING_APPROVAL, W.FAILED, W.CANCELLED)
    if phase != W.WAITING_APPROVAL:
        assert "Nothing had been started." in place.workflow.status.message
        assert place.open is None
    else:
        assert place.open is not None
        assert place.now < place.open.spec.expires_at


@pytest.mark.parametrize("quorum", [1, 2])
@pytest.mark.parametrize("first", EVENTS)
def test_nothing_runs_but_by_the_word_of_enough_others_in_every_story_of_three(quorum: int, first: str) -> None:
    places, seen = [_tell(_begin(quorum), first)], set[tuple[Any, ...]]()
    for _ in range(2):
        for place in places:
            _hold_the_laws(place)
        places = [_tell(place, event) for place in places if not _is_over(place) for event in EVENTS]
        # Words that count for nothing lead to the same place.
        places = [place for place in places if _key(place) not in seen and not seen.add(_key(place))]
    for place in places:
        _hold_the_laws(place)


def _key(place: Place) -> tuple[Any, ...]:
    asked = (
        (name, one.status.phase, frozenset(said for said in one.spec.decisions if counts(said, one.spec)))
        for name, one in place.requests.items()
    )
    return place.workflow.status.phase, place.now, place.version, frozenset(asked)


@given(st.integers(1, 3), st.lists(st.sampled_from(sorted(EVENTS)), max_size=9))
def test_and_in_longer_ones(quorum: int, story: list[str]) -> None:
    _hold_the_laws(_play(quorum, story))


@pytest.mark.parametrize(
    ("quorum", "story", "phase", "reason"),
    [
        (1, ("bob approves",), W.RUNNING, ""),
        (1, ("zoe approves",), W.RUNNING, ""),
        (2, ("bob approves", "bob approves"), W.WAITING_APPROVAL, ""),
        (2, ("bob approves", "zoe approves"), W.RUNNING, ""),
        (1, ("ann approves her own",), W.WAITING_APPROVAL, ""),
        (1, ("a stranger approves", "a stranger rejects"), W.WAITING_APPROVAL, ""),
        (1, ("bob rejects",), W.FAILED, "Rejected"),
        (2, ("zoe approves", "bob rejects"), W.FAILED, "Rejected"),
        (1, ("an hour passes", "bob approves"), W.FAILED, "ApprovalExpired"),
        (1, ("the request is deleted",), W.FAILED, "Rejected"),
        (1, ("a status is forged",), W.WAITING_APPROVAL, ""),
        (1, ("the catalogue changes", "bob approves the first plan"), W.WAITING_APPROVAL, ""),
        (1, ("the catalogue changes", "bob approves"), W.RUNNING, ""),
        (1, ("the catalogue changes", "the catalogue changes", "bob approves"), W.RUNNING, ""),
        (2, ("bob approves", "the catalogue changes", "the catalogue changes", "zoe approves"), W.RUNNING, ""),
        (1, ("it is cancelled",), W.CANCELLED, "Cancelled"),
    ],
)
def test_what_becomes_of_it(quorum: int, story: tuple[str, ...], phase: WorkflowPhase, reason: str) -> None:
    status = _play(quorum, story).workflow.status
    assert status.phase == phase
    if reason:
        assert status.reason == reason


def test_an_empty_list_of_approvers_means_nobody() -> None:
    spec = _spec(Approvers())
    for who in ("bob", "zoe", ""):
        said = Decision(decision="approve", plan_hash=spec.plan_hash, by=Requester(username=who, groups=("ops",)))
        assert not counts(said, spec)


def _spec(approvers: Approvers) -> ApprovalSpec:
    place = Place()
    place.settle()
    assert place.open is not None
    return replace(place.open.spec, approvers=approvers)


def test_an_old_request_is_closed_when_the_plan_changes_and_what_it_said_counts_no_more() -> None:
    place = _play(2, ("bob approves", "the catalogue changes"))
    phases = sorted(asked.status.phase for asked in place.requests.values())
    assert phases == [P.PENDING, P.SUPERSEDED]
    assert place.open is not None
    assert place.open.spec.decisions == ()


def test_what_was_approved_in_time_runs_though_the_controller_takes_it_up_later() -> None:
    place = Place()
    place.settle()
    place.say("bob", "approve")
    facts = place.facts()
    for change in decide_workflow(facts).changes:  # the word is seen, and the controller dies
        place.carry_out(facts, change)
    _pass(place, 7200)
    place.settle()
    assert place.workflow.status.phase == W.RUNNING


def test_a_rejection_counts_until_the_run_has_started() -> None:
    place = Place()
    place.settle()
    place.say("bob", "approve")
    facts = place.facts()
    for change in decide_workflow(facts).changes:
        place.carry_out(facts, change)
    place.say("zoe", "reject", ())
    place.settle()
    assert (place.workflow.status.phase, place.workflow.status.reason) == (W.FAILED, "Rejected")


@pytest.mark.parametrize("forged", ["owner", "steps", "requester", "hash"])
def test_a_request_that_says_something_else_than_the_plan_counts_for_nothing(forged: str) -> None:
    place = Place()
    place.settle()
    assert place.open is not None
    asked = place.open
    spec = asked.spec
    match forged:
        case "owner":
            other = replace(asked.metadata.owner_references[0], uid="somebody")
            asked = replace(asked, metadata=replace(asked.metadata, owner_references=(other,)))
        case "steps":
            spec = replace(spec, steps=(replace(spec.steps[0], inputs='{"n":1}'),))
        case "requester":
            spec = replace(spec, requested_by=Requester(username="eve"))
        case _:
            spec = replace(spec, plan_hash="sha256:" + "0" * 64)
    place.requests[asked.metadata.name] = replace(asked, spec=spec, status=ApprovalStatus(phase=P.APPROVED))
    place.say("bob", "approve")
    place.settle()
    assert (place.workflow.status.phase, place.workflow.status.reason) == (W.FAILED, "Rejected")


def test_a_workflow_of_which_nobody_knows_who_asked_cannot_be_approved() -> None:
    asked = replace(ASKED, spec=replace(ASKED.spec, requester=Requester()))
    place = Place(workflow=asked)
    place.settle()
    assert place.requests == {}
    assert (place.workflow.status.phase, place.workflow.status.reason) == (W.FAILED, "Refused")
    assert "spec.requester.username" in place.workflow.status.message


CHANGES: Mapping[str, Callable[[WorkflowFacts], WorkflowFacts]] = {
    "spec": lambda f: with_fields(f, spec_hash="other"),
    "image": lambda f: _with_action(f, image="other@sha256:" + "c" * 64),
    "account": lambda f: _with_action(f, service_account_name="other"),
    "contract": lambda f: _with_action(f, contract=replace(f.actions["test/plain"].contract, idempotent=True)),
    "uid": lambda f: with_fields(f, workflow=replace(f.workflow, metadata=replace(f.workflow.metadata, uid="x"))),
    "engine": lambda f: with_fields(f, engine=replace(f.engine, name="tekton")),
}


def _with_action(facts: WorkflowFacts, **changed: Any) -> WorkflowFacts:
    key = pin_key(facts.workflow.spec.steps[0])
    return with_fields(facts, actions={**facts.actions, key: replace(facts.actions[key], **changed)})


@pytest.mark.parametrize("changed", CHANGES)
def test_the_hash_changes_with_whatever_decides_what_will_be_done(changed: str) -> None:
    facts = Place().facts()
    assert plan_hash(CHANGES[changed](facts)) != plan_hash(facts)


def test_the_hash_does_not_change_with_time_or_with_what_people_say() -> None:
    place = Place()
    before = plan_hash(place.facts())
    place.settle()
    _pass(place, 60)
    place.say("bob", "approve")
    _cancel(place)
    meta = replace(place.workflow.metadata, resource_version="99", labels={"a": "b"})
    place.workflow = replace(place.workflow, metadata=meta)
    assert plan_hash(place.facts()) == before
    assert CreateExecution not in {type(change) for change in decide_workflow(place.facts()).changes}


@pytest.mark.parametrize(
    ("seconds", "phase"), [(899.9, W.RUNNING), (900, W.FAILED), (3600, W.FAILED)], ids=["in time", "on it", "late"]
)
def test_a_word_that_is_seen_after_the_time_is_too_late(seconds: float, phase: WorkflowPhase) -> None:
    place = _begin(1)
    place.say("bob", "approve")
    _pass(place, seconds)
    place.settle()
    assert place.workflow.status.phase == phase


def test_what_was_told_as_approved_after_the_time_is_too_late_as_well() -> None:
    place = _begin(1)
    assert place.open is not None
    place.say("bob", "approve")
    name, asked = place.open.metadata.name, place.open
    place.requests[name] = replace(asked, status=ApprovalStatus(phase=P.APPROVED, decided_at=at(900)))
    _pass(place, 901)
    place.settle()
    assert (place.workflow.status.phase, place.workflow.status.reason) == (W.FAILED, "ApprovalExpired")


@pytest.mark.parametrize("phase", [P.REJECTED, P.EXPIRED, P.WITHDRAWN])
def test_what_was_told_as_over_stays_over(phase: ApprovalPhase) -> None:
    place = _begin(1)
    assert place.open is not None
    place.say("bob", "approve")
    place.requests[place.open.metadata.name] = replace(place.open, status=ApprovalStatus(phase=phase))
    place.settle()
    assert place.workflow.status.phase == W.FAILED
