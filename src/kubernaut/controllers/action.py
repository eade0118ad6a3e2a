"""The loop of ActionExecutions: carries out what `planning.decide_action` decided."""

from datetime import datetime, timedelta

import msgspec

from kubernaut.api import names
from kubernaut.api.action import ActionExecution, ActionStatus, Waiting
from kubernaut.api.meta import to_wire
from kubernaut.cluster import (
    AlreadyExists,
    Cluster,
    Conflict,
    Forbidden,
    Invalid,
    Json,
    Key,
    NotFound,
    ResourceKind,
    kinds,
)
from kubernaut.concurrency import Limiter
from kubernaut.controllers.caches import Caches
from kubernaut.controllers.observe_action import ActionObserver
from kubernaut.controllers.parts import parts
from kubernaut.controllers.recorder import Recorder
from kubernaut.engines.job import compile_fence, compile_inputs, compile_job
from kubernaut.planning import decide_action
from kubernaut.planning.conditions import with_action_conditions
from kubernaut.planning.facts import ActionFacts
from kubernaut.planning.recording import Witness
from kubernaut.planning.turns import (
    IRREVERSIBLE,
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
from kubernaut.telemetry import get_log

log = get_log(__name__)

_SOON = timedelta(seconds=1)


class ActionLoop:
    """Turns of ActionExecutions."""

    def __init__(
        self,
        cluster: Cluster,
        caches: Caches,
        observer: ActionObserver,
        limiter: Limiter,
        recorder: Recorder,
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._observer = observer
        self._limiter = limiter
        self._recorder = recorder
        self.witness: Witness | None = None
        self._troubles: dict[Key, Waiting] = {}
        """Why the cluster refused a Job at the last try. Lost with the process, found again at the next try."""

    async def turn(self, key: Key) -> datetime | None:
        """Looks, decides, carries out; answers when to look again."""
        facts = await self._observer.observe(key, self._troubles.get(key))
        if facts is None:
            self._troubles.pop(key, None)
            return None
        turn = self._decide(facts)
        for change in turn.changes:
            if isinstance(change, IRREVERSIBLE) and not await self._is_still_right(key, change):
                # What was found is in the caches now; should it be only the time, look again soon.
                return facts.now + _SOON
            await self._apply(key, facts, change)
        return turn.look_again_at

    async def _is_still_right(self, key: Key, change: StartJob | ReleaseJob | MakeSure) -> bool:
        """The second look: everything read again from the cluster, decided again, the same change."""
        if not await self._observer.refresh(key, change.attempt):
            return False
        facts = await self._observer.observe(key, self._troubles.get(key))
        return facts is not None and change in self._decide(facts).changes

    def _decide(self, facts: ActionFacts) -> Turn[ActionChange]:
        turn = decide_action(facts)
        if self.witness is not None:
            self.witness(facts, turn)
        return turn

    async def _apply(self, key: Key, facts: ActionFacts, change: ActionChange) -> None:
        execution = facts.execution
        match change:
            case CreateFence():
                await self._create(kinds.LEASES, compile_fence(execution), execution.metadata.uid)
            case ArmFence():
                await self._swap_fence(execution, change.resource_version, "", change.attempt)
            case VoidFence():
                attempt = facts.fence.attempt if facts.fence else 1
                await self._swap_fence(execution, change.resource_version, names.VOID_HOLDER, attempt)
            case StartJob():
                await self._start(key, execution, change, facts.limits.grace_seconds)
            case ReleaseJob():
                told = {names.ANNOTATION_RELEASED_AT: to_wire(facts.now)}
                body = {"metadata": {"annotations": told}, "spec": {"suspend": False}}
                await self._patch_job(execution, change.attempt, body)
            case DeleteJob():
                await self._delete_job(execution, change)
            case ExpireJob():
                ttl = {"spec": {"ttlSecondsAfterFinished": change.seconds}}
                await self._patch_job(execution, change.attempt, ttl)
            case MakeSure():
                pass  # that it still stands here is all
            case WriteActionStatus():
                await self._write_status(facts, change.status)

    async def _start(self, key: Key, execution: ActionExecution, change: StartJob, grace: float) -> None:
        self._recorder.waited(await self._limiter.take())
        inputs = compile_inputs(execution)
        try:
            if inputs is not None:
                await self._create(kinds.CONFIG_MAPS, inputs, execution.metadata.uid)
            job = compile_job(execution, change.attempt, suspended=change.suspended, grace_seconds=grace)
            with self._recorder.creating_job():
                await self._create(kinds.JOBS, job, execution.metadata.uid)
        except (Forbidden, Invalid) as error:
            reason = "QuotaExceeded" if "exceeded quota" in str(error) else "JobRefused"
            self._recorder.job_refused()
            self._troubles[key] = Waiting(reason=reason, message=str(error)[:1024])
            raise
        self._troubles.pop(key, None)
        self._recorder.action_started(execution, change.attempt)

    async def _create(self, kind: ResourceKind, body: Json, owner_uid: str) -> None:
        """Creates by its deterministic name; what is there already must be ours."""
        try:
            written = await self._cluster.create(kind, body, body["metadata"]["namespace"])
        except AlreadyExists:
            written = await self._cluster.get(kind, body["metadata"]["name"], body["metadata"]["namespace"])
            if not any(owner["uid"] == owner_uid for owner in parts(written, "metadata", "ownerReferences")):
                name = f"{kind.kind} {body['metadata']['name']}"
                raise Invalid(f"{name} exists and belongs to somebody else: delete it or its owner") from None
        self._note(kind, written)

    async def _swap_fence(self, execution: ActionExecution, version: str, holder: str, attempt: int) -> None:
        """Compare-and-swap. Losing is an answer too: the fence is read again, and the next turn sees who won."""
        body = compile_fence(execution)
        body["metadata"]["resourceVersion"] = version
        body["spec"] = {"leaseTransitions": attempt, **({"holderIdentity": holder} if holder else {})}
        try:
            written = await self._cluster.replace(kinds.LEASES, body)
        except (Conflict, NotFound):
            name = body["metadata"]["name"]
            try:
                written = await self._cluster.get(kinds.LEASES, name, execution.metadata.namespace)
            except NotFound:
                return
        self._caches.fences.note(written)

    async def _patch_job(self, execution: ActionExecution, attempt: int, body: Json) -> None:
        meta = execution.metadata
        name = names.job_name(meta.name, meta.uid, attempt)
        try:
            self._caches.jobs.note(await self._cluster.patch(kinds.JOBS, name, meta.namespace, body, "merge"))
        except NotFound:
            log.info("job is gone already", job=name)

    async def _delete_job(self, execution: ActionExecution, change: DeleteJob) -> None:
        meta = execution.metadata
        name = names.job_name(meta.name, meta.uid, change.attempt)
        try:
            # Foreground: the Job, and with it the proof that something ran, goes only after its pods.
            await self._cluster.delete(kinds.JOBS, name, meta.namespace, propagation="Foreground", uid=change.uid)
        except (NotFound, Conflict):
            log.info("job is gone already", job=name)

    async def _write_status(self, facts: ActionFacts, status: ActionStatus) -> None:
        execution = facts.execution
        meta = execution.metadata
        after = with_action_conditions(status, meta.generation, facts.now)
        body = {
            "apiVersion": execution.api_version,
            "kind": execution.kind,
            "metadata": {"name": meta.name, "namespace": meta.namespace, "resourceVersion": meta.resource_version},
            "status": to_wire(after),
        }
        written = await self._cluster.replace(kinds.ACTION_EXECUTIONS, body, "status")
        self._caches.executions.note(written)
        self._recorder.jobs_ended(facts, after)
        self._recorder.action_moved(execution, msgspec.convert(written, ActionExecution).status)

    def _note(self, kind: ResourceKind, written: Json) -> None:
        if kind is kinds.JOBS:
            self._caches.jobs.note(written)
        elif kind is kinds.LEASES:
            self._caches.fences.note(written)
