"""/openapi/v3: enough for kubectl's validation of fields and for `kubectl explain`.

Schemas of builtin kinds carry names, types and required fields but no descriptions.
"""

from __future__ import annotations

from typing import Any

from kubernaut.devcluster.objects import to_json
from kubernaut.devcluster.resources import Catalogue, Resource
from kubernaut.devcluster.schema.nodes import MISSING, Node

from .discovery import GIT_VERSION, Discovery

_WRITE_OPTIONS = ("dryRun", "fieldManager", "fieldValidation")
_MODELS = "io.k8s.api."


class OpenAPI:
    """Kept until the catalogue changes."""

    def __init__(self, catalogue: Catalogue, discovery: Discovery) -> None:
        self._catalogue = catalogue
        self._discovery = discovery
        self._edition = -1
        self._kept: dict[str, bytes] = {}

    def answer(self, path: str) -> bytes | None:
        """The document at a path; None where there is none."""
        if self._edition != self._catalogue.edition:
            self._edition = self._catalogue.edition
            self._kept = {}
        if path not in self._kept:
            found = self._index() if path == "/openapi/v3" else self._document(path)
            if found is None:
                return None
            self._kept[path] = to_json(found)
        return self._kept[path]

    def _index(self) -> dict[str, Any]:
        roots = ["api/v1"]
        for group, versions in self._discovery.groups().items():
            roots.extend(f"apis/{group}/{version}" for version in versions)
        hashed = self._catalogue.edition
        return {"paths": {r: {"serverRelativeURL": f"/openapi/v3/{r}?hash={hashed}"} for r in roots}}

    def _document(self, path: str) -> dict[str, Any] | None:
        parts = path.removeprefix("/openapi/v3/").split("/")
        group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[-1])
        resources = self._discovery.of(group, version) if len(parts) in (2, 3) else []
        if not resources and group not in self._discovery.groups():
            return None
        models: dict[str, Any] = {}
        paths: dict[str, Any] = {}
        for resource in resources:
            reference = _model(resource, models)
            root = f"/api/{version}" if not group else f"/apis/{group}/{version}"
            scope = "/namespaces/{namespace}" if resource.namespaced else ""
            at = f"{root}{scope}/{resource.plural}"
            paths[at] = _operations(resource, reference, ("get", "post"))
            paths[f"{at}/{{name}}"] = _operations(resource, reference, ("get", "put", "patch", "delete"))
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": GIT_VERSION},
            "paths": paths,
            "components": {"schemas": models},
        }


def _kind_of(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _operations(resource: Resource, reference: dict[str, str], methods: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for method in methods:
        content = {"application/json": {"schema": reference}}
        operation: dict[str, Any] = {
            "operationId": f"{method}{resource.kind}",
            "responses": {"200": {"description": "OK", "content": content}},
            "x-kubernetes-group-version-kind": _kind_of(resource),
        }
        if method in ("post", "put", "patch"):
            operation["parameters"] = [
                {"name": name, "in": "query", "schema": {"type": "string"}} for name in _WRITE_OPTIONS
            ]
            # Strategic merge patch is left out on purpose: kubectl then takes the merge keys it has
            # compiled in, which are those of the real API.
            accepted = "application/json" if method != "patch" else "application/merge-patch+json"
            operation["requestBody"] = {"content": {accepted: {"schema": reference}}}
        found[method] = operation
    return found


def _model(resource: Resource, models: dict[str, Any]) -> dict[str, str]:
    prefix = _prefix(resource)
    name = prefix + resource.kind
    if resource.is_custom:
        models[name] = _custom_model(resource, models)
    else:
        _collect(resource.rules.node, prefix, models)
    models[name]["x-kubernetes-group-version-kind"] = [_kind_of(resource)]
    return {"$ref": f"#/components/schemas/{name}"}


def _prefix(resource: Resource) -> str:
    if resource.is_custom:
        return ".".join(reversed(resource.group.split("."))) + f".{resource.version}."
    return f"{_MODELS}{resource.group.partition('.')[0] or 'core'}.{resource.version}."


def _custom_model(resource: Resource, models: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {**getattr(resource.rules, "schema", {"type": "object"})}
    meta = resource.rules.node.fields.get("metadata")
    properties = {**schema.get("properties", {})}
    properties.setdefault("apiVersion", {"type": "string"})
    properties.setdefault("kind", {"type": "string"})
    if meta is not None:
        properties["metadata"] = _schema(meta, _MODELS + "meta.v1.", models)
    return {**schema, "properties": properties}


def _collect(node: Node, prefix: str, models: dict[str, Any]) -> None:
    name = prefix + node.name
    if name in models:
        return
    models[name] = {}
    model: dict[str, Any] = {
        "type": "object",
        "properties": {key: _schema(below, prefix, models) for key, below in node.fields.items()},
    }
    if node.required:
        model["required"] = list(node.required)
    models[name] = model


def _schema(node: Node, prefix: str, models: dict[str, Any]) -> dict[str, Any]:
    if node.type == "object":
        _collect(node, prefix, models)
        schema: dict[str, Any] = {"allOf": [{"$ref": f"#/components/schemas/{prefix}{node.name}"}]}
    elif node.type == "map":
        schema = {"type": "object"}
        if node.values is not None:
            schema["additionalProperties"] = _schema(node.values, prefix, models)
    elif node.type == "list":
        schema = {"type": "array"}
        if node.items is not None:
            schema["items"] = _schema(node.items, prefix, models)
        if node.list_type != "atomic":
            schema["x-kubernetes-list-type"] = node.list_type
        if node.list_keys:
            schema["x-kubernetes-list-map-keys"] = list(node.list_keys)
    elif node.type == "intstr":
        schema = {"x-kubernetes-int-or-string": True, "type": "string", "format": "int-or-string"}
    elif node.type == "any":
        schema = {"type": "object"}
    else:
        schema = {"type": "string" if node.type == "quantity" else node.type}
        if node.format and node.format != "micro-time":
            schema["format"] = node.format
    if node.default is not MISSING:
        schema["default"] = node.default
    if node.enum:
        schema["enum"] = list(node.enum)
    return schema
