"""CustomResourceDefinition, and the law of the custom resources that it defines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kubernaut.devcluster.errors import BadRequest, Fault
from kubernaut.devcluster.metadata import (
    STANDARD_FINALIZERS,
    dns_subdomain,
    forbidden,
    immutable,
    invalid,
    required,
    unsupported,
)
from kubernaut.devcluster.objects import Object, is_deleting, list_at, map_at
from kubernaut.devcluster.resources import Column, Resource, Rules
from kubernaut.devcluster.schema.check import type_error
from kubernaut.devcluster.schema.walk import drop_empty, drop_nulls, prune

from .rules import BuiltinRules

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""Finalizer that keeps a definition until its resources are deleted."""

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_AGE = Column(
    "Age",
    "date",
    "CreationTimestamp is a timestamp representing the server time when this object was created.",
    json_path=".metadata.creationTimestamp",
)
Where = tuple[dict[str, Any], str]


class DefinitionRules(BuiltinRules):
    def __init__(self) -> None:
        super().__init__("CustomResourceDefinition", has_status=True)

    def default(self, obj: Object) -> None:
        super().default(obj)
        names = map_at(obj, "spec", "names")
        if names.get("kind"):
            names.setdefault("singular", str(names["kind"]).lower())
            names.setdefault("listKind", f"{names['kind']}List")

    def prepare_create(self, obj: Object) -> None:
        # The real server establishes a definition some milliseconds after its creation.
        moment = obj["metadata"]["creationTimestamp"]
        obj["status"] = {
            "conditions": [
                _condition("NamesAccepted", "NoConflicts", "no conflicts found", moment),
                _condition(
                    "Established",
                    "InitialNamesAccepted",
                    "the initial names have been accepted",
                    moment,
                ),
            ],
            "acceptedNames": map_at(obj, "spec", "names"),
            "storedVersions": [version.get("name") for version in _versions(obj) if version.get("storage")],
        }
        finalizers = obj["metadata"].setdefault("finalizers", [])
        if CLEANUP not in finalizers:
            finalizers.append(CLEANUP)

    def prepare_update(self, new: Object, old: Object) -> None:
        super().prepare_update(new, old)
        new["status"] = {**new.get("status", {}), "acceptedNames": map_at(new, "spec", "names")}

    def validate(self, obj: Object) -> Iterable[Fault]:
        yield from super().validate(obj)
        spec = map_at(obj, "spec")
        name, group = str(obj["metadata"].get("name", "")), str(spec.get("group", ""))
        plural = map_at(spec, "names").get("plural", "")
        if name != f"{plural}.{group}":
            yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
        for words in dns_subdomain(group) if group else ():
            yield invalid("spec.group", group, words)
        storing = [version for version in _versions(obj) if version.get("storage")]
        if len(storing) != 1:
            yield invalid(
                "spec.versions", _versions(obj), "must have exactly one version marked as storage version"
            )
        if map_at(spec, "conversion").get("strategy") == "Webhook":
            yield forbidden("spec.conversion.strategy", "this cluster calls no conversion webhooks")
        for index, version in enumerate(_versions(obj)):
            # The schema of the only version is judged where older clients look for it.
            path = "spec.validation" if len(_versions(obj)) == 1 else f"spec.versions[{index}].schema"
            yield from _version_faults(version, f"spec.versions[{index}].schema", path)

    def mark_deleting(self, obj: Object) -> None:
        metadata = obj["metadata"]
        metadata.pop("deletionGracePeriodSeconds", None)
        metadata["generation"] -= 1
        conditions = obj["status"]["conditions"]
        conditions.append(_terminating(metadata["deletionTimestamp"]))

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        for path in (("spec", "group"), ("spec", "scope"), ("spec", "names", "plural"), ("spec", "names", "kind")):
            now = map_at(new, *path[:-1]).get(path[-1])
            if now != map_at(old, *path[:-1]).get(path[-1]):
                yield immutable(".".join(path), now)


def _terminating(moment: str) -> Object:
    message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    return _condition("Terminating", "InstanceDeletionPending", message, moment)


def _versions(obj: Object) -> list[Any]:
    return list_at(obj, "spec", "versions")


def _condition(kind: str, reason: str, message: str, moment: str) -> Object:
    return {
        "lastTransitionTime": moment,
        "message": message,
        "reason": reason,
        "status": "True",
        "type": kind,
    }


