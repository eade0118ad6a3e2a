"""The controller: caches, two loops, recorder, retention, leadership, put together and run to their end.

Order at the start: caches fill while the process waits for the leadership; the loops begin when both are there.
Order at the end: nothing new is taken from the queues, turns under way finish, Events are flushed, the lease is
given back.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from kubernaut.api.workflow import StepPhase
from kubernaut.cluster import Cluster, ElectionTimes, Json, Key, LeaderElection
from kubernaut.concurrency import Clock, KeyedQueue, Limiter, Supervisor, SystemClock, within
from kubernaut.controllers.action import ActionLoop
from kubernaut.controllers.caches import Caches, wake_turns
from kubernaut.controllers.contracts import ImageContracts
from kubernaut.controllers.loop import Loop
from kubernaut.controllers.observers import make_observers
from kubernaut.controllers.parts import part, parts, text
from kubernaut.controllers.recorder import Recorder
from kubernaut.controllers.registries import RegistrySettings, registry_reader
from kubernaut.controllers.retention import Retention, RetentionSettings
from kubernaut.controllers.workflow import WorkflowLoop, WorkspaceSettings
from kubernaut.planning.facts import Limits
from kubernaut.planning.recording import Witness
from kubernaut.telemetry import get_log
from kubernaut.telemetry.health import Health
from kubernaut.telemetry.metrics import Metrics

log = get_log(__name__)

LEASE_NAME = "kubernaut-controller"
STUCK_SECONDS = 120.0
DRAIN_SECONDS = 20.0


@dataclass(frozen=True)
class LeadershipSettings:
    """How this process competes with others for the right to write."""

    identity: str
    """Different for any two processes, also before and after a restart."""
    namespace: str = "kubernaut-system"
    times: ElectionTimes = field(default_factory=ElectionTimes)


@dataclass(frozen=True)
class ControllerSettings:
    """Everything that one controller is told."""

    namespace: str = "kubernaut-workflows"
    limits: Limits = Limits()
    qps: float = 20.0
    """ActionExecutions and Jobs created per second, in the long run."""
    burst: int = 30
    workers: int = 8
    """Turns of one kind at the same time."""
    max_workflow_seconds: float = 24 * 3600.0
    """Longest timeout of a workflow, and longest wait between two attempts."""
    registries: RegistrySettings = RegistrySettings()
    workspace: WorkspaceSettings = WorkspaceSettings()
    retention: RetentionSettings = RetentionSettings()
    leadership: LeadershipSettings | None = None
    """None = this is surely the only controller (tests, an embedded cluster of one's own)."""


class Controller:
    """Brings WorkflowExecutions and ActionExecutions of one namespace to their ends."""

    def __init__(self, cluster: Cluster, settings: ControllerSettings, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.settings = settings
        self.cluster = cluster
        self.metrics = Metrics()
        self.health = Health()
        self.caches = Caches(cluster, settings.namespace, self.clock)
        self.recorder = Recorder(cluster, self.clock, self.metrics)
        self.retention = Retention(cluster, self.caches, self.clock, settings.retention)
        self.contracts = ImageContracts(registry_reader(settings.registries), self.clock)
        self.working = asyncio.Event()
        """Set while the loops run: leader, caches full."""
        self._election = self._make_election()
        self._stop = asyncio.Event()
        self.workflow_loop, self.action_loop = self._make_loops()
        self._expose()
        self.health.must_be_ready("caches", self._caches_complaint)
        self.health.must_live("loops", self._loops_complaint)

    async def run(self) -> None:
        """Works until `stop` is called. Raises LeadershipLost (in an ExceptionGroup) when it has to end."""
        async with Supervisor() as supervisor:
            self.caches.start(supervisor)
            election = self._election
            if election is not None:
                supervisor.start("leadership", election.run())
                await self._wait_for_leadership(election)
            if not self._stop.is_set():
                await self._or_stop(self.caches.wait_synced())
            if not self._stop.is_set():
                await self._work(supervisor)
            supervisor.stop()

    def stop(self) -> None:
        """Asks for an orderly end; `run` returns when it is done."""
        self._stop.set()

    def be_seen_by(self, witness: Witness | None) -> None:
        """From now on the witness is shown every decision, before it is carried out; None lets it go."""
        for turns in self._turns:
            turns.witness = witness

    def _wake(self, key: Key) -> None:
        """Whoever of this name asked for a contract: a workflow, an action, or each of them."""
        self.workflow_loop.queue.add(key)
        self.action_loop.queue.add(key)

    async def _work(self, supervisor: Supervisor) -> None:
        unhook = self.cluster.on_write(self._election.guard) if self._election is not None else None
        wake_turns(self.caches, self.workflow_loop.queue.add, self.action_loop.queue.add)
        for loop in (self.workflow_loop, self.action_loop):
            loop.start(supervisor, self.settings.workers)
        supervisor.start("events", self.recorder.run())
        supervisor.start("contracts", self.contracts.run(self._wake))
        supervisor.start("retention", self.retention.run())
        self.metrics.leading.set(1)
        self.working.set()
        log.info("working", namespace=self.settings.namespace)
        await self._stop.wait()
        self.working.clear()
        for loop in (self.workflow_loop, self.action_loop):
            loop.queue.shutdown()
        try:
            await within(self.clock, DRAIN_SECONDS, self._drain())
        except TimeoutError:
            log.warning("turns did not end in time; the next controller takes them up where they stand")
        self.metrics.leading.set(0)
        if unhook is not None:
            unhook()

    async def _drain(self) -> None:
        for loop in (self.workflow_loop, self.action_loop):
            await loop.queue.drain()
        await self.recorder.flush()

    async def _wait_for_leadership(self, election: LeaderElection) -> None:
        log.info("waiting for the leadership", identity=election.identity)
        await self._or_stop(election.elected.wait())

    async def _or_stop(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Waits for the first of something and the call to stop."""
        async with asyncio.TaskGroup() as group:
            wanted = group.create_task(waiting)
            ended = group.create_task(self._stop.wait())
            await asyncio.wait({wanted, ended}, return_when=asyncio.FIRST_COMPLETED)
            wanted.cancel()
            ended.cancel()

    def _make_election(self) -> LeaderElection | None:
        given = self.settings.leadership
        if given is None:
            return None
        return LeaderElection(
            self.cluster, given.namespace, LEASE_NAME, given.identity, times=given.times, clock=self.clock
        )

    def _make_loops(self) -> tuple[Loop, Loop]:
        settings, cluster, caches = self.settings, self.cluster, self.caches
        limiter = Limiter(settings.qps, settings.burst, self.clock)
        of_workflows, of_actions = make_observers(
            cluster,
            caches,
            self.clock,
            settings.limits,
            self.contracts,
            settings.max_workflow_seconds,
            self.metrics.dependency_seconds.observe,
        )
        workflows = WorkflowLoop(cluster, caches, of_workflows, limiter, self.recorder, settings.workspace)
        actions = ActionLoop(cluster, caches, of_actions, limiter, self.recorder)
        self._turns = workflows, actions
        return (
            Loop("workflow", workflows.turn, KeyedQueue[Key](clock=self.clock), self.clock, self.metrics),
            Loop("action", actions.turn, KeyedQueue[Key](clock=self.clock), self.clock, self.metrics),
        )

    def _expose(self) -> None:
        """Numbers that are counted when asked for: what is counted along the way is wrong after a restart."""
        metrics, caches = self.metrics, self.caches
        metrics.count_requests(lambda: self.cluster.counts)
        metrics.workflows_active.set_function(lambda: _under_way(caches.workflows.items()))
        metrics.parallel_active.set_function(lambda: _running_steps(caches.workflows.items()))
        metrics.jobs_active.set_function(
            lambda: sum(1 for job in caches.jobs.items() if part(job, "status").get("active"))
        )
        metrics.parallel_max.set(self.settings.limits.default_parallel)

    def _caches_complaint(self) -> str | None:
        waiting = [informer.kind.plural for informer in self.caches.all if not informer.synced]
        failing = [f"{i.kind.plural}: {i.failure}" for i in self.caches.all if i.failure is not None]
        if failing:
            return "; ".join(failing)
        return f"not listed yet: {', '.join(waiting)}" if waiting else None

    def _loops_complaint(self) -> str | None:
        for loop in (self.workflow_loop, self.action_loop):
            silent = self.clock.monotonic() - loop.last_turn
            if self.working.is_set() and len(loop.queue) and silent > STUCK_SECONDS:
                return f"the {loop.name} loop has work and made no turn for {silent:.0f} s"
        return None


def _under_way(stored: list[Json]) -> int:
    return sum(
        1 for item in stored if text(item, "status", "startedAt") and not text(item, "status", "completedAt")
    )


def _running_steps(stored: list[Json]) -> int:
    # By the workflows: an ActionExecution behind a fence has no status before its end.
    return sum(
        1
        for item in stored
        if not text(item, "status", "completedAt")
        for record in parts(item, "status", "steps")
        if record.get("phase") == StepPhase.RUNNING
    )
