"""What is structurally wrong in a document as the user wrote it: kinds, fields, types, forms.

The schemas are those of the CRDs, made strict: the API server drops unknown fields in silence, we name them. The
verdicts come from jsonschema-rs (JSON Schema 2020-12); the words are ours (`words`).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import msgspec
from jsonschema_rs import Draft202012Validator, RegexOptions

from kubernaut.admission import words
from kubernaut.admission.nearest import Nearest
from kubernaut.admission.values import joined, unfit_values
from kubernaut.api.action import ActionExecution
from kubernaut.api.crd import custom_resource_definitions
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.faults import Fault
from kubernaut.api.names import CORE_API, EXECUTION_API, WORKFLOW_API
from kubernaut.api.workflow import WorkflowExecution

Document = WorkflowExecution | ActionExecution | ActionDefinition

_KINDS: Mapping[str, tuple[str, type[Document]]] = {
    "WorkflowExecution": (WORKFLOW_API, WorkflowExecution),
    "ActionExecution": (EXECUTION_API, ActionExecution),
    "ActionDefinition": (CORE_API, ActionDefinition),
}
_OLDER_KINDS = {
    "KubernetesExecution": "Write it in today's shape with: kubernaut import FILE",
    "RemediationWorkflow": "It has become WorkflowExecution of workflowexecution.kubernaut.ai/v1alpha1.",
    "Workflow": "Write kind: WorkflowExecution.",
}
_MOST_FAULTS = 1_000


def faults_of_structure(raw: Mapping[str, Any]) -> list[Fault]:
    """Everything structurally wrong in a WorkflowExecution, ActionExecution or ActionDefinition. Never raises.

    `status` is not looked at: the API server does not take it from users.
    """
    return read_document(raw)[1]


def read_document(raw: Mapping[str, Any]) -> tuple[Document | None, list[Fault]]:
    """The document as a struct, or everything that is structurally wrong. Its status is left out. Never raises."""
    asked = {key: value for key, value in raw.items() if key != "status"}
    if unfit := unfit_values(asked, ""):
        return None, unfit
    kind, faults = _kind_faults(asked)
    if kind is None:
        return None, faults
    faults += _schema_faults(kind, asked)
    if faults:
        return None, faults
    try:
        return msgspec.convert(asked, _KINDS[kind][1]), []
    except msgspec.ValidationError as error:
        return None, [_conversion_fault(str(error))]


def _kind_faults(raw: Mapping[str, Any]) -> tuple[str | None, list[Fault]]:
    """The known kind that the document is of, if any, and what is wrong with how it says so."""
    kind, version = raw.get("kind"), raw.get("apiVersion")
    if not isinstance(kind, str) or not kind:
        return None, [Fault("kind", "is missing", f"One of {', '.join(_KINDS)}.")]
    if kind not in _KINDS:
        mend = _OLDER_KINDS.get(kind) or Nearest(_KINDS).mend(kind)
        return None, [Fault("kind", "is none of kubernaut's", mend)]
    expected = _KINDS[kind][0]
    if version == expected:
        return kind, []
    if not isinstance(version, str) or not version:
        return kind, [Fault("apiVersion", "is missing", f"Write {expected}.")]
    is_ours = version.partition("/")[0].endswith(("kubernaut.ai", "kubernaut.io"))
    message = "is an older or other group or version" if is_ours else f"is not the one of {kind}"
    return kind, [Fault("apiVersion", message, f"Write {expected}.")]


def _schema_faults(kind: str, raw: dict[str, Any]) -> list[Fault]:
    validator, schema = _validator(kind)
    faults: list[Fault] = []
    try:
        for error in validator.iter_errors(raw):
            path = list(error.instance_path)
            faults += words.faults_of(
                error.kind.name, error.kind.as_dict(), _text(path), _at(raw, path), _schema_at(schema, path)
            )
            if len(faults) >= _MOST_FAULTS:
                break
    except ValueError as error:
        # Not reached by JSON that `unfit_values` let through; a library that changes must not break the door.
        return [Fault("(root)", f"cannot be judged: {error}"[:300])]
    return faults


def _text(path: list[str | int]) -> str:
    text = ""
    for part in path:
        text = f"{text}[{part}]" if isinstance(part, int) else joined(text, part)
    return text


def _at(raw: Any, path: list[str | int]) -> Any:
    for part in path:
        raw = raw[part]
    return raw


def _schema_at(schema: dict[str, Any], path: list[str | int]) -> dict[str, Any]:
    for part in path:
        members: dict[str, Any] = schema.get("properties", {})
        other: object = members.get(str(part)) or schema.get(
            "items" if isinstance(part, int) else "additionalProperties"
        )
        schema = cast("dict[str, Any]", other) if isinstance(other, dict) else {}
    return schema


@cache
def _validator(kind: str) -> tuple[Draft202012Validator, dict[str, Any]]:
    definition = next(d for d in custom_resource_definitions() if d["spec"]["names"]["kind"] == kind)
    schema = _strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"].pop("status", None)
    # Judged by `_kind_faults`.
    schema["properties"] |= {"apiVersion": True, "kind": True}
    schema["properties"]["metadata"] = _METADATA
    schema["required"] = ["metadata", "spec"]
    return Draft202012Validator(schema, validate_formats=True, pattern_options=RegexOptions()), schema


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A structural schema of Kubernetes as a JSON schema that knows no other fields."""
    strict = {key: value for key, value in schema.items() if not key.startswith("x-")}
    if "properties" in schema:
        strict["properties"] = {name: _strict(part) for name, part in schema["properties"].items()}
        strict["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    elif isinstance(schema.get("additionalProperties"), dict):
        strict["additionalProperties"] = _strict(schema["additionalProperties"])
    if "items" in schema:
        strict["items"] = _strict(schema["items"])
    return strict


def _conversion_fault(message: str) -> Fault:
    """What the schema cannot say and the struct can (a moment that is none, 5.0 where 5 is meant)."""
    text, _, place = message.partition(" - at `$")
    if "int" in text and text.endswith("got `float`"):
        text = "must be a whole number, without a point"
    return Fault(place.rstrip("`").removeprefix(".") or "(root)", text[:1].lower() + text[1:])


_STRING = {"type": "string"}
_STRINGS = {"type": "object", "additionalProperties": _STRING}
_MOMENT = {"type": ["string", "null"]}
_METADATA: Mapping[str, Any] = {
    # Kubernetes API reference, ObjectMeta v1.
    "type": "object",
    "properties": {
        "name": {
            "type": "string",
            "maxLength": 253,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        },
        "generateName": {"type": "string", "maxLength": 248},
        "namespace": {"type": "string", "maxLength": 63},
        "labels": _STRINGS,
        "annotations": _STRINGS,
        "finalizers": {"type": "array", "items": _STRING},
        "ownerReferences": {
            "type": "array",
            "items": {"type": "object", "required": ["apiVersion", "kind", "name", "uid"]},
        },
        "uid": _STRING,
        "resourceVersion": _STRING,
        "generation": {"type": "integer"},
        "creationTimestamp": _MOMENT,
        "deletionTimestamp": _MOMENT,
        "deletionGracePeriodSeconds": {"type": "integer"},
        "selfLink": _STRING,
        "managedFields": {"type": "array"},
    },
    "additionalProperties": False,
    "anyOf": [{"required": ["name"]}, {"required": ["generateName"]}],
}
