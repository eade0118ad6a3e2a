"""Kubernetes Events and metrics about what the loops did. Best effort: never fails or delays a turn.

Events are named by object and content, so that a restarted controller does not tell the same twice.
They go out at a modest rate, warnings first: under load they would cost the API server as much as the work.
"""

import hashlib
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from kubernaut.api.action import ActionExecution, ActionStatus
from kubernaut.api.meta import ObjectMeta
from kubernaut.api.workflow import WorkflowExecution, WorkflowStatus
from kubernaut.cluster import AlreadyExists, Cluster, ClusterError, Json, Key, kinds
from kubernaut.concurrency import Clock, KeyedQueue, Limiter
from kubernaut.planning.events import Note, action_notes, workflow_notes
from kubernaut.planning.facts import ActionFacts
from kubernaut.planning.phases import ACTION_TERMINAL, STEP_ENDED, WORKFLOW_TERMINAL
from kubernaut.telemetry import get_log, redact_text
from kubernaut.telemetry.metrics import Metrics

log = get_log(__name__)

COMPONENT = "kubernaut-controller"
_BACKLOG = 1000
"""Of each type. Under a load that lasts, the oldest are given up."""
_PER_SECOND, _BURST = 20.0, 100
"""Events; a kubelet holds itself to 50 and 100."""


@dataclass(frozen=True)
class _Subject:
    api_version: str
    kind: str
    metadata: ObjectMeta


