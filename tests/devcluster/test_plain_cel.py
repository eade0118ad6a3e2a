"""Rules and policies that are answered without the CEL library are answered as the library does."""

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.api.crd import custom_resource_definitions
from kubernaut.cli.installing.policies import FENCE_RULES, REQUESTER_RULES, policy_manifests
from kubernaut.devcluster.schema.cel_library import environment, load
from kubernaut.devcluster.schema.cel_plain import Unsure, plain

NAMES = ("self", "oldSelf")

scalars = st.one_of(
    st.booleans(),
    st.integers(0, 2),
    st.just(2**63 - 1),
    st.sampled_from([0.0, 1.0, 1.5]),
    st.sampled_from(["", "a", "ab", "é"]),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)

ATOMS = """self oldSelf self.a oldSelf.b self.a.b self['a'] self[0] true false null 0 1 9223372036854775807 0.5
'a' '' r'a' [] ['a','b'] [self.a] [1,'a']"""
atoms = st.sampled_from(ATOMS.split())


def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    forms = [f"({{0}}) {sign} ({{1}})" for sign in ["&&", "||", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-"]]
    forms += ["!({0})", "size({0})", "({0}).size()", "has(({0}).a)", "({0}) ? ({1}) : ({2})"]
    forms += [f"({{0}}).{test}({{1}})" for test in ("startsWith", "endsWith", "contains")]
    forms += ["({0}).all(x, ({1}) == x)", "({0}).exists(x, x in ({1}))"]
    return st.builds(str.format, st.sampled_from(forms), inner, inner, inner)


expressions = st.recursive(atoms, deeper, max_leaves=6)
_ENVIRONMENTS: list[Any] = []


def by_library(rule: str, now: Any, old: Any) -> tuple[str, Any]:
    """(kind that is known beforehand, value). Raises what the library raises."""
    if not _ENVIRONMENTS:
        _ENVIRONMENTS.append(environment(dict.fromkeys(NAMES, load().Type.DYN)))
    program = _ENVIRONMENTS[0].compile(rule)
    found = program.eval(data={"self": now, "oldSelf": old})
    assert found.type().name() != "ERROR", found.plain_value()
    return str(program.return_type().name()).partition("<")[0], found.plain_value()


def plainly(rule: str, now: Any, old: Any) -> tuple[str, Any] | None:
    """None where the library is asked."""
    quick = plain(rule, NAMES)
    try:
        return None if quick is None else (quick.kind, quick.value({"self": now, "oldSelf": old}))
    except Unsure:
        return None


@given(expressions, values, values)
def test_whatever_is_answered_is_what_the_library_says(rule: str, now: Any, old: Any) -> None:
    answered = plainly(rule, now, old)
    if answered is not None:
        kind, value = by_library(rule, now, old)
        assert (answered[1], type(answered[1])) == (value, type(value))
        assert kind in (answered[0], "DYN") or answered[0] == "DYN"


MAPS = st.dictionaries(st.sampled_from("ab"), values, max_size=2)


@pytest.mark.parametrize(
    "rule",
    [
        "has(self.a) == has(oldSelf.a) && (!has(self.a) || self.a == oldSelf.a)",
        "!has(oldSelf.a) || has(self.a)",
        "self == oldSelf",
    ],
)
@given(MAPS, MAPS)
def test_rules_of_objects_are_always_answered(rule: str, now: Any, old: Any) -> None:
    for was in (old, now):
        assert plainly(rule, now, was) == by_library(rule, now, was)


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_rules_of_lists_are_always_answered(now: Any, old: Any) -> None:
    rule = "size(self) >= size(oldSelf) && oldSelf.all(r, r in self)"
    for was in (old, now[:-1], now):
        assert plainly(rule, now, was) == by_library(rule, now, was)


@pytest.mark.parametrize(
    "rule",
    [
        "self.a.matches('a')",  # RE2 is not Python's
        "self.?a.orValue(1) == 1",
        "other.a == 1",
        "'a' == 1",
        "!'a'",
        "1 in ['a']",
        "['a'].all(x, x == 1)",
        "oldSelf.all(self, self in self)",
        "self.in == 1",
        "namespace == 1",
        "self.a ==",
        "self.a == 1 1",
        "self.a == 'a\\n'",
        "9223372036854775808 == self.a",
        "has(self)",
        "self.a + 0x10u == 1u",
        "authorizer.allowed()",
        "{'a': 1}.a == 1",
    ],
)
def test_what_is_not_known_here_goes_to_the_library(rule: str) -> None:
    assert plain(rule, NAMES) is None


def test_our_own_definitions_and_policies_need_no_library() -> None:
    rules = re.findall(r'"rule": "((?:[^"\\\\])*)"', json.dumps(custom_resource_definitions()))
    assert rules
    assert [rule for rule in rules if plain(rule, NAMES) is None] == []
    conditions = [c["expression"] for p in policy_manifests() for c in p["spec"].get("matchConditions", [])]
    asked = [*FENCE_RULES, *REQUESTER_RULES, *conditions]
    assert conditions
    assert [one for one in asked if plain(one, ("object", "oldObject", "request")) is None] == []


@pytest.mark.parametrize(
    "rule",
    [
        "self == oldSelf",
        "[self] == oldSelf",
        "self in [oldSelf]",
        "self < oldSelf",
        "self + oldSelf",
        "self.a != oldSelf",
    ],
)
def test_single_values_are_compared_and_added_as_by_the_library(rule: str) -> None:
    known: list[Any] = [
        True,
        False,
        0,
        1,
        2**63 - 1,
        -(2**63),
        0.0,
        1.0,
        1.5,
        "",
        "a",
        "é",
        None,
        [1],
        {},
        {"a": 1},
    ]
    for now, old in itertools.product(known, known):
        answered = plainly(rule, now, old)
        if answered is not None:
            assert answered[1] == by_library(rule, now, old)[1], (now, old)
