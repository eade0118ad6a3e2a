"""Fields that a CEL rule names and its structural schema does not have: what the API server refuses at once.

Only names are looked at, not types: whatever is not plainly a field of an object with known fields passes.
Source: k8s.io/apiserver pkg/cel/common (SchemaDeclType) and pkg/cel/escaping.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from kubernaut.devcluster.objects import is_map, map_at
from kubernaut.devcluster.schema.cel_syntax import (
    Call,
    ListOf,
    MapOf,
    Name,
    Node,
    NotRead,
    Operation,
    Select,
    parse,
)

_RESERVED = (
    *(
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
    ),
    *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
)
_MARKS = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_TEXT = {"type": "string"}
_METADATA = {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}}
_EVERY_OBJECT: dict[str, Any] = {"apiVersion": _TEXT, "kind": _TEXT, "metadata": _METADATA}
_MACROS = ("all", "exists", "exists_one", "filter", "map")

_Schema: TypeAlias = dict[str, Any] | None
"""None: nothing is known."""
_Scope: TypeAlias = Mapping[str, _Schema]


def unknown_field(rule: str, schema: dict[str, Any], *, is_root: bool, has_optional_old: bool = False) -> str:
    """The compiler's words for the first field that is not there; empty when all are."""
    try:
        tree = parse(rule)
    except NotRead:
        return ""
    held = {**schema, "properties": {**map_at(schema, "properties"), **_EVERY_OBJECT}} if is_root else schema
    scope: _Scope = {"self": held, "oldSelf": None if has_optional_old else held}
    for select in _walk(tree, scope):
        line = rule.count("\n", 0, select.at) + 1
        column = select.at - rule.rfind("\n", 0, select.at)
        text = rule.splitlines()[line - 1]
        mark = "." * (column - 1) + "^"
        return f"ERROR: <input>:{line}:{column}: undefined field '{select.field}'\n | {text}\n | {mark}"
    return ""


def _walk(node: Node, scope: _Scope) -> Iterator[Select]:
    """Selections of what is not there, in the order of the text."""
    if isinstance(node, Select):
        yield from _walk(node.operand, scope)
        if _lacks(_schema_of(node.operand, scope), node.field):
            yield node
    elif isinstance(node, Call):
        yield from _walk_call(node, scope)
    elif isinstance(node, Operation):
        for operand in node.operands:
            yield from _walk(operand, scope)
    elif isinstance(node, ListOf):
        for item in node.items:
            yield from _walk(item, scope)
    elif isinstance(node, MapOf):
        for key, value in node.entries:
            yield from _walk(key, scope)
            yield from _walk(value, scope)


def _walk_call(node: Call, scope: _Scope) -> Iterator[Select]:
    if node.target is not None:
        yield from _walk(node.target, scope)
    given = node.arguments
    if node.target is not None and node.function in _MACROS and len(given) > 1 and isinstance(given[0], Name):
        # Two variables (of a map, or with an index) are not followed.
        item = _item_of(_schema_of(node.target, scope)) if len(given) == 2 or node.function == "map" else None
        scope = {**scope, given[0].name: item}
        given = given[1:]
    elif node.function == "bind" and len(given) == 3 and isinstance(given[0], Name):
        yield from _walk(given[1], scope)
        scope, given = {**scope, given[0].name: _schema_of(given[1], scope)}, given[2:]
    for argument in given:
        is_asked_for = node.target is None and node.function == "has"
        for select in _walk(argument, scope):
            # `has` is reported where its parenthesis opens.
            yield replace(select, at=node.at) if is_asked_for and select is argument else select


def _schema_of(node: Node, scope: _Scope) -> _Schema:
    """What is known of an expression's value."""
    if isinstance(node, Name):
        return scope.get(node.name)
    if isinstance(node, Select) and not node.is_optional:
        return _field_of(_schema_of(node.operand, scope), node.field)
    if isinstance(node, Operation) and node.sign == "[]":
        held = _schema_of(node.operands[0], scope)
        return None if held is None else map_at(held, "items") or map_at(held, "additionalProperties") or None
    if isinstance(node, Call) and node.function == "filter" and node.target is not None:
        return _schema_of(node.target, scope)
    return None


def _item_of(schema: _Schema) -> _Schema:
    return None if schema is None or schema.get("type") != "array" else map_at(schema, "items") or None


def _fields(schema: dict[str, Any]) -> dict[str, Any] | None:
    """By the names that rules use; None for values whose fields nobody knows beforehand."""
    if schema.get("type") != "object" or schema.get("additionalProperties"):
        return None
    if schema.get("x-kubernetes-int-or-string"):
        return None
    properties = map_at(schema, "properties")
    if schema.get("x-kubernetes-embedded-resource"):
        properties = {**properties, **_EVERY_OBJECT}
    return {_escaped(name): below for name, below in properties.items() if _is_typed(below)}


def _is_typed(schema: Any) -> bool:
    """Whether values of a schema can be spoken of in rules at all."""
    if not is_map(schema):
        return False
    return bool(schema.get("type") or schema.get("x-kubernetes-int-or-string"))


def _lacks(schema: _Schema, field: str) -> bool:
    fields = None if schema is None else _fields(schema)
    return fields is not None and field not in fields


def _field_of(schema: _Schema, field: str) -> _Schema:
    if schema is None:
        return None
    fields = _fields(schema)
    if fields is None:
        return map_at(schema, "additionalProperties") or None
    return fields.get(field)


def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for mark, escape in _MARKS:
        name = name.replace(mark, escape)
    return name
