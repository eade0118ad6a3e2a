"""A cluster with its registry: what is pushed is run, on any node, and is kept or forgotten with the cluster."""

import json
import socket
from pathlib import Path

import pytest

from devcluster_node.layouts import python_image
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.node import Plain
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.devcluster.registry import OwnRegistry
from kubernaut.devcluster.registry.hosting import HOSTING
from kubernaut.devcluster.resources import CONFIG_MAPS, PODS
from kubernaut.oci import ImageLayout, NotInRegistry, Reference, RegistryClient, push_image

pytestmark = pytest.mark.timeout(30)


async def test_pods_run_what_was_pushed_under_the_name_that_it_was_pushed_to(tmp_path: Path) -> None:
    digest = python_image(tmp_path / "images", "print('pushed')")
    registry = OwnRegistry(tmp_path / "registry")
    machinery = Machinery(tmp_path / "machinery", runtime=Plain(), nodes=2)
    async with DevCluster(hooks=[registry, machinery]) as cluster:
        hosting = cluster.store.get(CONFIG_MAPS, HOSTING, "kube-public")["data"]["localRegistryHosting.v1"]
        assert json.dumps(registry.host) in hosting
        image = f"{registry.host}/team/app:1"
        async with RegistryClient() as client:
            await push_image(client, ImageLayout(tmp_path / "images"), digest, Reference.parse(image))
        for number in range(2):
            spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}
            cluster.store.create(PODS, {"metadata": {"name": f"p{number}"}, "spec": spec}, "default")
        left = {"p0", "p1"}
        async with cluster.store.watch(PODS, namespace="default", initial=True) as changes:
            async for change in changes:
                if change.object["status"].get("phase") == "Succeeded":
                    left.discard(change.object["metadata"]["name"])
                if not left:
                    break
        pods = cluster.store.list(PODS, "default").items
        assert {pod["spec"]["nodeName"] for pod in pods} == set(machinery.nodes)
        assert {pod["status"]["containerStatuses"][0]["imageID"] for pod in pods} == {digest}


async def test_a_registry_keeps_its_port_and_its_images_only_if_it_is_to(tmp_path: Path) -> None:
    digest = python_image(tmp_path / "images", "pass")
    first = OwnRegistry(tmp_path / "registry")
    async with DevCluster(hooks=[first]), RegistryClient() as client:
        image = Reference.parse(f"{first.host}/team/app:1")
        await push_image(client, ImageLayout(tmp_path / "images"), digest, image)
    again = OwnRegistry(tmp_path / "registry")
    async with DevCluster(hooks=[again]), RegistryClient() as client:
        assert again.host == first.host
        assert (await client.resolve(image)).digest == digest
    fresh = OwnRegistry(tmp_path / "registry", keeps=False)
    async with DevCluster(hooks=[fresh]), RegistryClient() as client:
        assert fresh.host == first.host
        with pytest.raises(NotInRegistry):
            await client.resolve(image)
    # Another has its port now: any other does.
    taken = socket.create_server(("127.0.0.1", int(first.host.partition(":")[2])))
    with taken:
        moved = OwnRegistry(tmp_path / "registry")
        async with DevCluster(hooks=[moved]):
            assert moved.host != first.host
