"""The registry as a part of a cluster, and how tools learn of it."""

import asyncio
import contextlib
import shutil
from pathlib import Path

from kubernaut.concurrency import Supervisor
from kubernaut.devcluster.cluster import DevCluster
from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.registry.server import Registry
from kubernaut.devcluster.registry.store import FolderStore
from kubernaut.devcluster.resources import CONFIG_MAPS
from kubernaut.devcluster.store import Write

HOSTING = "local-registry-hosting"
"""The ConfigMap in kube-public that tools look for. Source: github.com/kubernetes/enhancements, KEP-1755."""
PORT_FILE = "port"
_NAMESPACE = "kube-public"
_HELP = "https://kubernetes.io/docs/concepts/containers/images/"
_WRITE = Write(manager="kubernaut-devcluster")


class OwnRegistry:
    """Pass it to one DevCluster as a hook; `host` is there once the cluster has been entered."""

    def __init__(self, folder: Path, port: int = 0, *, keeps: bool = True) -> None:
        """`folder` has what is pushed, and the port: what a manifest says shall hold after a restart, too.

        port: 0 takes the one of the last time if it is free, else any.
        keeps: whether what an earlier cluster left there is still to be had.
        """
        self._keeps = keeps
        self._folder = folder
        self._port = port
        self._registry: Registry | None = None

    @property
    def host(self) -> str:
        """As in references to its images: `localhost:` and its port."""
        assert self._registry is not None, "the cluster has not been entered"
        return self._registry.host

    async def __call__(self, cluster: DevCluster, supervisor: Supervisor) -> None:
        """The hook. Raises OSError when a port that was asked for is taken."""
        if not self._keeps:
            shutil.rmtree(self._folder / "store", ignore_errors=True)
        self._registry = registry = Registry(FolderStore(self._folder / "store"))
        await self._listen(registry)
        (self._folder / PORT_FILE).write_text(str(registry.port))
        begun = asyncio.Event()
        supervisor.start("registry", self._serve(registry, begun))
        # A task that is cancelled before its first step would never come to close the port.
        await begun.wait()
        self._tell(cluster)

    async def _listen(self, registry: Registry) -> None:
        if self._port == 0:
            with contextlib.suppress(OSError, ValueError):
                await registry.start(int((self._folder / PORT_FILE).read_text()))
                return
        await registry.start(self._port)

    async def _serve(self, registry: Registry, begun: asyncio.Event) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await registry.stop()

    def _tell(self, cluster: DevCluster) -> None:
        data = {"localRegistryHosting.v1": f'host: "{self.host}"\nhelp: "{_HELP}"\n'}
        body = {"metadata": {"name": HOSTING}, "data": data}
        with contextlib.suppress(ApiError):  # a courtesy
            if cluster.store.find(CONFIG_MAPS, HOSTING, _NAMESPACE) is None:
                cluster.store.create(CONFIG_MAPS, body, _NAMESPACE, _WRITE)
            else:
                cluster.store.patch(CONFIG_MAPS, HOSTING, _NAMESPACE, {"data": data}, write=_WRITE)
