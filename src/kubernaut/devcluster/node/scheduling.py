"""Which node a pod goes to, and the words for why none will have it. PURE.

Knows names, selectors, required affinity to nodes and to pods, cordons, taints, host ports, resource requests, and
where volumes lie. Not here: preferences, spreading, preemption.
Source of rules and words: k8s.io/kubernetes 1.36 pkg/scheduler (framework/plugins, preemption, FitError).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from kubernaut.devcluster.node.requests import requests_of
from kubernaut.devcluster.objects import Object, labels_of, namespace_of
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.selectors import selects
from kubernaut.devcluster.workloads.node_health import tolerates
from kubernaut.devcluster.workloads.placing import suits
from kubernaut.devcluster.workloads.reading import items, part, parts

_CORDON = "node.kubernetes.io/unschedulable"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Seat:
    """A node, and what the pods on it have asked for."""

    node: Object
    taken: Mapping[str, Decimal]
    pods: Sequence[Object] = ()
    """Those on it that have not ended."""
    picky: Sequence[Object] = ()
    """Those of them that are `is_picky`: few, as a rule, while there may be a thousand pods."""

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pod goes; or why it cannot."""

    node: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a node will not have a pod; none when it will."""

    reasons: tuple[str, ...] = ()
    may_pass: bool = False
    """Whether it could when others leave."""


@dataclass(frozen=True, slots=True)
class _Around:
    """What of all nodes matters to each."""

    seats: Sequence[Seat]
    volumes: Sequence[Object] = field(default_factory=tuple[Object, ...])


def place(pod: Object, seats: Sequence[Seat], volumes: Sequence[Object] = ()) -> Placement:
    """The node with the fewest pods among those that fit. `volumes`: those that the pod's claims are bound to."""
    if not seats:
        return Placement(reason="no nodes available to schedule pods")
    around = _Around(seats, volumes)
    against = {seat.name: _obstacle(pod, seat, around) for seat in seats}
    fitting = [seat for seat in seats if not against[seat.name].reasons]
    if fitting:
        return Placement(node=min(fitting, key=lambda s: (s.taken.get("pods", 0), s.name)).name)
    return Placement(reason=told(against.values()))


def is_picky(pod: Object) -> bool:
    """Whether a pod, once it has its place, keeps some others away by more than what it uses."""
    return bool(_ports_of(pod) or _terms(pod, "podAntiAffinity"))


def told(against: Iterable[Obstacle]) -> str:
    """A FitError's words, with those of the preemption that is tried in vain."""
    found = list(against)
    reasons = Counter(reason for obstacle in found for reason in obstacle.reasons)
    tried = Counter(
        "No preemption victims found for incoming pod"
        if obstacle.may_pass
        else "Preemption is not helpful for scheduling"
        for obstacle in found
    )
    first = f"0/{len(found)} nodes are available"
    return f"{first}: {_listed(reasons)}. no new claims to deallocate, preemption: {first}: {_listed(tried)}."


def _listed(counted: Counter[str]) -> str:
    return ", ".join(sorted(f"{number} {reason}" for reason, number in counted.items()))


def _obstacle(pod: Object, seat: Seat, around: _Around) -> Obstacle:
    """What the first filter that objects says, in the scheduler's order of them."""
    node, spec = seat.node, pod["spec"]
    if node["spec"].get("unschedulable") and not _tolerates(pod, {"key": _CORDON, "effect": "NoSchedule"}):
        return Obstacle(("node(s) were unschedulable",))
    for taint in parts(node, "spec", "taints"):
        if taint.get("effect") != "PreferNoSchedule" and not _tolerates(pod, taint):
            return Obstacle(("node(s) had untolerated taint(s)",))
    if not suits(spec, node):
        return Obstacle(("node(s) didn't match Pod's node affinity/selector",))
    if _ports_of(pod) & {port for other in seat.picky for port in _ports_of(other)}:
        return Obstacle(("node(s) didn't have free ports for the requested pod ports",), may_pass=True)
    lacking = _lacking(pod, seat)
    if lacking.reasons:
        return lacking
    if not all(_lies_on(volume, node) for volume in around.volumes):
        return Obstacle(("node(s) didn't match PersistentVolume's node affinity",))
    return _company(pod, seat, around)


