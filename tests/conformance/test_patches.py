"""The four kinds of patches, and who owns which field."""

from typing import Any

from .api import APPLY, JSON_PATCH, MERGE, STRATEGIC, Answer, Api
from .objects import config_map, deployment


async def test_strategic_patches_merge_containers_by_name_and_environment_by_name(cluster: Api) -> None:
    await cluster.post("apps/v1/deployments", deployment())
    patch = {
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {"name": "main", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                        {"name": "side", "image": "busybox:2"},
                    ]
                }
            }
        }
    }
    await cluster.patch("apps/v1/deployments/web", patch, STRATEGIC)
    drop = {"name": "main", "env": [{"name": "A", "$patch": "delete"}]}
    patch = {"spec": {"template": {"spec": {"containers": [drop, {"name": "side", "$patch": "delete"}]}}}}
    changed = await cluster.patch("apps/v1/deployments/web", patch, STRATEGIC)
    containers = changed.body["spec"]["template"]["spec"]["containers"]
    assert [(c["name"], c["image"], c.get("env")) for c in containers] == [
        ("main", "busybox:1", [{"name": "B", "value": "2"}])
    ]


async def test_merge_patches_replace_lists_and_drop_nulls(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a", x="1", y="2"))
    changed = await cluster.patch("v1/configmaps/a", {"data": {"x": None, "z": "3"}}, MERGE)
    assert changed.body["data"] == {"y": "2", "z": "3"}


async def test_a_json_patch_is_carried_out_wholly_or_not_at_all(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a", x="1"))
    operations = [
        {"op": "replace", "path": "/data/x", "value": "2"},
        {"op": "test", "path": "/data/x", "value": "3"},
    ]
    refused = await cluster.patch("v1/configmaps/a", operations, JSON_PATCH)
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert (await cluster.get("v1/configmaps/a")).body["data"] == {"x": "1"}
    operations[1] = {"op": "add", "path": "/metadata/labels", "value": {"a~1b": "c"}}
    operations.append({"op": "remove", "path": "/metadata/labels/a~01b"})
    changed = await cluster.patch("v1/configmaps/a", operations, JSON_PATCH)
    assert changed.code == 200, changed.body
    assert changed.body["data"] == {"x": "2"}


def fields_of(answer: Answer) -> dict[tuple[str, str], Any]:
    return {(e["manager"], e["operation"]): e["fieldsV1"] for e in answer.body["metadata"]["managedFields"]}


async def test_apply_creates_and_owns_what_it_says(cluster: Api) -> None:
    made = await cluster.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1"), APPLY)
    assert made.code == 201
    assert fields_of(made) == {("one", "Apply"): {"f:data": {"f:x": {}}}}
    again = await cluster.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1"), APPLY)
    assert (again.code, again.version) == (200, made.version)


async def test_apply_removes_what_its_manager_no_longer_says(cluster: Api) -> None:
    await cluster.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1", y="1"), APPLY)
    await cluster.patch("v1/configmaps/a", {"data": {"z": "9"}})
    changed = await cluster.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1"), APPLY)
    assert changed.body["data"] == {"x": "1", "z": "9"}


async def test_apply_conflicts_with_other_managers_unless_forced(cluster: Api) -> None:
    await cluster.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1", y="1"), APPLY)
    refused = await cluster.patch("v1/configmaps/a?fieldManager=two", config_map("a", x="2", y="2"), APPLY)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert refused.message == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.x\n- .data.y'
    assert refused.causes == [
        (".data.x", "FieldManagerConflict", 'conflict with "one"'),
        (".data.y", "FieldManagerConflict", 'conflict with "one"'),
    ]
    forced = await cluster.patch("v1/configmaps/a?fieldManager=two&force=true", config_map("a", x="2"), APPLY)
    assert fields_of(forced) == {
        ("one", "Apply"): {"f:data": {"f:y": {}}},
        ("two", "Apply"): {"f:data": {"f:x": {}}},
    }


async def test_two_managers_may_say_the_same(cluster: Api) -> None:
    await cluster.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1"), APPLY)
    assert (await cluster.patch("v1/configmaps/a?fieldManager=two", config_map("a", x="1"), APPLY)).code == 200
    left = await cluster.patch("v1/configmaps/a?fieldManager=one", config_map("a", y="1"), APPLY)
    assert left.body["data"] == {"x": "1", "y": "1"}


async def test_an_update_takes_ownership_from_an_apply(cluster: Api) -> None:
    await cluster.patch("apps/v1/deployments/web?fieldManager=one", deployment(replicas=0), APPLY)
    await cluster.patch("apps/v1/deployments/web/scale", {"spec": {"replicas": 0}})
    await cluster.patch("apps/v1/deployments/web?fieldManager=hpa", {"spec": {"minReadySeconds": 4}})
    again = await cluster.patch("apps/v1/deployments/web?fieldManager=one", deployment(replicas=0), APPLY)
    assert again.code == 200
    wanted = deployment(replicas=0)
    wanted["spec"]["minReadySeconds"] = 5
    refused = await cluster.patch("apps/v1/deployments/web?fieldManager=one", wanted, APPLY)
    assert refused.message == (
        'Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.minReadySeconds'
    )


async def test_apply_merges_containers_of_two_managers(cluster: Api) -> None:
    await cluster.patch("apps/v1/deployments/web?fieldManager=one", deployment(), APPLY)
    side = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox:2"}]}}},
    }
    both = await cluster.patch("apps/v1/deployments/web?fieldManager=two", side, APPLY)
    assert [c["name"] for c in both.body["spec"]["template"]["spec"]["containers"]] == ["main", "side"]
    side["spec"] = {}
    alone = await cluster.patch("apps/v1/deployments/web?fieldManager=two", side, APPLY)
    assert [c["name"] for c in alone.body["spec"]["template"]["spec"]["containers"]] == ["main"]
