"""How large the object of a workflow could grow: the API server's store takes no object above some size.

The bound is that of the worst run: every step with a full message and full outputs. The API server keeps beside
each field a note of who wrote it (`metadata.managedFields`), about as large as the field names themselves.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from kubernaut.admission.survey import Survey
from kubernaut.api.faults import Fault
from kubernaut.api.meta import Condition, LocalReference
from kubernaut.api.workflow import (
    ApprovalRecord,
    EngineDecision,
    PinnedAction,
    StepPhase,
    StepStatus,
    WorkflowPhase,
    WorkflowSpec,
    WorkflowStatus,
    record_bytes,
)

MOST_BYTES = 1_000_000
MOST_PINS = 256

_MOMENT = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_UID = "f" * 36
_REASON = "R" * 64
_STATUS_NOTES = 1_500
"""metadata.managedFields of the status' own fields; each of its lists is one of them."""


def size_faults(survey: Survey) -> Iterator[Fault]:
    """A workflow whose object could outgrow the store."""
    workflow = survey.workflow
    pins = [known.action for known in survey.known.values()]
    if len(pins) > MOST_PINS:
        message = f"uses {len(pins)} different actions and images: at most {MOST_PINS} are allowed"
        yield Fault("spec.steps", message, "Split the workflow.")
    spec = 2 * len(msgspec.json.encode(workflow.spec)) + len(msgspec.json.encode(workflow.metadata))
    status = worst_status_bytes(workflow.spec, pins)
    total = spec + status
    if total > MOST_BYTES:
        yield Fault(
            "spec",
            f"the object could grow to {total / 1000:.0f} kB: at most {MOST_BYTES // 1000} kB are allowed "
            f"(what is asked {spec / 1000:.0f} kB, its status at worst {status / 1000:.0f} kB)",
            "Split the workflow into several, or shorten inputs and parameters.",
        )


def worst_status_bytes(spec: WorkflowSpec, pins: list[PinnedAction]) -> int:
    """Bytes of the largest status that a run of this workflow can come to."""
    names = [step.name for step in (*spec.steps, *spec.finally_)]
    head = len(msgspec.json.encode(_WORST_HEAD)) + _STATUS_NOTES
    # Message and outputs: as much each as `planning` gives a record of so many steps.
    each = len(msgspec.json.encode(_WORST_RECORD)) + 2 * record_bytes(len(names)) + len(",")
    kept = len(spec.retry_of.name) if spec.retry_of else 0
    contracts = sum(len(msgspec.json.encode(pin)) + 1 for pin in pins)
    # A record names its step twice: itself, and within the name of its ActionExecution (63 at most, counted).
    return head + contracts + sum(each + kept + len(name.encode()) for name in names)


_WORST_RECORD = StepStatus(
    name="",
    phase=StepPhase.INDETERMINATE,
    reason=_REASON,
    message=" ",
    started_at=_MOMENT,
    completed_at=_MOMENT,
    attempts=11,
    executed="unknown",
    execution=LocalReference(name="n" * 63, uid=_UID),
    fence=_UID,
    outputs={"": 0},
    rollback_available=True,
    kept_from=" ",
)
_WORST_HEAD = WorkflowStatus(
    phase=WorkflowPhase.PARTIALLY_COMPLETED,
    reason=_REASON,
    message="m" * 4096,
    observed_generation=2**31,
    started_at=_MOMENT,
    completed_at=_MOMENT,
    spec_hash="f" * 64,
    engine=EngineDecision(name="tekton", reason="r" * 256),
    progress="1000/1050",
    suspended=True,
    workspace_pvc="w" * 63,
    approval_status="Superseded",
    approval=ApprovalRecord(
        request=LocalReference(name="r" * 63, uid="u" * 36),
        plan_hash="sha256:" + "f" * 64,
        decided_by=("n" * 253,) * 16,
    ),
    conditions=tuple(
        Condition(
            type=kind,
            status="Unknown",
            reason=_REASON,
            message="m" * 256,
            last_transition_time=_MOMENT,
            observed_generation=2**31,
        )
        for kind in ("Succeeded", "Ready", "Reconciling", "Stalled")
    ),
)
