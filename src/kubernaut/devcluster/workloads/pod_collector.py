"""Ends pods that nobody else will end: their node is gone, they never had one, or there are too many.

Source of the rules: k8s.io/kubernetes pkg/controller/podgc. Not here: nodes marked out of service.
"""

import contextlib
from collections.abc import Sequence

from kubernaut.concurrency import Clock
from kubernaut.devcluster.disruption import NODE_GONE, Disruption, mark_disrupted
from kubernaut.devcluster.errors import ApiError
from kubernaut.devcluster.objects import Object, is_deleting, name_of, namespace_of, uid_of
from kubernaut.devcluster.resources import NODES, PODS
from kubernaut.devcluster.store import Store, Write
from kubernaut.devcluster.workloads.losses import LossSettings
from kubernaut.devcluster.workloads.pods import is_finished

_WRITE = Write(manager="kube-controller-manager")


class PodCollector:
    """Looks at all pods every few seconds."""

    def __init__(self, store: Store, clock: Clock, settings: LossSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._missed: dict[str, float] = {}
        """Node without an object -> when (monotonic) that was first seen."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(self._settings.collect)
            self.collect()

    def collect(self) -> None:
        pods = self._store.list(PODS).items
        gone = self._gone_nodes(pods)
        for pod in pods:
            if _node_of(pod) in gone:
                self._end(pod, NODE_GONE)
            elif is_deleting(pod) and not _node_of(pod):
                self._end(pod)
        finished = sorted((pod for pod in pods if is_finished(pod)), key=_age)
        for pod in finished[: max(0, len(finished) - self._settings.kept_pods)]:
            self._end(pod)

    def _gone_nodes(self, pods: Sequence[Object]) -> set[str]:
        """Nodes that pods name and that have been away for as long as one may be away."""
        there = {name_of(node) for node in self._store.list(NODES).items}
        missing = {name for pod in pods if (name := _node_of(pod)) and name not in there}
        now = self._clock.monotonic()
        self._missed = {name: self._missed.get(name, now) for name in missing}
        return {name for name, since in self._missed.items() if now - since >= self._settings.quarantine}

    def _end(self, pod: Object, why: Disruption | None = None) -> None:
        """Failed, if it had not ended, and gone without grace: there is nobody to wait for."""

        def ended(found: Object) -> None:
            if why is not None:
                mark_disrupted(found, why, self._clock.now())
            if not is_finished(found):
                found.setdefault("status", {})["phase"] = "Failed"

        place = (PODS, name_of(pod), namespace_of(pod))
        with contextlib.suppress(ApiError):  # gone meanwhile, or another of its name
            self._store.edit(*place, ended, subresource="status", write=_WRITE)
            self._store.delete(*place, uid=uid_of(pod), grace=0, write=_WRITE)


def _node_of(pod: Object) -> str:
    return str(pod["spec"].get("nodeName") or "")


def _age(pod: Object) -> str:
    return str(pod["metadata"]["creationTimestamp"])