def _tolerates(pod: Object, taint: Object) -> bool:
    return any(tolerates(toleration, taint) for toleration in parts(pod, "spec", "tolerations"))


def _ports_of(pod: Object) -> set[tuple[int, str]]:
    containers = parts(pod, "spec", "containers")
    ports = [port for container in containers for port in parts(container, "ports") if port.get("hostPort")]
    return {(int(port["hostPort"]), str(port.get("protocol") or "TCP")) for port in ports}


def _lacking(pod: Object, seat: Seat) -> Obstacle:
    allocatable: Mapping[str, str] = part(seat.node, "status", "allocatable")
    asked = {"pods": Decimal(1), **requests_of(pod)}
    reasons: list[str] = []
    may_pass = True
    for resource, amount in asked.items():
        whole = parse_quantity(allocatable.get(resource, "0"))
        if amount > 0 and amount > whole - seat.taken.get(resource, Decimal(0)):
            reasons.append("Too many pods" if resource == "pods" else f"Insufficient {resource}")
            may_pass = may_pass and (amount <= whole or resource == "pods")
    return Obstacle(tuple(reasons), may_pass=may_pass)


def _lies_on(volume: Object, node: Object) -> bool:
    required = part(volume, "spec", "nodeAffinity").get("required")
    affinity = {"nodeAffinity": {_REQUIRED: required}}
    return not required or suits({"affinity": affinity}, node)


# -- required affinity between pods --------------------------------------------------------------


def _company(pod: Object, seat: Seat, around: _Around) -> Obstacle:
    wanted = _terms(pod, "podAffinity")
    if wanted and not all(_is_met(term, pod, seat, around) for term in wanted):
        return Obstacle(("node(s) didn't match pod affinity rules",))
    for term in _terms(pod, "podAntiAffinity"):
        if any(_means(term, pod, other) for other in _neighbours(term, seat, around)):
            return Obstacle(("node(s) didn't match pod anti-affinity rules",), may_pass=True)
    for other_seat in around.seats:
        for other in other_seat.picky:
            for term in _terms(other, "podAntiAffinity"):
                if _same_place(term, seat, other_seat) and _means(term, other, pod):
                    return Obstacle(("node(s) didn't satisfy existing pods anti-affinity rules",), may_pass=True)
    return Obstacle()


def _terms(pod: Object, kind: str) -> list[Object]:
    return parts(pod, "spec", "affinity", kind, _REQUIRED)


def _is_met(term: Object, pod: Object, seat: Seat, around: _Around) -> bool:
    if str(term["topologyKey"]) not in labels_of(seat.node):
        return False
    if any(_means(term, pod, other) for other in _neighbours(term, seat, around)):
        return True
    # The first of a group that wants to be together may go anywhere.
    everybody = (other for one in around.seats for other in one.pods)
    return _means(term, pod, pod) and not any(_means(term, pod, other) for other in everybody)


def _neighbours(term: Object, seat: Seat, around: _Around) -> Iterable[Object]:
    return (other for one in around.seats if _same_place(term, seat, one) for other in one.pods)


def _same_place(term: Object, one: Seat, other: Seat) -> bool:
    key = str(term["topologyKey"])
    place_of_one = labels_of(one.node).get(key)
    return place_of_one is not None and labels_of(other.node).get(key) == place_of_one


def _means(term: Object, owner: Object, other: Object) -> bool:
    """Whether a term of the owner's is about the other pod."""
    selector = term.get("labelSelector")
    if selector is None or not selects(selector, labels_of(other)):
        return False
    # An empty selector of namespaces means all of them; others are not known here and mean none.
    if term.get("namespaceSelector") == {}:
        return True
    return namespace_of(other) in (items(term, "namespaces") or [namespace_of(owner)])
