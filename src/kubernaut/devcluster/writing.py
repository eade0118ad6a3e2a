"""How a create or an update becomes a stored object: the one path of REST and of controllers.

Order, as in the real API server: read and default, fill in metadata, mutate, validate, refuse,
record who owns which field, commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .errors import AlreadyExists, BadRequest, Conflict, Fault, Invalid
from .identity.users import INSIDE, User
from .metadata import (
    dns_subdomain,
    generated_name,
    invalid,
    new_uid,
    timestamp,
    validate_metadata,
    validate_metadata_update,
)
from .objects import Object, is_deleting, name_of, namespace_of
from .ownership import record_change
from .resources import Resource

if TYPE_CHECKING:
    from .store import Store


def _ignore(_text: str) -> None:
    """Nobody listens to warnings in process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Who writes and how."""

    user: User = INSIDE
    manager: str = "devcluster"
    """Name in managedFields."""
    dry_run: bool = False
    field_validation: Literal["Ignore", "Warn", "Strict"] = "Ignore"
    """What to do with unknown fields, which are dropped in any case."""
    warn: Callable[[str], None] = _ignore
    operation: Literal["Update", "Apply"] = "Update"


@dataclass(slots=True, kw_only=True)
class Attributes:
    """What admission sees of a request."""

    store: Store
    resource: Resource
    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    object: Object | None
    """The new state; None for deletions. Mutating steps may edit it."""
    old: Object | None
    subresource: str
    namespace: str
    name: str
    write: Write
    options: dict[str, Any] | None = None


Admission: TypeAlias = Callable[[Attributes], None]


def create(store: Store, resource: Resource, obj: Object, namespace: str | None, write: Write) -> Object:
    """Takes over `obj`. See Store.create."""
    _settle_type(resource, obj)
    metadata: Object = obj.setdefault("metadata", {})
    _settle_namespace(resource, metadata, namespace)
    if metadata.get("resourceVersion"):
        raise BadRequest("resourceVersion should not be set on objects to be created")
    _read(resource, obj, write)
    rules = resource.rules
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generated_name(metadata["generateName"])
    for part in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        metadata.pop(part, None)
    metadata["uid"] = new_uid()
    metadata["creationTimestamp"] = timestamp(store.now())
    if resource.has_generation:
        metadata["generation"] = 1
    rules.prepare_create(obj)
    attributes = Attributes(
        store=store,
        resource=resource,
        operation="CREATE",
        object=obj,
        old=None,
        subresource="",
        namespace=namespace_of(obj),
        name=name_of(obj),
        write=write,
    )
    for step in store.mutating:
        step(attributes)
    _refuse(resource, obj, [*_metadata_faults(resource, obj), *rules.validate(obj)])
    for step in store.validating:
        step(attributes)
    place = (namespace_of(obj), name_of(obj))
    if store.ledger.get(resource.storage, place) is not None:
        raise AlreadyExists.of(resource.key, place[1])
    _warn(resource, obj, write)
    record_change(obj, {}, resource, "", write, store.now())
    if not write.dry_run:
        store.ledger.commit(resource.storage, obj)
    return obj


def update(store: Store, resource: Resource, obj: Object, old: Object, subresource: str, write: Write) -> Object:
    """Takes over `obj`; `old` is what is stored now. See Store.update."""
    if subresource and subresource not in resource.subresources:
        raise BadRequest(f"{resource.key} has no subresource {subresource}")
    _settle_type(resource, obj)
    metadata: Object = obj.setdefault("metadata", {})
    _check_version(resource, metadata, old, store)
    _carry_over(metadata, old["metadata"])
    _read(resource, obj, write)
    rules = resource.rules
    if subresource:
        rules.prepare_status(obj, old)
    else:
        rules.prepare_update(obj, old)
    attributes = Attributes(
        store=store,
        resource=resource,
        operation="UPDATE",
        object=obj,
        old=old,
        subresource=subresource,
        namespace=namespace_of(old),
        name=name_of(old),
        write=write,
    )
    for step in store.mutating:
        step(attributes)
    if resource.has_generation and not subresource and rules.bumps_generation(obj, old):
        metadata["generation"] = old["metadata"].get("generation", 0) + 1
    _refuse(resource, obj, _update_faults(resource, obj, old, subresource))
    for step in store.validating:
        step(attributes)
    _warn(resource, obj, write)
    if not record_change(obj, old, resource, subresource, write, store.now()):
        return old
    return _commit_update(store, resource, obj, write)


def _commit_update(store: Store, resource: Resource, obj: Object, write: Write) -> Object:
    if write.dry_run:
        return obj
    if is_finished(resource, obj):
        # The last finalizer has gone: the update is the deletion.
        store.ledger.commit(resource.storage, obj)
        place = (namespace_of(obj), name_of(obj))
        return store.ledger.remove(resource.storage, place).object
    return store.ledger.commit(resource.storage, obj).object


def is_finished(resource: Resource, obj: Object) -> bool:
    """Whether a deleting object has nothing left that keeps it."""
    metadata = obj["metadata"]
    return (
        is_deleting(obj)
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
        and not resource.rules.holds_on(obj)
    )


def _settle_type(resource: Resource, obj: Object) -> None:
    for part, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        found = obj.setdefault(part, wanted)
        if found == wanted:
            continue
        if part == "apiVersion" and found == resource.stored_api_version:
            continue
        raise BadRequest(
            f"{obj.get('kind')} in version {_quoted_version(obj)} cannot be handled as a "
            f"{resource.kind}: the API version in the data ({obj.get('apiVersion')}) does not "
            f"match the expected API version ({resource.api_version})"
            if part == "apiVersion"
            else f"the object provided is unrecognized (must be of type {resource.kind})"
        )
    if resource.convert_in is not None:
        resource.convert_in(obj)
    obj["apiVersion"] = resource.stored_api_version


def _quoted_version(obj: Object) -> str:
    return f'"{str(obj.get("apiVersion", "")).rpartition("/")[2]}"'


def _settle_namespace(resource: Resource, metadata: Object, namespace: str | None) -> None:
    if not resource.namespaced:
        return
    if namespace and metadata.setdefault("namespace", namespace) != namespace:
        if metadata["namespace"]:
            raise BadRequest(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = namespace


def _read(resource: Resource, obj: Object, write: Write) -> None:
    unknown = resource.rules.decode(obj)
    if not unknown or write.field_validation == "Ignore":
        return
    texts = [f'unknown field "{path}"' for path in unknown]
    if write.field_validation == "Strict":
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a '
            f"{resource.kind}: strict decoding error: {', '.join(texts)}"
        )
    for text in texts:
        write.warn(text)


def _warn(resource: Resource, obj: Object, write: Write) -> None:
    if write.warn is not _ignore:
        for text in resource.rules.warnings(obj):
            write.warn(text)


def _metadata_faults(resource: Resource, obj: Object) -> Iterable[Fault]:
    return validate_metadata(obj, resource, resource.name_rule or dns_subdomain)


def _update_faults(resource: Resource, obj: Object, old: Object, subresource: str) -> Iterable[Fault]:
    yield from _metadata_faults(resource, obj)
    yield from validate_metadata_update(obj, old)
    if subresource == "status":
        yield from resource.rules.validate_status(obj, old)
    else:
        yield from resource.rules.validate(obj)
        yield from resource.rules.validate_update(obj, old)


def _refuse(resource: Resource, obj: Object, faults: Iterable[Fault]) -> None:
    found = list(faults)
    if found:
        raise Invalid.of(resource.group, resource.kind, name_of(obj), found)


def _check_version(resource: Resource, metadata: Object, old: Object, store: Store) -> None:
    was = old["metadata"]
    sent = metadata.get("resourceVersion")
    if sent:
        if str(sent) != was["resourceVersion"]:
            raise Conflict.modified(resource.key, was["name"])
    elif not resource.unconditional_update:
        fault = invalid("metadata.resourceVersion", "", "must be specified for an update")
        text = "Invalid value: 0x0: must be specified for an update"
        fault = Fault(fault.path, fault.reason, text)
        raise Invalid.of(resource.group, resource.kind, was["name"], [fault])
    uid = metadata.get("uid")
    if uid and uid != was["uid"]:
        raise Conflict.of(
            resource.key,
            was["name"],
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {was['uid']}",
        )


def _carry_over(metadata: Object, was: Object) -> None:
    """Metadata that only the server decides, and what clients may leave out."""
    for part in (
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
    ):
        if part in was:
            metadata[part] = was[part]
        else:
            metadata.pop(part, None)
    metadata.setdefault("namespace", was.get("namespace"))
    if metadata["namespace"] is None:
        del metadata["namespace"]
    metadata.pop("selfLink", None)
