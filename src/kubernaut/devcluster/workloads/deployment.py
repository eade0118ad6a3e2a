"""The Deployment controller's decision: which ReplicaSets there are and what each is for. PURE.

Sizes are worked out in `rollout`, the status in `deployment_status`.
Source of the behaviour: k8s.io/kubernetes pkg/controller/deployment.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kubernaut.devcluster.objects import Object, copied, namespace_of, to_json, uid_of
from kubernaut.devcluster.resources import DEPLOYMENTS, REPLICA_SETS
from kubernaut.devcluster.workloads import deployment_status, rollout
from kubernaut.devcluster.workloads.changes import (
    Change,
    Create,
    Delete,
    Merge,
    SetStatus,
    Tell,
    Turn,
)
from kubernaut.devcluster.workloads.pods import is_controlled_by, is_finished, owner_reference
from kubernaut.devcluster.workloads.reading import annotations_of, part
from kubernaut.devcluster.workloads.replicaset import claim
from kubernaut.devcluster.workloads.rollout import Generations, wanted_replicas

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        rollout.DESIRED,
        rollout.MAXIMUM,
    }
)
# k8s.io/apimachinery util/rand: no vowels and no digits that look like them, lest words appear.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """One Deployment, the ReplicaSets of its namespace, and the pods of those it controls."""

    now: datetime
    deployment: Object
    replica_sets: Sequence[Object]
    pods: Sequence[Object]
    refusal: str = ""
    """Why the last ReplicaSet could not be created; empty when it could."""


def decide_deployment(facts: DeploymentFacts) -> Turn:
    """One step of whatever is under way, and the status as it stands."""
    deployment = facts.deployment
    deleting = bool(deployment["metadata"].get("deletionTimestamp"))
    claims, mine = claim(deployment, facts.replica_sets, REPLICA_SETS, adopt=not deleting)
    generations = tell_apart(deployment, mine)
    changes: list[Change] = [*claims]
    if not deleting:
        changes += _step(facts, generations)
    created = next((c for c in changes if isinstance(c, Create)), None)
    found = str(created.body["metadata"]["name"]) if created else ""
    status, look_again = deployment_status.write(generations, facts.now, found, facts.refusal)
    if status != part(deployment, "status"):
        changes.append(SetStatus(DEPLOYMENTS, namespace_of(deployment), _name(deployment), status))
    return Turn(tuple(changes), look_again)


def template_hash(deployment: Object) -> str:
    """Ten characters that name a pod template (and the collision count)."""
    collisions = rollout.count(deployment, "collisionCount")
    seed = to_json([_sorted(deployment["spec"]["template"]), collisions])
    number = str(int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") % 10**10).zfill(10)
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in number)


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}  # pyright: ignore
    if isinstance(value, list):
        return [_sorted(item) for item in value]  # pyright: ignore
    return value


def tell_apart(deployment: Object, replica_sets: Sequence[Object]) -> Generations:
    """The ReplicaSet of the present template, the oldest where there are several; and the others."""
    ordered = sorted(replica_sets, key=lambda r: (r["metadata"]["creationTimestamp"], _name(r)))
    template = _without_hash(deployment["spec"]["template"])
    new = next((r for r in ordered if _without_hash(r["spec"]["template"]) == template), None)
    return Generations(deployment, new, [r for r in ordered if r is not new])


def _without_hash(template: Object) -> Object:
    bare: Object = copied(template)
    meta = part(bare, "metadata")
    labels: dict[str, str] = part(meta, "labels")
    labels.pop(HASH, None)
    # A server may or may not write an empty creationTimestamp into templates.
    meta.pop("creationTimestamp", None)
    bare["metadata"] = meta
    return bare


def _step(facts: DeploymentFacts, generations: Generations) -> list[Change]:
    deployment = facts.deployment
    paused = bool(deployment["spec"].get("paused"))
    # A paused Deployment, or one being resized, keeps the revisions it has.
    if paused or rollout.is_scaling(generations):
        sized = _resized(generations, rollout.scale(generations))
        return [*_revised(generations), *sized, *(_tidied(generations) if paused else ())]
    if generations.is_recreate:
        busy = _old_pods_run(generations, facts.pods)
        sizes = rollout.recreate(generations, old_pods_run=busy)
        if generations.new is None and not sizes and not busy:
            return _new_replica_set(generations)
    elif generations.new is None:
        return _new_replica_set(generations)
    else:
        sizes = rollout.roll(generations)
    tidied = _tidied(generations) if not sizes and deployment_status.is_complete(generations) else ()
    return [*_revised(generations), *_resized(generations, sizes), *tidied]


def _old_pods_run(generations: Generations, pods: Sequence[Object]) -> bool:
    # A pod on its way out still runs: Recreate promises that old and new never meet.
    if any(rollout.count(rs, "replicas") for rs in generations.old):
        return True
    return any(is_controlled_by(pod, rs) and not is_finished(pod) for rs in generations.old for pod in pods)


def _new_replica_set(generations: Generations) -> list[Change]:
    deployment = generations.deployment
    hashed, spec = template_hash(deployment), deployment["spec"]
    template: Object = copied(spec["template"])
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**part(meta, "labels"), HASH: hashed}
    selector: Object = copied(spec["selector"])
    selector["matchLabels"] = {**part(selector, "matchLabels"), HASH: hashed}
    size, revision = rollout.new_size(generations), _next_revision(generations)
    annotations = {**_copied_annotations(deployment), **_sizing(generations), REVISION: revision}
    name = f"{_name(deployment)[:52]}-{hashed}"
    body: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": namespace_of(deployment),
            "labels": dict(meta["labels"]),
            "annotations": annotations,
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {"replicas": size, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        body["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    told = f"Scaled up replica set {name} from 0 to {size}"
    created = Tell(deployment, "Normal", "ScalingReplicaSet", told) if size else None
    failed = Tell(deployment, "Warning", "ReplicaSetCreateError", "Failed to create new replica set: ")
    return [Create(REPLICA_SETS, body, created, failed), *_with_revision(deployment, revision)]


def _revised(generations: Generations) -> list[Change]:
    """Keep the new ReplicaSet's annotations and revision, and the Deployment's own, up to date."""
    new, deployment = generations.new, generations.deployment
    if new is None:
        return []
    have: dict[str, str] = annotations_of(new)
    revision, was = _next_revision(generations), have.get(REVISION)
    wanted = {**_copied_annotations(deployment), **_sizing(generations)}
    if was is None or _number(was) < int(revision):
        wanted[REVISION] = revision
        if was is not None:
            history = have.get(REVISION_HISTORY)
            wanted[REVISION_HISTORY] = f"{history},{was}" if history else was
    else:
        revision = was
    if not wanted.items() <= have.items():
        patch: Object = {"metadata": {"annotations": wanted}}
        changes: list[Change] = [Merge(REPLICA_SETS, namespace_of(new), _name(new), patch)]
    else:
        changes = []
    wait = int(deployment["spec"].get("minReadySeconds") or 0)
    if wait != int(new["spec"].get("minReadySeconds") or 0):
        patch = {"spec": {"minReadySeconds": wait}}
        changes.append(Merge(REPLICA_SETS, namespace_of(new), _name(new), patch))
    return [*changes, *_with_revision(deployment, revision)]


def _with_revision(deployment: Object, revision: str) -> list[Change]:
    if annotations_of(deployment).get(REVISION) == revision:
        return []
    patch = {"metadata": {"annotations": {REVISION: revision}}}
    return [Merge(DEPLOYMENTS, namespace_of(deployment), _name(deployment), patch)]


def _next_revision(generations: Generations) -> str:
    return str(1 + max((_revision(rs) for rs in generations.old), default=0))


def _revision(obj: Object) -> int:
    return _number(annotations_of(obj).get(REVISION))


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _copied_annotations(deployment: Object) -> dict[str, str]:
    annotations: dict[str, str] = annotations_of(deployment)
    return {key: value for key, value in annotations.items() if key not in _NOT_COPIED}


def _sizing(generations: Generations) -> dict[str, str]:
    return {
        rollout.DESIRED: str(generations.replicas),
        rollout.MAXIMUM: str(generations.maximum),
    }


def _resized(generations: Generations, sizes: rollout.Sizes) -> list[Change]:
    changes: list[Change] = []
    for rs in generations.all:
        name, was = _name(rs), wanted_replicas(rs)
        size = sizes.get(name, was)
        have: dict[str, str] = annotations_of(rs)
        patch: Object = {}
        if size != was:
            patch["spec"] = {"replicas": size}
        # Also unchanged ones learn the new total, else each turn would see a resize again.
        if (size or was) and not _sizing(generations).items() <= have.items():
            patch["metadata"] = {"annotations": _sizing(generations)}
        if patch:
            changes.append(Merge(REPLICA_SETS, namespace_of(rs), name, patch))
        if size != was:
            word = "up" if size > was else "down"
            told = f"Scaled {word} replica set {name} from {was} to {size}"
            changes.append(Tell(generations.deployment, "Normal", "ScalingReplicaSet", told))
    return changes


def _tidied(generations: Generations) -> list[Change]:
    """Forget the oldest revisions beyond `revisionHistoryLimit`."""
    limit = generations.deployment["spec"].get("revisionHistoryLimit")
    keep = 10 if limit is None else int(limit)
    idle = [
        rs
        for rs in generations.old
        if wanted_replicas(rs) == 0
        and rollout.count(rs, "replicas") == 0
        and not rs["metadata"].get("deletionTimestamp")
        and rollout.count(rs, "observedGeneration") >= rs["metadata"].get("generation", 1)
    ]
    excess = sorted(idle, key=_revision)[: max(0, len(idle) - keep)]
    return [Delete(REPLICA_SETS, namespace_of(rs), _name(rs), uid_of(rs)) for rs in excess]


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
