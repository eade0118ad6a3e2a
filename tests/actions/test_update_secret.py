import base64
import json
from pathlib import Path
from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld, Ran
from kubernaut.actions.update_secret import update_secret
from kubernaut.cluster import NotFound, kinds

TARGET = {"namespace": TARGETS, "secretName": "db"}
OLD, NEW, USER = "old-hunter2", "new-correct-horse", "root-admin"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def db(world: ActionWorld, **more: Any) -> dict[str, Any]:
    data = {"password": b64(OLD), "user": b64(USER)}
    return await world.admin.create(kinds.SECRETS, {"metadata": {"name": "db"}, "data": data, **more}, TARGETS)


async def values(world: ActionWorld, name: str = "db") -> dict[str, str]:
    found = await world.admin.get(kinds.SECRETS, name, TARGETS)
    return {key: base64.b64decode(text).decode() for key, text in found.get("data", {}).items()}


def mounted(folder: Path, secrets: dict[str, str]) -> dict[str, str]:
    folder.mkdir()
    for name, text in secrets.items():
        (folder / name).write_text(text)
    return {"KUBERNAUT_SECRETS_DIR": str(folder)}


async def run(world: ActionWorld, inputs: dict[str, Any], *, fenced: bool = False, **secrets: str) -> Ran:
    more = mounted(world.folder / f"secrets-{world.runs}", secrets)
    return await world.run(update_secret, {**TARGET, **inputs}, fenced=fenced, **more)


def told(ran: Ran) -> str:
    """Everything that a run lets out."""
    return json.dumps(ran.message) + ran.out + ran.err


@pytest.mark.parametrize(
    ("inputs", "secrets", "expected"),
    [
        ({"key": "password"}, {"value": NEW}, {"password": NEW, "user": USER}),
        (
            {},
            {"values": json.dumps({"password": NEW, "extra": "x"})},
            {"password": NEW, "user": USER, "extra": "x"},
        ),
        ({"remove": ["user", "absent"]}, {}, {"password": OLD}),
        ({"key": "password", "encoding": "base64"}, {"value": b64(NEW) + "\n"}, {"password": NEW, "user": USER}),
    ],
    ids=["one", "several", "remove", "base64"],
)
async def test_an_update_and_its_rollback_are_the_identity_and_tell_no_value(
    still_world: ActionWorld, inputs: dict[str, Any], secrets: dict[str, str], expected: dict[str, str]
) -> None:
    await db(still_world)
    ran = await run(still_world, inputs, **secrets)
    assert ran.code == 0, ran.err
    assert await values(still_world) == expected
    back = await run(still_world, ran.rollback["inputs"])
    assert back.code == 0, back.err
    assert await values(still_world) == {"password": OLD, "user": USER}
    forth = await run(still_world, back.rollback["inputs"])
    assert forth.code == 0, forth.err
    assert await values(still_world) == expected
    for output in map(told, (ran, back, forth)):
        for value in (OLD, NEW, USER):
            assert value not in output
            assert b64(value) not in output


async def test_the_report_names_keys_only(still_world: ActionWorld) -> None:
    await db(still_world)
    await still_world.arm()
    ran = await run(still_world, {"key": "password", "remove": ["user"]}, fenced=True, value=NEW)
    assert ran.outputs == {"changed": True, "changedKeys": ["password", "user"]}
    kept, change = ran.message["changes"]
    assert kept["action"] == "create"
    assert change["before"].keys() == {"data.password", "data.user"}
    assert change["after"].keys() == {"data.password"}
    assert ran.message["rollback"]["available"] is True


async def test_the_backup_goes_with_its_secret_and_is_of_a_type_of_its_own(still_world: ActionWorld) -> None:
    uid = (await db(still_world))["metadata"]["uid"]
    await run(still_world, {"key": "password"}, value=NEW)
    backup = await still_world.admin.get(kinds.SECRETS, f"kubernaut-backup-{uid}", TARGETS)
    assert backup["type"] == "kubernaut.ai/backup"
    assert backup["metadata"]["ownerReferences"][0]["uid"] == uid
    await still_world.admin.delete(kinds.SECRETS, "db", TARGETS)
    while True:
        try:
            await still_world.admin.get(kinds.SECRETS, f"kubernaut-backup-{uid}", TARGETS)
        except NotFound:
            break


