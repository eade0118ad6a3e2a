"""How many more of a PodDisruptionBudget's pods may go. PURE.

Source: k8s.io/kubernetes pkg/controller/disruption (expected and healthy pods) and
pkg/registry/core/pod/storage/eviction.go (pods that are not ready).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .objects import Object, is_deleting, list_at, uid_of

ScaleOf = Callable[[Object], tuple[str, int] | None]
"""A pod -> the uid of what scales it, and how many pods that wants; None when nothing does."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a budget amounts to now."""

    healthy: int
    needed: int
    expected: int

    @property
    def allowed(self) -> int:
        """How many healthy pods may be evicted."""
        return max(0, self.healthy - self.needed) if self.expected > 0 else 0


def count(spec: Object, pods: Sequence[Object], scale_of: ScaleOf) -> Count:
    """`pods` are those that the budget selects."""
    healthy = sum(1 for pod in pods if is_ready(pod) and not is_deleting(pod))
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is None and most is None:
        return Count(healthy, 0, len(pods))
    if least is not None and not _is_share(least):
        return Count(healthy, int(least), len(pods))
    scales = [scale_of(pod) for pod in pods]
    if any(scale is None for scale in scales):
        # The real controller cannot tell the share of an unknown number and allows nothing.
        return Count(healthy, healthy, len(pods))
    expected = sum(dict(scale for scale in scales if scale is not None).values())
    needed = _amount(least, expected) if least is not None else max(0, expected - _amount(most, expected))
    return Count(healthy, needed, expected)


def may_go(pod: Object, spec: Object, found: Count) -> bool:
    """Whether the budget lets this pod be evicted now."""
    if not is_ready(pod):
        if spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return True
        if found.healthy >= found.needed > 0:
            return True
    return found.allowed > 0


def is_ready(pod: Object) -> bool:
    conditions = list_at(pod, "status", "conditions")
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def controller_of(obj: Object) -> Object | None:
    """The owner reference of what controls it."""
    references: list[Object] = list_at(obj, "metadata", "ownerReferences")
    return next((reference for reference in references if reference.get("controller")), None)


def scale(owner: Object) -> tuple[str, int]:
    """What a workload wants; absent replicas are one."""
    wanted = owner.get("spec", {}).get("replicas")
    return uid_of(owner), 1 if wanted is None else int(wanted)


def _is_share(amount: Any) -> bool:
    return str(amount).endswith("%")


def _amount(amount: Any, total: int) -> int:
    # Rounded up, also for maxUnavailable.
    return -(-total * int(str(amount)[:-1]) // 100) if _is_share(amount) else int(amount)
