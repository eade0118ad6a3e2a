"""The ReplicaSet controller's decision: how many pods to add or take away, and its status.

Source of the behaviour: k8s.io/kubernetes pkg/controller/replicaset and controller_utils.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kubernaut.devcluster.objects import Object, controller_of, copied, labels_of, namespace_of, owners_of, uid_of
from kubernaut.devcluster.resources import PODS, REPLICA_SETS
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.changes import (
    Change,
    Create,
    Delete,
    Merge,
    SetStatus,
    Tell,
    Turn,
    sooner,
)
from kubernaut.devcluster.workloads.pods import (
    condition,
    condition_of,
    is_active,
    is_controlled_by,
    is_ready,
    owner_reference,
    phase_of,
    pod_from_template,
    seconds_until_available,
    selects,
)
from kubernaut.devcluster.workloads.reading import annotations_of, part, parts

_BURST = 500
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class ReplicaSetFacts:
    """One ReplicaSet and the pods of its namespace."""

    now: datetime
    replica_set: Object
    pods: Sequence[Object]
    refusal: str = ""
    """Why the last pod could not be created; empty when it could."""


def decide_replica_set(facts: ReplicaSetFacts) -> Turn:
    """Adopt and release, then mend the number of pods, then say how things stand."""
    owner = facts.replica_set
    deleting = bool(owner["metadata"].get("deletionTimestamp"))
    claims, mine = claim(owner, facts.pods, PODS, adopt=not deleting)
    active = [pod for pod in mine if is_active(pod)]
    changes: list[Change] = [*claims]
    if not deleting:
        changes += _mend_number(owner, active, facts.now)
    status, look_again = _status(facts, active)
    if status != part(owner, "status"):
        changes.append(SetStatus(REPLICA_SETS, namespace_of(owner), _name(owner), status))
    return Turn(tuple(changes), look_again)


def claim(
    owner: Object, candidates: Sequence[Object], resource: str, *, adopt: bool
) -> tuple[list[Change], list[Object]]:
    """Which objects the owner controls: orphans it selects join, those it no longer selects leave."""
    selector = owner["spec"].get("selector")
    changes: list[Change] = []
    mine: list[Object] = []
    for candidate in candidates:
        if is_controlled_by(candidate, owner):
            if selects(selector, candidate):
                mine.append(candidate)
            elif adopt:
                changes.append(_released(candidate, owner, resource))
        elif (
            adopt
            and controller_of(candidate) is None
            and not candidate["metadata"].get("deletionTimestamp")
            and selects(selector, candidate)
        ):
            owners = [*copied(owners_of(candidate)), owner_reference(owner)]
            changes.append(_owned_by(candidate, resource, owners))
            mine.append(candidate)
    return changes, mine


def _released(candidate: Object, owner: Object, resource: str) -> Merge:
    left = [copied(o) for o in owners_of(candidate) if o.get("uid") != uid_of(owner)]
    return _owned_by(candidate, resource, left)


def _owned_by(candidate: Object, resource: str, owners: list[Object]) -> Merge:
    patch = {"metadata": {"ownerReferences": owners or None}}
    return Merge(resource, namespace_of(candidate), _name(candidate), patch)


def _mend_number(owner: Object, active: Sequence[Object], now: datetime) -> list[Change]:
    missing = _wanted(owner) - len(active)
    if missing > 0:
        return [_new_pod(owner) for _ in range(min(missing, _BURST))]
    changes: list[Change] = []
    for pod in sorted(active, key=lambda p: _worth(p, now))[: min(-missing, _BURST)]:
        changes.append(Delete(PODS, namespace_of(pod), _name(pod), uid_of(pod)))
        told = f"Deleted pod: {_name(pod)}"
        changes.append(Tell(owner, "Normal", "SuccessfulDelete", told))
    return changes


def _new_pod(owner: Object) -> Create:
    return Create(
        PODS,
        pod_from_template(owner),
        created=Tell(owner, "Normal", "SuccessfulCreate", "Created pod: {name}"),
        refused=Tell(owner, "Warning", "FailedCreate", "Error creating: "),
    )


def _worth(pod: Object, now: datetime) -> tuple[object, ...]:
    """Sort key: what goes first when there are too many. Unready and young before ready and old."""
    meta, status = pod["metadata"], part(pod, "status")
    restarts = max((c.get("restartCount", 0) for c in parts(status, "containerStatuses")), default=0)
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASES.get(phase_of(pod), 0),
        is_ready(pod),
        _deletion_cost(annotations_of(pod)),
        -_ready_since(pod, now),
        -restarts,
        -moments.from_text(meta["creationTimestamp"]).timestamp(),
        meta["name"],
    )


def _deletion_cost(annotations: dict[str, str]) -> int:
    try:
        return int(annotations.get(_DELETION_COST, "0"))
    except ValueError:
        return 0


def _ready_since(pod: Object, now: datetime) -> float:
    since = (condition_of(pod, "Ready") or {}).get("lastTransitionTime")
    return moments.from_text(since).timestamp() if since else now.timestamp()


def _status(facts: ReplicaSetFacts, active: Sequence[Object]) -> tuple[Object, float | None]:
    owner, old = facts.replica_set, part(facts.replica_set, "status")
    wait_for = int(owner["spec"].get("minReadySeconds") or 0)
    template_labels = part(owner["spec"]["template"], "metadata", "labels")
    available, look_again = 0, None
    for pod in active:
        left = seconds_until_available(pod, wait_for, facts.now)
        if left == 0:
            available += 1
        else:
            look_again = sooner(look_again, left)
    status: Object = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template_labels.items() <= labels_of(p).items() for p in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": available,
    }
    status = {key: count for key, count in status.items() if count or key == "replicas"}
    status["observedGeneration"] = owner["metadata"].get("generation", 1)
    if facts.refusal and len(active) < _wanted(owner):
        failed = condition("ReplicaFailure", "True", "FailedCreate", facts.refusal, facts.now)
        # The first refusal stays, as kube-controller-manager has it: each names another pod, and a status that
        # changed with every try would ask for the next one at once.
        status["conditions"] = [next(iter(parts(old, "conditions")), failed)]
    return status, look_again


def _wanted(owner: Object) -> int:
    replicas = owner["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
