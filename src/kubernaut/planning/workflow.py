"""What happens next to one WorkflowExecution.

The order of a turn: what was asked of the run (cancel, abort, suspend, time, deletion) -> what became of started
steps -> what became impossible -> what may start -> where the workflow stands. Whatever is created is created
first and recorded by the turn that sees it; so a crash between the two is mended by the next turn, and one status
write covers the end of some steps and the start of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from kubernaut.api.action import Stop
from kubernaut.api.graph import Graph
from kubernaut.api.names import FINALIZER, workspace_name
from kubernaut.api.text import cut
from kubernaut.api.workflow import Step, StepPhase, StepStatus, WorkflowStatus
from kubernaut.planning.admit import admit
from kubernaut.planning.conditions import with_conditions
from kubernaut.planning.directive import Directive, deadline_of, directive_of, release_deadline
from kubernaut.planning.facts import WorkflowFacts
from kubernaut.planning.finish import Standing, final_standing, is_over, standing_now
from kubernaut.planning.phases import STEP_ENDED, STEP_FAILURES, WORKFLOW_TERMINAL
from kubernaut.planning.readiness import conditions_to_ask, settle
from kubernaut.planning.records import count_phases, observed_records, phases_of
from kubernaut.planning.start import Started, start
from kubernaut.planning.turns import (
    DeleteWorkspace,
    RemoveFinalizer,
    StopExecution,
    Turn,
    WorkflowChange,
    WriteWorkflowStatus,
)

WorkflowTurn = Turn[WorkflowChange]

_OPEN = frozenset({StepPhase.PENDING, StepPhase.BLOCKED})
_NEVER_STARTED = frozenset({StepPhase.CANCELLED, StepPhase.SKIPPED})
_FAILED = ("WorkflowFailed", "A critical step failed before it could start.")


@dataclass
class _Draft:
    """The turn under construction. Lives within one call of `decide`."""

    facts: WorkflowFacts
    directive: Directive
    main: Mapping[str, Step]
    last: Mapping[str, Step]
    records: dict[str, StepStatus]
    changes: list[WorkflowChange] = field(default_factory=list[WorkflowChange])
    is_starting: bool = False
    """Something was created that the next turn records: the status waits for it."""
    queued: int = 0
    """Steps that are ready, and wait for a place."""


def decide(facts: WorkflowFacts) -> WorkflowTurn:
    """The next turn of one WorkflowExecution."""
    workflow = facts.workflow
    if workflow.status.phase in WORKFLOW_TERMINAL:
        return _let_go(facts)
    if not workflow.status.spec_hash:
        return admit(facts)
    draft = _draft(facts)
    _advance(draft, draft.main, facts.graph, draft.directive.stop is not None or _is_failing(draft))
    _give_up_if_overdue(draft, draft.main)
    if is_over(draft.main, draft.records, draft.directive):
        _advance(draft, draft.last, facts.finally_graph, draft.directive.stop_finally)
        _give_up_if_overdue(draft, draft.last)
    return _turn(draft)


def steps_to_ask(facts: WorkflowFacts) -> tuple[list[Step], dict[str, StepStatus]]:
    """Steps whose `when` has to be evaluated for this turn, and the records that they may refer to."""
    if not facts.workflow.status.spec_hash or facts.workflow.status.phase in WORKFLOW_TERMINAL:
        return [], {}
    draft = _draft(facts)
    if draft.directive.is_tampered:
        return [], {}
    if not is_over(draft.main, draft.records, draft.directive):
        return conditions_to_ask(facts, draft.main, facts.graph, draft.records), draft.records
    # Not before the records show how every main step ended: the conditions of `finally` are about that.
    return conditions_to_ask(facts, draft.last, facts.finally_graph, draft.records), draft.records


def _draft(facts: WorkflowFacts) -> _Draft:
    records = observed_records(facts)
    directive = directive_of(facts.workflow, facts.now, facts.spec_hash, facts.limits, records)
    if directive.is_tampered:
        # What the spec says now was never admitted. What is recorded is waited for; nothing is looked up.
        return _Draft(facts, directive, {name: _unnamed(name) for name in records}, {}, records)
    return _Draft(facts, directive, facts.graph.steps, facts.finally_graph.steps, records)


def _unnamed(name: str) -> Step:
    return Step(name=name, action_type="unknown/unknown")


def _is_failing(draft: _Draft) -> bool:
    if draft.directive.is_tampered:
        return True
    if STEP_FAILURES.isdisjoint(phases_of(draft.records)):
        return False
    records = draft.records
    return any(step.critical and records[name].phase in STEP_FAILURES for name, step in draft.main.items())


def _advance(draft: _Draft, steps: Mapping[str, Step], graph: Graph, is_closing: bool) -> None:
    """Moves one list of steps on: closes the open ones, or starts those that are ready."""
    if is_closing:
        _close(draft, steps)
        return
    ready = settle(draft.facts, steps, graph, draft.records)
    # A condition that failed to evaluate may just have failed a critical step.
    if steps is draft.main and _is_failing(draft):
        _close(draft, steps)
        return
    if draft.directive.is_suspended or not ready:
        return
    _start(draft, steps, ready)
    if steps is draft.main and _is_failing(draft):
        _close(draft, steps)


def _start(draft: _Draft, steps: Mapping[str, Step], ready: list[str]) -> None:
    facts = draft.facts
    wanted = facts.workflow.spec.parallelism or facts.limits.default_parallel
    limit = min(wanted, facts.limits.max_parallel)
    running = count_phases(draft.records)[StepPhase.RUNNING]
    moves: dict[str, Started] = {}
    for name in ready:
        if running >= limit:
            break
        moves[name] = start(facts, steps[name], draft.records)
        running += moves[name].record.phase != StepPhase.FAILED
    draft.queued += len(ready) - len(moves)
    failed = {name for name, started in moves.items() if started.record.phase == StepPhase.FAILED}
    if steps is draft.main and any(steps[name].critical for name in failed):
        # Nothing new beside a step that fails the workflow.
        moves = {name: moves[name] for name in failed}
    for name, started in moves.items():
        draft.records[name] = started.record
        draft.is_starting = draft.is_starting or bool(started.changes)
        draft.changes += [change for change in started.changes if change not in draft.changes]


def _close(draft: _Draft, steps: Mapping[str, Step]) -> None:
    """Steps that have not started will not: cancelled by request, skipped after a failure."""
    stop = draft.directive.stop
    why = ("SpecChanged", "The spec was changed.") if draft.directive.is_tampered else _FAILED
    for name in steps:
        record = draft.records[name]
        if record.phase in _OPEN:
            draft.records[name] = replace(
                record,
                phase=StepPhase.CANCELLED if stop else StepPhase.SKIPPED,
                reason=stop or why[0],
                message="" if stop else why[1],
                completed_at=draft.facts.now,
                executed="no",
            )
    _stop_actions(draft, steps)


def _stop_actions(draft: _Draft, steps: Mapping[str, Step]) -> None:
    """Ends running actions if that is asked; and those that had been made for steps that will not start."""
    stop, facts = draft.directive.stop, draft.facts
    endings = _NEVER_STARTED | {StepPhase.RUNNING} if stop else _NEVER_STARTED
    for name, execution in facts.executions.items():
        if name not in steps or draft.records[name].phase not in endings:
            continue
        is_ours = execution.owner_uid == facts.workflow.metadata.uid
        if is_ours and execution.spec.stop is None and not execution.status.completed_at:
            message = cut(draft.directive.message or draft.records[name].message, 1024)
            order = Stop(reason=stop or "Cancelled", at=facts.now, message=message)
            draft.changes.append(StopExecution(execution.name, execution.uid, order))


def _give_up_if_overdue(draft: _Draft, steps: Mapping[str, Step]) -> None:
    """A deleted workflow is not held for ever by an action that does not end."""
    if not draft.directive.is_overdue:
        return
    for name in steps:
        record = draft.records[name]
        if record.phase == StepPhase.RUNNING:
            draft.records[name] = replace(
                record,
                phase=StepPhase.INDETERMINATE,
                reason="GivenUp",
                message="The workflow was deleted, and the action did not end in time.",
                completed_at=draft.facts.now,
                executed="unknown",
            )


def _turn(draft: _Draft) -> WorkflowTurn:
    facts = draft.facts
    look_again = _look_again(draft)
    if draft.is_starting and not facts.trouble:
        return Turn(tuple(draft.changes), look_again, draft.queued)
    if not draft.is_starting and is_over(draft.records, draft.records, draft.directive):
        steps = (*draft.main.values(), *draft.last.values())
        standing = final_standing(steps, draft.records, draft.directive)
        if facts.workspace == "present":
            meta = facts.workflow.metadata
            draft.changes.append(DeleteWorkspace(workspace_name(meta.name, meta.uid)))
        status = replace(_status(draft, standing), completed_at=facts.now)
    else:
        moving = draft.is_starting or StepPhase.RUNNING in phases_of(draft.records)
        status = _status(draft, standing_now(draft.records, draft.directive, moving, facts.trouble))
    status = with_conditions(facts, status)
    if status != facts.workflow.status:
        # What the cluster refused is told first: the change that was refused may well be refused again.
        place = 0 if draft.is_starting else len(draft.changes)
        draft.changes.insert(place, WriteWorkflowStatus(status))
    return Turn(tuple(draft.changes), look_again, draft.queued)


def _status(draft: _Draft, standing: Standing) -> WorkflowStatus:
    before = draft.facts.workflow.status
    counts = count_phases(draft.records)
    ended = sum(counts[phase] for phase in STEP_ENDED)
    meta = draft.facts.workflow.metadata
    return replace(
        before,
        phase=standing.phase,
        reason=standing.reason,
        # Names of hundreds of steps may stand in it; the schema takes 4096 characters.
        message=cut(standing.message, 2048),
        progress=f"{ended}/{len(draft.records)}",
        suspended=draft.directive.is_suspended,
        workspace_pvc=workspace_name(meta.name, meta.uid)
        if draft.facts.workspace == "present"
        else before.workspace_pvc,
        steps=tuple(draft.records.values()),
    )


def _look_again(draft: _Draft) -> datetime | None:
    workflow, facts = draft.facts.workflow, draft.facts
    moments = (deadline_of(workflow), release_deadline(workflow, facts.limits))
    return min((moment for moment in moments if moment is not None and moment > facts.now), default=None)


def _let_go(facts: WorkflowFacts) -> WorkflowTurn:
    meta = facts.workflow.metadata
    if meta.deletion_timestamp is not None and FINALIZER in meta.finalizers:
        return Turn((RemoveFinalizer(),))
    return Turn()
