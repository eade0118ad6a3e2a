"""Structural schemas of CustomResourceDefinitions: OpenAPI to nodes, and to JSON schema.

Wording of faults: apiextensions-apiserver `pkg/apiserver/validation` and kube-openapi `errors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from kubernaut.devcluster.errors import Fault
from kubernaut.devcluster.metadata import duplicate, invalid, required, too_long, unsupported
from kubernaut.devcluster.objects import is_list, is_map, list_at, map_at, to_json

from .builtin import builtin_type
from .nodes import MISSING, Node, NodeType
from .walk import settle_defaults

_TYPES: dict[str, NodeType] = {
    "object": "object",
    "array": "list",
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}
_INTEGER_BOUNDS = {"int32": 2**31, "int64": 2**63}
_JSON_SCHEMA_WORDS = (
    "maximum",
    "minimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "maxProperties",
    "minProperties",
    "multipleOf",
    "uniqueItems",
)
_CHECKED_FORMATS = ("date-time", "date", "email", "ipv4", "ipv6", "uri", "uuid", "hostname")


def root_node(schema: dict[str, Any], kind: str) -> Node:
    """The node of a custom resource's openAPIV3Schema; metadata is ObjectMeta whatever it says."""
    node = structural_node(schema)
    node.name = kind
    if node.type != "object":
        node.type = "object"
    node.fields["apiVersion"] = Node(type="string")
    node.fields["kind"] = Node(type="string")
    node.fields["metadata"] = builtin_type("ObjectMeta")
    settle_defaults(node)
    return node


def structural_node(schema: dict[str, Any]) -> Node:
    node = Node(
        type=_node_type(schema),
        format=str(schema.get("format", "")),
        description=str(schema.get("description", "")),
        nullable=bool(schema.get("nullable")),
        embedded=bool(schema.get("x-kubernetes-embedded-resource")),
        preserve=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        atomic=schema.get("x-kubernetes-map-type") == "atomic",
        default=schema.get("default", MISSING),
        required=[str(name) for name in list_at(schema, "required")],
    )
    for name, below in map_at(schema, "properties").items():
        node.fields[name] = structural_node(below)
    if is_map(schema.get("items")):
        node.items = structural_node(schema["items"])
    additional = schema.get("additionalProperties")
    if is_map(additional):
        node.values = structural_node(additional)
    elif additional is True:
        node.values = Node(type="any", preserve=True)
    list_type = schema.get("x-kubernetes-list-type")
    if list_type in ("set", "map", "atomic"):
        node.list_type = list_type
        node.list_keys = tuple(list_at(schema, "x-kubernetes-list-map-keys"))
    return node


def _node_type(schema: dict[str, Any]) -> NodeType:
    if schema.get("x-kubernetes-int-or-string"):
        return "intstr"
    if "type" not in schema:
        return "any" if schema.get("x-kubernetes-preserve-unknown-fields") else "object"
    if schema["type"] == "object" and not schema.get("properties"):
        return "map" if schema.get("additionalProperties") else "object"
    return _TYPES.get(str(schema["type"]), "any")


def json_schema(schema: dict[str, Any], *, is_root: bool = False) -> dict[str, Any]:
    """Translate to JSON schema 2020-12 for a validator."""
    out: dict[str, Any] = {}
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    elif "type" in schema:
        out["type"] = schema["type"]
    if schema.get("nullable") and "type" in out:
        kinds = out["type"] if is_list(out["type"]) else [out["type"]]
        out["type"] = [*kinds, "null"]
    _translate_bounds(schema, out)
    for name in ("allOf", "anyOf", "oneOf"):
        if is_list(schema.get(name)):
            out[name] = [json_schema(part) for part in schema[name]]
    if is_map(schema.get("not")):
        out["not"] = json_schema(schema["not"])
    if is_map(schema.get("properties")):
        out["properties"] = {
            name: json_schema(below)
            for name, below in schema["properties"].items()
            if not (is_root and name == "metadata")
        }
    if list_at(schema, "required"):
        out["required"] = schema["required"]
    if is_map(schema.get("items")):
        out["items"] = json_schema(schema["items"])
    if is_map(schema.get("additionalProperties")):
        out["additionalProperties"] = json_schema(schema["additionalProperties"])
    return out


def _translate_bounds(schema: dict[str, Any], out: dict[str, Any]) -> None:
    for word in _JSON_SCHEMA_WORDS:
        if word in schema:
            out[word] = schema[word]
    # OpenAPI 3.0 says with a flag what JSON schema says with a bound of its own.
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if schema.get(flag) and bound in out:
            out[flag] = out.pop(bound)
    if "enum" in schema:
        nullable = bool(schema.get("nullable"))
        out["enum"] = [*schema["enum"], None] if nullable else schema["enum"]
    limit = _INTEGER_BOUNDS.get(str(schema.get("format")))
    if limit and schema.get("type") == "integer":
        out.setdefault("minimum", -limit)
        out.setdefault("maximum", limit - 1)
    if schema.get("format") in _CHECKED_FORMATS and schema.get("type") == "string":
        out["format"] = schema["format"]


