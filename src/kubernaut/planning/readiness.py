"""Which steps may start, which can no more, and which have to wait. One pass, dependencies first."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from kubernaut.api.graph import Graph
from kubernaut.api.workflow import Step, StepPhase, StepStatus
from kubernaut.planning.facts import WhenVerdict, WorkflowFacts
from kubernaut.planning.phases import STEP_ENDED
from kubernaut.planning.records import RESOLVED_BY_PERSON, outputs_of, phases_of, told

_ENDED = STEP_ENDED
_OPEN = frozenset({StepPhase.PENDING, StepPhase.BLOCKED})


def settle(
    facts: WorkflowFacts, steps: Mapping[str, Step], graph: Graph, records: dict[str, StepStatus]
) -> list[str]:
    """Skips, blocks or fails what can be judged, in `records`; names the steps that are ready, in spec order."""
    ready: set[str] = set()
    ended = {name for name, record in records.items() if record.phase in _ENDED}
    unknown: set[str] = set()
    if StepPhase.INDETERMINATE in phases_of(records):
        unknown = {name for name, record in records.items() if record.phase is StepPhase.INDETERMINATE}
    for name in graph.topological:
        record = records[name]
        if record.phase not in _OPEN:
            continue
        edges = graph.waits_for[name]
        if not edges <= ended:
            # The least of them: the order of a set is another in every process.
            after = _held(record, min(edges & unknown)) if not edges.isdisjoint(unknown) else _plain(record)
        else:
            judged = _judge(facts, steps[name], graph, records)
            if judged is None:
                ready.add(name)
            elif judged.phase in _ENDED:
                ended.add(name)
            after = judged or _plain(record)
        if after is not record:
            records[name] = after
    return [name for name in graph.order if name in ready] if ready else []


def conditions_to_ask(
    facts: WorkflowFacts, steps: Mapping[str, Step], graph: Graph, records: Mapping[str, StepStatus]
) -> list[Step]:
    """Steps whose `when` can be answered now: nothing that they wait for is still under way.

    A step that becomes ready only because another is skipped in the same turn is asked in the next.
    """
    return [
        step
        for name, step in steps.items()
        if step.when
        and name not in facts.verdicts
        and records[name].phase in _OPEN
        and all(records[edge].phase in _ENDED for edge in graph.waits_for[name])
    ]


def cel_variables(facts: WorkflowFacts, records: Mapping[str, StepStatus]) -> dict[str, Any]:
    """What a `when` expression sees: `params`, `steps.<name>.phase`, `steps.<name>.outputs`, `workflow`."""
    meta = facts.workflow.metadata
    return {
        "params": dict(facts.workflow.spec.parameters),
        "steps": {
            name: {"phase": str(record.phase), "outputs": dict(outputs_of(facts, record))}
            for name, record in records.items()
            # Of unknown outcome are only main steps of a run that a person ended; `finally` may ask for that.
            if record.phase in _ENDED or record.phase == StepPhase.INDETERMINATE
        },
        "workflow": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
    }


def _judge(facts: WorkflowFacts, step: Step, graph: Graph, records: Mapping[str, StepStatus]) -> StepStatus | None:
    """The record of a step that waits for nothing and yet is not ready, or None when it is."""
    record = records[step.name]
    lacking = [source for source in graph.uses_outputs_of[step.name] if not _has_outputs(records.get(source))]
    if lacking:
        return _skipped(facts, record, "NoOutputs", f"It uses outputs of {min(lacking)}, which gave none.")
    if not step.when:
        return None
    verdict = facts.verdicts.get(step.name)
    return _plain(record) if verdict is None else _conditional(facts, record, verdict)


def _has_outputs(producer: StepStatus | None) -> bool:
    # A person's word that a step succeeded does not bring its outputs back.
    return producer is not None and producer.phase == StepPhase.SUCCEEDED and producer.reason != RESOLVED_BY_PERSON


def _conditional(facts: WorkflowFacts, record: StepStatus, verdict: WhenVerdict) -> StepStatus | None:
    if verdict.error:
        return replace(
            record,
            phase=StepPhase.FAILED,
            reason="ConditionError",
            message=told(facts, f"when: {verdict.expression}: {verdict.error}"),
            completed_at=facts.now,
            executed="no",
        )
    if verdict.holds:
        return None
    return _skipped(facts, record, "ConditionFalse", f"when: {verdict.expression} is false.")


def _skipped(facts: WorkflowFacts, record: StepStatus, reason: str, message: str) -> StepStatus:
    return replace(
        record,
        phase=StepPhase.SKIPPED,
        reason=reason,
        message=told(facts, message),
        completed_at=facts.now,
        executed="no",
    )


def _held(record: StepStatus, edge: str) -> StepStatus:
    if record.phase == StepPhase.BLOCKED:
        return record
    message = f"It waits until a person has said what became of {edge}."
    return replace(record, phase=StepPhase.BLOCKED, reason="DependencyIndeterminate", message=message)


def _plain(record: StepStatus) -> StepStatus:
    if record.phase == StepPhase.BLOCKED:
        return replace(record, phase=StepPhase.PENDING, reason="", message="")
    return record
