"""Where a workflow stands, given the records of its steps and what was asked of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kubernaut.api.workflow import Step, StepPhase, StepStatus, WorkflowPhase
from kubernaut.planning.directive import Directive
from kubernaut.planning.phases import STEP_ENDED, STEP_FAILURES
from kubernaut.planning.records import phases_of

_STOPPED = {
    "Aborted": WorkflowPhase.ABORTED,
    "Cancelled": WorkflowPhase.CANCELLED,
    "Deleted": WorkflowPhase.CANCELLED,
    "TimedOut": WorkflowPhase.TIMED_OUT,
}


@dataclass(frozen=True)
class Standing:
    phase: WorkflowPhase
    reason: str
    message: str = ""


def is_over(names: Mapping[str, object], records: Mapping[str, StepStatus], directive: Directive) -> bool:
    """Whether none of these steps will run any more.

    A step of unknown outcome holds the workflow until a person has spoken about it, or ended the workflow.
    """
    over = STEP_ENDED | {StepPhase.INDETERMINATE} if directive.is_by_person else STEP_ENDED
    # A loop and no generator: it is asked of every step several times a turn.
    for name in names:  # noqa: SIM110
        if records[name].phase not in over:
            return False
    return True


def final_standing(steps: Iterable[Step], records: Mapping[str, StepStatus], directive: Directive) -> Standing:
    """How the workflow ended, all its steps (main and `finally`) being over."""
    bad = [(step, records[step.name]) for step in steps if records[step.name].phase in STEP_FAILURES]
    unknown = [name for name, record in records.items() if record.phase == StepPhase.INDETERMINATE]
    if directive.stop is not None:
        note = f" What became of {', '.join(unknown)} is unknown." if unknown else ""
        return Standing(_STOPPED[directive.stop], directive.stop, directive.message + note)
    if directive.is_tampered:
        message = "The steps were changed after the workflow had been admitted; nothing more was started."
        return Standing(WorkflowPhase.FAILED, "SpecChanged", message)
    critical = [record for step, record in bad if step.critical]
    if critical:
        first = critical[0]
        reason = f"Step{first.phase}"
        return Standing(WorkflowPhase.FAILED, reason, f"{first.name}: {first.reason}: {first.message}"[:1024])
    if bad:
        names = ", ".join(record.name for _, record in bad)
        return Standing(WorkflowPhase.PARTIALLY_COMPLETED, "StepsFailed", f"Not critical, and failed: {names}.")
    return Standing(WorkflowPhase.COMPLETED, "Completed")


def standing_now(
    records: Mapping[str, StepStatus], directive: Directive, is_moving: bool, trouble: str
) -> Standing:
    """Where a workflow stands that is not over."""
    if not is_moving and StepPhase.INDETERMINATE in phases_of(records):
        unknown = [name for name, record in records.items() if record.phase is StepPhase.INDETERMINATE]
        message = f"A person must say what became of {', '.join(unknown)}: kubernaut resolve."
        return Standing(WorkflowPhase.INDETERMINATE, "StepIndeterminate", message)
    if trouble:
        return Standing(WorkflowPhase.RUNNING, "CannotStart", trouble[:1024])
    if directive.stop is not None:
        return Standing(WorkflowPhase.RUNNING, f"Stopping{directive.stop}", directive.message)
    if directive.is_suspended:
        return Standing(WorkflowPhase.RUNNING, "Suspended", "Nothing new is started until it is resumed.")
    return Standing(WorkflowPhase.RUNNING, "Running")
