"""Lost nodes and what was on them: the node lifecycle controller with its taint eviction.

It looks at all nodes every few seconds. How long a node has been silent is counted in looks, not read
from a clock: while this process did not run (a laptop that slept) no node could be heard either.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kubernaut.concurrency import Clock
from kubernaut.devcluster.disruption import TAINT, mark_disrupted
from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.objects import Object, name_of, namespace_of, uid_of
from kubernaut.devcluster.resources import LEASES, NODES, PODS
from kubernaut.devcluster.store import Store, Write
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.node_health import (
    readiness_of,
    seconds_until_eviction,
    taints_of,
    unknown_conditions,
)
from kubernaut.devcluster.workloads.pods import condition_of, is_ready
from kubernaut.devcluster.workloads.reading import part, parts, peek
from kubernaut.devcluster.workloads.recorder import Recorder

_LEASE_NAMESPACE = "kube-node-lease"


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Periods as kube-controller-manager has them by default, in seconds."""

    look: float = 5.0
    """Between two looks at the nodes."""
    grace: float = 50.0
    """A node that is silent for longer is not Ready."""
    collect: float = 20.0
    """Between two looks for pods that nobody will end."""
    quarantine: float = 40.0
    """How long pods outlive their Node object, which may be on its way."""
    kept_pods: int = 12500
    """How many finished pods may stay."""


class NodeLifecycle:
    """Says which nodes are lost, and sends pods away from them."""

    def __init__(self, store: Store, clock: Clock, settings: LossSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._write = Write(manager="node-controller")
        self._recorder = Recorder(store, clock.now, "node-controller")
        self._evictions = Recorder(store, clock.now, "taint-eviction-controller")
        self._heard: dict[str, tuple[str, int]] = {}
        """Node -> what was last heard of it, and how many looks have passed since."""
        self._seen: dict[str, dict[str, str]] = {}
        """Node -> its taints, and when each was first seen."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(self._settings.look)
            self.look()

    def look(self) -> None:
        nodes = self._store.list(NODES).items
        self._heard = {name_of(node): self._heard.get(name_of(node), ("", 0)) for node in nodes}
        for node in nodes:
            if self._is_silent(node) and readiness_of(node) != "Unknown":
                self._lose(node)
        nodes = self._store.list(NODES).items
        # Where all are lost it is more likely that nobody hears them: pods stay.
        evicts = any(readiness_of(node) == "True" for node in nodes)
        for node in nodes:
            taints = taints_of(node, self._clock.now(), evicts=evicts)
            if taints != parts(node, "spec", "taints"):
                self._store.patch(
                    NODES, name_of(node), None, {"spec": {"taints": taints or None}}, write=self._write
                )
            if any(taint["effect"] == "NoExecute" for taint in taints):
                self._evict(name_of(node), self._dated(name_of(node), taints))
            else:
                self._seen.pop(name_of(node), None)

    def _dated(self, node: str, taints: list[Object]) -> list[Object]:
        """With the time at which it was first seen, where nobody has written when it came."""
        now, before = moments.to_text(self._clock.now()), self._seen.get(node, {})
        keys = [f"{taint['key']}={taint.get('value', '')}:{taint['effect']}" for taint in taints]
        self._seen[node] = {key: before.get(key, now) for key in keys}
        return [{"timeAdded": self._seen[node][key], **taint} for key, taint in zip(keys, taints, strict=True)]

    def _is_silent(self, node: Object) -> bool:
        name = name_of(node)
        lease = peek(self._store, LEASES, name, _LEASE_NAMESPACE)
        beat = (condition_of(node, "Ready") or {}).get("lastHeartbeatTime", "")
        heard = f"{part(lease, 'spec').get('renewTime', '')} {beat}"
        last, looks = self._heard[name]
        self._heard[name] = (heard, looks + 1 if heard == last else 0)
        return self._heard[name][1] * self._settings.look > self._settings.grace

    def _lose(self, node: Object) -> None:
        name, conditions = name_of(node), unknown_conditions(node, self._clock.now())

        def silent(found: Object) -> None:
            found["status"]["conditions"] = conditions

        self._store.edit(NODES, name, None, silent, subresource="status", write=self._write)
        self._recorder.tell(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        for pod in self._on(name):
            if is_ready(pod):
                self._edit_status(pod, self._not_ready)
                self._recorder.tell(pod, "Warning", "NodeNotReady", "Node is not ready")

    def _not_ready(self, pod: Object) -> None:
        ready = condition_of(pod, "Ready")
        assert ready is not None
        ready["status"] = "False"
        ready["lastTransitionTime"] = moments.to_text(self._clock.now())

    def _evict(self, node: str, taints: list[Object]) -> None:
        now = self._clock.now()
        for pod in list(self._on(node)):
            left = seconds_until_eviction(pod, taints, now)
            if pod["metadata"].get("deletionTimestamp") or left is None or left > 0:
                continue
            said = f"Marking for deletion Pod {namespace_of(pod)}/{name_of(pod)}"
            self._evictions.tell(pod, "Normal", "TaintManagerEviction", said)
            self._edit_status(pod, lambda found: mark_disrupted(found, TAINT, now))
            with contextlib.suppress(ApiError):
                self._store.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod), write=self._write)

    def _on(self, node: str) -> Iterable[Object]:
        return (pod for pod in self._store.list(PODS).items if pod["spec"].get("nodeName") == node)

    def _edit_status(self, pod: Object, change: Callable[[Object], None]) -> None:
        place = (PODS, name_of(pod), namespace_of(pod))
        self._store.edit(*place, change, subresource="status", write=self._write)
