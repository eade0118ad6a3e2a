"""The four patch types. A patch becomes a whole object, which then goes the way of an update."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from kubernaut.devcluster import writing
from kubernaut.devcluster.errors import BadRequest, Fault, Invalid, NotFound, UnsupportedMediaType
from kubernaut.devcluster.metadata import immutable, quoted
from kubernaut.devcluster.objects import Object, copied, is_list, is_map, map_at, to_json
from kubernaut.devcluster.resources import Resource
from kubernaut.devcluster.schema.check import type_error

from .applying import apply_configuration
from .json_patch import PatchFailed, json_patch
from .merging import merge_patch
from .strategic import strategic_patch

if TYPE_CHECKING:
    from kubernaut.devcluster.ledger import Place
    from kubernaut.devcluster.store import Store
    from kubernaut.devcluster.writing import Write

__all__ = ["PatchType", "apply_patch", "json_patch", "merge_patch", "strategic_patch"]

PatchType: TypeAlias = Literal["merge", "json", "strategic", "apply"]


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
    stored_place = (place[0] if resource.namespaced else "", place[1])
    record = store.ledger.get(resource.storage, stored_place)
    if patch_type == "apply":
        return _apply(store, resource, place, patch, subresource, force, write)
    if record is None:
        raise NotFound.of(resource.key, place[1])
    # A patch is written against the version it was sent to.
    live = copied(resource.convert_out(record.object)) if resource.convert_out else None
    new = patched(resource, live or copied(record.object), patch, patch_type)
    if not resource.is_custom:
        error = type_error(new, resource.rules.node, "", "")
        if error:
            fault = Fault("patch", "FieldValueInvalid", f"Invalid value: {quoted(to_json(new).decode())}: {error}")
            raise Invalid.of("", "", "", [fault])
    if (uid := map_at(new, "metadata").get("uid")) and uid != record.object["metadata"]["uid"]:
        # Where an update conflicts, a patch wants to change what is immutable.
        raise Invalid.of(resource.group, resource.kind, place[1], [immutable("metadata.uid", uid)])
    return writing.update(store, resource, new, record.object, subresource, write)


def patched(resource: Resource, live: Object, patch: Any, patch_type: PatchType) -> Object:
    """`live` (taken over) after the patch. Raises BadRequest, Invalid, UnsupportedMediaType."""
    if patch_type == "json":
        if not is_list(patch):
            raise BadRequest(
                "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
            )
        try:
            new = json_patch(live, patch)
        except PatchFailed:
            # What exactly failed is in the real server's log only.
            message = "the server rejected our request due to an error in our request"
            raise Invalid(message, {}) from None
    elif not is_map(patch):
        raise BadRequest("json: cannot unmarshal array into Go value of type map[string]interface {}")
    elif patch_type == "merge":
        new = merge_patch(live, patch)
    elif resource.is_custom:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        )
    else:
        new = strategic_patch(live, patch, resource.rules.node)
    if not is_map(new):
        raise BadRequest("the patch does not leave an object")
    return new


def _apply(
    store: Store,
    resource: Resource,
    place: Place,
    patch: Any,
    subresource: str,
    force: bool,
    write: Write,
) -> Object:
    if not is_map(patch):
        raise BadRequest("error decoding YAML: an object is needed")
    body = copied(patch)
    write = replace(write, operation="Apply")
    record = store.ledger.get(resource.storage, (place[0] if resource.namespaced else "", place[1]))
    if record is None and subresource:
        raise NotFound.of(resource.key, place[1])
    new = apply_configuration(
        store, resource, body, None if record is None else record.object, place, subresource, force, write
    )
    if record is None:
        return writing.create(store, resource, new, place[0], write)
    return writing.update(store, resource, new, record.object, subresource, write)
