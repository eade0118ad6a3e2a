"""What a real API server answers. Runs against the embedded one, and against any cluster named by
KUBERNAUT_TEST_KUBECONFIG, which stays the arbiter."""

import asyncio
import copy
from collections.abc import AsyncIterator
from secrets import token_hex
from typing import Any

import pytest

from kubernaut.concurrency import SystemClock

from .api import APPLY, JSON_PATCH, MERGE, STRATEGIC, Answer, Api, Json

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]


def config_map(name: str, labels: Json | None = None, **data: str) -> Json:
    metadata: Json = {"name": name}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str = "web", replicas: int | None = 0) -> Json:
    spec: Json = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "busybox:1"}]},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def eventually(api: Api, path: str, code: int) -> Answer:
    clock = SystemClock()
    while (answer := await api.get(path)).code != code:
        await clock.sleep(0.05)
    return answer


async def take(events: AsyncIterator[Json], count: int) -> list[tuple[str, str]]:
    async with asyncio.timeout(10):
        found: list[tuple[str, str]] = []
        async for event in events:
            found.append((event["type"], event["object"]["metadata"]["name"]))
            if len(found) == count:
                break
        return found


# -- versions, locking, dry runs -------------------------------------------------------------------


async def test_a_write_that_changes_nothing_gets_no_new_version(any_api: Api) -> None:
    made = await any_api.post("v1/configmaps", config_map("a", x="1"))
    assert made.code == 201
    again = await any_api.put("v1/configmaps/a", config_map("a", x="1"))
    patched = await any_api.patch("v1/configmaps/a", {"data": {"x": "1"}})
    assert again.version == patched.version == made.version


async def test_two_writers_with_one_version_conflict(any_api: Api) -> None:
    made = await any_api.post("v1/configmaps", config_map("a", x="1"))
    stale = made.body
    assert (await any_api.patch("v1/configmaps/a", {"data": {"x": "2"}})).code == 200
    refused = await any_api.put("v1/configmaps/a", stale)
    assert refused.code == 409
    assert refused.body["reason"] == "Conflict"
    assert refused.message == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply '
        "your changes to the latest version and try again"
    )


async def test_an_update_without_a_version_overwrites_what_there_is(any_api: Api) -> None:
    await any_api.post("v1/configmaps", config_map("a", x="1"))
    assert (await any_api.put("v1/configmaps/a", config_map("a", y="2"))).body["data"] == {"y": "2"}


async def test_a_dry_run_answers_and_keeps_nothing(any_api: Api) -> None:
    tried = await any_api.post("v1/configmaps?dryRun=All", config_map("a", x="1"))
    assert tried.code == 201
    assert tried.body["metadata"]["uid"]
    assert (await any_api.get("v1/configmaps/a")).code == 404
    await any_api.post("v1/configmaps", config_map("a", x="1"))
    assert (await any_api.patch("v1/configmaps/a?dryRun=All", {"data": {"x": "2"}})).body["data"] == {"x": "2"}
    assert (await any_api.get("v1/configmaps/a")).body["data"] == {"x": "1"}
    assert (await any_api.delete("v1/configmaps/a?dryRun=All")).code == 200
    assert (await any_api.get("v1/configmaps/a")).code == 200


async def test_generated_names_differ(any_api: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "some-"}}
    names = [(await any_api.post("v1/configmaps", body)).body["metadata"]["name"] for _ in range(3)]
    assert len(set(names)) == 3
    assert all(name.startswith("some-") and len(name) == 10 for name in names)


async def test_names_of_existing_objects_are_taken(any_api: Api) -> None:
    await any_api.post("v1/configmaps", config_map("a"))
    refused = await any_api.post("v1/configmaps", config_map("a"))
    assert (refused.code, refused.body["reason"]) == (409, "AlreadyExists")
    assert refused.body["details"] == {"name": "a", "kind": "configmaps"}


# -- generation, status, scale ---------------------------------------------------------------------


