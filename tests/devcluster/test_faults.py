"""Faults on demand: what a client meets, and that nothing of them is left once they are cleared."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.cluster import (
    Cluster,
    ClusterError,
    Conflict,
    Connection,
    FixedLogin,
    Forbidden,
    Informer,
    Login,
    OutcomeUnknown,
    ServerError,
    kinds,
)
from kubernaut.concurrency import Supervisor, SystemClock
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.errors import BadRequest
from kubernaut.devcluster.faults import PATH, Fault, storm
from kubernaut.devcluster.node.machinery import Machinery


def connect(dev: DevCluster, token: str = "") -> Cluster:
    login = FixedLogin(Login(f"Bearer {token or dev.admin_token}"))
    authority = dev.certificate_authority
    return Cluster(Connection(dev.url, certificate_authority=authority, credentials=login))


@pytest.fixture
async def client(cluster: DevCluster) -> AsyncGenerator[Cluster]:
    async with connect(cluster) as made:
        yield made


def settings(name: str, value: str = "1") -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"a": value}}


async def test_a_write_meets_a_conflict_as_often_as_was_asked(cluster: DevCluster, client: Cluster) -> None:
    await cluster.faults.add(Fault(kind="conflict", resources=("configmaps",), times=1))
    with pytest.raises(Conflict):
        await client.create(kinds.CONFIG_MAPS, settings("a"), "default")
    await client.create(kinds.CONFIG_MAPS, settings("a"), "default")
    assert cluster.faults.in_force() == {}
    assert cluster.faults.met == [("conflict", "create", "configmaps")]


@pytest.mark.parametrize("kind", ["error", "unavailable"])
async def test_a_server_error_is_one_and_nothing_was_done(cluster: DevCluster, client: Cluster, kind: Any) -> None:
    await cluster.faults.add(Fault(kind=kind, verbs=("create",)))
    with pytest.raises((ServerError, OutcomeUnknown)):
        await client.create(kinds.CONFIG_MAPS, settings("a"), "default")
    assert cluster.store.find("configmaps", "a", "default") is None
    cluster.faults.clear()
    await client.create(kinds.CONFIG_MAPS, settings("a"), "default")


async def test_an_answer_that_is_lost_leaves_what_was_done(cluster: DevCluster, client: Cluster) -> None:
    await cluster.faults.add(Fault(kind="lost-answer", times=1))
    with pytest.raises(OutcomeUnknown):
        await client.create(kinds.CONFIG_MAPS, settings("a"), "default")
    assert cluster.store.find("configmaps", "a", "default") is not None


async def test_a_fault_is_only_for_those_whom_it_names(cluster: DevCluster, client: Cluster) -> None:
    await cluster.faults.add(Fault(kind="error", users=("somebody",)))
    await client.create(kinds.CONFIG_MAPS, settings("a"), "default")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="broken-watch", seconds=0.05),
        Fault(kind="stale-watch", seconds=0.05),
        Fault(kind="gone", times=1),
    ],
    ids=lambda fault: fault.kind,
)
async def test_a_cache_is_right_in_the_end_however_its_watch_is_broken(
    cluster: DevCluster, client: Cluster, fault: Fault
) -> None:
    await cluster.faults.add(fault)
    seen = asyncio.Event()
    informer = Informer(client, kinds.CONFIG_MAPS, "default")

    def told(_key: object, _old: object, new: dict[str, Any] | None) -> None:
        if new is not None and (new.get("data") or {}).get("a") == "3":
            seen.set()

    informer.subscribe(told)
    async with Supervisor() as supervisor:
        supervisor.start("informer", informer.run())
        await informer.wait_synced()
        await client.create(kinds.CONFIG_MAPS, settings("a"), "default")
        for value in ("2", "3"):
            await SystemClock().sleep(0.06)
            await client.patch(kinds.CONFIG_MAPS, "a", "default", {"data": {"a": value}}, "merge")
        await seen.wait()
        supervisor.stop()
    assert fault.kind in {kind for kind, _, _ in cluster.faults.met}


async def test_a_server_that_is_away_comes_back_with_everything(cluster: DevCluster, client: Cluster) -> None:
    await client.create(kinds.CONFIG_MAPS, settings("a"), "default")
    await cluster.faults.add(Fault(kind="restart", seconds=0.1))
    with pytest.raises(ClusterError):
        await client.create(kinds.CONFIG_MAPS, settings("b"), "default")
    await SystemClock().sleep(0.12)
    assert (await client.get(kinds.CONFIG_MAPS, "a", "default"))["data"] == {"a": "1"}


async def test_a_clock_that_jumps_changes_the_time_of_day_and_no_duration(cluster: DevCluster) -> None:
    before, went = cluster.clock.now(), cluster.clock.monotonic()
    await cluster.faults.add(Fault(kind="clock-jump", seconds=-3600.0))
    assert cluster.clock.now() - before < timedelta(seconds=-3590)
    assert 0 <= cluster.clock.monotonic() - went < 10


async def test_a_node_dies_with_its_pods(tmp_path: Path) -> None:
    machinery = Machinery(tmp_path)
    async with DevCluster(hooks=[machinery]) as dev:
        with pytest.raises(BadRequest, match="no node 'other'"):
            await dev.faults.add(Fault(kind="node-death", node="other"))
        await dev.faults.add(Fault(kind="node-death"))
        with pytest.raises(BadRequest):
            [chunk async for chunk in machinery.node.logs("default", await made(dev), "", Any)]  # type: ignore[arg-type]


async def made(dev: DevCluster) -> str:
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "a:1"}]}}
    dev.store.create("pods", body, "default")
    return "p"


async def test_the_administrator_lists_adds_and_clears_them_over_http_and_nobody_else_may(
    cluster: DevCluster, client: Cluster
) -> None:
    wanted = [{"kind": "latency", "seconds": 0.5, "resources": ["jobs.batch"], "times": 3}]
    assert await client.request("POST", PATH, body=wanted) == {"added": [1]}
    told = await client.request("GET", PATH)
    assert told["faults"] == [{"number": 1, "left": 3, "fault": wanted[0]}]
    await client.request("DELETE", f"{PATH}?number=1")
    assert (await client.request("GET", PATH))["faults"] == []
    with pytest.raises(ClusterError, match="no fault 7"):
        await client.request("DELETE", f"{PATH}?number=7")
    with pytest.raises(ClusterError, match="chance"):
        await client.request("POST", PATH, body=[{"kind": "latency", "chance": 2}])
    async with connect(cluster, cluster.token_of("somebody")) as other:
        with pytest.raises(Forbidden):
            await other.request("GET", PATH)


@given(st.integers())
def test_a_storm_is_the_same_for_the_same_seed_and_passes_some_requests(seed: int) -> None:
    assert storm(seed) == storm(seed)
    assert all(fault.chance <= 0.5 for fault in storm(seed))
