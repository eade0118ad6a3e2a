"""Which Kubernetes Events a change of status is worth. Pure: derived from what was written, never invented."""

from typing import Literal, NamedTuple

from kubernaut.api.action import ActionPhase, ActionStatus
from kubernaut.api.workflow import StepPhase, StepStatus, WorkflowPhase, WorkflowStatus


class Note(NamedTuple):
    """One Event; reasons are listed in the documentation."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


_BAD_WORKFLOW = frozenset(
    {
        WorkflowPhase.FAILED,
        WorkflowPhase.TIMED_OUT,
        WorkflowPhase.INDETERMINATE,
        WorkflowPhase.PARTIALLY_COMPLETED,
        WorkflowPhase.ABORTED,
    }
)
_BAD_STEP = frozenset({StepPhase.FAILED, StepPhase.TIMED_OUT, StepPhase.INDETERMINATE})
_BAD_ACTION = frozenset({ActionPhase.FAILED, ActionPhase.TIMED_OUT, ActionPhase.INDETERMINATE})


def workflow_notes(before: WorkflowStatus, after: WorkflowStatus) -> list[Note]:
    """Events of one status write of a workflow."""
    notes: list[Note] = []
    if after.engine is not None and before.engine is None:
        notes.append(Note("Normal", "EngineChosen", f"{after.engine.name}: {after.engine.reason}"))
    known = {record.name: record for record in before.steps}
    for record in after.steps:
        old = known.get(record.name)
        if old is not None and old.phase != record.phase:
            notes.append(_step_note(record))
    if before.phase != after.phase:
        kind: Literal["Normal", "Warning"] = "Warning" if after.phase in _BAD_WORKFLOW else "Normal"
        notes.append(Note(kind, f"Workflow{after.phase}", after.message or after.reason or str(after.phase)))
    elif before.reason != after.reason and after.reason in ("Suspended", "CannotStart"):
        notes.append(Note("Warning", after.reason, after.message))
    return notes


def action_notes(before: ActionStatus, after: ActionStatus) -> list[Note]:
    """Events of one status write of an action."""
    notes: list[Note] = []
    for attempt in after.attempts[len(before.attempts) :]:
        if attempt.completed_at is not None and after.next_attempt_at is not None:
            text = f"Attempt {attempt.number} failed ({attempt.reason}); the next one follows."
            notes.append(Note("Warning", "AttemptFailed", text))
    if after.waiting is not None and (before.waiting is None or before.waiting.reason != after.waiting.reason):
        notes.append(Note("Warning", after.waiting.reason, after.waiting.message))
    if before.phase != after.phase and after.phase != ActionPhase.RUNNING:
        kind: Literal["Normal", "Warning"] = "Warning" if after.phase in _BAD_ACTION else "Normal"
        notes.append(Note(kind, f"Action{after.phase}", after.message or after.reason))
    return notes


def _step_note(record: StepStatus) -> Note:
    kind: Literal["Normal", "Warning"] = "Warning" if record.phase in _BAD_STEP else "Normal"
    detail = ": ".join(part for part in (record.reason, record.message) if part)
    text = f"Step {record.name} is {record.phase}{f' ({detail})' if detail else ''}."
    return Note(kind, f"Step{record.phase}", text)
