"""Looks and decides as the controller does, and carries out nothing: for whoever wants to see its decisions.

It sees the same objects through the same observers. What only the controller itself knows stays unknown: why the
cluster refused it something, and its second look before what cannot be undone.
"""

import asyncio
from datetime import datetime
from typing import Literal, TypeAlias

from kubernaut.cluster import Cluster, Json, Key, kinds
from kubernaut.concurrency import Clock, KeyedQueue, Supervisor, SystemClock, within
from kubernaut.controllers.caches import Caches, wake_turns
from kubernaut.controllers.contracts import ImageContracts
from kubernaut.controllers.controller import ControllerSettings
from kubernaut.controllers.loop import Loop
from kubernaut.controllers.observers import make_observers
from kubernaut.controllers.parts import parts, text
from kubernaut.controllers.registries import registry_reader
from kubernaut.planning import decide_action, decide_workflow
from kubernaut.planning.phases import ACTION_TERMINAL, WORKFLOW_TERMINAL
from kubernaut.planning.recording import Witness
from kubernaut.telemetry.metrics import Metrics

Ending: TypeAlias = Literal["ended", "gone", "time"]
_QUIET_SECONDS = 0.5
"""After the end, what the last writes wake is looked at too."""


class Shadow:
    """One execution of one namespace, followed to its end."""

    def __init__(
        self,
        cluster: Cluster,
        settings: ControllerSettings,
        followed: Json,
        witness: Witness,
        clock: Clock | None = None,
    ) -> None:
        """`followed`: the WorkflowExecution, or the ActionExecution without a workflow. It is only read from."""
        self._clock = clock or SystemClock()
        self._cluster = cluster
        self._uid: str = followed["metadata"]["uid"]
        self._witness = witness
        self._caches = Caches(cluster, settings.namespace, self._clock)
        self._contracts = ImageContracts(registry_reader(settings.registries), self._clock)
        self._workflows, self._actions = make_observers(
            cluster, self._caches, self._clock, settings.limits, self._contracts, settings.max_workflow_seconds
        )
        self._followed = followed
        self._ending: Ending = "time"
        self._over = asyncio.Event()

    async def check(self) -> None:
        """Raises Forbidden, and other ClusterErrors, where something may not be read that facts consist of."""
        for informer in self._caches.all:
            namespace = self._caches.namespace if informer.kind.namespaced else None
            await self._cluster.list(informer.kind, namespace, limit=1)

    async def follow(self, seconds: float | None = None) -> Ending:
        """Until the execution has ended or is gone, or so many seconds are over."""
        metrics = Metrics()
        queues = KeyedQueue[Key](clock=self._clock), KeyedQueue[Key](clock=self._clock)
        loops = (
            Loop("workflow", self._workflow_turn, queues[0], self._clock, metrics),
            Loop("action", self._action_turn, queues[1], self._clock, metrics),
        )
        async with Supervisor() as supervisor:
            self._caches.start(supervisor)
            await self._caches.wait_synced()
            self._caches.workflows.subscribe(self._changed)
            self._caches.executions.subscribe(self._changed)
            wake_turns(self._caches, queues[0].add, queues[1].add)
            supervisor.start("contracts", self._contracts.run(queues[0].add))
            for loop in loops:
                loop.start(supervisor, 1)
            self._wake(queues[0], queues[1])
            ending = await self._end(seconds)
            await self._clock.sleep(_QUIET_SECONDS if ending == "ended" else 0.0)
            for queue in queues:
                await queue.drain()
            supervisor.stop()
        return ending

    def _wake(self, workflows: KeyedQueue[Key], actions: KeyedQueue[Key]) -> None:
        """Of something that has ended nothing changes any more."""
        meta = self._followed["metadata"]
        is_workflow = self._followed["kind"] == kinds.WORKFLOW_EXECUTIONS.kind
        (workflows if is_workflow else actions).add((meta["namespace"], meta["name"]))
        for execution in self._caches.executions.owned_by(self._uid):
            actions.add((meta["namespace"], execution["metadata"]["name"]))

    async def _end(self, seconds: float | None) -> Ending:
        if seconds is None:
            await self._over.wait()
            return self._ending
        try:
            await within(self._clock, seconds, self._over.wait())
        except TimeoutError:
            return "time"
        return self._ending

    def _changed(self, _key: Key, old: Json | None, new: Json | None) -> None:
        if new is None and old is not None and old["metadata"]["uid"] == self._uid:
            self._end_as("gone")

    def _end_as(self, ending: Ending) -> None:
        if not self._over.is_set():
            self._ending = ending
            self._over.set()

    async def _workflow_turn(self, key: Key) -> datetime | None:
        stored = self._caches.workflows.get(key[1], key[0])
        if stored is None or stored["metadata"]["uid"] != self._uid:
            return None
        facts = await self._workflows.observe(key)
        if facts is None:
            return None
        turn = decide_workflow(facts)
        self._witness(facts, turn)
        if facts.workflow.status.phase in WORKFLOW_TERMINAL:
            self._end_as("ended")
        return turn.look_again_at

    async def _action_turn(self, key: Key) -> datetime | None:
        stored = self._caches.executions.get(key[1], key[0])
        if stored is None or not self._is_of(stored):
            return None
        facts = await self._actions.observe(key)
        if facts is None:
            return None
        turn = decide_action(facts)
        self._witness(facts, turn)
        if stored["metadata"]["uid"] == self._uid and facts.execution.status.phase in ACTION_TERMINAL:
            self._end_as("ended")
        return turn.look_again_at

    def _is_of(self, execution: Json) -> bool:
        if execution["metadata"]["uid"] == self._uid:
            return True
        owners = parts(execution, "metadata", "ownerReferences")
        return any(owner["uid"] == self._uid for owner in owners)


def has_ended(stored: Json) -> bool:
    """Whether a WorkflowExecution or ActionExecution will not go on."""
    return text(stored, "status", "phase") in {str(one) for one in (*WORKFLOW_TERMINAL, *ACTION_TERMINAL)}


def workflow_of(execution: Json) -> str:
    """The WorkflowExecution that an ActionExecution belongs to; empty where it is alone."""
    return text(execution, "spec", "workflowRef", "name")
