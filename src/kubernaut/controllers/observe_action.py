"""Gathers the facts of one ActionExecution's turn."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import msgspec

from kubernaut.api import names
from kubernaut.api.action import ActionExecution, Waiting
from kubernaut.cluster import Cluster, ClusterError, Informer, Json, Key, NotFound
from kubernaut.concurrency import Clock
from kubernaut.controllers.caches import Caches, Decoded
from kubernaut.controllers.parts import parts, text
from kubernaut.engines.job import needs_log, read_fence, read_job
from kubernaut.planning.facts import ActionFacts, JobFacts, Limits

LOG_LINES = 1000
LOG_BYTES = 64 * 1024


@dataclass(frozen=True)
class _Release:
    """What the workflow's status says about this action's start."""

    is_released: bool = False
    fence: str = ""
    at: datetime | None = None


class ActionObserver:
    """Reads from the caches; from the cluster only logs, and everything again before what cannot be undone."""

    def __init__(
        self, cluster: Cluster, caches: Caches, clock: Clock, limits: Limits, decoded: Decoded[ActionExecution]
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._clock = clock
        self._limits = limits
        self._decoded = decoded

    async def observe(self, key: Key, trouble: Waiting | None = None) -> ActionFacts | None:
        """The facts, or None when the object is gone."""
        stored = self._caches.executions.get(key[1], key[0])
        if stored is None:
            return None
        execution = self._decoded.view(stored)
        uid = execution.metadata.uid
        fence = self._caches.fences.get(names.fence_name(uid), key[0])
        release = self._release(execution)
        return ActionFacts(
            now=self._clock.now(),
            execution=execution,
            is_released=release.is_released,
            released_at=release.at,
            recorded_fence=release.fence,
            fence=read_fence(fence) if fence is not None else None,
            jobs=await self._jobs(uid),
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
        if execution.spec.contract.fenced:
            needed.append((caches.fences, names.fence_name(meta.uid)))
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

    async def _jobs(self, execution_uid: str) -> dict[int, JobFacts]:
        found: dict[int, JobFacts] = {}
        for job in self._caches.jobs.owned_by(execution_uid):
            attempt = text(job, "metadata", "labels", names.LABEL_ATTEMPT)
            if attempt.isdigit():
                found[int(attempt)] = await self._job(job)
        return found

    async def _job(self, job: Json) -> JobFacts:
        uid = job["metadata"]["uid"]
        pods = self._caches.pods.owned_by(uid)
        warnings = self._caches.warnings_about(uid)
        for pod in pods:
            warnings += self._caches.warnings_about(pod["metadata"]["uid"])
        facts = read_job(job, pods, warnings)
        name = needs_log(facts, pods)
        if name is None:
            return facts
        return read_job(job, pods, warnings, await self._log(job["metadata"]["namespace"], name))

    async def _log(self, namespace: str, pod: str) -> str:
        """The end of the pod's log; empty if the pod is gone or cannot be asked."""
        try:
            text = await self._cluster.logs(namespace, pod, names.ACTION_CONTAINER, tail_lines=LOG_LINES)
        except ClusterError:
            return ""
        return text[-LOG_BYTES:]


def _record_of(workflow: Json, step: str) -> Json:
    named = [record for record in parts(workflow, "status", "steps") if record["name"] == step]
    return named[0] if named else Json()
