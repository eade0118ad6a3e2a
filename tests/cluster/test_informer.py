"""What a loop that reads from an informer may rely on."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.cluster.tiny_api import TinyApi

from kubernaut.cluster import Cluster, Connection, Informer, Key, NotFound, kinds
from kubernaut.concurrency import Supervisor, VirtualClock

PODS = "/api/v1/namespaces/n/pods"


def pod(name: str, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", **meta}, "spec": {}}


class World:
    """An API, an informer of its pods, and what the informer reported."""

    def __init__(self, api: TinyApi, cluster: Cluster, clock: VirtualClock) -> None:
        self.api = api
        self.cluster = cluster
        self.clock = clock
        self.informer = Informer(cluster, kinds.PODS, "n", clock=clock, relist_seconds=3600)
        self.heard: list[tuple[str, str | None, str | None]] = []
        self.news = asyncio.Condition()
        self.informer.subscribe(self.hear)

    def hear(self, key: Key, old: Any, new: Any) -> None:
        version = [item and item["metadata"]["resourceVersion"] for item in (old, new)]
        self.heard.append((key[1], version[0], version[1]))

    async def until(self, holds: Callable[[], Any]) -> None:
        # A real exchange over a socket is under way, of which a test cannot know the end.
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # noqa: TID251

    def names(self) -> list[str]:
        return sorted(name for _, name in self.informer.keys())  # noqa: SIM118 - not a dict


@pytest.fixture
async def world(clock: VirtualClock) -> AsyncGenerator[World, None]:
    api = TinyApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with TestServer(app) as server:
        connection = Connection(server=str(server.make_url("")).rstrip("/"))
        async with Cluster(connection, clock=clock) as cluster:
            made = World(api, cluster, clock)
            async with Supervisor() as supervisor:
                supervisor.start("informer", made.informer.run(), eternal=True)
                yield made
                supervisor.stop()
            await api.break_watches()


async def test_first_the_list_then_every_change(world: World) -> None:
    await world.api.put(f"{PODS}/a", pod("a"))
    assert not world.informer.synced
    await world.informer.wait_synced()
    assert world.names() == ["a"]
    await world.api.put(f"{PODS}/b", pod("b"))
    await world.api.put(f"{PODS}/a", pod("a", labels={"x": "y"}))
    await world.api.remove(f"{PODS}/b")
    await world.until(lambda: len(world.heard) == 4)
    assert world.heard == [
        ("a", None, "101"),
        ("b", None, "102"),
        ("a", "101", "103"),
        ("b", "102", None),
    ]
    assert world.informer.get("b", "n") is None
    assert len(world.informer) == 1


async def test_a_broken_watch_goes_on_where_it_was_without_a_new_list(world: World) -> None:
    await world.informer.wait_synced()
    await world.api.put(f"{PODS}/a", pod("a"))
    await world.until(lambda: world.names() == ["a"])
    await world.api.break_watches()
    await world.api.put(f"{PODS}/b", pod("b"))
    await world.until(lambda: world.names() == ["a", "b"])
    assert world.api.lists == 1
    assert world.api.watches == ["100", "101"]
    assert len(world.heard) == 2


async def test_a_bookmark_moves_on_where_the_watch_is_and_is_no_object(world: World) -> None:
    await world.informer.wait_synced()
    await world.api.put(f"{PODS}/a", pod("a"))
    await world.until(lambda: world.names() == ["a"])
    await world.api.bookmark(f"{PODS}/a")
    await world.api.break_watches()
    await world.api.put(f"{PODS}/b", pod("b"))
    await world.until(lambda: world.names() == ["a", "b"])
    assert world.api.watches[-1] in ("101", "102")
    assert len(world.informer) == 2
    assert world.informer.failure is None


async def test_after_the_history_is_gone_the_list_tells_what_was_missed(world: World) -> None:
    await world.api.put(f"{PODS}/a", pod("a"))
    await world.api.put(f"{PODS}/b", pod("b"))
    await world.informer.wait_synced()
    world.api.down = True
    await world.api.break_watches()
    await world.until(lambda: world.informer.failure)
    await world.api.remove(f"{PODS}/a")
    await world.api.put(f"{PODS}/c", pod("c"))
    world.api.compact()
    world.api.down = False
    await world.until(lambda: world.names() == ["b", "c"])
    assert world.heard[2:] in (
        [("c", None, "104"), ("a", "101", None)],
        [("a", "101", None), ("c", None, "104")],
    )
    await world.until(lambda: world.informer.failure is None)
    assert world.api.lists == 2
    assert world.clock.monotonic() < 60, "only the safety net saved it"


async def test_a_watch_that_works_again_is_no_failure_even_if_nothing_happens(world: World) -> None:
    await world.informer.wait_synced()
    world.api.down = True
    await world.api.break_watches()
    await world.until(lambda: world.informer.failure)
    world.api.down = False
    await world.until(lambda: world.informer.failure is None)
    assert world.api.lists == 1


async def test_a_dead_server_is_asked_less_and_less_often(world: World) -> None:
    world.api.down = True
    await world.until(lambda: world.clock.monotonic() > 120)
    assert "ServiceUnavailable" in str(world.informer.failure)
    assert not world.informer.synced
    # Each attempt is one list, repeated four times by the client.
    assert sum(world.cluster.counts.values()) < 5 * 20
    world.api.down = False
    await world.informer.wait_synced()
    await world.until(lambda: world.informer.failure is None)


async def test_a_turn_reads_its_own_write_at_once_and_hears_it_once(world: World) -> None:
    await world.api.put(f"{PODS}/a", pod("a"))
    await world.informer.wait_synced()
    found = await world.cluster.get(kinds.PODS, "a", "n")
    written = await world.cluster.replace(kinds.PODS, {**found, "spec": {"x": 1}})
    world.informer.note(written)
    assert world.informer.get("a", "n") == written
    await world.api.put(f"{PODS}/end", pod("end"))
    await world.until(lambda: "end" in world.names())
    assert [version for name, _, version in world.heard if name == "a"] == ["101", "102"]


async def test_an_older_event_never_replaces_a_noted_write(world: World) -> None:
    await world.informer.wait_synced()
    world.informer.note(pod("a", uid="u", resourceVersion="200"))
    world.informer.note(pod("a", uid="u", resourceVersion="150"))
    await world.api.put(f"{PODS}/a", pod("a"))  # 101, of an earlier life
    await world.api.remove(f"{PODS}/a")  # 102
    await world.api.put(f"{PODS}/end", pod("end"))
    await world.until(lambda: "end" in world.names())
    assert world.heard == [("a", None, "200"), ("end", None, "103")]


async def test_a_noted_write_newer_than_the_list_survives_it(world: World) -> None:
    world.informer.note(pod("new", uid="u1", resourceVersion="500"))
    world.informer.note(pod("old", uid="u2", resourceVersion="50"))
    await world.informer.wait_synced()
    assert world.names() == ["new"]


async def test_a_late_note_does_not_bring_a_deleted_object_back(world: World) -> None:
    late = await world.api.put(f"{PODS}/a", pod("a"))
    await world.informer.wait_synced()
    await world.api.remove(f"{PODS}/a")
    await world.until(lambda: world.names() == [])
    world.informer.note(late)
    assert world.names() == []
    await world.api.put(f"{PODS}/a", pod("a"))
    await world.until(lambda: world.names() == ["a"])


async def test_a_late_note_does_not_bring_a_replaced_object_back(world: World) -> None:
    late = await world.api.put(f"{PODS}/a", pod("a"))
    await world.informer.wait_synced()
    world.api.down = True
    await world.api.break_watches()
    await world.until(lambda: world.informer.failure)
    await world.api.remove(f"{PODS}/a")
    await world.api.put(f"{PODS}/a", pod("a"))
    world.api.compact()  # the first deletion is never heard of
    world.api.down = False
    await world.until(lambda: ("a", "101", "103") in world.heard)
    await world.api.remove(f"{PODS}/a")
    await world.until(lambda: world.names() == [])
    world.informer.note(late)
    assert world.names() == []


async def test_what_nobody_reads_is_not_kept(world: World) -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "me"}
    body = pod("a", annotations=annotations, managedFields=[{"manager": "x"}])
    await world.api.put(f"{PODS}/a", body)
    await world.informer.wait_synced()
    found = world.informer.get("a", "n")
    assert found is not None
    assert found["metadata"]["annotations"] == {"keep": "me"}
    assert "managedFields" not in found["metadata"]
    assert found["kind"] == "Pod"


async def test_objects_are_found_by_owner_and_by_indexed_label(world: World) -> None:
    def names(found: list[dict[str, Any]]) -> list[str]:
        return sorted(item["metadata"]["name"] for item in found)

    owner = [{"uid": "o1", "kind": "Job", "name": "j"}]
    world.informer.index_label("app")
    await world.api.put(f"{PODS}/a", pod("a", ownerReferences=owner, labels={"app": "x"}))
    await world.api.put(f"{PODS}/b", pod("b", ownerReferences=owner))
    await world.informer.wait_synced()
    assert names(world.informer.owned_by("o1")) == ["a", "b"]
    assert names(world.informer.labelled("app", "x")) == ["a"]
    await world.api.put(f"{PODS}/a", pod("a", labels={"app": "z"}))
    await world.until(lambda: world.informer.labelled("app", "z"))
    assert names(world.informer.owned_by("o1")) == ["b"]
    assert world.informer.labelled("app", "x") == []
    with pytest.raises(KeyError, match="not indexed"):
        world.informer.labelled("tier", "x")


async def test_a_late_subscriber_hears_of_what_is_there_and_can_leave(world: World) -> None:
    await world.api.put(f"{PODS}/a", pod("a"))
    await world.informer.wait_synced()
    heard: list[Key] = []
    leave = world.informer.subscribe(lambda key, old, new: heard.append(key))
    assert heard == [("n", "a")]
    leave()
    await world.api.put(f"{PODS}/b", pod("b"))
    await world.until(lambda: world.names() == ["a", "b"])
    assert heard == [("n", "a")]


async def test_the_safety_net_lists_again_even_if_the_watch_never_fails(world: World) -> None:
    await world.informer.wait_synced()
    await world.clock.sleep(3601)
    await world.api.break_watches()
    await world.until(lambda: world.api.lists == 2)


async def test_a_kind_that_is_not_served_is_reported_and_tried_again(world: World, clock: VirtualClock) -> None:
    informer = Informer(world.cluster, kinds.JOBS, "n", clock=clock)
    async with Supervisor() as supervisor:
        supervisor.start("jobs", informer.run())
        await world.until(lambda: clock.monotonic() > 10)
        assert isinstance(informer.failure, NotFound)
        supervisor.stop()
