"""Inputs against contracts: literal values wholly, references by the type that their producer promises."""

from collections.abc import Iterator, Mapping

from kubernaut.admission.survey import Known, Placed, Survey
from kubernaut.api.action import MOST_INPUT_BYTES
from kubernaut.api.contract import Parameter, ValueType, is_of_type, is_secret_reference, value_faults
from kubernaut.api.faults import Fault
from kubernaut.api.meta import JSON
from kubernaut.api.references import (
    Found,
    OutputReference,
    ParamReference,
    Reference,
    UnknownReference,
    WorkflowReference,
    find,
    resolve,
)
from kubernaut.api.values import stored_bytes

_FITS: Mapping[ValueType, frozenset[ValueType]] = {
    "number": frozenset({"number", "integer"}),
    "string": frozenset({"string", "duration"}),
    # A text may turn out to be a duration: that is judged when it is known.
    "duration": frozenset({"duration", "string"}),
}
_MEND_LITERAL = "Write $$( for a literal $(."


def input_faults(survey: Survey) -> Iterator[Fault]:
    """Everything wrong with the inputs of all steps."""
    for placed in survey.placed:
        path = f"{placed.path}.inputs"
        found = {name: list(find(value, f"{path}.{name}")) for name, value in placed.step.inputs.items()}
        broken: set[str] = set()
        for name, references in found.items():
            for one in references:
                fault = reference_fault(survey, placed, one)
                if fault is not None:
                    broken.add(name)
                    yield fault
        if size_fault := _size_fault(survey, placed, found):
            yield size_fault
            continue
        known = survey.action_of(placed.step)
        if known is not None:
            yield from _against_contract(survey, placed, known, found, broken)


def reference_fault(survey: Survey, placed: Placed, found: Found) -> Fault | None:
    """What is wrong with one reference, if anything."""
    match found.reference:
        case UnknownReference(text):
            forms = "Known: $(params.x), $(steps.<name>.outputs.<key>), $(workflow.name)."
            return Fault(found.path, f"$({text[:60]}) is no reference", f"{forms} {_MEND_LITERAL}")
        case ParamReference(name):
            if name in survey.workflow.spec.parameters:
                return None
            mend = survey.parameters_nearest.mend(name)
            return Fault(found.path, f"no parameter {name[:60]} is given in spec.parameters", mend)
        case OutputReference(step, key):
            return _output_fault(survey, placed, step, key, found.path)
        case WorkflowReference():
            return None


def step_fault(survey: Survey, placed: Placed, name: str, path: str) -> Fault | None:
    """Why a step may not refer to the step of that name, if it may not."""
    if name == placed.step.name:
        return Fault(path, f"{name} refers to itself")
    target = survey.by_name.get(name)
    if target is None:
        return Fault(path, f"there is no step {name[:63]}", survey.steps_nearest.mend(name))
    if target.is_last and not placed.is_last:
        return Fault(path, f"{name} is a step of spec.finally, which runs after all main steps")
    return None


def output_fault(survey: Survey, step: str, key: str, path: str) -> Fault | None:
    """Why an output of a step that exists cannot be used, if it cannot."""
    producer = survey.by_name.get(step)
    known = survey.action_of(producer.step) if producer else None
    if known is None:
        return None
    declared = known.outputs.get(key)
    if declared is None:
        mend = known.outputs_nearest.mend(key)
        return Fault(path, f"{known.action.action_type}, the action of {step}, has no output {key[:63]}", mend)
    if declared.secret:
        return Fault(path, f"the output {key} of {step} is a secret and cannot be handed on")
    return None


def _output_fault(survey: Survey, placed: Placed, step: str, key: str, path: str) -> Fault | None:
    return step_fault(survey, placed, step, path) or output_fault(survey, step, key, path)


def _size_fault(survey: Survey, placed: Placed, found: Mapping[str, list[Found]]) -> Fault | None:
    """Inputs that would be too large once parameters are filled in; counted, not built."""
    size = stored_bytes(placed.step.inputs)
    for references in found.values():
        for one in references:
            if isinstance(one.reference, ParamReference):
                size += survey.parameter_bytes.get(one.reference.name, 0)
    if size <= MOST_INPUT_BYTES:
        return None
    message = f"would take {size / 1000:.0f} kB with its parameters: at most {MOST_INPUT_BYTES // 1000} kB fit"
    return Fault(f"{placed.path}.inputs", message)


