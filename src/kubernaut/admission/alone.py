"""The door of an ActionExecution that a user made: one action, no workflow around it."""

from collections.abc import Iterator

from kubernaut.admission.catalogue import check_contract, is_account_name, version_fault
from kubernaut.admission.door import Door
from kubernaut.admission.inputs import literal_faults
from kubernaut.admission.nearest import Nearest
from kubernaut.admission.pins import pinned_action, without_descriptions
from kubernaut.admission.steps import retry_faults, timeout_faults
from kubernaut.admission.values import unfit_values
from kubernaut.api.action import ActionExecution, ActionSpec
from kubernaut.api.contract import ContractSpec, is_secret_reference
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.references import UnknownReference, find
from kubernaut.api.workflow import Step


def check_action(execution: ActionExecution, door: Door) -> tuple[Fault, ...]:
    """Everything for which a stand-alone ActionExecution is refused. Never raises."""
    spec = execution.spec
    if unfit := unfit_values(spec.inputs, "spec.inputs"):
        return tuple(unfit)
    definition = door.catalogue.get(spec.action_type)
    if definition is None:
        nearest = Nearest(door.catalogue)
        near = nearest.find(spec.action_type)
        hint = f"Did you mean {near}? " if near else ""
        message = f"the catalogue has no action {spec.action_type[:100]}"
        return (Fault("spec.actionType", message, hint + nearest.listed()),)
    if newer := version_fault(definition, "spec.actionType"):
        return (newer,)
    faults = [*_identity_faults(spec, definition, door), *timeout_faults(spec.timeout, "", "spec.timeout")]
    faults += retry_faults(spec.retry, "spec.retry", door.max_workflow_seconds)
    if spec.cluster:
        faults.append(Fault("spec.cluster", "is reserved for runs in several clusters", "Leave it out."))
    if broken := check_contract(spec.contract, "spec.contract"):
        return (*faults, *broken)
    faults += timeout_faults(spec.timeout, spec.contract.max_timeout, "spec.timeout")
    return tuple(dict.fromkeys((*faults, *_input_faults(spec))))


def _identity_faults(spec: ActionSpec, definition: ActionDefinition, door: Door) -> Iterator[Fault]:
    """What runs, under which promise and as whom, is the catalogue's to say."""
    step = Step(name="action", action_type=spec.action_type, image=spec.image)
    pinned = pinned_action(step, door)
    if pinned is None:
        mend = f"The catalogue runs {definition.spec.image}."
        yield Fault("spec.image", "is not the catalogue's, and its contract is not known", mend)
    elif without_descriptions(spec.contract) != pinned.contract:
        yield Fault("spec.contract", "is not the contract of this image", "Copy it from the ActionDefinition.")
    asked, registered = spec.service_account_name, definition.spec.service_account_name
    if asked != registered and not definition.spec.allow_other_service_accounts:
        message = f"{spec.action_type} runs as {registered}, and as nobody else"
        yield Fault("spec.serviceAccountName", message, f"Write {registered}.")
    elif not is_account_name(asked):
        yield Fault("spec.serviceAccountName", "is no name of a ServiceAccount")


def _input_faults(spec: ActionSpec) -> Iterator[Fault]:
    declared = {parameter.name: parameter for parameter in spec.contract.inputs}
    nearest = Nearest(declared)
    for name, value in spec.inputs.items():
        path, parameter = f"spec.inputs.{name[:100]}", declared.get(name)
        for found in find(value, path):
            if not isinstance(found.reference, UnknownReference):
                yield Fault(found.path, "there is no workflow that could fill this reference in")
        if parameter is None:
            yield Fault(path, f"{spec.action_type} has no such input", nearest.mend(name))
        elif parameter.secret or is_secret_reference(value):
            mend = "Write {input: ..., secretKeyRef: {name: ..., key: ...}} into spec.secretInputs."
            yield Fault(path, "secrets are not given in inputs", mend)
        else:
            yield from literal_faults(parameter, value, path)
    yield from _secret_faults(spec, spec.contract)


def _secret_faults(spec: ActionSpec, contract: ContractSpec) -> Iterator[Fault]:
    secret = {parameter.name for parameter in contract.inputs if parameter.secret}
    given: set[str] = set()
    for index, one in enumerate(spec.secret_inputs):
        path = f"spec.secretInputs[{index}]"
        if one.input not in secret:
            yield Fault(
                f"{path}.input", "the contract takes no secret of this name", Nearest(secret).mend(one.input)
            )
        elif one.input in given:
            yield Fault(f"{path}.input", "is given twice")
        if not one.secret_key_ref.name or not one.secret_key_ref.key:
            yield Fault(f"{path}.secretKeyRef", "needs the name of a Secret and a key of it")
        given.add(one.input)
    for parameter in contract.inputs:
        there = given if parameter.secret else spec.inputs.keys()
        if parameter.required and parameter.default is None and parameter.name not in there:
            place = "secretInputs" if parameter.secret else f"inputs.{parameter.name}"
            yield Fault(f"spec.{place}", f"the required input {parameter.name} is missing")
