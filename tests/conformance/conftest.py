"""One suite for every cluster: the embedded one, or the one named by KUBERNAUT_TEST_KUBECONFIG.

The user of a real cluster must be its administrator: cases make namespaces, definitions and cluster roles. All
of them carry names of their own, and are gone afterwards.

KUBERNAUT_TEST_NAMESPACE_LABELS ("a=b,c=d") are put on every namespace, for clusters that need some.

Cases about pods need an image with `/bin/sh` that the cluster's nodes can pull: KUBERNAUT_TEST_IMAGE names it.
They are skipped where a cluster is named and no image. The embedded cluster plays their programs and keeps a time
of its own, which goes by only while a case waits; KUBERNAUT_TEST_PROCESSES=1 runs them as processes instead, in
real time.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from kubernaut.concurrency import SystemClock, VirtualClock
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.settings import environment

from .api import Api, Json, connected, load
from .images import shell_image
from .programs import Player
from .work import Work

REAL = environment().get("KUBERNAUT_TEST_KUBECONFIG", "")
_LABELS = environment().get("KUBERNAUT_TEST_NAMESPACE_LABELS", "")
IMAGE = environment().get("KUBERNAUT_TEST_IMAGE", "")
_PROCESSES = environment().get("KUBERNAUT_TEST_PROCESSES", "") == "1"
_PLAYED = "example.com/shell:1"
_CASE_SECONDS = 60
_REAL_PAUSE = 0.2
_VIRTUAL_PAUSE = 0.2
_REAL_LOOKS = 240
_LOOKS = 1000
"""Of the embedded cluster: 200 s of its time."""


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


@pytest.fixture
async def work(tmp_path: Path) -> AsyncGenerator[Work, None]:
    """The same for cases about pods."""
    if REAL:
        if not IMAGE:
            pytest.skip("KUBERNAUT_TEST_IMAGE names no image with /bin/sh for the nodes of this cluster")
        async with connected(_real_config(), Path(REAL).parent) as api:
            async for inside in _in_namespace(api):
                yield _in_real_time(inside, IMAGE)
        return
    if _PROCESSES:
        layout, name = shell_image(tmp_path / "layout")
        machinery = Machinery(tmp_path, images=[layout])
        async with DevCluster(hooks=[machinery]) as embedded, connected(load(embedded.kubeconfig)) as api:
            async for inside in _in_namespace(api):
                yield _in_real_time(inside, name)
        return
    clock = VirtualClock(SystemClock().now(), autojump=False)
    machinery, player = Machinery(tmp_path), Player(clock)
    async with DevCluster(hooks=[machinery], clock=clock) as embedded, connected(load(embedded.kubeconfig)) as api:
        machinery.node.scripted.register(_PLAYED, player.play)
        async for inside in _in_namespace(api):
            yield Work(inside, _PLAYED, lambda: clock.advance(_VIRTUAL_PAUSE), _LOOKS)
    assert not player.lost


def _in_real_time(api: Api, image: str) -> Work:
    clock = SystemClock()
    return Work(api, image, lambda: clock.sleep(_REAL_PAUSE), _REAL_LOOKS)


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