def _against_contract(
    survey: Survey, placed: Placed, known: Known, found: Mapping[str, list[Found]], broken: set[str]
) -> Iterator[Fault]:
    path, inputs = f"{placed.path}.inputs", placed.step.inputs
    for name, value in inputs.items():
        here = f"{path}.{name[:100]}"
        parameter = known.inputs.get(name)
        if parameter is None:
            mend = known.inputs_nearest.mend(name)
            yield Fault(here, f"{known.action.action_type} has no such input", mend)
        elif name not in broken:
            yield from _value_faults(survey, parameter, value, here, found[name])
    for name, parameter in known.inputs.items():
        if parameter.required and parameter.default is None and name not in inputs:
            yield Fault(f"{path}.{name}", "a required input is missing", _wanted(parameter))


def _wanted(parameter: Parameter) -> str:
    if parameter.secret:
        return "Write {secretKeyRef: {name: ..., key: ...}}."
    return f"Give a value of type {parameter.type}."


def _value_faults(survey: Survey, parameter: Parameter, value: JSON, path: str, found: list[Found]) -> list[Fault]:
    if parameter.secret and found:
        message = "is a secret and cannot come from parameters or outputs"
        return [Fault(path, message, "Write {secretKeyRef: {name: ..., key: ...}} with both written out.")]
    if not parameter.secret and is_secret_reference(value):
        message = "is no secret input: the contract takes no secret here"
        return [Fault(path, message, "Only inputs that the contract marks secret take secretKeyRef.")]
    if all(isinstance(one.reference, ParamReference) for one in found):
        return _literal_faults(survey, parameter, value, path, found)
    if isinstance(value, str):
        return _text_faults(survey, parameter, path, found)
    return [] if is_of_type(parameter.type, value) else value_faults(parameter, value, path)


def _literal_faults(
    survey: Survey, parameter: Parameter, value: JSON, path: str, found: list[Found]
) -> list[Fault]:
    """Faults of a value that is wholly known, because parameters are."""

    def look_up(reference: Reference) -> JSON:
        assert isinstance(reference, ParamReference)
        return survey.workflow.spec.parameters[reference.name]

    faults = literal_faults(parameter, resolve(value, look_up), path)
    if not faults or not found:
        return faults
    # The value stands elsewhere: say where, or the user looks for it in vain.
    names = ", ".join(dict.fromkeys(f"spec.parameters.{_name(one)}" for one in found))
    return [Fault(f.path, f.message, f"{f.mend} It comes from {names}.".strip()) for f in faults]


def literal_faults(parameter: Parameter, value: JSON, path: str) -> list[Fault]:
    """Every way in which a JSON value breaks its declaration. Never raises."""
    try:
        return value_faults(parameter, value, path)
    except (OverflowError, ValueError, RecursionError):
        # A number that no float can hold, or a pattern that the regular expression engine gives up on.
        return [Fault(path, "cannot be judged by the contract: it is too large")]


def _name(found: Found) -> str:
    return found.reference.name if isinstance(found.reference, ParamReference) else ""


def _text_faults(survey: Survey, parameter: Parameter, path: str, found: list[Found]) -> list[Fault]:
    """A string with references that are only known later: by type."""
    reference = found[0].reference
    if not found[0].is_whole:
        given: ValueType | None = "string"
        source = "A text with a reference in it is always text."
    elif isinstance(reference, OutputReference):
        given = _promised(survey, reference)
        source = f"That is what the output {reference.key} of {reference.step} promises."
    else:
        given, source = "string", "Fields of the workflow are text."
    if given is None or given == parameter.type or given in _FITS.get(parameter.type, ()):
        return []
    return [Fault(path, f"must be of type {parameter.type}, not {given}", source)]


def _promised(survey: Survey, reference: OutputReference) -> ValueType | None:
    """The type that an output will have, where the producer's contract is known."""
    producer = survey.by_name.get(reference.step)
    known = survey.action_of(producer.step) if producer else None
    declared = known.outputs.get(reference.key) if known else None
    return declared.type if declared else None
