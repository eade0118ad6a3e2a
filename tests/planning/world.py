"""A small honest world: what the cluster holds, and how it answers the controllers' changes.

One frozen value. The loops look (`look`), which decides on facts and remembers what was seen; the changes that
follow are carried out one by one (`carry_out_next`), while anything else may happen in between. A crash forgets
what was pending, so that a change may be lost before it or its answer after it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace as with_fields
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from kubernaut.api.action import ActionExecution, ActionPhase, Waiting
from kubernaut.api.graph import Graph, graph_of, without
from kubernaut.api.meta import ObjectMeta, OwnerReference
from kubernaut.api.names import FINALIZER, VOID_HOLDER
from kubernaut.api.workflow import PinnedAction, Step, StepPhase, WorkflowExecution, pin_key
from kubernaut.planning import decide_action, decide_workflow, steps_to_ask
from kubernaut.planning.facts import (
    ActionFacts,
    ExecutionFacts,
    FenceFacts,
    JobFacts,
    Limits,
    Outcome,
    WhenVerdict,
    WorkflowFacts,
)
from kubernaut.planning.readiness import cel_variables
from kubernaut.planning.turns import (
    IRREVERSIBLE,
    AddFinalizer,
    ArmFence,
    CreateExecution,
    CreateFence,
    CreateWorkspace,
    DeleteJob,
    DeleteWorkspace,
    ExpireJob,
    MakeSure,
    ReleaseJob,
    RemoveFinalizer,
    StartJob,
    StopExecution,
    Turn,
    VoidFence,
    WriteActionStatus,
    WriteWorkflowStatus,
)

from .makers import ACTIONS, IMAGE, UNFENCED_IMAGE

WORKFLOW = ""
"""The key of the workflow's loop; the others are keyed by the name of the ActionExecution."""
# Images without a fence run here without an approval: what becomes of them is what these tests are about.
LIMITS = Limits(unfenced_needs_approval=False)

Stage = Literal["waiting", "up", "holding", "changed"]


class Pod(msgspec.Struct, frozen=True):
    """A process on its way: not started, started, fence taken, effect made."""

    execution: str
    attempt: int
    job_uid: str
    name: str
    stage: Stage = "waiting"
    is_lost: bool = False
    """Its node does not answer: it may go on, and nobody hears of it."""

    @property
    def job(self) -> str:
        """The key of the Job that made it; there may be another by now under the same name."""
        return job_key(self.execution, self.attempt)


class Pending(msgspec.Struct, frozen=True):
    """Decided and not yet carried out, with the object as it was seen (for compare-and-swap)."""

    loop: str
    changes: tuple[Any, ...]
    seen: Any


class World(msgspec.Struct, frozen=True):
    now: datetime
    workflow: WorkflowExecution | None = None
    executions: Mapping[str, ActionExecution] = {}
    fences: Mapping[str, FenceFacts] = {}
    """By UID of the execution."""
    jobs: Mapping[str, JobFacts] = {}
    """By `job_key`."""
    pods: tuple[Pod, ...] = ()
    workspace: Literal["absent", "present", "foreign"] = "absent"
    effects: tuple[str, ...] = ()
    """`job_key` of every effect in the real world."""
    pending: tuple[Pending, ...] = ()
    troubles: tuple[str, ...] = ()
    """Loops whose last change was refused; in the controller's memory only."""
    births: int = 0
    budget: int = 0
    """How many more misfortunes may befall this world."""

    @property
    def the_workflow(self) -> WorkflowExecution:
        assert self.workflow is not None
        return self.workflow


_encode = msgspec.msgpack.Encoder(enc_hook=str).encode


def pods_of(world: World, key: str) -> tuple[Pod, ...]:
    """The pods of the Job that now has this name: not those that another left behind."""
    job = world.jobs.get(key)
    return tuple(pod for pod in world.pods if job is not None and pod.job_uid == job.uid)


def without_pods_of(world: World, key: str) -> World:
    gone = pods_of(world, key)
    return replace(world, pods=tuple(pod for pod in world.pods if pod not in gone))


def job_key(execution_uid: str, attempt: int) -> str:
    return f"{execution_uid}/{attempt}"


# --- observing -------------------------------------------------------------------------------------------------


def workflow_facts(world: World) -> WorkflowFacts:
    workflow = world.the_workflow
    main, last = _graphs(workflow)
    facts = WorkflowFacts(
        now=world.now,
        workflow=workflow,
        graph=main,
        finally_graph=last,
        spec_hash=spec_hash(workflow),
        actions={pin_key(s): _pinned(s) for s in (*workflow.spec.steps, *workflow.spec.finally_)},
        executions={e.spec.step: _execution_facts(world, e) for e in world.executions.values()},
        workspace=world.workspace,
        trouble="refused" if WORKFLOW in world.troubles else "",
        limits=LIMITS,
    )
    asked, records = steps_to_ask(facts)
    if not asked:
        return facts
    variables = cel_variables(facts, records)
    return with_fields(facts, verdicts={s.name: evaluate(s.when, variables) for s in asked})


