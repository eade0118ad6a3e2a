"""What can happen besides the controllers' own turns: pods go their way, people and clusters interfere."""

from collections.abc import Iterator
from dataclasses import replace as with_fields
from datetime import datetime, timedelta

from msgspec.structs import replace

from kubernaut.api.action import ActionExecution, ActionPhase, Stop, Waiting
from kubernaut.api.duration import from_duration
from kubernaut.api.workflow import Request, StepPhase
from kubernaut.planning.facts import JobFacts, JobState, Outcome

from .makers import request
from .world import (
    ENDED_ACTIONS,
    LIMITS,
    WORKFLOW,
    Pod,
    World,
    carry_out_next,
    crash,
    decided,
    fence_facts,
    job_key,
    look,
    loops_of,
    outcome,
    pending_of,
    pods_of,
    taken_up,
    with_execution,
    with_job,
    without_job,
    without_pods_of,
)

Happening = tuple[str, World]


# --- the controllers -------------------------------------------------------------------------------------------


def turns(world: World, *, with_refusals: bool = False) -> Iterator[Happening]:
    """Every loop may look, or carry out its next change; the controller may die at any moment.

    A look may be one at an old copy of the workflow: copies of different kinds grow old independently.
    """
    for loop in loops_of(world):
        name = loop or "workflow"
        if pending_of(world, loop) is None:
            after = look(world, loop)
            if after is not world:
                yield f"look {name}", after
            if world.workflow is not None and loop != WORKFLOW:
                misled = look(world, loop, is_workflow_old=True)
                if misled.pending != after.pending:
                    yield f"look {name} misled by an old copy", misled
        else:
            yield f"carry out {name}", carry_out_next(world, loop)
            if with_refusals and world.budget:
                yield f"refuse {name}", carry_out_next(spent(world), loop, refused=True)
    if world.pending or world.troubles:
        yield "crash", crash(world)


def time_passes(world: World) -> Iterator[Happening]:
    """Time jumps to the next moment at which anything is due; nobody looks before."""
    moments = [moment for loop in loops_of(world) if (moment := decided(world, loop).look_again_at)]
    moments += [deadline for key in world.jobs if (deadline := deadline_of_job(world, key))]
    due = [moment for moment in moments if moment > world.now]
    if due:
        yield "time passes", replace(world, now=min(due))


def deadline_of_job(world: World, key: str) -> datetime | None:
    job, execution = world.jobs[key], execution_of(world, key)
    if job.state != "active" or job.started_at is None or execution is None:
        return None
    return job.started_at + timedelta(seconds=from_duration(execution.spec.timeout))


def execution_of(world: World, key: str) -> ActionExecution | None:
    uid = key.rsplit("/", 1)[0]
    return next((e for e in world.executions.values() if e.metadata.uid == uid), None)


def spent(world: World) -> World:
    return replace(world, budget=world.budget - 1)


# --- pods ------------------------------------------------------------------------------------------------------


def pods_go_on(world: World) -> Iterator[Happening]:
    """Every way in which each process may go on by itself."""
    for index, pod in enumerate(world.pods):
        yield from _one_pod(world, index, pod)
    for key, job in world.jobs.items():
        yield from _one_job(world, key, job)


def _one_pod(world: World, index: int, pod: Pod) -> Iterator[Happening]:
    job = world.jobs.get(pod.job)
    match pod.stage:
        case "waiting":
            if job is None or job.uid != pod.job_uid or not job.is_hopeless:
                yield "container starts", _moved(world, index, replace(pod, stage="up"))
        case "up":
            yield from _before_the_fence(world, index, pod)
        case "holding":
            yield "effect", with_effect(world, index, pod)
            yield "fails cleanly", ended(world, index, outcome(pod, "no", 66))
            yield "dies before effect", ended(world, index, outcome(pod, None, 137))
        case "changed":
            yield (
                "succeeds",
                ended(world, index, outcome(pod, "yes" if _is_fenced(world, pod) else None, 0, {"n": 1})),
            )
            yield "fails late", ended(world, index, outcome(pod, "yes" if _is_fenced(world, pod) else None, 70))
            yield "dies late", ended(world, index, outcome(pod, None, 137))


def _before_the_fence(world: World, index: int, pod: Pod) -> Iterator[Happening]:
    if not _is_fenced(world, pod):
        yield "effect", with_effect(world, index, pod)
        yield "dies before effect", ended(world, index, outcome(pod, None, 137))
        return
    yield "takes the fence", takes_fence(world, index, pod)
    yield "refuses", ended(world, index, outcome(pod, "no", 64))
    yield "dies early", ended(world, index, outcome(pod, None, 137))


def takes_fence(world: World, index: int, pod: Pod) -> World:
    """The runner's compare-and-swap; who comes too late says so and changes nothing."""
    fence = world.fences.get(pod.execution)
    if fence is None or fence.holder or fence.attempt != pod.attempt:
        return ended(world, index, outcome(pod, "no", 75))
    held = fence_facts(fence.uid, f"{pod.name}/nonce", fence.attempt)
    holding = _moved(world, index, replace(pod, stage="holding"))
    return replace(holding, fences={**world.fences, pod.execution: held})


