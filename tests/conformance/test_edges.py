"""Where requests end: expired pages, dry runs of every verb, preconditions, media types, methods, watches."""

import asyncio
import base64
import json

from .api import APPLY, JSON_PATCH, MERGE, STRATEGIC, Answer, Api, Json
from .objects import RBAC, bind, config_map, deployment, owned, role, until

MAPS = "v1/configmaps"
PLAIN = "application/json"


async def page_of_the_past(cluster: Api, query: str = "") -> str:
    """A continue token of the time when the cluster began."""
    for name in "ab":
        await cluster.post(MAPS, config_map(name, {"mine": "1"}))
    first = await cluster.get(f"{MAPS}?limit=1&labelSelector=mine{query}")
    token = str(first.body["metadata"]["continue"])
    held = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    assert held["rv"] > 1
    return base64.urlsafe_b64encode(json.dumps(held | {"rv": 1}).encode()).decode().rstrip("=")


async def test_a_page_of_the_past_is_410_and_says_how_to_go_on(cluster: Api) -> None:
    token = await page_of_the_past(cluster)
    refused = await cluster.get(f"{MAPS}?limit=1&labelSelector=mine&continue={token}")
    assert (refused.code, refused.body["reason"]) == (410, "Expired")
    assert refused.message.startswith(
        "The provided continue parameter is too old to display a consistent list result."
    )
    on = await cluster.get(f"{MAPS}?labelSelector=mine&continue={refused.body['metadata']['continue']}")
    assert (on.code, on.names) == (200, ["b"])


async def test_a_page_needs_no_other_version(cluster: Api) -> None:
    for name in "ab":
        await cluster.post(MAPS, config_map(name))
    first = await cluster.get(f"{MAPS}?limit=1")
    token = first.body["metadata"]["continue"]
    refused = await cluster.get(f"{MAPS}?limit=1&continue={token}&resourceVersion={first.version}")
    assert (refused.code, refused.message) == (
        400,
        "specifying resource version is not allowed when using continue",
    )


async def test_a_dry_run_of_any_verb_changes_nothing(cluster: Api) -> None:
    one, two = config_map("a", x="2"), config_map("b", x="2")
    operation = [{"op": "replace", "path": "/data/x", "value": "2"}]
    await cluster.post(MAPS, config_map("a", {"mine": "1"}, x="1"))
    before = await cluster.get(MAPS)
    for method, path, body, kind in (
        ("PUT", "/a?dryRun=All", one, PLAIN),
        ("PATCH", "/a?dryRun=All", {"data": {"x": "2"}}, MERGE),
        ("PATCH", "/a?dryRun=All", {"data": {"x": "2"}}, STRATEGIC),
        ("PATCH", "/a?dryRun=All", operation, JSON_PATCH),
        ("PATCH", "/a?dryRun=All&fieldManager=m&force=true", one, APPLY),
        ("PATCH", "/b?dryRun=All&fieldManager=m", two, APPLY),
        ("POST", "?dryRun=All", two, PLAIN),
        ("DELETE", "/a?dryRun=All", None, PLAIN),
        ("DELETE", "?dryRun=All&labelSelector=mine", None, PLAIN),
    ):
        answer = await cluster.call(method, MAPS + path, body, kind)
        assert answer.code in (200, 201), answer.body
        assert (await cluster.get(MAPS)).body["items"] == before.body["items"], (method, path)


async def test_a_dry_run_of_a_scale_changes_nothing(cluster: Api) -> None:
    await cluster.post("apps/v1/deployments", deployment())
    path = "apps/v1/deployments/web"
    answer = await cluster.patch(f"{path}/scale?dryRun=All", {"spec": {"replicas": 3}})
    assert (answer.code, answer.body["spec"]["replicas"]) == (200, 3)
    assert (await cluster.get(path)).body["spec"]["replicas"] == 0


async def test_a_deletion_may_ask_for_a_dry_run_in_its_options(cluster: Api) -> None:
    await cluster.post(MAPS, config_map("a"))
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}
    assert (await cluster.delete(f"{MAPS}/a", options)).code == 200
    assert (await cluster.get(f"{MAPS}/a")).code == 200


async def test_a_deletion_may_demand_a_version(cluster: Api) -> None:
    made = await cluster.post(MAPS, config_map("a"))
    await cluster.patch(f"{MAPS}/a", {"data": {"x": "1"}})
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"resourceVersion": made.version}}
    refused = await cluster.delete(f"{MAPS}/a", options)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert "the ResourceVersion in the precondition" in refused.message
    now = await cluster.get(f"{MAPS}/a")
    options["preconditions"] = {"resourceVersion": now.version, "uid": now.body["metadata"]["uid"]}
    assert (await cluster.delete(f"{MAPS}/a", options)).code == 200


