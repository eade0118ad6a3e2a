"""Claims become volumes: a folder for each, made when the first pod wants it. PURE.

As with a class of `volumeBindingMode: WaitForFirstConsumer`, the default one of most real clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kubernaut.devcluster.objects import Object, namespace_of, uid_of
from kubernaut.devcluster.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kubernaut.devcluster.workloads.changes import Change, Create, Delete, Merge, SetStatus, Tell, Turn
from kubernaut.devcluster.workloads.pods import is_finished
from kubernaut.devcluster.workloads.reading import annotations_of, part, parts

DEFAULT_CLASS = "standard"
PROVISIONER = "devcluster.kubernaut.ai/folder"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """One claim, the pods of its namespace, and what volumes there could be."""

    now: datetime
    claim: Object
    pods: Sequence[Object]
    classes: frozenset[str]
    """Names of the storage classes that there are."""
    folder: str
    """Where a volume for this claim would lie."""
    volume_exists: bool


def decide_claim(facts: ClaimFacts) -> Turn:
    """Bind the claim once a pod that uses it has a node."""
    claim = facts.claim
    if claim["metadata"].get("deletionTimestamp"):
        return Turn()
    if part(claim, "status").get("phase") == "Bound":
        return Turn()
    wanted = claim["spec"].get("storageClassName")
    class_ = DEFAULT_CLASS if wanted is None else str(wanted)
    if claim["spec"].get("volumeName") and not facts.volume_exists:
        return Turn((*_pending(claim),))
    if class_ not in facts.classes:
        said = f'storageclass.storage.k8s.io "{class_}" not found'
        return Turn((*_pending(claim), Tell(claim, "Warning", "ProvisioningFailed", said)))
    consumer = next((pod for pod in facts.pods if _uses(pod, claim)), None)
    if consumer is None:
        said = "waiting for first consumer to be created before binding"
        return Turn((*_pending(claim), Tell(claim, "Normal", "WaitForFirstConsumer", said)))
    return Turn(tuple(_bound(facts, class_, consumer["spec"]["nodeName"])))


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


def _bound(facts: ClaimFacts, class_: str, node: str) -> list[Change]:
    claim, volume = facts.claim, volume_name(facts.claim)
    name, namespace = claim["metadata"]["name"], namespace_of(claim)
    capacity = part(claim, "spec", "resources", "requests").get("storage", "1Gi")
    modes = claim["spec"].get("accessModes") or ["ReadWriteOnce"]
    changes: list[Change] = []
    if not facts.volume_exists:
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
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": namespace,
                    "name": name,
                    "uid": uid_of(claim),
                },
            },
        }
        said = f"Successfully provisioned volume {volume}"
        changes.append(Create(PERSISTENT_VOLUMES, body, Tell(claim, "Normal", "ProvisioningSucceeded", said)))
        changes.append(SetStatus(PERSISTENT_VOLUMES, "", volume, {"phase": "Bound"}))
    spec = {"volumeName": volume, "storageClassName": class_}
    annotations = {_SELECTED_NODE: node, "pv.kubernetes.io/bind-completed": "yes"}
    patch = {"metadata": {"annotations": annotations}, "spec": spec}
    changes.append(Merge(PERSISTENT_VOLUME_CLAIMS, namespace, name, patch))
    status = {"phase": "Bound", "accessModes": modes, "capacity": {"storage": capacity}}
    changes.append(SetStatus(PERSISTENT_VOLUME_CLAIMS, namespace, name, status))
    return changes


def _only_on(node: str) -> Object:
    """A folder lies on one node: pods that use it have to go there, as with a real class of this kind."""
    return {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}


def decide_volume(volume: Object, claim: Object | None) -> Turn:
    """A volume whose claim is gone goes too."""
    reference = part(volume, "spec", "claimRef")
    ours = annotations_of(volume).get("pv.kubernetes.io/provisioned-by") == PROVISIONER
    if not ours or (claim is not None and uid_of(claim) == reference.get("uid")):
        return Turn()
    name = volume["metadata"]["name"]
    return Turn((Delete(PERSISTENT_VOLUMES, "", name, uid_of(volume)),))
