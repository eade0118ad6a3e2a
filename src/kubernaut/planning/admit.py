"""Letting a workflow in: refused, held for a person, or recorded as started with everything it was judged by."""

from msgspec.structs import replace

from kubernaut.api.graph import descendants
from kubernaut.api.names import FINALIZER
from kubernaut.api.workflow import PinnedAction, StepPhase, StepStatus, WorkflowPhase, WorkflowStatus, pin_key
from kubernaut.planning.conditions import with_conditions
from kubernaut.planning.directive import Directive, directive_of
from kubernaut.planning.facts import WorkflowFacts
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
        return Turn((RemoveFinalizer(),) if FINALIZER in workflow.metadata.finalizers else ())
    directive = directive_of(workflow, facts.now, facts.spec_hash, facts.limits, {})
    if directive.stop is not None:
        return _write(facts, _stopped(facts, directive))
    if facts.faults:
        return _write(facts, _refused(facts))
    if needs_approval(facts):
        return _write(facts, _waiting_for_approval(facts))
    if FINALIZER not in workflow.metadata.finalizers:
        return Turn((AddFinalizer(),))
    return _write(facts, _admitted(facts))


def needs_approval(facts: WorkflowFacts) -> bool:
    """Whether a person has to agree first. No approval can be given yet: nothing passes this gate."""
    spec = facts.workflow.spec
    return spec.requires_approval or len(spec.steps) > facts.limits.complexity_threshold


def _admitted(facts: WorkflowFacts) -> WorkflowStatus:
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
    if before is None or before.phase != StepPhase.SUCCEEDED:
        return StepStatus(name=name)
    if again.from_step and name in descendants(facts.graph, again.from_step):
        return StepStatus(name=name)
    return replace(before, kept_from=earlier.workflow.metadata.name, execution=None, fence="")


def _refused(facts: WorkflowFacts) -> WorkflowStatus:
    return replace(
        facts.workflow.status,
        phase=WorkflowPhase.FAILED,
        reason="Refused",
        message=_joined(facts),
        completed_at=facts.now,
    )


def _joined(facts: WorkflowFacts) -> str:
    text = "\n".join(str(fault) for fault in facts.faults)
    count = len(facts.faults)
    return text if len(text) <= 4000 else f"{text[:3900]}\n... of {count} faults; kubernaut lint shows all."


def _waiting_for_approval(facts: WorkflowFacts) -> WorkflowStatus:
    spec = facts.workflow.spec
    why = (
        "spec.requiresApproval is set"
        if spec.requires_approval
        else f"it has {len(spec.steps)} steps, more than {facts.limits.complexity_threshold}"
    )
    return replace(
        facts.workflow.status,
        phase=WorkflowPhase.WAITING_APPROVAL,
        reason="WaitingApproval",
        message=f"A person must approve: {why}.",
        approval_status="Pending",
    )


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
