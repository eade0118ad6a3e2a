"""`WorkflowExecution` (workflowexecution.kubernaut.ai/v1alpha1, short name `wfe`): one run of a DAG of steps.

What was asked stands in `spec` and never changes, except that `spec.requests` grows. What came of it stands
in `status`: one bounded record per step, and the catalogue entries that were in force when the run was
admitted, so that a later change of the catalogue cannot reach into a run.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kubernaut.api.contract import ContractSpec
from kubernaut.api.meta import (
    JSON,
    Condition,
    DurationText,
    Frozen,
    LocalReference,
    Name,
    ObjectMeta,
    ObjectReference,
    Requester,
    ShortText,
    Text,
)
from kubernaut.api.names import WORKFLOW_API

MAX_STEPS = 1000
"""Plain ones fit into one object whatever becomes of them; how many others do is counted (`admission.size`)."""
MAX_REQUESTS = 64
RECORD_TEXT = 512
"""Bytes within JSON of a step's message, and of its outputs, in the status of a workflow of usual size."""
_ALL_RECORD_TEXT = 96_000


class WorkflowPhase(StrEnum):
    """Where a workflow stands. The allowed moves are in `planning.phases`."""

    PENDING = "Pending"
    VALIDATING = "Validating"
    WAITING_APPROVAL = "WaitingApproval"
    QUEUED = "Queued"
    RUNNING = "Running"
    VERIFYING = "Verifying"
    ROLLING_BACK = "RollingBack"
    COMPLETED = "Completed"
    PARTIALLY_COMPLETED = "PartiallyCompleted"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    ABORTED = "Aborted"
    TIMED_OUT = "TimedOut"
    INDETERMINATE = "Indeterminate"
    ROLLED_BACK = "RolledBack"


class StepPhase(StrEnum):
    """Where a step stands. The allowed moves are in `planning.phases`."""

    # Enum hashes in Python code; a turn asks tens of thousands of phases whether they are in a set.
    __hash__ = str.__hash__

    PENDING = "Pending"
    BLOCKED = "Blocked"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    INDETERMINATE = "Indeterminate"
    ROLLED_BACK = "RolledBack"


Executed = Literal["yes", "no", "unknown"]
"""Whether an attempt may have changed anything. Only `no` is ever run again on our own decision."""

ActionType = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9_-]*$",
        max_length=100,
        description="domain/action, for example kubernetes/scale_deployment.",
    ),
]
ImageReference = Annotated[
    str,
    Meta(
        pattern="^[^@ ]+@sha256:[a-f0-9]{64}$",
        max_length=512,
        description="An image by digest; a tag alone could change under the run.",
    ),
]
Inputs = Annotated[
    Mapping[str, JSON],
    Meta(
        description="Values by input name. Strings may hold $(params.x), $(steps.<name>.outputs.<key>) and "
        "$(workflow.name). Inputs that the contract marks secret take {secretKeyRef: {name, key}}.",
        extra_json_schema={"x-kubernetes-preserve-unknown-fields": True},
    ),
]


class Backoff(Frozen, frozen=True, kw_only=True):
    """Wait before attempt n+1: min(cap, base * factor^(n-1)), give or take `jitter` percent."""

    base: DurationText = "10s"
    cap: DurationText = "5m"
    factor: Annotated[float, Meta(ge=1, le=10)] = 2
    jitter: Annotated[int, Meta(ge=0, le=100, description="Percent of the wait, up or down.")] = 10


class Retry(Frozen, frozen=True, kw_only=True):
    """Further attempts of a step, made only where the last one surely ran not, or is idempotent."""

    limit: Annotated[int, Meta(ge=0, le=10)] = 0
    backoff: Backoff = Backoff()


class Step(Frozen, frozen=True, kw_only=True):
    """One action of the workflow."""

    name: Name
    action_type: ActionType
    image: ImageReference | None = None
    inputs: Inputs = {}
    run_after: Annotated[tuple[Name, ...], Meta(max_length=MAX_STEPS)] = ()
    uses_workspace: bool = False
    timeout: DurationText | None = None
    retry: Retry = Retry()
    when: Annotated[
        tuple[Annotated[str, Meta(max_length=1024)], ...],
        Meta(
            max_length=16,
            description="CEL over params, steps and workflow; all must hold, else the step is Skipped.",
        ),
    ] = ()
    critical: Annotated[
        bool, Meta(description="A failure fails the workflow; else it goes on and ends PartiallyCompleted.")
    ] = True
    service_account_name: Annotated[str, Meta(max_length=253)] = ""
    cluster: Annotated[str, Meta(max_length=253, description="Reserved for runs in several clusters.")] = ""


class RetryOf(Frozen, frozen=True, kw_only=True):
    """The finished execution whose results are kept; everything that did not succeed there runs here."""

    name: ShortText
    uid: ShortText = ""
    from_step: Annotated[str, Meta(max_length=63)] = ""


class Request(Frozen, frozen=True, kw_only=True):
    """What an operator asks of a running execution. Appended, never changed or removed."""

    type: Literal["cancel", "abort", "suspend", "resume", "resolve", "clear"]
    at: datetime | None = None
    requester: Requester = Requester()
    reason: Text = ""
    step: Annotated[str, Meta(max_length=63, description="resolve: the Indeterminate step.")] = ""
    outcome: Annotated[
        str, Meta(pattern="^(|succeeded|failed)$", max_length=9, description="resolve: what really happened.")
    ] = ""


def _named_list(max_length: int, key: str = "name") -> Meta:
    return Meta(
        max_length=max_length,
        extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]},
    )


