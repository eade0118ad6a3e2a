"""What all pods of a node share: the store, the clock, images, runtimes, folders."""

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubernaut.concurrency import Clock
from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.node.environment import Surroundings
from kubernaut.devcluster.node.images import Images
from kubernaut.devcluster.node.pod_status import PodView, compose_status
from kubernaut.devcluster.node.pulling import Puller
from kubernaut.devcluster.node.runtime import Runtime
from kubernaut.devcluster.node.scripted import Scripted
from kubernaut.devcluster.node.simulated import PREFIX, Simulated
from kubernaut.devcluster.node.volumes import Account
from kubernaut.devcluster.objects import Object, controller_of, namespace_of, uid_of
from kubernaut.devcluster.resources import PODS, SECRETS, SERVICE_ACCOUNTS
from kubernaut.devcluster.store import Store, Write
from kubernaut.devcluster.workloads.reading import annotations_of, parts, peek
from kubernaut.devcluster.workloads.recorder import Recorder

_WRITE = Write(manager="kubelet")


@dataclass(slots=True)
class Host:
    """One node's means, handed to each of its pods."""

    store: Store
    clock: Clock
    name: str
    folder: Path
    images: Images
    processes: Runtime
    scripted: Scripted
    account: Account
    api: tuple[str, int]
    """Address of the API server, as containers reach it."""
    recorder: Recorder
    allocatable: Mapping[str, str]
    puller: Puller | None = None
    """Pulls from registries; None where nothing is pulled."""
    ip: str = "127.0.0.1"
    simulated: Simulated = field(init=False)
    _addresses: int = 0

    def __post_init__(self) -> None:
        self.simulated = Simulated(self.store, self.clock)

    def runtime_of(self, pod: Object, container: Object) -> Runtime | None:
        """Which runtime a container gets; None when its image is one that can only be pulled.

        A Job's work cannot be pretended: an image that is unknown here fails to be pulled, unless an
        annotation of ours says that a simulation is wanted. What registries of this machine have is real.
        """
        image = str(container["image"])
        if self.scripted.knows(image):
            return self.scripted
        if self.images.find(image) is not None:
            return self.processes
        owner = controller_of(pod)
        wanted = any(key.startswith(PREFIX) for key in annotations_of(pod))
        if not wanted and self.puller is not None and self.puller.is_meant(image):
            return self.processes
        if owner is not None and owner["kind"] == "Job" and not wanted:
            return None
        return self.simulated

    def pull_secrets_of(self, pod: Object) -> tuple[list[Object], list[str]]:
        """The Secrets that a pod, or else its service account, names for pulling; and names that are missing."""
        named = parts(pod, "spec", "imagePullSecrets")
        if not named:
            account = str(pod["spec"].get("serviceAccountName") or "default")
            named = parts(self.look_up(SERVICE_ACCOUNTS, namespace_of(pod), account), "imagePullSecrets")
        names = [str(reference.get("name") or "") for reference in named]
        found = {name: self.look_up(SECRETS, namespace_of(pod), name) for name in names if name}
        return [s for s in found.values() if s is not None], [n for n, s in found.items() if s is None]

    def pod_folder(self, pod: Object) -> Path:
        return self.folder / "pods" / uid_of(pod)

    def new_address(self) -> str:
        """An address for a pod: unique, and nobody listens there."""
        self._addresses += 1
        return f"10.244.{self._addresses // 254 % 254}.{self._addresses % 254 + 1}"

    def new_container_id(self, runtime: Runtime) -> str:
        return f"{runtime.name}://{secrets.token_hex(32)}"

    def surroundings(self, pod: Object, pod_ip: str) -> Surroundings:
        address, port = self.api
        cluster = {
            "KUBERNETES_SERVICE_HOST": address,
            "KUBERNETES_SERVICE_PORT": str(port),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(port),
            "KUBERNETES_PORT": f"tcp://{address}:{port}",
        }
        return Surroundings(
            pod=pod,
            lookup=self.look_up,
            node_name=self.name,
            node_ip=self.ip,
            pod_ip=pod_ip,
            cluster=cluster,
            allocatable=self.allocatable,
        )

    def look_up(self, resource: str, namespace: str, name: str) -> Object | None:
        return peek(self.store, resource, name, namespace)

    def current(self, pod: Object) -> Object | None:
        """The pod as it is stored now (shared); None when it is gone, or another has its name."""
        found = self.look_up(PODS, namespace_of(pod), pod["metadata"]["name"])
        return found if found is not None and uid_of(found) == uid_of(pod) else None

    def publish(self, view: PodView) -> None:
        """Write a pod's status, unless it says so already."""
        current = self.current(view.pod)
        if current is None:
            return
        status = compose_status(view)
        if status == current.get("status"):
            return

        def replaced(obj: Object) -> None:
            obj["status"] = status

        name, namespace = current["metadata"]["name"], namespace_of(current)
        self.store.edit(PODS, name, namespace, replaced, subresource="status", write=_WRITE)

    def remove(self, pod: Object) -> None:
        """The pod's containers have ended and it was to be deleted: let it go."""
        name, namespace = pod["metadata"]["name"], namespace_of(pod)
        with contextlib.suppress(ApiError):  # gone already, or another of its name
            self.store.delete(PODS, name, namespace, grace=0, uid=uid_of(pod), write=_WRITE)
