from typing import Any

import pytest

from action_worlds import ActionWorld
from kubernaut.actions.cordon_node import cordon_node
from kubernaut.actions.uncordon_node import uncordon_node
from kubernaut.cluster import kinds

from .cluster_nodes import NOT_READY, READY, node, spec_of

A = {"nodeName": "a"}
CORDONED = {"unschedulable": True}


async def test_a_cordon_and_its_rollback_are_the_identity(still_world: ActionWorld) -> None:
    taints = [{"key": "own", "effect": "PreferNoSchedule"}]
    await node(still_world, "a", taints=taints)
    await node(still_world, "b")
    await still_world.arm()
    ran = await still_world.run(cordon_node, {**A, "reason": "disk"})
    assert ran.code == 0, ran.err
    assert ran.outputs == {"wasCordoned": False}
    assert await spec_of(still_world, "a") == {"taints": taints, **CORDONED}
    assert ran.message["changes"][0]["after"] == {"spec.unschedulable": True}
    back = await still_world.run(uncordon_node, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert await spec_of(still_world, "a") == {"taints": taints}


async def test_an_uncordon_and_its_rollback_are_the_identity(still_world: ActionWorld) -> None:
    await node(still_world, "a", unschedulable=True)
    ran = await still_world.run(uncordon_node, A, fenced=False)
    assert (ran.code, ran.outputs) == (0, {"wasCordoned": True}), ran.err
    assert await spec_of(still_world, "a") == {}
    back = await still_world.run(cordon_node, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert await spec_of(still_world, "a") == CORDONED


@pytest.mark.parametrize(("action", "spec"), [(cordon_node, CORDONED), (uncordon_node, {})])
async def test_what_is_so_already_is_not_written_and_not_taken_back(
    still_world: ActionWorld, action: Any, spec: dict[str, Any]
) -> None:
    await node(still_world, "a", **spec)
    ran = await still_world.run(action, A, fenced=False)
    assert (ran.code, ran.message["executed"], ran.message["rollback"]) == (0, "no", None)
    assert still_world.writes() == []


@pytest.mark.parametrize("action", [cordon_node, uncordon_node])
async def test_a_node_that_is_not_there_is_refused(still_world: ActionWorld, action: Any) -> None:
    ran = await still_world.run(action, A, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "TargetNotFound")


@pytest.mark.parametrize(
    "other",
    [
        {"unschedulable": True},
        {"conditions": NOT_READY},
        {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]},
        None,
    ],
    ids=["cordoned", "not ready", "control plane", "none"],
)
async def test_the_last_node_that_takes_pods_is_not_cordoned_unless_told(
    still_world: ActionWorld, other: dict[str, Any] | None
) -> None:
    await node(still_world, "a")
    if other is not None:
        await node(still_world, "b", **other)
    ran = await still_world.run(cordon_node, A, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "LastSchedulableNode", "no")
    ran = await still_world.run(cordon_node, {**A, "allowLast": True}, fenced=False)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (NOT_READY, "Kubelet stopped posting"),
        (
            (*READY, {"type": "DiskPressure", "status": "True", "message": "disk is full"}),
            "DiskPressure: disk is full",
        ),
        ((), "its kubelet says nothing"),
    ],
    ids=["silent", "disk pressure", "new"],
)
async def test_a_sick_node_is_not_uncordoned_unless_told(
    still_world: ActionWorld, conditions: Any, said: str
) -> None:
    await node(still_world, "a", conditions=conditions, unschedulable=True)
    ran = await still_world.run(uncordon_node, A, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "NodeNotHealthy", "no")
    assert said in ran.message["message"]
    ran = await still_world.run(uncordon_node, {**A, "verifyHealth": False}, fenced=False)
    assert ran.code == 0, ran.err


async def test_a_heartbeat_in_between_does_no_harm(still_world: ActionWorld) -> None:
    await node(still_world, "a")
    await node(still_world, "b")
    beats = 0

    async def beat(moment: str, write: Any) -> None:
        nonlocal beats
        if moment == "before" and write.kind == kinds.NODES and write.verb == "patch" and not beats:
            beats += 1
            status = {"status": {"conditions": [*READY, {"type": "Beat", "status": "True"}]}}
            await still_world.admin.patch(kinds.NODES, "a", None, status, subresource="status")

    connect = still_world.connect

    def watched(token: str, user: str = "") -> Any:
        cluster = connect(token, user)
        cluster.on_write(beat)
        return cluster

    still_world.connect = watched  # type: ignore[method-assign]
    ran = await still_world.run(cordon_node, A, fenced=False)
    assert (ran.code, beats) == (0, 1), ran.err
    assert await spec_of(still_world, "a") == CORDONED
