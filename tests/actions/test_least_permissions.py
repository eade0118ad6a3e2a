"""Each action declares what it uses and no more, and the account that an installation makes may do just that."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from action_worlds import LEASE, TARGETS, ActionWorld
from kubernaut.actions import SHIPPED
from kubernaut.api.contract import Permission
from kubernaut.cli.installing.actions import account_of, action_manifests, target_manifests
from kubernaut.cli.options import EXECUTION_NAMESPACE
from kubernaut.cluster import Cluster, ClusterError, Forbidden, ResourceKind, kinds
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import find_action
from kubernaut.testing.proof import prove
from kubernaut.testing.scenario import Scenario, read_scenarios, shipped_scenarios

Object = dict[str, Any]
ACTIONS: dict[str, AnyAction] = {found.name: found for found in map(find_action, SHIPPED)}
PROOFS = read_scenarios(shipped_scenarios() / "proofs")


@pytest.mark.journey
@pytest.mark.timeout(60)
@pytest.mark.parametrize("scenario", PROOFS, ids=lambda scenario: scenario.name)
async def test_no_action_uses_what_its_contract_does_not_declare(scenario: Scenario) -> None:
    for proof in await prove([*ACTIONS.values()], [scenario]):
        assert (proof.action, dict(proof.undeclared), proof.failures) == (proof.action, {}, ())


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_no_action_declares_what_it_does_not_use() -> None:
    proofs = await prove([*ACTIONS.values()], PROOFS)
    assert {proof.action: [str(rule) for rule in proof.unused] for proof in proofs if not proof.is_exact} == {}
    assert all(proof.scenarios and not proof.failures for proof in proofs)


# -- as it is installed ----------------------------------------------------------------------------


async def install(world: ActionWorld, action: AnyAction) -> str:
    """The token of the action's account, as the API server gives it to pods."""
    await world.admin.create(kinds.NAMESPACES, {"metadata": {"name": EXECUTION_NAMESPACE}})
    for manifest in (*action_manifests([action.contract]), *target_manifests([action.contract], TARGETS)):
        await world.admin.create(kinds.kind_of(manifest), manifest, manifest["metadata"].get("namespace"))
    lease = {"metadata": {"name": LEASE}, "spec": {"leaseTransitions": 1}}
    await world.admin.create(kinds.LEASES, lease, EXECUTION_NAMESPACE)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    account = account_of(action.contract)
    answer = await world.admin.create(
        kinds.SERVICE_ACCOUNTS, asked, EXECUTION_NAMESPACE, name=account, subresource="token"
    )
    return str(answer["status"]["token"])


@pytest.fixture(params=sorted(ACTIONS), ids=lambda name: str(name).partition("/")[2])
def action(request: pytest.FixtureRequest) -> AnyAction:
    return ACTIONS[request.param]


def granted(action: AnyAction) -> Iterator[tuple[Permission, str]]:
    for permission in action.contract.spec.rbac.permissions:
        for verb in permission.verbs:
            yield permission, verb


ELSEWHERE = "elsewhere"
VERBS = ("get", "list", "create", "update", "patch", "delete")
TRIED = (
    kinds.PODS,
    kinds.SECRETS,
    kinds.CONFIG_MAPS,
    kinds.SERVICE_ACCOUNTS,
    kinds.NODES,
    kinds.NAMESPACES,
    kinds.DEPLOYMENTS,
    kinds.REPLICA_SETS,
    kinds.STATEFUL_SETS,
    kinds.HORIZONTAL_POD_AUTOSCALERS,
    kinds.LEASES,
    kinds.ROLE_BINDINGS,
    kinds.CLUSTER_ROLE_BINDINGS,
)
RUNNER = {("leases", "get"), ("leases", "update"), ("configmaps", "create"), ("configmaps", "update")}


async def is_allowed(cluster: Cluster, verb: str, kind: ResourceKind, namespace: str | None) -> bool:
    body: Object = {"metadata": {"name": "none", **({"namespace": namespace} if namespace else {})}}
    try:
        match verb:
            case "get":
                await cluster.get(kind, "none", namespace)
            case "list":
                await cluster.list(kind, namespace, limit=1)
            case "create":
                await cluster.create(kind, body, namespace, dry_run=True)
            case "update":
                await cluster.replace(kind, body, dry_run=True)
            case "patch":
                await cluster.patch(kind, "none", namespace, {}, dry_run=True)
            case _:
                await cluster.delete(kind, "none", namespace, dry_run=True)
    except Forbidden:
        return False
    except ClusterError:
        return True  # let in, and then not found or invalid
    return True


def may(action: AnyAction, verb: str, kind: ResourceKind, namespace: str | None) -> bool:
    if namespace == EXECUTION_NAMESPACE and (kind.plural, verb) in RUNNER:
        return True
    return any(
        kind.group in permission.api_groups
        and kind.plural in permission.resources
        and (permission.cluster or namespace == TARGETS)
        for permission, granted_verb in granted(action)
        if granted_verb == verb
    )


async def test_its_account_may_do_what_the_contract_says_and_nothing_else(
    still_world: ActionWorld, action: AnyAction
) -> None:
    token = await install(still_world, action)
    await still_world.admin.create(kinds.NAMESPACES, {"metadata": {"name": ELSEWHERE}})
    # To write a Lease that is not there takes the right to create one as well.
    for namespace in (TARGETS, ELSEWHERE, EXECUTION_NAMESPACE):
        await still_world.admin.create(kinds.LEASES, {"metadata": {"name": "none"}}, namespace)
    wrong: list[str] = []
    async with still_world.connect(token) as cluster:
        for verb, kind in product(VERBS, TRIED):
            places = (TARGETS, ELSEWHERE, EXECUTION_NAMESPACE) if kind.namespaced else (None,)
            for namespace in places:
                allowed = await is_allowed(cluster, verb, kind, namespace)
                if allowed != may(action, verb, kind, namespace):
                    wrong.append(f"{'may' if allowed else 'may not'} {verb} {kind.resource} in {namespace}")
    assert wrong == []
