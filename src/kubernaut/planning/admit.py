"""Letting a workflow in: refused, held for a person, or recorded as started with everything it was judged by."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from kubernaut.api.approval import ApprovalPhase
from kubernaut.api.graph import descendants
from kubernaut.api.names import FINALIZER
from kubernaut.api.text import cut
from kubernaut.api.workflow import PinnedAction, StepPhase, StepStatus, WorkflowPhase, WorkflowStatus, pin_key
from kubernaut.planning.approval import Gate, close_requests, gate
from kubernaut.planning.conditions import with_conditions
from kubernaut.planning.directive import Directive, directive_of
from kubernaut.planning.facts import Obstacle, WorkflowFacts
from kubernaut.planning.records import inline, resolved
from kubernaut.planning.turns import (
    AddFinalizer,
    RemoveFinalizer,
    Turn,
    WorkflowChange,
    WriteWorkflowStatus,
)


def admit(facts: WorkflowFacts) -> Turn[WorkflowChange]:
    """The turn of a workflow of which nothing has started yet."""
    workflow = facts.workflow
    if workflow.metadata.deletion_timestamp is not None:
        # Its requests go with it, by their owner references.
        return Turn((RemoveFinalizer(),) if FINALIZER in workflow.metadata.finalizers else ())
    directive = directive_of(workflow, facts.now, facts.spec_hash, facts.limits, {})
    if directive.stop is not None:
        return _end(facts, _stopped(facts, directive), "The workflow was stopped.")
    if facts.faults:
        return _end(facts, _refused(facts, _joined(facts)), "The workflow was refused.")
    if facts.obstacle is not None:
        return _wait_for(facts, facts.obstacle)
    why = why_approval(facts)
    if not why:
        return _let_in(facts, None)
    if not workflow.spec.requester.username:
        return _end(facts, _refused(facts, _UNKNOWN_REQUESTER.format(why="; ".join(why))), "")
    return _at_gate(facts, gate(facts, why))


_UNKNOWN_REQUESTER = (
    "spec.requester.username: is empty, and a person must approve ({why}): whoever approves must be another one "
    "than whoever asked. Write your own user name there; `kubernaut run` does."
)


def _let_in(facts: WorkflowFacts, approved: Gate | None) -> Turn[WorkflowChange]:
    told = approved.changes if approved is not None else ()
    if FINALIZER not in facts.workflow.metadata.finalizers:
        return Turn((*told, AddFinalizer()))
    return Turn((*told, *_write(facts, _admitted(facts, approved)).changes))


def _at_gate(facts: WorkflowFacts, at: Gate) -> Turn[WorkflowChange]:
    """Nothing of the workflow exists yet but the request for its approval."""
    status = facts.workflow.status
    if at.phase == ApprovalPhase.APPROVED:
        return _let_in(facts, at)
    if at.phase == ApprovalPhase.PENDING:
        if at.record is None:
            # What is asked is created first, and recorded by the turn that sees it.
            return Turn(at.changes)
        waiting = replace(
            status,
            phase=WorkflowPhase.WAITING_APPROVAL,
            reason="WaitingApproval",
            message=cut(at.message, 2048),
            approval_status=str(ApprovalPhase.PENDING),
            approval=at.record,
        )
        expires = at.request.spec.expires_at if at.request is not None else None
        return Turn((*at.changes, *_write(facts, waiting).changes), expires)
    ended = replace(
        status,
        phase=WorkflowPhase.FAILED,
        reason="ApprovalExpired" if at.phase == ApprovalPhase.EXPIRED else "Rejected",
        message=cut(f"{at.message} Nothing had been started.", 4096),
        approval_status=str(at.phase),
        approval=at.record or status.approval,
        completed_at=facts.now,
    )
    return Turn((*at.changes, *_write(facts, ended).changes))


def _end(facts: WorkflowFacts, status: WorkflowStatus, why: str) -> Turn[WorkflowChange]:
    """Nothing runs: what was asked of people is taken back."""
    taken_back = tuple(close_requests(facts, ApprovalPhase.WITHDRAWN, why))
    if taken_back and facts.workflow.status.approval_status:
        status = replace(status, approval_status=str(ApprovalPhase.WITHDRAWN))
    return Turn((*taken_back, *_write(facts, status).changes))


def why_approval(facts: WorkflowFacts) -> list[str]:
    """What makes the consent of a person necessary; empty where nothing does."""
    spec, limits = facts.workflow.spec, facts.limits
    why: list[str] = []
    if spec.requires_approval:
        why.append("spec.requiresApproval is set")
    if len(spec.steps) > limits.complexity_threshold:
        why.append(f"it has {len(spec.steps)} steps, more than {limits.complexity_threshold}")
    if limits.unfenced_needs_approval and (unfenced := _unfenced(facts)):
        named = ", ".join(unfenced[:5]) + (f" and {len(unfenced) - 5} more" if len(unfenced) > 5 else "")
        why.append(f"the images of {named} take no fence, so that nothing keeps a second pod from acting again")
    return why


def _unfenced(facts: WorkflowFacts) -> list[str]:
    """Steps that run an image without the fence."""
    spec = facts.workflow.spec
    steps = (*spec.steps, *spec.finally_)
    return [step.name for step in steps if not facts.actions[pin_key(step)].contract.fenced]


def _wait_for(facts: WorkflowFacts, obstacle: Obstacle) -> Turn[WorkflowChange]:
    """Not judged wholly yet: told, waited for, and refused when the time for it is over."""
    status = facts.workflow.status
    if status.phase == WorkflowPhase.WAITING_APPROVAL:
        # It was judged once; another process judges it again, and takes nothing back for want of an answer.
        return Turn(look_again_at=obstacle.again_at)
    deadline = _waiting_since(facts) + timedelta(seconds=facts.limits.judging_seconds)
    if facts.now >= deadline:
        message = f"{obstacle.message}; it was waited for {facts.limits.judging_seconds:g} s"
        return _write(facts, _refused(facts, message))
    again = min(obstacle.again_at, deadline)
    is_told = status.phase == WorkflowPhase.VALIDATING and status.reason == obstacle.reason
    if is_told or not obstacle.is_news:
        # Once a cause: the words of an error may be others at every try.
        return Turn(look_again_at=again)
    waiting = replace(
        status, phase=WorkflowPhase.VALIDATING, reason=obstacle.reason, message=cut(obstacle.message, 2048)
    )
    return Turn(_write(facts, waiting).changes, again)


def _waiting_since(facts: WorkflowFacts) -> datetime:
    """Since when its judgement has been waited for: the first status that said so."""
    conditions = facts.workflow.status.conditions
    return next((c.last_transition_time for c in conditions if c.type == "Reconciling"), facts.now)


def _admitted(facts: WorkflowFacts, approved: Gate | None) -> WorkflowStatus:
    spec = facts.workflow.spec
    records = (
        *(_first_record(facts, step.name) for step in spec.steps),
        *(StepStatus(name=step.name) for step in spec.finally_),
    )
    return replace(
        facts.workflow.status,
        phase=WorkflowPhase.RUNNING,
        reason="Started",
        message="",
        started_at=facts.now,
        spec_hash=facts.spec_hash,
        engine=facts.engine,
        progress=f"{sum(1 for r in records if r.kept_from)}/{len(records)}",
        steps=records,
        actions=_pinned(facts),
        approval_status=str(approved.phase) if approved is not None else "",
        approval=approved.record if approved is not None else None,
    )


def _pinned(facts: WorkflowFacts) -> tuple[PinnedAction, ...]:
    spec = facts.workflow.spec
    keys = dict.fromkeys(pin_key(step) for step in (*spec.steps, *spec.finally_))
    return tuple(facts.actions[key] for key in keys)


def _first_record(facts: WorkflowFacts, name: str) -> StepStatus:
    earlier, again = facts.earlier, facts.workflow.spec.retry_of
    if earlier is None or again is None:
        return StepStatus(name=name)
    before = next((record for record in earlier.workflow.status.steps if record.name == name), None)
    if before is not None:
        # A run that was stopped ends with steps of unknown outcome: what a person said of them later counts here.
        before = resolved(facts, earlier.workflow, before)
    if before is None or before.phase != StepPhase.SUCCEEDED:
        return StepStatus(name=name)
    if again.from_step and name in descendants(facts.graph, again.from_step):
        return StepStatus(name=name)
    # The earlier workflow may have had fewer steps, and so more room for each.
    kept = inline(facts, before.outputs)
    return replace(before, kept_from=earlier.workflow.metadata.name, execution=None, fence="", outputs=kept)


def _refused(facts: WorkflowFacts, message: str) -> WorkflowStatus:
    return replace(
        facts.workflow.status,
        phase=WorkflowPhase.FAILED,
        reason="Refused",
        message=cut(message, 4096),
        completed_at=facts.now,
    )


def _joined(facts: WorkflowFacts) -> str:
    text = "\n".join(str(fault) for fault in facts.faults)
    count = len(facts.faults)
    return text if len(text) <= 4000 else f"{text[:3900]}\n... of {count} faults; kubernaut lint shows all."


def _stopped(facts: WorkflowFacts, directive: Directive) -> WorkflowStatus:
    phase = WorkflowPhase.ABORTED if directive.stop == "Aborted" else WorkflowPhase.CANCELLED
    return replace(
        facts.workflow.status,
        phase=phase,
        reason=directive.stop or "",
        message=f"{directive.message} Nothing had been started.",
        completed_at=facts.now,
    )


def _write(facts: WorkflowFacts, status: WorkflowStatus) -> Turn[WorkflowChange]:
    after = with_conditions(facts, status)
    return Turn() if after == facts.workflow.status else Turn((WriteWorkflowStatus(after),))