def action_facts(world: World, name: str) -> ActionFacts:
    execution = world.executions[name]
    uid, workflow = execution.metadata.uid, world.workflow
    record = None
    if execution.spec.workflow_ref is not None and workflow is not None:
        record = next((r for r in workflow.status.steps if r.name == execution.spec.step), None)
    is_ours = record is not None and record.execution is not None and record.execution.uid == uid
    is_alone = execution.spec.workflow_ref is None
    started = record.started_at if record and is_ours else None
    return ActionFacts(
        now=world.now,
        execution=execution,
        is_released=is_alone or is_ours,
        released_at=execution.status.started_at if is_alone else started,
        recorded_fence=execution.status.fence if is_alone else record.fence if record and is_ours else "",
        fence=world.fences.get(uid),
        jobs={
            n: _job_facts(world, job_key(uid, n))
            for n in range(1, execution.spec.retry.limit + 3)
            if job_key(uid, n) in world.jobs
        },
        trouble=Waiting(reason="QuotaExceeded", message="exceeded quota") if name in world.troubles else None,
        limits=LIMITS,
    )


def _execution_facts(world: World, execution: ActionExecution) -> ExecutionFacts:
    meta = execution.metadata
    fence = world.fences.get(meta.uid)
    return ExecutionFacts(
        name=meta.name,
        uid=meta.uid,
        owner_uid=meta.owner_references[0].uid if meta.owner_references else "",
        spec=execution.spec,
        status=execution.status,
        fence_uid=fence.uid if fence else None,
        outputs=execution.status.outputs,
    )


def _job_facts(world: World, key: str) -> JobFacts:
    job = world.jobs[key]
    stages = [pod.stage for pod in pods_of(world, key)]
    if job.state in ("succeeded", "failed") or not stages:
        return job
    return with_fields(job, container_started=any(stage != "waiting" for stage in stages))


def _pinned(step: Step) -> PinnedAction:
    spec = ACTIONS[step.action_type]
    image = IMAGE if spec.fenced else UNFENCED_IMAGE
    return PinnedAction(
        key=pin_key(step), action_type=step.action_type, image=image, service_account_name="sa", contract=spec
    )


_KNOWN: dict[int, tuple[Any, Any]] = {}


def _remembered(thing: object, make: Any) -> Any:
    """What follows from an immutable object, computed once for each object."""
    known = _KNOWN.get(id(thing))
    if known is None:
        known = _KNOWN[id(thing)] = (thing, make())
    return known[1]


def forget() -> None:
    """Lets go of what follows from objects that nobody needs any more."""
    _KNOWN.clear()


def _graphs(workflow: WorkflowExecution) -> tuple[Graph, Graph]:
    steps, last = workflow.spec.steps, workflow.spec.finally_
    main = _remembered(steps, lambda: graph_of(steps))
    ends = _remembered(last, lambda: without(graph_of(last), [s.name for s in steps])) if last else graph_of(())
    return main, ends


def spec_hash(workflow: WorkflowExecution) -> str:
    spec = workflow.spec
    digest: str = _remembered(spec, lambda: hashlib.sha256(_encode(replace(spec, requests=()))).hexdigest()[:12])
    return digest


_CONDITION = re.compile(r"steps\.(\w+)\.(phase|outputs\.n) (==|!=) (\S+)")


def evaluate(conditions: tuple[str, ...], variables: Mapping[str, Any]) -> WhenVerdict:
    """As much of CEL as these tests write."""
    for text in conditions:
        if text in ("true", "false"):
            holds = text == "true"
        else:
            match = _CONDITION.fullmatch(text)
            assert match, text
            name, field, operator, wanted = match.groups()
            step = variables["steps"].get(name)
            found = step and (step["phase"] if field == "phase" else step["outputs"].get("n"))
            if found is None:
                return WhenVerdict(holds=False, error="no such key", expression=text)
            holds = (str(found) == wanted) == (operator == "==")
        if not holds:
            return WhenVerdict(holds=False, expression=text)
    return WhenVerdict(holds=True)


# --- deciding --------------------------------------------------------------------------------------------------


def loops_of(world: World) -> list[str]:
    return ([WORKFLOW] if world.workflow is not None else []) + list(world.executions)


def decided(world: World, loop: str) -> Turn[Any]:
    return decide_workflow(workflow_facts(world)) if loop == WORKFLOW else decide_action(action_facts(world, loop))


