"""How long one turn of the planner takes on a graph of 10,000 steps, in memory, without a cluster.

Run with `python -m benchmarks.planner [--steps N] [--turns N] [--json]`. A turn is what the controller computes:
which conditions to ask (`steps_to_ask`) and the decision itself. Budget: 50 ms of processor time, so
that what neighbours on the machine do does not count.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace as with_fields
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from kubernaut.api.action import ActionPhase, ActionSpec, ActionStatus
from kubernaut.api.contract import ContractSpec, Parameter
from kubernaut.api.graph import graph_of, without
from kubernaut.api.meta import LocalReference, ObjectMeta
from kubernaut.api.names import FINALIZER, execution_name
from kubernaut.api.workflow import (
    PinnedAction,
    Step,
    StepPhase,
    StepStatus,
    WorkflowExecution,
    WorkflowPhase,
    WorkflowSpec,
    WorkflowStatus,
)
from kubernaut.planning import decide_workflow, steps_to_ask
from kubernaut.planning.facts import ExecutionFacts, WhenVerdict, WorkflowFacts
from kubernaut.planning.turns import CreateExecution, WorkflowChange, WriteWorkflowStatus

BUDGET_MS = 50.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = "registry.example/actions/scale@sha256:" + "a" * 64
WIDTH = 50
"""Steps of one layer; each waits for three of the layer before."""
CONTRACT = ContractSpec(
    inputs=(Parameter(name="n", type="integer"),), outputs=(Parameter(name="n", type="integer"),), fenced=True
)


def graph(size: int) -> tuple[Step, ...]:
    """Layers of 50 steps; every step waits for three of the layer before, every tenth uses an output."""
    made: list[Step] = []
    for number in range(size):
        layer, place = divmod(number, WIDTH)
        edges = [f"s{(layer - 1) * WIDTH + (place + offset) % WIDTH}" for offset in range(3)] if layer else []
        inputs = {"n": f"$(steps.{edges[0]}.outputs.n)"} if edges and number % 10 == 0 else {"n": 1}
        when = (f"steps.{edges[0]}.phase == 'Succeeded'",) if edges and number % 25 == 0 else ()
        made.append(
            Step(name=f"s{number}", action_type="test/scale", inputs=inputs, run_after=tuple(edges), when=when)
        )
    return tuple(made)


def facts_at(steps: tuple[Step, ...], ended: int) -> WorkflowFacts:
    """Everything as the controller observes it when so many steps have succeeded and nothing runs."""
    meta = ObjectMeta(name="big", namespace="ns", uid="uid", generation=1, finalizers=(FINALIZER,))
    pinned = PinnedAction(
        key="test/scale", action_type="test/scale", image=IMAGE, service_account_name="sa", contract=CONTRACT
    )
    status = WorkflowStatus(
        phase=WorkflowPhase.RUNNING,
        reason="Running",
        started_at=NOW - timedelta(minutes=1),
        spec_hash="hash",
        steps=tuple(_record(step.name, number < ended) for number, step in enumerate(steps)),
        actions=(pinned,),
    )
    spec = ActionSpec(action_type="test/scale", image=IMAGE, contract=CONTRACT)
    return WorkflowFacts(
        now=NOW,
        workflow=WorkflowExecution(
            metadata=meta, spec=WorkflowSpec(steps=steps, parallelism=WIDTH), status=status
        ),
        graph=graph_of(steps),
        finally_graph=without(graph_of(()), ()),
        spec_hash="hash",
        executions={step.name: _with_end(_execution(step.name, spec)) for step in steps[:ended]},
    )


def _record(name: str, has_ended: bool) -> StepStatus:
    if not has_ended:
        return StepStatus(name=name)
    return StepStatus(
        name=name,
        phase=StepPhase.SUCCEEDED,
        started_at=NOW,
        completed_at=NOW,
        attempts=1,
        executed="yes",
        execution=LocalReference(name=execution_name("big", "uid", name), uid=f"ae-{name}"),
        fence=f"fence-{name}",
        outputs={"n": 1},
    )


def _execution(step: str, spec: ActionSpec) -> ExecutionFacts:
    return ExecutionFacts(
        name=execution_name("big", "uid", step),
        uid=f"ae-{step}",
        owner_uid="uid",
        spec=spec,
        status=ActionStatus(),
        fence_uid=f"fence-{step}",
    )


def _with_end(execution: ExecutionFacts) -> ExecutionFacts:
    status = ActionStatus(phase=ActionPhase.SUCCEEDED, completed_at=NOW, executed="yes", outputs={"n": 1})
    return with_fields(execution, status=status, outputs={"n": 1})


def timed_turns(facts: WorkflowFacts, count: int) -> list[float]:
    """Milliseconds of so many turns in a row, each on what the turn before brought about."""
    spent: list[float] = []
    for _ in range(count):
        began = time.process_time()
        asked, _records = steps_to_ask(facts)
        if asked:
            facts = with_fields(facts, verdicts={step.name: WhenVerdict(holds=True) for step in asked})
        changes = decide_workflow(facts).changes
        spent.append((time.process_time() - began) * 1000)
        facts = _carried_out(facts, changes)
    return spent


def _carried_out(facts: WorkflowFacts, changes: tuple[WorkflowChange, ...]) -> WorkflowFacts:
    executions, workflow = dict(facts.executions), facts.workflow
    if not changes:
        # Half of what runs ends before the next look.
        running = [record.name for record in workflow.status.steps if record.phase == StepPhase.RUNNING]
        executions.update({name: _with_end(executions[name]) for name in running[: max(1, len(running) // 2)]})
    for change in changes:
        if isinstance(change, CreateExecution):
            executions[change.step] = _execution(change.step, change.spec)
        elif isinstance(change, WriteWorkflowStatus):
            workflow = replace(workflow, status=change.status)
    return with_fields(facts, executions=executions, workflow=workflow, verdicts={})


def measure(size: int, turns: int) -> list[dict[str, float | str]]:
    """One row for each moment of a run: the median and the worst of some turns."""
    steps = graph(size)
    rows: list[dict[str, float | str]] = []
    for moment, ended in (("start", 0), ("middle", size // 2), ("end", size - 2 * WIDTH)):
        spent = timed_turns(facts_at(steps, ended), turns)
        rows.append({"moment": moment, "median_ms": statistics.median(spent), "worst_ms": max(spent)})
    return rows


def main() -> int:
    """Prints the figures; exit code 1 when a median is over the budget."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planner", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=15, help="turns for each moment")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = measure(options.steps, options.turns)
    if options.json:
        lines = [json.dumps({"steps": options.steps, "budget_ms": BUDGET_MS, "turns": rows})]
    else:
        lines = [f"{options.steps} steps, budget {BUDGET_MS:g} ms a turn"]
        lines += [
            f"{row['moment']:<8} median {row['median_ms']:6.1f} ms   worst {row['worst_ms']:6.1f} ms"
            for row in rows
        ]
    sys.stdout.write("\n".join(lines) + "\n")
    return int(any(float(row["median_ms"]) > BUDGET_MS for row in rows))


if __name__ == "__main__":
    sys.exit(main())
