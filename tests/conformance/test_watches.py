"""Being told of changes."""

import asyncio

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