def _version_faults(version: Object, here: str, path: str) -> Iterator[Fault]:
    schema = map_at(version, "schema", "openAPIV3Schema")
    at = f"{path}.openAPIV3Schema"
    if not schema:
        yield required(f"{here}.openAPIV3Schema")
        return
    if schema.get("type") != "object":
        yield invalid(f"{at}.type", schema.get("type", ""), "must be object at the root")
    found = list(_schema_faults(schema, at))
    yield from found
    if not found:
        yield from _default_faults(schema, at)
        yield from _rule_faults(schema, at)


def _schema_faults(schema: dict[str, Any], path: str) -> Iterator[Fault]:
    """The rules of structural schemas that authors trip over."""
    kind = schema.get("type")
    flexible = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if kind is None and not flexible:
        yield required(f"{path}.type", "must not be empty for specified object fields")
    elif kind is not None and kind not in _TYPES:
        yield unsupported(f"{path}.type", kind, _TYPES)
    if kind == "array":
        yield from _array_faults(schema, path)
    if schema.get("properties") and schema.get("additionalProperties"):
        yield invalid(
            f"{path}.additionalProperties", "", "additionalProperties and properties are mutual exclusive"
        )
    for name, below in map_at(schema, "properties").items():
        yield from _schema_faults(below, f"{path}.properties[{name}]")
    for part in ("items", "additionalProperties"):
        below = map_at(schema, part)
        if below:
            yield from _schema_faults(below, f"{path}.{part}")


def _array_faults(schema: dict[str, Any], path: str) -> Iterator[Fault]:
    if not map_at(schema, "items"):
        yield required(f"{path}.items", "must be specified")
    keys = list_at(schema, "x-kubernetes-list-map-keys")
    if schema.get("x-kubernetes-list-type") == "map":
        if not keys:
            yield required(
                f"{path}.x-kubernetes-list-map-keys",
                "must not be empty if x-kubernetes-list-type is map",
            )
        items = map_at(schema, "items")
        for key in keys:
            has_default = "default" in map_at(items, "properties", key)
            if key not in list_at(items, "required") and not has_default:
                yield required(
                    f"{path}.items.properties[{key}].default",
                    "this property is in x-kubernetes-list-map-keys, so it must have a default or "
                    "be a required property",
                )


def _default_faults(schema: dict[str, Any], path: str) -> Iterator[Fault]:
    """Defaults must keep the schema that they stand in."""
    from kubernaut.devcluster.schema.structural import SchemaValidator, structural_node

    if schema.get("default") is not None:
        whole = {"type": "object", "properties": {"value": schema}}
        faults = SchemaValidator(whole, structural_node(whole)).faults({"value": schema["default"]})
        for fault in faults:
            yield Fault(f"{path}.default{fault.path.removeprefix('value')}", fault.reason, fault.message)
    for name, below in map_at(schema, "properties").items():
        yield from _default_faults(below, f"{path}.properties[{name}]")
    for part in ("items", "additionalProperties"):
        if below := map_at(schema, part):
            yield from _default_faults(below, f"{path}.{part}")


def _rule_faults(schema: dict[str, Any], path: str) -> Iterator[Fault]:
    if b"x-kubernetes-validations" not in _text(schema):
        return
    from kubernaut.devcluster.schema.cel_rules import RuleError, rule_tree

    try:
        rule_tree(schema, path)
    except RuleError as error:
        at, _, words = str(error).partition(": ")
        yield invalid(at, "rule", words)


def _text(schema: dict[str, Any]) -> bytes:
    from kubernaut.devcluster.objects import to_json

    return to_json(schema)