def look(world: World, loop: str, *, is_workflow_old: bool = False) -> World:
    """A turn begins: facts are gathered and decided upon; nothing is carried out yet."""
    if is_workflow_old:
        old = with_fields(action_facts(world, loop), is_released=False, released_at=None, recorded_fence="")
        changes = _in_single_writes(decide_action(old).changes)
    else:
        changes = _in_single_writes(decided(world, loop).changes)
    if not changes:
        return world
    seen = world.workflow if loop == WORKFLOW else world.executions[loop]
    return replace(world, pending=(*world.pending, Pending(loop, changes, seen)))


def _in_single_writes(changes: tuple[Any, ...]) -> tuple[Any, ...]:
    single: list[Any] = []
    for change in changes:
        single.append(change)
        if isinstance(change, CreateExecution) and change.spec.contract.fenced:
            single.append(CreateFence(change.name, ""))
    return tuple(single)


def crash(world: World) -> World:
    """The controller dies and comes back: everything that it only remembered is gone."""
    return replace(world, pending=(), troubles=())


def pending_of(world: World, loop: str) -> Pending | None:
    return next((p for p in world.pending if p.loop == loop), None)


# --- carrying out ----------------------------------------------------------------------------------------------


def carry_out_next(world: World, loop: str, *, refused: bool = False) -> World:
    """The next pending change of a loop reaches the API server."""
    pending = pending_of(world, loop)
    assert pending is not None
    others = tuple(p for p in world.pending if p.loop != loop)
    change, rest = pending.changes[0], pending.changes[1:]
    ended = replace(world, pending=others)
    if isinstance(change, IRREVERSIBLE) and not _is_still_right(world, loop, change):
        return ended
    if refused:
        return replace(ended, troubles=tuple(sorted({*world.troubles, loop})))
    after = _carried_out(ended, loop, change, pending.seen)
    if after is None:
        return ended
    if rest:
        # The controller continues with what the API server answered.
        return replace(after, pending=(*others, Pending(loop, rest, _seen_after(after, loop, change, pending))))
    return replace(after, troubles=tuple(t for t in after.troubles if t != loop)) if after.troubles else after


def _seen_after(world: World, loop: str, change: Any, pending: Pending) -> Any:
    if isinstance(change, WriteActionStatus) and loop in world.executions:
        return world.executions[loop]
    return pending.seen


def _is_still_right(world: World, loop: str, change: Any) -> bool:
    return loop in world.executions and change in decided(world, loop).changes


def _carried_out(world: World, loop: str, change: Any, seen: Any) -> World | None:
    """The world after one change, or None when the API server said Conflict."""
    if loop == WORKFLOW:
        return _workflow_change(world, change, seen)
    execution = world.executions.get(loop)
    return None if execution is None else _action_change(world, execution, change, seen)


def _workflow_change(world: World, change: Any, seen: WorkflowExecution) -> World | None:
    workflow = world.workflow
    if workflow is None:
        return None
    match change:
        case AddFinalizer():
            if workflow != seen:
                return None
            meta = replace(workflow.metadata, finalizers=(*workflow.metadata.finalizers, FINALIZER))
            return replace(world, workflow=replace(workflow, metadata=meta))
        case RemoveFinalizer():
            return _let_go(world) if workflow == seen else None
        case WriteWorkflowStatus(status):
            return replace(world, workflow=replace(workflow, status=status)) if workflow == seen else None
        case CreateWorkspace():
            return replace(world, workspace="present") if world.workspace == "absent" else world
        case DeleteWorkspace():
            return replace(world, workspace="absent")
        case CreateExecution():
            return _created(world, workflow, change)
        case CreateFence(name):
            return with_fence(world, world.executions[name]) if name in world.executions else world
        case StopExecution(name, uid, stop):
            execution = world.executions.get(name)
            if execution is None or execution.metadata.uid != uid:
                return world
            return with_execution(world, replace(execution, spec=replace(execution.spec, stop=stop)))
        case _:
            raise AssertionError(change)


def _let_go(world: World) -> World:
    workflow = world.the_workflow
    if workflow.metadata.deletion_timestamp is None:
        return replace(world, workflow=replace(workflow, metadata=replace(workflow.metadata, finalizers=())))
    return replace(world, workflow=None, executions={}, fences={}, jobs={}, workspace="absent")


def _created(world: World, workflow: WorkflowExecution, change: CreateExecution) -> World:
    if change.name in world.executions:
        return world
    owner = OwnerReference(api_version="", kind="", name=workflow.metadata.name, uid=workflow.metadata.uid)
    uid = f"ae-{change.step}" if not world.births else f"ae-{change.step}-{world.births}"
    meta = ObjectMeta(name=change.name, namespace="ns", uid=uid, generation=1, owner_references=(owner,))
    return with_execution(world, ActionExecution(metadata=meta, spec=change.spec))


