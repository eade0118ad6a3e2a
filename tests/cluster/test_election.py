"""At no moment do two processes think that they may write."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.cluster.tiny_api import TinyApi

from kubernaut.cluster import (
    Cluster,
    Connection,
    ElectionTimes,
    LeaderElection,
    LeadershipLost,
    kinds,
)
from kubernaut.concurrency import Supervisor, VirtualClock

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kubernaut-system/leases/leader"


class Arena:
    """One API; candidates with connections of their own, so that one can be cut off."""

    def __init__(self, url: str, api: TinyApi, clock: VirtualClock) -> None:
        self.url = url
        self.api = api
        self.clock = clock
        self.clusters: list[Cluster] = []

    def candidate(self, name: str) -> LeaderElection:
        cluster = Cluster(Connection(server=self.url), user=name, clock=self.clock)
        self.clusters.append(cluster)
        return LeaderElection(cluster, "kubernaut-system", "leader", name, clock=self.clock)

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.objects[LEASE]["spec"]
        return found


@pytest.fixture
async def arena(clock: VirtualClock) -> AsyncGenerator[Arena, None]:
    api = TinyApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with TestServer(app) as server:
        made = Arena(str(server.make_url("")).rstrip("/"), api, clock)
        yield made
        for cluster in made.clusters:
            await cluster.close()


async def test_the_first_leads_the_second_waits_and_takes_over_after_a_release(arena: Arena) -> None:
    one, two = arena.candidate("one"), arena.candidate("two")
    async with Supervisor() as supervisor:
        first = supervisor.start("one", one.run())
        await one.elected.wait()
        supervisor.start("two", two.run())
        await arena.clock.sleep(120)
        assert (one.is_leader, two.is_leader) == (True, False)
        assert two.holder == "one"
        assert arena.spec["leaseTransitions"] == 0
        before = arena.clock.monotonic()
        first.cancel()
        await two.elected.wait()
        assert arena.clock.monotonic() - before <= 2 * 2.0
        assert not one.is_leader
        assert (arena.spec["holderIdentity"], arena.spec["leaseTransitions"]) == ("two", 1)
        supervisor.stop()
    assert "holderIdentity" not in arena.spec


async def test_after_a_crash_the_others_wait_the_whole_duration_they_saw(arena: Arena) -> None:
    body = {
        "metadata": {"name": "leader", "namespace": "kubernaut-system"},
        # Of a machine whose clock is years behind: only change counts, not times.
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 40, "renewTime": "2001-01-01T00:00:00Z"},
    }
    await arena.api.put(LEASE, body)
    heir = arena.candidate("heir")
    async with Supervisor() as supervisor:
        supervisor.start("heir", heir.run())
        await heir.elected.wait()
        assert 40 <= arena.clock.monotonic() <= 44
        supervisor.stop()


async def test_a_leader_that_cannot_renew_stops_before_another_can_start(arena: Arena) -> None:
    one, two = arena.candidate("one"), arena.candidate("two")
    ended: dict[str, float] = {}

    async def lead() -> None:
        try:
            await one.run()
        except LeadershipLost:
            ended["one"] = arena.clock.monotonic()

    async with Supervisor() as supervisor:
        supervisor.start("one", lead())
        await one.elected.wait()
        supervisor.start("two", two.run())
        await arena.clock.sleep(5)
        arena.api.down = True
        cut_at = arena.clock.monotonic()
        await one.lost.wait()
        assert not one.is_leader
        assert arena.clock.monotonic() - cut_at <= 10
        arena.api.down = False
        await two.elected.wait()
        assert ended["one"] < arena.clock.monotonic()
        supervisor.stop()


async def test_a_leader_whose_lease_was_taken_stops_at_once(arena: Arena) -> None:
    one = arena.candidate("one")

    async def lead() -> None:
        with pytest.raises(LeadershipLost, match="thief"):
            await one.run()

    async with Supervisor() as supervisor:
        supervisor.start("one", lead())
        await one.elected.wait()
        lease = arena.api.objects[LEASE]
        await arena.api.put(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": "thief"}})
        await one.lost.wait()
    assert arena.clock.monotonic() < 10
    assert arena.spec["holderIdentity"] == "thief"


async def test_a_leader_that_leaves_does_not_release_what_another_holds(arena: Arena) -> None:
    one = arena.candidate("one")
    async with Supervisor() as supervisor:
        task = supervisor.start("one", one.run())
        await one.elected.wait()
        arena.api.down = True
        await arena.clock.sleep(3)  # one renewal has failed, its outcome unknown
        arena.api.down = False
        lease = arena.api.objects[LEASE]
        await arena.api.put(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": "thief"}})
        assert one.is_leader, "as far as it knows"
        task.cancel()
    assert arena.spec["holderIdentity"] == "thief"


async def test_without_leadership_no_write_leaves_but_that_of_the_lease_itself(arena: Arena) -> None:
    one = arena.candidate("one")
    cluster = arena.clusters[0]
    cluster.on_write(one.guard)
    pod = {"metadata": {"name": "p", "namespace": "n"}}
    with pytest.raises(LeadershipLost):
        await cluster.create(kinds.PODS, pod)
    async with Supervisor() as supervisor:
        supervisor.start("one", one.run())
        await one.elected.wait()
        await cluster.create(kinds.PODS, pod)
        supervisor.stop()
    with pytest.raises(LeadershipLost):
        await cluster.delete(kinds.PODS, "p", "n")
    assert "/api/v1/namespaces/n/pods/p" in arena.api.objects


async def test_of_many_candidates_exactly_one_leads_at_any_time(arena: Arena) -> None:
    candidates = [arena.candidate(f"c{number}") for number in range(5)]
    terms: list[str] = []
    async with Supervisor() as supervisor:
        tasks = {each.identity: supervisor.start(each.identity, each.run()) for each in candidates}
        for _ in candidates:
            waiting = [each for each in candidates if not each.lost.is_set()]
            while not any(each.is_leader for each in waiting):
                await arena.clock.sleep(0.5)
            (leader,) = (each for each in waiting if each.is_leader)
            terms.append(leader.identity)
            tasks[leader.identity].cancel()
            await asyncio.wait([tasks[leader.identity]])
    assert sorted(terms) == [each.identity for each in candidates]


@pytest.mark.parametrize("times", [(10, 10, 2), (15, 2, 2), (15, 10, 0)])
def test_times_that_could_let_two_lead_are_refused(times: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="lease > renew > retry"):
        ElectionTimes(*times)
