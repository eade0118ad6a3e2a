"""Strategic merge patch: JSON merge patch that knows lists with a merge key.

Directives: `$patch: replace|merge|delete`, `$retainKeys`, `$deleteFromPrimitiveList/<field>` and
`$setElementOrder/<field>` (apimachinery `pkg/util/strategicpatch`).
"""

from __future__ import annotations

from typing import Any

from kubernaut.devcluster.errors import BadRequest, Unclassified
from kubernaut.devcluster.objects import copied, is_list, is_map, list_at
from kubernaut.devcluster.schema.fieldsets import below
from kubernaut.devcluster.schema.nodes import ANY, Node

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_SCALARS = "$deleteFromPrimitiveList/"


def strategic_patch(target: dict[str, Any], patch: dict[str, Any], node: Node) -> dict[str, Any]:
    """Edits `target` in place where it can. Raises BadRequest."""
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: copied(value) for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadRequest(f"Unknown patch type found: {directive}")
    retained: Any = patch.get(_RETAIN)
    if is_list(retained):
        for key in [key for key in target if key not in retained]:
            del target[key]
    for key, value in patch.items():
        if key.startswith(_DELETE_SCALARS):
            name = key.removeprefix(_DELETE_SCALARS)
            target[name] = [item for item in list_at(target, name) if item not in value]
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            target.pop(key, None)
        else:
            order = patch.get(_ORDER + key)
            target[key] = _merged(target.get(key), value, below(node, key), order)
    for key, order in patch.items():
        name = key.removeprefix(_ORDER)
        if key.startswith(_ORDER) and name not in patch and is_list(target.get(name)):
            target[name] = _ordered(target[name], order, below(node, name))
    return target


def _merged(held: Any, value: Any, node: Node, order: Any) -> Any:
    if is_map(value):
        return strategic_patch(held if is_map(held) else {}, value, node)
    if not is_list(value):
        return value
    if node.merge_key:
        return _ordered(_merged_list(items_of(held), value, node), order, node)
    if node.merge_set:
        old = items_of(held)
        joined = [*old, *(item for item in value if item not in old)]
        return _ordered(joined, order, node)
    return copied(value)


def _go_text(value: Any) -> str:
    """As Go's %v prints JSON."""
    if is_map(value):
        return "map[" + " ".join(f"{key}:{_go_text(item)}" for key, item in sorted(value.items())) + "]"
    if is_list(value):
        return "[" + " ".join(_go_text(item) for item in value) + "]"
    return str(value)


def items_of(value: Any) -> list[Any]:
    return value if is_list(value) else []


def _merged_list(held: list[Any], patch: list[Any], node: Node) -> list[Any]:
    key, items = node.merge_key, node.items or ANY
    if any(is_map(item) and item.get(_DIRECTIVE) == "replace" and len(item) == 1 for item in patch):
        return [copied(item) for item in patch if not (is_map(item) and _DIRECTIVE in item)]
    merged: list[Any] = list(held)
    for item in patch:
        if not is_map(item) or key not in item:
            raise Unclassified(f"map: {_go_text(item)} does not contain declared merge key: {key}")
        index = next((i for i, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif index is None:
            merged.append(strategic_patch({}, item, items))
        else:
            merged[index] = strategic_patch(merged[index], item, items)
    return merged


def _ordered(items: list[Any], order: Any, node: Node) -> list[Any]:
    """Put in the order that the patch names; what it does not name keeps its relative place."""
    if not is_list(order):
        return items
    key = node.merge_key
    marks = [item.get(key) if is_map(item) else item for item in order]

    def rank(pair: tuple[int, Any]) -> tuple[int, int]:
        index, item = pair
        mark = item.get(key) if key and is_map(item) else item
        return (marks.index(mark), 0) if mark in marks else (len(marks), index)

    return [item for _, item in sorted(enumerate(items), key=rank)]
