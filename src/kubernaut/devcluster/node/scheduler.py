"""Gives pods a node. The decision is in `scheduling`; here is who waits, and what wakes them."""

from collections.abc import Mapping
from decimal import Decimal

from kubernaut.concurrency import Clock, KeyedQueue
from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.node.requests import requests_of
from kubernaut.devcluster.node.scheduling import Seat, is_picky, place
from kubernaut.devcluster.objects import Object, copied, namespace_of, uid_of
from kubernaut.devcluster.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from kubernaut.devcluster.store import Change, Store, Write
from kubernaut.devcluster.workloads.pods import condition, condition_of, is_finished
from kubernaut.devcluster.workloads.reading import part, parts, peek
from kubernaut.devcluster.workloads.recorder import Recorder
from kubernaut.devcluster.workloads.volumes import claims_of

_WRITE = Write(manager="kube-scheduler")
_DEFAULT = "default-scheduler"
_Place = tuple[str, str]


class Scheduler:
    """Binds pending pods, in the order of their arrival."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._recorder = Recorder(store, clock.now, _DEFAULT)
        self._queue = KeyedQueue[_Place](clock)
        self._waiting: set[_Place] = set()
        """Pods that found no node; tried again when something has changed for the better."""
        self._seated: dict[str, tuple[str, Mapping[str, Decimal]]] = {}
        """Pod uid -> its node and what it asks, for all pods that have not ended."""
        self._taken: dict[str, dict[str, Decimal]] = {}
        self._pods: dict[str, dict[str, Object]] = {}
        """Node -> its pods by uid."""
        self._picky: dict[str, dict[str, Object]] = {}
        """The same, of those that others have to heed."""

    async def run(self) -> None:
        """Until cancelled."""
        stop = self._store.subscribe(self._note, (PODS, NODES, PERSISTENT_VOLUME_CLAIMS))
        try:
            for pod in self._store.list(PODS).items:
                self._note(Change("ADDED", PODS, 0, pod, None))
            while True:
                async with self._queue.turn() as at:
                    self._turn(at)
                await self._clock.sleep(0)
        finally:
            stop()
            self._queue.shutdown()

    def _note(self, change: Change) -> None:
        if change.resource != PODS:
            self._wake_all()
            return
        pod, at = change.object, change.place
        gone = change.type == "DELETED" or is_finished(pod)
        if gone or not pod["spec"].get("nodeName"):
            if self._leave(uid_of(pod)):
                self._wake_all()
        else:
            self._sit(pod)
        if change.type == "DELETED":
            self._waiting.discard(at)
        elif (change.old is None or pod["spec"] != change.old["spec"]) and _wants_node(pod):
            self._queue.add(at)

    def _sit(self, pod: Object) -> None:
        self._pods.setdefault(pod["spec"]["nodeName"], {})[uid_of(pod)] = pod
        if is_picky(pod):
            self._picky.setdefault(pod["spec"]["nodeName"], {})[uid_of(pod)] = pod
        if uid_of(pod) in self._seated:
            return
        node, asked = pod["spec"]["nodeName"], {"pods": Decimal(1), **requests_of(pod)}
        self._seated[uid_of(pod)] = (node, asked)
        taken = self._taken.setdefault(node, {})
        for resource, amount in asked.items():
            taken[resource] = taken.get(resource, Decimal(0)) + amount

    def _leave(self, uid: str) -> bool:
        node, asked = self._seated.pop(uid, ("", {}))
        for resource, amount in asked.items():
            self._taken[node][resource] -= amount
        self._pods.get(node, {}).pop(uid, None)
        self._picky.get(node, {}).pop(uid, None)
        return bool(node)

    def _wake_all(self) -> None:
        for at in self._waiting:
            self._queue.add(at)
        self._waiting.clear()

    def _turn(self, at: _Place) -> None:
        pod = peek(self._store, PODS, at[1], at[0])
        if pod is None or not _wants_node(pod):
            return
        missing = self._missing_claim(pod)
        if missing:
            self._refuse(pod, f"0/{len(self._seats())} nodes are available: {missing}.")
            return
        placement = place(pod, self._seats(), self._volumes(pod))
        if placement.node:
            self._bind(pod, placement.node)
        else:
            self._refuse(pod, placement.reason)

    def _seats(self) -> list[Seat]:
        nodes = self._store.list(NODES).items
        return [
            Seat(
                node,
                self._taken.get(name, {}),
                tuple(self._pods.get(name, {}).values()),
                tuple(self._picky.get(name, {}).values()),
            )
            for node in nodes
            if (name := str(node["metadata"]["name"]))
        ]

    def _volumes(self, pod: Object) -> list[Object]:
        """Those that its claims are bound to."""
        found: list[Object] = []
        for name in claims_of(pod):
            claim = peek(self._store, PERSISTENT_VOLUME_CLAIMS, name, namespace_of(pod))
            volume = str(part(claim, "spec").get("volumeName") or "")
            if volume and (bound := peek(self._store, PERSISTENT_VOLUMES, volume)) is not None:
                found.append(bound)
        return found

    def _missing_claim(self, pod: Object) -> str:
        for name in claims_of(pod):
            claim = peek(self._store, PERSISTENT_VOLUME_CLAIMS, name, namespace_of(pod))
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if claim["metadata"].get("deletionTimestamp"):
                return f'persistentvolumeclaim "{name}" is being deleted'
        return ""

    def _bind(self, pod: Object, node: str) -> None:
        def bound(obj: Object) -> None:
            obj["spec"]["nodeName"] = node

        name, namespace = pod["metadata"]["name"], namespace_of(pod)
        try:
            self._store.edit(PODS, name, namespace, bound, write=_WRITE)
        except ApiError:
            return  # it is going away
        said = f"Successfully assigned {namespace}/{name} to {node}"
        self._recorder.tell(pod, "Normal", "Scheduled", said)

    def _refuse(self, pod: Object, reason: str) -> None:
        name, namespace = pod["metadata"]["name"], namespace_of(pod)
        self._waiting.add((namespace, name))
        new = condition("PodScheduled", "False", "Unschedulable", reason, self._clock.now())
        old: list[Object] = [copied(c) for c in parts(pod, "status", "conditions") if c["type"] != "PodScheduled"]

        def refused(obj: Object) -> None:
            obj["status"] = {**obj["status"], "phase": "Pending", "conditions": [*old, new]}

        was = condition_of(pod, "PodScheduled")
        if was is None or was.get("message") != reason:
            self._store.edit_status(PODS, name, namespace, refused)
        self._recorder.tell(pod, "Warning", "FailedScheduling", reason)


def _wants_node(pod: Object) -> bool:
    spec, meta = pod["spec"], pod["metadata"]
    return (
        not spec.get("nodeName")
        and not meta.get("deletionTimestamp")
        and not is_finished(pod)
        and (spec.get("schedulerName") or _DEFAULT) == _DEFAULT
        and not spec.get("schedulingGates")
    )
