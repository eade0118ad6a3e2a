"""Walks an object beside its schema: drops unknown fields, fills in defaults.

Values of an unexpected type are left alone here; validation speaks about them.
"""

from __future__ import annotations

from typing import Any

from kubernaut.devcluster.objects import copied, is_list, is_map

from .nodes import MISSING, Node

_EMBEDDED_FIELDS = ("apiVersion", "kind", "metadata")


def prune(value: Any, node: Node, path: str = "") -> list[str]:
    """Drop unknown fields in place. Returns their paths, `a.b[0].c`."""
    unknown: list[str] = []
    _prune(value, node, path, unknown)
    return unknown


def _prune(value: Any, node: Node, path: str, unknown: list[str]) -> None:
    kind = node.type
    if kind == "object":
        if is_map(value):
            _prune_object(value, node, path, unknown)
    elif kind == "list":
        items = node.items
        if items is not None and is_list(value) and items.type in ("object", "map", "list"):
            for index, item in enumerate(value):
                _prune(item, items, f"{path}[{index}]", unknown)
    elif kind == "map":
        values = node.values
        if values is not None and is_map(value) and values.type in ("object", "map", "list"):
            for key, item in value.items():
                _prune(item, values, _below(path, str(key)), unknown)


def _prune_object(value: dict[str, Any], node: Node, path: str, unknown: list[str]) -> None:
    fields = node.fields
    strange: list[str] = []
    for key, item in value.items():
        below = fields.get(key)
        if below is not None:
            if below.type in ("object", "map", "list"):
                _prune(item, below, _below(path, key), unknown)
        elif not node.preserve and not (node.embedded and key in _EMBEDDED_FIELDS):
            strange.append(key)
    for key in strange:
        del value[key]
        unknown.append(_below(path, key))


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def apply_defaults(value: Any, node: Node) -> None:
    """Fill defaults in place, also below objects that a default has just made.

    A null gives way to a default when the field is not nullable, as the API server does.
    """
    if not node.has_defaults:
        return
    if node.type == "object" and is_map(value):
        _default_object(value, node)
    elif node.type == "list" and node.items is not None and is_list(value):
        for item in value:
            apply_defaults(item, node.items)
    elif node.type == "map" and node.values is not None and is_map(value):
        for item in value.values():
            apply_defaults(item, node.values)


def _default_object(value: dict[str, Any], node: Node) -> None:
    for key, below in node.fields.items():
        if below.default is not MISSING:
            absent = key not in value or (value[key] is None and not below.nullable)
            if absent:
                value[key] = copied(below.default)
        if below.has_defaults:
            held = value.get(key)
            if held is not None:
                apply_defaults(held, below)


def drop_empty(value: Any, node: Node) -> None:
    """Remove what Go leaves out of JSON: nulls, and lists and maps without content."""
    if is_map(value):
        for key in list(value):
            item, below = value[key], _node_below(node, key)
            if item is None:
                del value[key]
            elif below is None or below.preserve:
                continue
            elif not item and below.type in ("list", "map"):
                del value[key]
            elif isinstance(item, dict | list):
                drop_empty(item, below)
    elif is_list(value) and node.items is not None and node.items.type in ("object", "list", "map"):
        for item in value:
            drop_empty(item, node.items)


def drop_nulls(value: Any, node: Node) -> None:
    """Remove nulls of custom resources where the schema names the field and forbids them."""
    if is_map(value):
        fields = value
        for key in [key for key, item in fields.items() if item is None]:
            below = _node_below(node, key)
            if below is None and node.preserve:
                continue
            if below is None or not (below.nullable or below.preserve or below.type == "any"):
                del fields[key]
        for key, item in fields.items():
            if isinstance(item, dict | list):
                below = _node_below(node, key)
                if below is not None:
                    drop_nulls(item, below)
    elif is_list(value) and node.items is not None:
        for item in value:
            if isinstance(item, dict | list):
                drop_nulls(item, node.items)


def _node_below(node: Node, key: str) -> Node | None:
    return node.values if node.type == "map" else node.fields.get(key)


def settle_defaults(node: Node, seen: dict[int, bool] | None = None) -> bool:
    """Compute `has_defaults` for a schema that may be recursive. Call once after building it."""
    seen = {} if seen is None else seen
    if id(node) in seen:
        return seen[id(node)]
    seen[id(node)] = node.default is not MISSING
    found = False
    for below in (*node.fields.values(), node.items, node.values):
        if below is not None and (settle_defaults(below, seen) or below.default is not MISSING):
            found = True
    node.has_defaults = found
    seen[id(node)] = found
    return found
