from typing import Any

import pytest

from action_worlds import TARGETS, ActionWorld
from kubernaut.actions.apply_manifest import apply_manifest
from kubernaut.api.contract import Permission
from kubernaut.cluster import NotFound, ResourceKind, kinds
from kubernaut.cluster.discovery import is_served

Object = dict[str, Any]
TARGET = {"namespace": TARGETS}


def config_map(name: str = "settings", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def web(image: str = "app:1", replicas: int = 1) -> Object:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


async def data(world: ActionWorld, name: str = "settings") -> Any:
    return (await world.admin.get(kinds.CONFIG_MAPS, name, TARGETS)).get("data")


async def is_there(world: ActionWorld, kind: ResourceKind, name: str) -> bool:
    try:
        await world.admin.get(kind, name, TARGETS)
    except NotFound:
        return False
    return True


async def test_what_is_created_is_deleted_by_the_rollback(still_world: ActionWorld) -> None:
    await still_world.arm()
    inputs = {**TARGET, "manifests": [config_map(a="1"), config_map("more", b="2")]}
    ran = await still_world.run(apply_manifest, inputs)
    assert ran.code == 0, ran.err
    assert ran.outputs == {"applied": ["ConfigMap settings", "ConfigMap more"], "created": 2}
    assert (await data(still_world), await data(still_world, "more")) == ({"a": "1"}, {"b": "2"})
    assert [change["action"] for change in ran.message["changes"]] == ["create", "create"]
    back = await still_world.run(apply_manifest, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    for name in ("settings", "more"):
        assert not await is_there(still_world, kinds.CONFIG_MAPS, name)
    again = await still_world.run(apply_manifest, ran.rollback["inputs"], fenced=False)
    assert (again.code, again.message["executed"]) == (0, "no")


async def test_fields_that_it_changed_go_back_and_others_stay(still_world: ActionWorld) -> None:
    first = config_map(a="1", b="1")
    await still_world.run(apply_manifest, {**TARGET, "manifest": first}, fenced=False)
    second = await still_world.run(apply_manifest, {**TARGET, "manifest": config_map(a="2", c="2")}, fenced=False)
    assert second.code == 0, second.err
    assert await data(still_world) == {"a": "2", "c": "2"}, "what is left out goes"
    await still_world.admin.patch(kinds.CONFIG_MAPS, "settings", TARGETS, {"data": {"theirs": "x"}})
    back = await still_world.run(apply_manifest, second.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert await data(still_world) == {"a": "1", "b": "1", "theirs": "x"}
    again = await still_world.run(apply_manifest, {**TARGET, "manifest": config_map(a="3", b="1")}, fenced=False)
    assert again.code == 0, again.err
    assert (await data(still_world))["a"] == "3"


@pytest.mark.parametrize("theirs", [{"a": "9"}, {"b": "9"}], ids=["changed again", "put back"])
async def test_a_rollback_refuses_to_overwrite_what_others_changed_since(
    still_world: ActionWorld, theirs: dict[str, str]
) -> None:
    await still_world.run(apply_manifest, {**TARGET, "manifest": config_map(a="1", b="1")}, fenced=False)
    ran = await still_world.run(
        apply_manifest, {**TARGET, "manifests": [config_map(a="2"), config_map("more")]}, fenced=False
    )
    await still_world.admin.patch(kinds.CONFIG_MAPS, "settings", TARGETS, {"data": theirs})
    back = await still_world.run(apply_manifest, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["reason"], back.message["executed"]) == (66, "Drifted", "no")
    assert f"/data/{next(iter(theirs))}" in back.message["message"]
    assert await is_there(still_world, kinds.CONFIG_MAPS, "more"), "all of it is taken back, or nothing"


async def test_what_it_created_and_others_changed_is_left_alone(still_world: ActionWorld) -> None:
    ran = await still_world.run(apply_manifest, {**TARGET, "manifest": config_map(a="1")}, fenced=False)
    patch = {"metadata": {"labels": {"mine": "yes"}}}
    await still_world.admin.patch(kinds.CONFIG_MAPS, "settings", TARGETS, patch, field_manager="somebody")
    back = await still_world.run(apply_manifest, ran.rollback["inputs"], fenced=False)
    assert (back.code, back.message["reason"]) == (66, "Drifted")
    assert "was changed by somebody since" in back.message["message"]


async def test_a_conflict_names_the_field_and_its_manager_and_force_takes_it(still_world: ActionWorld) -> None:
    body = {"metadata": {"name": "settings"}, "data": {"a": "1", "b": "1"}}
    await still_world.admin.create(kinds.CONFIG_MAPS, body, TARGETS, field_manager="gitops")
    inputs = {**TARGET, "manifests": [config_map("new"), config_map(a="2", b="1")]}
    ran = await still_world.run(apply_manifest, inputs, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "FieldConflict", "no")
    assert "ConfigMap settings: .data.a" in ran.message["message"]
    assert '"gitops"' in ran.message["message"]
    assert still_world.writes() == []
    ran = await still_world.run(apply_manifest, {**inputs, "force": True}, fenced=False)
    assert ran.code == 0, ran.err
    back = await still_world.run(apply_manifest, ran.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    assert await data(still_world) == {"a": "1", "b": "1"}


async def test_applying_the_same_again_changes_nothing(still_world: ActionWorld) -> None:
    inputs = {**TARGET, "manifest": config_map(a="1")}
    await still_world.run(apply_manifest, inputs, fenced=False)
    ran = await still_world.run(apply_manifest, inputs, fenced=False)
    assert (ran.code, ran.message["executed"], ran.message["rollback"]) == (0, "no", None)


async def test_kinds_beyond_its_role_are_forbidden_before_anything_is_changed(still_world: ActionWorld) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    inputs = {**TARGET, "manifests": [config_map(a="1"), account]}
    ran = await still_world.run(apply_manifest, inputs, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, "Forbidden", "no")
    assert still_world.writes() == []
    wider = [
        *apply_manifest.contract.spec.rbac.permissions,
        Permission(api_groups=("",), resources=("serviceaccounts",), verbs=("get", "create", "patch", "delete")),
    ]
    ran = await still_world.run(apply_manifest, inputs, permissions=wider, fenced=False)
    assert ran.code == 0, ran.err


async def test_custom_resources_are_found_by_asking_the_cluster(still_world: ActionWorld) -> None:
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    spec = {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]}
    definition = {"metadata": {"name": "widgets.example.com"}, "spec": spec}
    await still_world.admin.create(kinds.CUSTOM_RESOURCE_DEFINITIONS, definition)
    widgets = ResourceKind("example.com", "v1", "Widget", "widgets")
    while not await is_served(still_world.admin, widgets):
        pass
    allowed = [Permission(api_groups=("example.com",), resources=("widgets",), verbs=("get", "create", "patch"))]
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    inputs = {**TARGET, "manifest": widget}
    ran = await still_world.run(apply_manifest, inputs, permissions=allowed, fenced=False)
    assert ran.code == 0, ran.err
    assert await is_there(still_world, widgets, "w")


@pytest.mark.parametrize(
    ("kind", "reason"), [(("example.com/v1", "Nothing"), "NoSuchKind"), (("v1", "Namespace"), "ClusterScoped")]
)
async def test_kinds_that_are_not_served_or_belong_to_no_namespace_are_refused(
    still_world: ActionWorld, kind: tuple[str, str], reason: str
) -> None:
    manifest = {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": "n"}}
    ran = await still_world.run(apply_manifest, {**TARGET, "manifest": manifest}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (66, reason, "no")


async def test_what_the_api_server_refuses_is_refused_before_the_fence(still_world: ActionWorld) -> None:
    await still_world.arm()
    bad = web()
    bad["spec"]["selector"]["matchLabels"] = {"app": "other"}
    ran = await still_world.run(apply_manifest, {**TARGET, "manifests": [config_map(), bad]})
    assert (ran.code, ran.message["reason"], await still_world.holder()) == (65, "Invalid", "")


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "give one of"),
        ({"manifest": config_map(), "manifests": [config_map()]}, "give one of"),
        ({"manifest": {"kind": "ConfigMap"}}, "manifest 1 needs apiVersion"),
        ({"manifests": [config_map(), config_map()]}, "is there twice"),
        ({"manifest": {"apiVersion": "v1", "kind": "List", "items": []}}, "nothing to apply"),
        ({"manifest": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}}, "not given in clear"),
        (
            {
                "manifest": {
                    "apiVersion": "v1",
                    "kind": "List",
                    "items": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}],
                }
            },
            "not given in clear",
        ),
        ({"manifest": {**config_map(), "metadata": {"name": "a", "namespace": "b"}}}, "namespace b, the step for"),
        ({"manifest": {**config_map(), "metadata": {"name": "a", "uid": "b"}}}, "write metadata.uid"),
        ({"manifest": {**web(), "status": {}}}, "write status"),
        ({"undo": [{"kind": "ConfigMap"}]}, "an entry of `undo` needs"),
    ],
)
async def test_manifests_that_cannot_be_applied_are_bad_inputs(
    still_world: ActionWorld, inputs: Object, said: str
) -> None:
    ran = await still_world.run(apply_manifest, {**TARGET, **inputs}, fenced=False)
    assert (ran.code, ran.message["reason"], ran.message["executed"]) == (64, "InvalidInputs", "no")
    assert said in ran.message["message"]


@pytest.mark.journey
async def test_workloads_are_waited_for_and_taken_back(world: ActionWorld) -> None:
    made = await world.run(apply_manifest, {**TARGET, "manifest": web(replicas=2)}, fenced=False)
    assert made.code == 0, made.err
    assert (await world.deployment("web"))["status"]["availableReplicas"] == 2
    changed = await world.run(apply_manifest, {**TARGET, "manifest": web("app:2", 1)}, fenced=False)
    assert changed.code == 0, changed.err
    back = await world.run(apply_manifest, changed.rollback["inputs"], fenced=False)
    assert back.code == 0, back.err
    now = await world.deployment("web")
    assert (now["spec"]["replicas"], now["spec"]["template"]["spec"]["containers"][0]["image"]) == (2, "app:1")
    gone = await world.run(apply_manifest, made.rollback["inputs"], fenced=False)
    # The first rollback wrote as the same manager: what it made is still its own.
    assert gone.code == 0, gone.err
    assert not await is_there(world, kinds.DEPLOYMENTS, "web")
