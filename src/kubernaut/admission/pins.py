"""What a run is bound to: the catalogue entries that it was judged by, and the hash of what was asked."""

import hashlib
import re
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from kubernaut.admission.door import Door
from kubernaut.api.action import ActionExecution
from kubernaut.api.contract import ContractSpec
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.workflow import PinnedAction, Step, WorkflowExecution, pin_key

IMAGE = re.compile(r"[^@\s]+@sha256:[a-f0-9]{64}")
DEFAULT_ACCOUNT = "default"
"""The account of an action that the catalogue does not have: Kubernetes' own, which may do nothing."""

_CANONICAL = msgspec.json.Encoder(order="sorted")


def pinned_actions(workflow: WorkflowExecution, door: Door) -> Mapping[str, PinnedAction]:
    """The catalogue entries of all steps by `pin_key`; none for steps that the door refuses for their action.

    Descriptions are left out: a status holds a copy of every contract, and nothing decides by them.
    """
    spec = workflow.spec
    found: dict[str, PinnedAction] = {}
    for step in (*spec.steps, *spec.finally_):
        key = pin_key(step)
        pinned = None if key in found else pinned_action(step, door)
        if pinned is not None:
            found[key] = pinned
    return found


def pinned_action(step: Step, door: Door) -> PinnedAction | None:
    """The action that a step would run, or None where neither the catalogue nor an image says what it is."""
    definition = door.catalogue.get(step.action_type)
    image = step.image or (definition.spec.image if definition else "")
    contract = _contract_of(image, definition, door)
    if contract is None:
        return None
    return PinnedAction(
        key=pin_key(step),
        action_type=step.action_type,
        image=image,
        service_account_name=definition.spec.service_account_name if definition else DEFAULT_ACCOUNT,
        contract=without_descriptions(contract),
    )


def images_to_read(
    asked: WorkflowExecution | ActionExecution, catalogue: Mapping[str, ActionDefinition]
) -> tuple[str, ...]:
    """The images whose contracts a judgement needs besides those of the catalogue, each once, in order."""
    steps = (
        (asked_step(asked),) if isinstance(asked, ActionExecution) else (*asked.spec.steps, *asked.spec.finally_)
    )
    found: dict[str, None] = {}
    for step in steps:
        definition = catalogue.get(step.action_type)
        is_catalogued = definition is not None and step.image == definition.spec.image
        if step.image and not is_catalogued and IMAGE.fullmatch(step.image):
            found[step.image] = None
    return tuple(found)


def asked_step(execution: ActionExecution) -> Step:
    """A stand-alone execution as the step that it would be in a workflow."""
    spec = execution.spec
    return Step(
        name="action",
        action_type=spec.action_type,
        image=spec.image,
        service_account_name=spec.service_account_name,
    )


def _contract_of(image: str, definition: ActionDefinition | None, door: Door) -> ContractSpec | None:
    known = door.contracts.get(image)
    if definition is not None:
        # Without a cluster nobody knows which image its catalogue names: the type's contract is the best guess.
        is_guess = door.is_offline and known is None and image not in door.unreadable
        if image == definition.spec.image or is_guess:
            return definition.spec.contract
    return known.spec if known is not None else None


def without_descriptions(contract: ContractSpec) -> ContractSpec:
    """The contract without its texts for people."""
    return replace(
        contract,
        description="",
        inputs=tuple(replace(parameter, description="") for parameter in contract.inputs),
        outputs=tuple(replace(parameter, description="") for parameter in contract.outputs),
    )


def spec_hash(workflow: WorkflowExecution) -> str:
    """SHA-256 (hex) over canonical JSON of everything in spec but `requests`: what was admitted is what runs.

    Keys are sorted and defaults left out, so that neither their order nor the API server's defaulting changes it.
    """
    asked = replace(workflow.spec, requests=())
    return hashlib.sha256(_CANONICAL.encode(asked)).hexdigest()