async def test_generation_rises_with_the_spec_and_not_with_labels_or_status(any_api: Api) -> None:
    made = await any_api.post("apps/v1/deployments", deployment())
    assert made.body["metadata"]["generation"] == 1
    labelled = await any_api.patch("apps/v1/deployments/web", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.body["metadata"]["generation"] == 1
    changed = await any_api.patch("apps/v1/deployments/web", {"spec": {"minReadySeconds": 3}})
    assert changed.body["metadata"]["generation"] == 2
    status = {"status": {"collisionCount": 4}, "spec": {"minReadySeconds": 9}}
    told = await any_api.patch("apps/v1/deployments/web/status", status)
    assert told.body["metadata"]["generation"] == 2
    assert told.body["spec"]["minReadySeconds"] == 3


async def test_the_scale_of_a_deployment_can_be_read_and_written(any_api: Api) -> None:
    await any_api.post("apps/v1/deployments", deployment())
    scale = await any_api.get("apps/v1/deployments/web/scale")
    assert scale.body["kind"] == "Scale"
    assert scale.body["status"]["selector"] == "app=web"
    body = {**scale.body, "spec": {"replicas": 0}}
    body["metadata"].pop("resourceVersion")
    assert (await any_api.put("apps/v1/deployments/web/scale", body)).code == 200
    refused = await any_api.patch("apps/v1/deployments/web/scale", {"spec": {"replicas": -1}})
    assert refused.code == 422
    assert refused.causes == [
        ("spec.replicas", "FieldValueInvalid", "Invalid value: -1: must be greater than or equal to 0")
    ]


# -- lists -----------------------------------------------------------------------------------------


async def test_pages_of_a_list_show_the_moment_of_the_first_page(any_api: Api) -> None:
    for number in range(5):
        await any_api.post("v1/configmaps", config_map(f"page-{number}", {"page": "yes"}))
    first = await any_api.get("v1/configmaps?limit=2&labelSelector=page%3Dyes")
    assert first.names == ["page-0", "page-1"]
    await any_api.delete("v1/configmaps/page-3")
    await any_api.post("v1/configmaps", config_map("page-9", {"page": "yes"}))
    names: list[str] = []
    token = first.body["metadata"]["continue"]
    while token:
        page = await any_api.get(f"v1/configmaps?limit=2&labelSelector=page%3Dyes&continue={token}")
        assert page.version == first.version
        names += page.names
        token = page.body["metadata"].get("continue", "")
    assert names == ["page-2", "page-3", "page-4"]


async def test_items_of_builtin_lists_do_not_repeat_their_kind(any_api: Api) -> None:
    await any_api.post("v1/configmaps", config_map("a"))
    listed = await any_api.get("v1/configmaps?fieldSelector=metadata.name%3Da")
    assert listed.body["kind"] == "ConfigMapList"
    assert [set(item) & {"kind", "apiVersion"} for item in listed.body["items"]] == [set()]


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("tier=web", ["a"]),
        ("tier!=web", ["b", "c"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c"]),
        ("tier in (web, db)", ["a", "b"]),
        ("tier notin (web)", ["b", "c"]),
        ("tier=web,size=1", ["a"]),
        ("size>1", ["b"]),
    ],
)
async def test_label_selectors_select(any_api: Api, selector: str, wanted: list[str]) -> None:
    await any_api.post("v1/configmaps", config_map("a", {"mine": "1", "tier": "web", "size": "1"}))
    await any_api.post("v1/configmaps", config_map("b", {"mine": "1", "tier": "db", "size": "2"}))
    await any_api.post("v1/configmaps", config_map("c", {"mine": "1"}))
    text = f"mine=1,{selector}".replace("=", "%3D").replace(" ", "%20").replace(">", "%3E")
    assert (await any_api.get(f"v1/configmaps?labelSelector={text}")).names == wanted


async def test_field_selectors_know_a_few_fields_only(any_api: Api) -> None:
    await any_api.post("v1/configmaps", config_map("a"))
    await any_api.post("v1/configmaps", config_map("b"))
    assert (await any_api.get("v1/configmaps?fieldSelector=metadata.name%3Db")).names == ["b"]
    others = await any_api.get("v1/configmaps?fieldSelector=metadata.name!%3Db")
    assert "b" not in others.names
    assert (await any_api.get("v1/configmaps?fieldSelector=data.x%3Db")).code == 400


async def test_a_version_of_the_future_is_refused(any_api: Api) -> None:
    refused = await any_api.get("v1/configmaps?resourceVersion=999999999")
    assert (refused.code, refused.body["reason"]) == (504, "Timeout")
    assert refused.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


# -- watches ---------------------------------------------------------------------------------------


async def test_a_watch_goes_on_where_a_list_ended(any_api: Api) -> None:
    await any_api.post("v1/configmaps", config_map("before"))
    listed = await any_api.get("v1/configmaps")
    await any_api.post("v1/configmaps", config_map("a", x="1"))
    await any_api.patch("v1/configmaps/a", {"data": {"x": "2"}})
    await any_api.delete("v1/configmaps/a")
    async with any_api.watch(f"v1/configmaps?resourceVersion={listed.version}") as events:
        assert await take(events, 3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_objects_enter_and_leave_the_selection_of_a_watch(any_api: Api) -> None:
    version = (await any_api.get("v1/configmaps")).version
    path = f"v1/configmaps?resourceVersion={version}&labelSelector=seen%3Dyes"
    async with any_api.watch(path) as events:
        await any_api.post("v1/configmaps", config_map("a"))
        await any_api.patch("v1/configmaps/a", {"metadata": {"labels": {"seen": "yes"}}})
        await any_api.patch("v1/configmaps/a", {"data": {"x": "1"}})
        await any_api.patch("v1/configmaps/a", {"metadata": {"labels": {"seen": "no"}}})
        await any_api.patch("v1/configmaps/a", {"data": {"x": "2"}})
        await any_api.patch("v1/configmaps/a", {"metadata": {"labels": {"seen": "yes"}}})
        await any_api.delete("v1/configmaps/a")
        assert await take(events, 5) == [
            ("ADDED", "a"),
            ("MODIFIED", "a"),
            ("DELETED", "a"),
            ("ADDED", "a"),
            ("DELETED", "a"),
        ]


async def test_a_watch_without_a_version_begins_with_what_there_is(any_api: Api) -> None:
    await any_api.post("v1/configmaps", config_map("a", {"mine": "1"}))
    async with any_api.watch("v1/configmaps?labelSelector=mine%3D1") as events:
        await any_api.post("v1/configmaps", config_map("b", {"mine": "1"}))
        assert await take(events, 2) == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_watch_ends_with_a_bookmark_when_its_time_is_over(any_api: Api) -> None:
    version = (await any_api.get("v1/configmaps")).version
    path = f"v1/configmaps?resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=1"
    async with asyncio.timeout(20), any_api.watch(path) as events:
        seen = [event async for event in events]
    assert {event["type"] for event in seen} <= {"BOOKMARK"}
    assert all(int(event["object"]["metadata"]["resourceVersion"]) >= int(version) for event in seen)


# -- deletion --------------------------------------------------------------------------------------


async def test_a_finalizer_keeps_an_object_until_it_is_taken_away(any_api: Api) -> None:
    body = config_map("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await any_api.post("v1/configmaps", body)
    deleted = await any_api.delete("v1/configmaps/a")
    assert deleted.code == 200
    assert deleted.body["metadata"]["deletionTimestamp"]
    assert (await any_api.get("v1/configmaps/a")).body["metadata"]["deletionGracePeriodSeconds"] == 0
    refused = await any_api.patch(
        "v1/configmaps/a", {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    )
    assert refused.code == 422
    assert "no new finalizers can be added if the object is being deleted" in refused.message
    assert (await any_api.patch("v1/configmaps/a", {"metadata": {"finalizers": None}})).code == 200
    assert (await any_api.get("v1/configmaps/a")).code == 404


async def test_a_deletion_meant_for_another_object_is_refused(any_api: Api) -> None:
    made = await any_api.post("v1/configmaps", config_map("a"))
    for condition in ({"uid": "other"}, {"resourceVersion": "1"}):
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": condition}
        assert (await any_api.delete("v1/configmaps/a", options)).code == 409
    options = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": made.body["metadata"]["uid"], "resourceVersion": made.version},
    }
    assert (await any_api.delete("v1/configmaps/a", options)).code == 200


def owned(name: str, owner: Answer, **more: Any) -> Json:
    body = config_map(name)
    metadata = owner.body["metadata"]
    body["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"], **more}
    ]
    return body


async def test_what_is_owned_goes_with_its_owner(any_api: Api) -> None:
    owner = await any_api.post("v1/configmaps", config_map("owner"))
    await any_api.post("v1/configmaps", owned("child", owner))
    await any_api.delete("v1/configmaps/owner?propagationPolicy=Background")
    await eventually(any_api, "v1/configmaps/child", 404)


async def test_orphans_stay_and_forget_their_owner(any_api: Api) -> None:
    owner = await any_api.post("v1/configmaps", config_map("owner"))
    await any_api.post("v1/configmaps", owned("child", owner))
    await any_api.delete("v1/configmaps/owner?propagationPolicy=Orphan")
    await eventually(any_api, "v1/configmaps/owner", 404)
    child = await any_api.get("v1/configmaps/child")
    assert "ownerReferences" not in child.body["metadata"]


async def test_in_the_foreground_the_owner_goes_last(any_api: Api) -> None:
    owner = await any_api.post("v1/configmaps", config_map("owner"))
    child = owned("child", owner, blockOwnerDeletion=True)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    await any_api.post("v1/configmaps", child)
    deleted = await any_api.delete("v1/configmaps/owner?propagationPolicy=Foreground")
    assert deleted.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    clock = SystemClock()
    while "deletionTimestamp" not in (await any_api.get("v1/configmaps/child")).body["metadata"]:
        await clock.sleep(0.05)
    assert (await any_api.get("v1/configmaps/owner")).code == 200
    await any_api.patch("v1/configmaps/child", {"metadata": {"finalizers": None}})
    await eventually(any_api, "v1/configmaps/owner", 404)


async def test_a_child_of_nobody_is_collected(any_api: Api) -> None:
    owner = await any_api.post("v1/configmaps", config_map("owner"))
    ghost = copy.deepcopy(owner)
    ghost.body["metadata"]["uid"] = "0f0f0f0f-0000-4000-8000-000000000000"
    await any_api.post("v1/configmaps", owned("child", ghost))
    await eventually(any_api, "v1/configmaps/child", 404)


async def test_a_child_of_two_stays_with_the_second(any_api: Api) -> None:
    one = await any_api.post("v1/configmaps", config_map("one"))
    two = await any_api.post("v1/configmaps", config_map("two"))
    body = owned("child", one)
    body["metadata"]["ownerReferences"] += owned("", two)["metadata"]["ownerReferences"]
    await any_api.post("v1/configmaps", body)
    await any_api.delete("v1/configmaps/one")
    clock = SystemClock()
    while len((await any_api.get("v1/configmaps/child")).body["metadata"]["ownerReferences"]) > 1:
        await clock.sleep(0.05)


async def test_a_job_deleted_without_a_word_leaves_its_pods(any_api: Api) -> None:
    spec = {"containers": [{"name": "a", "image": "busybox:1"}], "restartPolicy": "Never"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"suspend": True, "template": {"spec": spec}},
    }
    assert (await any_api.post("batch/v1/jobs", job)).code == 201
    deleted = await any_api.delete("batch/v1/jobs/j")
    assert deleted.body["metadata"]["finalizers"] == ["orphan"]
    assert "child pods are preserved by default" in deleted.headers["Warning"]