def _action_change(world: World, execution: ActionExecution, change: Any, seen: ActionExecution) -> World | None:
    uid = execution.metadata.uid
    fence = world.fences.get(uid)
    match change:
        case CreateFence():
            return with_fence(world, execution)
        case ArmFence(attempt, version):
            return _swapped(world, uid, fence, version, "", attempt)
        case VoidFence(version):
            return _swapped(world, uid, fence, version, VOID_HOLDER, fence.attempt if fence else 0)
        case StartJob(attempt, suspended):
            return _with_new_job(world, uid, attempt, suspended)
        case ReleaseJob(attempt):
            return _released(world, uid, attempt)
        case DeleteJob(attempt, job_uid):
            job = world.jobs.get(job_key(uid, attempt))
            if job is None or job.uid != job_uid or job.is_being_deleted:
                return world
            doomed = with_fields(job, is_being_deleted=True, deletion_started_at=world.now)
            return with_job(world, job_key(uid, attempt), doomed)
        case ExpireJob(attempt, _):
            key = job_key(uid, attempt)
            return with_job(world, key, with_fields(world.jobs[key], has_ttl=True)) if key in world.jobs else world
        case MakeSure():
            return world
        case WriteActionStatus(status):
            return with_execution(world, replace(execution, status=status)) if execution == seen else None
        case _:
            raise AssertionError(change)


def _with_new_job(world: World, uid: str, attempt: int, suspended: bool) -> World:
    key = job_key(uid, attempt)
    if key in world.jobs:
        return world
    job = JobFacts(
        uid=f"job-{world.births}",
        state="suspended" if suspended else "active",
        created_at=world.now,
        started_at=None if suspended else world.now,
    )
    pods = world.pods if suspended else (*world.pods, _pod_of(job, uid, attempt))
    return replace(with_job(world, key, job), pods=pods, births=world.births + 1)


def _pod_of(job: JobFacts, uid: str, attempt: int) -> Pod:
    return Pod(uid, attempt, job.uid, job.uid.replace("job", "pod"))


def _released(world: World, uid: str, attempt: int) -> World:
    key = job_key(uid, attempt)
    job = world.jobs.get(key)
    if job is None or job.state != "suspended" or job.is_being_deleted:
        return world
    return with_job(world, key, with_fields(job, state="active", released_at=world.now))


def taken_up(world: World, key: str) -> World | None:
    """What the Job controller makes of a Job that it has not started yet."""
    job = world.jobs[key]
    if job.state != "active" or job.started_at is not None or job.is_being_deleted or pods_of(world, key):
        return None
    uid, attempt = key.rsplit("/", 1)
    started = with_job(world, key, with_fields(job, started_at=world.now))
    # Another pod than any before: not one that may have held the fence.
    pod = Pod(uid, int(attempt), job.uid, f"pod-{world.births}")
    return replace(started, pods=(*world.pods, pod), births=world.births + 1)


def _swapped(
    world: World, uid: str, fence: FenceFacts | None, version: str, holder: str, attempt: int
) -> World | None:
    if fence is None or fence.resource_version != version:
        return None
    return replace(world, fences={**world.fences, uid: fence_facts(fence.uid, holder, attempt)})


def fence_facts(uid: str, holder: str, attempt: int) -> FenceFacts:
    return FenceFacts(uid=uid, resource_version=f"{holder}@{attempt}", holder=holder, attempt=attempt)


def with_fence(world: World, execution: ActionExecution) -> World:
    uid = execution.metadata.uid
    if uid in world.fences or not execution.spec.contract.fenced:
        return world
    return replace(world, fences={**world.fences, uid: fence_facts(f"fence-{uid}", "", 1)})


def with_execution(world: World, execution: ActionExecution) -> World:
    return replace(world, executions={**world.executions, execution.metadata.name: execution})


def with_job(world: World, key: str, job: JobFacts) -> World:
    return replace(world, jobs={**world.jobs, key: job})


def without_job(world: World, key: str) -> World:
    return replace(world, jobs={k: job for k, job in world.jobs.items() if k != key})


def outcome(pod: Pod, executed: Any, exit_code: int, outputs: Mapping[str, Any] | None = None) -> Outcome:
    return Outcome(pod=pod.name, exit_code=exit_code, executed=executed, outputs=outputs or {})


def is_settled(world: World) -> bool:
    """Whether the workflow, or the lone action, has come to an end that nothing but a person can change."""
    if world.workflow is not None:
        return bool(world.workflow.status.completed_at)
    return all(e.status.completed_at is not None for e in world.executions.values())


def running_steps(world: World) -> list[str]:
    return [r.name for r in world.the_workflow.status.steps if r.phase == StepPhase.RUNNING]


ENDED_ACTIONS = frozenset(ActionPhase) - {ActionPhase.PENDING, ActionPhase.RUNNING}
