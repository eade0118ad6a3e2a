"""Sets of fields in the shape of FieldsV1, and how objects become such sets.

`{"f:spec": {"f:replicas": {}}}`: an empty map, or one with the key ".", means that the field itself
is in the set. Follows structured-merge-diff.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from kubernaut.devcluster.objects import from_json, is_list, is_map, to_json

from .nodes import ANY, Node

FieldSet: TypeAlias = dict[str, Any]
SELF = "."


def holds_self(fields: FieldSet) -> bool:
    return not fields or SELF in fields


def union(left: FieldSet | None, right: FieldSet | None) -> FieldSet | None:
    if left is None or right is None:
        return right if left is None else left
    joined: FieldSet = {}
    for key in (*left, *(key for key in right if key not in left)):
        if key != SELF:
            part = union(left.get(key), right.get(key))
            if part is not None:
                joined[key] = part
    return _closed(joined, holds_self(left) or holds_self(right))


def difference(left: FieldSet | None, right: FieldSet | None) -> FieldSet | None:
    if left is None or right is None:
        return left
    kept: FieldSet = {}
    for key, below in left.items():
        if key != SELF:
            part = difference(below, right.get(key))
            if part is not None:
                kept[key] = part
    return _closed(kept, holds_self(left) and not holds_self(right))


def intersection(left: FieldSet | None, right: FieldSet | None) -> FieldSet | None:
    if left is None or right is None:
        return None
    shared: FieldSet = {}
    for key, below in left.items():
        if key != SELF and key in right:
            part = intersection(below, right[key])
            if part is not None:
                shared[key] = part
    return _closed(shared, holds_self(left) and holds_self(right))


def _closed(children: FieldSet, with_self: bool) -> FieldSet | None:
    if not children:
        return {} if with_self else None
    return {SELF: {}, **children} if with_self else children


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """The members as `.spec.containers[name="a"].image`."""
    if prefix and holds_self(fields):
        yield prefix
    for key, below in fields.items():
        if key != SELF:
            yield from paths(below, prefix + _shown(key))


def _shown(key: str) -> str:
    kind, text = key[:2], key[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        parts = from_json(text)
        return "[" + ",".join(f"{k}={to_json(v).decode()}" for k, v in parts.items()) + "]"
    return f"[={text}]"


def is_granular(value: Any, node: Node) -> bool:
    """Whether parts of the value have owners of their own."""
    if node.atomic:
        return False
    if is_map(value):
        return True
    return is_list(value) and node.list_type in ("set", "map")


def below(node: Node, key: str) -> Node:
    found = node.fields.get(key)
    return found or node.values or ANY


def item_key(item: Any, node: Node) -> str:
    """The path element of a list item. Absent keys take their default."""
    if node.list_type == "set" or not is_map(item):
        return "v:" + to_json(item).decode()
    items = node.items or ANY
    parts: dict[str, Any] = {}
    for key in sorted(node.list_keys):
        value = item.get(key)
        if value is None and key in items.fields:
            default = items.fields[key].default
            value = default if isinstance(default, str | int) else None
        if value is not None:
            parts[key] = value
    return "k:" + to_json(parts).decode()


def children(value: Any, node: Node) -> dict[str, tuple[Any, Node]]:
    """Path element -> (value, node) of a granular value."""
    if is_map(value):
        return {f"f:{key}": (item, below(node, key)) for key, item in value.items()}
    items = node.items or ANY
    return {item_key(item, node): (item, items) for item in value}


def applied_set(value: Any, node: Node) -> FieldSet:
    """The fields that an applied configuration speaks about."""
    if not is_granular(value, node):
        return {}
    found: FieldSet = {}
    for key, (item, item_node) in children(value, node).items():
        part: FieldSet = applied_set(item, item_node)
        undeclared = key.startswith("f:") and key[2:] not in node.fields
        if part and (undeclared or not key.startswith("f:")):
            part = {SELF: {}, **part}
        if part or not (is_list(item) and item_node.list_type != "atomic"):
            found[key] = part
    return found


def changed_sets(old: Any, new: Any, node: Node) -> tuple[FieldSet | None, FieldSet | None]:
    """(added or modified, removed) between two values that differ."""
    if not (is_granular(old, node) and is_granular(new, node) and type(old) is type(new)):
        if is_granular(new, node):
            return whole_set(new, node), None
        return {}, None
    was, now = children(old, node), children(new, node)
    changed: FieldSet = {}
    removed: FieldSet = {}
    for key, (item, item_node) in now.items():
        if key not in was:
            changed[key] = _whole(key, item, item_node)
        elif was[key][0] != item:
            more, less = changed_sets(was[key][0], item, item_node)
            if more is not None:
                changed[key] = more
            if less is not None:
                removed[key] = less
    for key, (item, item_node) in was.items():
        if key not in now:
            removed[key] = _whole(key, item, item_node)
    return (changed or None), (removed or None)


def whole_set(value: Any, node: Node) -> FieldSet:
    """Everything in a value that was not there before, or is no longer there."""
    if not is_granular(value, node) or not value:
        return {}
    found: FieldSet = {}
    if node.type != "object" or node is ANY or node.list_type != "atomic":
        found[SELF] = {}
    for key, (item, item_node) in children(value, node).items():
        found[key] = _whole(key, item, item_node)
    return found


def _whole(key: str, value: Any, node: Node) -> FieldSet:
    """An item of a list is a member of the set itself, not only its fields."""
    if not isinstance(value, dict | list):
        return {}
    part = whole_set(value, node)
    return {SELF: {}, **part} if part and not key.startswith("f:") else part
