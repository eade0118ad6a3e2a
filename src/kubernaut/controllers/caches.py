"""The local copies that facts are gathered from: one informer a kind, and what their changes wake."""

from collections import defaultdict
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from kubernaut.api import names
from kubernaut.cluster import Cluster, Informer, Json, Key, ResourceKind, kinds
from kubernaut.concurrency import Clock, Supervisor
from kubernaut.controllers.parts import parts, text

T = TypeVar("T", bound=msgspec.Struct)

_OURS = f"{names.LABEL_MANAGED_BY}=kubernaut"


class Decoded(Generic[T]):
    """Typed views of an informer's objects, decoded once per resourceVersion."""

    def __init__(self, informer: Informer, kind: type[T]) -> None:
        self._kind = kind
        self._known: dict[str, tuple[str, T]] = {}
        informer.subscribe(self._forget)

    def view(self, stored: Json) -> T:
        """The object as a struct. Raises msgspec.ValidationError for what no schema would have let in."""
        meta = stored["metadata"]
        known = self._known.get(meta["uid"])
        if known is not None and known[0] == meta["resourceVersion"]:
            return known[1]
        decoded = msgspec.convert(stored, self._kind)
        self._known[meta["uid"]] = (meta["resourceVersion"], decoded)
        return decoded

    def _forget(self, _key: Key, old: Json | None, new: Json | None) -> None:
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._known.pop(old["metadata"]["uid"], None)


class Caches:
    """Everything that the turns read, for one execution namespace and the cluster-wide catalogue."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Clock) -> None:
        def informer(kind: ResourceKind, label_selector: str = "", field_selector: str = "") -> Informer:
            return Informer(
                cluster,
                kind,
                namespace if kind.namespaced else None,
                label_selector=label_selector,
                field_selector=field_selector,
                clock=clock,
            )

        self.namespace = namespace
        self.workflows = informer(kinds.WORKFLOW_EXECUTIONS)
        self.executions = informer(kinds.ACTION_EXECUTIONS)
        self.definitions = informer(kinds.ACTION_DEFINITIONS)
        self.approvals = informer(kinds.APPROVAL_REQUESTS)
        self.fences = informer(kinds.LEASES, label_selector=_OURS)
        self.jobs = informer(kinds.JOBS, label_selector=_OURS)
        self.pods = informer(kinds.PODS, label_selector=_OURS)
        self.claims = informer(kinds.PERSISTENT_VOLUME_CLAIMS, label_selector=_OURS)
        self.warnings = informer(kinds.EVENTS, field_selector="type=Warning")
        self._about: dict[str, dict[Key, Json]] = defaultdict(dict)
        self.warnings.subscribe(self._file_warning)

    @property
    def all(self) -> tuple[Informer, ...]:
        return (
            self.workflows,
            self.executions,
            self.definitions,
            self.approvals,
            self.fences,
            self.jobs,
            self.pods,
            self.claims,
            self.warnings,
        )

    def start(self, supervisor: Supervisor) -> None:
        """Runs every informer as a task of the supervisor."""
        for informer in self.all:
            supervisor.start(f"watch {informer.kind.plural}", informer.run(), eternal=True)

    async def wait_synced(self) -> None:
        """Until every first list is in: before that, absence proves nothing."""
        for informer in self.all:
            await informer.wait_synced()

    def warnings_about(self, uid: str) -> list[Json]:
        """Warning events about one object."""
        return list(self._about.get(uid, {}).values())

    def _file_warning(self, key: Key, old: Json | None, new: Json | None) -> None:
        for event, is_new in ((old, False), (new, True)):
            if event is None:
                continue
            uid = text(event, "involvedObject", "uid")
            if is_new:
                self._about[uid][key] = event
            elif uid in self._about:
                self._about[uid].pop(key, None)
                if not self._about[uid]:
                    del self._about[uid]


def wake_turns(caches: Caches, wake_workflow: Callable[[Key], None], wake_action: Callable[[Key], None]) -> None:
    """Puts the right names into the queues on every change. Names only: the turns read everything again."""

    def workflow_changed(key: Key, old: Json | None, new: Json | None) -> None:
        wake_workflow(key)
        if new is None:
            return
        before, after = _started(old), _started(new)
        for execution in caches.executions.owned_by(new["metadata"]["uid"]):
            uid = execution["metadata"]["uid"]
            if uid in after and uid not in before and not text(execution, "status", "completedAt"):
                wake_action(_key_of(execution))

    def execution_changed(key: Key, old: Json | None, new: Json | None) -> None:
        wake_action(key)
        if old is None or new is None or old.get("status") != new.get("status"):
            for name in _owners(new or old, "WorkflowExecution"):
                wake_workflow((key[0], name))

    def part_changed(key: Key, old: Json | None, new: Json | None) -> None:
        for name in _owners(new or old, "ActionExecution"):
            wake_action((key[0], name))

    def fence_changed(key: Key, old: Json | None, new: Json | None) -> None:
        part_changed(key, old, new)
        if old is not None and new is not None and old["metadata"]["uid"] == new["metadata"]["uid"]:
            return  # who holds it is the action's affair; the workflow asks only whether it is there
        for name in _owners(new or old, "ActionExecution"):
            owner = caches.executions.get(name, key[0])
            for workflow in _owners(owner, "WorkflowExecution"):
                wake_workflow((key[0], workflow))

    def pod_changed(key: Key, old: Json | None, new: Json | None) -> None:
        for name in _owners(new or old, "Job"):
            part_changed(key, None, caches.jobs.get(name, key[0]))

    def owned_changed(key: Key, old: Json | None, new: Json | None) -> None:
        for name in _owners(new or old, "WorkflowExecution"):
            wake_workflow((key[0], name))

    def warned(key: Key, _old: Json | None, new: Json | None) -> None:
        kind, name = text(new, "involvedObject", "kind"), text(new, "involvedObject", "name")
        if kind == "Job":
            part_changed(key, None, caches.jobs.get(name, key[0]))
        elif kind == "Pod":
            pod_changed(key, None, caches.pods.get(name, key[0]))

    caches.workflows.subscribe(workflow_changed)
    caches.executions.subscribe(execution_changed)
    caches.fences.subscribe(fence_changed)
    caches.jobs.subscribe(part_changed)
    caches.pods.subscribe(pod_changed)
    caches.claims.subscribe(owned_changed)
    caches.approvals.subscribe(owned_changed)
    caches.warnings.subscribe(warned)


def _started(workflow: Json | None) -> set[str]:
    """UIDs of the executions that the workflow's status names as started."""
    return {text(record, "execution", "uid") for record in parts(workflow, "status", "steps")}


def _key_of(stored: Json) -> Key:
    return stored["metadata"].get("namespace") or "", stored["metadata"]["name"]


def _owners(stored: Json | None, kind: str) -> list[str]:
    owners = parts(stored, "metadata", "ownerReferences")
    return [owner["name"] for owner in owners if owner["kind"] == kind]
