"""What is structurally wrong in a document as the user wrote it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubernaut.admission import faults_of_structure, read_document
from kubernaut.api.action import ActionExecution
from kubernaut.api.definition import ActionDefinition
from kubernaut.api.meta import to_object
from kubernaut.api.workflow import WorkflowExecution

from .makers import DOOR, image_of, scale, workflow


def document(*steps: Any, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": "w"},
        "spec": {"steps": list(steps) or [{"name": "a", "actionType": "test/nothing"}], **spec},
    }


def told(raw: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in faults_of_structure(raw)]


def test_a_good_document_becomes_a_struct_without_its_status() -> None:
    raw = document(reason="because") | {"status": {"phase": 5}}
    read, faults = read_document(raw)
    assert faults == []
    assert isinstance(read, WorkflowExecution)
    assert read.spec.reason == "because"


def test_each_of_our_kinds_comes_back_as_it_went() -> None:
    definition = DOOR.catalogue["chat/notify"]
    alone = ActionExecution(metadata=definition.metadata, spec=msgspec.convert(_action_spec(), _spec_type()))
    for resource in (workflow(scale()), definition, alone):
        assert read_document(to_object(resource)) == (resource, [])


def _spec_type() -> Any:
    from kubernaut.api.action import ActionSpec

    return ActionSpec


def _action_spec() -> dict[str, Any]:
    return {"actionType": "test/nothing", "image": image_of("nothing"), "contract": {"fenced": True}}


def test_all_structural_faults_are_told_at_once_with_their_paths() -> None:
    raw = document(
        {"name": "A b", "actionType": "scale", "image": "x:latest", "inputs": None, "critical": "yes"},
        {"actionType": "a/b", "runAfter": "a", "retry": {"limit": "3"}},
        5,
        engine="tectton",
        timeout="5 min",
        parallelism=51,
    )
    steps_told = [
        "spec.steps[0].name: is malformed. Write a-z, 0-9 and hyphens, at most 63 characters, for example "
        "scale-deployment.",
        "spec.steps[0].actionType: is malformed. Write domain/action, for example kubernetes/scale_deployment.",
        "spec.steps[0].image: must name the image by digest. "
        "Write name@sha256:<64 hex digits>; a tag could change under the run.",
        "spec.steps[0].inputs: has no value: it must be an object. Leave the line out, or give it a value.",
        "spec.steps[0].critical: must be true or false, not text. Write it without quotes.",
        "spec.steps[1].name: is missing. Give text.",
        "spec.steps[1].runAfter: must be a list, not text. Write it as a list, for example [a, b].",
        "spec.steps[1].retry.limit: must be a whole number, not text. Write it without quotes.",
        "spec.steps[2]: must be an object, not a number",
    ]
    assert told(raw) == [
        *steps_told,
        "spec.engine: is not one of the allowed values. Did you mean tekton? Allowed: auto, job, tekton.",
        'spec.timeout: is malformed. Write a duration such as "90s", "5m" or "1h30m".',
        "spec.parallelism: must be at most 50",
    ]


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("runafter", "runAfter"),
        ("run_after", "runAfter"),
        ("dependsOn", "runAfter"),
        ("parameters", "inputs"),
        ("action", "actionType"),
        ("maxRetries", "retry.limit"),
        ("continueOnError", "critical: false"),
        ("serviceAccount", "serviceAccountName"),
    ],
)
def test_an_unknown_field_comes_with_the_one_that_was_meant(field: str, meant: str) -> None:
    raw = document({"name": "a", "actionType": "a/b", field: "x"})
    assert told(raw) == [f"spec.steps[0].{field}: is no field here. Did you mean {meant}?"]


def test_free_fields_take_anything() -> None:
    step = {"name": "a", "actionType": "a/b", "inputs": {"patch": {"spec": [None, {"x": 1.5}]}}}
    assert told(document(step, parameters={"any": {"thing": []}})) == []


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"kind": "Deployment"}, "kind: is none of kubernaut's. Known: "),
        ({"kind": "WorkflowExecutoin"}, "kind: is none of kubernaut's. Did you mean WorkflowExecution?"),
        (
            {"kind": "KubernetesExecution"},
            "kind: is none of kubernaut's. Write it in today's shape with: kubernaut import FILE",
        ),
        ({"kind": None}, "kind: is missing"),
        ({"apiVersion": None}, "apiVersion: is missing. Write workflowexecution.kubernaut.ai/v1alpha1."),
        (
            {"apiVersion": "kubernetesexecution.kubernaut.io/v1alpha1"},
            "apiVersion: is an older or other group or version. Write workflowexecution.kubernaut.ai/v1alpha1.",
        ),
        ({"apiVersion": "v1"}, "apiVersion: is not the one of WorkflowExecution."),
        ({"metadata": {}}, "metadata.name: is missing. Give metadata.name or metadata.generateName."),
        ({"metadata": {"name": "A_b"}}, "metadata.name: is malformed"),
        ({"metadata": {"name": "a", "lables": {}}}, "metadata.lables: is no field here. Did you mean labels?"),
        ({"metadata": {"name": "a", "labels": {"a": 1}}}, "metadata.labels.a: must be text, not a number"),
        ({"spec": None}, "spec: has no value"),
    ],
)
def test_heads_that_are_wrong(head: dict[str, Any], said: str) -> None:
    found = told(document() | head)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_a_document_without_metadata_or_spec() -> None:
    assert told({"kind": "ActionDefinition", "apiVersion": "kubernaut.ai/v1alpha1"}) == [
        "metadata: is missing. Give an object.",
        "spec: is missing. Give an object.",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "is not a finite number"),
        (2**64, "is a number beyond 64 bits"),
        ("\ud800", "holds half a character (a lone surrogate)"),
        ({1: 2}, "has a key that is not text. Put the key in quotes."),
        (b"x", "is no JSON value"),
    ],
)
def test_values_that_kubernetes_cannot_keep(value: object, said: str) -> None:
    assert told(document(parameters={"a": [value]})) == [f"spec.parameters.a[0]: {said}"]


def test_values_nested_without_end() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    assert "nested more than 64 levels" in told(document(parameters={"a": deep}))[0]


def test_whole_numbers_written_with_a_point_are_told_where_they_stand() -> None:
    assert told(document(parallelism=5.0)) == ["spec.parallelism: must be a whole number, without a point"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    [
        "name",
        "actionType",
        "image",
        "inputs",
        "runAfter",
        "retry",
        "when",
        "timeout",
        "backoff",
        "limit",
        "x",
        "at",
    ]
)
SHAPES = st.recursive(
    JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=15
)


@pytest.mark.timeout(30)
@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["WorkflowExecution", "ActionExecution", "ActionDefinition", "x"]),
    st.dictionaries(st.sampled_from(["steps", "finally", "engine", "requests", "contract", "inputs"]), SHAPES),
    SHAPES,
)
def test_no_document_breaks_the_door(kind: str, spec: dict[str, Any], metadata: Any) -> None:
    raw = {"apiVersion": "x", "kind": kind, "metadata": metadata, "spec": spec, "status": metadata}
    read, faults = read_document(raw)
    assert (read is None) == bool(faults)
    raw["apiVersion"] = "workflowexecution.kubernaut.ai/v1alpha1"
    read, faults = read_document(raw)
    assert (read is None) == bool(faults)
    assert not isinstance(read, ActionDefinition)


@pytest.mark.timeout(30)
@settings(deadline=None, max_examples=60)
@given(JSON)
def test_nothing_that_is_an_object_breaks_the_door(value: Any) -> None:
    faults_of_structure(value if isinstance(value, dict) else {"kind": value, "spec": value})
