"""What became of started steps: their records brought up to date with what is observed."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from operator import attrgetter

from msgspec.structs import replace

from kubernaut.api.action import ActionPhase
from kubernaut.api.meta import JSON
from kubernaut.api.text import cut
from kubernaut.api.workflow import StepPhase, StepStatus, WorkflowExecution, record_bytes, resolution_of
from kubernaut.planning.facts import ExecutionFacts, WorkflowFacts

_phase_of = attrgetter("phase")

RESOLVED_BY_PERSON = "ResolvedByPerson"

_STEP_PHASE = {
    ActionPhase.SUCCEEDED: StepPhase.SUCCEEDED,
    ActionPhase.FAILED: StepPhase.FAILED,
    ActionPhase.TIMED_OUT: StepPhase.TIMED_OUT,
    ActionPhase.CANCELLED: StepPhase.CANCELLED,
    ActionPhase.INDETERMINATE: StepPhase.INDETERMINATE,
}


def observed_records(facts: WorkflowFacts) -> dict[str, StepStatus]:
    """The records by step name; those of running and indeterminate steps brought up to date."""
    records = {record.name: record for record in facts.workflow.status.steps}
    if StepPhase.RUNNING in phases_of(records) or StepPhase.INDETERMINATE in phases_of(records):
        for name, record in records.items():
            if record.phase is StepPhase.RUNNING:
                records[name] = _observed(facts, record)
            elif record.phase is StepPhase.INDETERMINATE:
                records[name] = resolved(facts, facts.workflow, record)
    return records


def count_phases(records: Mapping[str, StepStatus]) -> Counter[StepPhase]:
    """How many steps stand where."""
    return Counter(phases_of(records))


def phases_of(records: Mapping[str, StepStatus]) -> Iterator[StepPhase]:
    """Where the steps stand. Asked of all of them many times a turn, so without a loop in Python."""
    return map(_phase_of, records.values())


def told(facts: WorkflowFacts, text: str) -> str:
    """A message as it fits the record of a step of this workflow."""
    return cut(text, room_of(facts))


def room_of(facts: WorkflowFacts) -> int:
    """Bytes that a record may give to its message, and to its outputs."""
    spec = facts.workflow.spec
    return record_bytes(len(spec.steps) + len(spec.finally_))


def outputs_of(facts: WorkflowFacts, record: StepStatus) -> Mapping[str, JSON]:
    """All outputs of a step that succeeded."""
    execution = facts.executions.get(record.name)
    if execution is not None and record.execution is not None and execution.uid == record.execution.uid:
        return execution.outputs
    if record.kept_from and facts.earlier is not None:
        return facts.earlier.outputs.get(record.name, record.outputs)
    return record.outputs


def _observed(facts: WorkflowFacts, record: StepStatus) -> StepStatus:
    execution = facts.executions.get(record.name)
    if execution is None or record.execution is None or execution.uid != record.execution.uid:
        return replace(
            record,
            phase=StepPhase.INDETERMINATE,
            reason="ExecutionLost",
            message="It was started and its ActionExecution is gone. Look at the target, then: kubernaut resolve.",
            completed_at=facts.now,
            executed="unknown",
        )
    phase = _STEP_PHASE.get(execution.status.phase)
    return _waiting(facts, record, execution) if phase is None else _ended(facts, record, execution, phase)


def _waiting(facts: WorkflowFacts, record: StepStatus, execution: ExecutionFacts) -> StepStatus:
    status = execution.status
    reason = cut(status.reason, 64) if status.waiting or status.next_attempt_at else ""
    # Only ended ones: that an attempt began is no news worth a write.
    attempts = sum(1 for attempt in status.attempts if attempt.completed_at is not None)
    if (reason, attempts) == (record.reason, record.attempts):
        return record
    message = cut(status.message, min(256, room_of(facts))) if reason else ""
    return replace(record, reason=reason, message=message, attempts=attempts)


def _ended(facts: WorkflowFacts, record: StepStatus, execution: ExecutionFacts, phase: StepPhase) -> StepStatus:
    status = execution.status
    return replace(
        record,
        phase=phase,
        reason="" if phase == StepPhase.SUCCEEDED else cut(status.reason, 64),
        message="" if phase == StepPhase.SUCCEEDED else told(facts, status.message),
        completed_at=status.completed_at,
        attempts=len(status.attempts),
        executed=status.executed,
        outputs=inline(facts, execution.outputs),
        rollback_available=status.rollback is not None,
    )


def inline(facts: WorkflowFacts, outputs: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The outputs if they fit the record of a step, else none: then they stand on the ActionExecution only."""
    return outputs if len(json.dumps(outputs, default=str)) <= room_of(facts) else {}


def resolved(facts: WorkflowFacts, workflow: WorkflowExecution, record: StepStatus) -> StepStatus:
    """A step of unknown outcome of this or an earlier workflow as a person has resolved it; else as it was."""
    request = resolution_of(workflow, record) if record.phase is StepPhase.INDETERMINATE else None
    if request is None:
        return record
    by = request.requester.username or "a person"
    return replace(
        record,
        phase=StepPhase.SUCCEEDED if request.outcome == "succeeded" else StepPhase.FAILED,
        reason=RESOLVED_BY_PERSON,
        message=told(facts, f"{by} says that it {request.outcome}: {request.reason}"),
        completed_at=facts.now,
    )