def with_effect(world: World, index: int, pod: Pod) -> World:
    changed = _moved(world, index, replace(pod, stage="changed"))
    return replace(changed, effects=(*world.effects, pod.job))


def ended(world: World, index: int, how: Outcome) -> World:
    """The process ends. Its Job ends with the last of its pods; a lost node reports nothing."""
    pod = world.pods[index]
    if pod.is_lost:
        return world
    rest = world.pods[:index] + world.pods[index + 1 :]
    after = replace(world, pods=rest)
    job = world.jobs.get(pod.job)
    if job is None or job.uid != pod.job_uid or job.state != "active":
        return after
    if pods_of(after, pod.job):
        # A twin is still at it; what this one said is read once all have ended, unless the twin says more.
        return with_job(after, pod.job, with_fields(job, outcome=how))
    return with_job(after, pod.job, _finished(world, job, how))


def _finished(world: World, job: JobFacts, how: Outcome) -> JobFacts:
    state: JobState = "succeeded" if how.exit_code == 0 else "failed"
    reason = "" if state == "succeeded" else "OOMKilled" if how.exit_code == 137 else "Error"
    return with_fields(
        job, state=state, outcome=how, reason=reason, finished_at=world.now, container_started=True, waiting=None
    )


def _moved(world: World, index: int, pod: Pod) -> World:
    return replace(world, pods=(*world.pods[:index], pod, *world.pods[index + 1 :]))


def _is_fenced(world: World, pod: Pod) -> bool:
    return pod.execution in world.fences or not any(
        e.metadata.uid == pod.execution and not e.spec.contract.fenced for e in world.executions.values()
    )


def _one_job(world: World, key: str, job: JobFacts) -> Iterator[Happening]:
    deadline = deadline_of_job(world, key)
    begun = taken_up(world, key)
    if begun is not None:
        yield "job controller looks", begun
    if any(pod.is_lost for pod in pods_of(world, key)):
        return
    if deadline is not None and world.now >= deadline and not job.is_being_deleted:
        yield "deadline", past_deadline(world, key, job)
    if job.is_being_deleted:
        yield "job goes", without_job(without_pods_of(world, key), key)


def past_deadline(world: World, key: str, job: JobFacts) -> World:
    """The Job controller ends the pods; with them goes what they could have said."""
    mine = pods_of(world, key)
    has_started = None if not mine else any(pod.stage != "waiting" for pod in mine)
    failed = with_fields(
        job,
        state="failed",
        reason="DeadlineExceeded",
        outcome=Outcome(),
        finished_at=world.now,
        container_started=has_started,
        waiting=None,
    )
    return with_job(without_pods_of(world, key), key, failed)


def orphans_end(world: World) -> Iterator[Happening]:
    for index, pod in enumerate(world.pods):
        if pod not in pods_of(world, pod.job):
            yield "orphan ends", replace(world, pods=world.pods[:index] + world.pods[index + 1 :])


# --- misfortunes: each costs one of the budget -----------------------------------------------------------------


def misfortunes(world: World) -> Iterator[Happening]:
    if not world.budget:
        return
    poorer = spent(world)
    for key, job in world.jobs.items():
        yield from _of_a_job(poorer, key, job)
    for index, pod in enumerate(world.pods):
        if not pod.is_lost:
            yield "node is lost", _moved(poorer, index, replace(pod, is_lost=True))
        # "Even with completions: 1 the same program may sometimes be started twice" (the Job documentation).
        # Without a fence nobody can help that.
        is_single = pods_of(world, pod.job) == (pod,)
        if is_single and _is_fenced(world, pod):
            twin = replace(pod, name=f"{pod.name}-twin{world.budget}", stage="waiting")
            yield "twin pod", replace(poorer, pods=(*world.pods, twin))
    for uid in world.fences:
        rest = {u: fence for u, fence in world.fences.items() if u != uid}
        yield "fence deleted", replace(poorer, fences=rest)
    for execution in world.executions.values():
        if execution.spec.stop is None and execution.status.phase not in ENDED_ACTIONS:
            stop = Stop(reason="Cancelled", at=world.now)
            yield "stop", with_execution(poorer, replace(execution, spec=replace(execution.spec, stop=stop)))


def _of_a_job(poorer: World, key: str, job: JobFacts) -> Iterator[Happening]:
    pods = pods_of(poorer, key)
    # In the background: the Job is gone at once, its pods go on for a while.
    yield "job deleted", without_job(poorer, key)
    killed = without_pods_of(poorer, key).pods
    if pods:
        yield "job and pods deleted", without_job(replace(poorer, pods=killed), key)
    if job.state != "active":
        return
    if pods and not job.is_being_deleted:
        evicted = with_fields(
            job,
            state="failed",
            reason="Evicted",
            outcome=Outcome(),
            finished_at=poorer.now,
            container_started=None,
        )
        yield "evicted", with_job(replace(poorer, pods=killed), key, evicted)
    if pods and all(pod.stage == "waiting" for pod in pods) and job.started_at is not None:
        yield (
            "job controller sleeps",
            with_job(replace(poorer, pods=killed), key, with_fields(job, started_at=None)),
        )
    if not job.is_hopeless and pods and all(pod.stage == "waiting" for pod in pods):
        waiting = Waiting(reason="InvalidImageName", message="never")
        yield "hopeless", with_job(poorer, key, with_fields(job, is_hopeless=True, waiting=waiting))
    if job.waiting is None:
        pulled = Waiting(reason="ImagePullBackOff", message="later")
        yield "image pull fails", with_job(poorer, key, with_fields(job, waiting=pulled))


