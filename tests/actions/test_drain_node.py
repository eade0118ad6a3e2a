from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld, action_world
from kubernaut.actions.drain_node import drain_node
from kubernaut.actions.uncordon_node import uncordon_node
from kubernaut.api.names import LABEL_EXECUTION
from kubernaut.cluster import kinds

from .cluster_nodes import names, node, pod, spec_of

A = {"nodeName": "a", "gracePeriodSeconds": 0}
EMPTY_DIR = [{"name": "v", "emptyDir": {}}]
MIRROR = {"kubernetes.io/config.mirror": "x"}


@pytest.fixture
async def nodes(still_world: ActionWorld) -> ActionWorld:
    await node(still_world, "a")
    await node(still_world, "b")
    return still_world


async def budget(world: ActionWorld, app: str, **rule: Any) -> None:
    spec = {"selector": {"matchLabels": {"app": app}}, **rule}
    await world.admin.create(
        kinds.POD_DISRUPTION_BUDGETS, {"metadata": {"name": f"keep-{app}"}, "spec": spec}, TARGETS
    )


async def test_a_drain_cordons_evicts_and_waits_and_its_rollback_uncordons(nodes: ActionWorld) -> None:
    for name in ("one", "two"):
        await pod(nodes, name, "a")
    await pod(nodes, "elsewhere", "b")
    await nodes.arm()
    ran = await nodes.run(drain_node, {**A, "reason": "kernel"})
    assert ran.code == 0, ran.err
    assert ran.outputs == {
        "podsEvicted": 2,
        "evictedPods": [f"{TARGETS}/one", f"{TARGETS}/two"],
        "wasCordoned": False,
    }
    assert await names(nodes) == {"elsewhere"}
    assert await spec_of(nodes, "a") == {"unschedulable": True}
    assert [change["action"] for change in ran.message["changes"]] == ["patch", "evict", "evict"]
    assert f"evicted {TARGETS}/one" in ran.err
    back = await nodes.run(uncordon_node, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert await spec_of(nodes, "a") == {}


async def test_a_node_that_was_cordoned_before_stays_so_after_a_rollback(still_world: ActionWorld) -> None:
    await node(still_world, "a", unschedulable=True)
    await node(still_world, "b")
    await pod(still_world, "one", "a")
    ran = await still_world.run(drain_node, A, fenced=False)
    assert (ran.code, ran.outputs["wasCordoned"]) == (0, True), ran.err
    assert ran.rollback["available"] is False
    again = await still_world.run(drain_node, A, fenced=False)
    assert (again.code, again.outputs["podsEvicted"], again.message["executed"]) == (0, 0, "no")


async def test_everything_that_forbids_it_is_told_at_once_before_anything_is_changed(nodes: ActionWorld) -> None:
    await pod(nodes, "alone", "a", of=None)
    await pod(nodes, "scratch", "a", volumes=EMPTY_DIR)
    await pod(nodes, "daemon", "a", of=kinds.DAEMON_SETS)
    await nodes.admin.patch(kinds.NODES, "b", None, {"spec": {"unschedulable": True}})
    ran = await nodes.run(drain_node, {**A, "ignoreDaemonsets": False}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "CannotDrain", "no")
    for said in (
        f"no controller would replace {TARGETS}/alone; see force",
        f"emptyDir volumes of {TARGETS}/scratch would be lost; see deleteLocalData",
        f"put their pods back ({TARGETS}/daemon); see ignoreDaemonsets",
        "a is the last node that takes pods",
    ):
        assert said in ran.message["message"]
    assert nodes.writes() == []
    assert len(await names(nodes)) == 3


async def test_what_is_allowed_goes_and_what_belongs_to_the_node_stays(nodes: ActionWorld) -> None:
    await pod(nodes, "alone", "a", of=None)
    await pod(nodes, "scratch", "a", volumes=EMPTY_DIR)
    await pod(nodes, "daemon", "a", of=kinds.DAEMON_SETS, volumes=EMPTY_DIR)
    await pod(nodes, "static", "a", of=None, annotations=MIRROR, volumes=EMPTY_DIR)
    ran = await nodes.run(drain_node, {**A, "force": True, "deleteLocalData": True}, fenced=False)
    assert ran.code == 0, ran.err
    assert await names(nodes) == {"daemon", "static"}
    assert "static pod" in ran.err


async def test_pods_that_have_ended_are_no_obstacle(nodes: ActionWorld) -> None:
    await pod(nodes, "done", "a", phase="Succeeded", of=None, volumes=EMPTY_DIR)
    ran = await nodes.run(drain_node, A, fenced=False)
    assert ran.code == 0, ran.err
    assert await names(nodes) == set()


async def test_its_own_pod_stays_to_report(nodes: ActionWorld) -> None:
    own = await pod(nodes, "own", "a", volumes=EMPTY_DIR, labels={LABEL_EXECUTION: "run"})
    await pod(nodes, "other", "a")
    ran = await nodes.run(drain_node, A, fenced=False, KUBERNAUT_POD_UID=own["metadata"]["uid"])
    assert ran.code == 0, ran.err
    assert await names(nodes) == {"own"}
    assert f"{TARGETS}/own runs this action" in ran.err


async def test_pods_of_other_actions_are_waited_for_and_not_cut_off(nodes: ActionWorld) -> None:
    await pod(nodes, "acting", "a", labels={LABEL_EXECUTION: "another"})
    ran = await nodes.run(drain_node, A, fenced=False, KUBERNAUT_DEADLINE_SECONDS="2.5")
    assert (ran.code, ran.message["reason"]) == (70, "NotInTime")
    assert f"{TARGETS}/acting have not ended" in ran.message["message"]
    assert await names(nodes) == {"acting"}
    await nodes.admin.patch(
        kinds.PODS, "acting", TARGETS, {"status": {"phase": "Succeeded"}}, subresource="status"
    )
    ran = await nodes.run(drain_node, A, fenced=False)
    assert ran.code == 0, ran.err


@pytest.mark.journey
async def test_a_budget_that_does_not_give_way_is_named_with_its_pod(nodes: ActionWorld) -> None:
    await pod(nodes, "web", "a")
    await pod(nodes, "free", "a")
    await budget(nodes, "web", minAvailable=1)
    ran = await nodes.run(drain_node, A, fenced=False, KUBERNAUT_DEADLINE_SECONDS="3.5")
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "BlockedByBudget", "yes")
    assert f"{TARGETS}/web: The disruption budget keep-web needs 1" in ran.message["message"]
    assert await names(nodes) == {"web"}
    assert ran.message["rollback"]["action"] == uncordon_node.name


