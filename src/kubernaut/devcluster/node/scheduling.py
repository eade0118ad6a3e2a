"""Which node a pod goes to, and the words for why none will have it. PURE.

Knows names, selectors, required node affinity on labels, cordons, NoSchedule taints, and resource
requests. Not here: preferences, spreading, preemption.
Source of the wording: k8s.io/kubernetes pkg/scheduler (FitError).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from kubernaut.devcluster.node.requests import requests_of
from kubernaut.devcluster.objects import Object, labels_of
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.workloads.node_health import tolerates
from kubernaut.devcluster.workloads.reading import items, part, parts

_CORDON = "node.kubernetes.io/unschedulable"


@dataclass(frozen=True, slots=True)
class Seat:
    """A node, and what the pods on it have asked for."""

    node: Object
    taken: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pod goes; or why it cannot."""

    node: str = ""
    reason: str = ""


def place(pod: Object, seats: Sequence[Seat]) -> Placement:
    """The node with the fewest pods among those that fit."""
    against = {seat.node["metadata"]["name"]: why_not(pod, seat) for seat in seats}
    fitting = [seat for seat in seats if not against[seat.node["metadata"]["name"]]]
    if fitting:
        best = min(fitting, key=lambda s: (s.taken.get("pods", 0), s.node["metadata"]["name"]))
        return Placement(node=best.node["metadata"]["name"])
    counted = sorted(Counter(against.values()).items())
    told = ", ".join(f"{number} {reason}" for reason, number in counted)
    said = f"0/{len(seats)} nodes are available: {told}." if seats else "no nodes available to schedule pods"
    return Placement(reason=said)


def why_not(pod: Object, seat: Seat) -> str:
    """Empty when the pod fits."""
    node, spec = seat.node, pod["spec"]
    if node["spec"].get("unschedulable") and not _tolerates(pod, {"key": _CORDON, "effect": "NoSchedule"}):
        return "node(s) were unschedulable"
    for taint in parts(node, "spec", "taints"):
        if taint.get("effect") != "PreferNoSchedule" and not _tolerates(pod, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    wanted: Mapping[str, str] = part(spec, "nodeSelector")
    if not wanted.items() <= labels_of(node).items() or not _likes(pod, node):
        return "node(s) didn't match Pod's node affinity/selector"
    return _lacking(pod, seat)


def _tolerates(pod: Object, taint: Object) -> bool:
    return any(tolerates(toleration, taint) for toleration in parts(pod, "spec", "tolerations"))


def _likes(pod: Object, node: Object) -> bool:
    affinity = part(pod, "spec", "affinity", "nodeAffinity")
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(_term_holds(term, node) for term in parts(required, "nodeSelectorTerms"))


def _term_holds(term: Object, node: Object) -> bool:
    labels, fields = labels_of(node), {"metadata.name": node["metadata"]["name"]}
    rules = [(rule, labels) for rule in parts(term, "matchExpressions")]
    rules += [(rule, fields) for rule in parts(term, "matchFields")]
    return bool(rules) and all(_rule_holds(rule, values) for rule, values in rules)


def _rule_holds(rule: Object, have: Mapping[str, str]) -> bool:
    value, values = have.get(rule["key"]), items(rule, "values")
    match rule["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and value.isdigit() and int(value) > int(values[0])
        case _:  # Lt
            return value is not None and value.isdigit() and int(value) < int(values[0])


def _lacking(pod: Object, seat: Seat) -> str:
    allocatable: Mapping[str, str] = part(seat.node, "status", "allocatable")
    asked = {"pods": Decimal(1), **requests_of(pod)}
    for resource, amount in asked.items():
        free = parse_quantity(allocatable.get(resource, "0")) - seat.taken.get(resource, Decimal(0))
        if amount > free:
            return "Too many pods" if resource == "pods" else f"Insufficient {resource}"
    return ""
