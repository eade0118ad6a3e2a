"""The probes of the actions in the box: they hold when an action did its work, and fail when it did not."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions import SHIPPED
from kubernaut.admission.probes import check_probes
from kubernaut.api.contract import with_defaults
from kubernaut.api.probes import Probe
from kubernaut.cluster import kinds
from kubernaut.concurrency import SystemClock
from kubernaut.safety.probes import Matter, Sources, check_place, panel_of, shipped_probes
from kubernaut.sdk.declare import AnyAction
from kubernaut.sdk.entrypoint import find_action

from .prepared import PREPARED

Object = dict[str, Any]
ACTIONS: dict[str, AnyAction] = {found.name: found for found in map(find_action, SHIPPED)}


async def outcomes(world: ActionWorld, probes: tuple[Probe, ...], matter: Matter) -> dict[str, str]:
    """What each probe says that is asked; with why, unless it passed."""
    panel = panel_of(Sources(world.admin), SystemClock())
    seen = {one.name: await panel.look(one, matter) for one in probes if panel.is_asked(one, matter)}
    return {
        name: "passed" if one.outcome == "passed" else f"{one.outcome}: {one.reason} {one.message}"
        for name, one in seen.items()
    }


def failed(found: dict[str, str]) -> list[str]:
    return [name for name, text in found.items() if text.startswith("failed")]


async def uid_of_web(world: ActionWorld) -> Object:
    pod = await world.admin.get(kinds.PODS, "web", TARGETS)
    return {"deleted": True, "uid": pod["metadata"]["uid"], "owner": ""}


async def says(outputs: Object) -> Object:
    return outputs


# What an action would claim that did nothing; where nothing is said, its outputs are not looked at.
CLAIMED: dict[str, Callable[[ActionWorld], Awaitable[Object]]] = {
    "kubernetes/restart_pod": lambda _: says({"restartedPods": ["web"], "podsRestarted": 1}),
    "kubernetes/delete_pod": uid_of_web,
    "kubernetes/restart_deployment": lambda _: says({"restartedAt": "2026-01-01T00:00:00Z"}),
    "kubernetes/rollback_deployment": lambda _: says({"images": ["app:0.1"]}),
    "kubernetes/patch_deployment": lambda _: says({"generation": 1, "changed": True}),
    "kubernetes/collect_diagnostics": lambda _: says({"summary": "", "pods": 0, "readyPods": 0}),
}


async def not_seen(world: ActionWorld) -> None:
    status = {"status": {"observedGeneration": 0, "updatedReplicas": 0}}
    await world.admin.patch(kinds.DEPLOYMENTS, "payment", TARGETS, status, subresource="status")


# A world in which those only look find nothing good.
SPOILED: dict[str, Callable[[ActionWorld], Awaitable[None]]] = {"kubernetes/rollout_status": not_seen}


@pytest.mark.parametrize("name", sorted(ACTIONS), ids=lambda name: str(name).partition("/")[2])
async def test_probes_tell_an_action_that_worked_from_one_that_did_not(
    still_world: ActionWorld, name: str
) -> None:
    action, probes = ACTIONS[name], shipped_probes(name)
    assert probes is not None, f"write probes of {name}"
    contract = action.contract.spec
    assert check_probes(probes, check_place, contract) == []
    given = await PREPARED[name](still_world)
    inputs = with_defaults(contract, given)

    before = await outcomes(still_world, probes.preconditions, Matter(inputs))
    assert set(before.values()) == {"passed"}, before

    if name in SPOILED:
        await SPOILED[name](still_world)
    claimed = await CLAIMED.get(name, lambda _: says({}))(still_world)
    idle = await outcomes(still_world, probes.postconditions, Matter(inputs, claimed))
    assert failed(idle), idle

    if name not in SPOILED:
        await still_world.arm()
        ran = await still_world.run(action, given)
        assert ran.code == 0, ran.err
        after = await outcomes(still_world, probes.postconditions, Matter(inputs, ran.outputs))
        assert set(after.values()) == {"passed"}, after


NAMED = {"deployment", "resourceName", "pod", "configMap", "secretName", "nodeName"}
# A pod that is gone is what these want.
WANT_IT_GONE = {"kubernetes/delete_pod", "kubernetes/restart_pod"}


async def test_what_is_not_there_fails_a_precondition(still_world: ActionWorld) -> None:
    for name, action in ACTIONS.items():
        probes = shipped_probes(name)
        assert probes is not None
        there = [parameter.name for parameter in action.contract.spec.inputs]
        inputs: Object = {one: "nobody" for one in there if one in NAMED}
        inputs |= {"namespace": "nowhere", "resourceType": "statefulset"}
        found = await outcomes(still_world, probes.preconditions, Matter(inputs))
        assert bool(failed(found)) == (name not in WANT_IT_GONE), found
