"""Server-side printing: meta.k8s.io/v1 Table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from kubernaut.devcluster.objects import Object, is_list, is_map, to_json
from kubernaut.devcluster.resources import Column, Resource

from .cells import PRINTERS
from .durations import age_of

_STEP = re.compile(
    r"\.([\w\-/]+)"
    r"|\['((?:[^'\\]|\\.)+)'\]"
    r"|\[(\d+|\*)\]"
    r"|\[\?\(@\.(\w+)\s*==\s*[\"']([^\"']*)[\"']\)\]"
)
_NAME = Column("Name", format="name", description="Name must be unique within a namespace.")
_AGE = Column("Age")


def wants_table(accept: str) -> bool:
    """Whether the first thing that the client accepts is a Table."""
    return "as=Table" in accept.partition(",")[0]


def wants_metadata(accept: str) -> bool:
    """Whether the first thing that the client accepts is an object's metadata, or a list of such."""
    return "as=PartialObjectMetadata" in accept.partition(",")[0]


def metadata_of(obj: Object) -> Object:
    """meta.k8s.io/v1 PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


class Tables:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def table(self, resource: Resource, objects: list[Object], query: Mapping[str, str]) -> dict[str, Any]:
        columns = _columns_of(resource)
        include = query.get("includeObject", "Metadata")
        now = self._now()
        rows = [
            {"cells": _cells_of(resource, obj, now), "object": _included(resource, obj, include)}
            for obj in objects
        ]
        table: dict[str, Any] = {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {},
            "columnDefinitions": [_definition(column) for column in columns],
            "rows": rows,
        }
        if len(objects) == 1:
            table["metadata"] = {"resourceVersion": objects[0]["metadata"].get("resourceVersion", "")}
        return table


def _columns_of(resource: Resource) -> tuple[Column, ...]:
    printer = PRINTERS.get(resource.key)
    if printer is not None:
        return printer.columns
    return (_NAME, *resource.columns) if resource.is_custom else (_NAME, _AGE)


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _included(resource: Resource, obj: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return metadata_of({"metadata": metadata})


def _cells_of(resource: Resource, obj: Object, now: datetime) -> list[Any]:
    printer = PRINTERS.get(resource.key)
    if printer is not None:
        return printer.cells(obj, now)
    name = obj["metadata"]["name"]
    if not resource.is_custom:
        return [name, age_of(obj["metadata"].get("creationTimestamp"), now)]
    return [name, *(_custom_cell(column, obj, now) for column in resource.columns)]


def _custom_cell(column: Column, obj: Object, now: datetime) -> Any:
    found = json_path(obj, column.json_path)
    if not found:
        return None
    value = found[0] if len(found) == 1 else ",".join(_text(item) for item in found)
    if column.type == "date":
        try:
            return age_of(str(value), now)
        except ValueError:
            return "<invalid>"
    if column.type == "string":
        return _text(value)
    return value


def _text(value: Any) -> str:
    if is_map(value) or is_list(value):
        return to_json(value).decode()
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def json_path(value: Any, path: str) -> list[Any]:
    """The subset of kubectl's JSONPath that column definitions use."""
    found = [value]
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return []
        found = [item for held in found for item in _step(held, match)]
        position = match.end()
    return [item for item in found if item is not None]


def _step(held: Any, match: re.Match[str]) -> list[Any]:
    field, quoted, index, key, wanted = match.groups()
    name = field or (quoted or "").replace("\\.", ".")
    if name:
        return [held[name]] if is_map(held) and name in held else []
    if key is not None:
        items = held if is_list(held) else []
        return [item for item in items if is_map(item) and str(item.get(key)) == wanted]
    if index == "*":
        return list(held) if is_list(held) else list(held.values()) if is_map(held) else []
    number = int(index)
    return [held[number]] if is_list(held) and number < len(held) else []
