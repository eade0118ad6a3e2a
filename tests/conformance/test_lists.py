"""Reading: lists, pages, selectors, versions."""

import pytest

from .api import Api
from .objects import config_map


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
