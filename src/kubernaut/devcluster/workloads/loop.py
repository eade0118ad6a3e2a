"""The loop that all workload controllers share: a name comes, its world is read, a turn is applied.

Reading, deciding and applying happen without giving up the event loop, so that a turn always
decides on the latest state and one worker suffices.
"""

import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from kubernaut.concurrency import Clock, KeyedQueue, Supervisor
from kubernaut.devcluster import store as stores
from kubernaut.devcluster.errors import AlreadyExists, ApiError, Conflict, NotFound
from kubernaut.devcluster.objects import Object, controller_of, copied, namespace_of
from kubernaut.devcluster.resources import (
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    STORAGE_CLASSES,
)
from kubernaut.devcluster.store import Store, Write
from kubernaut.devcluster.workloads import volumes
from kubernaut.devcluster.workloads.changes import Create, Delete, Merge, SetStatus, Tell, Turn
from kubernaut.devcluster.workloads.daemonset import DaemonSetFacts, decide_daemon_set
from kubernaut.devcluster.workloads.deployment import DeploymentFacts, decide_deployment
from kubernaut.devcluster.workloads.disruptions import decide_budget
from kubernaut.devcluster.workloads.growth import refuse_growth
from kubernaut.devcluster.workloads.job import (
    TRACKING,
    JobFacts,
    decide_job,
    seconds_until_removal,
    without_tracking,
)
from kubernaut.devcluster.workloads.losses import LossSettings, NodeLifecycle
from kubernaut.devcluster.workloads.pod_collector import PodCollector
from kubernaut.devcluster.workloads.pods import selects
from kubernaut.devcluster.workloads.quotas import RESOURCE_QUOTAS, decide_quota, refuse_over_quota
from kubernaut.devcluster.workloads.reading import items, part, parts, peek
from kubernaut.devcluster.workloads.recorder import Recorder, forget_events
from kubernaut.devcluster.workloads.replicaset import ReplicaSetFacts, decide_replica_set
from kubernaut.devcluster.workloads.statefulset import (
    CONTROLLER_REVISIONS,
    StatefulSetFacts,
    decide_stateful_set,
)

_log = logging.getLogger(__name__)

_DEFAULT_LOSSES = LossSettings()

_WATCHED = (
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    JOBS,
    PODS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    RESOURCE_QUOTAS,
    DAEMON_SETS,
    POD_DISRUPTION_BUDGETS,
    NODES,
)
_OWNERS = {
    "Deployment": DEPLOYMENTS,
    "ReplicaSet": REPLICA_SETS,
    "StatefulSet": STATEFUL_SETS,
    "DaemonSet": DAEMON_SETS,
    "Job": JOBS,
}
_BUDGETED = frozenset({PODS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS})
"""What budgets count or are a share of."""
_UNDECIDED = frozenset({PODS, NODES})
"""Watched for what they mean to others."""
_NAMES = {
    DEPLOYMENTS: "deployment-controller",
    REPLICA_SETS: "replicaset-controller",
    STATEFUL_SETS: "statefulset-controller",
    JOBS: "job-controller",
    PERSISTENT_VOLUME_CLAIMS: "persistentvolume-controller",
    PERSISTENT_VOLUMES: "persistentvolume-controller",
    PODS: "job-controller",
    RESOURCE_QUOTAS: "resourcequota-controller",
    DAEMON_SETS: "daemonset-controller",
    POD_DISRUPTION_BUDGETS: "disruption-controller",
}


class Key(NamedTuple):
    """What a turn is about."""

    resource: str
    namespace: str
    name: str


