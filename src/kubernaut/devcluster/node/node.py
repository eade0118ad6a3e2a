"""The node: its object, its heartbeat, its scheduler, and the lives of its pods."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubernaut.concurrency import Clock, Supervisor
from kubernaut.devcluster.errors import BadRequest
from kubernaut.devcluster.node.choosing import choose_runtime
from kubernaut.devcluster.node.host import Host
from kubernaut.devcluster.node.images import Images
from kubernaut.devcluster.node.logs import LogQuery
from kubernaut.devcluster.node.pod import PodLife
from kubernaut.devcluster.node.pulling import Puller, PullSettings
from kubernaut.devcluster.node.registration import Registration
from kubernaut.devcluster.node.runtime import Runtime
from kubernaut.devcluster.node.scheduler import Scheduler
from kubernaut.devcluster.node.scripted import Scripted
from kubernaut.devcluster.node.volumes import Account
from kubernaut.devcluster.objects import Object, namespace_of, uid_of
from kubernaut.devcluster.resources import CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PODS, SECRETS
from kubernaut.devcluster.store import Change, Store
from kubernaut.devcluster.workloads.reading import part, parts
from kubernaut.devcluster.workloads.recorder import Recorder

_log = logging.getLogger(__name__)

DEFAULT_NAME = "devcluster"
# Simulated pods cost next to nothing: the figures are those of a machine worth having.
DEFAULT_ALLOCATABLE: Mapping[str, str] = {
    "cpu": "16",
    "memory": "32Gi",
    "ephemeral-storage": "100Gi",
    "pods": "1000",
}


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a node is to be like."""

    folder: Path
    """For logs, volumes and container folders; emptied as pods go."""
    cache: Path
    """For unpacked images; may be shared between clusters and kept."""
    name: str = DEFAULT_NAME
    allocatable: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_ALLOCATABLE))
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    runtime: Runtime | None = None
    """For action images; None takes bubblewrap where it works, else plain processes."""
    schedules: bool = True
    """Whether this node brings the cluster's scheduler with it."""
    pulls: PullSettings | None = None
    """From which registries it pulls; None where nothing is pulled."""
    images: Images | None = None
    """What is shared with other nodes; None makes its own of the cache."""


