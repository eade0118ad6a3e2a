"""Checks builtin objects against their shapes: what cannot be read, and what must not be stored."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import duplicate, required, unsupported
from kubernaut.devcluster.objects import is_list, is_map
from kubernaut.devcluster.quantities import parse_quantity

from .nodes import Node

_GO_NAMES = {"string": "string", "boolean": "bool", "number": "float64"}
_LIMITS = {"int32": 2**31, "int64": 2**63}


def type_error(value: Any, node: Node, path: str, owner: str) -> str | None:
    """The first value that cannot be read into its Go type, in encoding/json's words."""
    kind = node.type
    if kind == "any" or value is None:
        return None
    if kind == "object":
        return _object_error(value, node, path)
    if kind == "list":
        return _list_error(value, node, path, owner)
    if kind == "map":
        return _map_error(value, node, path, owner)
    return _scalar_error(value, node, path, owner)


def _object_error(value: Any, node: Node, path: str) -> str | None:
    if not is_map(value):
        return _mismatch(value, path, node.name or "object", node.name)
    fields = node.fields
    for key, item in value.items():
        below = fields.get(key)
        if below is not None and below.type != "any":
            found = type_error(item, below, f"{path}.{key}" if path else key, node.name)
            if found:
                return found
    return None


def _list_error(value: Any, node: Node, path: str, owner: str) -> str | None:
    items = node.items
    if not is_list(value):
        return _mismatch(value, path, "[]" + _go_name(items), owner)
    if items is None:
        return None
    return next((e for e in (type_error(i, items, path, owner) for i in value) if e), None)


def _map_error(value: Any, node: Node, path: str, owner: str) -> str | None:
    values = node.values
    if not is_map(value):
        return _mismatch(value, path, "map[string]" + _go_name(values), owner)
    if values is None:
        return None
    return next((e for e in (type_error(i, values, path, owner) for i in value.values()) if e), None)


def _scalar_error(value: Any, node: Node, path: str, owner: str) -> str | None:
    kind = node.type
    if kind == "string":
        if not isinstance(value, str):
            return _mismatch(value, path, "string", owner)
        return _bytes_error(value) if node.format == "byte" else None
    if kind == "integer":
        limit = _LIMITS.get(node.format, 2**63)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and -limit <= value < limit:
            return None
        return _mismatch(value, path, node.format or "int64", owner)
    if kind == "boolean":
        return None if isinstance(value, bool) else _mismatch(value, path, "bool", owner)
    if kind == "number":
        good = isinstance(value, int | float) and not isinstance(value, bool)
        return None if good else _mismatch(value, path, "float64", owner)
    if kind == "intstr":
        good = isinstance(value, int | str) and not isinstance(value, bool)
        return None if good else _mismatch(value, path, "int32", owner)
    return _quantity_error(value)


def _bytes_error(value: str) -> str | None:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return "illegal base64 data at input byte 0"
    return None


def _quantity_error(value: Any) -> str | None:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return "unable to parse quantity's suffix"
    try:
        parse_quantity(value)
    except ValueError as error:
        return str(error)
    return None


def _go_name(node: Node | None) -> str:
    if node is None:
        return "interface {}"
    return node.name or _GO_NAMES.get(node.type, node.format or "interface {}")


def _mismatch(value: Any, path: str, wanted: str, owner: str) -> str:
    where = f" into Go struct field {owner}.{path}" if path else " into Go value"
    return f"json: cannot unmarshal {_json_name(value)}{where} of type {wanted}"


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if isinstance(value, float) else "number"
    if isinstance(value, str):
        return "string"
    return "array" if is_list(value) else "object"


def shape_faults(value: Any, node: Node, path: str = "") -> Iterator[Fault]:
    """Required fields, allowed values, and doubles in lists that are keyed."""
    if node.type == "object" and is_map(value):
        if node.name == "ObjectMeta":
            # Metadata has a validation of its own.
            return
        for name in node.required:
            if _is_empty(value.get(name)):
                yield required(_below(path, name))
        for key, item in value.items():
            below = node.fields.get(key)
            if below is None or below.type == "any":
                continue
            if below.enum:
                if item not in below.enum:
                    yield unsupported(_below(path, key), item, below.enum)
            elif below.type in ("object", "list"):
                yield from shape_faults(item, below, _below(path, key))
    elif node.type == "list" and is_list(value) and node.items is not None:
        yield from _list_faults(value, node, node.items, path)


def _list_faults(value: list[Any], node: Node, items: Node, path: str) -> Iterator[Fault]:
    if items.type == "object":
        for index, item in enumerate(value):
            yield from shape_faults(item, items, f"{path}[{index}]")
    if node.list_type == "map" and node.list_keys == ("name",):
        seen: set[Any] = set()
        for index, item in enumerate(value):
            name = item.get("name") if is_map(item) else None
            if name in seen and path.rpartition(".")[2] not in ("env",):
                yield duplicate(f"{path}[{index}].name", name)
            seen.add(name)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == []


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