async def test_a_patch_may_be_meant_for_one_object_only(cluster: Api) -> None:
    await cluster.post(MAPS, config_map("a"))
    refused = await cluster.patch(f"{MAPS}/a", {"metadata": {"uid": "other"}, "data": {"x": "1"}})
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert ("metadata.uid", "FieldValueInvalid", 'Invalid value: "other": field is immutable') in refused.causes


async def test_a_collection_is_deleted_by_a_field(cluster: Api) -> None:
    for name in "ab":
        await cluster.post(MAPS, config_map(name))
    answer = await cluster.delete(f"{MAPS}?fieldSelector=metadata.name%3Da")
    assert (answer.code, answer.body["kind"]) == (200, "ConfigMapList")
    names = (await cluster.get(MAPS)).names
    assert "b" in names
    assert "a" not in names


async def test_a_generated_name_keeps_as_much_of_a_long_beginning_as_fits(cluster: Api) -> None:
    body = config_map("")
    body["metadata"] = {"generateName": "n" * 70}
    made = await cluster.post(MAPS, body)
    name = made.body["metadata"]["name"]
    assert (made.code, len(name), name[:58]) == (201, 63, "n" * 58)


async def test_a_method_that_does_not_fit_its_address_is_405(cluster: Api) -> None:
    for method, path in (("PUT", MAPS), ("PATCH", MAPS), ("POST", f"{MAPS}/a"), ("POST", "/version")):
        refused = await cluster.call(method, path, config_map("a"), MERGE if method == "PATCH" else PLAIN)
        assert (method, path, refused.code) == (method, path, 405)


async def test_an_answer_of_an_unknown_type_is_406(cluster: Api) -> None:
    refused = await cluster.get(MAPS, Accept="text/csv")
    assert (refused.code, refused.body["reason"]) == (406, "NotAcceptable")
    assert refused.message.startswith("406: Not Acceptable\n\nAvailable representations: application/json, ")


async def test_an_answer_may_be_any_that_is_listed(cluster: Api) -> None:
    answer = await cluster.get(MAPS, Accept="text/csv, application/json;q=0.5")
    assert (answer.code, answer.body["kind"]) == (200, "ConfigMapList")


async def test_metadata_can_be_had_without_the_rest(cluster: Api) -> None:
    made = await cluster.post(MAPS, config_map("a", {"mine": "1"}, x="1"))
    accept = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
    one = (await cluster.get(f"{MAPS}/a", Accept=accept.format(""))).body
    listed = (await cluster.get(f"{MAPS}?labelSelector=mine", Accept=accept.format("List"))).body
    assert one == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": made.body["metadata"],
    }
    assert (listed["kind"], listed["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert [(item["metadata"]["name"], "data" in item) for item in listed["items"]] == [("a", False)]


async def test_a_watch_that_makes_no_sense_does_not_begin(cluster: Api) -> None:
    for query in ("labelSelector=a%20b", "fieldSelector=data.x%3D1", "timeoutSeconds=soon"):
        assert (await cluster.get(f"{MAPS}?watch=1&{query}")).code == 400, query


async def test_a_watch_of_a_kind_that_is_not_there_is_404(cluster: Api) -> None:
    assert (await cluster.get("/apis/apps/v1/nothings?watch=1")).code == 404


async def test_a_watch_tells_no_bookmark_unless_asked(cluster: Api) -> None:
    version = (await cluster.get(MAPS)).version
    async with asyncio.timeout(20), cluster.watch(f"{MAPS}?resourceVersion={version}&timeoutSeconds=1") as events:
        assert [event async for event in events] == []


async def test_a_watch_of_all_namespaces_sees_this_one(cluster: Api) -> None:
    version = (await cluster.get(MAPS)).version
    path = f"/api/v1/configmaps?resourceVersion={version}&labelSelector=mine%3D{cluster.namespace}"
    async with asyncio.timeout(20), cluster.watch(path) as events:
        await cluster.post(MAPS, config_map("a", {"mine": cluster.namespace}))
        event = await anext(events)
    assert (event["type"], event["object"]["metadata"]["namespace"]) == ("ADDED", cluster.namespace)


async def test_a_finalizer_needs_a_domain(cluster: Api) -> None:
    body = config_map("a")
    body["metadata"]["finalizers"] = ["mine"]
    made = await cluster.post(MAPS, body)
    assert (made.code, made.body["reason"]) == (422, "Invalid")
    assert made.causes[0][0] == "metadata.finalizers[0]"


async def bound(cluster: Api, name: str) -> Answer:
    body = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "not-there"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "eve"}],
    }
    return await cluster.post(f"{RBAC}/v1/rolebindings", body, Impersonate_User="bob")


