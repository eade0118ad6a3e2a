"""Rules that are answered without the CEL library are answered as the library does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.api.crd import custom_resource_definitions
from kubernaut.devcluster.schema.cel_rules import _environment
from kubernaut.devcluster.schema.idioms import idiom_of

IMMUTABLE = "has(self.a) == has(oldSelf.a) && (!has(self.a) || self.a == oldSelf.a)"
KEPT = "!has(oldSelf.a) || has(self.a)"
GROWING = "size(self) >= size(oldSelf) && oldSelf.all(r, r in self)"

scalars = st.one_of(st.booleans(), st.integers(0, 2), st.sampled_from([0.0, 1.0, 1.5]), st.sampled_from(["", "a"]))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
maps = st.dictionaries(st.sampled_from("ab"), values, max_size=2)


def by_library(rule: str, now: Any, old: Any) -> Any:
    program = _environment().compile(rule)
    return program.eval(data={"self": now, "oldSelf": old, "hasOldSelf": True}).plain_value()


def answer(rule: str, now: Any, old: Any) -> bool:
    holds = idiom_of(rule)
    assert holds is not None
    return holds(now, old)


@pytest.mark.parametrize("rule", [IMMUTABLE, KEPT])
@given(maps, maps)
def test_rules_of_objects(rule: str, now: Any, old: Any) -> None:
    for was in (old, now):
        assert answer(rule, now, was) == by_library(rule, now, was)


@pytest.mark.parametrize("rule", [GROWING, "self == oldSelf"])
@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_rules_of_lists(rule: str, now: Any, old: Any) -> None:
    for was in (old, now[:-1], now):
        assert answer(rule, now, was) == by_library(rule, now, was)


@pytest.mark.parametrize(
    "rule",
    [
        "has(self.a) == has(oldSelf.b) && (!has(self.a) || self.a == oldSelf.a)",
        "!has(oldSelf.a) || has(self.b)",
        "!has(oldSelf.__namespace__) || has(self.__namespace__)",
        "size(self) >= size(oldSelf) && oldSelf.all(r, s in self)",
        "size(self) >= size(oldSelf) && oldSelf.all(self, self in self)",
        "self.a == oldSelf.a",
        "self == oldSelf || true",
    ],
)
def test_what_is_written_otherwise_goes_to_the_library(rule: str) -> None:
    assert idiom_of(rule) is None


def test_our_own_definitions_need_no_library() -> None:
    rules: list[str] = []

    def collect(schema: Any) -> None:
        if isinstance(schema, dict):
            rules.extend(rule["rule"] for rule in schema.get("x-kubernetes-validations", []))
            for below in schema.values():
                collect(below)
        elif isinstance(schema, list):
            for below in schema:
                collect(below)

    collect(custom_resource_definitions())
    assert rules
    assert [rule for rule in rules if idiom_of(rule) is None] == []
