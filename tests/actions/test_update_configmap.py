from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.update_configmap import update_configmap
from kubernaut.cluster import kinds

TARGET = {"namespace": TARGETS, "configMap": "settings"}
DATA = {"LEVEL": "info", "MODE": "fast"}
BINARY = {"blob": "AAEC"}


async def settings(world: ActionWorld, **more: Any) -> dict[str, Any]:
    body = {"metadata": {"name": "settings", "labels": {"a": "b"}}, "data": DATA, "binaryData": BINARY, **more}
    return await world.admin.create(kinds.CONFIG_MAPS, body, TARGETS)


async def values(world: ActionWorld) -> tuple[Any, Any]:
    found = await world.admin.get(kinds.CONFIG_MAPS, "settings", TARGETS)
    assert found["metadata"]["labels"] == {"a": "b"}
    return found.get("data", {}), found.get("binaryData", {})


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"data": {"LEVEL": "debug"}}, ({**DATA, "LEVEL": "debug"}, BINARY)),
        ({"data": {"NEW": ""}, "remove": ["MODE", "absent"]}, ({"LEVEL": "info", "NEW": ""}, BINARY)),
        ({"binaryData": {"blob": "/w==", "LEVEL": "AA=="}}, ({"MODE": "fast"}, {"blob": "/w==", "LEVEL": "AA=="})),
        ({"data": {"blob": "text"}}, ({**DATA, "blob": "text"}, {})),
        ({"remove": ["LEVEL", "MODE", "blob"]}, ({}, {})),
        (
            {"operations": [{"op": "move", "from": "/data/MODE", "path": "/data/M"}]},
            ({"LEVEL": "info", "M": "fast"}, BINARY),
        ),
    ],
    ids=["set", "add and remove", "bytes", "bytes to text", "remove all", "json patch"],
)
async def test_an_update_and_its_rollback_are_the_identity(
    still_world: ActionWorld, inputs: dict[str, Any], expected: Any
) -> None:
    await settings(still_world)
    ran = await still_world.run(update_configmap, {**TARGET, **inputs}, fenced=False)
    assert ran.code == 0, ran.err
    assert ran.outputs["changed"] is True
    assert await values(still_world) == expected
    assert ran.rollback["action"] == update_configmap.name
    back = await still_world.run(update_configmap, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert await values(still_world) == (DATA, BINARY)
    again = await still_world.run(update_configmap, ran.rollback["inputs"], fenced=False)
    assert (again.code, again.outputs["changed"]) == (0, False)


async def test_the_report_tells_before_and_after(still_world: ActionWorld) -> None:
    await settings(still_world)
    await still_world.arm()
    ran = await still_world.run(update_configmap, {**TARGET, "data": {"LEVEL": "debug"}, "remove": ["MODE"]})
    (change,) = ran.message["changes"]
    assert (change["before"], change["after"]) == (
        {"data.LEVEL": "info", "data.MODE": "fast"},
        {"data.LEVEL": "debug"},
    )
    assert ran.outputs["changedKeys"] == ["LEVEL", "MODE"]


async def test_a_rollback_leaves_alone_what_others_changed_beside_it(still_world: ActionWorld) -> None:
    await settings(still_world)
    ran = await still_world.run(update_configmap, {**TARGET, "data": {"LEVEL": "debug"}}, fenced=False)
    await still_world.admin.patch(kinds.CONFIG_MAPS, "settings", TARGETS, {"data": {"OTHER": "x"}})
    back = await still_world.run(update_configmap, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert (await values(still_world))[0] == {**DATA, "OTHER": "x"}


@pytest.mark.parametrize(
    ("inputs", "theirs"),
    [({"data": {"LEVEL": "debug"}}, {"LEVEL": "warn"}), ({"remove": ["LEVEL"]}, {"LEVEL": "warn"})],
    ids=["changed again", "put back"],
)
async def test_a_rollback_refuses_to_overwrite_what_others_changed_since(
    still_world: ActionWorld, inputs: dict[str, Any], theirs: dict[str, str]
) -> None:
    await settings(still_world)
    ran = await still_world.run(update_configmap, {**TARGET, **inputs}, fenced=False)
    await still_world.admin.patch(kinds.CONFIG_MAPS, "settings", TARGETS, {"data": theirs})
    back = await still_world.run(update_configmap, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["reason"], back.message["executed"]) == (66, "Drifted", "no")
    assert "LEVEL" in back.message["message"]
    assert (await values(still_world))[0]["LEVEL"] == "warn"


async def test_what_is_as_wanted_already_is_not_written(still_world: ActionWorld) -> None:
    await settings(still_world)
    ran = await still_world.run(update_configmap, {**TARGET, "data": DATA, "remove": ["absent"]}, fenced=False)
    assert (ran.code, ran.outputs) == (0, {"changed": False, "changedKeys": []})
    assert (ran.message["executed"], still_world.writes()) == ("no", [])


async def test_an_immutable_one_is_refused_with_what_to_do(still_world: ActionWorld) -> None:
    await settings(still_world, immutable=True)
    ran = await still_world.run(update_configmap, {**TARGET, "data": {"LEVEL": "debug"}}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "Immutable", "no")
    assert "create one of another name" in ran.message["message"]


async def test_one_that_is_not_there_is_refused(still_world: ActionWorld) -> None:
    ran = await still_world.run(update_configmap, {**TARGET, "data": {"LEVEL": "debug"}}, fenced=False)
    assert (ran.code, ran.message["reason"]) == (66, "TargetNotFound")


async def test_what_the_api_server_refuses_is_refused_before_the_change(still_world: ActionWorld) -> None:
    await settings(still_world)
    await still_world.arm()
    ran = await still_world.run(update_configmap, {**TARGET, "data": {"no/key": "x"}})
    assert (ran.code, ran.message["reason"], await still_world.holder()) == (65, "Invalid", "")


async def test_a_value_too_large_to_be_undone_is_refused_before_the_change(still_world: ActionWorld) -> None:
    await settings(still_world)
    ran = await still_world.run(update_configmap, {**TARGET, "data": {"LEVEL": "x" * 250_000}}, fenced=False)
    assert (ran.code, ran.message["reason"], still_world.writes()) == (66, "TooLargeToUndo", [])


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"data": {"a": "1"}, "operations": [{"op": "remove", "path": "/data/b"}]},
        {"data": {"a": "1"}, "remove": ["a"]},
        {"data": {"a": 1}},
        {"binaryData": {"a": "no base64"}},
        {"data": {"a": "1"}, "expect": {"a": 1}},
        {"operations": [{"op": "remove", "path": "/data"}]},
        {"operations": [{"op": "add", "path": "/metadata/labels/a", "value": "b"}]},
        {"operations": [{"op": "copy", "from": "/metadata/name", "path": "/data/a"}]},
    ],
)
async def test_inputs_that_make_no_sense_are_refused(still_world: ActionWorld, inputs: dict[str, Any]) -> None:
    ran = await still_world.run(update_configmap, {**TARGET, **inputs}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (64, "InvalidInputs", "no")
