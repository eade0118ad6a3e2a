"""Admission of larger claims: only bound ones, and only where their class can do it.

Source: k8s.io/kubernetes plugin/pkg/admission/storage/persistentvolume/resize.
"""

from decimal import Decimal

from kubernaut.devcluster.errors import Forbidden
from kubernaut.devcluster.objects import Object, map_at
from kubernaut.devcluster.quantities import parse_quantity
from kubernaut.devcluster.resources import PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES
from kubernaut.devcluster.store import Attributes
from kubernaut.devcluster.workloads.reading import peek

_UNBOUND = "Only bound persistent volume claims can be expanded"
_FIXED = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support "
    "resize"
)


def refuse_growth(attributes: Attributes) -> None:
    """Raises Forbidden."""
    new, old = attributes.object, attributes.old
    if attributes.resource.key != PERSISTENT_VOLUME_CLAIMS or attributes.operation != "UPDATE":
        return
    if attributes.subresource or new is None or old is None or _size(new) <= _size(old):
        return
    if map_at(old, "status").get("phase") != "Bound":
        raise _refusal(attributes.name, _UNBOUND)
    class_ = peek(attributes.store, STORAGE_CLASSES, str(map_at(old, "spec").get("storageClassName") or ""))
    if class_ is None or not class_.get("allowVolumeExpansion"):
        raise _refusal(attributes.name, _FIXED)


def _size(claim: Object) -> Decimal:
    return parse_quantity(map_at(claim, "spec", "resources", "requests").get("storage", "0"))


def _refusal(name: str, why: str) -> Forbidden:
    kind = "persistentvolumeclaims"
    return Forbidden(f'{kind} "{name}" is forbidden: {why}', {"name": name, "kind": kind})
