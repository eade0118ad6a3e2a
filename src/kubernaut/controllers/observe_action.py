"""Gathers the facts of one ActionExecution's turn."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import msgspec

from kubernaut.admission import check_action
from kubernaut.api import names
from kubernaut.api.action import ActionExecution, ActionPhase, Waiting
from kubernaut.api.faults import Fault
from kubernaut.cluster import Cluster, ClusterError, Informer, Json, Key, NotFound
from kubernaut.concurrency import Clock, within
from kubernaut.controllers.caches import Caches, Decoded
from kubernaut.controllers.departed import DepartedPods
from kubernaut.controllers.doors import Doors
from kubernaut.controllers.parts import parts, text
from kubernaut.engines.job import needs_log, read_fence, read_job
from kubernaut.planning.facts import ActionFacts, JobFacts, Limits, Obstacle
from kubernaut.telemetry import get_log

log = get_log(__name__)

LOG_LINES = 1000
LOG_BYTES = 64 * 1024
LOG_SECONDS = 1.0
"""How long a turn waits for a log. A worker must not hang on a node that does not answer."""


@dataclass(frozen=True)
class _Release:
    """What the workflow's status says about this action's start."""

    is_released: bool = False
    fence: str = ""
    at: datetime | None = None


class ActionObserver:
    """Reads from the caches; from the cluster only logs, and everything again before what cannot be undone."""

    def __init__(
        self,
        cluster: Cluster,
        caches: Caches,
        clock: Clock,
        limits: Limits,
        decoded: Decoded[ActionExecution],
        doors: Doors,
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._clock = clock
        self._limits = limits
        self._decoded = decoded
        self._doors = doors
        self._logs: dict[str, str] = {}
        """Ends of logs by Job, until the outcome is recorded: an outcome takes several turns."""
        self._departed = DepartedPods(caches.pods, caches.jobs)
        caches.jobs.subscribe(self._forget)

    async def observe(self, key: Key, trouble: Waiting | None = None) -> ActionFacts | None:
        """The facts, or None when the object is gone."""
        stored = self._caches.executions.get(key[1], key[0])
        if stored is None:
            return None
        execution = self._decoded.view(stored)
        uid = execution.metadata.uid
        fence = self._caches.fences.get(names.fence_name(uid), key[0])
        release = self._release(execution)
        faults, obstacle = self._judgement(execution)
        return ActionFacts(
            now=self._clock.now(),
            execution=execution,
            is_released=release.is_released,
            released_at=release.at,
            recorded_fence=release.fence,
            fence=read_fence(fence) if fence is not None else None,
            jobs=await self._jobs(execution),
            faults=faults,
            obstacle=obstacle,
            trouble=trouble,
            limits=self._limits,
        )

    async def refresh(self, key: Key, attempt: int) -> bool:
        """Reads again from the cluster what a start depends on. False: something of it is gone."""
        stored = self._caches.executions.get(key[1], key[0])
        if stored is None:
            return False
        execution = self._decoded.view(stored)
        meta, ref = execution.metadata, execution.spec.workflow_ref
        caches, namespace = self._caches, meta.namespace
        needed = [(caches.executions, meta.name)]
        if ref is not None:
            needed.append((caches.workflows, ref.name))
        fence = names.fence_name(meta.uid)
        if execution.spec.contract.fenced and caches.fences.get(fence, namespace) is not None:
            needed.append((caches.fences, fence))
        # All at once: one after the other they would hold a worker for as many round trips.
        try:
            async with asyncio.TaskGroup() as group:
                job = names.job_name(meta.name, meta.uid, attempt)
                group.create_task(self._read_again(caches.jobs, job, namespace))
                found = [group.create_task(self._read_again(copy, name, namespace)) for copy, name in needed]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the turn's own failure, as of any other request
        return all(task.result() for task in found)

    async def _read_again(self, copy: Informer, name: str, namespace: str) -> bool:
        """Whether it is still there."""
        try:
            copy.note(await self._cluster.get(copy.kind, name, namespace))
        except NotFound:
            return False
        return True

    def _release(self, execution: ActionExecution) -> _Release:
        ref, status = execution.spec.workflow_ref, execution.status
        if ref is None:
            return _Release(True, status.fence, status.started_at)
        workflow = self._caches.workflows.get(ref.name, execution.metadata.namespace)
        if workflow is None or workflow["metadata"]["uid"] != ref.uid:
            return _Release()
        record = _record_of(workflow, execution.spec.step)
        if text(record, "execution", "uid") != execution.metadata.uid:
            return _Release()
        started = text(record, "startedAt")
        return _Release(True, text(record, "fence"), msgspec.convert(started, datetime) if started else None)

    def _judgement(self, execution: ActionExecution) -> tuple[tuple[Fault, ...], Obstacle | None]:
        """What the door says of an execution that a user made until it is let in, and why it cannot say yet."""
        is_alone = execution.spec.workflow_ref is None
        if not is_alone or execution.status.phase != ActionPhase.PENDING:
            return (), None
        door, obstacle = self._doors.door_for_action(execution)
        return check_action(execution, door), obstacle

    async def _jobs(self, execution: ActionExecution) -> dict[int, JobFacts]:
        found: dict[int, JobFacts] = {}
        is_recorded = execution.status.completed_at is not None
        for job in self._caches.jobs.owned_by(execution.metadata.uid):
            attempt = text(job, "metadata", "labels", names.LABEL_ATTEMPT)
            if attempt.isdigit():
                found[int(attempt)] = await self._job(job, wants_log=not is_recorded)
        if is_recorded:
            for facts in found.values():
                self._logs.pop(facts.uid, None)
        return found

    async def _job(self, job: Json, *, wants_log: bool) -> JobFacts:
        uid = job["metadata"]["uid"]
        pods = self._caches.pods.owned_by(uid)
        warnings = self._caches.warnings_about(uid)
        for pod in pods:
            warnings += self._caches.warnings_about(pod["metadata"]["uid"])
        departed = self._departed.of(uid)
        facts = read_job(job, pods, warnings, departed=departed)
        name = needs_log(facts, pods)
        if name is None or not wants_log:
            return facts
        if uid not in self._logs:
            self._logs[uid] = await self._log(job["metadata"]["namespace"], name)
        return read_job(job, pods, warnings, self._logs[uid], departed)

    async def _log(self, namespace: str, pod: str) -> str:
        """The end of the pod's log; empty if the pod is gone or its node does not answer in time."""
        asked = self._cluster.logs(namespace, pod, names.ACTION_CONTAINER, tail_lines=LOG_LINES)
        try:
            said = await within(self._clock, LOG_SECONDS, asked)
        except (ClusterError, TimeoutError) as error:
            log.info("no log of a pod", pod=pod, error=str(error))
            return ""
        return said[-LOG_BYTES:]

    def _forget(self, _key: Key, old: Json | None, new: Json | None) -> None:
        if old is not None and new is None:
            self._logs.pop(old["metadata"]["uid"], None)


def _record_of(workflow: Json, step: str) -> Json:
    named = [record for record in parts(workflow, "status", "steps") if record["name"] == step]
    return named[0] if named else Json()