class CustomRules(Rules):
    """One served version of a custom resource."""

    def __init__(self, definition: Object, version: Object) -> None:
        from kubernaut.devcluster.schema.structural import SchemaValidator, root_node

        self.kind = str(definition["spec"]["names"]["kind"])
        self.schema = map_at(version, "schema", "openAPIV3Schema")
        super().__init__(
            root_node(self.schema, self.kind),
            has_status="status" in map_at(version, "subresources"),
        )
        self._definition_is_deleting = is_deleting(definition)
        self._validator = SchemaValidator(self.schema, self.node)
        self._rules: Any = None
        if b"x-kubernetes-validations" in _text(self.schema):
            from kubernaut.devcluster.schema.cel_rules import rule_tree

            self._rules = rule_tree(self.schema)

    def decode(self, obj: Object) -> list[str]:
        metadata = self.node.fields["metadata"]
        error = type_error(obj.get("metadata"), metadata, "metadata", "ObjectMeta")
        if error:
            version = str(obj.get("apiVersion", "")).rpartition("/")[2]
            raise BadRequest(f'{self.kind} in version "{version}" cannot be handled as a {self.kind}: {error}')
        unknown = prune(obj, self.node)
        drop_empty(obj.get("metadata"), metadata)
        drop_nulls(obj, self.node)
        self.default(obj)
        return unknown

    def warnings(self, obj: Object) -> Iterator[str]:
        for finalizer in list_at(obj, "metadata", "finalizers"):
            if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
                yield (
                    f'metadata.finalizers: "{finalizer}": prefer a domain-qualified finalizer name to '
                    "avoid accidental conflicts with other finalizer writers"
                )

    def prepare_create(self, obj: Object) -> None:
        if self._definition_is_deleting:
            raise BadRequest("create not allowed while custom resource definition is terminating")
        super().prepare_create(obj)

    def prepare_status(self, new: Object, old: Object) -> None:
        status = new.get("status")
        managed = new["metadata"].get("managedFields")
        new.clear()
        new.update(old)
        new["metadata"] = {**old["metadata"]}
        if managed is not None:
            new["metadata"]["managedFields"] = managed
        if status is None:
            new.pop("status", None)
        else:
            new["status"] = status

    def bumps_generation(self, new: Object, old: Object) -> bool:
        loose = ("metadata", "status") if self.has_status else ("metadata",)
        parts = (new.keys() | old.keys()) - set(loose)
        return any(new.get(part) != old.get(part) for part in parts)

    def validate(self, obj: Object) -> Iterable[Fault]:
        faults = self._validator.faults(obj)
        yield from faults
        if self._rules is None:
            return
        if any(fault.reason in _BLOCKING for fault in faults):
            yield _NOT_CHECKED
        else:
            yield from self._evaluate(obj, None)

    def validate_update(self, new: Object, old: Object) -> Iterable[Fault]:
        blocked = any(fault.reason in _BLOCKING for fault in self._validator.faults(new))
        if self._rules is not None and not blocked:
            yield from self._evaluate(new, old)

    def validate_status(self, new: Object, old: Object) -> Iterable[Fault]:
        yield from self.validate(new)
        yield from self.validate_update(new, old)

    def _evaluate(self, obj: Object, old: Object | None) -> list[Fault]:
        from kubernaut.devcluster.schema.cel_rules import rule_faults

        return rule_faults(self._rules, obj, old, old is not None)


_BLOCKING = (
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
)
_NOT_CHECKED = Fault(
    "<nil>",
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


def custom_resources(definition: Object) -> list[Resource]:
    """What a definition makes the server serve, its storage version included."""
    spec = definition["spec"]
    names = map_at(definition, "status", "acceptedNames") or spec["names"]
    storage = next(version["name"] for version in spec["versions"] if version["storage"])
    found: list[Resource] = []
    for version in spec["versions"]:
        if not version.get("served") and version["name"] != storage:
            continue
        found.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                kind=names["kind"],
                plural=names["plural"],
                singular=names.get("singular", ""),
                list_kind=names.get("listKind", ""),
                short_names=tuple(list_at(names, "shortNames")),
                categories=tuple(list_at(names, "categories")),
                namespaced=spec["scope"] == "Namespaced",
                rules=CustomRules(definition, version),
                subresources=frozenset(map_at(version, "subresources")),
                columns=_columns(version),
                has_generation=True,
                unconditional_update=False,
                storage_version=storage,
                field_labels=tuple(
                    str(part["jsonPath"]).removeprefix(".") for part in list_at(version, "selectableFields")
                ),
                definition=definition,
                is_custom=True,
            )
        )
    return found


def _columns(version: Object) -> tuple[Column, ...]:
    columns = list_at(version, "additionalPrinterColumns")
    if not columns:
        return (_AGE,)
    return tuple(
        Column(
            column["name"],
            column["type"],
            column.get("description", ""),
            column.get("priority", 0),
            column.get("format", ""),
            column["jsonPath"],
        )
        for column in columns
    )
