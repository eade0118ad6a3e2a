"""What of a world decides its future: worlds with the same key are visited once.

Moments count by their distance from now; what is only told to people (messages, past times, uids that are never
compared again) does not count.
"""

from datetime import datetime
from typing import Any

import msgspec

from kubernaut.api.action import ActionExecution, ActionStatus
from kubernaut.api.workflow import WorkflowExecution, WorkflowStatus
from kubernaut.planning.facts import JobFacts
from kubernaut.planning.turns import (
    ArmFence,
    CreateExecution,
    DeleteJob,
    StopExecution,
    VoidFence,
    WriteActionStatus,
    WriteWorkflowStatus,
)

from .world import WORKFLOW, Pending, Pod, World, job_key

LONG_AGO = -3600.0
_encode = msgspec.msgpack.Encoder().encode


def key_of(world: World) -> bytes:
    return _encode(
        (
            _workflow(world, world.workflow) if world.workflow is not None else None,
            [_execution(world, name, e) for name, e in sorted(world.executions.items())],
            [(uid, f.uid, f.resource_version) for uid, f in sorted(world.fences.items())],
            [_job(world, key, job) for key, job in sorted(world.jobs.items())],
            sorted((p.execution, p.attempt, p.name, _is_orphan(world, p), p.stage, p.is_lost) for p in world.pods),
            world.workspace,
            sorted(world.effects),
            sorted((_pending(world, p) for p in world.pending), key=str),
            world.troubles,
            world.budget,
        )
    )


def _far(world: World, moment: datetime | None) -> float | None:
    return None if moment is None else max(LONG_AGO, (moment - world.now).total_seconds())


def _counts_from_release(world: World) -> bool:
    """Whether a deadline counts from the recorded start: of a Job that the cluster refuses."""
    return bool(world.troubles)


def _workflow(world: World, workflow: WorkflowExecution) -> Any:
    meta = workflow.metadata
    return (
        _far(world, meta.deletion_timestamp),
        meta.finalizers,
        meta.generation == workflow.status.observed_generation,
        [s.name for s in workflow.spec.steps],
        [(r.type, r.step, r.outcome) for r in workflow.spec.requests],
        _workflow_status(world, workflow.status),
    )


def _workflow_status(world: World, status: WorkflowStatus) -> Any:
    return (
        status.phase,
        status.reason,
        _far(world, status.started_at),
        status.completed_at is not None,
        status.suspended,
        status.workspace_pvc,
        [
            (r.name, r.phase, r.reason, r.attempts, r.executed, r.execution and r.execution.uid, r.fence)
            if not _counts_from_release(world)
            else (r.name, r.phase, r.reason, r.execution and r.execution.uid, r.fence, _far(world, r.started_at))
            for r in status.steps
        ],
    )


def _execution(world: World, name: str, execution: ActionExecution) -> Any:
    stop = execution.spec.stop
    return name, execution.metadata.uid, stop and stop.reason, _action_status(world, execution.status)


def _action_status(world: World, status: ActionStatus) -> Any:
    return (
        status.phase,
        status.reason,
        status.fence,
        status.executed,
        _far(world, status.started_at) if _counts_from_release(world) else None,
        _far(world, status.next_attempt_at),
        status.waiting and status.waiting.reason,
        [(a.number, a.executed, a.completed_at is not None) for a in status.attempts],
        bool(status.outputs),
    )


def _job(world: World, key: str, job: JobFacts) -> Any:
    if _is_recorded(world, key):
        # Only whether it still runs counts, once its outcome is recorded.
        return key, job.state, job.is_being_deleted
    is_open = job.state in ("active", "suspended")
    said = job.outcome and (job.outcome.pod, job.outcome.exit_code, job.outcome.executed)
    return (
        key,
        job.state,
        job.is_being_deleted,
        _far(world, job.deletion_started_at) if is_open else None,
        _far(world, job.started_at) if is_open else None,
        job.reason,
        _far(world, job.released_at or job.created_at) if is_open and job.started_at is None else None,
        job.container_started,
        job.waiting and job.waiting.reason,
        job.is_hopeless,
        said,
    )


def _is_recorded(world: World, key: str) -> bool:
    uid, number = key.rsplit("/", 1)
    execution = next((e for e in world.executions.values() if e.metadata.uid == uid), None)
    return execution is not None and any(
        a.number == int(number) and a.completed_at is not None for a in execution.status.attempts
    )


def _is_orphan(world: World, pod: Pod) -> bool:
    job = world.jobs.get(pod.job)
    return job is None or job.uid != pod.job_uid


def _pending(world: World, pending: Pending) -> Any:
    present = world.workflow if pending.loop == WORKFLOW else world.executions.get(pending.loop)
    return pending.loop, present == pending.seen, [_change(world, pending.loop, c) for c in pending.changes]


def _change(world: World, loop: str, change: Any) -> Any:
    kind = type(change).__name__
    match change:
        case WriteWorkflowStatus(status):
            return kind, _workflow_status(world, status)
        case WriteActionStatus(status):
            return kind, _action_status(world, status)
        case CreateExecution(step):
            return kind, step
        case StopExecution(name, uid, stop):
            return kind, name, uid, stop.reason
        case ArmFence(_, version) | VoidFence(version):
            execution = world.executions.get(loop)
            fence = world.fences.get(execution.metadata.uid) if execution else None
            return kind, fence is not None and fence.resource_version == version
        case DeleteJob(attempt, uid):
            execution = world.executions.get(loop)
            job = world.jobs.get(job_key(execution.metadata.uid, attempt)) if execution else None
            return kind, attempt, job is not None and job.uid == uid
        case _:
            return kind, str(change)
