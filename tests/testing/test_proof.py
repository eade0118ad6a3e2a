"""Running an action shows whether it declares what it uses: what it lacks and what is too much is named."""

from collections.abc import Sequence
from typing import Any

import pytest

from kubernaut.api.contract import Permission
from kubernaut.sdk import DnsLabel, Inputs, Outputs, Run, action, kinds
from kubernaut.sdk.declare import AnyAction
from kubernaut.testing.proof import Proof, Rule, Use, permissions_for, prove, rules_of
from kubernaut.testing.scenario import Expectation, Scenario, WorkflowEnd

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]

EXACT = (
    Permission(api_groups=("",), resources=("configmaps",), verbs=("get", "patch")),
    Permission(api_groups=("",), resources=("secrets",), verbs=("list",)),
)
NODES = Permission(api_groups=("",), resources=("nodes",), verbs=("list",), cluster=True)


class MarkInputs(Inputs, frozen=True, kw_only=True):
    namespace: DnsLabel
    elsewhere: str = ""


class MarkOutputs(Outputs, frozen=True, kw_only=True):
    secrets: int


def marking(*permissions: Permission) -> AnyAction:
    @action("test/mark", version="1.0.0", description="Marks a ConfigMap.", permissions=permissions, timeout="30s")
    async def mark(inputs: MarkInputs, run: Run) -> MarkOutputs:
        found = await run.cluster.get(kinds.CONFIG_MAPS, "settings", inputs.namespace)
        secrets = await run.cluster.list(kinds.SECRETS, inputs.namespace)
        await run.cluster.patch(found, {"data": {"mark": "yes"}})
        return MarkOutputs(secrets=len(secrets))

    return mark


def looking(*permissions: Permission) -> AnyAction:
    """Swallows that it may not look at nodes: a run shows no difference, only the server knows."""

    @action("test/look", version="1.0.0", description="Looks.", permissions=permissions, timeout="30s")
    async def look(inputs: MarkInputs, run: Run) -> MarkOutputs:
        from kubernaut.sdk import Forbidden

        try:
            await run.cluster.list(kinds.NODES)
        except Forbidden:
            run.say("never mind")
        if inputs.elsewhere:
            try:
                await run.cluster.list(kinds.SECRETS, inputs.elsewhere)
            except Forbidden:
                run.say("out of reach")
        return MarkOutputs(secrets=len(await run.cluster.list(kinds.SECRETS, inputs.namespace)))

    return look


def scenario(name: str, action_type: str, phase: str = "Completed", **inputs: Any) -> Scenario:
    workflow = {
        "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": name, "namespace": "kubernaut-workflows"},
        "spec": {
            "steps": [{"name": "only", "actionType": action_type, "inputs": {"namespace": "shop", **inputs}}]
        },
    }
    expectation = Expectation(
        story="A ConfigMap is marked.",
        workflows={name: WorkflowEnd(phase=phase)},
        out_of_reach=("vault",),
        quiet="1s",
    )
    config = {"apiVersion": "v1", "kind": "ConfigMap"}
    workload = [
        {**config, "metadata": {"name": "settings", "namespace": "shop"}},
        {**config, "metadata": {"name": "hidden", "namespace": "vault"}},
    ]
    return Scenario(name, expectation, workload, [], [], [workflow])


async def proof_of(subject: AnyAction, *scenarios: Scenario) -> Proof:
    (proof,) = await prove([subject], scenarios)
    return proof


def told(rules: Sequence[Rule]) -> list[str]:
    return [str(rule) for rule in rules]


async def test_what_is_used_and_declared_is_proven() -> None:
    proof = await proof_of(marking(*EXACT), scenario("marked", "test/mark"))
    assert proof.is_exact
    assert proof.failures == ()
    assert {str(rule): where for rule, where in proof.used.items()} == {
        "get configmaps": ("marked",),
        "patch configmaps": ("marked",),
        "list secrets": ("marked",),
    }


async def test_everything_that_is_missing_is_named_at_once_though_the_first_refusal_ends_a_run() -> None:
    subject = marking(Permission(api_groups=("",), resources=("configmaps",), verbs=("patch",)))
    proof = await proof_of(subject, scenario("marked", "test/mark"))
    assert [str(use) for use in proof.undeclared] == ["get configmaps settings in shop", "list secrets in shop"]
    assert proof.to_add() == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]},
    ]
    assert proof.unused == ()
    assert proof.failures == ()


async def test_what_is_declared_and_never_used_is_named() -> None:
    more = Permission(api_groups=("apps", ""), resources=("pods",), verbs=("get",))
    proof = await proof_of(marking(*EXACT, more), scenario("marked", "test/mark"))
    assert told(proof.unused) == ["get pods.apps", "get pods"]
    assert {rule.number for rule in proof.unused} == {2}
    assert not proof.undeclared


async def test_a_refusal_that_the_action_swallows_is_a_use_all_the_same() -> None:
    secrets = EXACT[1]
    proof = await proof_of(looking(secrets), scenario("looked", "test/look"))
    assert [str(use) for use in proof.undeclared] == ["list nodes in the whole cluster"]
    assert proof.to_add() == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"], "cluster": True}]
    assert (await proof_of(looking(secrets, NODES), scenario("looked", "test/look"))).is_exact


async def test_what_is_refused_rightly_where_it_may_not_act_is_no_lack() -> None:
    proof = await proof_of(looking(EXACT[1], NODES), scenario("looked", "test/look", elsewhere="vault"))
    assert proof.is_exact


async def test_a_scenario_that_does_not_go_as_it_expects_is_told() -> None:
    proof = await proof_of(marking(*EXACT), scenario("marked", "test/mark", phase="Failed"))
    assert proof.is_exact
    assert [said.partition(": ")[0] for said in proof.failures] == ["marked"]


async def test_without_a_scenario_nothing_is_proven() -> None:
    proof = await proof_of(marking(*EXACT), scenario("looked", "test/look"))
    assert proof.scenarios == ()
    assert not proof.is_exact


# -- laws of permissions ---------------------------------------------------------------------------


def test_a_permission_covers_its_verbs_resources_and_names_and_nothing_else() -> None:
    (rule,) = rules_of(
        [Permission(api_groups=("",), resources=("secrets",), verbs=("get",), resource_names=("db",))]
    )
    assert rule.covers(Use("get", "", "secrets", "shop", "db"))
    for other in (
        Use("get", "", "secrets", "shop", "other"),
        Use("list", "", "secrets", "shop"),
        Use("patch", "", "secrets", "shop", "db"),
        Use("get", "apps", "secrets", "shop", "db"),
        Use("get", "", "secrets/status", "shop", "db"),
        Use("get", "", "secrets", "", "db"),
    ):
        assert not rule.covers(other), other


def test_what_is_to_be_added_covers_every_use_and_no_verb_besides() -> None:
    uses = [
        Use("get", "", "pods", "shop", "a"),
        Use("list", "", "pods", "shop"),
        Use("get", "", "services", "shop", "a"),
        Use("list", "", "services", "shop"),
        Use("list", "", "nodes"),
        Use("get", "apps", "deployments", "shop", "web"),
    ]
    added = permissions_for(uses)
    rules = list(rules_of(added))
    assert all(any(rule.covers(use) for rule in rules) for use in uses)
    assert all(any(rule.covers(use) for use in uses) for rule in rules)
    assert len(added) == 3