class SchemaValidator:
    """Compiled once per version of a definition."""

    def __init__(self, schema: dict[str, Any], node: Node) -> None:
        self._validator = jsonschema_rs.validator_for(
            json_schema(schema, is_root=True),
            validate_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
        self._node = node

    def faults(self, obj: dict[str, Any]) -> list[Fault]:
        found: list[Fault] = []
        if not self._validator.is_valid(obj):
            errors = sorted(self._validator.iter_errors(obj), key=_rank)
            told: set[str] = set()
            for error in errors:
                path = _path_of(list(error.instance_path))
                # A string that is too short is not also said to miss its pattern.
                if error.kind.name == "pattern" and path in told:
                    continue
                told.add(path)
                found.extend(_fault_of(error))
        found.extend(_list_faults(obj, self._node, ""))
        return found


def _rank(error: Any) -> bool:
    return bool(error.kind.name == "pattern")


def _path_of(parts: list[Any]) -> str:
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else str(part)
    return path


def _fault_of(error: Any) -> Iterator[Fault]:
    kind, path, value = error.kind, _path_of(list(error.instance_path)), error.instance
    word: str = kind.name
    where = f"{path} in body " if path else ""
    if word == "required":
        yield required(f"{path}.{kind.property}" if path else kind.property)
    elif word == "enum":
        yield unsupported(path, value, tuple(str(option) for option in kind.options))
    elif word == "type":
        wanted = [name for name in kind.types if name != "null"]
        yield _type_fault(path, value, wanted)
    elif word == "maxLength":
        yield too_long(path, kind.limit)
    elif word in ("maxItems", "maxProperties"):
        items = "item" if kind.limit == 1 else "items"
        text = f"Too many: {len(value)}: must have at most {kind.limit} {items}"
        yield Fault(path, "FieldValueTooMany", text)
    elif word == "format":
        shown = to_json(value).decode()
        text = f"Invalid value: {shown}: {where}must be of type {kind.format}: {shown}"
        yield Fault(path, "FieldValueTypeInvalid", text)
    elif word in ("oneOf", "anyOf", "not"):
        yield invalid("<nil>", "", _combination_words(word, error, path))
    else:
        yield _bound_fault(word, kind, path, where, value)


def _type_fault(path: str, value: Any, wanted: list[str]) -> Fault:
    found = json_type(value)
    names = " or ".join(wanted) if len(wanted) == 1 else ",".join(wanted)
    text = f'{path} in body must be of type {names}: "{found}"'
    return Fault(path, "FieldValueTypeInvalid", f'Invalid value: "{found}": {text}')


def _combination_words(word: str, error: Any, path: str) -> str:
    if word == "anyOf":
        return f'"{path}" must validate at least one schema (anyOf)'
    if word == "not":
        return f'"{path}" must not validate the schema (not)'
    several = isinstance(error.kind, jsonschema_rs.ValidationErrorKind.OneOfMultipleValid)
    found = "Found 2 valid alternatives" if several else "Found none valid"
    return f'"{path}" must validate one and only one schema (oneOf). {found}'


def _bound_fault(word: str, kind: Any, path: str, where: str, value: Any) -> Fault:
    limit = getattr(kind, "limit", None)
    words = {
        "minLength": f"{where}should be at least {limit} chars long",
        "pattern": f"{where}should match '{getattr(kind, 'pattern', '')}'",
        "minimum": f"{where}should be greater than or equal to {limit}",
        "maximum": f"{where}should be less than or equal to {limit}",
        "exclusiveMinimum": f"{where}should be greater than {limit}",
        "exclusiveMaximum": f"{where}should be less than {limit}",
        "minItems": f"{where}should have at least {limit} items",
        "minProperties": f"{where}should have at least {limit} properties",
        "multipleOf": f"{where}should be a multiple of {getattr(kind, 'multiple_of', '')}",
        "uniqueItems": f"{where}shouldn't contain duplicates",
    }
    shown = len(value) if word in ("minItems", "minProperties") else value
    return invalid(path, shown, words.get(word, f"{where}{word}"))


def json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if is_list(value) else "object"


def _list_faults(value: Any, node: Node, path: str) -> Iterator[Fault]:
    """Doubles in sets and in lists that are keyed."""
    if is_map(value):
        for key, item in value.items():
            below = node.fields.get(key) or node.values
            if below is not None and isinstance(item, dict | list):
                yield from _list_faults(item, below, f"{path}.{key}" if path else key)
    elif is_list(value) and node.items is not None:
        if node.list_type != "atomic":
            yield from _doubles(value, node, path)
        if node.items.type in ("object", "list", "map"):
            for index, item in enumerate(value):
                yield from _list_faults(item, node.items, f"{path}[{index}]")


def _doubles(value: list[Any], node: Node, path: str) -> Iterator[Fault]:
    seen: set[bytes] = set()
    for index, item in enumerate(value):
        shown = item
        if node.list_type == "map":
            if not is_map(item):
                continue
            shown = {key: item.get(key) for key in node.list_keys}
        mark = to_json(shown)
        if mark in seen:
            yield duplicate(f"{path}[{index}]", shown)
        seen.add(mark)
