"""A store, an embedded cluster, and either that or a real one over HTTP."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from conformance.api import Api, connected, load
from kubernaut.devcluster import DevCluster, Store
from kubernaut.devcluster.housekeeping.garbage import GarbageCollector
from kubernaut.devcluster.kinds.catalogue import builtin_catalogue


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
