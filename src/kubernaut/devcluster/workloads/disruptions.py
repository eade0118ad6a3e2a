"""The disruption controller: what each PodDisruptionBudget amounts to, said in its status.

Source of reasons and wording: k8s.io/kubernetes pkg/controller/disruption.
"""

from kubernaut.devcluster.budgets import Count, controller_of, count, scale
from kubernaut.devcluster.objects import Object, copied, labels_of, map_at, name_of, namespace_of, uid_of
from kubernaut.devcluster.resources import (
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
from kubernaut.devcluster.selectors import selects
from kubernaut.devcluster.store import Store
from kubernaut.devcluster.workloads.changes import SetStatus, Turn
from kubernaut.devcluster.workloads.pods import condition, condition_of, is_finished
from kubernaut.devcluster.workloads.reading import part, parts, peek

_SCALED = {"ReplicaSet": REPLICA_SETS, "StatefulSet": STATEFUL_SETS}


def decide_budget(store: Store, budget: Object) -> Turn:
    """The status as the pods and what scales them stand now."""
    spec, namespace = map_at(budget, "spec"), namespace_of(budget)
    pods = [
        pod
        for pod in store.list(PODS, namespace).items
        if selects(spec.get("selector"), labels_of(pod)) and not is_finished(pod)
    ]
    found = count(spec, pods, lambda pod: scale_of(store, pod))
    status: Object = {
        "observedGeneration": budget["metadata"].get("generation", 1),
        "currentHealthy": found.healthy,
        "desiredHealthy": found.needed,
        "expectedPods": found.expected,
        "disruptionsAllowed": found.allowed,
        "conditions": _conditions(store, budget, found),
    }
    if status == part(budget, "status"):
        return Turn()
    return Turn((SetStatus(POD_DISRUPTION_BUDGETS, namespace, name_of(budget), status),))


def _conditions(store: Store, budget: Object, found: Count) -> list[Object]:
    was = condition_of(budget, "DisruptionAllowed")
    status, reason = ("True", "SufficientPods") if found.allowed else ("False", "InsufficientPods")
    made = condition("DisruptionAllowed", status, reason, "", store.now())
    made["observedGeneration"] = budget["metadata"].get("generation", 1)
    if was is not None and was["status"] == status:
        made["lastTransitionTime"] = was["lastTransitionTime"]
    others = [copied(c) for c in parts(budget, "status", "conditions") if c["type"] != "DisruptionAllowed"]
    return [*others, made]


def scale_of(store: Store, pod: Object) -> tuple[str, int] | None:
    """What scales a pod, and how many it wants: a Deployment before its ReplicaSet; None when nothing does."""
    owner, obj = None, pod
    for resources in (_SCALED, {"Deployment": DEPLOYMENTS}):
        reference = controller_of(obj)
        if reference is None or reference.get("kind") not in resources:
            break
        found = peek(store, resources[reference["kind"]], reference["name"], namespace_of(pod))
        if found is None or uid_of(found) != reference["uid"]:
            break
        owner = obj = found
    return scale(owner) if owner is not None else None