async def test_a_deleted_namespace_takes_everything_along_and_accepts_nothing_new(any_api: Api) -> None:
    held = config_map("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await any_api.post("v1/configmaps", held)
    await any_api.post("v1/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}})
    gone = await any_api.delete(f"/api/v1/namespaces/{any_api.namespace}")
    assert gone.body["status"]["phase"] == "Terminating"
    refused = await any_api.post("v1/configmaps", config_map("new"))
    assert refused.code == 403
    assert "because it is being terminated" in refused.message
    await eventually(any_api, "v1/secrets/s", 404)
    await any_api.patch("v1/configmaps/held", {"metadata": {"finalizers": None}})
    await eventually(any_api, f"/api/v1/namespaces/{any_api.namespace}", 404)


# -- patches ---------------------------------------------------------------------------------------


async def test_strategic_patches_merge_containers_by_name_and_environment_by_name(any_api: Api) -> None:
    await any_api.post("apps/v1/deployments", deployment())
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
    await any_api.patch("apps/v1/deployments/web", patch, STRATEGIC)
    drop = {"name": "main", "env": [{"name": "A", "$patch": "delete"}]}
    patch = {"spec": {"template": {"spec": {"containers": [drop, {"name": "side", "$patch": "delete"}]}}}}
    changed = await any_api.patch("apps/v1/deployments/web", patch, STRATEGIC)
    containers = changed.body["spec"]["template"]["spec"]["containers"]
    assert [(c["name"], c["image"], c.get("env")) for c in containers] == [
        ("main", "busybox:1", [{"name": "B", "value": "2"}])
    ]


async def test_merge_patches_replace_lists_and_drop_nulls(any_api: Api) -> None:
    await any_api.post("v1/configmaps", config_map("a", x="1", y="2"))
    changed = await any_api.patch("v1/configmaps/a", {"data": {"x": None, "z": "3"}}, MERGE)
    assert changed.body["data"] == {"y": "2", "z": "3"}


async def test_a_json_patch_is_carried_out_wholly_or_not_at_all(any_api: Api) -> None:
    await any_api.post("v1/configmaps", config_map("a", x="1"))
    operations = [
        {"op": "replace", "path": "/data/x", "value": "2"},
        {"op": "test", "path": "/data/x", "value": "3"},
    ]
    refused = await any_api.patch("v1/configmaps/a", operations, JSON_PATCH)
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert (await any_api.get("v1/configmaps/a")).body["data"] == {"x": "1"}
    operations[1] = {"op": "add", "path": "/metadata/labels", "value": {"a~1b": "c"}}
    operations.append({"op": "remove", "path": "/metadata/labels/a~01b"})
    changed = await any_api.patch("v1/configmaps/a", operations, JSON_PATCH)
    assert changed.code == 200, changed.body
    assert changed.body["data"] == {"x": "2"}


# -- server-side apply -----------------------------------------------------------------------------


def fields_of(answer: Answer) -> dict[tuple[str, str], Any]:
    return {(e["manager"], e["operation"]): e["fieldsV1"] for e in answer.body["metadata"]["managedFields"]}


async def test_apply_creates_and_owns_what_it_says(any_api: Api) -> None:
    made = await any_api.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1"), APPLY)
    assert made.code == 201
    assert fields_of(made) == {("one", "Apply"): {"f:data": {"f:x": {}}}}
    again = await any_api.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1"), APPLY)
    assert (again.code, again.version) == (200, made.version)


async def test_apply_removes_what_its_manager_no_longer_says(any_api: Api) -> None:
    await any_api.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1", y="1"), APPLY)
    await any_api.patch("v1/configmaps/a", {"data": {"z": "9"}})
    changed = await any_api.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1"), APPLY)
    assert changed.body["data"] == {"x": "1", "z": "9"}


async def test_apply_conflicts_with_other_managers_unless_forced(any_api: Api) -> None:
    await any_api.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1", y="1"), APPLY)
    refused = await any_api.patch("v1/configmaps/a?fieldManager=two", config_map("a", x="2", y="2"), APPLY)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert refused.message == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.x\n- .data.y'
    assert refused.causes == [
        (".data.x", "FieldManagerConflict", 'conflict with "one"'),
        (".data.y", "FieldManagerConflict", 'conflict with "one"'),
    ]
    forced = await any_api.patch("v1/configmaps/a?fieldManager=two&force=true", config_map("a", x="2"), APPLY)
    assert fields_of(forced) == {
        ("one", "Apply"): {"f:data": {"f:y": {}}},
        ("two", "Apply"): {"f:data": {"f:x": {}}},
    }


async def test_two_managers_may_say_the_same(any_api: Api) -> None:
    await any_api.patch("v1/configmaps/a?fieldManager=one", config_map("a", x="1"), APPLY)
    assert (await any_api.patch("v1/configmaps/a?fieldManager=two", config_map("a", x="1"), APPLY)).code == 200
    left = await any_api.patch("v1/configmaps/a?fieldManager=one", config_map("a", y="1"), APPLY)
    assert left.body["data"] == {"x": "1", "y": "1"}


async def test_an_update_takes_ownership_from_an_apply(any_api: Api) -> None:
    await any_api.patch("apps/v1/deployments/web?fieldManager=one", deployment(replicas=0), APPLY)
    await any_api.patch("apps/v1/deployments/web/scale", {"spec": {"replicas": 0}})
    await any_api.patch("apps/v1/deployments/web?fieldManager=hpa", {"spec": {"minReadySeconds": 4}})
    again = await any_api.patch("apps/v1/deployments/web?fieldManager=one", deployment(replicas=0), APPLY)
    assert again.code == 200
    wanted = deployment(replicas=0)
    wanted["spec"]["minReadySeconds"] = 5
    refused = await any_api.patch("apps/v1/deployments/web?fieldManager=one", wanted, APPLY)
    assert refused.message == (
        'Apply failed with 1 conflict: conflict with "hpa" using apps/v1: .spec.minReadySeconds'
    )


async def test_apply_merges_containers_of_two_managers(any_api: Api) -> None:
    await any_api.patch("apps/v1/deployments/web?fieldManager=one", deployment(), APPLY)
    side = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox:2"}]}}},
    }
    both = await any_api.patch("apps/v1/deployments/web?fieldManager=two", side, APPLY)
    assert [c["name"] for c in both.body["spec"]["template"]["spec"]["containers"]] == ["main", "side"]
    side["spec"] = {}
    alone = await any_api.patch("apps/v1/deployments/web?fieldManager=two", side, APPLY)
    assert [c["name"] for c in alone.body["spec"]["template"]["spec"]["containers"]] == ["main"]


# -- custom resources ------------------------------------------------------------------------------


def definition(suffix: str) -> Json:
    steps: Json = {
        "type": "array",
        "maxItems": 5,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string", "maxLength": 9}, "times": {"type": "integer"}},
        },
    }
    fixed = {
        "type": "string",
        "maxLength": 10,
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "may not change"}],
    }
    spec: Json = {
        "type": "object",
        "required": ["mode"],
        "x-kubernetes-validations": [{"rule": "self.mode != 'c' || has(self.extra)", "message": "c needs extra"}],
        "properties": {
            "mode": {"type": "string", "enum": ["a", "b", "c"]},
            "size": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
            "fixed": fixed,
            "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "port": {"x-kubernetes-int-or-string": True},
            "steps": steps,
        },
    }
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": spec,
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        },
    }
    group = f"{suffix}.example.com"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [{"name": "Mode", "type": "string", "jsonPath": ".spec.mode"}],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


