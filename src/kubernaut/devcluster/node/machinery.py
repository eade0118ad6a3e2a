"""Controllers and a node for a DevCluster, as one hook:

machinery = Machinery(images=[Path("build/images")])
async with DevCluster(hooks=[machinery]) as cluster:
    machinery.node.scripted.register(...)       # tests only
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubernaut.concurrency import Supervisor
from kubernaut.devcluster.cluster import DevCluster
from kubernaut.devcluster.faults import JumpingClock
from kubernaut.devcluster.identity.tokens import Bound, TokenIssuer
from kubernaut.devcluster.node.node import DEFAULT_ALLOCATABLE, DEFAULT_NAME, Node, NodeSettings
from kubernaut.devcluster.node.runtime import Runtime
from kubernaut.devcluster.node.volumes import Account, TokenSigner
from kubernaut.devcluster.objects import Object, name_of, namespace_of, uid_of
from kubernaut.devcluster.resources import SERVICE_ACCOUNTS
from kubernaut.devcluster.store import Store
from kubernaut.devcluster.workloads import LossSettings, start_workloads

_DEFAULT_LOSSES = LossSettings()


class Machinery:
    """Pass it to one DevCluster; `node` is there once the cluster has been entered."""

    node: Node

    def __init__(
        self,
        folder: Path | None = None,
        *,
        cache: Path | None = None,
        images: Sequence[Path] = (),
        repository: str = "",
        runtime: Runtime | None = None,
        node_name: str = DEFAULT_NAME,
        allocatable: Mapping[str, str] = DEFAULT_ALLOCATABLE,
        losses: LossSettings = _DEFAULT_LOSSES,
    ) -> None:
        """`folder` keeps logs and volumes; None makes one that ends with the cluster.

        `cache` keeps unpacked images and may be shared and kept; by default it lies in the folder.
        `images` are OCI layout folders, whose names without a registry are meant within `repository`;
        more can be added with `node.register_images`. `losses` says how soon a silent node is lost.
        """
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="devcluster-")
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._cache = cache or self._folder / "images"
        self._images = tuple(images)
        self._repository = repository
        self._runtime = runtime
        self._node_name = node_name
        self._allocatable = allocatable
        self._losses = losses

    async def __call__(self, cluster: DevCluster, supervisor: Supervisor) -> None:
        """The hook. Raises ValueError for images of real programs in virtual time."""
        if self._images and isinstance(cluster.clock, JumpingClock) and cluster.clock.is_virtual:
            raise ValueError("processes keep real time: a cluster whose time is virtual cannot run images")
        start_workloads(cluster.store, supervisor, cluster.clock, self._folder / "volumes", self._losses)
        settings = NodeSettings(
            folder=self._folder / "node",
            cache=self._cache,
            name=self._node_name,
            allocatable=self._allocatable,
            runtime=self._runtime,
        )
        account = Account(sign=signer(cluster.store, cluster.tokens), ca=cluster.certificate_authority)
        self.node = Node(cluster.store, cluster.clock, settings, account, ("127.0.0.1", cluster.port))
        for folder in self._images:
            self.node.register_images(folder, self._repository)
        await self.node.start(supervisor)
        cluster.serve_logs(self.node.logs)
        cluster.faults.kill_node = self._kill

    async def _kill(self, name: str) -> None:
        if name not in {"", self.node.name}:
            raise KeyError(name)
        await self.node.stop()


def signer(store: Store, tokens: TokenIssuer) -> TokenSigner:
    """Tokens bound to the pod that gets them, as the kubelet asks for."""

    def sign(pod: Object, account: str, audience: str, seconds: int) -> str:
        found = store.record(SERVICE_ACCOUNTS, account, namespace_of(pod)).object
        bound = Bound("Pod", name_of(pod), uid_of(pod))
        audiences = (audience,) if audience else ()
        return tokens.issue(found, seconds=seconds, audiences=audiences, bound=bound)[0]

    return sign
