"""The loop of WorkflowExecutions: carries out what `planning.decide_workflow` decided."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from kubernaut.api import names
from kubernaut.api.action import ActionExecution, ActionSpec
from kubernaut.api.approval import ApprovalRequest
from kubernaut.api.meta import ObjectMeta, to_object, to_wire
from kubernaut.api.workflow import WorkflowExecution, WorkflowStatus
from kubernaut.cluster import (
    AlreadyExists,
    Cluster,
    Conflict,
    Forbidden,
    Invalid,
    Json,
    Key,
    NotFound,
    kinds,
)
from kubernaut.concurrency import Limiter
from kubernaut.controllers.caches import Caches
from kubernaut.controllers.observe_workflow import WorkflowObserver
from kubernaut.controllers.recorder import Recorder
from kubernaut.engines.job import compile_fence, compile_workspace
from kubernaut.planning import decide_workflow
from kubernaut.planning.facts import WorkflowFacts
from kubernaut.planning.recording import Witness
from kubernaut.planning.turns import (
    AddFinalizer,
    CreateApproval,
    CreateExecution,
    CreateFence,
    CreateWorkspace,
    DeleteWorkspace,
    RemoveFinalizer,
    StopExecution,
    WorkflowChange,
    WriteApprovalStatus,
    WriteWorkflowStatus,
)
from kubernaut.telemetry import get_log

log = get_log(__name__)


@dataclass(frozen=True)
class WorkspaceSettings:
    """How workspaces are made."""

    size: str = "1Gi"
    """A Kubernetes quantity."""
    storage_class: str = ""
    """Empty = the cluster's default."""


