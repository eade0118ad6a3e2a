"""A workflow laid out for judging: its steps with their paths, the contract of each, and what is known by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kubernaut.admission.door import Door
from kubernaut.admission.nearest import Nearest
from kubernaut.admission.pins import pinned_action
from kubernaut.api.contract import Parameter
from kubernaut.api.values import stored_bytes
from kubernaut.api.workflow import PinnedAction, Step, WorkflowExecution, pin_key


@dataclass(frozen=True)
class Placed:
    """A step and where it stands."""

    step: Step
    path: str
    is_last: bool
    """Of `finally`."""


@dataclass(frozen=True)
class Known:
    """An action that may run, with its parameters by name."""

    action: PinnedAction
    inputs: Mapping[str, Parameter]
    outputs: Mapping[str, Parameter]
    inputs_nearest: Nearest
    outputs_nearest: Nearest


@dataclass(frozen=True)
class Survey:
    """Everything that the judgements of one workflow share."""

    workflow: WorkflowExecution
    door: Door
    placed: tuple[Placed, ...]
    by_name: Mapping[str, Placed]
    """The first step of each name."""
    known: Mapping[str, Known]
    """By `pin_key`."""
    parameter_bytes: Mapping[str, int]
    """Bytes of each parameter as it is stored."""
    steps_nearest: Nearest
    parameters_nearest: Nearest
    types_nearest: Nearest

    @property
    def main(self) -> Iterator[Placed]:
        return (placed for placed in self.placed if not placed.is_last)

    @property
    def last(self) -> Iterator[Placed]:
        return (placed for placed in self.placed if placed.is_last)

    def action_of(self, step: Step) -> Known | None:
        """The action of a step, if it may run."""
        return self.known.get(pin_key(step))


def survey(workflow: WorkflowExecution, door: Door) -> Survey:
    """Lays a workflow out. Its values are known to be JSON (`values.unfit_values`)."""
    spec = workflow.spec
    placed = (
        *(Placed(step, f"spec.steps[{i}]", is_last=False) for i, step in enumerate(spec.steps)),
        *(Placed(step, f"spec.finally[{i}]", is_last=True) for i, step in enumerate(spec.finally_)),
    )
    by_name: dict[str, Placed] = {}
    known: dict[str, Known] = {}
    for one in placed:
        by_name.setdefault(one.step.name, one)
        key = pin_key(one.step)
        pinned = None if key in known else pinned_action(one.step, door)
        if pinned is not None:
            known[key] = _known(pinned)
    return Survey(
        workflow=workflow,
        door=door,
        placed=placed,
        by_name=by_name,
        known=known,
        parameter_bytes={name: stored_bytes(value) for name, value in spec.parameters.items()},
        steps_nearest=Nearest(by_name),
        parameters_nearest=Nearest(spec.parameters),
        types_nearest=Nearest(door.catalogue),
    )


def _known(action: PinnedAction) -> Known:
    inputs, outputs = _by_name(action.contract.inputs), _by_name(action.contract.outputs)
    return Known(action, inputs, outputs, Nearest(inputs), Nearest(outputs))


def _by_name(parameters: tuple[Parameter, ...]) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}
