"""The CustomResourceDefinitions, as an API server judges them: structural, bounded, with rules it can cost."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from kubernaut.api.action import ActionExecution, ActionPhase
from kubernaut.api.crd import custom_resource_definitions
from kubernaut.api.names import ANNOTATION_SCHEMA_VERSION, SCHEMA_VERSION
from kubernaut.api.workflow import StepPhase, WorkflowExecution, WorkflowPhase

Schema = dict[str, Any]
DEFINITIONS = {crd["spec"]["names"]["kind"]: crd for crd in custom_resource_definitions()}

every_kind = pytest.mark.parametrize("kind", DEFINITIONS)

# Kubernetes escapes these in CEL (apiextensions documentation): a rule that names them plainly does not compile.
_RESERVED = """true false null in as break const continue else for function if import let loop package namespace
return var void while"""
RESERVED = frozenset(re.split(r"\s+", _RESERVED))


def root(kind: str) -> Schema:
    schema: Schema = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def below(kind: str, *parts: str) -> Schema:
    schema = root(kind)
    for part in parts:
        schema = schema["properties"][part]
    return schema


def ruled_fields(kind: str) -> list[str]:
    """Fields of spec that a rule compares as a whole."""
    rules = below(kind, "spec").get("x-kubernetes-validations", [])
    return sorted({name for rule in rules for name in re.findall(r"self\.(\w+) == oldSelf", rule["rule"])})


@every_kind
def test_schemas_are_structural(kind: str) -> None:
    for path, node in nodes(root(kind)):
        is_free = node.get("x-kubernetes-preserve-unknown-fields") is True
        assert "type" in node or is_free, path
        assert not {"$ref", "anyOf", "oneOf", "not", "definitions", "uniqueItems"} & node.keys(), path
        assert not ("properties" in node and "additionalProperties" in node), path
        if node.get("type") == "array":
            assert "items" in node, path


@every_kind
def test_every_list_is_bounded(kind: str) -> None:
    unbounded = [p for p, node in nodes(root(kind)) if node.get("type") == "array" and "maxItems" not in node]
    assert unbounded == []


@every_kind
def test_every_map_of_texts_is_bounded(kind: str) -> None:
    unbounded = [
        p for p, node in nodes(root(kind)) if "additionalProperties" in node and "maxProperties" not in node
    ]
    assert unbounded == []


@pytest.mark.parametrize("kind", ["WorkflowExecution", "ActionExecution"])
def test_every_text_that_a_rule_compares_is_bounded(kind: str) -> None:
    for field in [*ruled_fields(kind), "requests"]:
        if field not in below(kind, "spec")["properties"]:
            continue
        for path, node in nodes(below(kind, "spec", field), field):
            is_bounded = {"maxLength", "enum", "format"} & node.keys()
            assert node.get("type") != "string" or is_bounded, path


@every_kind
def test_keys_of_named_lists_are_required_texts(kind: str) -> None:
    for path, node in nodes(root(kind)):
        if node.get("x-kubernetes-list-type") == "map":
            for key in node["x-kubernetes-list-map-keys"]:
                assert node["items"]["properties"][key]["type"] == "string", path
                assert key in node["items"]["required"], path


@every_kind
def test_defaults_have_the_type_and_the_bounds_of_their_field(kind: str) -> None:
    types: dict[str, Any] = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
        "object": dict,
    }
    for path, node in nodes(root(kind)):
        if "default" in node:
            assert isinstance(node["default"], types[node["type"]]), path
            assert "enum" not in node or node["default"] in node["enum"], path
            assert "pattern" not in node or re.search(node["pattern"], node["default"]), path


@pytest.mark.parametrize("kind", ["WorkflowExecution", "ActionExecution"])
def test_what_was_asked_cannot_be_changed(kind: str) -> None:
    asked_later = {"WorkflowExecution": {"requests"}, "ActionExecution": {"stop"}}[kind]
    assert set(below(kind, "spec")["properties"]) - set(ruled_fields(kind)) == asked_later


@every_kind
def test_rules_name_only_fields_that_exist_and_need_no_escape(kind: str) -> None:
    for path, node in nodes(root(kind)):
        for rule in node.get("x-kubernetes-validations", []):
            for name in re.findall(r"(?:self|oldSelf)\.(\w+)\b(?!\()", rule["rule"]):
                assert name in node["properties"], (path, name)
                assert name not in RESERVED, (path, name)
            assert rule["message"], path


@every_kind
def test_columns_show_fields_that_exist(kind: str) -> None:
    for column in DEFINITIONS[kind]["spec"]["versions"][0]["additionalPrinterColumns"]:
        parts = column["jsonPath"].lstrip(".").split(".")
        if parts[0] != "metadata":
            assert below(kind, *parts)["type"] == column["type"]


@every_kind
def test_definitions_name_themselves_as_kubernetes_wants(kind: str) -> None:
    crd = DEFINITIONS[kind]
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
    assert crd["metadata"]["annotations"][ANNOTATION_SCHEMA_VERSION] == str(SCHEMA_VERSION)
    assert names["categories"] == ["kubernaut"]
    assert len(names["shortNames"]) == 1


def test_statuses_have_their_own_subresource_and_begin_pending() -> None:
    for kind in ("WorkflowExecution", "ActionExecution"):
        assert DEFINITIONS[kind]["spec"]["versions"][0]["subresources"] == {"status": {}}
        assert below(kind, "status", "phase")["default"] == "Pending"


def test_phases_in_the_schema_are_those_of_the_tables() -> None:
    assert below("WorkflowExecution", "status", "phase")["enum"] == [p.value for p in WorkflowPhase]
    assert below("ActionExecution", "status", "phase")["enum"] == [p.value for p in ActionPhase]
    record = below("WorkflowExecution", "status", "steps")["items"]["properties"]
    assert record["phase"]["enum"] == [p.value for p in StepPhase]


def test_short_names_are_those_of_the_documentation() -> None:
    shorts = {kind: crd["spec"]["names"]["shortNames"][0] for kind, crd in DEFINITIONS.items()}
    assert shorts == {
        WorkflowExecution.__name__: "wfe",
        ActionExecution.__name__: "ae",
        "ActionDefinition": "ad",
        "ApprovalRequest": "apr",
    }
