"""One suite for every cluster: the embedded one, or the one named by KUBERNAUT_TEST_KUBECONFIG.

The user of a real cluster must be its administrator: cases make namespaces, definitions and cluster roles. All
of them carry names of their own, and are gone afterwards.

KUBERNAUT_TEST_NAMESPACE_LABELS ("a=b,c=d") are put on every namespace, for clusters that need some.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from kubernaut.concurrency import SystemClock
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.settings import environment

from .api import Api, Json, connected, load

REAL = environment().get("KUBERNAUT_TEST_KUBECONFIG", "")
_LABELS = environment().get("KUBERNAUT_TEST_NAMESPACE_LABELS", "")
_CASE_SECONDS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.journey)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(_CASE_SECONDS))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Api, None]:
    """Its administrator, in an empty namespace, which is `cluster.namespace`."""
    if REAL:
        async with connected(_real_config(), Path(REAL).parent) as api:
            async for inside in _in_namespace(api):
                yield inside
        return
    async with (
        DevCluster(hooks=[Machinery(tmp_path)]) as embedded,
        connected(load(embedded.kubeconfig)) as api,
    ):
        async for inside in _in_namespace(api):
            yield inside


def _real_config() -> Json:
    return load(Path(REAL).read_text())


async def _in_namespace(api: Api) -> AsyncGenerator[Api, None]:
    name = f"kubernaut-test-{token_hex(3)}"
    labels = dict(pair.split("=", 1) for pair in _LABELS.split(",") if pair)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    made = await api.post("/api/v1/namespaces", body)
    assert made.code == 201, made.body
    inside = replace(api, namespace=name)
    clock = SystemClock()
    while (await inside.get("v1/serviceaccounts/default")).code != 200:
        await clock.sleep(0.02)
    yield inside
    await api.delete(f"/api/v1/namespaces/{name}")
