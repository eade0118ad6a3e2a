"""Removes finished executions by age and number, never before their outcome is recorded.

Only terminal phases count as recorded; what waits for a person is never removed. Everything that belongs to an
execution (ActionExecutions, Jobs, fences, results) goes with it by owner references.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from kubernaut.api.action import ActionPhase
from kubernaut.api.workflow import WorkflowPhase
from kubernaut.cluster import Cluster, ClusterError, Conflict, Json, NotFound, ResourceKind, kinds
from kubernaut.concurrency import Clock
from kubernaut.controllers.caches import Caches
from kubernaut.controllers.parts import part, text
from kubernaut.planning.phases import ACTION_TERMINAL, WORKFLOW_TERMINAL
from kubernaut.telemetry import get_log

log = get_log(__name__)


@dataclass(frozen=True)
class RetentionSettings:
    """What is kept of finished executions."""

    age_seconds: float = 24 * 3600.0
    """Counted from the end of the execution."""
    count: int = 1000
    """The youngest that many are kept, whatever their age allows."""
    sweep_seconds: float = 60.0


@dataclass(frozen=True)
class _Finished:
    name: str
    namespace: str
    uid: str
    completed_at: datetime


class Retention:
    """Sweeps now and then."""

    def __init__(self, cluster: Cluster, caches: Caches, clock: Clock, settings: RetentionSettings) -> None:
        self._cluster = cluster
        self._caches = caches
        self._clock = clock
        self._settings = settings

    async def run(self) -> None:
        """Sweeps until it is cancelled."""
        while True:
            await self._clock.sleep(self._settings.sweep_seconds)
            await self.sweep()

    async def sweep(self) -> int:
        """Removes what is due; answers how many executions that were."""
        removed = 0
        for kind, finished in (
            (kinds.WORKFLOW_EXECUTIONS, list(_finished_workflows(self._caches.workflows.items()))),
            (kinds.ACTION_EXECUTIONS, list(_finished_alone(self._caches.executions.items()))),
        ):
            for execution in due(finished, self._clock.now(), self._settings):
                removed += await self._remove(kind, execution)
        return removed

    async def _remove(self, kind: ResourceKind, execution: _Finished) -> bool:
        try:
            await self._cluster.delete(kind, execution.name, execution.namespace, uid=execution.uid)
        except (NotFound, Conflict):
            return False
        except ClusterError as error:
            log.warning("retention could not remove", object=execution.name, error=str(error))
            return False
        log.info("removed a finished execution", kind=kind.kind, object=execution.name)
        return True


def due(finished: list[_Finished], now: datetime, settings: RetentionSettings) -> list[_Finished]:
    """Which finished executions are too old or too many, the oldest first. Pure."""
    oldest_first = sorted(finished, key=lambda execution: execution.completed_at)
    too_many = max(0, len(oldest_first) - settings.count)
    horizon = now - timedelta(seconds=settings.age_seconds)
    return [e for number, e in enumerate(oldest_first) if number < too_many or e.completed_at <= horizon]


def _finished_workflows(stored: list[Json]) -> Iterator[_Finished]:
    for item in stored:
        phase = text(item, "status", "phase") or WorkflowPhase.PENDING
        if WorkflowPhase(phase) in WORKFLOW_TERMINAL:
            yield from _with_end(item)


def _finished_alone(stored: list[Json]) -> Iterator[_Finished]:
    for item in stored:
        phase = text(item, "status", "phase") or ActionPhase.PENDING
        if not part(item, "spec", "workflowRef") and ActionPhase(phase) in ACTION_TERMINAL:
            yield from _with_end(item)


def _with_end(item: Json) -> Iterator[_Finished]:
    meta, ended = item["metadata"], text(item, "status", "completedAt")
    if ended and not meta.get("deletionTimestamp"):
        yield _Finished(meta["name"], meta.get("namespace") or "", meta["uid"], msgspec.convert(ended, datetime))
