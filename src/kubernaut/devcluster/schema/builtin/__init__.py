"""Shapes of the builtin kinds, written down in `*.types` beside this file (syntax: meta.types)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

from kubernaut.devcluster.objects import from_json
from kubernaut.devcluster.schema.nodes import MISSING, Node, NodeType
from kubernaut.devcluster.schema.walk import settle_defaults

_FILES: Final = ("meta", "pods", "core", "workloads", "others")

_SCALARS: Final[dict[str, tuple[NodeType, str]]] = {
    "string": ("string", ""),
    "time": ("string", "date-time"),
    "microtime": ("string", "micro-time"),
    "bytes": ("string", "byte"),
    "int": ("integer", "int32"),
    "long": ("integer", "int64"),
    "number": ("number", "double"),
    "bool": ("boolean", ""),
    "intstr": ("intstr", ""),
    "quantity": ("quantity", ""),
}


@cache
def builtin_type(name: str) -> Node:
    """The node of a named type. Raises KeyError."""
    return builtin_types()[name]


@cache
def builtin_types() -> dict[str, Node]:
    """Every named type, tied together."""
    lines = [
        line.rstrip()
        for name in _FILES
        for line in files("kubernaut.devcluster.schema.builtin").joinpath(f"{name}.types").read_text().splitlines()
    ]
    types: dict[str, Node] = {}
    heads = [line.split() for line in lines if line and line[0] not in " #"]
    for head in heads:
        types[head[0]] = Node(type="object", name=head[0], atomic="atomic" in head)
        types[head[0]].retain_keys = "retain" in head
    current = Node(type="object")
    for line in lines:
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line[0] != " ":
            current = types[words[0]]
            if words[1:2] == ["="]:
                current.fields.update(types[words[2]].fields)
                current.required.extend(types[words[2]].required)
                current.numbers.update(types[words[2]].numbers)
            continue
        name, shape, *options = words
        current.fields[name] = _node(shape, types, options)
        if "req" in options:
            current.required.append(name)
        number = next((option[1:] for option in options if option.startswith("#")), "")
        if number:
            current.numbers[name] = tuple(int(part) for part in number.split("."))
    for node in types.values():
        settle_defaults(node)
    return types


def _node(shape: str, types: dict[str, Node], options: list[str]) -> Node:
    node = _plain(shape, types)
    changes: dict[str, Any] = {}
    for option in options:
        word, _, value = option.partition("=")
        if word == "":
            changes["default"] = from_json(value)
        elif word == "in":
            changes["enum"] = tuple(value.split("|"))
        elif word == "key":
            keys = tuple(value.split(","))
            changes |= {"list_type": "map", "list_keys": keys, "merge_key": keys[0]}
        elif word == "set":
            changes |= {"list_type": "set", "merge_set": True}
        elif word == "atomic":
            changes |= {"atomic": True, "list_type": "atomic"}
        elif word == "retain":
            changes["retain_keys"] = True
    if not changes:
        return node
    # A default belongs to the field, not to the type that it shares with others.
    own = _like(node)
    for word, value in changes.items():
        setattr(own, word, value)
    return own


def _like(node: Node) -> Node:
    """A node that shares the fields of a named type, also those still to be read."""
    return Node(
        type=node.type,
        name=node.name,
        format=node.format,
        fields=node.fields,
        numbers=node.numbers,
        values=node.values,
        items=node.items,
        required=node.required,
        atomic=node.atomic,
        retain_keys=node.retain_keys,
        preserve=node.preserve,
        default=MISSING,
    )


def _plain(shape: str, types: dict[str, Node]) -> Node:
    if shape.startswith("["):
        return Node(type="list", items=_plain(shape[1:-1], types))
    if shape.startswith("{"):
        return Node(type="map", values=_plain(shape[1:-1], types))
    if shape == "any":
        return Node(type="any", preserve=True)
    if shape in _SCALARS:
        kind, layout = _SCALARS[shape]
        return Node(type=kind, format=layout)
    return types[shape]