class WorkflowLoop:
    """Turns of WorkflowExecutions."""

    def __init__(
        self,
        cluster: Cluster,
        caches: Caches,
        observer: WorkflowObserver,
        limiter: Limiter,
        recorder: Recorder,
        workspace: WorkspaceSettings,
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._observer = observer
        self._limiter = limiter
        self._recorder = recorder
        self._workspace = workspace
        self.witness: Witness | None = None
        self._troubles: dict[Key, str] = {}
        """Why the cluster refused a change at the last try. Lost with the process, found again at the next try."""

    async def turn(self, key: Key) -> datetime | None:
        """Looks, decides, carries out; answers when to look again."""
        facts = await self._observer.observe(key, self._troubles.get(key, ""))
        if facts is None:
            self._troubles.pop(key, None)
            self._recorder.queued(key, 0)
            return None
        turn = decide_workflow(facts)
        if self.witness is not None:
            self.witness(facts, turn)
        self._recorder.queued(key, turn.queued)
        for change in turn.changes:
            try:
                await self._apply(facts, change)
            except (Forbidden, Invalid) as error:
                self._troubles[key] = f"The cluster refused it: {error}"
                raise
        if turn.changes:
            self._troubles.pop(key, None)
        return turn.look_again_at

    async def _apply(self, facts: WorkflowFacts, change: WorkflowChange) -> None:
        workflow = facts.workflow
        match change:
            case AddFinalizer():
                await self._set_finalizers(workflow, (*workflow.metadata.finalizers, names.FINALIZER))
            case RemoveFinalizer():
                rest = tuple(f for f in workflow.metadata.finalizers if f != names.FINALIZER)
                await self._set_finalizers(workflow, rest)
            case CreateWorkspace():
                await self._create_workspace(workflow, change.name)
            case DeleteWorkspace():
                await self._delete_workspace(workflow, change.name)
            case CreateExecution():
                await self._create_execution(workflow, change)
            case CreateFence():
                await self._create_fence(workflow.metadata.namespace, change.execution)
            case StopExecution():
                await self._stop(workflow.metadata.namespace, change)
            case CreateApproval():
                await self._create_approval(workflow, change)
            case WriteApprovalStatus():
                await self._write_approval(change)
            case WriteWorkflowStatus():
                await self._write_status(workflow, change.status)

    async def _set_finalizers(self, workflow: WorkflowExecution, finalizers: tuple[str, ...]) -> None:
        meta = workflow.metadata
        # With the resourceVersion: a merge patch replaces the whole list, also what others added meanwhile.
        body = {"metadata": {"resourceVersion": meta.resource_version, "finalizers": list(finalizers)}}
        try:
            written = await self._cluster.patch(
                kinds.WORKFLOW_EXECUTIONS, meta.name, meta.namespace, body, "merge"
            )
        except NotFound:
            return
        if names.FINALIZER in finalizers:
            self._caches.workflows.note(written)

    async def _create_workspace(self, workflow: WorkflowExecution, name: str) -> None:
        body = compile_workspace(workflow, name, self._workspace.size, self._workspace.storage_class)
        try:
            written = await self._cluster.create(kinds.PERSISTENT_VOLUME_CLAIMS, body, workflow.metadata.namespace)
        except AlreadyExists:
            written = await self._cluster.get(kinds.PERSISTENT_VOLUME_CLAIMS, name, workflow.metadata.namespace)
        self._caches.claims.note(written)

    async def _delete_workspace(self, workflow: WorkflowExecution, name: str) -> None:
        claim = self._caches.claims.get(name, workflow.metadata.namespace)
        try:
            uid = claim["metadata"]["uid"] if claim else None
            await self._cluster.delete(kinds.PERSISTENT_VOLUME_CLAIMS, name, workflow.metadata.namespace, uid=uid)
        except (NotFound, Conflict):
            log.info("workspace is gone already", claim=name)

    async def _create_execution(self, workflow: WorkflowExecution, change: CreateExecution) -> None:
        self._recorder.waited(await self._limiter.take())
        body = _execution_object(workflow, change)
        namespace = workflow.metadata.namespace
        try:
            written = await self._cluster.create(kinds.ACTION_EXECUTIONS, body, namespace)
        except AlreadyExists:
            written = await self._cluster.get(kinds.ACTION_EXECUTIONS, change.name, namespace)
        # The fence before the note: the turn that sees the execution shall find its fence too.
        await self._fence(msgspec.convert(written, ActionExecution))
        self._caches.executions.note(written)

    async def _create_fence(self, namespace: str, name: str) -> None:
        stored = await self._cluster.get(kinds.ACTION_EXECUTIONS, name, namespace)
        await self._fence(msgspec.convert(stored, ActionExecution))

    async def _fence(self, execution: ActionExecution) -> None:
        if not execution.spec.contract.fenced:
            return
        body = compile_fence(execution)
        try:
            written = await self._cluster.create(kinds.LEASES, body, execution.metadata.namespace)
        except AlreadyExists:
            written = await self._cluster.get(kinds.LEASES, body["metadata"]["name"], execution.metadata.namespace)
        self._caches.fences.note(written)

    async def _create_approval(self, workflow: WorkflowExecution, change: CreateApproval) -> None:
        namespace = workflow.metadata.namespace
        body = _approval_object(workflow, change)
        try:
            written = await self._cluster.create(kinds.APPROVAL_REQUESTS, body, namespace)
        except AlreadyExists:
            # Not ours if it has another owner: then the next turn does not see it, and comes here again.
            written = await self._cluster.get(kinds.APPROVAL_REQUESTS, change.name, namespace)
            if not _is_owned(written, workflow):
                raise Conflict(f"{change.name} exists and belongs to something else; delete it") from None
        self._caches.approvals.note(written)

    async def _write_approval(self, change: WriteApprovalStatus) -> None:
        meta = change.request.metadata
        body = {
            "apiVersion": change.request.api_version,
            "kind": change.request.kind,
            "metadata": {"name": meta.name, "namespace": meta.namespace, "resourceVersion": meta.resource_version},
            "status": to_wire(change.status),
        }
        try:
            written = await self._cluster.replace(kinds.APPROVAL_REQUESTS, body, "status")
        except NotFound:
            return
        self._caches.approvals.note(written)

    async def _stop(self, namespace: str, change: StopExecution) -> None:
        body = {"metadata": {"uid": change.execution_uid}, "spec": {"stop": to_wire(change.stop)}}
        try:
            written = await self._cluster.patch(
                kinds.ACTION_EXECUTIONS, change.execution, namespace, body, "merge"
            )
        except NotFound:
            return
        self._caches.executions.note(written)

    async def _write_status(self, workflow: WorkflowExecution, status: WorkflowStatus) -> None:
        meta = workflow.metadata
        body = {
            "apiVersion": workflow.api_version,
            "kind": workflow.kind,
            "metadata": {"name": meta.name, "namespace": meta.namespace, "resourceVersion": meta.resource_version},
            "status": to_wire(status),
        }
        written = await self._cluster.replace(kinds.WORKFLOW_EXECUTIONS, body, "status")
        self._caches.workflows.note(written)
        self._recorder.workflow_moved(workflow, status)


def _approval_object(workflow: WorkflowExecution, change: CreateApproval) -> Json:
    meta = workflow.metadata
    request = ApprovalRequest(metadata=ObjectMeta(name=change.name, namespace=meta.namespace), spec=change.spec)
    return {
        **to_object(request),
        "metadata": {
            "name": change.name,
            "namespace": meta.namespace,
            "labels": {
                names.LABEL_MANAGED_BY: "kubernaut",
                names.LABEL_WORKFLOW: names.label_value(meta.name),
            },
            "ownerReferences": [_owner(workflow)],
        },
    }


def _is_owned(stored: Json, workflow: WorkflowExecution) -> bool:
    owners = stored["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == workflow.metadata.uid for owner in owners)


def _owner(workflow: WorkflowExecution) -> Json:
    return {
        "apiVersion": workflow.api_version,
        "kind": workflow.kind,
        "name": workflow.metadata.name,
        "uid": workflow.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _execution_object(workflow: WorkflowExecution, change: CreateExecution) -> Json:
    spec: ActionSpec = change.spec
    meta = workflow.metadata
    action_type = names.label_value(spec.action_type.replace("/", "."))
    body = ActionExecution(metadata=ObjectMeta(name=change.name, namespace=meta.namespace), spec=spec)
    workflow_label = names.label_value(meta.name)
    return {
        "apiVersion": body.api_version,
        "kind": body.kind,
        "metadata": {
            "name": change.name,
            "namespace": meta.namespace,
            "labels": {
                names.LABEL_MANAGED_BY: "kubernaut",
                names.LABEL_WORKFLOW: workflow_label,
                names.LABEL_SEED_WORKFLOW: workflow_label,
                names.LABEL_STEP: names.label_value(change.step),
                names.LABEL_ACTION_TYPE: action_type,
                names.LABEL_SEED_ACTION_TYPE: action_type,
            },
            "ownerReferences": [_owner(workflow)],
        },
        "spec": to_wire(spec),
    }
