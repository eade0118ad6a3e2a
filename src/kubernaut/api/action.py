"""`ActionExecution` (execution.kubernaut.ai/v1alpha1, short name `ae`): one action, run once.

Made by the job engine for each step, or by a user alone (then it starts by itself). It carries everything its
attempts need, already resolved and pinned, and everything that came of them.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from kubernaut.api.contract import ContractSpec
from kubernaut.api.meta import (
    JSON,
    Condition,
    DurationText,
    Frozen,
    LocalReference,
    ObjectMeta,
    ObjectReference,
    SecretKeyRef,
    ShortText,
    Text,
)
from kubernaut.api.names import EXECUTION_API
from kubernaut.api.workflow import ActionType, Executed, ImageReference, Inputs, Retry

MOST_INPUT_BYTES = 800_000
"""Of one action's inputs as they are stored: the rest of a megabyte is for its contract and its status."""


class ActionPhase(StrEnum):
    """Where an action stands. The allowed moves are in `planning.phases`."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    INDETERMINATE = "Indeterminate"


class Stop(Frozen, frozen=True, kw_only=True):
    """Asks the running attempt to end; written once by the workflow, or by a user on a lone execution."""

    reason: Literal["Cancelled", "Aborted", "TimedOut", "Deleted"]
    at: datetime
    message: Text = ""


class SecretInput(Frozen, frozen=True, kw_only=True):
    """A secret input: mounted as the file `<input>`, never copied."""

    input: ShortText
    secret_key_ref: SecretKeyRef


class ImageVerification(Frozen, frozen=True, kw_only=True):
    """How strictly the image's signatures are judged (the judge comes with the trust room)."""

    policy: Literal["strict", "warn"] = "strict"


class ActionSpec(Frozen, frozen=True, kw_only=True):
    """What is to be run; all references are resolved, the contract is pinned."""

    action_type: ActionType
    image: ImageReference
    image_verification: ImageVerification = ImageVerification()
    inputs: Inputs = {}
    secret_inputs: Annotated[tuple[SecretInput, ...], Meta(max_length=64)] = ()
    service_account_name: ShortText = ""
    timeout: DurationText = "5m"
    retry: Retry = Retry()
    contract: ContractSpec
    workflow_ref: LocalReference | None = None
    """The WorkflowExecution; without it the action is alone and starts by itself."""
    step: ShortText = ""
    workspace_claim: ShortText = ""
    target_resource: ObjectReference | None = None
    correlation_id: ShortText = ""
    cluster: ShortText = ""
    stop: Stop | None = None


class Change(Frozen, frozen=True, kw_only=True):
    """One object that the action changed, as the runner saw it (bounded by the runner, redacted)."""

    kind: ShortText = ""
    namespace: ShortText = ""
    name: ShortText = ""
    action: ShortText = ""
    before: JSON = None
    after: JSON = None


class Waiting(Frozen, frozen=True, kw_only=True):
    """Why an attempt does not get going: image, quota, missing Secret, no node..."""

    reason: ShortText
    message: Text = ""
    since: datetime | None = None


class Attempt(Frozen, frozen=True, kw_only=True):
    """One Job, and how it ended."""

    number: int
    job: ShortText = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    succeeded: bool | None = None
    executed: Executed = "unknown"
    reason: ShortText = ""
    message: Text = ""
    exit_code: int | None = None


Free = {"x-kubernetes-preserve-unknown-fields": True}


class ActionStatus(Frozen, frozen=True, kw_only=True):
    """What came of it."""

    phase: ActionPhase = ActionPhase.PENDING
    reason: ShortText = ""
    message: Text = ""
    observed_generation: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    attempts: Annotated[tuple[Attempt, ...], Meta(max_length=16)] = ()
    next_attempt_at: datetime | None = None
    """Not before this moment is the next attempt made."""
    fence: ShortText = ""
    """UID of the fence Lease of a lone execution (a workflow keeps it in its own status)."""
    executed: Executed | None = None
    outputs: Annotated[Mapping[str, JSON], Meta(extra_json_schema=Free)] = {}
    rollback: Annotated[Mapping[str, JSON], Meta(extra_json_schema=Free)] | None = None
    results_config_map: ShortText = ""
    """The ConfigMap that holds outputs and rollback information too large for here."""
    changes: Annotated[tuple[Change, ...], Meta(max_length=32)] = ()
    waiting: Waiting | None = None
    log_tail: Annotated[str, Meta(max_length=2048)] = ""
    """The end of a failed attempt's log, redacted."""
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            max_length=16,
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()


class ActionExecution(Frozen, frozen=True, kw_only=True):
    """One action and what came of it."""

    api_version: str = EXECUTION_API
    kind: str = "ActionExecution"
    metadata: ObjectMeta
    spec: ActionSpec
    status: ActionStatus = ActionStatus()
