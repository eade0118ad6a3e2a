"""One pod's life on the node: volumes, containers, deadline, graceful end."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from kubernaut.concurrency import wait_for_event
from kubernaut.devcluster.node.container import LEAST_GRACE, ContainerLife, grace_of
from kubernaut.devcluster.node.host import Host
from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.mounts import Mount
from kubernaut.devcluster.node.pod_status import Ended, PodView, Verdict
from kubernaut.devcluster.node.runtime import SIGKILL, SIGTERM
from kubernaut.devcluster.node.volumes import MountFailed, Volumes
from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.pods import is_finished
from kubernaut.devcluster.workloads.reading import part, parts

_MOUNT_DELAY = 0.5
_MOUNT_CAP = 120.0
_DEFAULT_GRACE = 30.0


class PodLife:
    """Runs one pod that is bound to the node."""

    def __init__(self, host: Host, pod: Object) -> None:
        self._host = host
        self._pod = pod
        self._gone = False
        self._asked = asyncio.Event()
        """The pod is to be deleted, sooner than before, or is gone."""
        self.stopping = asyncio.Event()
        self.changed = asyncio.Event()
        self._last_act: Callable[[], None] | None = None
        self._verdict: Verdict | None = None
        self._leaving = False
        self._initialized = not parts(pod, "spec", "initContainers")
        self._ip = ""
        self._made: dict[str, Path] = {}
        spec = pod["spec"]
        self._first = [ContainerLife(host, self, c, is_init=True) for c in parts(spec, "initContainers")]
        self._main = [ContainerLife(host, self, c) for c in parts(spec, "containers")]

    # -- what containers see of their pod ------------------------------------------------------------

    @property
    def pod(self) -> Object:
        return self._pod

    def pod_ip(self) -> str:
        return self._ip

    def mounts_of(self, container: Object) -> tuple[Mount, ...]:
        return self._volumes().mounts_of(container, self._made)

    def show(self) -> None:
        views = [life.view for life in self._all]
        self._host.publish(
            PodView(
                pod=self._pod,
                containers=views,
                now=self._host.clock.now(),
                host_ip=self._host.ip,
                pod_ip=self._ip,
                verdict=self._verdict,
                leaving=self._leaving,
            )
        )
        self._pod = self._host.current(self._pod) or self._pod

    # -- what the node tells -------------------------------------------------------------------------

    def note(self, pod: Object | None) -> None:
        """The pod as it is stored now; None when it is gone."""
        if pod is None:
            self._gone = True
            self._asked.set()
            if self._last_act is not None:
                self._last_act()
            return
        gates = _gates(pod) != _gates(self._pod)
        self._pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._asked.set()
        if gates and self._ip:
            self.show()

    def when_gone(self, act: Callable[[], None]) -> None:
        """Call this when the pod, whose life is over, has left the store too."""
        self._last_act = act

    def something_changed(self) -> None:
        """A ConfigMap, Secret or claim has changed: whoever waits for one looks again."""
        self.changed.set()
        if not self.stopping.is_set():
            self.changed = asyncio.Event()

    def log_of(self, container: str, *, previous: bool) -> ContainerLog | None:
        """The log of a container's present or previous start; None when there was none."""
        life = next((life for life in self._all if life.view.name == container), None)
        if life is None:
            return None
        logs = life.logs or self._logs_on_disk(container)
        return logs[-2 if previous else -1] if len(logs) > int(previous) else None

    def _logs_on_disk(self, container: str) -> list[ContainerLog]:
        """Of a pod that ended before this node was started."""
        starts = self._host.pod_folder(self._pod) / container
        found = sorted(starts.glob("*/log"), key=lambda path: int(path.parent.name))
        logs = [ContainerLog(path, self._host.clock.now) for path in found]
        for log in logs:
            log.close()
        return logs

    @property
    def containers(self) -> list[str]:
        """Names, the main ones first."""
        return [life.view.name for life in (*self._main, *self._first)]

    # -- its life ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the pod has ended for good and, if that was asked, is let go."""
        if is_finished(self._pod):
            return
        self._ip = part(self._pod, "status").get("podIP") or self._host.new_address()
        if self._ran_before():
            # What it became of nobody knows; what may have run is not run again.
            self._end()
            return
        self.show()
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self._watch_deadline()),
                    group.create_task(self._watch_deletion()),
                ]
                await self._run_containers()
                for helper in helpers:
                    helper.cancel()
        finally:
            self.stopping.set()
        self._end()

    def forget(self) -> None:
        """Remove what it left on disk."""
        shutil.rmtree(self._host.pod_folder(self._pod), ignore_errors=True)

    def _ran_before(self) -> bool:
        """Did an earlier node start containers that may not be started twice?"""
        begun = any(
            "waiting" not in part(status, "state") for status in parts(self._pod, "status", "containerStatuses")
        )
        return begun and self._pod["spec"].get("restartPolicy") == "Never"

    async def _run_containers(self) -> None:
        if not await self._mounted():
            return
        async with asyncio.TaskGroup() as sidecars:
            if await self._initialize(sidecars):
                self._initialized = True
                async with asyncio.TaskGroup() as group:
                    for life in self._main:
                        group.create_task(self._run_main(life))
            if not self.stopping.is_set():
                await self._end_sidecars()

    async def _initialize(self, sidecars: asyncio.TaskGroup) -> bool:
        """Whether the main containers may start."""
        for life in self._first:
            if life.is_sidecar:
                sidecars.create_task(life.run())
                await self._until_up(life)
            else:
                await life.run()
            if self.stopping.is_set() or not (life.is_sidecar or _went_well(life)):
                return False
            self.show()
        return True

    async def _until_up(self, life: ContainerLife) -> None:
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(event.wait()) for event in (life.up, self.stopping)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _end_sidecars(self) -> None:
        """Nothing needs them any more: the last one goes first."""
        self.stopping.set()
        self.changed.set()
        for life in reversed(self._first):
            if life.is_sidecar:
                await life.stop(grace_of(self._pod))

    async def _run_main(self, life: ContainerLife) -> None:
        await life.run()
        if any(not isinstance(other.view.state, Ended) for other in self._main):
            self.show()

    async def _mounted(self) -> bool:
        delay = _MOUNT_DELAY
        while not self.stopping.is_set():
            try:
                self._made = self._volumes().make()
                return True
            except MountFailed as error:
                self._host.recorder.tell(self._pod, "Warning", "FailedMount", str(error))
            await wait_for_event(self.changed, self._host.clock, delay)
            delay = min(_MOUNT_CAP, delay * 2)
        return False

    def _volumes(self) -> Volumes:
        # A simulation reads no files; that everything it refers to exists is looked at all the same.
        real = any(
            self._host.runtime_of(self._pod, container) is not self._host.simulated
            for container in (*parts(self._pod, "spec", "initContainers"), *parts(self._pod, "spec", "containers"))
        )
        folder = self._host.pod_folder(self._pod) / "volumes" if real else None
        return Volumes(self._host.surroundings(self._pod, self._ip), self._host.account, folder)

    async def _watch_deadline(self) -> None:
        limit = self._pod["spec"].get("activeDeadlineSeconds")
        started = part(self._pod, "status").get("startTime")
        if limit is None or started is None:
            return
        await self._host.clock.sleep(float(limit) - moments.seconds_since(started, self._host.clock.now()))
        said = "Pod was active on the node longer than the specified deadline"
        self._verdict = Verdict("DeadlineExceeded", said)
        self._host.recorder.tell(self._pod, "Normal", "DeadlineExceeded", said)
        await self._stop(grace_of(self._pod))

    async def _watch_deletion(self) -> None:
        await self._asked.wait()
        await self._stop(self._grace())

    async def _stop(self, grace: float) -> None:
        """Hooks and SIGTERM, the grace period, SIGKILL; a later, shorter wish shortens it."""
        self.stopping.set()
        self.changed.set()
        for life in self._all:
            if life.is_running:
                said = f"Stopping container {life.view.name}"
                self._host.recorder.tell(self._pod, "Normal", "Killing", said)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._ask_to_end(grace))
            await self._let_pass(grace)
            if not asking.done() and not self._gone and grace > 0:
                # Hooks, or the containers before them, have taken all of it.
                for life in self._all:
                    life.signal(SIGKILL if life.was_asked else SIGTERM)
                await self._host.clock.sleep(LEAST_GRACE)
            asking.cancel()
            # Until they are gone: one may only now have come to its start.
            while True:
                for life in self._all:
                    life.signal(SIGKILL)
                await self._host.clock.sleep(1.0)

    async def _ask_to_end(self, grace: float) -> None:
        """The main containers together, then the sidecars, the last one first."""
        if grace <= 0:
            return
        async with asyncio.TaskGroup() as group:
            for life in self._all:
                if not life.is_sidecar:
                    group.create_task(life.ask_to_end(grace))
        sidecars = [life for life in reversed(self._first) if life.is_sidecar and life.is_running]
        if sidecars:
            for life in self._all:
                if not life.is_sidecar:
                    await life.until_over()
        for life in sidecars:
            await life.ask_to_end(grace)
            await life.until_over()

    async def _let_pass(self, grace: float) -> None:
        while grace > 0 and not self._gone:
            self._asked.clear()
            begun = self._host.clock.monotonic()
            if not await wait_for_event(self._asked, self._host.clock, grace):
                break
            passed = self._host.clock.monotonic() - begun
            grace = min(grace - passed, self._grace() - passed)

    def _grace(self) -> float:
        if self._gone:
            return 0.0
        seconds = self._pod["metadata"].get("deletionGracePeriodSeconds")
        return _DEFAULT_GRACE if seconds is None else float(seconds)

    def _end(self) -> None:
        for life in self._main if self._initialized else self._first:
            life.end_unseen()
        self._leaving = True
        self.show()
        if self._pod["metadata"].get("deletionTimestamp") and not self._gone:
            self._host.remove(self._pod)

    @property
    def _all(self) -> list[ContainerLife]:
        return [*self._first, *self._main]


def _gates(pod: Object) -> list[tuple[str, str]]:
    """What others say of the pod's readiness."""
    names = {gate["conditionType"] for gate in parts(pod, "spec", "readinessGates")}
    return [(c["type"], c["status"]) for c in parts(pod, "status", "conditions") if c["type"] in names]


def _went_well(life: ContainerLife) -> bool:
    return isinstance(life.view.state, Ended) and life.view.state.code == 0
