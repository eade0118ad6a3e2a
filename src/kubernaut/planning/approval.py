"""The gate of approvals: which plan may run, by whose word. PURE.

A request is bound to one plan by its name and its hash. It counts only as this room would have written it; a
decision counts only from somebody who was asked, who did not ask himself, and about this very plan. The status of
a request is for reading: nothing runs because a status says "Approved".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from msgspec.structs import replace

from kubernaut.api.approval import (
    MAX_SHOWN_STEPS,
    SHOWN_INPUTS,
    ApprovalPhase,
    ApprovalRequest,
    ApprovalSpec,
    ApprovalStatus,
    Approvers,
    Decision,
    PlannedStep,
)
from kubernaut.api.meta import LocalReference
from kubernaut.api.names import derived_name
from kubernaut.api.text import cut
from kubernaut.api.workflow import ApprovalRecord, Step, pin_key
from kubernaut.planning.facts import WorkflowFacts
from kubernaut.planning.phases import APPROVAL, is_allowed
from kubernaut.planning.plan import plan_hash
from kubernaut.planning.turns import CreateApproval, WorkflowChange, WriteApprovalStatus

P = ApprovalPhase
_ENCODER = msgspec.json.Encoder(order="sorted")
_LONG_TEXT = 1024
_MOST_TOLD = 16
"""Names that the workflow's status repeats: as many as the largest quorum."""


@dataclass(frozen=True)
class Gate:
    """What the approval of a workflow stands at."""

    phase: ApprovalPhase
    message: str
    record: ApprovalRecord | None = None
    """What the workflow's status keeps of it; None while there is no request yet."""
    changes: tuple[WorkflowChange, ...] = ()
    request: ApprovalRequest | None = None


def gate(facts: WorkflowFacts, why: list[str]) -> Gate:
    """Where the plan stands that these facts lead to. `why`: what makes an approval necessary, at least one."""
    digest = plan_hash(facts)
    meta = facts.workflow.metadata
    name = request_name(facts, digest)
    others = tuple(close_requests(facts, ApprovalPhase.SUPERSEDED, "The plan has changed.", but=name))
    wanted = wanted_spec(facts, digest, why)
    found = facts.approvals.get(name)
    recorded = facts.workflow.status.approval
    if found is None:
        if recorded is not None and recorded.plan_hash == digest:
            return Gate(P.REJECTED, f"The ApprovalRequest {name} was deleted.", recorded, others)
        return Gate(P.PENDING, _asking(why), None, (*others, CreateApproval(name, wanted)))
    if not is_ours(found, wanted, meta.uid):
        return Gate(P.REJECTED, f"{name} exists and is not the request for this plan.", recorded, others)
    status = judged(facts, found)
    record = ApprovalRecord(
        request=LocalReference(name=name, uid=found.metadata.uid),
        plan_hash=digest,
        decided_by=_deciders(found, status.phase),
    )
    write = (WriteApprovalStatus(found, status),) if status != found.status else ()
    message = _asking(why) if status.phase == P.PENDING else status.message
    return Gate(status.phase, message, record, (*others, *write), found)


def close_requests(
    facts: WorkflowFacts, phase: ApprovalPhase, message: str, but: str = ""
) -> Iterator[WorkflowChange]:
    """Takes back what is still asked of people, for a workflow that will not run by it."""
    for name, request in sorted(facts.approvals.items()):
        if name != but and is_allowed(APPROVAL, request.status.phase, phase) and request.status.phase != phase:
            status = replace(request.status, phase=phase, message=message, decided_at=facts.now)
            yield WriteApprovalStatus(request, status)


def request_name(facts: WorkflowFacts, digest: str) -> str:
    """Of the ApprovalRequest for one plan of one workflow."""
    meta = facts.workflow.metadata
    return derived_name(meta.name, meta.uid, digest)


