"""Reading: lists, pages, selectors, versions."""

import pytest

from .api import Api
from .objects import config_map

CONTAINER = {"name": "main", "image": "busybox:1"}


async def test_pages_of_a_list_show_the_moment_of_the_first_page(cluster: Api) -> None:
    for number in range(5):
        await cluster.post("v1/configmaps", config_map(f"page-{number}", {"page": "yes"}))
    first = await cluster.get("v1/configmaps?limit=2&labelSelector=page%3Dyes")
    assert first.names == ["page-0", "page-1"]
    await cluster.delete("v1/configmaps/page-3")
    await cluster.post("v1/configmaps", config_map("page-9", {"page": "yes"}))
    names: list[str] = []
    token = first.body["metadata"]["continue"]
    while token:
        page = await cluster.get(f"v1/configmaps?limit=2&labelSelector=page%3Dyes&continue={token}")
        assert page.version == first.version
        names += page.names
        token = page.body["metadata"].get("continue", "")
    assert names == ["page-2", "page-3", "page-4"]


async def test_items_of_builtin_lists_do_not_repeat_their_kind(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a"))
    listed = await cluster.get("v1/configmaps?fieldSelector=metadata.name%3Da")
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
async def test_label_selectors_select(cluster: Api, selector: str, wanted: list[str]) -> None:
    await cluster.post("v1/configmaps", config_map("a", {"mine": "1", "tier": "web", "size": "1"}))
    await cluster.post("v1/configmaps", config_map("b", {"mine": "1", "tier": "db", "size": "2"}))
    await cluster.post("v1/configmaps", config_map("c", {"mine": "1"}))
    text = f"mine=1,{selector}".replace("=", "%3D").replace(" ", "%20").replace(">", "%3E")
    assert (await cluster.get(f"v1/configmaps?labelSelector={text}")).names == wanted


async def test_field_selectors_know_a_few_fields_only(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a"))
    await cluster.post("v1/configmaps", config_map("b"))
    assert (await cluster.get("v1/configmaps?fieldSelector=metadata.name%3Db")).names == ["b"]
    others = await cluster.get("v1/configmaps?fieldSelector=metadata.name!%3Db")
    assert "b" not in others.names
    assert (await cluster.get("v1/configmaps?fieldSelector=data.x%3Db")).code == 400


async def test_a_version_of_the_future_is_refused(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps?resourceVersion=999999999")
    assert (refused.code, refused.body["reason"]) == (504, "Timeout")
    assert refused.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_a_list_of_all_namespaces_holds_this_one(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a", {"mine": cluster.namespace}))
    found = await cluster.get(f"/api/v1/configmaps?labelSelector=mine%3D{cluster.namespace}")
    assert [item["metadata"]["namespace"] for item in found.body["items"]] == [cluster.namespace]


async def test_a_page_says_how_many_are_left(cluster: Api) -> None:
    for number in range(3):
        await cluster.post("v1/secrets", {"metadata": {"name": f"s{number}"}})
    first = await cluster.get("v1/secrets?limit=1")
    assert first.names == ["s0"]
    assert first.body["metadata"]["remainingItemCount"] == 2
    selected = await cluster.get("v1/secrets?limit=1&fieldSelector=type%3DOpaque")
    assert "remainingItemCount" not in selected.body["metadata"]


async def test_a_continue_token_of_nobody_is_400(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps?limit=1&continue=nonsense")
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")
    assert "continue" in refused.message


async def test_a_list_can_show_the_past_exactly(cluster: Api) -> None:
    then = (await cluster.post("v1/configmaps", config_map("a", {"mine": "1"}))).version
    await cluster.post("v1/configmaps", config_map("b", {"mine": "1"}))
    path = "v1/configmaps?labelSelector=mine%3D1"
    exact = await cluster.get(f"{path}&resourceVersion={then}&resourceVersionMatch=Exact")
    assert (exact.names, exact.version) == (["a"], then)
    newer = await cluster.get(f"{path}&resourceVersion={then}&resourceVersionMatch=NotOlderThan")
    assert int(newer.version) >= int(then)


async def test_a_version_to_match_needs_a_version(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps?resourceVersionMatch=Exact")
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert refused.causes[0][:2] == ("resourceVersionMatch", "FieldValueForbidden")


async def test_the_way_to_match_is_one_of_two(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps?resourceVersion=1&resourceVersionMatch=Nearly")
    assert refused.code == 422
    assert refused.causes[0][:2] == ("resourceVersionMatch", "FieldValueNotSupported")
    zero = await cluster.get("v1/configmaps?resourceVersion=0&resourceVersionMatch=Exact")
    assert zero.code == 422


async def test_a_version_that_is_no_number_is_refused(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps?resourceVersion=abc")
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")
    watched = await cluster.get("v1/configmaps?resourceVersion=abc&watch=1")
    assert watched.code == 500
    assert watched.message.startswith('resourceVersion: Invalid value: "abc"')


async def test_a_selector_that_cannot_be_read_is_400(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps?labelSelector=a%20b")
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")
    assert "unable to parse requirement" in refused.message


async def test_pods_are_found_by_node_and_phase(cluster: Api) -> None:
    body = {"metadata": {"name": "p"}, "spec": {"schedulerName": "nobody", "containers": [CONTAINER]}}
    assert (await cluster.post("v1/pods", body)).code == 201
    assert (await cluster.get("v1/pods?fieldSelector=status.phase%3DPending,spec.nodeName%3D")).names == ["p"]
    assert (await cluster.get("v1/pods?fieldSelector=spec.nodeName%3Dx")).names == []


async def test_a_collection_is_deleted_by_its_selector(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a", {"old": "yes"}))
    await cluster.post("v1/configmaps", config_map("b"))
    deleted = await cluster.delete("v1/configmaps?labelSelector=old%3Dyes")
    assert deleted.code == 200
    assert (await cluster.get("v1/configmaps/a")).code == 404
    assert (await cluster.get("v1/configmaps/b")).code == 200


# -- tables ----------------------------------------------------------------------------------------

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def test_a_table_has_columns_and_a_row_for_each_object(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a", x="1", y="2"))
    table = await cluster.get("v1/configmaps?fieldSelector=metadata.name%3Da", Accept=TABLE)
    assert (table.body["kind"], table.body["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table.body["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert table.body["rows"][0]["cells"][:2] == ["a", 2]
    assert table.body["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert table.version


@pytest.mark.parametrize(
    ("include", "kind"), [("None", None), ("Metadata", "PartialObjectMetadata"), ("Object", "ConfigMap")]
)
async def test_the_rows_of_a_table_hold_what_was_asked_for(cluster: Api, include: str, kind: str | None) -> None:
    await cluster.post("v1/configmaps", config_map("a"))
    table = await cluster.get(f"v1/configmaps/a?includeObject={include}", Accept=TABLE)
    found = table.body["rows"][0].get("object")
    assert (found and found["kind"]) == kind


COLUMNS = """\
v1/secrets: Name|Type|Data|Age
v1/serviceaccounts: Name|Age
v1/services: Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector
v1/resourcequotas: Name|Request|Limit|Age
apps/v1/statefulsets: Name|Ready|Age|Containers|Images
coordination.k8s.io/v1/leases: Name|Holder|Age
networking.k8s.io/v1/networkpolicies: Name|Pod-Selector|Age
/api/v1/namespaces: Name|Status|Age
/apis/apiextensions.k8s.io/v1/customresourcedefinitions: Name|Created At
"""


@pytest.mark.parametrize("line", COLUMNS.splitlines())
async def test_the_columns_are_those_that_people_know(cluster: Api, line: str) -> None:
    path, _, columns = line.partition(":")
    table = await cluster.get(path, Accept=TABLE)
    assert [column["name"] for column in table.body["columnDefinitions"]] == columns.strip().split("|")
