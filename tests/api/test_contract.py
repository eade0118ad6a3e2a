"""The contract: every fault of an input is found, each with its path, and no secret is ever told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.api.contract import (
    ContractSpec,
    Parameter,
    input_faults,
    is_of_type,
    is_secret_reference,
    value_faults,
    with_defaults,
)

REFERENCE = {"secretKeyRef": {"name": "db", "key": "password"}}


def faults_of(parameter: Parameter, value: Any) -> list[str]:
    return [f"{fault.path}: {fault.message}" for fault in value_faults(parameter, value, "inputs.x")]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["", "a"], [1, None, True, [], {}]),
        ("integer", [0, -3, 3.0], [1.5, "1", True, None, []]),
        ("number", [0, 1.5, -2], ["1", False, None]),
        ("boolean", [True, False], [0, 1, "true", None]),
        ("object", [{}, {"a": 1}], [[], "{}", None]),
        ("array", [[], [1]], [{}, "[]", None]),
        ("duration", ["5m", "1h30m", "1.5s", "200ms"], ["5", "", "m", "5 m", "5m ", 5, None]),
    ],
)
def test_types_are_those_of_json_schema(kind: Any, good: list[Any], bad: list[Any]) -> None:
    assert all(is_of_type(kind, value) for value in good)
    assert not any(is_of_type(kind, value) for value in bad)


@pytest.mark.parametrize(
    ("parameter", "value", "faults"),
    [
        (Parameter(name="x", type="integer"), "3", ["must be of type integer, not string"]),
        (Parameter(name="x"), None, ["must be of type string, not null"]),
        (Parameter(name="x", enum=("a", "b")), "c", ["is not one of the allowed values"]),
        (Parameter(name="x", pattern="^v[0-9]+$"), "x1", ["does not match ^v[0-9]+$"]),
        (Parameter(name="x", type="integer", minimum=1), 0, ["must be at least 1, is 0"]),
        (Parameter(name="x", type="number", maximum=1.5), 2, ["must be at most 1.5, is 2"]),
        (Parameter(name="x", max_length=3), "abcd", ["must have at most 3 characters, has 4"]),
        (
            Parameter(name="x", pattern="^a", enum=("ab",), max_length=2),
            "bcd",
            ["is not one of the allowed values", "does not match ^a", "must have at most 2 characters, has 3"],
        ),
        (Parameter(name="x", type="integer", minimum=1, maximum=3), 2, []),
        (Parameter(name="x", secret=True), "hunter2", ["is a secret and must not be given in clear"]),
        (Parameter(name="x", secret=True), REFERENCE, []),
    ],
    ids=("type", "null", "enum", "pattern", "minimum", "maximum", "length", "all", "none", "clear", "reference"),
)
def test_each_fault_is_named(parameter: Parameter, value: Any, faults: list[str]) -> None:
    assert faults_of(parameter, value) == [f"inputs.x: {text}" for text in faults]


def test_an_action_has_five_minutes_and_fifteen_at_most_unless_its_contract_says_else() -> None:
    assert (ContractSpec().timeout, ContractSpec().max_timeout) == ("5m", "15m")


def test_unknown_and_missing_inputs_are_all_found_at_once() -> None:
    contract = ContractSpec(
        inputs=(
            Parameter(name="needed", type="integer", required=True),
            Parameter(name="defaulted", required=True, default="a"),
            Parameter(name="optional"),
        )
    )
    faults = input_faults(contract, {"typo": 1, "optional": 2}, "spec.steps[3].inputs")
    assert [fault.path for fault in faults] == [
        "spec.steps[3].inputs.typo",
        "spec.steps[3].inputs.needed",
        "spec.steps[3].inputs.optional",
    ]
    assert "Declared: needed, defaulted, optional." in faults[0].mend


def test_defaults_fill_what_is_missing_and_nothing_else() -> None:
    contract = ContractSpec(
        inputs=(Parameter(name="a", default=0), Parameter(name="b", default=False), Parameter(name="c"))
    )
    assert with_defaults(contract, {"b": True}) == {"a": 0, "b": True}


@pytest.mark.parametrize(
    "value",
    [
        "password",
        {"secretKeyRef": "db"},
        {"secretKeyRef": {"name": "db"}},
        {"secretKeyRef": {"name": "", "key": "k"}},
        {"secretKeyRef": {"name": "db", "key": "k"}, "value": "hunter2"},
        {"secretKeyRef": {"name": 1, "key": "k"}},
        [],
        None,
    ],
    ids=str,
)
def test_only_the_exact_form_counts_as_a_reference_to_a_secret(value: Any) -> None:
    assert not is_secret_reference(value)
    assert is_secret_reference(REFERENCE)


@given(st.text(min_size=8, max_size=60))
def test_a_secret_given_in_clear_never_shows_in_the_fault(secret: str) -> None:
    parameter = Parameter(name="x", secret=True, enum=("a",), pattern="^b", max_length=1)
    assert all(secret not in str(fault) for fault in value_faults(parameter, secret, "inputs.x"))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_json_value_is_judged_without_an_error(value: Any) -> None:
    for kind in ("string", "integer", "number", "boolean", "object", "array", "duration"):
        parameter = Parameter(name="x", type=kind, minimum=0, maximum=5, max_length=3, pattern="a", enum=(1, "a"))
        value_faults(parameter, value, "x")
