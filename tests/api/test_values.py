"""JSON values from outside: as deep as anybody likes to send them, and as large."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.api.values import TOO_DEEP, is_too_deep, stored_bytes, without_depths

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def depth(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
        case _:
            return 0


def shallow(value: Any, most: int) -> Any:
    match value:
        case dict() | list() if most == 0:
            return TOO_DEEP
        case dict():
            return {key: shallow(inner, most - 1) for key, inner in value.items()}
        case list():
            return [shallow(inner, most - 1) for inner in value]
        case _:
            return value


@given(VALUES, st.integers(0, 6))
def test_a_value_is_too_deep_when_it_is_nested_deeper_than_allowed(value: Any, most: int) -> None:
    assert is_too_deep(value, most) == (depth(value) > most)


@given(VALUES, st.integers(0, 6), st.booleans())
def test_what_is_too_deep_is_taken_out_and_the_rest_stays(value: Any, most: int, plain: bool) -> None:
    document = json.dumps(value, ensure_ascii=plain).encode()
    assert json.loads(without_depths(document, most)) == shallow(value, most)


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a":', "}")])
def test_depths_beyond_any_stack_are_taken_out(open_: str, close: str) -> None:
    document = f'{{"first": 1, "deep": {open_ * 100_000}1{close * 100_000}, "last": "]}}"}}'.encode()
    found = json.loads(without_depths(document))
    assert (found["first"], found["last"]) == (1, "]}")
    assert depth(found) == 128


@given(st.binary(max_size=200))
def test_what_is_no_json_does_no_harm(document: bytes) -> None:
    without_depths(document, 1)


@given(VALUES)
def test_stored_bytes_are_never_fewer_than_those_of_the_text(value: Any) -> None:
    written = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass"))
    assert stored_bytes(value) >= written