class Recorder:
    """Turns status transitions into Events, written by a task of its own, and into metrics."""

    def __init__(self, cluster: Cluster, clock: Clock, metrics: Metrics) -> None:
        self._cluster = cluster
        self._clock = clock
        self._metrics = metrics
        self._warnings: deque[Json] = deque(maxlen=_BACKLOG)
        self._others: deque[Json] = deque(maxlen=_BACKLOG)
        self._limiter = Limiter(_PER_SECOND, _BURST, clock)
        self._wake: KeyedQueue[str] = KeyedQueue(clock=clock)
        self._queued: dict[Key, int] = {}
        # A copy, taken in one go: the scrape runs in a thread of its own.
        metrics.steps_queued.set_function(lambda: sum(list(self._queued.values())))

    def workflow_moved(self, workflow: WorkflowExecution, after: WorkflowStatus) -> None:
        """Call after a status was written."""
        self._count_workflow(workflow.status, after)
        self._count_steps(workflow, after)
        subject = _Subject(workflow.api_version, workflow.kind, workflow.metadata)
        for note in workflow_notes(workflow.status, after):
            self._enqueue(subject, note)

    def action_moved(self, execution: ActionExecution, after: ActionStatus) -> None:
        """Call after a status was written."""
        self._count_action(execution, after)
        subject = _Subject(execution.api_version, execution.kind, execution.metadata)
        for note in action_notes(execution.status, after):
            self._enqueue(subject, note)

    def action_started(self, execution: ActionExecution, attempt: int) -> None:
        """Call after the Job of an attempt was created."""
        self._metrics.jobs_created.labels("created").inc()
        subject = _Subject(execution.api_version, execution.kind, execution.metadata)
        self._enqueue(subject, Note("Normal", "JobCreated", f"Attempt {attempt} was given to the cluster."))

    def waited(self, seconds: float) -> None:
        """Call with what the limiter cost before a child was created."""
        if seconds > 0:
            self._metrics.throttled.inc()
            self._metrics.throttled_seconds.observe(seconds)

    def queued(self, key: Key, steps: int) -> None:
        """Call after each look at a workflow, with how many of its steps wait for a place."""
        if steps:
            self._queued[key] = steps
        else:
            self._queued.pop(key, None)

    @contextmanager
    def creating_job(self) -> Generator[None]:
        """Around the request that creates a Job; one that is refused is not timed."""
        begun = self._clock.monotonic()
        yield
        self._metrics.job_creation_seconds.observe(self._clock.monotonic() - begun)

    def jobs_ended(self, facts: ActionFacts, after: ActionStatus) -> None:
        """Call after a status was written, with what it was decided on."""
        before = {a.number for a in facts.execution.status.attempts if a.completed_at is not None}
        for attempt in after.attempts:
            job = facts.jobs.get(attempt.number)
            if attempt.completed_at is None or attempt.number in before or job is None or job.created_at is None:
                continue
            seconds = ((job.finished_at or attempt.completed_at) - job.created_at).total_seconds()
            self._metrics.job_seconds.labels(facts.execution.spec.action_type).observe(max(0.0, seconds))

    def job_refused(self) -> None:
        """Call when the cluster would not have a Job."""
        self._metrics.jobs_created.labels("failed").inc()

    def _count_workflow(self, before: WorkflowStatus, after: WorkflowStatus) -> None:
        if before.started_at is None and after.started_at is not None:
            self._metrics.steps_per_workflow.observe(len(after.steps))
        if after.phase in WORKFLOW_TERMINAL:
            self._metrics.workflows.labels(str(after.phase)).inc()
            if after.started_at is not None and after.completed_at is not None:
                self._metrics.workflow_seconds.observe((after.completed_at - after.started_at).total_seconds())

    def _count_steps(self, workflow: WorkflowExecution, after: WorkflowStatus) -> None:
        types = {step.name: step.action_type for step in (*workflow.spec.steps, *workflow.spec.finally_)}
        known = {record.name: record.phase for record in workflow.status.steps}
        for record in after.steps:
            if known.get(record.name) == record.phase or record.phase not in STEP_ENDED:
                continue
            self._metrics.steps.labels(str(record.phase), types[record.name]).inc()
            if record.started_at is not None and record.completed_at is not None:
                seconds = (record.completed_at - record.started_at).total_seconds()
                self._metrics.step_seconds.labels(types[record.name]).observe(seconds)

    def _count_action(self, execution: ActionExecution, after: ActionStatus) -> None:
        if after.phase not in ACTION_TERMINAL:
            return
        self._metrics.actions.labels(str(after.phase), execution.spec.action_type).inc()
        if after.started_at is not None and after.completed_at is not None:
            seconds = (after.completed_at - after.started_at).total_seconds()
            self._metrics.action_seconds.labels(execution.spec.action_type).observe(seconds)

    async def run(self) -> None:
        """Writes Events until it is cancelled."""
        while True:
            async with self._wake.turn():
                while self._warnings or self._others:
                    await self._limiter.take()
                    await self._write_one()

    async def flush(self) -> None:
        """Writes everything that is waiting, at once."""
        while self._warnings or self._others:
            await self._write_one()

    async def _write_one(self) -> None:
        waiting = self._warnings or self._others
        if not waiting:
            return  # `flush` was faster
        event = waiting.popleft()
        try:
            await self._cluster.create(kinds.EVENTS, event, event["metadata"]["namespace"])
        except AlreadyExists:
            pass
        except ClusterError as error:
            log.info("event was not written", reason=event["reason"], error=str(error))

    def _enqueue(self, subject: _Subject, note: Note) -> None:
        waiting = self._warnings if note.type == "Warning" else self._others
        waiting.append(self._event(subject, note))
        self._wake.add("")

    def _event(self, subject: _Subject, note: Note) -> Json:
        meta = subject.metadata
        content = f"{meta.uid}/{note.reason}/{note.message}"
        suffix = hashlib.sha256(content.encode()).hexdigest()[:16]
        now = msgspec.to_builtins(self._clock.now().replace(microsecond=0))
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta.name[:200]}.{suffix}", "namespace": meta.namespace},
            "involvedObject": {
                "apiVersion": subject.api_version,
                "kind": subject.kind,
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
            "type": note.type,
            "reason": note.reason,
            "message": redact_text(note.message)[:1024],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