@pytest.mark.journey
async def test_two_budgets_for_one_pod_are_told_before_anything_is_changed(nodes: ActionWorld) -> None:
    await pod(nodes, "web", "a")
    await budget(nodes, "web", minAvailable=0)
    spec = {"selector": {}, "maxUnavailable": "50%"}
    await nodes.admin.create(kinds.POD_DISRUPTION_BUDGETS, {"metadata": {"name": "all"}, "spec": spec}, TARGETS)
    ran = await nodes.run(drain_node, A, fenced=False)
    assert (ran.code, ran.message["executed"], nodes.writes()) == (65, "no", [])
    assert "more than one PodDisruptionBudget" in ran.message["message"]


async def test_a_pod_that_does_not_end_is_named(nodes: ActionWorld) -> None:
    await pod(nodes, "stuck", "a", finalizers=["example.com/hold"])
    ran = await nodes.run(drain_node, A, fenced=False, KUBERNAUT_DEADLINE_SECONDS="2.5")
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (70, "NotInTime", "yes")
    assert f"1 pods are still ending ({TARGETS}/stuck)" in ran.message["message"]


async def test_without_the_right_to_evict_nothing_is_changed(nodes: ActionWorld) -> None:
    await pod(nodes, "one", "a")
    less = [p for p in drain_node.contract.spec.rbac.permissions if p.resources != ("pods/eviction",)]
    ran = await nodes.run(drain_node, A, fenced=False, permissions=less)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (65, "Forbidden", "no")
    assert await spec_of(nodes, "a") == {}


# -- with nodes that run pods ------------------------------------------------------------------------


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncGenerator[ActionWorld]:
    async with action_world(tmp_path, nodes=("a", "b")) as world:
        yield world


@pytest.mark.journey
async def test_a_drain_moves_a_deployment_as_slowly_as_its_budget_wants(pair: ActionWorld) -> None:
    await pair.deploy("web", replicas=4)
    await pair.settled("web")
    await budget(pair, "web", maxUnavailable=1)
    least = 4

    def note(change: Any) -> None:
        nonlocal least
        ready = sum(
            any(c["type"] == "Ready" and c["status"] == "True" for c in p.get("status", {}).get("conditions", []))
            for p in pair.dev.store.list("pods", TARGETS).items
            if not p["metadata"].get("deletionTimestamp")
        )
        least = min(least, ready)

    unsubscribe = pair.dev.store.subscribe(note, ("pods",))
    ran = await pair.run(drain_node, {"nodeName": "a", "gracePeriodSeconds": 1}, fenced=False)
    unsubscribe()
    assert ran.code == 0, ran.err
    assert ran.outputs["podsEvicted"] == 2
    assert least == 3, "never more than one was missing"
    await pair.settled("web")
    alive = [p for p in await pair.pods() if not p["metadata"].get("deletionTimestamp")]
    assert {p["spec"]["nodeName"] for p in alive} == {"b"}
