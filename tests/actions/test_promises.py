"""What the contracts of the shipped actions promise."""

import pytest

from kubernaut.actions import SHIPPED
from kubernaut.api.duration import from_duration
from kubernaut.sdk.entrypoint import find_action

CONTRACTS = {found.name.partition("/")[2]: found.contract for found in map(find_action, SHIPPED)}

# Seconds of one attempt, as the catalogue of predefined actions has always given them.
SECONDS = {
    "scale_deployment": 300,
    "restart_deployment": 600,
    "delete_pod": 120,
    "restart_pod": 120,
    "update_configmap": 60,
    "update_secret": 60,
    "patch_deployment": 600,
    "cordon_node": 30,
    "drain_node": 900,
    "uncordon_node": 30,
    "rollout_status": 60,
}


@pytest.mark.parametrize(("name", "seconds"), SECONDS.items(), ids=SECONDS)
def test_predefined_actions_have_the_times_they_always_had(name: str, seconds: int) -> None:
    assert from_duration(CONTRACTS[name].spec.timeout) == seconds


@pytest.mark.parametrize("name", CONTRACTS)
def test_only_actions_that_change_nothing_may_be_repeated_and_only_changes_are_taken_back(name: str) -> None:
    spec = CONTRACTS[name].spec
    verbs = {verb for permission in spec.rbac.permissions for verb in permission.verbs}
    changes = bool(verbs & {"create", "update", "patch", "delete"})
    assert spec.idempotent is not changes
    assert changes or not spec.reversible


@pytest.mark.parametrize("name", CONTRACTS)
def test_nothing_is_granted_by_wildcard_and_only_node_actions_reach_beyond_a_namespace(name: str) -> None:
    permissions = CONTRACTS[name].spec.rbac.permissions
    for permission in permissions:
        assert "*" not in (*permission.api_groups, *permission.resources, *permission.verbs)
        assert permission.cluster is name.endswith("_node")
