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
from kubernaut.planning.records import observed_records
from kubernaut.planning.start import start
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


def decide(facts: WorkflowFacts) -> WorkflowTurn:
    """The next turn of one WorkflowExecution."""
    workflow = facts.workflow
    if workflow.status.phase in WORKFLOW_TERMINAL:
        return _let_go(facts)
    if not workflow.status.spec_hash:
        return admit(facts)
    draft = _draft(facts)
    _advance(draft, draft.main, facts.graph, draft.directive.stop is not None or _is_failing(draft))
    if is_over(draft.main, draft.records, draft.directive):
        _advance(draft, draft.last, facts.finally_graph, draft.directive.stop_finally)
    return _turn(draft)


def steps_to_ask(facts: WorkflowFacts) -> tuple[list[Step], dict[str, StepStatus]]:
    """Steps whose `when` has to be evaluated for this turn, and the records that they may refer to."""
    if not facts.workflow.status.spec_hash or facts.workflow.status.phase in WORKFLOW_TERMINAL:
        return [], {}
    draft = _draft(facts)
    asked = conditions_to_ask(facts, draft.main, facts.graph, draft.records)
    asked += conditions_to_ask(facts, draft.last, facts.finally_graph, draft.records)
    return asked, draft.records


def _draft(facts: WorkflowFacts) -> _Draft:
    spec = facts.workflow.spec
    return _Draft(
        facts,
        directive_of(facts.workflow, facts.now, facts.spec_hash, facts.limits),
        {step.name: step for step in spec.steps},
        {step.name: step for step in spec.finally_},
        observed_records(facts),
    )


def _is_failing(draft: _Draft) -> bool:
    if draft.directive.is_tampered:
        return True
    records = draft.records
    return any(step.critical and records[name].phase in STEP_FAILURES for name, step in draft.main.items())


def _advance(draft: _Draft, steps: Mapping[str, Step], graph: Graph, is_closing: bool) -> None:
    """Moves one list of steps on: closes the open ones, or starts those that are ready."""
    if is_closing:
        _close(draft, steps)
        _stop_running(draft, steps)
        return
    ready = settle(draft.facts, steps, graph, draft.records)
    # A condition that failed to evaluate may just have failed a critical step.
    if steps is draft.main and _is_failing(draft):
        _close(draft, steps)
        return
    if draft.directive.is_suspended and steps is draft.main:
        return
    _start(draft, steps, ready)
    if steps is draft.main and _is_failing(draft):
        _close(draft, steps)


def _start(draft: _Draft, steps: Mapping[str, Step], ready: list[str]) -> None:
    facts = draft.facts
    wanted = facts.workflow.spec.parallelism or facts.limits.default_parallel
    limit = min(wanted, facts.limits.max_parallel)
    running = sum(1 for record in draft.records.values() if record.phase == StepPhase.RUNNING)
    for name in ready:
        if running >= limit:
            return
        started = start(facts, steps[name], draft.records)
        draft.records[name] = started.record
        if started.changes:
            draft.is_starting = True
            draft.changes += [change for change in started.changes if change not in draft.changes]
        running += started.record.phase != StepPhase.FAILED


def _close(draft: _Draft, steps: Mapping[str, Step]) -> None:
    """Steps that have not started will not: cancelled by request, skipped after a failure."""
    stop = draft.directive.stop
    for name in steps:
        record = draft.records[name]
        if record.phase in _OPEN:
            draft.records[name] = replace(
                record,
                phase=StepPhase.CANCELLED if stop else StepPhase.SKIPPED,
                reason=stop or "WorkflowFailed",
                message="" if stop else "A critical step failed before it could start.",
                completed_at=draft.facts.now,
                executed="no",
            )


def _stop_running(draft: _Draft, steps: Mapping[str, Step]) -> None:
    stop = draft.directive.stop
    if stop is None:
        return
    for name in steps:
        execution = draft.facts.executions.get(name)
        phase = draft.records[name].phase
        is_started = phase in (StepPhase.RUNNING, StepPhase.CANCELLED)
        if execution and is_started and execution.spec.stop is None and not execution.status.completed_at:
            order = Stop(reason=stop, at=draft.facts.now, message=draft.directive.message[:1024])
            draft.changes.append(StopExecution(execution.name, execution.uid, order))


def _turn(draft: _Draft) -> WorkflowTurn:
    facts = draft.facts
    look_again = _look_again(draft)
    if draft.is_starting and not facts.trouble:
        return Turn(tuple(draft.changes), look_again)
    every = {**draft.main, **draft.last}
    if not draft.is_starting and is_over(every, draft.records, draft.directive):
        standing = final_standing(facts.workflow.spec, draft.records, draft.directive)
        if facts.workspace == "present":
            meta = facts.workflow.metadata
            draft.changes.append(DeleteWorkspace(workspace_name(meta.name, meta.uid)))
        status = replace(_status(draft, standing), completed_at=facts.now)
    else:
        moving = draft.is_starting or any(r.phase == StepPhase.RUNNING for r in draft.records.values())
        status = _status(draft, standing_now(draft.records, draft.directive, moving, facts.trouble))
    status = with_conditions(facts, status)
    if status != facts.workflow.status:
        draft.changes.append(WriteWorkflowStatus(status))
    return Turn(tuple(draft.changes), look_again)


def _status(draft: _Draft, standing: Standing) -> WorkflowStatus:
    before, spec = draft.facts.workflow.status, draft.facts.workflow.spec
    names = [*(step.name for step in spec.steps), *(step.name for step in spec.finally_)]
    ended = sum(1 for name in names if draft.records[name].phase in STEP_ENDED)
    meta = draft.facts.workflow.metadata
    return replace(
        before,
        phase=standing.phase,
        reason=standing.reason,
        # Names of hundreds of steps may stand in it; the schema takes 4096 characters.
        message=cut(standing.message, 2048),
        progress=f"{ended}/{len(names)}",
        suspended=draft.directive.is_suspended,
        workspace_pvc=workspace_name(meta.name, meta.uid)
        if draft.facts.workspace == "present"
        else before.workspace_pvc,
        steps=tuple(draft.records[name] for name in names),
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
