"""Conditions from a status: `Succeeded` (as Tekton and Knative have it) and kstatus' Ready, Reconciling, Stalled.

Waiting for a person before anything ran is progress (`Reconciling`); a step of unknown outcome is `Stalled`,
because nothing will move until a person acts. Format: metav1.Condition; meaning of the kstatus conditions:
sigs.k8s.io/cli-utils/pkg/kstatus.
"""

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from kubernaut.api.action import ActionPhase, ActionStatus
from kubernaut.api.meta import Condition
from kubernaut.api.text import cut
from kubernaut.api.workflow import WorkflowPhase, WorkflowStatus
from kubernaut.planning.facts import WorkflowFacts
from kubernaut.planning.phases import ACTION_TERMINAL, WORKFLOW_TERMINAL

_GOOD_ENDS = {WorkflowPhase.COMPLETED, WorkflowPhase.PARTIALLY_COMPLETED, WorkflowPhase.ROLLED_BACK}
_Standing = Literal["good", "bad", "stuck", "moving"]


def with_conditions(facts: WorkflowFacts, status: WorkflowStatus) -> WorkflowStatus:
    """The status with its conditions and observed generation in step with its phase."""
    generation = facts.workflow.metadata.generation
    if status.phase in _GOOD_ENDS:
        standing: _Standing = "good"
    elif status.phase in WORKFLOW_TERMINAL:
        standing = "bad"
    else:
        standing = "stuck" if status.phase == WorkflowPhase.INDETERMINATE else "moving"
    before = facts.workflow.status.conditions
    after = _conditions(standing, status.reason or status.phase, status.message, generation, facts.now, before)
    return replace(status, conditions=after, observed_generation=generation)


def with_action_conditions(status: ActionStatus, generation: int, now: datetime) -> ActionStatus:
    """The same for an ActionExecution."""
    if status.phase == ActionPhase.SUCCEEDED:
        standing: _Standing = "good"
    elif status.phase == ActionPhase.INDETERMINATE:
        standing = "stuck"
    else:
        standing = "bad" if status.phase in ACTION_TERMINAL else "moving"
    reason = status.reason or status.phase
    after = _conditions(standing, reason, status.message, generation, now, status.conditions)
    return replace(status, conditions=after, observed_generation=generation)


def _conditions(
    standing: _Standing,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
    before: tuple[Condition, ...],
) -> tuple[Condition, ...]:
    truths = {
        "Succeeded": {"good": "True", "bad": "False"}.get(standing, "Unknown"),
        "Ready": "True" if standing == "good" else "False",
        "Reconciling": "True" if standing == "moving" else "False",
        "Stalled": "True" if standing in ("bad", "stuck") else "False",
    }
    old = {condition.type: condition for condition in before}
    return tuple(
        Condition(
            type=kind,
            status=truth,
            reason=reason,
            message=cut(message, 256) if kind == "Succeeded" else "",
            last_transition_time=old[kind].last_transition_time
            if kind in old and old[kind].status == truth
            else now,
            observed_generation=generation,
        )
        for kind, truth in truths.items()
    )
