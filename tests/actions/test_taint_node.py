from typing import Any

import pytest

from action_worlds import ActionWorld
from kubernaut.actions.taint_node import taint_node
from kubernaut.actions.untaint_node import untaint_node
from kubernaut.cluster import kinds

from .cluster_nodes import NOT_READY, node, spec_of

Object = dict[str, Any]
A = {"nodeName": "a"}
THEIRS = {"key": "theirs", "value": "x", "effect": "NoSchedule"}
OURS = {"key": "example.com/sick", "value": "disk", "effect": "NoSchedule"}
SOFT = {**OURS, "effect": "PreferNoSchedule"}


async def taints(world: ActionWorld) -> list[Object]:
    found: list[Object] = (await spec_of(world, "a")).get("taints", [])
    return sorted(found, key=lambda taint: (taint["key"], taint["effect"]))


@pytest.mark.parametrize(
    ("action", "before", "inputs", "after"),
    [
        (taint_node, [THEIRS], OURS, [OURS, THEIRS]),
        (taint_node, [], {"key": "k", "effect": "NoExecute"}, [{"key": "k", "effect": "NoExecute"}]),
        (taint_node, [OURS], {**OURS, "value": "net", "overwrite": True}, [{**OURS, "value": "net"}]),
        (untaint_node, [OURS, SOFT, THEIRS], {"key": OURS["key"]}, [THEIRS]),
        (untaint_node, [OURS, SOFT], {"key": OURS["key"], "effect": "NoSchedule"}, [SOFT]),
        (untaint_node, [OURS], {"key": OURS["key"], "value": "disk"}, []),
    ],
    ids=["add", "add without value", "overwrite", "all effects", "one effect", "last"],
)
async def test_a_taint_or_its_removal_and_the_rollback_are_the_identity(
    still_world: ActionWorld, action: Any, before: list[Object], inputs: Object, after: list[Object]
) -> None:
    await node(still_world, "a", taints=before)
    await node(still_world, "b")
    ran = await still_world.run(action, {**A, **inputs}, fenced=False)
    assert ran.code == 0, ran.err
    assert await taints(still_world) == after
    again = await still_world.run(action, {**A, **inputs}, fenced=False)
    assert (again.code, again.message["executed"]) == (0, "no")
    undo = {"kubernetes/taint_node": taint_node, "kubernetes/untaint_node": untaint_node}
    back = await still_world.run(undo[ran.rollback["action"]], ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert await taints(still_world) == sorted(before, key=lambda taint: (taint["key"], taint["effect"]))
    forth = await still_world.run(undo[back.rollback["action"]], back.rollback["inputs"], fenced=False)
    assert forth.code == 0, forth.err
    assert await taints(still_world) == after


@pytest.mark.parametrize("overwrites", [False, True])
async def test_a_rollback_refuses_to_overwrite_what_others_changed_since(
    still_world: ActionWorld, overwrites: bool
) -> None:
    await node(still_world, "a", taints=[{**OURS, "value": "old"}] if overwrites else [])
    await node(still_world, "b")
    ran = await still_world.run(taint_node, {**A, **OURS, "overwrite": overwrites}, fenced=False)
    theirs = {**OURS, "value": "changed"}
    await still_world.admin.patch(kinds.NODES, "a", None, {"spec": {"taints": [theirs]}})
    undo = taint_node if overwrites else untaint_node
    assert ran.rollback["action"] == undo.name
    back = await still_world.run(undo, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["reason"], back.message["executed"]) == (66, "Drifted", "no")
    assert await taints(still_world) == [theirs]


@pytest.mark.parametrize(
    ("action", "inputs", "reason"),
    [
        (taint_node, {**OURS, "value": "net"}, "TaintIsThere"),
        (taint_node, {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}, "NotToBeChanged"),
        (taint_node, {"key": "k", "effect": "NoSchedule", "nodeName": "only"}, "TargetNotFound"),
        (taint_node, {"key": "k", "effect": "NoSchedule"}, "LastSchedulableNode"),
        (untaint_node, {"key": OURS["key"], "value": "net"}, "Drifted"),
    ],
)
async def test_what_must_not_be_is_refused(
    still_world: ActionWorld, action: Any, inputs: Object, reason: str
) -> None:
    await node(still_world, "a", taints=[{**OURS, "effect": "PreferNoSchedule"}, OURS])
    ran = await still_world.run(action, {**A, **inputs}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, reason, "no")


async def test_a_sick_node_is_not_untainted_unless_told(still_world: ActionWorld) -> None:
    await node(still_world, "a", conditions=NOT_READY, taints=[OURS])
    ran = await still_world.run(untaint_node, {**A, "key": OURS["key"]}, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "NodeNotHealthy")
    ran = await still_world.run(untaint_node, {**A, "key": OURS["key"], "verifyHealth": False}, fenced=False)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    "inputs",
    [
        {"key": "k"},
        {"key": "k", "effect": "Sometimes"},
        {"key": "no key", "effect": "NoSchedule"},
        {"key": "k", "effect": "NoSchedule", "restore": [OURS]},
        {"restore": [{"key": "k"}]},
        {"key": "k", "effect": "NoSchedule", "expectedValue": "x"},
    ],
)
async def test_inputs_that_make_no_sense_are_refused(still_world: ActionWorld, inputs: Object) -> None:
    ran = await still_world.run(taint_node, {**A, **inputs}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (64, "InvalidInputs", "no")