# --- people ----------------------------------------------------------------------------------------------------


def people_ask(world: World, *kinds: str) -> Iterator[Happening]:
    """Requests, deletion; each costs one of the budget, except that unknown outcomes are always resolved."""
    workflow = world.workflow
    if workflow is None or workflow.status.completed_at:
        return
    for kind in kinds if world.budget else ():
        if kind == "delete":
            if workflow.metadata.deletion_timestamp is None:
                meta = replace(workflow.metadata, deletion_timestamp=world.now)
                has_hold = bool(workflow.metadata.finalizers)
                gone = replace(workflow, metadata=meta) if has_hold else None
                yield "delete", replace(spent(world), workflow=gone, executions=world.executions if gone else {})
        elif kind == "tamper":
            if not workflow.status.spec_hash:
                continue
            # What the CRD forbids, and somebody did nevertheless: another step in place of the last.
            steps = (*workflow.spec.steps[:-1], replace(workflow.spec.steps[-1], name="other"))
            changed = replace(workflow, spec=replace(workflow.spec, steps=steps))
            yield "tamper", replace(spent(world), workflow=changed)
        elif kind == "stop action":
            for execution in world.executions.values():
                stop = Stop(reason="Cancelled", at=world.now)
                if execution.spec.stop is None:
                    stopped = replace(execution, spec=replace(execution.spec, stop=stop))
                    yield f"stop {execution.spec.step}", with_execution(spent(world), stopped)
        elif kind == "lose execution":
            for name in world.executions:
                rest = {n: e for n, e in world.executions.items() if n != name}
                yield f"lose {name}", replace(spent(world), executions=rest, births=world.births + 1)
        else:
            yield kind, with_request(spent(world), request(kind, world.now))
    if [r.type for r in workflow.spec.requests if r.type in ("suspend", "resume")][-1:] == ["suspend"]:
        yield "resume", with_request(world, request("resume", world.now))
    for record in workflow.status.steps:
        if record.phase == StepPhase.INDETERMINATE and not _is_resolved(world, record.name):
            for said in ("succeeded", "failed"):
                asked = request("resolve", world.now, step=record.name, outcome=said)
                yield f"resolve {record.name} {said}", with_request(world, asked)


def _is_resolved(world: World, step: str) -> bool:
    return any(r.type == "resolve" and r.step == step for r in world.the_workflow.spec.requests)


def with_request(world: World, asked: Request) -> World:
    workflow = world.the_workflow
    spec = replace(workflow.spec, requests=(*workflow.spec.requests, asked))
    meta = replace(workflow.metadata, generation=workflow.metadata.generation + 1)
    return replace(world, workflow=replace(workflow, spec=spec, metadata=meta))


# --- actions as black boxes, for laws about workflows ----------------------------------------------------------


def actions_end(world: World, *ends: ActionPhase) -> Iterator[Happening]:
    """A started action ends in any of these ways; a stopped one may also end so."""
    for name, execution in world.executions.items():
        if execution.status.phase in ENDED_ACTIONS:
            continue
        record = next((r for r in world.the_workflow.status.steps if r.name == execution.spec.step), None)
        is_started = bool(record and record.execution and record.execution.uid == execution.metadata.uid)
        stop = execution.spec.stop
        ways = list(ends) if is_started else []
        if stop is not None:
            ways.append(ActionPhase.TIMED_OUT if stop.reason == "TimedOut" else ActionPhase.CANCELLED)
        for phase in ways:
            yield (
                f"{name} {phase}",
                with_execution(world, with_end(world, execution, phase, is_started=is_started)),
            )


def with_end(world: World, execution: ActionExecution, phase: ActionPhase, *, is_started: bool) -> ActionExecution:
    executed = {ActionPhase.SUCCEEDED: "yes", ActionPhase.FAILED: "yes"}.get(phase, "unknown")
    stop = execution.spec.stop
    status = replace(
        execution.status,
        phase=phase,
        reason=stop.reason if stop and phase in (ActionPhase.CANCELLED, ActionPhase.TIMED_OUT) else str(phase),
        completed_at=world.now,
        executed=executed if is_started else "no",
        outputs={"n": 1} if phase == ActionPhase.SUCCEEDED else {},
    )
    return replace(execution, status=status)


__all__ = [
    "LIMITS",
    "WORKFLOW",
    "Happening",
    "actions_end",
    "ended",
    "job_key",
    "misfortunes",
    "orphans_end",
    "people_ask",
    "pods_go_on",
    "time_passes",
    "turns",
    "with_request",
]
