"""References in inputs: found where they stand, replaced without ever changing the shape of the document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.api.references import (
    Found,
    OutputReference,
    ParamReference,
    Reference,
    UnknownReference,
    WorkflowReference,
    find,
    from_text,
    has_reference,
    resolve,
)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("params.replicas", ParamReference("replicas")),
        ("params.with-hyphen", ParamReference("with-hyphen")),
        ("steps.scale-up.outputs.replicas", OutputReference("scale-up", "replicas")),
        ("workflow.name", WorkflowReference("name")),
        ("workflow.uid", WorkflowReference("uid")),
        ("workflow.spec", UnknownReference("workflow.spec")),
        ("params.", UnknownReference("params.")),
        ("params.a.b", UnknownReference("params.a.b")),
        ("steps.a.outputs.", UnknownReference("steps.a.outputs.")),
        ("steps.a.outputs.b.c", UnknownReference("steps.a.outputs.b.c")),
        ("steps.-a.outputs.b", UnknownReference("steps.-a.outputs.b")),
        ("steps.A.outputs.b", UnknownReference("steps.A.outputs.b")),
        (" params.a", UnknownReference(" params.a")),
        ("params.a\n", UnknownReference("params.a\n")),
        ("", UnknownReference("")),
    ],
)
def test_only_the_three_forms_mean_something(text: str, reference: Reference) -> None:
    assert from_text(text) == reference


def test_every_reference_is_found_with_the_path_of_the_string_that_holds_it() -> None:
    inputs = {"a": "$(params.x)", "b": [{"c": "v$(params.y)-$(workflow.name)"}], "d": "$$(params.z)", "e": 5}
    assert list(find(inputs, "inputs")) == [
        Found(ParamReference("x"), "inputs.a", True),
        Found(ParamReference("y"), "inputs.b[0].c", False),
        Found(WorkflowReference("name"), "inputs.b[0].c", False),
    ]


def test_a_reference_with_text_behind_it_is_not_the_whole_string() -> None:
    assert [found.is_whole for found in find(["$(params.x)!", "!$(params.x)", "$(params.x)"], "")] == [
        False,
        False,
        True,
    ]


def look_up(values: dict[str, Any]) -> Any:
    def found(reference: Reference) -> Any:
        assert isinstance(reference, ParamReference)
        return values[reference.name]

    return found


@pytest.mark.parametrize("value", [3, 3.5, True, None, "text", ["a", 1], {"k": {"n": 1}}], ids=str)
def test_a_string_that_is_one_reference_becomes_the_value_with_its_type(value: Any) -> None:
    assert resolve({"n": "$(params.x)"}, look_up({"x": value})) == {"n": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "v=a"), (3, "v=3"), (True, "v=true"), (None, "v=null"), ({"k": "ü"}, 'v={"k":"ü"}')],
    ids=str,
)
def test_a_reference_within_a_text_becomes_text(value: Any, text: str) -> None:
    assert resolve("v=$(params.x)", look_up({"x": value})) == text


def test_a_doubled_dollar_stands_for_itself_and_is_looked_up_nowhere() -> None:
    assert resolve("$$(params.x) costs $5 and $(params.x)", look_up({"x": 1})) == "$(params.x) costs $5 and 1"
    assert not has_reference("$$(params.x)")


def test_names_of_fields_are_never_references() -> None:
    document = {"$(params.gone)": 1}
    assert resolve(document, look_up({})) == document
    assert not has_reference(document)


def test_a_value_that_looks_like_a_reference_is_not_resolved_again() -> None:
    assert resolve("$(params.x)", look_up({"x": "$(params.secret)"})) == "$(params.secret)"
    assert resolve("a$(params.x)", look_up({"x": "$(params.secret)"})) == "a$(params.secret)"


def test_what_is_not_there_is_said_by_its_name() -> None:
    with pytest.raises(KeyError, match="gone"):
        resolve({"a": ["$(params.gone)"]}, look_up({}))


texts = st.text(alphabet="$()ab.{}\"\\'\n,:[]", max_size=12)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(texts, parts, max_size=3),
    max_leaves=12,
)
references = st.sampled_from(["$(params.a)", "x$(params.a)y", "$(params.a)$(params.a)"])


def shape(value: Any) -> Any:
    """A document with its strings forgotten."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return "text" if isinstance(value, str) else value


@given(documents, texts)
def test_no_value_changes_the_shape_of_the_document_around_it(document: Any, value: str) -> None:
    try:
        resolved = resolve(document, lambda _: value)
    except KeyError:
        return
    assert shape(resolved) == shape(document)
    assert shape(json.loads(json.dumps(resolved))) == shape(document)


@given(documents)
def test_a_document_without_references_stays_as_it_is(document: Any) -> None:
    if "$" not in json.dumps(document):
        assert resolve(document, look_up({})) == document
        assert not has_reference(document)


@given(documents)
def test_resolving_asks_for_exactly_the_references_that_are_found(document: Any) -> None:
    asked: list[Reference] = []

    def remember(reference: Reference) -> str:
        asked.append(reference)
        return "x"

    resolve(document, remember)
    assert asked == [found.reference for found in find(document, "")]


@given(references, documents)
def test_a_whole_reference_takes_any_value_and_a_part_only_its_text(text: str, value: Any) -> None:
    resolved = resolve(text, lambda _: value)
    assert resolved == value if text == "$(params.a)" else isinstance(resolved, str)


@pytest.mark.parametrize(("levels", "count"), [(60, 1), (950, 0), (5000, 0)])
def test_no_depth_of_a_value_ends_the_search_with_an_error(levels: int, count: int) -> None:
    value: Any = "$(workflow.name)"
    for _ in range(levels):
        value = [value]
    assert len(list(find(value, ""))) == count