async def test_who_may_bind_a_role_may_do_so_before_it_exists(cluster: Api) -> None:
    group = {"apiGroups": [RBAC]}
    await role(cluster, "r", [{**group, "resources": ["rolebindings"], "verbs": ["create"]}])
    await bind(cluster, "r", {"apiGroup": RBAC, "kind": "User", "name": "bob"})
    assert (await bound(cluster, "early")).code == 404
    await role(cluster, "binder", [{**group, "resources": ["roles"], "verbs": ["bind"]}])
    await bind(cluster, "binder", {"apiGroup": RBAC, "kind": "User", "name": "bob"})

    async def is_bound() -> bool:
        return (await bound(cluster, "late")).code == 201

    await until(is_bound)


async def test_who_grants_one_object_needs_no_more_than_that_one(cluster: Api) -> None:
    one = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["a"]}
    write = {"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["create"]}
    await role(cluster, "r", [write, one])
    await bind(cluster, "r", {"apiGroup": RBAC, "kind": "User", "name": "bob"})

    async def grant(rule: Json) -> Answer:
        body = {"metadata": {"generateName": "granted-"}, "rules": [rule]}
        return await cluster.post(f"{RBAC}/v1/roles", body, Impersonate_User="bob")

    async def is_granted() -> bool:
        return (await grant(one)).code == 201

    await until(is_granted)
    wider = await grant({key: value for key, value in one.items() if key != "resourceNames"})
    assert wider.code == 403
    assert (await grant(one | {"resourceNames": ["b"]})).code == 403


async def test_an_aggregated_role_needs_the_right_to_everything(cluster: Api) -> None:
    name = cluster.namespace
    rules = [{"apiGroups": [RBAC], "resources": ["clusterroles"], "verbs": ["create"]}]
    root = f"/apis/{RBAC}/v1"
    try:
        await cluster.post(f"{root}/clusterroles", {"metadata": {"name": name}, "rules": rules})
        body = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": name}],
        }
        await cluster.post(f"{root}/clusterrolebindings", body)

        async def make(**more: object) -> Answer:
            path = f"{root}/clusterroles?dryRun=All"
            return await cluster.post(path, {"metadata": {"name": f"{name}-2"}, **more}, Impersonate_User=name)

        async def may_make() -> bool:
            return (await make(rules=rules)).code == 201

        await until(may_make)
        selectors = [{"matchLabels": {"nobody": "has-it"}}]
        refused = await make(aggregationRule={"clusterRoleSelectors": selectors})
        assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    finally:
        await cluster.delete(f"{root}/clusterrolebindings/{name}")
        await cluster.delete(f"{root}/clusterroles/{name}")


async def test_an_address_holds_a_namespace_where_the_kind_has_one_and_only_there(cluster: Api) -> None:
    for path in ("/api/v1/configmaps/a", f"/api/v1/namespaces/{cluster.namespace}/nodes"):
        assert (path, (await cluster.get(path)).code) == (path, 404)


async def test_an_older_word_for_orphans_is_understood(cluster: Api) -> None:
    owner = await cluster.post(MAPS, config_map("owner"))
    await cluster.post(MAPS, owned("child", owner))
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "orphanDependents": True}
    await cluster.delete(f"{MAPS}/owner", options)

    async def is_free() -> bool:
        child = await cluster.get(f"{MAPS}/child")
        assert child.code == 200
        return not child.body["metadata"].get("ownerReferences")

    await until(is_free)
    assert (await cluster.get(f"{MAPS}/owner")).code == 404


async def test_pages_of_all_namespaces_lose_nothing(cluster: Api) -> None:
    await cluster.post(MAPS, config_map("b", {"mine": cluster.namespace}))
    await cluster.post("/api/v1/namespaces/kube-system/configmaps", config_map(f"a-{cluster.namespace}"))
    try:
        found: list[str] = []
        token = ""
        while True:
            page = await cluster.get(f"/api/v1/configmaps?limit=1&continue={token}")
            found += [f"{i['metadata']['namespace']}/{i['metadata']['name']}" for i in page.body["items"]]
            token = page.body["metadata"].get("continue", "")
            if not token:
                break
        assert f"{cluster.namespace}/b" in found
        assert f"{cluster.namespace}/kube-root-ca.crt" in found
        assert len(found) == len(set(found))
    finally:
        await cluster.delete(f"/api/v1/namespaces/kube-system/configmaps/a-{cluster.namespace}")


async def test_an_object_of_the_future_cannot_be_read_yet(cluster: Api) -> None:
    made = await cluster.post(MAPS, config_map("a"))
    refused = await cluster.get(f"{MAPS}/a?resourceVersion={int(made.version) + 100_000}")
    assert (refused.code, refused.body["reason"]) == (504, "Timeout")
    assert "Too large resource version" in refused.message
