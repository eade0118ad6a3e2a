"""How a wish to delete becomes a deletion: grace periods, finalizers, propagation.

Follows apiserver's generic registry (`store.go`, `rest/delete.go`): the wish is written as
deletionTimestamp whenever something keeps the object, and the last keeper's update removes it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .metadata import timestamp
from .objects import Object, copied, is_deleting, name_of, namespace_of
from .resources import Propagation, Resource
from .writing import Attributes, Write, is_finished

if TYPE_CHECKING:
    from .store import Store

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


def delete(
    store: Store,
    resource: Resource,
    old: Object,
    propagation: Propagation | None,
    grace: int | None,
    write: Write,
) -> tuple[Object, bool]:
    """The object as it is left or was last, and whether it has gone. See Store.delete."""
    attributes = Attributes(
        store=store,
        resource=resource,
        operation="DELETE",
        object=None,
        old=old,
        subresource="",
        namespace=namespace_of(old),
        name=name_of(old),
        write=write,
        options={"propagationPolicy": propagation, "gracePeriodSeconds": grace},
    )
    for step in store.validating:
        step(attributes)
    if propagation is None and resource.deletion_warning:
        write.warn(resource.deletion_warning)
    new = _asked_again(old, grace) if is_deleting(old) else _marked(store, resource, old, propagation, grace)
    if is_finished(resource, new):
        if not write.dry_run:
            place = (namespace_of(old), name_of(old))
            return store.ledger.remove(resource.storage, place).object, True
        return old, True
    if new != old and not write.dry_run:
        store.ledger.commit(resource.storage, new)
    return new, False


def _marked(
    store: Store,
    resource: Resource,
    old: Object,
    propagation: Propagation | None,
    grace: int | None,
) -> Object:
    new = copied(old)
    metadata: Object = new["metadata"]
    seconds = resource.rules.grace_period(old, grace)
    metadata["deletionTimestamp"] = timestamp(store.now() + timedelta(seconds=seconds))
    metadata["deletionGracePeriodSeconds"] = seconds
    if metadata.get("generation"):
        metadata["generation"] += 1
    finalizers = _finalizers(metadata.get("finalizers") or [], resource, propagation)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    resource.rules.mark_deleting(new)
    return new


def _asked_again(old: Object, grace: int | None) -> Object:
    """A second wish may only shorten the grace period."""
    new = copied(old)
    metadata: Object = new["metadata"]
    held = metadata.get("deletionGracePeriodSeconds")
    if grace is not None and held is not None and grace < held:
        moment = datetime.fromisoformat(metadata["deletionTimestamp"])
        metadata["deletionTimestamp"] = timestamp(moment + timedelta(seconds=grace - held))
        metadata["deletionGracePeriodSeconds"] = grace
    return new


def _finalizers(held: list[str], resource: Resource, propagation: Propagation | None) -> list[str]:
    wanted = propagation
    if wanted is None:
        if ORPHAN in held:
            wanted = "Orphan"
        elif FOREGROUND in held:
            wanted = "Foreground"
        else:
            wanted = resource.default_propagation
    kept = [finalizer for finalizer in held if finalizer not in (ORPHAN, FOREGROUND)]
    if wanted == "Orphan":
        kept.append(ORPHAN)
    elif wanted == "Foreground":
        kept.append(FOREGROUND)
    return kept