async def test_two_changes_are_taken_back_in_reverse(still_world: ActionWorld) -> None:
    await db(still_world)
    first = await run(still_world, {"key": "password"}, value=NEW)
    second = await run(still_world, {"remove": ["user"]})
    for ran in (second, first):
        back = await run(still_world, ran.rollback["inputs"])
        assert back.code == 0, back.err
    assert await values(still_world) == {"password": OLD, "user": USER}


async def test_ten_ways_back_are_kept(still_world: ActionWorld) -> None:
    uid = (await db(still_world))["metadata"]["uid"]
    oldest = await run(still_world, {"key": "password"}, value="number-0")
    for number in range(1, 11):
        await run(still_world, {"key": "password"}, value=f"number-{number}")
    assert len(await values(still_world, f"kubernaut-backup-{uid}")) == 10
    back = await run(still_world, oldest.rollback["inputs"])
    assert (back.code, back.message["reason"], back.message["executed"]) == (66, "NoBackup", "no")


async def test_a_rollback_refuses_to_overwrite_what_others_changed_since(still_world: ActionWorld) -> None:
    await db(still_world)
    ran = await run(still_world, {"key": "password", "remove": ["user"]}, value=NEW)
    await still_world.admin.patch(kinds.SECRETS, "db", TARGETS, {"data": {"user": b64("somebody")}})
    back = await run(still_world, ran.rollback["inputs"])
    assert (back.code, back.message["reason"], back.message["executed"]) == (66, "Drifted", "no")
    assert await values(still_world) == {"password": NEW, "user": "somebody"}


async def test_a_value_in_clear_is_a_bad_input_and_is_not_repeated(still_world: ActionWorld) -> None:
    await db(still_world)
    ran = await still_world.run(update_secret, {**TARGET, "key": "password", "value": NEW}, fenced=False)
    assert (ran.code, ran.message["reason"]) == (64, "InvalidInputs")
    assert "must not be given in clear" in ran.message["message"]
    assert NEW not in told(ran)


@pytest.mark.parametrize(
    ("inputs", "secrets"),
    [
        ({}, {}),
        ({"key": "password"}, {}),
        ({}, {"value": NEW}),
        ({"key": "a/b"}, {"value": NEW}),
        ({"key": "a"}, {"value": NEW, "values": json.dumps({"a": NEW})}),
        ({"key": "a", "remove": ["a"]}, {"value": NEW}),
        ({"key": "a", "encoding": "base64"}, {"value": "no base64 " + NEW}),
        ({}, {"values": f'["{NEW}"]'}),
        ({"restore": "12", "remove": ["a"]}, {}),
    ],
)
async def test_inputs_that_make_no_sense_are_refused_without_their_values(
    still_world: ActionWorld, inputs: dict[str, Any], secrets: dict[str, str]
) -> None:
    ran = await run(still_world, inputs, **secrets)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (64, "InvalidInputs", "no")
    assert NEW not in told(ran)


async def test_what_is_as_wanted_already_is_not_written(still_world: ActionWorld) -> None:
    await db(still_world)
    ran = await run(still_world, {"key": "password"}, value=OLD)
    assert (ran.code, ran.outputs["changed"], still_world.writes()) == (0, False, [])


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"immutable": True}, "Immutable"), ({"type": "kubernetes.io/service-account-token"}, "NotToBeChanged")],
)
async def test_secrets_that_cannot_or_must_not_be_changed_are_refused(
    still_world: ActionWorld, more: dict[str, Any], reason: str
) -> None:
    if "type" in more:
        more["metadata"] = {"name": "db", "annotations": {"kubernetes.io/service-account.name": "default"}}
    await db(still_world, **more)
    ran = await run(still_world, {"key": "password"}, value=NEW)
    assert (ran.code, ran.message["reason"], still_world.writes()) == (66, reason, [])


async def test_without_the_right_to_keep_the_way_back_nothing_is_changed(still_world: ActionWorld) -> None:
    await db(still_world)
    (permission,) = update_secret.contract.spec.rbac.permissions
    less = [type(permission)(api_groups=("",), resources=("secrets",), verbs=("get", "patch"))]
    more = mounted(still_world.folder / "given", {"value": NEW})
    inputs = {**TARGET, "key": "password"}
    ran = await still_world.run(update_secret, inputs, permissions=less, fenced=False, **more)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (65, "Forbidden", "no")
    assert (await values(still_world))["password"] == OLD
