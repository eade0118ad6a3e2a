"""What a run is bound to: the catalogue entries that it was judged by, and the hash of what was asked."""

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from kubernaut.admission.door import Door
from kubernaut.api.contract import ContractSpec
from kubernaut.api.workflow import PinnedAction, Step, WorkflowExecution, pin_key

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
    """The action that a step would run, or None where the catalogue has no such type or the image is unknown."""
    definition = door.catalogue.get(step.action_type)
    if definition is None:
        return None
    image = step.image or definition.spec.image
    # Without a cluster nobody knows which image its catalogue names: the type's contract is the best guess.
    if image == definition.spec.image or (door.is_offline and image not in door.contracts):
        contract = definition.spec.contract
    elif image in door.contracts:
        contract = door.contracts[image].spec
    else:
        return None
    return PinnedAction(
        key=pin_key(step),
        action_type=step.action_type,
        image=image,
        service_account_name=definition.spec.service_account_name,
        contract=without_descriptions(contract),
    )


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