class Things:
    """A custom kind of its own for one test."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.group = f"t{token_hex(3)}.example.com"
        self.path = f"{self.group}/v1/things"
        self.crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{self.group}"

    def thing(self, name: str = "t", **spec: Any) -> Json:
        return {
            "apiVersion": f"{self.group}/v1",
            "kind": "Thing",
            "metadata": {"name": name},
            "spec": {"mode": "a", **spec},
        }

    async def serve(self) -> None:
        body = definition(self.group.partition(".")[0])
        root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert (await self.api.post(root, body)).code == 201
        # Established is not yet served everywhere: a real server needs a moment more.
        await eventually(self.api, self.path, 200)
        clock = SystemClock()
        while (await self.api.post(f"{self.path}?dryRun=All", self.thing("probe"))).code != 201:
            await clock.sleep(0.05)


@pytest.fixture
async def things(any_api: Api) -> AsyncIterator[Things]:
    made = Things(any_api)
    await made.serve()
    yield made
    await any_api.delete(made.crd)


async def test_custom_resources_get_defaults_and_lose_unknown_fields(any_api: Api, things: Things) -> None:
    body = things.thing(bogus=1, extra={"any": {"thing": [1]}}, port="http")
    made = await any_api.post(things.path, body)
    assert made.code == 201
    assert made.body["spec"] == {
        "mode": "a",
        "size": 1,
        "extra": {"any": {"thing": [1]}},
        "port": "http",
    }
    assert made.headers["Warning"] == '299 - "unknown field \\"spec.bogus\\""'
    strict = await any_api.post(f"{things.path}?fieldValidation=Strict", things.thing("s", bogus=1))
    assert strict.code == 400
    assert 'strict decoding error: unknown field "spec.bogus"' in strict.message


@pytest.mark.parametrize(
    ("spec", "field", "reason", "message"),
    [
        (
            {"mode": "z"},
            "spec.mode",
            "FieldValueNotSupported",
            'Unsupported value: "z": supported values: "a", "b", "c"',
        ),
        (
            {"size": "x"},
            "spec.size",
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.size in body must be of type integer: "string"',
        ),
        (
            {"size": 10},
            "spec.size",
            "FieldValueInvalid",
            "Invalid value: 10: spec.size in body should be less than or equal to 9",
        ),
        ({"fixed": "x" * 11}, "spec.fixed", "FieldValueTooLong", "Too long: may not be more than 10 bytes"),
        ({"mode": "c"}, "spec", "FieldValueInvalid", "Invalid value: c needs extra"),
        (
            {"steps": [{"name": "a"}, {"name": "a"}]},
            "spec.steps[1]",
            "FieldValueDuplicate",
            'Duplicate value: {"name":"a"}',
        ),
        ({"steps": [{"times": 1}]}, "spec.steps[0].name", "FieldValueRequired", "Required value"),
        (
            {"steps": [{"name": str(n)} for n in range(6)]},
            "spec.steps",
            "FieldValueTooMany",
            "Too many: 6: must have at most 5 items",
        ),
    ],
)
async def test_custom_resources_that_break_their_schema_are_refused(
    any_api: Api, things: Things, spec: Json, field: str, reason: str, message: str
) -> None:
    refused = await any_api.post(things.path, things.thing(**spec))
    assert refused.code == 422
    assert refused.causes[0] == (field, reason, message)


async def test_transition_rules_compare_with_the_stored_object(any_api: Api, things: Things) -> None:
    await any_api.post(things.path, things.thing(fixed="x"))
    refused = await any_api.patch(f"{things.path}/t", {"spec": {"fixed": "y"}})
    assert refused.causes[0][0] == "spec.fixed"
    assert refused.causes[0][2].endswith("may not change")
    assert (await any_api.patch(f"{things.path}/t", {"spec": {"size": 2}})).code == 200


async def test_status_and_spec_of_custom_resources_are_written_apart(any_api: Api, things: Things) -> None:
    body = {**things.thing(), "status": {"phase": "Early"}}
    made = await any_api.post(things.path, body)
    assert "status" not in made.body
    patch = {"status": {"phase": "Late"}, "spec": {"size": 5}, "metadata": {"labels": {"a": "b"}}}
    told = await any_api.patch(f"{things.path}/t/status", patch)
    assert told.body["status"] == {"phase": "Late"}
    assert told.body["spec"]["size"] == 1
    assert "labels" not in told.body["metadata"]
    assert told.body["metadata"]["generation"] == 1
    changed = await any_api.patch(f"{things.path}/t", {**patch, "status": {"phase": "No"}})
    assert changed.body["status"] == {"phase": "Late"}
    assert changed.body["metadata"]["generation"] == 2


async def test_updates_of_custom_resources_need_a_version(any_api: Api, things: Things) -> None:
    await any_api.post(things.path, things.thing())
    refused = await any_api.put(f"{things.path}/t", things.thing(size=3))
    assert refused.code == 422
    assert refused.causes[0][:2] == ("metadata.resourceVersion", "FieldValueInvalid")


async def test_custom_resources_have_no_strategic_patch(any_api: Api, things: Things) -> None:
    await any_api.post(things.path, things.thing())
    assert (await any_api.patch(f"{things.path}/t", {"spec": {"size": 3}}, STRATEGIC)).code == 415


async def test_tables_of_custom_resources_have_the_columns_of_their_definition(
    any_api: Api, things: Things
) -> None:
    await any_api.post(things.path, things.thing())
    table = await any_api.get(things.path, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [column["name"] for column in table.body["columnDefinitions"]] == ["Name", "Mode"]
    assert [row["cells"] for row in table.body["rows"]] == [["t", "a"]]


async def test_custom_resources_go_with_their_definition(any_api: Api, things: Things) -> None:
    await any_api.post(things.path, things.thing())
    assert (await any_api.delete(things.crd)).code == 200
    await eventually(any_api, things.crd, 404)
    await eventually(any_api, things.path, 404)


# -- identity --------------------------------------------------------------------------------------


async def token_for(api: Api, account: str) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = await api.post(f"v1/serviceaccounts/{account}/token", body)
    assert made.code == 201
    return str(made.body["status"]["token"])


async def test_a_service_account_may_do_what_its_role_says_and_no_more(any_api: Api) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await any_api.post("v1/serviceaccounts", account)
    robot = any_api.with_token(await token_for(any_api, "robot"))
    refused = await robot.get("v1/configmaps")
    user = f"system:serviceaccount:{any_api.namespace}:robot"
    assert refused.code == 403
    assert refused.message == (
        f'configmaps is forbidden: User "{user}" cannot list resource "configmaps" in API group "" in '
        f'the namespace "{any_api.namespace}"'
    )
    group = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["a"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
    ]
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "r"}, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": any_api.namespace}],
    }
    await any_api.post(f"{group}/v1/roles", role)
    await any_api.post(f"{group}/v1/rolebindings", binding)
    await any_api.post("v1/configmaps", config_map("a"))
    await any_api.post("v1/configmaps", config_map("b"))
    clock = SystemClock()
    while (await robot.get("v1/configmaps/a")).code != 200:
        await clock.sleep(0.05)
    assert (await robot.get("v1/configmaps/b")).code == 403
    await any_api.post("apps/v1/deployments", deployment())
    assert (await robot.patch("apps/v1/deployments/web/scale", {"spec": {"replicas": 0}})).code == 200
    assert (await robot.patch("apps/v1/deployments/web", {"spec": {"replicas": 0}})).code == 403


async def test_a_bad_token_is_unauthorized(any_api: Api) -> None:
    refused = await any_api.with_token("nonsense").get("v1/configmaps")
    assert (refused.code, refused.body["reason"], refused.message) == (401, "Unauthorized", "Unauthorized")


async def test_the_token_of_a_deleted_account_is_void(any_api: Api) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await any_api.post("v1/serviceaccounts", account)
    token = await token_for(any_api, "robot")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    reviewed = await any_api.post(reviews, body)
    assert reviewed.body["status"]["user"]["username"].endswith(":robot")
    await any_api.delete("v1/serviceaccounts/robot")
    clock = SystemClock()
    while (await any_api.post(reviews, body)).body["status"].get("authenticated"):
        await clock.sleep(0.1)


async def test_access_reviews_judge_without_asking_twice(any_api: Api) -> None:
    async def allowed(user: str, groups: list[str]) -> bool:
        attributes = {"verb": "list", "resource": "secrets", "namespace": any_api.namespace}
        spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await any_api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        assert answer.code == 201
        return bool(answer.body["status"]["allowed"])

    assert await allowed("root", ["system:masters"])
    assert not await allowed("bob", ["people"])


async def test_an_administrator_may_act_as_another(any_api: Api) -> None:
    refused = await any_api.get("v1/secrets", Impersonate_User="bob")
    assert refused.code == 403
    assert 'User "bob" cannot list resource "secrets"' in refused.message
    answer = await any_api.post(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
        Impersonate_User="bob",
        Impersonate_Group="people",
    )
    assert answer.body["status"]["userInfo"]["username"] == "bob"
    assert sorted(answer.body["status"]["userInfo"]["groups"]) == ["people", "system:authenticated"]
