"""Server-side apply: merge a manager's configuration into the live object, and drop what it left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubernaut.devcluster.errors import BadRequest, Invalid
from kubernaut.devcluster.metadata import required
from kubernaut.devcluster.objects import Object, copied, is_list, is_map
from kubernaut.devcluster.ownership import entries_of, owned_part, record_apply
from kubernaut.devcluster.resources import Resource
from kubernaut.devcluster.schema.fieldsets import (
    FieldSet,
    applied_set,
    below,
    difference,
    holds_self,
    is_granular,
    item_key,
    union,
)
from kubernaut.devcluster.schema.nodes import ANY, Node

if TYPE_CHECKING:
    from kubernaut.devcluster.ledger import Place
    from kubernaut.devcluster.store import Store
    from kubernaut.devcluster.writing import Write


def apply_configuration(
    store: Store,
    resource: Resource,
    body: Object,
    live: Object | None,
    place: Place,
    subresource: str,
    force: bool,
    write: Write,
) -> Object:
    """The object to create or to update to, with managedFields. Raises Conflict, BadRequest."""
    metadata: Object = body.setdefault("metadata", {})
    if metadata.get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    if metadata.setdefault("name", place[1]) != place[1]:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({place[1]})"
        )
    if not write.manager:
        fault = required("fieldManager", "is required for apply patch")
        raise Invalid.of("meta.k8s.io", "PatchOptions", "", [fault])
    for part in ("apiVersion", "kind"):
        if not body.get(part):
            raise BadRequest(f"error decoding YAML: Object '{part}' is missing")
    # An optimistic lock is checked with the update; it is not a field to own.
    version = metadata.pop("resourceVersion", "") if live is not None else ""
    said = owned_part(body)
    if subresource != "status" and resource.rules.has_status:
        said.pop("status", None)
    node = resource.rules.node
    applied = applied_set(said, node)
    start: Object = copied(live) if live is not None else _empty(body, place, resource)
    merged: Object = merged_value(start, said, node)
    if live is not None:
        last = _last_applied(live, write.manager, subresource)
        others = _owned_by_others(live, write.manager, subresource)
        gone = difference(difference(last, applied), others)
        if gone is not None:
            _drop(merged, gone, union(others, applied), node)
        if version:
            merged["metadata"]["resourceVersion"] = version
    for part in ("apiVersion", "kind"):
        merged[part] = body[part]
    record_apply(merged, live or {}, applied, resource, subresource, write, force, store.now())
    return merged


def _empty(body: Object, place: Place, resource: Resource) -> Object:
    metadata = {"name": place[1]}
    if resource.namespaced:
        metadata["namespace"] = place[0]
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata}


def _last_applied(live: Object, manager: str, subresource: str) -> FieldSet | None:
    for entry in entries_of(live):
        if entry.key == (manager, "Apply", subresource):
            return entry.fields
    return None


def _owned_by_others(live: Object, manager: str, subresource: str) -> FieldSet | None:
    owned: FieldSet | None = None
    for entry in entries_of(live):
        if entry.key != (manager, "Apply", subresource):
            owned = union(owned, entry.fields)
    return owned


def merged_value(live: Any, said: Any, node: Node) -> Any:
    """Merge by schema; edits `live` in place where it can."""
    if not is_granular(said, node) or type(live) is not type(said) or node.atomic:
        return copied(said)
    if is_map(said):
        for key, item in said.items():
            live[key] = merged_value(live.get(key), item, below(node, key))
        return live
    return _merged_list(live, said, node)


def _merged_list(live: list[Any], said: list[Any], node: Node) -> list[Any]:
    items = node.items or ANY
    held = {item_key(item, node): item for item in live}
    mine = {item_key(item, node): item for item in said}
    merged: list[Any] = []
    for key, item in held.items():
        merged.append(merged_value(item, mine[key], items) if key in mine else item)
    merged.extend(copied(item) for key, item in mine.items() if key not in held)
    return merged


def _drop(value: Any, gone: FieldSet, kept_fields: FieldSet | None, node: Node) -> None:
    """Remove the fields that nobody owns any longer; a parent stays while anybody owns a part."""
    others = kept_fields if kept_fields is not None else {}
    if is_map(value):
        for key, part in gone.items():
            name = key.removeprefix("f:")
            if key == "." or name not in value:
                continue
            if holds_self(part) and key not in others:
                del value[name]
                continue
            _drop(value[name], part, others.get(key), below(node, name))
            if value[name] in ({}, []) and key not in others:
                del value[name]
    elif is_list(value):
        kept: list[Any] = []
        for item in value:
            key = item_key(item, node)
            part = gone.get(key)
            if part is not None and holds_self(part) and key not in others:
                continue
            if part is not None:
                _drop(item, part, others.get(key), node.items or ANY)
            kept.append(item)
        value[:] = kept
