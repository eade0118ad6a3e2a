"""Why a pod is taken away, said in its status before it goes.

Source of reasons and wording: k8s.io/kubernetes pkg/registry/core/pod/storage/eviction.go,
pkg/controller/tainteviction and pkg/controller/podgc.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .metadata import timestamp
from .objects import Object, list_at

DISRUPTION_TARGET = "DisruptionTarget"


@dataclass(frozen=True, slots=True)
class Disruption:
    """Who takes a pod away."""

    reason: str
    message: str
    observes: bool = True
    """Whether the condition tells the pod's generation: the API server's own does not."""


EVICTION = Disruption("EvictionByEvictionAPI", "Eviction API: evicting", observes=False)
TAINT = Disruption("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
NODE_GONE = Disruption("DeletionByPodGC", "PodGC: node no longer exists")


def mark_disrupted(pod: Object, why: Disruption, now: datetime) -> None:
    """Put the condition into a pod's status; one that is True already keeps its time."""
    conditions: list[Object] = list_at(pod, "status", "conditions")
    held = next((c for c in conditions if c.get("type") == DISRUPTION_TARGET), None)
    since = held.get("lastTransitionTime") if held is not None and held.get("status") == "True" else None
    made: Object = {
        "type": DISRUPTION_TARGET,
        "status": "True",
        "reason": why.reason,
        "message": why.message,
        "lastProbeTime": None,
        "lastTransitionTime": since or timestamp(now),
    }
    if why.observes and pod["metadata"].get("generation"):
        made["observedGeneration"] = pod["metadata"]["generation"]
    pod.setdefault("status", {})["conditions"] = [*(c for c in conditions if c is not held), made]
