"""Controllers and a node for a DevCluster, as one hook:

machinery = Machinery(images=[Path("build/images")])
async with DevCluster(hooks=[machinery]) as cluster:
    machinery.node.scripted.register(...)       # tests only
"""

import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

from kubernaut.concurrency import Supervisor
from kubernaut.devcluster.cluster import DevCluster
from kubernaut.devcluster.faults import JumpingClock
from kubernaut.devcluster.identity.tokens import Bound, TokenIssuer
from kubernaut.devcluster.node.images import Images
from kubernaut.devcluster.node.logs import LogQuery
from kubernaut.devcluster.node.node import DEFAULT_ALLOCATABLE, DEFAULT_NAME, Node, NodeSettings
from kubernaut.devcluster.node.pulling import PullSettings
from kubernaut.devcluster.node.runtime import Runtime
from kubernaut.devcluster.node.scheduler import Scheduler
from kubernaut.devcluster.node.volumes import Account, TokenSigner
from kubernaut.devcluster.objects import Object, name_of, namespace_of, uid_of
from kubernaut.devcluster.resources import PODS, SERVICE_ACCOUNTS
from kubernaut.devcluster.rest.subresources import LogReader
from kubernaut.devcluster.store import Store
from kubernaut.devcluster.workloads import LossSettings, start_workloads

_DEFAULT_LOSSES = LossSettings()
_DEFAULT_PULLS = PullSettings()


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
        pulls: PullSettings = _DEFAULT_PULLS,
        nodes: int = 1,
    ) -> None:
        """`folder` keeps logs and volumes; None makes one that ends with the cluster.

        `cache` keeps unpacked images and may be shared and kept; by default it lies in the folder.
        `images` are OCI layout folders, whose names without a registry are meant within `repository`;
        more can be added with `node.register_images`. `losses` says how soon a silent node is lost, `pulls` from
        which registries images are pulled besides those on this machine. With `nodes` more than one the further
        ones are named `<node_name>-2` and so on; all have the same `allocatable` and share their images.
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
        self._pulls = pulls
        self._number = nodes
        self.nodes: dict[str, Node] = {}

    async def __call__(self, cluster: DevCluster, supervisor: Supervisor) -> None:
        """The hook. Raises ValueError for images of real programs in virtual time."""
        is_virtual = isinstance(cluster.clock, JumpingClock) and cluster.clock.is_virtual
        if self._images and is_virtual:
            raise ValueError("processes keep real time: a cluster whose time is virtual cannot run images")
        start_workloads(cluster.store, supervisor, cluster.clock, self._folder / "volumes", self._losses)
        account = Account(sign=signer(cluster.store, cluster.tokens), ca=cluster.certificate_authority)
        images = Images(self._cache)
        for folder in self._images:
            images.register(folder, self._repository)
        for number in range(1, self._number + 1):
            settings = NodeSettings(
                folder=self._folder / ("node" if number == 1 else f"node-{number}"),
                cache=self._cache,
                name=self._node_name if number == 1 else f"{self._node_name}-{number}",
                allocatable=self._allocatable,
                runtime=self._runtime,
                schedules=False,
                pulls=None if is_virtual else self._pulls,
                images=images,
            )
            node = Node(cluster.store, cluster.clock, settings, account, ("127.0.0.1", cluster.port))
            self.nodes[node.name] = node
        self.node = self.nodes[self._node_name]
        cluster.serve_logs(self._logs_in(cluster.store))
        # Not with a node: when one dies, pods go on being given to the others.
        supervisor.start("scheduler", Scheduler(cluster.store, cluster.clock).run())
        for node in self.nodes.values():
            await node.start(supervisor)
        cluster.faults.kill_node = self._kill

    def _logs_in(self, store: Store) -> LogReader:
        """Where several nodes are, the pod's own answers."""

        def read(
            namespace: str, pod: str, container: str, query: LogQuery, previous: bool = False
        ) -> AsyncGenerator[bytes, None]:
            found = store.record(PODS, pod, namespace).object
            node = self.nodes.get(str(found["spec"].get("nodeName")), self.node)
            return node.logs(namespace, pod, container, query, previous)

        return read

    async def _kill(self, name: str) -> None:
        await self.nodes[name or self.node.name].stop()


def signer(store: Store, tokens: TokenIssuer) -> TokenSigner:
    """Tokens bound to the pod that gets them, as the kubelet asks for."""

    def sign(pod: Object, account: str, audience: str, seconds: int) -> str:
        found = store.record(SERVICE_ACCOUNTS, account, namespace_of(pod)).object
        bound = Bound("Pod", name_of(pod), uid_of(pod))
        audiences = (audience,) if audience else ()
        return tokens.issue(found, seconds=seconds, audiences=audiences, bound=bound)[0]

    return sign
