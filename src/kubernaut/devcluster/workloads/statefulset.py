"""The StatefulSet controller's decision: which ordinals live, in which order they come and go. PURE.

Not done: maxUnavailable of a rolling update (it is one).
Source of the behaviour: k8s.io/kubernetes pkg/controller/statefulset (stateful_set_control.go,
stateful_set_utils.go).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kubernaut.devcluster.objects import Object, copied, labels_of, namespace_of, owners_of, uid_of
from kubernaut.devcluster.resources import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from kubernaut.devcluster.workloads.changes import Change, Create, Delete, Merge, SetStatus, Tell, Turn, sooner
from kubernaut.devcluster.workloads.deployment import template_hash
from kubernaut.devcluster.workloads.pods import (
    is_finished,
    is_ready,
    owner_reference,
    phase_of,
    pod_from_template,
    seconds_until_available,
)
from kubernaut.devcluster.workloads.reading import part, parts
from kubernaut.devcluster.workloads.replicaset import claim
from kubernaut.devcluster.workloads.rollout import count, wanted_replicas

CONTROLLER_REVISIONS = "controllerrevisions.apps"
REVISION = "controller-revision-hash"
_NAME = "statefulset.kubernetes.io/pod-name"
_INDEX = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True, slots=True)
class StatefulSetFacts:
    """One StatefulSet, the pods and claims of its namespace, and the revisions that it owns."""

    now: datetime
    stateful_set: Object
    pods: Sequence[Object]
    revisions: Sequence[Object]
    claims: Sequence[Object] = ()
    """Of the namespace."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one turn works with."""

    owner: Object
    now: datetime
    present: Mapping[int, Object]
    """Ordinal -> pod."""
    templates: Mapping[str, Object]
    """Revision -> pod template."""
    current: str
    update: str
    claims: Mapping[str, Object]

    @property
    def ordinals(self) -> range:
        first = int(part(self.owner["spec"], "ordinals").get("start") or 0)
        return range(first, first + wanted_replicas(self.owner))

    @property
    def is_ordered(self) -> bool:
        return bool(self.owner["spec"].get("podManagementPolicy") != "Parallel")

    def is_well(self, pod: Object) -> bool:
        wait = int(self.owner["spec"].get("minReadySeconds") or 0)
        running = phase_of(pod) == "Running" and not _is_ending(pod)
        return running and seconds_until_available(pod, wait, self.now) == 0


def decide_stateful_set(facts: StatefulSetFacts) -> Turn:
    """One step of starting, stopping or replacing pods, and the status as it stands."""
    owner = facts.stateful_set
    deleting = bool(owner["metadata"].get("deletionTimestamp"))
    named = [pod for pod in facts.pods if _ordinal(owner, pod) is not None]
    changes, mine = claim(owner, named, PODS, adopt=not deleting)
    templates = {_name(r): part(r, "data", "spec", "template") for r in facts.revisions}
    update, history = _update_revision(facts, templates)
    was = str(part(owner, "status").get("currentRevision") or "")
    current = was if was in templates else update
    present = {ordinal: pod for pod in mine if (ordinal := _ordinal(owner, pod)) is not None}
    templates[update] = owner["spec"]["template"]
    plan = _Plan(owner, facts.now, present, templates, current, update, {_name(c): c for c in facts.claims})
    if not deleting:
        changes += [*history, *_retained(plan), *_step(plan)]
    status, look_again = _status(plan)
    if status != part(owner, "status"):
        changes.append(SetStatus(STATEFUL_SETS, namespace_of(owner), _name(owner), status))
    return Turn(tuple(changes), look_again)


# -- order -----------------------------------------------------------------------------------------


def _step(plan: _Plan) -> list[Change]:
    changes: list[Change] = []
    for ordinal in plan.ordinals:
        pod = plan.present.get(ordinal)
        if pod is None:
            changes += _new_pod(plan, ordinal)
        elif is_finished(pod) and not _is_ending(pod):
            changes += _deleted(plan, pod)
        if plan.is_ordered and (changes or pod is None or not plan.is_well(pod)):
            return changes
    surplus = [plan.present[n] for n in sorted(plan.present, reverse=True) if n not in plan.ordinals]
    if plan.is_ordered:
        # One at a time, the highest first; of those that ail only the lowest may go before it is well.
        ailing = [pod for pod in surplus if not plan.is_well(pod)]
        if any(map(_is_ending, surplus)) or (surplus[:1] == ailing[:1] and len(ailing) > 1):
            return changes
        surplus = surplus[:1]
    for pod in surplus:
        if not _is_ending(pod):
            changes += _deleted(plan, pod)
    return changes or _replacement(plan)


