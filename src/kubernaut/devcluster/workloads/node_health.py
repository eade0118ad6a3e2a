"""What a node's silence leads to: conditions, taints, and pods that must leave it. PURE.

Source of the rules and of the wording: k8s.io/kubernetes pkg/controller/nodelifecycle and
pkg/controller/tainteviction. Not here: zones and rates, and taints of pressures.
"""

from collections.abc import Sequence
from datetime import datetime

from kubernaut.devcluster.objects import Object, copied
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.pods import condition_of
from kubernaut.devcluster.workloads.reading import part, parts

_REPORTED = frozenset({"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"})
_UNREACHABLE = "node.kubernetes.io/unreachable"
_NOT_READY = "node.kubernetes.io/not-ready"
_CORDONED = "node.kubernetes.io/unschedulable"
_OURS = frozenset({_UNREACHABLE, _NOT_READY, _CORDONED})


def readiness_of(node: Object) -> str:
    """True, False or Unknown."""
    return str((condition_of(node, "Ready") or {}).get("status", "Unknown"))


def unknown_conditions(node: Object, now: datetime) -> list[Object]:
    """The node's conditions when nothing is heard of it any more."""
    conditions = [copied(c) for c in parts(node, "status", "conditions")]
    for held in conditions:
        if held["type"] in _REPORTED and held["status"] != "Unknown":
            held["status"] = "Unknown"
            held["reason"] = "NodeStatusUnknown"
            held["message"] = "Kubelet stopped posting node status."
            held["lastTransitionTime"] = moments.to_text(now)
    return conditions


def taints_of(node: Object, now: datetime, *, evicts: bool) -> list[Object]:
    """The node's taints as its readiness and its cordon want them; those of others stay.

    Without `evicts` pods are kept away, but not sent away.
    """
    held: list[Object] = parts(node, "spec", "taints")
    key = {"True": "", "False": _NOT_READY}.get(readiness_of(node), _UNREACHABLE)
    effects = (("NoSchedule", "NoExecute") if evicts else ("NoSchedule",)) if key else ()
    made = [{"key": key, "effect": effect, "timeAdded": moments.to_text(now)} for effect in effects]
    if part(node, "spec").get("unschedulable"):
        made.append({"key": _CORDONED, "effect": "NoSchedule", "timeAdded": moments.to_text(now)})
    known = {(taint["key"], taint["effect"]): taint for taint in held}
    others = [taint for taint in held if taint["key"] not in _OURS]
    return [*others, *(known.get((taint["key"], taint["effect"]), taint) for taint in made)]


def seconds_until_eviction(pod: Object, taints: Sequence[Object], now: datetime) -> float | None:
    """How long a pod may stay on a node with these taints; None when for ever."""
    left: float | None = None
    for taint in taints:
        if taint["effect"] != "NoExecute":
            continue
        tolerations = [t for t in parts(pod, "spec", "tolerations") if tolerates(t, taint)]
        if not tolerations:
            return 0.0
        limits = [float(t["tolerationSeconds"]) for t in tolerations if t.get("tolerationSeconds") is not None]
        if limits:
            since = taint.get("timeAdded")
            here = max(0.0, min(limits) - (moments.seconds_since(since, now) if since else 0.0))
            left = here if left is None else min(left, here)
    return left


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether one toleration covers one taint."""
    if toleration.get("effect") not in {None, "", taint.get("effect")}:
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    same = (toleration.get("value") or "") == (taint.get("value") or "")
    return bool(toleration["key"] == taint["key"] and (exists or same))
