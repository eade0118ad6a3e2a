"""CustomResourceDefinitions generated from the structs of this room (apiextensions.k8s.io/v1).

The structs are the only source: what they cannot say stands here, once, in `_KINDS` (columns, scope) and in
`_RULES` (CEL: what must not change). The API server estimates the cost of every CEL rule from maxItems and
maxLength, so a struct without those bounds is refused by a real cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from kubernaut.api.action import ActionExecution
from kubernaut.api.approval import ApprovalRequest
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.names import (
    ANNOTATION_SCHEMA_VERSION,
    CATEGORY,
    EXECUTION_GROUP,
    GROUP,
    SCHEMA_VERSION,
    VERSION,
    WORKFLOW_GROUP,
)
from kubernaut.api.workflow import WorkflowExecution

Schema = dict[str, Any]


@dataclass(frozen=True)
class _Kind:
    resource: type[msgspec.Struct]
    group: str
    plural: str
    short: str
    scope: str
    columns: tuple[tuple[str, str, str, int], ...]
    """Name, type, JSON path, priority (1 = only with `-o wide`)."""
    has_status: bool = True


_AGE = ("Age", "date", ".metadata.creationTimestamp", 0)

_KINDS = (
    _Kind(
        WorkflowExecution,
        WORKFLOW_GROUP,
        "workflowexecutions",
        "wfe",
        "Namespaced",
        (
            ("Phase", "string", ".status.phase", 0),
            ("Steps", "string", ".status.progress", 0),
            ("Engine", "string", ".status.engine.name", 0),
            ("Reason", "string", ".status.reason", 0),
            ("Target", "string", ".spec.targetResource.name", 1),
            ("Approval", "string", ".status.approvalStatus", 1),
            ("Message", "string", ".status.message", 1),
            _AGE,
        ),
    ),
    _Kind(
        ActionExecution,
        EXECUTION_GROUP,
        "actionexecutions",
        "ae",
        "Namespaced",
        (
            ("Action", "string", ".spec.actionType", 0),
            ("Phase", "string", ".status.phase", 0),
            ("Reason", "string", ".status.reason", 0),
            ("Executed", "string", ".status.executed", 0),
            ("Workflow", "string", ".spec.workflowRef.name", 1),
            ("Step", "string", ".spec.step", 1),
            ("Message", "string", ".status.message", 1),
            _AGE,
        ),
    ),
    _Kind(
        ActionDefinition,
        GROUP,
        "actiondefinitions",
        "ad",
        "Cluster",
        (
            ("Action", "string", ".spec.actionType", 0),
            ("Version", "string", ".spec.version", 0),
            ("ServiceAccount", "string", ".spec.serviceAccountName", 0),
            ("Image", "string", ".spec.image", 1),
            _AGE,
        ),
        has_status=False,
    ),
    _Kind(
        ApprovalRequest,
        GROUP,
        "approvalrequests",
        "apr",
        "Namespaced",
        (
            ("Phase", "string", ".status.phase", 0),
            ("Workflow", "string", ".spec.workflowRef.name", 0),
            ("Requester", "string", ".spec.requestedBy.username", 0),
            ("Approvals", "string", ".status.approvals", 0),
            ("Expires", "string", ".spec.expiresAt", 0),
            ("Plan", "string", ".spec.planHash", 1),
            ("Message", "string", ".status.message", 1),
            _AGE,
        ),
    ),
)


def _unchanging(*fields: str) -> list[Schema]:
    return [
        {
            "rule": f"has(self.{name}) == has(oldSelf.{name})"
            f" && (!has(self.{name}) || self.{name} == oldSelf.{name})",
            "message": f"{name} cannot be changed: make a new execution instead",
        }
        for name in fields
    ]


_DECISIONS_GROW = [
    {
        "rule": "size(self) >= size(oldSelf) && oldSelf.all(d, d in self)",
        "message": "decisions can be added, not changed or removed",
    }
]
_DECISIONS_STAY = {
    "rule": "!has(oldSelf.decisions) || has(self.decisions)",
    "message": "decisions can be added, not changed or removed",
}
_REQUESTS_GROW = [
    {
        "rule": "size(self) >= size(oldSelf) && oldSelf.all(r, r in self)",
        "message": "requests can be added, not changed or removed",
    }
]
_REQUESTS_STAY = {
    "rule": "!has(oldSelf.requests) || has(self.requests)",
    "message": "requests can be added, not changed or removed",
}

# Free maps (`parameters`, `inputs`) are compared by size and by the values of keys that both have: Kubernetes
# does not see one key in the place of another (apiserver, cel/common/values.go). A workflow's spec hash does.
# `finally` is a reserved word of CEL's host languages but not of CEL; Kubernetes escapes only its own list.
_RULES: Mapping[type[msgspec.Struct], Mapping[str, list[Schema]]] = {
    WorkflowExecution: {
        "spec": [
            *_unchanging(
                "workflowType",
                "reason",
                "targetResource",
                "remediationRequestRef",
                "requiresApproval",
                "engine",
                "parallelism",
                "timeout",
                "rollbackStrategy",
                "parameters",
                "priority",
                "retryOf",
                "rollbackOf",
                "requester",
                "steps",
                "finally",
            ),
            _REQUESTS_STAY,
        ],
        "spec.requests": _REQUESTS_GROW,
    },
    ActionExecution: {
        "spec": _unchanging(
            "actionType",
            "image",
            "imageVerification",
            "inputs",
            "serviceAccountName",
            "timeout",
            "retry",
            "contract",
            "workflowRef",
            "step",
            "workspaceClaim",
            "secretInputs",
            "targetResource",
            "correlationId",
            "cluster",
        ),
    },
    ApprovalRequest: {
        "spec": [
            *_unchanging(
                "workflowRef",
                "planHash",
                "requestedBy",
                "reason",
                "why",
                "steps",
                "moreSteps",
                "quorum",
                "approvers",
                "expiresAt",
            ),
            _DECISIONS_STAY,
        ],
        "spec.decisions": _DECISIONS_GROW,
    },
}


def custom_resource_definitions() -> list[dict[str, Any]]:
    """All CustomResourceDefinitions of kubernaut, ready to apply."""
    return [_definition(kind) for kind in _KINDS]


def _definition(kind: _Kind) -> dict[str, Any]:
    name = kind.resource.__name__
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _schema_of_resource(kind)},
        "additionalPrinterColumns": [
            {"name": title, "type": type_, "jsonPath": path, **({"priority": priority} if priority else {})}
            for title, type_, path, priority in kind.columns
        ],
    }
    if kind.has_status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "annotations": {ANNOTATION_SCHEMA_VERSION: str(SCHEMA_VERSION)},
        },
        "spec": {
            "group": kind.group,
            "scope": kind.scope,
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.plural,
                "singular": name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def _schema_of_resource(kind: _Kind) -> Schema:
    whole = _schema(inspect.type_info(kind.resource))
    properties = whole["properties"]
    properties["metadata"] = {"type": "object"}
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    whole["required"] = ["spec"]
    if kind.has_status:
        # Makes `status.phase` Pending from the first moment, before anybody wrote a status.
        properties["status"]["default"] = {}
        properties["status"]["properties"]["phase"]["default"] = "Pending"
    for path, rules in _RULES.get(kind.resource, {}).items():
        target = whole
        for part in path.split("."):
            target = target["properties"][part]
        target["x-kubernetes-validations"] = rules
    return whole


def _schema(info: inspect.Type) -> Schema:
    match info:
        case inspect.Metadata():
            extra: Schema = dict(info.extra_json_schema or {})  # pyright: ignore
            return {**_schema(info.type), **extra}
        case inspect.StructType():
            return _struct(info)
        case inspect.VarTupleType() | inspect.ListType():
            items = _schema(info.item_type)
            return {"type": "array", "items": items, **_lengths("Items", info.min_length, info.max_length)}
        case inspect.DictType():
            return _mapping(info)
        case inspect.UnionType():
            (only,) = [member for member in info.types if not isinstance(member, inspect.NoneType)]
            return _schema(only)
        case _:
            return _scalar(info)


def _scalar(info: inspect.Type) -> Schema:
    match info:
        case inspect.StrType():
            pattern = {"pattern": info.pattern} if info.pattern else {}
            return {"type": "string", **pattern, **_lengths("Length", info.min_length, info.max_length)}
        case inspect.IntType():
            return {"type": "integer", "format": "int64", **_bounds(info.ge, info.le)}
        case inspect.FloatType():
            return {"type": "number", "format": "double", **_bounds(info.ge, info.le)}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.DateTimeType():
            return {"type": "string", "format": "date-time"}
        case inspect.EnumType():
            return {"type": "string", "enum": [member.value for member in info.cls]}
        case inspect.LiteralType():
            return {"type": "string", "enum": list(info.values)}
        case inspect.AnyType():
            return {"x-kubernetes-preserve-unknown-fields": True}
        case _:
            raise TypeError(f"no structural schema is known for {info}")


def _struct(info: inspect.StructType) -> Schema:
    properties: Schema = {}
    required: list[str] = []
    for field in info.fields:
        schema = _schema(field.type)
        if field.required:
            required.append(field.encode_name)
        elif _is_worth_a_default(field.default):
            schema["default"] = msgspec.to_builtins(field.default)
        properties[field.encode_name] = schema
    described = (info.cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    return {
        "type": "object",
        **({"description": described} if described else {}),
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _mapping(info: inspect.DictType) -> Schema:
    value = _schema(info.value_type)
    if value == {"x-kubernetes-preserve-unknown-fields": True}:
        return {"type": "object", **value}
    return {
        "type": "object",
        "additionalProperties": value,
        **_lengths("Properties", info.min_length, info.max_length),
    }


def _is_worth_a_default(default: object) -> bool:
    # Empty values mean the same as absent ones; objects are defaulted by their parts.
    return isinstance(default, bool | int | float | str) and bool(default)


def _lengths(of: str, least: int | None, most: int | None) -> Schema:
    found = {f"min{of}": least, f"max{of}": most}
    return {name: value for name, value in found.items() if value is not None}


def _bounds(least: float | None, most: float | None) -> Schema:
    found = {"minimum": least, "maximum": most}
    return {name: value for name, value in found.items() if value is not None}
