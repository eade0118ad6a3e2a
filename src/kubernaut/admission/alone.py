"""The door of an ActionExecution that a user made: one action, no workflow around it."""

from collections.abc import Iterator

from kubernaut.admission.catalogue import check_contract, is_account_name, version_fault
from kubernaut.admission.door import Door
from kubernaut.admission.inputs import literal_faults
from kubernaut.admission.nearest import Nearest
from kubernaut.admission.pins import IMAGE, asked_step, pinned_action, without_descriptions
from kubernaut.admission.steps import TYPE, account_faults, image_faults, retry_faults, timeout_faults
from kubernaut.admission.values import unfit_values
from kubernaut.admission.words import MEND_DIGEST, NO_DIGEST
from kubernaut.api.action import ActionExecution, ActionSpec
from kubernaut.api.contract import ContractSpec, is_secret_reference
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.references import UnknownReference, find


def check_action(execution: ActionExecution, door: Door) -> tuple[Fault, ...]:
    """Everything for which a stand-alone ActionExecution is refused. Never raises."""
    spec = execution.spec
    if unfit := unfit_values(spec.inputs, "spec.inputs"):
        return tuple(unfit)
    definition = door.catalogue.get(spec.action_type)
    if definition is None and (unknown := _unknown_type(spec, door)):
        return (unknown,)
    if definition is not None and (newer := version_fault(definition, "spec.actionType")):
        return (newer,)
    if definition is not None and spec.image == definition.spec.image:
        faults = list(_catalogued_faults(execution, definition, door))
    else:
        faults = list(_own_image_faults(execution, definition, door))
    faults += timeout_faults(spec.timeout, "", "spec.timeout")
    faults += retry_faults(spec.retry, "spec.retry", door.max_workflow_seconds)
    if spec.cluster:
        faults.append(Fault("spec.cluster", "is reserved for runs in several clusters", "Leave it out."))
    if broken := check_contract(spec.contract, "spec.contract"):
        return (*faults, *broken)
    faults += timeout_faults(spec.timeout, spec.contract.max_timeout, "spec.timeout")
    return tuple(dict.fromkeys((*faults, *_input_faults(spec))))


def _unknown_type(spec: ActionSpec, door: Door) -> Fault | None:
    """An action that neither the catalogue nor an image of its own can tell anything about."""
    nearest = Nearest(door.catalogue)
    near = nearest.find(spec.action_type)
    is_told = spec.image in door.contracts or spec.image in door.unreadable or spec.image in door.awaited
    # Without a cluster, nobody knows of such an image; a slip of the pen is the likelier then.
    may_be_own = TYPE.fullmatch(spec.action_type) and IMAGE.fullmatch(spec.image) and door.is_offline and not near
    if is_told or may_be_own:
        return None
    hint = f"Did you mean {near}? " if near else ""
    message = f"the catalogue has no action {spec.action_type[:100]}"
    return Fault("spec.actionType", message, hint + nearest.listed())


def _own_image_faults(
    execution: ActionExecution, definition: ActionDefinition | None, door: Door
) -> Iterator[Fault]:
    """An image that the catalogue does not name is judged by the contract that it carries itself."""
    spec, step = execution.spec, asked_step(execution)
    if not IMAGE.fullmatch(spec.image):
        yield Fault("spec.image", NO_DIGEST, MEND_DIGEST)
    yield from image_faults(door, step, "spec.image", definition)
    yield from account_faults(door, step, "spec.serviceAccountName", definition)
    pinned = pinned_action(step, door)
    if pinned is None:
        return
    if without_descriptions(spec.contract) != pinned.contract:
        mend = f"Copy it: kubernaut action contract show {spec.image}"
        yield Fault("spec.contract", "is not the contract of this image", mend)
    if spec.image in door.contracts and not pinned.contract.fenced:
        # In a workflow such an image waits for an approval, which a single action cannot be given.
        message = "takes no fence, so that nothing keeps a second pod from acting again"
        mend = "Run it as the step of a workflow, or have it installed: kubernaut action install."
        yield Fault("spec.image", message, mend)


def _catalogued_faults(execution: ActionExecution, definition: ActionDefinition, door: Door) -> Iterator[Fault]:
    """What runs, under which promise and as whom, is the catalogue's to say."""
    spec = execution.spec
    pinned = pinned_action(asked_step(execution), door)
    if pinned is not None and without_descriptions(spec.contract) != pinned.contract:
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
