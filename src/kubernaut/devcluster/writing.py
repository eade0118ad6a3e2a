"""How a create or an update becomes a stored object: the one path of REST and of controllers.

Order, as in the real API server: read and default, fill in metadata, mutate, validate, refuse,
record who owns which field, commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .errors import AlreadyExists, BadRequest, Conflict, Fault, Invalid, Unclassified
from .identity.users import INSIDE, User
from .metadata import (
    dns_subdomain,
    generated_name,
    new_uid,
    timestamp,
    validate_metadata,
    validate_metadata_update,
)
from .objects import Object, is_deleting, name_of, namespace_of
from .ownership import record_change
from .resources import Resource
from .schema.ratcheting import still_wrong

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
    reviewed: frozenset[str] = frozenset()
    """What webhooks have consented to; see `policies.webhooks`."""
    owned_as: str = ""
    """The subresource that managedFields name, where it is not the one written to."""


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
    kind: tuple[str, str, str] | None = None
    """Group, version and kind of `object`, where a subresource has a kind of its own."""


Admission: TypeAlias = Callable[[Attributes], None]


def create(store: Store, resource: Resource, obj: Object, namespace: str | None, write: Write) -> Object:
    """Takes over `obj`. See Store.create."""
    _settle_type(store, resource, obj)
    metadata: Object = obj.setdefault("metadata", {})
    _settle_namespace(resource, metadata, namespace)
    if metadata.get("resourceVersion"):
        raise Unclassified("resourceVersion should not be set on objects to be created")
    _read(resource, obj, write)
    rules = resource.rules
    _order(obj)
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
    _settle_type(store, resource, obj)
    metadata: Object = obj.setdefault("metadata", {})
    _check_place(metadata, old["metadata"])
    _check_version(resource, metadata, old)
    _carry_over(metadata, old["metadata"])
    _order(obj)
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
    # Who writes through a Scale was judged by what the Scale says.
    for step in () if write.owned_as else store.validating:
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


def _settle_type(store: Store, resource: Resource, obj: Object) -> None:
    version, kind = obj.setdefault("apiVersion", resource.api_version), obj.setdefault("kind", resource.kind)
    known = version in (resource.api_version, resource.stored_api_version)
    if not known or kind != resource.kind:
        raise BadRequest(_mismatch(store, resource, str(version), str(kind)))
    if resource.convert_in is not None:
        resource.convert_in(obj)
    obj["apiVersion"] = resource.stored_api_version


def _mismatch(store: Store, resource: Resource, api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    head = f'{kind} in version "{version}" cannot be handled as a {resource.kind}: '
    served = [r for r in store.catalogue.all() if (r.group, r.version, r.kind) == (group, version, kind)]
    if served:
        home = resource.group.partition(".")[0] or "core"
        return head + f"converting ({version}.{kind}) to ({home}.{resource.kind}): unknown conversion"
    return head + (
        f'no kind "{kind}" is registered for version "{api_version}" in scheme "pkg/runtime/scheme.go:111"'
    )


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
    found = _rule_faults(resource, obj, old, subresource)
    yield from still_wrong(found, obj, old) if resource.is_custom else found


def _rule_faults(resource: Resource, obj: Object, old: Object, subresource: str) -> Iterable[Fault]:
    if subresource == "status":
        yield from resource.rules.validate_status(obj, old)
    else:
        yield from resource.rules.validate(obj)
        yield from resource.rules.validate_update(obj, old)


def _refuse(resource: Resource, obj: Object, faults: Iterable[Fault]) -> None:
    found = list(faults)
    if found:
        raise Invalid.of(resource.group, resource.kind, name_of(obj), found)


def _check_place(metadata: Object, was: Object) -> None:
    name = metadata.get("name")
    if name and name != was["name"]:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({was['name']})")
    namespace, held = metadata.get("namespace"), was.get("namespace")
    if namespace and held and namespace != held:
        raise BadRequest(
            f"the namespace of the object ({namespace}) does not match the namespace on the URL ({held})"
        )
    metadata["name"] = was["name"]


def _check_version(resource: Resource, metadata: Object, old: Object) -> None:
    was = old["metadata"]
    sent = metadata.get("resourceVersion")
    if sent:
        if str(sent) != was["resourceVersion"]:
            raise Conflict.modified(resource.key, was["name"])
    elif not resource.unconditional_update:
        text = "Invalid value: 0: must be specified for an update"
        fault = Fault("metadata.resourceVersion", "FieldValueInvalid", text)
        raise Invalid.of(resource.group, resource.plural, was["name"], [fault])
    uid = metadata.get("uid")
    if uid and uid != was["uid"]:
        home = f"{resource.group}/" if resource.is_custom else ""
        place = "/".join(part for part in (was.get("namespace"), was["name"]) if part)
        raise Conflict.of(
            resource.key,
            was["name"],
            f"StorageError: invalid object, Code: 4, Key: /registry/{home}{resource.plural}/{place}, "
            "ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: "
            f"{uid}, UID in object meta: {was['uid']}",
        )


def _order(obj: Object) -> None:
    """apiVersion and kind first: lists cut them off the text, as they do in the real API."""
    head = {part: obj.pop(part) for part in ("apiVersion", "kind", "metadata")}
    rest = dict(obj)
    obj.clear()
    obj.update(head | rest)


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