class Workloads:
    """The controllers of workloads, claims, budgets and quotas, with time to live for Jobs."""

    def __init__(self, store: Store, clock: Clock, volumes_folder: Path) -> None:
        self._store = store
        self._clock = clock
        self._volumes = volumes_folder
        self._queue = KeyedQueue[Key](clock, backoff_base=1.0, backoff_cap=30.0)
        self._refusals: dict[Key, str] = {}
        self._recorders = {resource: Recorder(store, clock.now, name) for resource, name in _NAMES.items()}
        self._decide: dict[str, Callable[[Key, Object], Turn]] = {
            DEPLOYMENTS: self._deployment,
            REPLICA_SETS: self._replica_set,
            STATEFUL_SETS: self._stateful_set,
            JOBS: self._job,
            PERSISTENT_VOLUME_CLAIMS: self._claim,
            PERSISTENT_VOLUMES: self._volume,
            PODS: self._orphan,
            RESOURCE_QUOTAS: lambda _, quota: decide_quota(self._store, quota),
            DAEMON_SETS: self._daemon_set,
            POD_DISRUPTION_BUDGETS: lambda _, budget: decide_budget(self._store, budget),
        }

    async def run(self) -> None:
        """Until cancelled."""
        stop = self._store.subscribe(self._note, _WATCHED)
        try:
            for pod in self._store.list(PODS).items:
                if TRACKING in items(pod, "metadata", "finalizers"):
                    self._queue.add(Key(PODS, namespace_of(pod), pod["metadata"]["name"]))
            for resource in _WATCHED:
                for obj in self._store.list(resource).items:
                    self._note(stores.Change("ADDED", resource, 0, obj, None))
            while True:
                async with self._queue.turn() as key:
                    self._turn(key)
                # A burst of work must not keep API requests and pods waiting.
                await self._clock.sleep(0)
        finally:
            stop()
            self._queue.shutdown()

    # -- who must look -----------------------------------------------------------------------------

    def _note(self, change: stores.Change) -> None:
        obj = change.object
        if change.resource not in _UNDECIDED:
            self._queue.add(Key(change.resource, namespace_of(obj), obj["metadata"]["name"]))
        if change.resource == JOBS and change.type == "DELETED":
            # Its pods keep a finalizer that now nobody else takes away.
            for pod in self._owned(obj, PODS):
                self._queue.add(Key(PODS, namespace_of(pod), pod["metadata"]["name"]))
        for state in (obj, change.old):
            if state is not None:
                self._note_owner(state)
        if change.resource == PODS:
            if (
                TRACKING in items(obj, "metadata", "finalizers")
                and (controller_of(obj) or {}).get("kind") != "Job"
            ):
                self._queue.add(Key(PODS, namespace_of(obj), obj["metadata"]["name"]))
            for claim in volumes.claims_of(obj):
                self._queue.add(Key(PERSISTENT_VOLUME_CLAIMS, namespace_of(obj), claim))
            if change.type == "DELETED":
                self._note_deployment_of(obj)
        elif change.resource == PERSISTENT_VOLUME_CLAIMS and change.type == "DELETED":
            name = obj["spec"].get("volumeName")
            if name:
                self._queue.add(Key(PERSISTENT_VOLUMES, "", name))
        if change.resource in _BUDGETED:
            self._note_all(POD_DISRUPTION_BUDGETS, namespace_of(obj))
        if change.resource == NODES:
            self._note_all(DAEMON_SETS)
        if change.resource == PERSISTENT_VOLUMES:
            self._note_waiting_claims()
        if change.resource in {PODS, JOBS}:
            for quota in self._store.list(RESOURCE_QUOTAS, namespace_of(obj)).items:
                self._queue.add(Key(RESOURCE_QUOTAS, namespace_of(obj), quota["metadata"]["name"]))
        if change.type == "DELETED" or change.resource == RESOURCE_QUOTAS:
            self._note_refused(namespace_of(obj))
        if change.resource in {PODS, REPLICA_SETS} and controller_of(obj) is None:
            self._note_adopters(change.resource, obj)

    def _note_all(self, resource: str, namespace: str | None = None) -> None:
        for obj in self._store.list(resource, namespace).items:
            self._queue.add(Key(resource, namespace_of(obj), obj["metadata"]["name"]))

    def _note_waiting_claims(self) -> None:
        for claim in self._store.list(PERSISTENT_VOLUME_CLAIMS).items:
            if part(claim, "status").get("phase") != "Bound":
                self._queue.add(Key(PERSISTENT_VOLUME_CLAIMS, namespace_of(claim), claim["metadata"]["name"]))

    def _note_refused(self, namespace: str) -> None:
        """There may be room now for what was refused."""
        for key in self._refusals:
            if key.namespace == namespace:
                self._queue.add(key)

    def _note_owner(self, obj: Object) -> None:
        owner = controller_of(obj)
        if owner is not None and owner["kind"] in _OWNERS:
            self._queue.add(Key(_OWNERS[owner["kind"]], namespace_of(obj), owner["name"]))

    def _note_deployment_of(self, pod: Object) -> None:
        # Recreate waits for the last old pod to be gone, of which no ReplicaSet status tells.
        owner = controller_of(pod)
        if owner is not None and owner["kind"] == "ReplicaSet":
            found = peek(self._store, REPLICA_SETS, owner["name"], namespace_of(pod))
            if found is not None:
                self._note_owner(found)

    def _note_adopters(self, resource: str, orphan: Object) -> None:
        adopters = DEPLOYMENTS if resource == REPLICA_SETS else REPLICA_SETS
        namespace = namespace_of(orphan)
        for candidate in self._store.list(adopters, namespace).items:
            if selects(candidate["spec"].get("selector"), orphan):
                self._queue.add(Key(adopters, namespace, candidate["metadata"]["name"]))

    # -- one turn ----------------------------------------------------------------------------------

    def _turn(self, key: Key) -> None:
        found = peek(self._store, key.resource, key.name, key.namespace)
        if found is None:
            self._gone(key)
            return
        try:
            turn = self._decide[key.resource](key, found)
            refused = self._apply(key, turn)
            if refused:
                self._refusals[key] = refused
                # Say so in the status, now that it is known, on top of what this turn has written.
                found = peek(self._store, key.resource, key.name, key.namespace) or found
                again = self._decide[key.resource](key, found)
                self._apply(key, Turn(tuple(c for c in again.changes if isinstance(c, SetStatus))))
        except Exception:  # noqa: BLE001 - the edge of a turn
            # One object that cannot be handled must not stop all others.
            _log.exception("turn failed", extra={"key": "/".join(key)})
            self._queue.retry(key)
            return
        if turn.look_again is not None:
            self._queue.add_after(key, turn.look_again)
        if refused:
            self._queue.retry(key)
        else:
            self._queue.forget(key)

    def _apply(self, key: Key, turn: Turn) -> str:
        """Carry out the changes; why a creation was refused, or empty."""
        refused = ""
        for change in turn.changes:
            if refused and isinstance(change, Create | SetStatus):
                continue
            refused = self._apply_one(key, change) or refused
            if isinstance(change, Create) and not refused:
                self._refusals.pop(key, None)
        return refused

    def _apply_one(self, key: Key, change: Create | Merge | SetStatus | Delete | Tell) -> str:
        store, write = self._store, Write(manager=_NAMES[key.resource])
        try:
            match change:
                case Create():
                    return self._create(key, change, write)
                case Merge(resource, namespace, name, patch):
                    store.patch(resource, name, namespace, copied(dict(patch)), write=write)
                case SetStatus(resource, namespace, name, status):
                    wanted = copied(dict(status))

                    def replaced(obj: Object) -> None:
                        obj["status"] = wanted

                    store.edit(resource, name, namespace, replaced, subresource="status", write=write)
                case Delete():
                    store.delete(
                        change.resource,
                        change.name,
                        change.namespace,
                        uid=change.uid,
                        propagation=change.propagation,
                        write=write,
                    )
                case Tell(about, type_, reason, message):
                    self._recorders[key.resource].tell(about, type_, reason, message)
        except (NotFound, Conflict):
            pass  # gone meanwhile, or another of its name: the next turn sees it
        return ""

    def _create(self, key: Key, change: Create, write: Write) -> str:
        recorder = self._recorders[key.resource]
        try:
            made = self._store.create(
                change.resource, change.body, change.body["metadata"].get("namespace"), write
            )
        except ApiError as error:
            if isinstance(error, AlreadyExists) and change.refused is None:
                return ""
            if (told := change.refused) is not None:
                recorder.tell(told.about, told.type, told.reason, f"{told.message}{error.message}")
            return error.message
        if (told := change.created) is not None:
            message = told.message.replace("{name}", made["metadata"]["name"])
            recorder.tell(told.about, told.type, told.reason, message)
        return ""

    def _gone(self, key: Key) -> None:
        self._refusals.pop(key, None)
        self._queue.forget(key)
        if key.resource == PERSISTENT_VOLUMES:
            shutil.rmtree(self._volumes / key.name, ignore_errors=True)

    # -- what each kind decides on -----------------------------------------------------------------

    def _deployment(self, key: Key, deployment: Object) -> Turn:
        sets = self._store.list(REPLICA_SETS, key.namespace).items
        pods = [pod for rs in sets for pod in self._owned(rs, PODS)]
        refusal = self._refusals.get(key, "") or self._refusal_of(sets, deployment)
        return decide_deployment(DeploymentFacts(self._clock.now(), deployment, sets, pods, refusal))

    def _refusal_of(self, sets: Iterable[Object], deployment: Object) -> str:
        mine = [rs for rs in sets if (controller_of(rs) or {}).get("uid") == deployment["metadata"]["uid"]]
        for rs in reversed(mine):
            for condition in parts(rs, "status", "conditions"):
                if condition["type"] == "ReplicaFailure":
                    return str(condition["message"])
        return ""

    def _replica_set(self, key: Key, replica_set: Object) -> Turn:
        pods = self._store.list(PODS, key.namespace).items
        refusal = self._refusals.get(key, "")
        return decide_replica_set(ReplicaSetFacts(self._clock.now(), replica_set, pods, refusal))

    def _stateful_set(self, key: Key, stateful_set: Object) -> Turn:
        pods = self._store.list(PODS, key.namespace).items
        revisions = self._owned(stateful_set, CONTROLLER_REVISIONS)
        claims = self._store.list(PERSISTENT_VOLUME_CLAIMS, key.namespace).items
        facts = StatefulSetFacts(self._clock.now(), stateful_set, pods, revisions, claims)
        return decide_stateful_set(facts)

    def _daemon_set(self, key: Key, daemon_set: Object) -> Turn:
        nodes, pods = self._store.list(NODES).items, self._store.list(PODS, key.namespace).items
        revisions = self._owned(daemon_set, CONTROLLER_REVISIONS)
        return decide_daemon_set(DaemonSetFacts(self._clock.now(), daemon_set, nodes, pods, revisions))

    def _job(self, key: Key, job: Object) -> Turn:
        now = self._clock.now()
        left = seconds_until_removal(job, now)
        if left == 0:
            gone = Delete(JOBS, key.namespace, key.name, job["metadata"]["uid"], "Foreground")
            return Turn((gone,))
        pods = self._owned(job, PODS)
        turn = decide_job(JobFacts(now, job, pods, self._refusals.get(key, "")))
        return turn if left is None else Turn(turn.changes, left)

    def _claim(self, key: Key, claim: Object) -> Turn:
        name = volumes.volume_name(claim)
        facts = volumes.ClaimFacts(
            now=self._clock.now(),
            claim=claim,
            pods=self._store.list(PODS, key.namespace).items,
            classes={c["metadata"]["name"]: c for c in self._store.list(STORAGE_CLASSES).items},
            folder=str(self._volumes / name),
            volumes=self._store.list(PERSISTENT_VOLUMES).items,
        )
        turn = volumes.decide_claim(facts)
        if any(isinstance(change, Create) for change in turn.changes):
            (self._volumes / name).mkdir(parents=True, exist_ok=True)
        return turn

    def _volume(self, key: Key, volume: Object) -> Turn:
        reference = part(volume, "spec", "claimRef")
        name, namespace = reference.get("name", ""), reference.get("namespace", "")
        return volumes.decide_volume(volume, peek(self._store, PERSISTENT_VOLUME_CLAIMS, name, namespace))

    def _orphan(self, key: Key, pod: Object) -> Turn:
        """A pod that a Job tracked, when that Job is gone or has let it go."""
        owner = controller_of(pod)
        if owner is not None and owner["kind"] == "Job":
            job = peek(self._store, JOBS, owner["name"], key.namespace)
            if job is not None and job["metadata"]["uid"] == owner["uid"]:
                return Turn()
        return Turn(tuple(without_tracking(pod)))

    def _owned(self, owner: Object, resource: str) -> list[Object]:
        owned = self._store.dependents(owner["metadata"]["uid"])
        return [obj for key, obj in owned if key == resource]


def start_workloads(
    store: Store,
    supervisor: Supervisor,
    clock: Clock,
    volumes_folder: Path,
    losses: LossSettings = _DEFAULT_LOSSES,
) -> Workloads:
    """Start the controllers as tasks of the supervisor; volumes lie in the folder."""
    workloads = Workloads(store, clock, volumes_folder)
    ensure_storage_class(store)
    store.validating += [refuse_over_quota, refuse_growth]
    supervisor.start("workloads", workloads.run(), eternal=True)
    supervisor.start("node lifecycle", NodeLifecycle(store, clock, losses).run(), eternal=True)
    supervisor.start("pod collector", PodCollector(store, clock, losses).run(), eternal=True)
    supervisor.start("events", forget_events(store, clock), eternal=True)
    return workloads


def ensure_storage_class(store: Store) -> None:
    """The default class that claims without one get."""
    body: Object = {
        "metadata": {
            "name": volumes.DEFAULT_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": volumes.PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }
    if store.find(STORAGE_CLASSES, volumes.DEFAULT_CLASS) is None:
        store.create(STORAGE_CLASSES, body)
