"""Laws of the door: it never raises, and what passes it can be planned to its end."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from kubernaut.admission import check, pinned_actions, spec_hash
from kubernaut.api.action import ActionPhase, ActionSpec, ActionStatus
from kubernaut.api.contract import ContractSpec, Parameter
from kubernaut.api.graph import graph_of, without
from kubernaut.api.names import FINALIZER
from kubernaut.api.workflow import (
    Backoff,
    Request,
    Retry,
    RetryOf,
    Step,
    StepPhase,
    StepStatus,
    WorkflowExecution,
    WorkflowStatus,
)
from kubernaut.planning import decide_workflow, steps_to_ask
from kubernaut.planning.facts import ExecutionFacts, Limits, WorkflowFacts
from kubernaut.planning.phases import WORKFLOW_TERMINAL
from kubernaut.planning.readiness import cel_variables
from kubernaut.planning.start import execution_spec
from kubernaut.planning.turns import (
    AddFinalizer,
    CreateExecution,
    CreateFence,
    CreateWorkspace,
    WriteWorkflowStatus,
)
from kubernaut.safety import evaluate_when

from .makers import DOOR, OTHER_IMAGE, SECRET, definition, notify, workflow

# Hypothesis makes sixty workflows a test; a busy machine takes its time for that.
pytestmark = pytest.mark.timeout(60)
NO_HURRY = settings(deadline=None, max_examples=60)

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c-d", "e"])
LITERALS = st.sampled_from(["x", "", 1, 1.5, True, None, [], {}, SECRET, "$$(x)", 10**30, "5m"])
REFERENCES = st.builds(
    "$({}){}".format,
    st.sampled_from(
        [
            "params.n",
            "params.s",
            "params.lost",
            "workflow.name",
            "steps.a.outputs.replicas",
            "steps.c-d.outputs.deployment",
            "steps.b.outputs.took",
            "steps.b.outputs.token",
            "nonsense",
        ]
    ),
    st.sampled_from(["", "", " and more"]),
)
VALUES = st.recursive(
    LITERALS | REFERENCES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
CONDITIONS = st.sampled_from(
    [
        "params.n > 1",
        "params.lost == 1",
        "steps.a.phase == 'Succeeded'",
        "steps['c-d'].phase in ['Failed', 'Skipped']",
        "steps.b.outputs.replicas > 2",
        "has(steps.a.outputs.replicas)",
        "steps.exists(s, steps[s].phase == 'Failed')",
        "steps.all(s, s != 'x')",
        "steps.lost.phase == 'x'",
        "params.",
        "true",
        "false",
    ]
)
DURATIONS = st.sampled_from(["1s", "30s", "5m", "15m", "2h", "0s", "x", "99999h"])


USUAL: Mapping[str, Mapping[str, Any]] = {
    "kubernetes/scale_deployment": {"deployment": "d", "namespace": "n", "replicas": 3},
    "chat/notify": {"token": SECRET},
}


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """A step that is often right and sometimes wrong."""
    action = draw(st.sampled_from([*USUAL, *USUAL, *USUAL, "test/nothing", "no/such"]))
    usual = USUAL.get(action, {})
    allowed = {
        "kubernetes/scale_deployment": ["replicas", "deployment", "labels", "mode", "grace"],
        "chat/notify": ["text", "count", "ratio", "ok", "extra", "token"],
    }.get(action, ["x"])
    more = draw(st.dictionaries(st.sampled_from(allowed), VALUES | REFERENCES, max_size=1))
    return Step(
        name=draw(NAMES),
        action_type=action,
        inputs={**usual, **more},
        image=draw(st.sampled_from([None, None, None, OTHER_IMAGE])),
        run_after=tuple(draw(st.lists(NAMES, max_size=1))),
        when=tuple(draw(st.lists(CONDITIONS, max_size=1))),
        timeout=draw(st.none() | DURATIONS),
        retry=draw(st.sampled_from([Retry(), Retry(limit=2), Retry(limit=1, backoff=Backoff(base="1h"))])),
        uses_workspace=draw(st.booleans()),
        critical=draw(st.booleans()),
    )


WORKFLOWS = st.builds(
    lambda main, last, **spec: workflow(*main, finally_=tuple(last), **spec),
    st.lists(steps(), min_size=1, max_size=4, unique_by=lambda step: step.name),
    st.lists(steps(), max_size=2),
    parameters=st.fixed_dictionaries({}, optional={"n": LITERALS, "s": LITERALS}),
    engine=st.sampled_from(["auto", "auto", "job", "tekton"]),
    timeout=st.sampled_from(["1h", "1h", "x", "99999999999h"]),
    retry_of=st.sampled_from([None, None, RetryOf(name="w")]),
)


@NO_HURRY
@given(WORKFLOWS)
def test_no_workflow_breaks_the_door(work: WorkflowExecution) -> None:
    check(work, DOOR)
    check(work, replace(DOOR, earlier=work, is_offline=True))
    check(work, replace(DOOR, catalogue={}, earlier=work))
    pinned_actions(work, DOOR)


@st.composite
def good_workflows(draw: st.DrawFn) -> WorkflowExecution:
    """A workflow that passes: what the door refuses is taken out until nothing is left to refuse."""
    work = draw(WORKFLOWS)
    for _ in range(8):
        faults = check(work, DOOR)
        if not faults:
            return work
        work = _without_refused(work, {fault.path for fault in faults})
    assume(not check(work, DOOR))
    return work


def _without_refused(work: WorkflowExecution, paths: set[str]) -> WorkflowExecution:
    heads = {p.split(".")[1].split("[")[0] for p in paths if not p.startswith(("spec.steps[", "spec.finally["))}
    spec = work.spec
    mended = changed(
        spec,
        engine="auto",
        timeout="1h",
        retry_of=None,
        parameters={} if "parameters" in heads else spec.parameters,
        steps=_mended("steps", spec.steps, paths) or (Step(name="z", action_type="test/nothing"),),
        finally_=_mended("finally", spec.finally_, paths),
    )
    return changed(work, spec=mended)


def _mended(place: str, listed: tuple[Step, ...], paths: set[str]) -> tuple[Step, ...]:
    """The steps without what is refused about them; whole steps go only for their name, action or image."""
    found: list[Step] = []
    for index, step in enumerate(listed):
        here = f"spec.{place}[{index}]"
        wrong = {p.removeprefix(here).lstrip(".").split(".")[0].split("[")[0] for p in paths if p.startswith(here)}
        if wrong & {"name", "actionType", "image"}:
            continue
        usual = dict(USUAL.get(step.action_type, {}))
        found.append(
            changed(
                step,
                inputs=usual if wrong & {"inputs", ""} else step.inputs,
                when=() if wrong & {"when", ""} else step.when,
                run_after=() if wrong & {"runAfter", ""} else step.run_after,
                timeout=None if "timeout" in wrong else step.timeout,
                retry=Retry() if "retry" in wrong else step.retry,
            )
        )
    return tuple(found)


@NO_HURRY
@given(good_workflows(), st.data())
def test_what_passes_the_door_is_planned_to_its_end(work: WorkflowExecution, data: st.DataObject) -> None:
    """A cluster that does as it is told, and actions that end as they like."""
    work = changed(work, metadata=changed(work.metadata, finalizers=(FINALIZER,)))
    pins = pinned_actions(work, DOOR)
    now, executions, workspace = START, dict[str, ExecutionFacts](), "absent"
    graph = graph_of(work.spec.steps)
    last = without(graph_of(work.spec.finally_), graph.order)
    for _ in range(60):
        facts = WorkflowFacts(
            now=now,
            workflow=work,
            graph=graph,
            finally_graph=last,
            spec_hash=spec_hash(work),
            actions=pins,
            executions=executions,
            workspace=workspace,  # type: ignore[arg-type]
            limits=Limits(complexity_threshold=100),
        )
        asked, records = steps_to_ask(facts)
        variables = cel_variables(facts, records)
        facts = replace(facts, verdicts={step.name: evaluate_when(step.when, variables) for step in asked})
        for change in decide_workflow(facts).changes:
            match change:
                case WriteWorkflowStatus(status):
                    work = changed(work, status=status)
                case CreateExecution(step, name, spec):
                    executions[step] = ExecutionFacts(
                        name, f"uid-{step}", work.metadata.uid, spec, ActionStatus(), None
                    )
                case CreateFence(name):
                    of = next(step for step, execution in executions.items() if execution.name == name)
                    executions[of] = replace(executions[of], fence_uid=f"fence-{of}")
                case CreateWorkspace():
                    workspace = "present"
                case _:
                    assert not isinstance(change, AddFinalizer)
        if work.status.phase in WORKFLOW_TERMINAL:
            event(f"{len(work.status.steps)} steps, {work.status.phase}")
            return
        now += timedelta(seconds=1)
        _go_on(work, executions, now, data)
    raise AssertionError(f"did not end: {work.status}")


def _go_on(
    work: WorkflowExecution, executions: dict[str, ExecutionFacts], now: datetime, data: st.DataObject
) -> None:
    """Every started action ends at once."""
    started = {record.name for record in work.status.steps if record.phase == "Running"}
    for name in sorted(started):
        execution = executions[name]
        phase = data.draw(st.sampled_from([ActionPhase.SUCCEEDED, ActionPhase.SUCCEEDED, ActionPhase.FAILED]))
        given_back = {"replicas": 3, "deployment": "d", "took": "3s"} if phase == ActionPhase.SUCCEEDED else {}
        status = ActionStatus(phase=phase, completed_at=now, executed="yes", outputs=given_back)
        executions[name] = replace(execution, status=status, outputs=given_back)


@NO_HURRY
@given(WORKFLOWS)
def test_what_operators_ask_of_a_run_changes_no_judgement(work: WorkflowExecution) -> None:
    asked = changed(work, spec=changed(work.spec, requests=(Request(type="suspend"),)))
    told, again = check(work, DOOR), check(asked, DOOR)
    assert [fault.path for fault in told] == [fault.path for fault in again]


def test_an_output_that_looks_like_a_secret_reference_mounts_no_secret() -> None:
    producer = ContractSpec(outputs=(Parameter(name="any", type="object"),))
    door = replace(DOOR, catalogue={**DOOR.catalogue, "test/giver": definition("test/giver", producer)})
    giver = Step(name="a", action_type="test/giver")
    taker = notify("b", inputs={"extra": "$(steps.a.outputs.any)"})
    work = workflow(giver, taker)
    assert check(work, door) == ()
    given = StepStatus(name="a", phase=StepPhase.SUCCEEDED, outputs={"any": SECRET})
    status = WorkflowStatus(steps=(given,), actions=tuple(pinned_actions(work, door).values()))
    graph = graph_of(work.spec.steps)
    facts = WorkflowFacts(START, changed(work, status=status), graph, graph, spec_hash="x")
    spec = execution_spec(facts, taker, {"a": given})
    assert isinstance(spec, ActionSpec)
    assert spec.inputs == {"extra": SECRET}
    assert [one.input for one in spec.secret_inputs] == ["token"]