def _whole_list(max_length: int) -> Meta:
    # Written whole, by one writer. As a map the API server would keep a note about each field of each entry in
    # metadata.managedFields, about as much again as the entries themselves.
    return Meta(max_length=max_length, extra_json_schema={"x-kubernetes-list-type": "atomic"})


class WorkflowSpec(Frozen, frozen=True, kw_only=True):
    """What is asked."""

    workflow_type: ShortText = ""
    reason: Text = ""
    target_resource: ObjectReference | None = None
    remediation_request_ref: ObjectReference | None = None
    requires_approval: bool = False
    engine: Literal["auto", "job", "tekton"] = "auto"
    parallelism: (
        Annotated[
            int,
            Meta(
                ge=1, le=50, description="Steps at the same time. Without it the controller's setting counts (5)."
            ),
        ]
        | None
    ) = None
    timeout: DurationText = "1h"
    rollback_strategy: Literal["automatic", "manual", "none"] = "manual"
    parameters: Annotated[
        Mapping[str, JSON], Meta(extra_json_schema={"x-kubernetes-preserve-unknown-fields": True})
    ] = {}
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    retry_of: RetryOf | None = None
    rollback_of: RetryOf | None = None
    requester: Requester = Requester()
    requests: Annotated[tuple[Request, ...], Meta(max_length=MAX_REQUESTS)] = ()
    steps: Annotated[tuple[Step, ...], _named_list(MAX_STEPS), Meta(min_length=1)]
    finally_: Annotated[tuple[Step, ...], _named_list(50)] = msgspec.field(default=(), name="finally")


class PinnedAction(Frozen, frozen=True, kw_only=True):
    """A catalogue entry as it was when the run was admitted; the run looks nothing up later."""

    key: Annotated[str, Meta(max_length=620)]
    """Action type, and the image where a step names its own: `pin_key`."""
    action_type: ShortText
    image: Annotated[str, Meta(max_length=512)]
    service_account_name: ShortText
    contract: ContractSpec


class StepStatus(Frozen, frozen=True, kw_only=True):
    """The bounded record of one step (aim: under 1.5 kB each)."""

    name: ShortText
    phase: StepPhase = StepPhase.PENDING
    reason: ShortText = ""
    message: Text = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    attempts: int = 0
    executed: Executed | None = None
    execution: LocalReference | None = None
    """The ActionExecution, and so the proof that this step was started: one with another UID is not ours."""
    fence: ShortText = ""
    """UID of the Lease that was made for it."""
    outputs: Annotated[
        Mapping[str, JSON], Meta(extra_json_schema={"x-kubernetes-preserve-unknown-fields": True})
    ] = {}
    """Only while they fit `record_bytes`; larger ones stand on the ActionExecution."""
    rollback_available: bool = False
    kept_from: ShortText = ""
    """Name of the earlier execution whose result this is (`spec.retryOf`)."""


class EngineDecision(Frozen, frozen=True, kw_only=True):
    name: ShortText
    reason: Text = ""


class ApprovalRecord(Frozen, frozen=True, kw_only=True):
    """Which request was made for which plan, and who decided."""

    request: LocalReference
    plan_hash: ShortText
    decided_by: Annotated[tuple[ShortText, ...], Meta(max_length=16)] = ()


class WorkflowStatus(Frozen, frozen=True, kw_only=True):
    """What came of it."""

    phase: WorkflowPhase = WorkflowPhase.PENDING
    reason: ShortText = ""
    message: Annotated[str, Meta(max_length=4096)] = ""
    observed_generation: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    spec_hash: ShortText = ""
    """Hash of everything in spec but `requests`: what was admitted is what runs."""
    engine: EngineDecision | None = None
    progress: ShortText = ""
    """Finished steps of all steps, for the columns of `kubectl get`: "2/4"."""
    suspended: bool = False
    workspace_pvc: ShortText = msgspec.field(default="", name="workspacePVC")
    approval_status: ShortText = ""
    approval: ApprovalRecord | None = None
    steps: Annotated[tuple[StepStatus, ...], _whole_list(MAX_STEPS + 50)] = ()
    actions: Annotated[tuple[PinnedAction, ...], _whole_list(256)] = ()
    conditions: Annotated[tuple[Condition, ...], _named_list(16, "type")] = ()


class WorkflowExecution(Frozen, frozen=True, kw_only=True):
    """A workflow and what came of it."""

    api_version: str = WORKFLOW_API
    kind: str = "WorkflowExecution"
    metadata: ObjectMeta
    spec: WorkflowSpec
    status: WorkflowStatus = WorkflowStatus()


def record_bytes(steps: int) -> int:
    """Bytes within JSON that the record of one of so many steps (`finally` included) may give to its message.

    As many it may give to its outputs. The ActionExecution has both whole: the record is for reading at a glance.
    """
    return min(RECORD_TEXT, _ALL_RECORD_TEXT // max(1, steps))


def pin_key(step: Step) -> str:
    """What identifies the pinned catalogue entry of a step: its type, and its own image if it names one."""
    return f"{step.action_type}@{step.image}" if step.image else step.action_type


def resolution_of(workflow: WorkflowExecution, record: StepStatus) -> Request | None:
    """What a person said about a step of unknown outcome; only words said after it became unknown count."""
    since = record.completed_at
    for request in workflow.spec.requests:
        is_about_it = request.type == "resolve" and request.step == record.name and bool(request.outcome)
        if is_about_it and request.at is not None and since is not None and request.at >= since:
            return request
    return None
