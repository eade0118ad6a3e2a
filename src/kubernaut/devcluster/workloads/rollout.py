"""The arithmetic of a rollout: how large each ReplicaSet of a Deployment should be. PURE.

Source of the rules: k8s.io/kubernetes pkg/controller/deployment (rolling.go, recreate.go, sync.go)
and its util package.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kubernaut.devcluster.objects import Object
from kubernaut.devcluster.workloads.reading import annotations_of, part

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"

Sizes = Mapping[str, int]
"""New `spec.replicas` by ReplicaSet name; only those that change."""


@dataclass(frozen=True, slots=True)
class Generations:
    """A Deployment with its ReplicaSets: the one of the present template, and the others."""

    deployment: Object
    new: Object | None
    old: Sequence[Object]
    """Oldest first."""

    @property
    def all(self) -> list[Object]:
        return [*self.old, *([self.new] if self.new else [])]

    @property
    def replicas(self) -> int:
        return wanted_replicas(self.deployment)

    @property
    def is_recreate(self) -> bool:
        return part(self.deployment["spec"], "strategy").get("type") == "Recreate"

    @property
    def max_surge(self) -> int:
        return resolve_fenceposts(self.deployment)[0]

    @property
    def max_unavailable(self) -> int:
        _, unavailable = resolve_fenceposts(self.deployment)
        return min(unavailable, self.replicas)

    @property
    def maximum(self) -> int:
        """Never more pods than this at once."""
        return self.replicas + self.max_surge


def wanted_replicas(obj: Object) -> int:
    """`spec.replicas` of a Deployment or ReplicaSet; 1 when absent."""
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def count(obj: Object | None, field: str) -> int:
    """A number from an object's status; 0 when absent."""
    return int(part(obj, "status").get(field) or 0)


def resolve_fenceposts(deployment: Object) -> tuple[int, int]:
    """maxSurge (rounded up) and maxUnavailable (rounded down), never both zero."""
    strategy = part(deployment, "spec", "strategy")
    if strategy.get("type") == "Recreate":
        return 0, 0
    rolling = part(strategy, "rollingUpdate")
    total = wanted_replicas(deployment)
    surge = _resolve(rolling.get("maxSurge", "25%"), total, up=True)
    unavailable = _resolve(rolling.get("maxUnavailable", "25%"), total, up=False)
    return (0, 1) if surge == 0 and unavailable == 0 else (surge, unavailable)


def _resolve(value: object, total: int, *, up: bool) -> int:
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = int(text[:-1]) * total / 100
    return math.ceil(share) if up else math.floor(share)


def new_size(generations: Generations) -> int:
    """How large the new ReplicaSet may be now, given what the others hold."""
    new = wanted_replicas(generations.new) if generations.new else 0
    if generations.is_recreate:
        return generations.replicas
    if new >= generations.replicas:
        return generations.replicas
    room = generations.maximum - sum(wanted_replicas(rs) for rs in generations.all)
    return new if room <= 0 else new + min(room, generations.replicas - new)


def roll(generations: Generations) -> Sizes:
    """One step of a RollingUpdate: first the new one up, else the old ones down."""
    new = generations.new
    assert new is not None
    size = new_size(generations)
    if size != wanted_replicas(new):
        return {new["metadata"]["name"]: size}
    return _scale_down_old(generations)


def _scale_down_old(generations: Generations) -> Sizes:
    old = [rs for rs in generations.old if wanted_replicas(rs) > 0]
    if not old:
        return {}
    new, least = generations.new, generations.replicas - generations.max_unavailable
    total = sum(wanted_replicas(rs) for rs in generations.all)
    new_unavailable = (wanted_replicas(new) - count(new, "availableReplicas")) if new else 0
    may_go = total - least - new_unavailable
    if may_go <= 0:
        return {}
    # Broken pods go first: they cost nobody anything.
    sizes = {rs["metadata"]["name"]: wanted_replicas(rs) for rs in old}
    _take(sizes, {_name(rs): wanted_replicas(rs) - count(rs, "availableReplicas") for rs in old}, may_go)
    available = sum(count(rs, "availableReplicas") for rs in generations.all)
    _take(sizes, dict(sizes), available - least)
    return {_name(rs): sizes[_name(rs)] for rs in old if sizes[_name(rs)] != wanted_replicas(rs)}


def _take(sizes: dict[str, int], at_most: Mapping[str, int], budget: int) -> None:
    for name, most in at_most.items():
        taken = max(0, min(most, sizes[name], budget))
        sizes[name] -= taken
        budget -= taken


def recreate(generations: Generations, *, old_pods_run: bool) -> Sizes:
    """Recreate: everything old away first, then all of the new."""
    down = {_name(rs): 0 for rs in generations.old if wanted_replicas(rs) > 0}
    if down or old_pods_run or generations.new is None:
        return down
    if wanted_replicas(generations.new) == generations.replicas:
        return {}
    return {_name(generations.new): generations.replicas}


def is_scaling(generations: Generations) -> bool:
    """Has the Deployment's own size changed since its ReplicaSets were last sized?"""
    for rs in generations.all:
        desired = annotations_of(rs).get(DESIRED)
        if wanted_replicas(rs) > 0 and desired is not None and int(desired) != generations.replicas:
            return True
    return False


def scale(generations: Generations) -> Sizes:
    """Follow a change of size without rolling: the only active one, or all in proportion."""
    active = [rs for rs in generations.all if wanted_replicas(rs) > 0]
    if len(active) <= 1:
        only = active[0] if active else generations.new or next(reversed(generations.old), None)
        if only is None or wanted_replicas(only) == generations.replicas:
            return {}
        return {_name(only): generations.replicas}
    if _is_saturated(generations):
        return {_name(rs): 0 for rs in generations.old if wanted_replicas(rs) > 0}
    return {} if generations.is_recreate else _in_proportion(generations, active)


def _is_saturated(generations: Generations) -> bool:
    new = generations.new
    return (
        new is not None
        and wanted_replicas(new) == generations.replicas
        and annotations_of(new).get(DESIRED) == str(generations.replicas)
        and count(new, "availableReplicas") == generations.replicas
    )


def _in_proportion(generations: Generations, active: Sequence[Object]) -> Sizes:
    allowed = generations.maximum if generations.replicas > 0 else 0
    to_add = allowed - sum(wanted_replicas(rs) for rs in active)
    # Growing favours the newer of equally large ones, shrinking the older.
    ordered = list(reversed(active)) if to_add > 0 else list(active)
    ordered.sort(key=wanted_replicas, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for rs in ordered:
        share = 0
        if to_add:
            left = to_add - added
            share = _share(generations, rs)
            share = min(share, left) if to_add > 0 else max(share, left)
        sizes[_name(rs)] = wanted_replicas(rs) + share
        added += share
    first = _name(ordered[0])
    sizes[first] = max(0, sizes[first] + to_add - added)
    return {name: size for name, size in sizes.items() if size != _size_of(active, name)}


def _share(generations: Generations, rs: Object) -> int:
    if generations.replicas == 0:
        return -wanted_replicas(rs)
    annotations = annotations_of(rs)
    before = int(annotations.get(MAXIMUM, 0)) or count(generations.deployment, "replicas")
    grown = wanted_replicas(rs) * generations.maximum / max(1, before)
    return math.floor(grown + 0.5) - wanted_replicas(rs)


def _size_of(replica_sets: Sequence[Object], name: str) -> int:
    return next(wanted_replicas(rs) for rs in replica_sets if _name(rs) == name)


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