def _replacement(plan: _Plan) -> list[Change]:
    """The next pod of an older revision, from the highest ordinal, when all above it are well."""
    strategy = part(plan.owner["spec"], "updateStrategy")
    if strategy.get("type") == "OnDelete" or any(n not in plan.ordinals for n in plan.present):
        return []
    stop = plan.ordinals.start + int(part(strategy, "rollingUpdate").get("partition") or 0)
    for ordinal in reversed(plan.ordinals):
        pod = plan.present.get(ordinal)
        if ordinal < stop or pod is None:
            break
        if labels_of(pod).get(REVISION) != plan.update and not _is_ending(pod):
            return _deleted(plan, pod)
        if not plan.is_well(pod):
            break
    return []


def _deleted(plan: _Plan, pod: Object) -> list[Change]:
    told = f"delete Pod {_name(pod)} in StatefulSet {_name(plan.owner)} successful"
    return [
        Delete(PODS, namespace_of(pod), _name(pod), uid_of(pod)),
        Tell(plan.owner, "Normal", "SuccessfulDelete", told),
    ]


# -- pods ------------------------------------------------------------------------------------------


def _new_pod(plan: _Plan, ordinal: int) -> list[Change]:
    owner, name = plan.owner, f"{_name(plan.owner)}-{ordinal}"
    revision = plan.current if _is_held_back(plan, ordinal) else plan.update
    body = pod_from_template({**owner, "spec": {**owner["spec"], "template": plan.templates[revision]}})
    meta, spec = body["metadata"], body["spec"]
    del meta["generateName"]
    meta["name"] = name
    meta["labels"] = {**meta["labels"], _NAME: name, _INDEX: str(ordinal), REVISION: revision}
    spec["hostname"] = name
    if owner["spec"].get("serviceName"):
        spec["subdomain"] = owner["spec"]["serviceName"]
    claims = list(_claims(owner, ordinal))
    own = {claim_name: template["metadata"]["name"] for claim_name, template in claims}
    others = [volume for volume in parts(spec, "volumes") if volume["name"] not in own.values()]
    mounts = [{"name": short, "persistentVolumeClaim": {"claimName": full}} for full, short in own.items()]
    if mounts:
        spec["volumes"] = [*others, *mounts]
    created = Tell(
        owner, "Normal", "SuccessfulCreate", f"create Pod {name} in StatefulSet {_name(owner)} successful"
    )
    failed = f"create Pod {name} in StatefulSet {_name(owner)} failed error: "
    refused = Tell(owner, "Warning", "FailedCreate", failed)
    missing = [
        Create(PERSISTENT_VOLUME_CLAIMS, _claim_body(owner, claim_name, template), refused=refused)
        for claim_name, template in claims
        if claim_name not in plan.claims
    ]
    return [*missing, Create(PODS, body, created, refused)]


def _is_held_back(plan: _Plan, ordinal: int) -> bool:
    """Whether a pod that is missing comes back as it was: below the partition, or not yet reached."""
    strategy = part(plan.owner["spec"], "updateStrategy")
    if strategy.get("type") == "OnDelete":
        return False
    rolling = part(strategy, "rollingUpdate")
    held = rolling.get("partition")
    if held is None:
        held = count(plan.owner, "currentReplicas")
    return ordinal < plan.ordinals.start + int(held)


def _claims(owner: Object, ordinal: int) -> Iterable[tuple[str, Object]]:
    for template in parts(owner["spec"], "volumeClaimTemplates"):
        yield f"{template['metadata']['name']}-{_name(owner)}-{ordinal}", template


def _claim_body(owner: Object, name: str, template: Object) -> Object:
    body: Object = copied(template)
    body.pop("status", None)
    labels = part(owner["spec"], "selector", "matchLabels")
    body["metadata"] = {**body["metadata"], "name": name, "namespace": namespace_of(owner), "labels": labels}
    return body


def _retained(plan: _Plan) -> list[Change]:
    """Claims that go with their set, or with their pod when the set shrinks, are owned by it."""
    policy = part(plan.owner["spec"], "persistentVolumeClaimRetentionPolicy")
    changes: list[Change] = []
    for ordinal in (*plan.ordinals, *(n for n in plan.present if n not in plan.ordinals)):
        pod = plan.present.get(ordinal)
        wanted = [owner_reference(plan.owner)] if policy.get("whenDeleted") == "Delete" else []
        if ordinal not in plan.ordinals and policy.get("whenScaled") == "Delete" and pod is not None:
            wanted = [owner_reference({**pod, "apiVersion": "v1", "kind": "Pod"})]
        ours = {uid_of(plan.owner), uid_of(pod) if pod is not None else ""}
        for name, _ in _claims(plan.owner, ordinal):
            held = plan.claims.get(name)
            if held is None:
                continue
            owners: list[Object] = copied(owners_of(held))
            others = [o for o in owners if o.get("uid") not in ours]
            if [o.get("uid") for o in owners] != [o["uid"] for o in (*others, *wanted)]:
                patch = {"metadata": {"ownerReferences": [*others, *wanted] or None}}
                changes.append(Merge(PERSISTENT_VOLUME_CLAIMS, namespace_of(held), name, patch))
    return changes


