"""What is asked of a running workflow: by its requests, by its deadline, by its deletion."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from kubernaut.api.duration import from_duration
from kubernaut.api.workflow import Request, StepStatus, WorkflowExecution
from kubernaut.planning.facts import Limits
from kubernaut.planning.phases import STEP_ENDED

StopReason = Literal["Cancelled", "Aborted", "TimedOut", "Deleted"]


@dataclass(frozen=True)
class Directive:
    """`stop` ends the main steps; `stop_finally` ends the `finally` steps too and starts none of them."""

    stop: StopReason | None = None
    message: str = ""
    stop_finally: bool = False
    is_suspended: bool = False
    is_tampered: bool = False
    """Spec differs from what was admitted: nothing more is started."""
    is_overdue: bool = False
    """Deleted, and the time for stopping has run out: what still runs is let go as unknown."""

    @property
    def is_by_person(self) -> bool:
        """A person ended the run, so steps of unknown outcome no longer hold it."""
        return self.stop in ("Cancelled", "Aborted", "Deleted")


def directive_of(
    workflow: WorkflowExecution,
    now: datetime,
    spec_hash: str,
    limits: Limits,
    records: Mapping[str, StepStatus],
) -> Directive:
    """The strongest of everything that was asked, given what has become of the steps so far."""
    is_suspended = _is_suspended(workflow.spec.requests)
    is_tampered = bool(workflow.status.spec_hash) and workflow.status.spec_hash != spec_hash
    deletion = release_deadline(workflow, limits)
    overdue = deletion is not None and now >= deletion
    if abort := _first(workflow, "abort"):
        return Directive("Aborted", _said(abort), True, is_tampered=is_tampered, is_overdue=overdue)
    if deletion is not None:
        message = "The workflow was deleted."
        return Directive("Deleted", message, overdue or is_tampered, is_tampered=is_tampered, is_overdue=overdue)
    if cancel := _first(workflow, "cancel"):
        return Directive("Cancelled", _said(cancel), is_tampered, is_tampered=is_tampered)
    deadline = deadline_of(workflow)
    if deadline is not None and now >= deadline and _is_in_time_for_a_timeout(workflow, records):
        message = f"The workflow did not end within {workflow.spec.timeout}."
        return Directive("TimedOut", message, is_tampered, is_tampered=is_tampered)
    return Directive(is_suspended=is_suspended, is_tampered=is_tampered, stop_finally=is_tampered)


def _is_in_time_for_a_timeout(workflow: WorkflowExecution, records: Mapping[str, StepStatus]) -> bool:
    """Whether a main step was stopped by the timeout, or still can be: one that ended in time stays so.

    A controller that was away beyond the deadline must not turn a success into a timeout.
    """
    last = {step.name for step in workflow.spec.finally_}
    return any(
        record.phase not in STEP_ENDED or record.reason == "TimedOut"
        for name, record in records.items()
        if name not in last
    )


def deadline_of(workflow: WorkflowExecution) -> datetime | None:
    """When the workflow times out, once it has started."""
    if workflow.status.started_at is None:
        return None
    return workflow.status.started_at + timedelta(seconds=from_duration(workflow.spec.timeout))


def release_deadline(workflow: WorkflowExecution, limits: Limits) -> datetime | None:
    """Until when a deleted workflow may take to stop its steps and run `finally`: twice the grace plus 60 s."""
    deleted = workflow.metadata.deletion_timestamp
    return deleted and deleted + timedelta(seconds=2 * limits.grace_seconds + 60)


def _first(workflow: WorkflowExecution, kind: str) -> Request | None:
    return next((request for request in workflow.spec.requests if request.type == kind), None)


def _is_suspended(requests: tuple[Request, ...]) -> bool:
    asked = [request.type for request in requests if request.type in ("suspend", "resume")]
    return bool(asked) and asked[-1] == "suspend"


def _said(request: Request) -> str:
    by = f" by {request.requester.username}" if request.requester.username else ""
    why = f": {request.reason}" if request.reason else "."
    return f"{request.type.capitalize()} was requested{by}{why}"
