"""Every allowed move of every kind. A missing entry is illegal; no entries means terminal.

Rules for editors: a move that is not in these tables does not happen anywhere, there is no second place. The
diagrams in the documentation are drawn from these tables. Terminal phases have no exits: a retry or a rollback
is a new WorkflowExecution.
"""

from collections.abc import Mapping
from typing import TypeVar

from kubernaut.api.action import ActionPhase as A
from kubernaut.api.approval import ApprovalPhase as R
from kubernaut.api.workflow import StepPhase as S
from kubernaut.api.workflow import WorkflowPhase as W

_ENDS = frozenset(
    {W.COMPLETED, W.PARTIALLY_COMPLETED, W.FAILED, W.CANCELLED, W.ABORTED, W.TIMED_OUT, W.ROLLED_BACK}
)

WORKFLOW: Mapping[W, frozenset[W]] = {
    # A turn may pass through several phases and writes the last, hence the far moves.
    W.PENDING: frozenset({W.VALIDATING, W.WAITING_APPROVAL, W.QUEUED, W.RUNNING, W.INDETERMINATE}) | _ENDS,
    W.VALIDATING: frozenset(
        {W.WAITING_APPROVAL, W.QUEUED, W.RUNNING, W.FAILED, W.CANCELLED, W.ABORTED, W.TIMED_OUT}
    ),
    W.WAITING_APPROVAL: frozenset(
        {W.VALIDATING, W.QUEUED, W.RUNNING, W.FAILED, W.CANCELLED, W.ABORTED, W.TIMED_OUT}
    ),
    W.QUEUED: frozenset({W.RUNNING, W.FAILED, W.CANCELLED, W.ABORTED, W.TIMED_OUT}),
    W.RUNNING: frozenset({W.VERIFYING, W.ROLLING_BACK, W.INDETERMINATE}) | _ENDS,
    W.VERIFYING: frozenset({W.ROLLING_BACK, W.INDETERMINATE}) | _ENDS,
    W.ROLLING_BACK: frozenset({W.ROLLED_BACK, W.FAILED, W.INDETERMINATE, W.ABORTED}),
    # Waits for a person: it ends by what the person says, never by time.
    W.INDETERMINATE: frozenset({W.RUNNING, W.ROLLING_BACK}) | _ENDS,
    **{end: frozenset[W]() for end in _ENDS},
}

_STEP_ENDS = frozenset({S.SUCCEEDED, S.FAILED, S.SKIPPED, S.TIMED_OUT, S.CANCELLED})

STEP: Mapping[S, frozenset[S]] = {
    S.PENDING: frozenset({S.BLOCKED, S.RUNNING, S.INDETERMINATE}) | _STEP_ENDS,
    S.BLOCKED: frozenset({S.PENDING, S.RUNNING}) | _STEP_ENDS,
    S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.CANCELLED, S.INDETERMINATE}),
    S.INDETERMINATE: frozenset({S.SUCCEEDED, S.FAILED}),
    # Only the compensation of a step that succeeded leads here.
    S.SUCCEEDED: frozenset({S.ROLLED_BACK}),
    S.FAILED: frozenset(),
    S.SKIPPED: frozenset(),
    S.TIMED_OUT: frozenset(),
    S.CANCELLED: frozenset(),
    S.ROLLED_BACK: frozenset(),
}

_ACTION_ENDS = frozenset({A.SUCCEEDED, A.FAILED, A.TIMED_OUT, A.CANCELLED})

ACTION: Mapping[A, frozenset[A]] = {
    A.PENDING: frozenset({A.RUNNING, A.INDETERMINATE}) | _ACTION_ENDS,
    A.RUNNING: frozenset({A.INDETERMINATE}) | _ACTION_ENDS,
    # Final for the action; a person resolves it on the workflow's step.
    A.INDETERMINATE: frozenset(),
    **{end: frozenset[A]() for end in _ACTION_ENDS},
}

_APPROVAL_ENDS = frozenset({R.REJECTED, R.EXPIRED, R.WITHDRAWN})

APPROVAL: Mapping[R, frozenset[R]] = {
    R.PENDING: frozenset({R.APPROVED, R.SUPERSEDED}) | _APPROVAL_ENDS,
    # Until the run has started, somebody may still reject it and the plan may still change. Back to Pending goes
    # what people's words do not bear out: then somebody else had written it.
    R.APPROVED: frozenset({R.PENDING, R.SUPERSEDED}) | _APPROVAL_ENDS,
    # The plan may become again what it was.
    R.SUPERSEDED: frozenset({R.PENDING, R.APPROVED}) | _APPROVAL_ENDS,
    **{end: frozenset[R]() for end in _APPROVAL_ENDS},
}

WORKFLOW_TERMINAL = frozenset(phase for phase, exits in WORKFLOW.items() if not exits)
ACTION_TERMINAL = frozenset(phase for phase, exits in ACTION.items() if not exits)
STEP_ENDED = _STEP_ENDS | {S.ROLLED_BACK}
"""The step will not run any more; Succeeded is among them though it can still be rolled back."""

STEP_FAILURES = frozenset({S.FAILED, S.TIMED_OUT, S.CANCELLED})
"""Ends that fail a workflow which nobody stopped. Cancelled is one: then somebody stopped the action alone."""

P = TypeVar("P", W, S, A, R)


def is_allowed(table: Mapping[P, frozenset[P]], before: P, after: P) -> bool:
    """Whether a kind may go from one phase to the other in one write; staying is always allowed."""
    return before == after or after in table[before]


ALIASES: Mapping[str, W] = {
    # Older vocabularies (the KubernetesExecution diagram and list, its controllers, ADR-022), read by importers.
    "": W.PENDING,
    "planning": W.PENDING,
    "Initializing": W.PENDING,
    "validating": W.VALIDATING,
    "validated": W.QUEUED,
    "Preparing": W.QUEUED,
    "waiting_approval": W.WAITING_APPROVAL,
    "executing": W.RUNNING,
    "Executing": W.RUNNING,
    "monitoring": W.VERIFYING,
    "rolling_back": W.ROLLING_BACK,
    "rollback_ready": W.COMPLETED,
    "completed": W.COMPLETED,
    "failed": W.FAILED,
}
