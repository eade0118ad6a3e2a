"""Everything that a cluster needs before it can run remediations, as manifests. No input, no output.

`kubernaut install` prints or applies them; `scripts/generate.py` writes them below `deploy/base`, so that both
ways give the same objects.
"""

from kubernaut.cli.installing.actions import (
    account_of,
    action_manifests,
    definition_manifest,
    own_action_manifests,
    shipped_contracts,
    target_manifests,
)
from kubernaut.cli.installing.controller import controller_manifests
from kubernaut.cli.installing.places import place_manifests
from kubernaut.cli.installing.policies import policy_manifests
from kubernaut.cli.installing.whole import EVERYWHERE, installation

__all__ = [
    "EVERYWHERE",
    "account_of",
    "action_manifests",
    "controller_manifests",
    "definition_manifest",
    "installation",
    "own_action_manifests",
    "place_manifests",
    "policy_manifests",
    "shipped_contracts",
    "target_manifests",
]
