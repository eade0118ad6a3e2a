"""All of it, in the order in which it is applied."""

from collections.abc import Mapping, Sequence
from typing import Any

from kubernaut.api.contract import ActionContract
from kubernaut.api.crd import custom_resource_definitions
from kubernaut.cli.installing.actions import EVERYWHERE, action_manifests, definition_manifest, target_manifests
from kubernaut.cli.installing.controller import controller_manifests
from kubernaut.cli.installing.places import place_manifests
from kubernaut.cli.installing.policies import policy_manifests

Json = dict[str, Any]

__all__ = ["EVERYWHERE", "installation"]


def installation(
    images: Mapping[str, ActionContract | None], targets: Sequence[str], *, with_controller: bool = False
) -> list[Json]:
    """What makes a cluster one that runs remediations.

    images: contracts by reference (by digest); the controller's image has none.
    targets: the namespaces that actions may touch, or EVERYWHERE.
    """
    actions = {image: contract for image, contract in images.items() if contract is not None}
    controller = next((image for image, contract in images.items() if contract is None), "")
    contracts = list(actions.values())
    return [
        *place_manifests(),
        *custom_resource_definitions(),
        *controller_manifests(controller if with_controller else ""),
        *action_manifests(contracts),
        *policy_manifests(),
        *(item for target in targets for item in target_manifests(contracts, target)),
        *(definition_manifest(contract, image) for image, contract in actions.items()),
    ]
