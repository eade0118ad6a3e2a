"""A store, an embedded cluster, and either that or a real one over HTTP."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import pytest

from kubernaut.concurrency import SystemClock
from kubernaut.devcluster import DevCluster, Store
from kubernaut.devcluster.housekeeping.garbage import GarbageCollector
from kubernaut.devcluster.kinds.catalogue import builtin_catalogue
from kubernaut.settings import environment

from .api import Api, Json, connected, load

REAL = environment().get("KUBERNAUT_TEST_KUBECONFIG")


@pytest.fixture
def store() -> Store:
    """The rules of writing alone: no admission, no controllers."""
    return Store(builtin_catalogue(), lambda: datetime(2030, 1, 1, tzinfo=UTC))


@pytest.fixture
def garbage(store: Store) -> GarbageCollector:
    return GarbageCollector(store)


@pytest.fixture
async def cluster() -> AsyncGenerator[DevCluster, None]:
    async with DevCluster() as made:
        yield made


@pytest.fixture
async def api(cluster: DevCluster) -> AsyncGenerator[Api, None]:
    """The embedded cluster's administrator."""
    async with connected(load(cluster.kubeconfig)) as made:
        yield made


@pytest.fixture(params=["devcluster", *(["real"] if REAL else [])])
async def any_api(request: pytest.FixtureRequest) -> AsyncGenerator[Api, None]:
    """An administrator in an empty namespace of the embedded cluster, and of a real one if named."""
    if request.param == "real":
        async with connected(_real_config(), Path(str(REAL)).parent) as made:
            async for inside in _in_namespace(made):
                yield inside
        return
    async with DevCluster() as cluster, connected(load(cluster.kubeconfig)) as made:
        async for inside in _in_namespace(made):
            yield inside


def _real_config() -> Json:
    return load(Path(str(REAL)).read_text())


async def _in_namespace(api: Api) -> AsyncGenerator[Api, None]:
    name = f"kubernaut-test-{token_hex(3)}"
    await api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    inside = replace(api, namespace=name)
    clock = SystemClock()
    while (await inside.get("v1/serviceaccounts/default")).code != 200:
        await clock.sleep(0.02)
    yield inside
    await api.delete(f"/api/v1/namespaces/{name}")
