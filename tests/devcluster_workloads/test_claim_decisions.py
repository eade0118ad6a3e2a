"""Claims: which volume is taken, and how one of ours grows."""

from typing import Any

from kubernaut.devcluster.workloads.changes import Create, Merge, SetStatus, Turn
from kubernaut.devcluster.workloads.volumes import PROVISIONER, ClaimFacts, decide_claim, fitting_volume

from .worlds import NOW, meta

Object = dict[str, Any]


def claim(size: str = "2Mi", **more: Any) -> Object:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": "c",
    }
    return {"apiVersion": "v1", "metadata": meta("data", "uid-data"), "spec": {**spec, **more}, "status": {}}


def volume(name: str, size: str, **spec: Any) -> Object:
    wanted = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "c", **spec}
    return {"metadata": {"name": name}, "spec": wanted, "status": {"phase": "Available"}}


def decide(found: Object, *volumes: Object, **class_: Any) -> Turn:
    classes = {"c": {"provisioner": "others", "volumeBindingMode": "Immediate", **class_}}
    return decide_claim(ClaimFacts(NOW, found, [], classes, "/volumes/x", volumes))


def test_one_that_names_the_claim_is_meant_for_it_even_where_a_smaller_one_fits() -> None:
    meant = volume("meant", "9Mi", claimRef={"namespace": "ns", "name": "data"})
    assert fitting_volume(claim(), "c", [volume("small", "2Mi"), meant]) is meant


def test_one_that_names_another_claim_is_not_taken() -> None:
    taken = volume("taken", "2Mi", claimRef={"namespace": "ns", "name": "other"})
    assert fitting_volume(claim(), "c", [taken]) is None


def test_class_and_mode_must_be_the_same() -> None:
    others = [volume("class", "2Mi", storageClassName="d"), volume("mode", "2Mi", volumeMode="Block")]
    assert fitting_volume(claim(), "c", others) is None


def test_a_volume_of_ours_grows_with_its_claim() -> None:
    bound = claim("5Mi", volumeName="pvc-1")
    bound["status"] = {"phase": "Bound", "capacity": {"storage": "2Mi"}}
    ours = volume("pvc-1", "2Mi")
    ours["metadata"]["annotations"] = {"pv.kubernetes.io/provisioned-by": PROVISIONER}
    changes = decide(bound, ours).changes
    (grown,) = [c for c in changes if isinstance(c, Merge)]
    (told,) = [c for c in changes if isinstance(c, SetStatus)]
    assert grown.patch == {"spec": {"capacity": {"storage": "5Mi"}}}
    assert told.status["capacity"] == {"storage": "5Mi"}


def test_a_volume_of_others_is_left_to_those_who_can_make_it_grow() -> None:
    bound = claim("5Mi", volumeName="v")
    bound["status"] = {"phase": "Bound"}
    assert decide(bound, volume("v", "2Mi")).changes == ()


def test_a_class_of_ours_without_waiting_makes_a_volume_at_once() -> None:
    changes = decide(claim(), provisioner=PROVISIONER).changes
    assert any(isinstance(change, Create) for change in changes)
