"""The door of a WorkflowExecution: every judgement, all faults at once."""

from collections.abc import Iterator

from kubernaut.admission.again import again_faults
from kubernaut.admission.door import Door
from kubernaut.admission.inputs import input_faults
from kubernaut.admission.order import condition_faults, order_faults
from kubernaut.admission.size import size_faults
from kubernaut.admission.steps import action_faults, contract_faults, name_faults, time_faults
from kubernaut.admission.survey import Survey, survey
from kubernaut.admission.times import seconds_of
from kubernaut.admission.values import unfit_values
from kubernaut.api.contract import is_secret_reference
from kubernaut.api.faults import Fault
from kubernaut.api.references import UnknownReference, find
from kubernaut.api.workflow import WorkflowExecution, WorkflowSpec

MOST_FAULTS = 1_000


def check(workflow: WorkflowExecution, door: Door) -> tuple[Fault, ...]:
    """Everything for which a workflow is refused; nothing means that it may run. Never raises.

    Of more than a thousand faults the first thousand are told.
    """
    # Values that are no JSON are told alone: nothing else can be judged around them.
    if unfit := _unfit(workflow.spec):
        return tuple(unfit)
    laid_out = survey(workflow, door)
    broken = list(contract_faults(laid_out))
    faults: list[Fault] = [
        *_head_faults(laid_out),
        *_parameter_faults(workflow.spec),
        *name_faults(laid_out),
        *action_faults(laid_out),
        *broken,
        *order_faults(laid_out),
        *(input_faults(laid_out) if not broken else ()),
        *condition_faults(laid_out),
        *time_faults(laid_out),
        *again_faults(laid_out),
        *size_faults(laid_out),
    ]
    # A step that refers to itself says so in runAfter and in inputs, each once.
    return tuple(dict.fromkeys(faults[:MOST_FAULTS]))


def _unfit(spec: WorkflowSpec) -> list[Fault]:
    faults = unfit_values(spec.parameters, "spec.parameters")
    for place, steps in (("steps", spec.steps), ("finally", spec.finally_)):
        for index, step in enumerate(steps):
            faults += unfit_values(step.inputs, f"spec.{place}[{index}].inputs")
    return faults


def _head_faults(laid_out: Survey) -> Iterator[Fault]:
    spec, door = laid_out.workflow.spec, laid_out.door
    if not spec.steps:
        yield Fault("spec.steps", "is empty", "Give at least one step.")
    if spec.engine != "auto" and spec.engine not in door.engines:
        yield _engine_fault(spec.engine, door)
    if spec.parallelism is not None and not 1 <= spec.parallelism <= 50:
        yield Fault("spec.parallelism", "must be between 1 and 50")
    seconds = seconds_of(spec.timeout)
    if seconds is None:
        yield Fault("spec.timeout", "is no duration", 'Write for example "30m" or "1h30m".')
    elif seconds <= 0:
        yield Fault("spec.timeout", "must be longer than nothing")
    elif seconds > door.max_workflow_seconds:
        yield Fault("spec.timeout", f"is longer than {door.max_workflow_seconds / 3600:g} hours")


def _engine_fault(engine: str, door: Door) -> Fault:
    mend = f"Available: auto, {', '.join(sorted(door.engines))}."
    if engine in ("job", "tekton"):
        return Fault("spec.engine", f"the engine {engine} is not available here", mend)
    return Fault("spec.engine", "there is no such engine", mend)


def _parameter_faults(spec: WorkflowSpec) -> Iterator[Fault]:
    for name, value in spec.parameters.items():
        path = f"spec.parameters.{name[:100]}"
        if is_secret_reference(value):
            mend = "Write it into the input itself; parameters are copied around."
            yield Fault(path, "a secret cannot be a parameter", mend)
        for found in find(value, path):
            if not isinstance(found.reference, UnknownReference):
                mend = "Write the reference into the input; $$( stands for a literal $(."
                yield Fault(found.path, "references are not filled in inside parameters", mend)