# -- revisions -------------------------------------------------------------------------------------


def _update_revision(facts: StatefulSetFacts, templates: Mapping[str, Object]) -> tuple[str, list[Change]]:
    """The name of the present template's revision, and what keeps the history right."""
    owner = facts.stateful_set
    wanted = _stored(owner["spec"]["template"])
    known = next((r for r in facts.revisions if templates[_name(r)] == wanted), None)
    newest = max((int(r["revision"]) for r in facts.revisions), default=0)
    if known is None:
        name = f"{_name(owner)}-{template_hash(owner)}"
        body: Object = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "namespace": namespace_of(owner),
                "labels": part(owner["spec"]["template"], "metadata", "labels"),
                "ownerReferences": [owner_reference(owner)],
            },
            "data": {"spec": {"template": wanted}},
            "revision": newest + 1,
        }
        return name, [Create(CONTROLLER_REVISIONS, body)]
    changes = _forgotten(facts, _name(known))
    if int(known["revision"]) < newest:
        # One that comes back is the newest again: `rollout undo` twice leads back to where it began.
        moved = {"revision": newest + 1}
        changes.append(Merge(CONTROLLER_REVISIONS, namespace_of(owner), _name(known), moved))
    return _name(known), changes


def _stored(template: Object) -> Object:
    return {**template, "$patch": "replace"}


def _forgotten(facts: StatefulSetFacts, update: str) -> list[Change]:
    """The oldest revisions that no pod has, beyond `revisionHistoryLimit`."""
    owner = facts.stateful_set
    status = part(owner, "status")
    live = {labels_of(pod).get(REVISION) for pod in facts.pods}
    live |= {update, status.get("currentRevision"), status.get("updateRevision")}
    idle = sorted((r for r in facts.revisions if _name(r) not in live), key=lambda r: int(r["revision"]))
    limit = owner["spec"].get("revisionHistoryLimit")
    excess = idle[: max(0, len(idle) - (10 if limit is None else int(limit)))]
    return [Delete(CONTROLLER_REVISIONS, namespace_of(r), _name(r), uid_of(r)) for r in excess]


# -- status ----------------------------------------------------------------------------------------


def _status(plan: _Plan) -> tuple[Object, float | None]:
    owner, pods = plan.owner, list(plan.present.values())
    wait_for = int(owner["spec"].get("minReadySeconds") or 0)
    staying = [pod for pod in pods if not _is_ending(pod)]
    look_again: float | None = None
    available = 0
    for pod in pods:
        left = seconds_until_available(pod, wait_for, plan.now)
        available += left == 0 and phase_of(pod) == "Running"
        look_again = sooner(look_again, left or None)
    counts = {
        "replicas": len(pods),
        "readyReplicas": sum(is_ready(pod) and phase_of(pod) == "Running" for pod in pods),
        "availableReplicas": available,
        "currentReplicas": sum(labels_of(pod).get(REVISION) == plan.current for pod in staying),
        "updatedReplicas": sum(labels_of(pod).get(REVISION) == plan.update for pod in staying),
    }
    current, wanted = plan.current, wanted_replicas(owner)
    rolls = part(owner["spec"], "updateStrategy").get("type") != "OnDelete"
    if rolls and counts["updatedReplicas"] == counts["readyReplicas"] == counts["replicas"] == wanted:
        current, counts["currentReplicas"] = plan.update, counts["updatedReplicas"]
    always = ("replicas", "availableReplicas")
    status: Object = {key: number for key, number in counts.items() if number or key in always}
    status["observedGeneration"] = owner["metadata"].get("generation", 1)
    status["currentRevision"], status["updateRevision"] = current, plan.update
    status["collisionCount"] = count(owner, "collisionCount")
    return status, look_again


def _ordinal(owner: Object, pod: Object) -> int | None:
    found = re.fullmatch(rf"{re.escape(_name(owner))}-(0|[1-9]\d*)", _name(pod))
    return int(found[1]) if found else None


def _is_ending(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
