"""The four patch types. A patch becomes a whole object, which then goes the way of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kubernaut.devcluster.errors import NotFound
from kubernaut.devcluster.objects import Object, copied, is_map
from kubernaut.devcluster.resources import Resource

if TYPE_CHECKING:
    from kubernaut.devcluster.ledger import Place
    from kubernaut.devcluster.store import Store
    from kubernaut.devcluster.writing import Write

PatchType: TypeAlias = Literal["merge", "json", "strategic", "apply"]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386. Edits `target` in place where it can."""
    if not is_map(patch):
        return copied(patch)
    held: dict[str, Any] = target if is_map(target) else {}
    for key, value in patch.items():
        if value is None:
            held.pop(key, None)
        else:
            held[key] = merge_patch(held.get(key), value)
    return held


def apply_patch(
    store: Store,
    resource: Resource,
    place: Place,
    patch: Any,
    patch_type: PatchType,
    subresource: str,
    force: bool,
    write: Write,
) -> Object:
    """See Store.patch."""
    from kubernaut.devcluster.writing import update

    record = store.ledger.get(resource.storage, place)
    if record is None:
        raise NotFound.of(resource.key, place[1])
    new = merge_patch(copied(record.object), patch)
    return update(store, resource, new, record.object, subresource, write)