class Node:
    """Runs the pods that are bound to it, until it is stopped; nothing of it is left then."""

    def __init__(
        self, store: Store, clock: Clock, settings: NodeSettings, account: Account, api: tuple[str, int]
    ) -> None:
        """`api` is the API server's address and port as containers reach it."""
        self._store = store
        self._clock = clock
        self._settings = settings
        self._account = account
        self._api = api
        self.images = settings.images or Images(settings.cache)
        self.scripted = Scripted()
        self._host: Host | None = None
        self._pods: dict[str, PodLife] = {}
        self._started: asyncio.Queue[PodLife] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def runtime(self) -> str:
        """Name of the runtime for action images; empty until the node is ready."""
        return self._host.processes.name if self._host else ""

    async def start(self, supervisor: Supervisor) -> None:
        """Start as a task of the supervisor; returns when the node is registered and Ready."""
        self._ready.clear()
        self._task = supervisor.start(f"node {self.name}", self.run())
        ready = supervisor.start(f"node {self.name} ready", self._ready.wait())
        await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """Kill everything that runs, without grace and without a trace in the pods' status."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def run(self) -> None:
        """Until cancelled."""
        runtime = self._settings.runtime or await choose_runtime()
        self._host = host = self._make_host(runtime)
        if runtime.notice:
            _log.warning("node %s: %s", self.name, runtime.notice)
        registration = Registration(self._store, self._clock, self._settings.allocatable, runtime)
        registration.register(self.name, self._settings.labels)
        stop = self._store.subscribe(self._note, (PODS, CONFIG_MAPS, SECRETS, PERSISTENT_VOLUME_CLAIMS))
        try:
            for pod in self._store.list(PODS).items:
                self._note(Change("ADDED", PODS, 0, pod, None))
            async with asyncio.TaskGroup() as group:
                group.create_task(registration.keep(self.name), name=f"node {self.name} heartbeat")
                if self._settings.schedules:
                    group.create_task(Scheduler(self._store, self._clock).run(), name="scheduler")
                self._ready.set()
                while True:
                    life = await self._started.get()
                    name = f"pod {life.pod['metadata']['name']}"
                    group.create_task(self._live(host, life), name=name)
        finally:
            stop()
            self._pods.clear()

    def register_images(self, folder: Path, repository: str = "") -> None:
        """Make the images of an OCI layout folder known; see `Images.register`."""
        self.images.register(folder, repository)

    async def logs(
        self, namespace: str, pod: str, container: str, query: LogQuery, previous: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """A container's log for pods/log. Raises NotFound or BadRequest, in the kubelet's words."""
        found = self._store.record(PODS, pod, namespace).object
        life = self._pods.get(uid_of(found))
        if life is None:
            raise BadRequest(f'pod "{pod}" is not assigned to a node that runs')
        chosen = container or life.containers[0]
        if chosen not in life.containers:
            raise BadRequest(f"container {chosen} is not valid for pod {pod}")
        log = life.log_of(chosen, previous=previous)
        if log is None:
            if previous:
                raise BadRequest(f'previous terminated container "{chosen}" in pod "{pod}" not found')
            state = next((s for s in _waiting_reasons(found) if s[0] == chosen), (chosen, "ContainerCreating"))
            why = _PULLING.get(state[1], state[1])
            said = f'container "{chosen}" in pod "{pod}" is waiting to start: {why}'
            raise BadRequest(said)
        async for chunk in log.read(query):
            yield chunk

    # -- the lives of pods ---------------------------------------------------------------------------

    def _make_host(self, runtime: Runtime) -> Host:
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        self._settings.folder.chmod(0o700)
        return Host(
            store=self._store,
            clock=self._clock,
            name=self.name,
            folder=self._settings.folder,
            images=self.images,
            processes=runtime,
            scripted=self.scripted,
            account=self._account,
            api=self._api,
            recorder=Recorder(self._store, self._clock.now, "kubelet", self.name),
            allocatable=self._settings.allocatable,
            puller=None if self._settings.pulls is None else Puller(self.images, self._settings.pulls),
        )

    def _note(self, change: Change) -> None:
        if change.resource != PODS:
            for other in self._pods.values():
                if namespace_of(other.pod) == namespace_of(change.object):
                    other.something_changed()
            return
        pod = change.object
        if pod["spec"].get("nodeName") != self.name:
            return
        life = self._pods.get(uid_of(pod))
        if change.type == "DELETED":
            if life is not None:
                life.note(None)
        elif life is not None:
            life.note(pod)
        elif self._host is not None:
            life = self._pods[uid_of(pod)] = PodLife(self._host, pod)
            life.note(pod)
            self._started.put_nowait(life)

    async def _live(self, host: Host, life: PodLife) -> None:
        try:
            await life.run()
        except Exception as error:  # noqa: BLE001 - the edge of a pod's task: others must go on
            _log.exception("pod %s could not be run", life.pod["metadata"]["name"])
            host.recorder.tell(life.pod, "Warning", "FailedCreatePodSandBox", f"node failure: {error}")
        finally:
            if host.current(life.pod) is None:
                self._forget(life)
            else:
                life.when_gone(lambda: self._forget(life))

    def _forget(self, life: PodLife) -> None:
        self._pods.pop(uid_of(life.pod), None)
        life.forget()


_PULLING = {
    "ImagePullBackOff": "trying and failing to pull image",
    "ErrImagePull": "image can't be pulled",
}
"""What the kubelet says of logs, where it is not the state's reason."""


def _waiting_reasons(pod: Object) -> list[tuple[str, str]]:
    return [
        (str(status["name"]), str(part(status, "state", "waiting").get("reason", "ContainerCreating")))
        for status in parts(pod, "status", "containerStatuses")
    ]
