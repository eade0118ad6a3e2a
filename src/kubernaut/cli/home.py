"""A cluster of one's own with kubernaut in it: API server, node and controller in this process.

`kubernaut demo`, `kubernaut dev` and tests run on it. Actions and the controller are held to the same
permissions as in any other cluster.
"""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubernaut.cli import building, installing
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.images import REPOSITORY
from kubernaut.cli.options import SYSTEM_NAMESPACE
from kubernaut.cli.output import Json
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, apply_manifests
from kubernaut.concurrency import Supervisor
from kubernaut.controllers import Controller
from kubernaut.controllers.registries import RegistrySettings
from kubernaut.controllers.serve import controller_settings
from kubernaut.devcluster import DevCluster
from kubernaut.devcluster.ledger import Journal
from kubernaut.devcluster.node.choosing import RuntimeMissing, RuntimeName, choose_runtime
from kubernaut.devcluster.node.machinery import Machinery
from kubernaut.devcluster.node.node import DEFAULT_ALLOCATABLE
from kubernaut.devcluster.node.pulling import PullSettings
from kubernaut.devcluster.registry import OwnRegistry
from kubernaut.oci import ImageLayout
from kubernaut.settings import Settings

_CONTROLLER_USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:kubernaut-controller"
_CONTROLLER_GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{SYSTEM_NAMESPACE}")
_READY_SECONDS = 30.0
REGISTRY = "registry"
"""The registry's folder within the cluster's."""
NODE_IMAGES = "kubernaut-dev-images"
"""The ConfigMap that says from which folder of this machine the node takes images: an OCI layout to add to."""


@dataclass(frozen=True)
class Shape:
    """What the cluster is to be like."""

    nodes: int = 1
    allocatable: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of each node, where it is not the default."""
    runtime: RuntimeName = "auto"
    registry_port: int = 0
    pull_from: tuple[str, ...] = ()
    """Registries, besides those of this machine, from which images are really pulled; "*": all."""


@dataclass(frozen=True)
class Home:
    """The cluster while it is there."""

    cluster: Cluster
    """As its administrator."""
    server: DevCluster
    kubeconfig: Path
    runtime: str
    """How actions run: in bubblewrap's sandboxes, or as plain processes."""
    registry: str
    """Where images can be pushed to: `localhost:` and a port."""


@asynccontextmanager
async def home(
    terminal: Terminal,
    folder: Path,
    *,
    before: Sequence[Json] = (),
    targets: Sequence[str] = (),
    port: int = 0,
    journal: Journal | None = None,
    shape: Shape | None = None,
) -> AsyncGenerator[Home]:
    """A running cluster, kubernaut installed and working. `folder` keeps its files.

    before: objects to apply first, such as the namespaces in `targets`, which actions may touch ("*": all).
    journal: what keeps the cluster's objects, of which an earlier one may have left some.

    Raises CommandFailed when the runtime that is asked for does not work here.
    """
    shape = shape or Shape()
    layout = building.cache_folder(terminal.environment) / "slim"
    building.build_all(terminal, layout, "slim", with_controller=False)
    own = folder / "images"
    if journal is None:
        # Of an earlier cluster, which has been forgotten.
        shutil.rmtree(own, ignore_errors=True)
    ImageLayout.create(own)
    machinery = await _machinery(terminal, folder, shape, [layout, own])
    registry = OwnRegistry(folder / REGISTRY, shape.registry_port, keeps=journal is not None)
    async with DevCluster(folder, port=port, hooks=[registry, machinery], journal=journal) as server:
        kubeconfig = folder / "kubeconfig"
        async with Cluster.connect(kubeconfig, user="admin") as cluster:
            await apply_manifests(cluster, before)
            await apply_manifests(cluster, installing.installation(building.named_in(layout, REPOSITORY), targets))
            await apply_manifests(cluster, [_told(own)])
            registries = RegistrySettings(docker_configs=building.login_files(terminal), layouts=(layout, own))
            async with _controlled(server, folder, registries):
                yield Home(cluster, server, kubeconfig, machinery.node.runtime, registry.host)


async def _machinery(terminal: Terminal, folder: Path, shape: Shape, images: Sequence[Path]) -> Machinery:
    try:
        runtime = await choose_runtime(shape.runtime)
    except RuntimeMissing as error:
        raise CommandFailed(str(error), mend="Install it, or leave the choice of the runtime out.") from None
    return Machinery(
        folder / "machinery",
        images=images,
        runtime=runtime,
        nodes=shape.nodes,
        allocatable={**DEFAULT_ALLOCATABLE, **shape.allocatable},
        pulls=PullSettings(registries=shape.pull_from, docker_configs=building.login_files(terminal)),
    )


def _told(images: Path) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NODE_IMAGES, "namespace": SYSTEM_NAMESPACE},
        "data": {"layout": str(images.resolve())},
    }


@asynccontextmanager
async def _controlled(server: DevCluster, folder: Path, registries: RegistrySettings) -> AsyncGenerator[None]:
    """With a controller at work, as the user that it is in any cluster."""
    token = server.token_of(_CONTROLLER_USER, _CONTROLLER_GROUPS)
    path = folder / "controller.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(server.kubeconfig_of(token))
    async with Cluster.connect(path, user="controller") as cluster, Supervisor() as supervisor:
        settings = replace(controller_settings(Settings()), registries=registries)
        controller = Controller(cluster, settings)
        supervisor.start("controller", controller.run())
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await controller.working.wait()
        except TimeoutError:
            raise CommandFailed(
                f"the controller did not begin within {_READY_SECONDS:.0f} s: {controller.health.ready().text}"
            ) from None
        try:
            yield
        finally:
            controller.stop()
