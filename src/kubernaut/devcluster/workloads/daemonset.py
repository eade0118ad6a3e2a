"""The DaemonSet controller's decision: one pod for each node that fits, and its status. PURE.

Not done: maxSurge (a pod goes before the next one comes), the delay between the replacements of a failing pod.
Source of the behaviour: k8s.io/kubernetes pkg/controller/daemon (daemon_controller.go, update.go).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kubernaut.devcluster.objects import Object, copied, labels_of, namespace_of, uid_of
from kubernaut.devcluster.resources import DAEMON_SETS, PODS
from kubernaut.devcluster.workloads.changes import Change, Create, Delete, Merge, SetStatus, Tell, Turn, sooner
from kubernaut.devcluster.workloads.deployment import template_hash
from kubernaut.devcluster.workloads.node_health import tolerates
from kubernaut.devcluster.workloads.placing import suits
from kubernaut.devcluster.workloads.pods import (
    is_ready,
    owner_reference,
    phase_of,
    pod_from_template,
    seconds_until_available,
)
from kubernaut.devcluster.workloads.reading import part, parts
from kubernaut.devcluster.workloads.replicaset import claim
from kubernaut.devcluster.workloads.rollout import count
from kubernaut.devcluster.workloads.statefulset import CONTROLLER_REVISIONS

HASH = "controller-revision-hash"
_BORNE = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_BORNE_ON_THE_HOSTS_NETWORK = ("node.kubernetes.io/network-unavailable", "NoSchedule")


@dataclass(frozen=True, slots=True)
class DaemonSetFacts:
    """One DaemonSet, all nodes, the pods of its namespace, and the revisions that it owns."""

    now: datetime
    daemon_set: Object
    nodes: Sequence[Object]
    pods: Sequence[Object]
    revisions: Sequence[Object]


@dataclass(slots=True)
class _Plan:
    """What one turn works with."""

    facts: DaemonSetFacts
    update: str
    """The hash of the present template."""
    by_node: Mapping[str, list[Object]]
    changes: list[Change] = field(default_factory=list[Change])
    gone: set[str] = field(default_factory=set[str])
    """Uids of the pods that this turn deletes."""

    @property
    def owner(self) -> Object:
        return self.facts.daemon_set


def decide_daemon_set(facts: DaemonSetFacts) -> Turn:
    """Place, replace, and say how things stand."""
    owner = facts.daemon_set
    deleting = bool(owner["metadata"].get("deletionTimestamp"))
    claims, mine = claim(owner, facts.pods, PODS, adopt=not deleting)
    update, history = _revised(facts)
    by_node: dict[str, list[Object]] = defaultdict(list)
    for pod in mine:
        by_node[node_of(pod)].append(pod)
    plan = _Plan(facts, update, by_node, [*claims])
    if not deleting:
        plan.changes += history
        placed = _place(plan)
        if not placed:
            _replace(plan)
    status, look_again = _status(plan)
    if status != part(owner, "status"):
        plan.changes.append(SetStatus(DAEMON_SETS, namespace_of(owner), owner["metadata"]["name"], status))
    return Turn(tuple(plan.changes), look_again)


def node_of(pod: Object) -> str:
    """The node that a daemon's pod is on, or is meant for."""
    if bound := pod["spec"].get("nodeName"):
        return str(bound)
    affinity = part(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in parts(affinity, "nodeSelectorTerms"):
        for rule in parts(term, "matchFields"):
            if rule["key"] == "metadata.name" and rule["operator"] == "In":
                return str(rule["values"][0])
    return ""


def fate(daemon_set: Object, node: Object) -> tuple[bool, bool]:
    """(a pod belongs on the node, one that is there may stay)."""
    spec = daemon_set["spec"]["template"]["spec"]
    named = spec.get("nodeName")
    if (named and named != node["metadata"]["name"]) or not suits(spec, node):
        return False, False
    tolerations = [*parts(spec, "tolerations"), *_tolerations(spec)]
    against = [
        taint
        for taint in parts(node, "spec", "taints")
        if taint["effect"] != "PreferNoSchedule" and not any(tolerates(t, taint) for t in tolerations)
    ]
    return not against, all(taint["effect"] != "NoExecute" for taint in against)


# -- pods ------------------------------------------------------------------------------------------


def _place(plan: _Plan) -> bool:
    """Add what is missing, take away what does not belong; whether anything was done."""
    before = len(plan.changes)
    known = {node["metadata"]["name"] for node in plan.facts.nodes}
    for node in plan.facts.nodes:
        belongs, may_stay = fate(plan.owner, node)
        pods = plan.by_node.get(node["metadata"]["name"], [])
        if not may_stay:
            for pod in pods:
                _delete(plan, pod)
            continue
        for pod in pods:
            if phase_of(pod) in {"Failed", "Succeeded"}:
                name = f"{namespace_of(pod)}/{pod['metadata']['name']}"
                said = f"Found failed daemon pod {name} on node {node['metadata']['name']}, will try to kill it"
                if not _is_going(pod):
                    plan.changes.append(Tell(plan.owner, "Warning", "FailedDaemonPod", said))
                _delete(plan, pod)
        living = [pod for pod in pods if uid_of(pod) not in plan.gone]
        # The eldest stays; one that is on its way out still holds the node's place.
        for pod in sorted(living, key=_age)[1:]:
            _delete(plan, pod)
        if belongs and not pods:
            plan.changes.append(_new_pod(plan, node["metadata"]["name"]))
    for name, pods in plan.by_node.items():
        if name not in known:
            for pod in pods:
                _delete(plan, pod)
    return len(plan.changes) > before


def _replace(plan: _Plan) -> None:
    """Pods of older templates, as many at once as may be unavailable; those that ail anyhow come first."""
    strategy = part(plan.owner["spec"], "updateStrategy")
    if strategy.get("type") == "OnDelete":
        return
    wait = _min_ready(plan.owner)
    pods = [pod for pods in plan.by_node.values() for pod in pods]
    down = [pod for pod in pods if _is_going(pod) or seconds_until_available(pod, wait, plan.facts.now) != 0]
    room = _max_unavailable(strategy, _desired(plan)) - len(down)
    old = [pod for pod in pods if labels_of(pod).get(HASH) != plan.update and not _is_going(pod)]
    for pod in old:
        if pod in down:
            _delete(plan, pod)
    for pod in sorted((pod for pod in old if pod not in down), key=_age)[: max(0, room)]:
        _delete(plan, pod)


def _max_unavailable(strategy: Object, desired: int) -> int:
    text = str(part(strategy, "rollingUpdate").get("maxUnavailable", 1))
    amount = math.ceil(int(text[:-1]) * desired / 100) if text.endswith("%") else int(text)
    return max(1, amount)


def _new_pod(plan: _Plan, node: str) -> Create:
    owner = plan.owner
    body = pod_from_template(owner)
    spec, meta = body["spec"], body["metadata"]
    generation = str(owner["metadata"].get("generation", 1))
    meta["labels"] = {**meta["labels"], HASH: plan.update, "pod-template-generation": generation}
    here = {"key": "metadata.name", "operator": "In", "values": [node]}
    affinity: Object = copied(part(spec, "affinity"))
    terms = {"nodeSelectorTerms": [{"matchFields": [here]}]}
    affinity["nodeAffinity"] = {
        **part(affinity, "nodeAffinity"),
        "requiredDuringSchedulingIgnoredDuringExecution": terms,
    }
    spec["affinity"] = affinity
    spec["tolerations"] = [*parts(spec, "tolerations"), *_tolerations(spec)]
    created = Tell(owner, "Normal", "SuccessfulCreate", "Created pod: {name}")
    return Create(PODS, body, created, Tell(owner, "Warning", "FailedCreate", "Error creating: "))


def _tolerations(spec: Object) -> list[Object]:
    borne = [*_BORNE, _BORNE_ON_THE_HOSTS_NETWORK] if spec.get("hostNetwork") else _BORNE
    return [{"key": key, "operator": "Exists", "effect": effect} for key, effect in borne]


def _delete(plan: _Plan, pod: Object) -> None:
    if _is_going(pod) or uid_of(pod) in plan.gone:
        return
    plan.gone.add(uid_of(pod))
    name = pod["metadata"]["name"]
    plan.changes.append(Delete(PODS, namespace_of(pod), name, uid_of(pod)))
    plan.changes.append(Tell(plan.owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name}"))


def _is_going(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _age(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]


# -- revisions -------------------------------------------------------------------------------------


def _revised(facts: DaemonSetFacts) -> tuple[str, list[Change]]:
    """The hash of the present template, and what keeps the history right."""
    owner = facts.daemon_set
    wanted = {**owner["spec"]["template"], "$patch": "replace"}
    known = next((r for r in facts.revisions if part(r, "data", "spec", "template") == wanted), None)
    newest = max((int(r["revision"]) for r in facts.revisions), default=0)
    if known is not None:
        changes = _forgotten(facts, known)
        if int(known["revision"]) < newest:
            name = known["metadata"]["name"]
            changes.append(Merge(CONTROLLER_REVISIONS, namespace_of(owner), name, {"revision": newest + 1}))
        return labels_of(known)[HASH], changes
    hashed = template_hash(owner)
    body: Object = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{owner['metadata']['name']}-{hashed}",
            "namespace": namespace_of(owner),
            "labels": {**part(owner["spec"]["template"], "metadata", "labels"), HASH: hashed},
            "ownerReferences": [owner_reference(owner)],
        },
        "data": {"spec": {"template": wanted}},
        "revision": newest + 1,
    }
    return hashed, [Create(CONTROLLER_REVISIONS, body)]


def _forgotten(facts: DaemonSetFacts, known: Object) -> list[Change]:
    """The oldest revisions that no pod has, beyond `revisionHistoryLimit`."""
    live = {labels_of(pod).get(HASH) for pod in facts.pods}
    idle = [r for r in facts.revisions if r is not known and labels_of(r).get(HASH) not in live]
    limit = facts.daemon_set["spec"].get("revisionHistoryLimit")
    excess = len(idle) - (10 if limit is None else int(limit))
    oldest = sorted(idle, key=lambda r: int(r["revision"]))[: max(0, excess)]
    return [Delete(CONTROLLER_REVISIONS, namespace_of(r), r["metadata"]["name"], uid_of(r)) for r in oldest]


# -- status ----------------------------------------------------------------------------------------


def _status(plan: _Plan) -> tuple[Object, float | None]:
    owner = plan.owner
    look_again: float | None = None
    counts: dict[str, int] = dict.fromkeys(("current", "misplaced", "desired", "ready", "available", "updated"), 0)
    for node in plan.facts.nodes:
        pods = plan.by_node.get(node["metadata"]["name"], [])
        belongs, _ = fate(owner, node)
        if not belongs:
            counts["misplaced"] += bool(pods)
            continue
        counts["desired"] += 1
        if not pods:
            continue
        counts["current"] += 1
        pod = min(pods, key=_age)
        if is_ready(pod):
            counts["ready"] += 1
            left = seconds_until_available(pod, _min_ready(owner), plan.facts.now)
            counts["available"] += left == 0
            look_again = sooner(look_again, left or None)
        counts["updated"] += labels_of(pod).get(HASH) == plan.update
    status: Object = {
        "currentNumberScheduled": counts["current"],
        "numberMisscheduled": counts["misplaced"],
        "desiredNumberScheduled": counts["desired"],
        "numberReady": counts["ready"],
        "observedGeneration": owner["metadata"].get("generation", 1),
    }
    more = {
        "updatedNumberScheduled": counts["updated"],
        "numberAvailable": counts["available"],
        "numberUnavailable": counts["desired"] - counts["available"],
        "collisionCount": count(owner, "collisionCount"),
    }
    return status | {key: number for key, number in more.items() if number}, look_again


def _desired(plan: _Plan) -> int:
    fates: Iterable[tuple[bool, bool]] = (fate(plan.owner, node) for node in plan.facts.nodes)
    return sum(belongs for belongs, _ in fates)


def _min_ready(owner: Object) -> int:
    return int(owner["spec"].get("minReadySeconds") or 0)