def wanted_spec(facts: WorkflowFacts, digest: str, why: list[str]) -> ApprovalSpec:
    """The request as it is written; who decides and until when comes from the settings of this moment."""
    spec, limits = facts.workflow.spec, facts.limits
    planned = [
        *(_planned(facts, step) for step in spec.steps),
        *(replace(_planned(facts, step), finally_=True) for step in spec.finally_),
    ]
    meta = facts.workflow.metadata
    return ApprovalSpec(
        workflow_ref=LocalReference(name=meta.name, uid=meta.uid),
        plan_hash=digest,
        requested_by=spec.requester,
        reason=spec.reason,
        why=tuple(cut(text, _LONG_TEXT) for text in why),
        steps=tuple(planned[:MAX_SHOWN_STEPS]),
        more_steps=max(0, len(planned) - MAX_SHOWN_STEPS),
        quorum=limits.approval_quorum,
        approvers=Approvers(users=limits.approval_users, groups=limits.approval_groups),
        expires_at=facts.now + timedelta(seconds=limits.approval_seconds),
    )


def is_ours(found: ApprovalRequest, wanted: ApprovalSpec, workflow_uid: str) -> bool:
    """Whether a request says what it would say if it were written now.

    Not compared: the decisions, and what the settings were when it was written (approvers, quorum, time).
    """
    own = replace(
        found.spec,
        decisions=(),
        expires_at=wanted.expires_at,
        quorum=wanted.quorum,
        approvers=wanted.approvers,
        why=wanted.why,
    )
    owners = found.metadata.owner_references
    return own == wanted and any(owner.uid == workflow_uid and owner.controller for owner in owners)


def judged(facts: WorkflowFacts, request: ApprovalRequest) -> ApprovalStatus:
    """What the decisions amount to now. A rejection counts at any time before the run starts."""
    spec, before = request.spec, request.status
    if not APPROVAL[before.phase]:
        return before
    valid = [decision for decision in spec.decisions if counts(decision, spec)]
    said_no = next((decision for decision in valid if decision.decision == "reject"), None)
    agreed = sorted({decision.by.username for decision in valid if decision.decision == "approve"})
    is_in_time = facts.now < spec.expires_at or _was_approved_in_time(request)
    if said_no is not None:
        phase, message = P.REJECTED, f"Rejected by {said_no.by.username}{_because(said_no)}."
    elif len(agreed) >= spec.quorum and is_in_time:
        phase, message = P.APPROVED, f"Approved by {', '.join(agreed)}."
    elif facts.now >= spec.expires_at:
        until = f"{spec.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        phase, message = (
            P.EXPIRED,
            f"{len(agreed)} of {spec.quorum} had approved when the time was over, at {until}.",
        )
    else:
        phase, message = P.PENDING, ""
    return replace(
        before,
        phase=phase,
        message=cut(message, _LONG_TEXT),
        approvals=f"{len(agreed)}/{spec.quorum}",
        decided_at=before.decided_at if phase == before.phase else None if phase == P.PENDING else facts.now,
    )


def _was_approved_in_time(request: ApprovalRequest) -> bool:
    status = request.status
    return (
        status.phase == P.APPROVED
        and status.decided_at is not None
        and status.decided_at < request.spec.expires_at
    )


def counts(decision: Decision, spec: ApprovalSpec) -> bool:
    """Whether a decision is about this plan, and its author one who may decide."""
    by, approvers = decision.by, spec.approvers
    is_asked = by.username in approvers.users or not set(by.groups).isdisjoint(approvers.groups)
    is_another = bool(by.username) and by.username != spec.requested_by.username
    return is_asked and is_another and decision.plan_hash == spec.plan_hash


def _deciders(request: ApprovalRequest, phase: ApprovalPhase) -> tuple[str, ...]:
    wanted = {P.APPROVED: "approve", P.REJECTED: "reject"}.get(phase, "")
    said = {d.by.username for d in request.spec.decisions if d.decision == wanted and counts(d, request.spec)}
    return tuple(sorted(said)[:_MOST_TOLD])


def _because(decision: Decision) -> str:
    return f": {decision.message.rstrip('.')}" if decision.message else ""


def _asking(why: list[str]) -> str:
    return f"A person must approve: {'; '.join(why)}."


def _planned(facts: WorkflowFacts, step: Step) -> PlannedStep:
    pinned = facts.actions[pin_key(step)]
    return PlannedStep(
        name=step.name,
        action_type=step.action_type,
        image=pinned.image,
        service_account_name=step.service_account_name or pinned.service_account_name,
        inputs=cut(_ENCODER.encode(step.inputs).decode(), SHOWN_INPUTS) if step.inputs else "",
    )
