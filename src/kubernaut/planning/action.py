"""What happens next to one ActionExecution: attempts, the fence, verdicts on what was executed, the end.

Three rules carry everything here:

1. A Job is created only while the fence is armed for its attempt and nobody holds it. Whoever lost an earlier
   Job may create it again: the fence lets one process at most pass.
2. "It changed nothing" (`executed: no`) is only ever said when the fence was closed against everybody, or when
   the very pod that held it says so. Only then, or where the contract says `idempotent`, is there another attempt.
3. An image without the runner has no fence. Its Job is created suspended, its start is recorded, then the Job is
   released; recorded but gone means that nobody knows.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from kubernaut.api.action import ActionPhase, ActionStatus, Attempt, Waiting
from kubernaut.api.duration import from_duration
from kubernaut.api.names import VOID_HOLDER, job_name
from kubernaut.api.text import cut
from kubernaut.api.workflow import Executed
from kubernaut.planning.backoff import wait_before
from kubernaut.planning.facts import ActionFacts, FenceFacts, JobFacts, Obstacle, Outcome
from kubernaut.planning.phases import ACTION_TERMINAL
from kubernaut.planning.turns import (
    ActionChange,
    ArmFence,
    CreateFence,
    DeleteJob,
    ExpireJob,
    MakeSure,
    ReleaseJob,
    StartJob,
    Turn,
    VoidFence,
    WriteActionStatus,
)

ActionTurn = Turn[ActionChange]

RUNNER_MARGIN = 10.0
"""Seconds by which the runner's own deadline comes before the Job's."""
LOST_MARGIN = 60.0
"""Seconds after deadline and grace at which a Job that does not end is given up: its node does not answer."""


@dataclass(frozen=True)
class _End:
    """How an attempt ended, before it is decided whether there is another one."""

    phase: ActionPhase
    executed: Executed
    reason: str = ""
    message: str = ""
    outcome: Outcome = Outcome()
    may_retry: bool = True


def decide(facts: ActionFacts) -> ActionTurn:
    """The next turn of one ActionExecution."""
    status = facts.execution.status
    if status.phase in ACTION_TERMINAL or status.phase == ActionPhase.INDETERMINATE:
        return _clean_up(facts)
    if facts.execution.metadata.deletion_timestamp is not None:
        return Turn()
    if not facts.is_released:
        return _not_started(facts)
    if status.phase == ActionPhase.PENDING and not status.fence and not status.attempts:
        if facts.faults:
            return _refused(facts)
        if facts.obstacle is not None:
            return _wait_to_be_judged(facts, facts.obstacle)
    if facts.execution.spec.workflow_ref is None and not status.fence and facts.execution.spec.contract.fenced:
        return _start_alone(facts)
    return _attempt(facts, _current_attempt(status))


def _current_attempt(status: ActionStatus) -> int:
    return 1 + sum(1 for attempt in status.attempts if attempt.completed_at is not None)


def _clean_up(facts: ActionFacts) -> ActionTurn:
    """The outcome is recorded: whatever still runs is ended, whatever may go is let go."""
    changes: list[ActionChange] = []
    for number, job in sorted(facts.jobs.items()):
        if job.is_being_deleted or facts.execution.status.phase == ActionPhase.INDETERMINATE:
            continue
        if job.state in ("active", "suspended"):
            changes.append(DeleteJob(number, job.uid))
        elif facts.limits.job_ttl_seconds is not None and not job.has_ttl:
            changes.append(ExpireJob(number, facts.limits.job_ttl_seconds))
    return Turn(tuple(changes))


def _not_started(facts: ActionFacts) -> ActionTurn:
    """Not released as far as can be seen. A copy of the workflow can be old, so the fence is closed first."""
    stop, fence, meta = facts.execution.spec.stop, facts.fence, facts.execution.metadata
    if stop is None or facts.jobs or facts.execution.status.attempts:
        return Turn()
    if fence is None and facts.execution.spec.contract.fenced:
        # Never made, or made, held and deleted: only the workflow itself can tell.
        return Turn((MakeSure(1), CreateFence(meta.name, meta.uid)))
    if fence is not None and not fence.holder:
        return Turn((VoidFence(fence.resource_version),))
    if fence is not None and fence.holder != VOID_HOLDER:
        return Turn()
    return _finish(facts, 1, _End(_phase_of_stop(facts), "no", stop.reason, stop.message, may_retry=False))


def _refused(facts: ActionFacts) -> ActionTurn:
    """Nothing of it has started, and nothing will: its start was never recorded."""
    text = "\n".join(str(fault) for fault in facts.faults)
    message = text if len(text) <= 1024 else f"{text[:900]}\n... of {len(facts.faults)} faults."
    return _never_started(facts, ActionPhase.FAILED, "Refused", message)


def _wait_to_be_judged(facts: ActionFacts, obstacle: Obstacle) -> ActionTurn:
    """Told once a cause, waited for, and refused when the time for it is over."""
    execution = facts.execution
    status, stop = execution.status, execution.spec.stop
    if stop is not None:
        return _never_started(facts, _phase_of_stop(facts), stop.reason, stop.message)
    told = (c.last_transition_time for c in status.conditions if c.type == "Reconciling")
    deadline = next(told, facts.now) + timedelta(seconds=facts.limits.judging_seconds)
    if facts.now >= deadline:
        message = f"{obstacle.message}; it was waited for {facts.limits.judging_seconds:g} s"
        return _never_started(facts, ActionPhase.FAILED, "Refused", message)
    again = min(obstacle.again_at, deadline)
    if status.reason == obstacle.reason or not obstacle.is_news:
        return Turn(look_again_at=again)
    waiting = replace(
        status,
        reason=obstacle.reason,
        message=cut(obstacle.message, 1024),
        observed_generation=execution.metadata.generation,
    )
    return Turn((WriteActionStatus(waiting),), look_again_at=again)


def _never_started(facts: ActionFacts, phase: ActionPhase, reason: str, message: str) -> ActionTurn:
    refused = replace(
        facts.execution.status,
        phase=phase,
        reason=reason,
        message=cut(message, 1024),
        completed_at=facts.now,
        executed="no",
        observed_generation=facts.execution.metadata.generation,
    )
    return Turn((WriteActionStatus(refused),))


def _start_alone(facts: ActionFacts) -> ActionTurn:
    """An execution without a workflow records its own start, fence first."""
    execution = facts.execution
    if facts.fence is None:
        return Turn((CreateFence(execution.metadata.name, execution.metadata.uid),))
    started = replace(
        execution.status,
        phase=ActionPhase.RUNNING,
        reason="Started",
        fence=facts.fence.uid,
        started_at=facts.now,
        observed_generation=execution.metadata.generation,
    )
    return Turn((WriteActionStatus(started),))


def _attempt(facts: ActionFacts, number: int) -> ActionTurn:
    job = facts.jobs.get(number)
    if job is None:
        return _without_job(facts, number)
    if job.state in ("succeeded", "failed"):
        return _with_finished_job(facts, number, job)
    return _with_running_job(facts, number, job)


def _without_job(facts: ActionFacts, number: int) -> ActionTurn:
    status = facts.execution.status
    if (
        status.next_attempt_at is not None
        and facts.execution.spec.stop is None
        and facts.now < status.next_attempt_at
    ):
        return Turn(look_again_at=status.next_attempt_at)
    if facts.execution.spec.contract.fenced:
        return _fenced_without_job(facts, number)
    return _unfenced_without_job(facts, number)


def _fenced_without_job(facts: ActionFacts, number: int) -> ActionTurn:
    fence, stop = facts.fence, facts.execution.spec.stop
    if fence is None or fence.uid != facts.recorded_fence:
        return _finish(facts, number, _unknown("FenceLost", "The fence that was made for this execution is gone."))
    if fence.attempt < number:
        if stop is not None:
            # The last attempt is over and this one was never opened: nothing of it can have run.
            return _finish(facts, number, _End(_phase_of_stop(facts), "no", stop.reason, stop.message))
        return Turn((ArmFence(number, fence.resource_version),))
    if not fence.holder:
        return _open_fence(facts, number, fence)
    if fence.holder == VOID_HOLDER:
        return _finish(facts, number, _withdrawn(facts))
    if stop is not None:
        message = "It was stopped after it had begun; how far it came was not reported."
        return _finish(facts, number, _End(_phase_of_stop(facts), "unknown", stop.reason, message))
    return _finish(
        facts, number, _unknown("JobLost", "The action had begun, and its Job is gone without a recorded outcome.")
    )


def _open_fence(facts: ActionFacts, number: int, fence: FenceFacts) -> ActionTurn:
    """The attempt may start; unless it was stopped, or the cluster has refused its Job for the whole timeout."""
    deadline = _refusal_deadline(facts)
    if facts.execution.spec.stop is not None or (deadline is not None and facts.now >= deadline):
        return Turn((VoidFence(fence.resource_version),))
    return Turn((*_note_cause(facts, facts.trouble), StartJob(number)), look_again_at=deadline)


def _refusal_deadline(facts: ActionFacts) -> datetime | None:
    since = _opened_at(facts)
    if facts.trouble is None or since is None:
        return None
    return since + timedelta(seconds=from_duration(facts.execution.spec.timeout))


def _opened_at(facts: ActionFacts) -> datetime | None:
    """Since when the present attempt may have its Job."""
    return facts.execution.status.next_attempt_at or facts.released_at


def _withdrawn(facts: ActionFacts) -> _End:
    """The fence was closed before anything began."""
    stop, trouble = facts.execution.spec.stop, facts.trouble or facts.execution.status.waiting
    if stop is not None:
        return _End(_phase_of_stop(facts), "no", stop.reason, stop.message, may_retry=False)
    if trouble is not None:
        message = f"It could not be started within its timeout: {trouble.message}"
        return _End(ActionPhase.TIMED_OUT, "no", trouble.reason, message)
    return _End(ActionPhase.FAILED, "no", "JobLost", "The Job is gone; the action had not begun.", may_retry=False)


def _unfenced_without_job(facts: ActionFacts, number: int) -> ActionTurn:
    stop = facts.execution.spec.stop
    if _is_recorded(facts, number):
        if stop is not None:
            return _finish(facts, number, _End(_phase_of_stop(facts), "unknown", stop.reason, stop.message))
        return _finish(facts, number, _unknown("JobLost", "The action was started and its Job is gone."))
    if stop is not None:
        return _finish(facts, number, _End(_phase_of_stop(facts), "no", stop.reason, stop.message))
    deadline = _refusal_deadline(facts)
    if deadline is not None and facts.now >= deadline:
        # A Job that was made though the answer said no is suspended still: the end of the action ends it too.
        return _finish(facts, number, _withdrawn(facts))
    return Turn((*_note_cause(facts, facts.trouble), StartJob(number, suspended=True)), look_again_at=deadline)


def _with_running_job(facts: ActionFacts, number: int, job: JobFacts) -> ActionTurn:
    if facts.execution.spec.stop is not None or job.is_hopeless or job.is_being_deleted:
        return _end_attempt(facts, number, job)
    if job.state == "suspended" and not facts.execution.spec.contract.fenced:
        return _release(facts, number)
    # A Job may have lain suspended for hours when it is released: its age says nothing then.
    deadline = (job.started_at or job.released_at or job.created_at or facts.now) + timedelta(
        seconds=from_duration(facts.execution.spec.timeout) + facts.limits.grace_seconds + LOST_MARGIN
    )
    if facts.now >= deadline:
        return _end_attempt(facts, number, job)
    if job.waiting is None and not job.container_started:
        # A pod that was taken away takes the cause with it: what was told stays until the container starts.
        return Turn(look_again_at=deadline)
    return Turn(_note_cause(facts, job.waiting), look_again_at=deadline)


def _release(facts: ActionFacts, number: int) -> ActionTurn:
    if _is_recorded(facts, number):
        return Turn((ReleaseJob(number),))
    status, meta = facts.execution.status, facts.execution.metadata
    record = Attempt(number=number, job=job_name(meta.name, meta.uid, number), started_at=facts.now)
    started = replace(
        status,
        phase=ActionPhase.RUNNING,
        reason="Started",
        started_at=status.started_at or facts.now,
        attempts=(*status.attempts, record),
        observed_generation=meta.generation,
    )
    return Turn((WriteActionStatus(started),))


def _note_cause(facts: ActionFacts, cause: Waiting | None) -> tuple[ActionChange, ...]:
    """A status only when the cause changes: messages of the kubelet change with every back-off."""
    status = facts.execution.status
    before = status.waiting.reason if status.waiting else ""
    after = cause.reason if cause else ""
    if before == after:
        return ()
    waiting = replace(cause, since=facts.now) if cause else None
    noted = replace(
        status,
        phase=ActionPhase.RUNNING,
        reason=after or "Running",
        message=waiting.message if waiting else "",
        waiting=waiting,
        started_at=status.started_at or facts.released_at or facts.now,
        observed_generation=facts.execution.metadata.generation,
    )
    return (WriteActionStatus(noted),)


def _end_attempt(facts: ActionFacts, number: int, job: JobFacts) -> ActionTurn:
    """Ends a running attempt. Closing the fence comes first: it makes "nothing was done" certain."""
    fence = facts.fence
    closed = fence is not None and fence.uid == facts.recorded_fence and fence.attempt == number
    if facts.execution.spec.contract.fenced and closed and fence is not None:
        if not fence.holder:
            return Turn((VoidFence(fence.resource_version),))
        if fence.holder == VOID_HOLDER:
            return _finish(facts, number, _ended_before_start(facts, job))
    if not job.is_being_deleted:
        return Turn((DeleteJob(number, job.uid),))
    given_up = (job.deletion_started_at or facts.now) + timedelta(seconds=facts.limits.grace_seconds + LOST_MARGIN)
    if facts.now < given_up:
        return Turn(look_again_at=given_up)
    return _finish(facts, number, _unknown("NodeLost", "The Job does not end: its node does not answer."))


def _ended_before_start(facts: ActionFacts, job: JobFacts) -> _End:
    stop = facts.execution.spec.stop
    if stop is not None:
        return _End(_phase_of_stop(facts), "no", stop.reason, stop.message, may_retry=False)
    if job.is_hopeless and job.waiting is not None:
        return _End(ActionPhase.FAILED, "no", job.waiting.reason, job.waiting.message)
    if job.is_being_deleted:
        return _End(ActionPhase.FAILED, "no", "JobDeleted", "Somebody deleted the Job before the action began.")
    message = _obstacle(facts, "no") or "The action did not begin within its timeout."
    return _End(ActionPhase.TIMED_OUT, "no", "DeadlineExceeded", message)


def _with_finished_job(facts: ActionFacts, number: int, job: JobFacts) -> ActionTurn:
    outcome = job.outcome or Outcome()
    if job.state == "succeeded":
        executed = outcome.executed or "yes"
        return _finish(facts, number, _End(ActionPhase.SUCCEEDED, executed, "Succeeded", outcome.message, outcome))
    executed, is_certain = _executed(facts, number, job)
    if not is_certain and facts.fence is not None:
        return Turn((VoidFence(facts.fence.resource_version),))
    if facts.execution.spec.stop is not None:
        phase, reason = _phase_of_stop(facts), str(facts.execution.spec.stop.reason)
    elif job.reason == "DeadlineExceeded":
        phase, reason = ActionPhase.TIMED_OUT, job.reason
    else:
        phase, reason = ActionPhase.FAILED, outcome.reason or job.reason or "Failed"
    message = outcome.message or _obstacle(facts, executed) or job.message
    return _finish(facts, number, _End(phase, executed, reason, message, outcome))


def _obstacle(facts: ActionFacts, executed: Executed) -> str:
    """What it was waiting for when its time was over; the pod that could tell is gone by then."""
    waiting = facts.execution.status.waiting
    return f"{waiting.reason}: {waiting.message}" if waiting is not None and executed == "no" else ""


def _executed(facts: ActionFacts, number: int, job: JobFacts) -> tuple[Executed, bool]:
    """Whether a failed attempt changed anything, and whether that is certain or the fence must be closed first."""
    claimed = job.outcome.executed if job.outcome else None
    if not facts.execution.spec.contract.fenced:
        return ("no" if job.container_started is False else "unknown"), True
    fence = facts.fence
    if fence is None or fence.uid != facts.recorded_fence or fence.attempt != number:
        return "unknown", True
    if fence.holder == VOID_HOLDER:
        return "no", True
    if not fence.holder:
        return "no", False
    # A pod may have a twin (the Job documentation says so): only the one that held the fence knows what was done.
    is_holder = job.outcome is not None and job.outcome.pod == fence.holder.partition("/")[0]
    return (claimed or "unknown") if is_holder else "unknown", True


def _finish(facts: ActionFacts, number: int, end: _End) -> ActionTurn:
    """Records the end of an attempt, and with it the end of the action or the moment of the next attempt."""
    spec, status, meta = facts.execution.spec, facts.execution.status, facts.execution.metadata
    job = facts.jobs.get(number)
    started = (job.started_at if job else None) or _recorded_start(facts, number)
    record = Attempt(
        number=number,
        job=job_name(meta.name, meta.uid, number) if job else "",
        started_at=started,
        completed_at=facts.now,
        succeeded=end.phase == ActionPhase.SUCCEEDED,
        executed=end.executed,
        reason=end.reason,
        message=end.message[:1024],
        exit_code=end.outcome.exit_code,
    )
    attempts = (*(a for a in status.attempts if a.number != number), record)
    base = replace(
        status,
        attempts=attempts,
        reason=end.reason,
        message=end.message[:1024],
        started_at=status.started_at or started,
        waiting=None,
        executed=_executed_overall(attempts),
        observed_generation=meta.generation,
    )
    if _may_try_again(facts, number, end):
        wait = timedelta(seconds=wait_before(spec.retry.backoff, number, meta.uid))
        again = replace(base, phase=ActionPhase.RUNNING, next_attempt_at=facts.now + wait)
        return Turn((WriteActionStatus(again),))
    return Turn((WriteActionStatus(_final(base, facts, end)),))


def _final(base: ActionStatus, facts: ActionFacts, end: _End) -> ActionStatus:
    outcome = end.outcome
    return replace(
        base,
        phase=end.phase,
        completed_at=facts.now,
        next_attempt_at=None,
        outputs=outcome.outputs,
        rollback=outcome.rollback,
        results_config_map=outcome.overflow,
        changes=outcome.changes,
        log_tail="" if end.phase == ActionPhase.SUCCEEDED else outcome.log_tail[-2048:],
    )


def _may_try_again(facts: ActionFacts, number: int, end: _End) -> bool:
    spec = facts.execution.spec
    if end.phase not in (ActionPhase.FAILED, ActionPhase.TIMED_OUT) or not end.may_retry:
        return False
    if spec.stop is not None or number > spec.retry.limit:
        return False
    # Without a fence two attempts could overlap, whatever the author promises.
    return spec.contract.fenced and (end.executed == "no" or spec.contract.idempotent)


def _executed_overall(attempts: tuple[Attempt, ...]) -> Executed:
    said = {attempt.executed for attempt in attempts}
    if "yes" in said:
        return "yes"
    return "unknown" if "unknown" in said else "no"


def _is_recorded(facts: ActionFacts, number: int) -> bool:
    return any(a.number == number and a.completed_at is None for a in facts.execution.status.attempts)


def _recorded_start(facts: ActionFacts, number: int) -> datetime | None:
    return next((a.started_at for a in facts.execution.status.attempts if a.number == number), None)


def _phase_of_stop(facts: ActionFacts) -> ActionPhase:
    stop = facts.execution.spec.stop
    return ActionPhase.TIMED_OUT if stop is not None and stop.reason == "TimedOut" else ActionPhase.CANCELLED


def _unknown(reason: str, message: str) -> _End:
    mend = " Look at the target, then say what happened: kubernaut resolve."
    return _End(ActionPhase.INDETERMINATE, "unknown", reason, message + mend, may_retry=False)
