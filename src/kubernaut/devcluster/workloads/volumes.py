"""Claims and their volumes: one that is there and fits, or a folder made when the first pod wants it. PURE.

The default class has `volumeBindingMode: WaitForFirstConsumer`, as that of most real clusters.
Source of the behaviour: k8s.io/kubernetes pkg/controller/volume/persistentvolume.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from kubernaut.devcluster.objects import Object, namespace_of, uid_of
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kubernaut.devcluster.workloads.changes import Change, Create, Delete, Merge, SetStatus, Tell, Turn
from kubernaut.devcluster.workloads.pods import is_finished, selects
from kubernaut.devcluster.workloads.reading import annotations_of, items, part, parts

DEFAULT_CLASS = "standard"
PROVISIONER = "devcluster.kubernaut.ai/folder"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """One claim, the pods of its namespace, and what volumes there are or could be."""

    now: datetime
    claim: Object
    pods: Sequence[Object]
    classes: Mapping[str, Object]
    """Storage classes by name."""
    folder: str
    """Where a volume made for this claim would lie."""
    volumes: Sequence[Object]


def decide_claim(facts: ClaimFacts) -> Turn:
    """Bind the claim to the smallest volume that fits, or to one made for it; let a bound one grow."""
    claim, spec = facts.claim, facts.claim["spec"]
    if claim["metadata"].get("deletionTimestamp"):
        return Turn()
    if part(claim, "status").get("phase") == "Bound":
        return Turn(tuple(_grown(facts)))
    wanted = spec.get("storageClassName")
    class_ = DEFAULT_CLASS if wanted is None else str(wanted)
    # An interrupted turn may have made the volume already.
    made = next((v for v in facts.volumes if v["metadata"]["name"] == volume_name(claim)), None)
    if spec.get("volumeName") and made is None:
        named = next((v for v in facts.volumes if v["metadata"]["name"] == spec["volumeName"]), None)
        free = named is not None and _is_free_for(named, claim)
        return Turn(tuple(_bound_to(claim, named) if named is not None and free else _pending(claim)))
    waits = part(facts.classes, class_).get("volumeBindingMode") == "WaitForFirstConsumer"
    consumer = next((pod for pod in facts.pods if _uses(pod, claim)), None)
    if waits and consumer is None:
        said = "waiting for first consumer to be created before binding"
        return Turn((*_pending(claim), Tell(claim, "Normal", "WaitForFirstConsumer", said)))
    if made is None and (fitting := fitting_volume(claim, class_, facts.volumes)) is not None:
        return Turn(tuple(_bound_to(claim, fitting)))
    if part(facts.classes, class_).get("provisioner") == PROVISIONER:
        node = consumer["spec"]["nodeName"] if consumer is not None else ""
        return Turn(tuple(_provisioned(facts, class_, node, exists=made is not None)))
    return Turn((*_pending(claim), _missing(facts, class_)))


def _missing(facts: ClaimFacts, class_: str) -> Tell:
    if class_ and class_ not in facts.classes:
        said = f'storageclass.storage.k8s.io "{class_}" not found'
        return Tell(facts.claim, "Warning", "ProvisioningFailed", said)
    said = "no persistent volumes available for this claim and no storage class is set"
    return Tell(facts.claim, "Normal", "FailedBinding", said)


def fitting_volume(claim: Object, class_: str, volumes: Sequence[Object]) -> Object | None:
    """The smallest free volume of the class that the claim can use; None when there is none."""
    spec = claim["spec"]
    selector = spec.get("selector")
    fitting = [
        volume
        for volume in volumes
        if (volume["spec"].get("storageClassName") or "") == class_
        and _is_free_for(volume, claim)
        and part(volume, "status").get("phase") == "Available"
        and set(items(spec, "accessModes")) <= set(items(volume, "spec", "accessModes"))
        and (volume["spec"].get("volumeMode") or "Filesystem") == (spec.get("volumeMode") or "Filesystem")
        and _capacity(volume) >= _request(claim)
        and (selector is None or selects(selector, volume))
    ]
    # One that names the claim already is meant for it, whatever its size.
    return min(
        fitting,
        key=lambda v: (not part(v, "spec", "claimRef"), _capacity(v), v["metadata"]["name"]),
        default=None,
    )


def _is_free_for(volume: Object, claim: Object) -> bool:
    held = part(volume, "spec", "claimRef")
    if not held:
        return True
    same = (held.get("namespace"), held.get("name")) == (namespace_of(claim), claim["metadata"]["name"])
    return same and held.get("uid") in {None, "", uid_of(claim)}


def _capacity(volume: Object) -> Decimal:
    return parse_quantity(part(volume, "spec", "capacity").get("storage", "0"))


def _request(claim: Object) -> Decimal:
    return parse_quantity(part(claim, "spec", "resources", "requests").get("storage", "0"))


def _bound_to(claim: Object, volume: Object) -> list[Change]:
    name, namespace, found = claim["metadata"]["name"], namespace_of(claim), volume["metadata"]["name"]
    by_us = {"pv.kubernetes.io/bound-by-controller": "yes"}
    done = {"pv.kubernetes.io/bind-completed": "yes"}
    status = {
        "phase": "Bound",
        "accessModes": volume["spec"]["accessModes"],
        "capacity": dict(volume["spec"]["capacity"]),
    }
    patch = {"metadata": {"annotations": {**by_us, **done}}, "spec": {"volumeName": found}}
    reference = {"metadata": {"annotations": by_us}, "spec": {"claimRef": _reference(claim)}}
    return [
        Merge(PERSISTENT_VOLUMES, "", found, reference),
        SetStatus(PERSISTENT_VOLUMES, "", found, {"phase": "Bound"}),
        Merge(PERSISTENT_VOLUME_CLAIMS, namespace, name, patch),
        SetStatus(PERSISTENT_VOLUME_CLAIMS, namespace, name, status),
    ]


def _reference(claim: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": claim["metadata"]["name"],
        "uid": uid_of(claim),
    }


def _grown(facts: ClaimFacts) -> list[Change]:
    """A folder has room: what is asked for is there at once. Volumes of others are left to them."""
    claim, status = facts.claim, part(facts.claim, "status")
    name = claim["spec"].get("volumeName")
    volume = next((v for v in facts.volumes if v["metadata"]["name"] == name), None)
    if volume is None or not is_ours(volume) or _request(claim) <= _capacity(volume):
        return []
    capacity = {"storage": part(claim, "spec", "resources", "requests")["storage"]}
    place = (PERSISTENT_VOLUME_CLAIMS, namespace_of(claim), claim["metadata"]["name"])
    return [
        Merge(PERSISTENT_VOLUMES, "", str(name), {"spec": {"capacity": capacity}}),
        SetStatus(*place, {**status, "capacity": capacity}),
        Tell(claim, "Normal", "FileSystemResizeSuccessful", "the folder has no bounds: nothing had to be done"),
    ]


def is_ours(volume: Object) -> bool:
    """Whether it was made here for a claim."""
    return annotations_of(volume).get("pv.kubernetes.io/provisioned-by") == PROVISIONER


def volume_name(claim: Object) -> str:
    """As provisioners name them."""
    return f"pvc-{uid_of(claim)}"


def claims_of(pod: Object) -> list[str]:
    """Names of the claims that a pod mounts."""
    volumes: list[Object] = parts(pod, "spec", "volumes")
    return [
        str(volume["persistentVolumeClaim"]["claimName"])
        for volume in volumes
        if volume.get("persistentVolumeClaim")
    ]


def _uses(pod: Object, claim: Object) -> bool:
    name = claim["metadata"]["name"]
    return bool(pod["spec"].get("nodeName")) and not is_finished(pod) and name in claims_of(pod)


def _pending(claim: Object) -> list[Change]:
    if part(claim, "status").get("phase") == "Pending":
        return []
    name = claim["metadata"]["name"]
    return [SetStatus(PERSISTENT_VOLUME_CLAIMS, namespace_of(claim), name, {"phase": "Pending"})]


def _provisioned(facts: ClaimFacts, class_: str, node: str, *, exists: bool) -> list[Change]:
    claim, volume = facts.claim, volume_name(facts.claim)
    name, namespace = claim["metadata"]["name"], namespace_of(claim)
    capacity = part(claim, "spec", "resources", "requests").get("storage", "1Gi")
    modes = claim["spec"].get("accessModes") or ["ReadWriteOnce"]
    changes: list[Change] = []
    if not exists:
        body: Object = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": volume,
                "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
            },
            "spec": {
                "capacity": {"storage": capacity},
                "accessModes": modes,
                "storageClassName": class_,
                "persistentVolumeReclaimPolicy": "Delete",
                "hostPath": {"path": facts.folder},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [_only_on(node)]}},
                "claimRef": _reference(claim),
            },
        }
        said = f"Successfully provisioned volume {volume}"
        changes.append(Create(PERSISTENT_VOLUMES, body, Tell(claim, "Normal", "ProvisioningSucceeded", said)))
        changes.append(SetStatus(PERSISTENT_VOLUMES, "", volume, {"phase": "Bound"}))
    spec = {"volumeName": volume, "storageClassName": class_}
    annotations = {"pv.kubernetes.io/bind-completed": "yes", **({_SELECTED_NODE: node} if node else {})}
    patch = {"metadata": {"annotations": annotations}, "spec": spec}
    changes.append(Merge(PERSISTENT_VOLUME_CLAIMS, namespace, name, patch))
    status = {"phase": "Bound", "accessModes": modes, "capacity": {"storage": capacity}}
    changes.append(SetStatus(PERSISTENT_VOLUME_CLAIMS, namespace, name, status))
    return changes


def _only_on(node: str) -> Object:
    """A folder lies on one node: pods that use it have to go there, as with a real class of this kind."""
    return {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}


def decide_volume(volume: Object, claim: Object | None) -> Turn:
    """Free, or taken; when its claim is gone one of ours goes too, and any other is released."""
    reference, name = part(volume, "spec", "claimRef"), volume["metadata"]["name"]
    if not reference.get("uid"):
        return _phase(volume, "Available")
    if claim is not None and uid_of(claim) == reference["uid"]:
        return Turn()
    if is_ours(volume):
        return Turn((Delete(PERSISTENT_VOLUMES, "", name, uid_of(volume)),))
    return _phase(volume, "Released")


def _phase(volume: Object, phase: str) -> Turn:
    if part(volume, "status").get("phase") == phase:
        return Turn()
    return Turn((SetStatus(PERSISTENT_VOLUMES, "", volume["metadata"]["name"], {"phase": phase}),))
