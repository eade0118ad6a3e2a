"""A Deployment's status: counts, and whether it is available, progressing or stuck. PURE.

Source of the rules: k8s.io/kubernetes pkg/controller/deployment/progress.go and sync.go.
"""

from datetime import datetime

from kubernaut.devcluster.objects import Object, copied
from kubernaut.devcluster.workloads import moments
from kubernaut.devcluster.workloads.pods import condition, condition_of
from kubernaut.devcluster.workloads.reading import part, parts
from kubernaut.devcluster.workloads.rollout import Generations, count, wanted_replicas

_DONE = "NewReplicaSetAvailable"
_LATE = "ProgressDeadlineExceeded"
_UNLIMITED = 2**31 - 1


def write(generations: Generations, now: datetime, created: str, refusal: str) -> tuple[Object, float | None]:
    """The status, and in how many seconds the progress deadline may pass.

    `created` names the ReplicaSet that this turn creates, if any.
    """
    deployment = generations.deployment
    old: Object = part(deployment, "status")
    status: Object = {"observedGeneration": deployment["metadata"].get("generation", 1)}
    status |= _counts(generations, created)
    if old.get("collisionCount"):
        status["collisionCount"] = old["collisionCount"]
    conditions = _with(_conditions(old), _available(generations, status, now))
    conditions = _with_failure(conditions, refusal, now)
    conditions, look_again = _with_progress(generations, status, conditions, now, created)
    status["conditions"] = conditions
    return status, look_again


def is_complete(generations: Generations, status: Object | None = None) -> bool:
    """All wanted pods are of the present template and available, and no others are left."""
    seen = generations.deployment if status is None else {"status": status}
    numbers = {count(seen, field) for field in ("replicas", "updatedReplicas", "availableReplicas")}
    observed = count(seen, "observedGeneration")
    return numbers == {generations.replicas} and observed >= generations.deployment["metadata"].get(
        "generation", 1
    )


def _counts(generations: Generations, created: str) -> Object:
    every, new = generations.all, generations.new
    available = sum(count(rs, "availableReplicas") for rs in every)
    size = sum(wanted_replicas(rs) for rs in every)
    if created:
        size = max(size, generations.replicas)
    counts: Object = {
        "replicas": sum(count(rs, "replicas") for rs in every),
        "updatedReplicas": count(new, "replicas"),
        "readyReplicas": sum(count(rs, "readyReplicas") for rs in every),
        "availableReplicas": available,
        "unavailableReplicas": max(0, size - available),
    }
    return {field: number for field, number in counts.items() if number}


def _conditions(status: Object) -> list[Object]:
    found: list[Object] = copied(parts(status, "conditions"))
    return found


def _with(conditions: list[Object], new: Object) -> list[Object]:
    """The condition takes its place; unchanged status and reason keep the old one as it is."""
    old = next((c for c in conditions if c["type"] == new["type"]), None)
    if old is None:
        return [*conditions, new]
    if (old["status"], old.get("reason")) == (new["status"], new["reason"]):
        return conditions
    if old["status"] == new["status"]:
        new["lastTransitionTime"] = old["lastTransitionTime"]
    return [*(c for c in conditions if c is not old), new]


def _available(generations: Generations, status: Object, now: datetime) -> Object:
    least = generations.replicas - generations.max_unavailable
    if status.get("availableReplicas", 0) >= least:
        said = "Deployment has minimum availability."
        return condition("Available", "True", "MinimumReplicasAvailable", said, now, updates=True)
    said = "Deployment does not have minimum availability."
    return condition("Available", "False", "MinimumReplicasUnavailable", said, now, updates=True)


def _with_failure(conditions: list[Object], refusal: str, now: datetime) -> list[Object]:
    if not refusal:
        return [c for c in conditions if c["type"] != "ReplicaFailure"]
    failed = condition("ReplicaFailure", "True", "FailedCreate", refusal, now, updates=True)
    return _with(conditions, failed)


def _with_progress(
    generations: Generations, status: Object, conditions: list[Object], now: datetime, created: str
) -> tuple[list[Object], float | None]:
    spec = generations.deployment["spec"]
    limit = spec.get("progressDeadlineSeconds")
    deadline = 600 if limit is None else int(limit)
    if deadline == _UNLIMITED:
        return [c for c in conditions if c["type"] != "Progressing"], None
    was = condition_of({"status": {"conditions": conditions}}, "Progressing")
    if spec.get("paused"):
        if was is None or was.get("reason") != "DeploymentPaused":
            conditions = _with(conditions, _progress("Unknown", "DeploymentPaused", "Deployment is paused", now))
        return conditions, None
    if was is not None and was.get("reason") == "DeploymentPaused":
        resumed = _progress("Unknown", "DeploymentResumed", "Deployment is resumed", now)
        conditions = _with(conditions, resumed)
        was = resumed
    if created:
        told = f'Created new replica set "{created}"'
        return _with(conditions, _progress("True", "NewReplicaSetCreated", told, now)), deadline
    return _judged(generations, status, conditions, now, deadline)


def _judged(
    generations: Generations, status: Object, conditions: list[Object], now: datetime, deadline: int
) -> tuple[list[Object], float | None]:
    old: Object = part(generations.deployment, "status")
    was = condition_of({"status": {"conditions": conditions}}, "Progressing")
    told = _subject(generations)
    settled = was is not None and was.get("reason") == _DONE
    if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions, None  # pods that fail after a finished rollout are no lack of progress
    if is_complete(generations, status):
        done = _progress("True", _DONE, f"{told} has successfully progressed.", now)
        return _with(conditions, done), None
    if _moved(status, old) or was is None:
        moved = _progress("True", "ReplicaSetUpdated", f"{told} is progressing.", now)
        if was is not None and was["status"] == "True":
            moved["lastTransitionTime"] = was["lastTransitionTime"]
        # Replaced even when nothing but the time differs: the deadline counts from it.
        return [*(c for c in conditions if c["type"] != "Progressing"), moved], deadline
    if was.get("reason") in {_LATE, _DONE}:
        return conditions, None
    left = deadline - moments.seconds_since(was.get("lastUpdateTime") or was["lastTransitionTime"], now)
    if left > 0:
        return conditions, left
    late = _progress("False", _LATE, f"{told} has timed out progressing.", now)
    return _with(conditions, late), None


def _moved(status: Object, old: Object) -> bool:
    def number(of: Object, field: str) -> int:
        return int(of.get(field) or 0)

    def outdated(of: Object) -> int:
        return number(of, "replicas") - number(of, "updatedReplicas")

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return outdated(status) < outdated(old) or any(number(status, f) > number(old, f) for f in grown)


def _subject(generations: Generations) -> str:
    if generations.new is None:
        return f'Deployment "{generations.deployment["metadata"]["name"]}"'
    return f'ReplicaSet "{generations.new["metadata"]["name"]}"'


def _progress(status: str, reason: str, message: str, now: datetime) -> Object:
    return condition("Progressing", status, reason, message, now, updates=True)
