"""Being told of changes."""

import asyncio
import json

from .api import Api
from .objects import config_map, take


async def test_a_watch_goes_on_where_a_list_ended(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("before"))
    listed = await cluster.get("v1/configmaps")
    await cluster.post("v1/configmaps", config_map("a", x="1"))
    await cluster.patch("v1/configmaps/a", {"data": {"x": "2"}})
    await cluster.delete("v1/configmaps/a")
    async with cluster.watch(f"v1/configmaps?resourceVersion={listed.version}") as events:
        assert await take(events, 3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_objects_enter_and_leave_the_selection_of_a_watch(cluster: Api) -> None:
    version = (await cluster.get("v1/configmaps")).version
    path = f"v1/configmaps?resourceVersion={version}&labelSelector=seen%3Dyes"
    async with cluster.watch(path) as events:
        await cluster.post("v1/configmaps", config_map("a"))
        await cluster.patch("v1/configmaps/a", {"metadata": {"labels": {"seen": "yes"}}})
        await cluster.patch("v1/configmaps/a", {"data": {"x": "1"}})
        await cluster.patch("v1/configmaps/a", {"metadata": {"labels": {"seen": "no"}}})
        await cluster.patch("v1/configmaps/a", {"data": {"x": "2"}})
        await cluster.patch("v1/configmaps/a", {"metadata": {"labels": {"seen": "yes"}}})
        await cluster.delete("v1/configmaps/a")
        assert await take(events, 5) == [
            ("ADDED", "a"),
            ("MODIFIED", "a"),
            ("DELETED", "a"),
            ("ADDED", "a"),
            ("DELETED", "a"),
        ]


async def test_a_watch_without_a_version_begins_with_what_there_is(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a", {"mine": "1"}))
    async with cluster.watch("v1/configmaps?labelSelector=mine%3D1") as events:
        await cluster.post("v1/configmaps", config_map("b", {"mine": "1"}))
        assert await take(events, 2) == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_watch_ends_with_a_bookmark_when_its_time_is_over(cluster: Api) -> None:
    version = (await cluster.get("v1/configmaps")).version
    path = f"v1/configmaps?resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=1"
    async with asyncio.timeout(20), cluster.watch(path) as events:
        seen = [event async for event in events]
    assert {event["type"] for event in seen} <= {"BOOKMARK"}
    assert all(int(event["object"]["metadata"]["resourceVersion"]) >= int(version) for event in seen)


async def test_a_watch_from_a_version_that_is_forgotten_ends_with_410(cluster: Api) -> None:
    async with asyncio.timeout(20), cluster.watch("v1/configmaps?resourceVersion=1") as events:
        seen = [event async for event in events]
    assert [event["type"] for event in seen] == ["ERROR"]
    told = seen[0]["object"]
    assert (told["kind"], told["code"], told["reason"]) == ("Status", 410, "Expired")
    assert told["message"].startswith("too old resource version: 1 (")


async def test_a_list_of_a_version_that_is_forgotten_is_410(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps?resourceVersion=1&resourceVersionMatch=Exact")
    assert (refused.code, refused.body["reason"]) == (410, "Expired")


async def test_a_watch_can_begin_with_all_there_is_and_say_where_that_ends(cluster: Api) -> None:
    await cluster.post("v1/configmaps", config_map("a", {"mine": "1"}))
    path = (
        "v1/configmaps?labelSelector=mine%3D1&sendInitialEvents=true&allowWatchBookmarks=true"
        "&resourceVersionMatch=NotOlderThan"
    )
    async with asyncio.timeout(20), cluster.watch(path) as events:
        first, second = await anext(events), await anext(events)
        await cluster.post("v1/configmaps", config_map("b", {"mine": "1"}))
        third = await anext(event async for event in events if event["type"] != "BOOKMARK")
    assert [event["type"] for event in (first, second, third)] == ["ADDED", "BOOKMARK", "ADDED"]
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert second["object"]["kind"] == "ConfigMap"


async def test_initial_events_need_a_version_to_match(cluster: Api) -> None:
    refused = await cluster.get("v1/configmaps?watch=1&sendInitialEvents=true")
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")


async def test_one_object_can_be_watched_by_its_name(cluster: Api) -> None:
    version = (await cluster.get("v1/configmaps")).version
    path = f"v1/configmaps?fieldSelector=metadata.name%3Da&resourceVersion={version}"
    async with cluster.watch(path) as events:
        await cluster.post("v1/configmaps", config_map("b"))
        await cluster.post("v1/configmaps", config_map("a"))
        assert await take(events, 1) == [("ADDED", "a")]


async def test_a_deletion_is_told_with_a_version_of_its_own(cluster: Api) -> None:
    made = await cluster.post("v1/configmaps", config_map("a"))
    async with asyncio.timeout(20), cluster.watch(f"v1/configmaps?resourceVersion={made.version}") as events:
        await cluster.delete("v1/configmaps/a")
        event = await anext(events)
    assert event["type"] == "DELETED"
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(made.version)


async def test_a_watch_of_a_table_names_its_columns_once(cluster: Api) -> None:
    version = (await cluster.get("v1/configmaps")).version
    path = cluster.at(f"v1/configmaps?watch=1&resourceVersion={version}")
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with asyncio.timeout(20), cluster.session.get(path, headers=headers) as response:
        await cluster.post("v1/configmaps", config_map("a"))
        await cluster.post("v1/configmaps", config_map("b"))
        first, second = [json.loads(await response.content.readline())["object"] for _ in range(2)]
    assert [column["name"] for column in first["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert second["columnDefinitions"] is None
    assert [table["rows"][0]["cells"][0] for table in (first, second)] == ["a", "b"]
