"""Two contracts of one action: what is called compatible asks nothing of anybody."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from kubernaut.api.contract import (
    ActionContract,
    ContractMeta,
    ContractSpec,
    Dependencies,
    Parameter,
    Permission,
    Rbac,
    Resources,
    input_faults,
    value_faults,
)
from kubernaut.api.contract_diff import contract_changes, is_breaking, next_version, version_faults

TYPES = ("string", "integer", "number", "boolean", "object", "array", "duration")
VALUES: tuple[Any, ...] = (
    *("", "a", "ab", "5m", "1h", 0, 1, 2, 5, -1, 1.5, 2.0, True, False, None, {}, {"a": 1}, [], [1]),
    {"secretKeyRef": {"name": "db", "key": "password"}},
)


def contract(spec: ContractSpec | None = None, version: str = "1.0.0", name: str = "team/act") -> ActionContract:
    return ActionContract(metadata=ContractMeta(name=name, version=version), spec=spec or ContractSpec())


def effects(old: ContractSpec, new: ContractSpec) -> list[str]:
    return [f"{change.effect} {change.path}" for change in contract_changes(contract(old), contract(new))]


@st.composite
def parameters(draw: st.DrawFn, name: str) -> Parameter:
    # Few values, so that two declarations often differ in one place only.
    some = st.sampled_from
    return Parameter(
        name=name,
        type=draw(some(TYPES)),
        required=draw(st.booleans()),
        default=draw(some((None, None, 1, "a"))),
        enum=draw(some(((), (), ("a", "ab"), ("a",), (1, 2), (1,), ("5m",)))),
        pattern=draw(some(("", "", "^a", "m$"))),
        minimum=draw(some((None, None, 0.0, 1.0))),
        maximum=draw(some((None, None, 2.0, 5.0))),
        max_length=draw(some((None, None, 1, 2))),
        secret=draw(some((False, False, False, True))),
    )


@st.composite
def specs(draw: st.DrawFn) -> ContractSpec:
    some = st.sampled_from
    names = draw(st.lists(some("xyz"), unique=True))
    return ContractSpec(
        inputs=tuple(draw(parameters(name)) for name in names),
        outputs=tuple(draw(parameters(name)) for name in draw(st.lists(some("xyz"), unique=True))),
        timeout=draw(some(("5m", "1m"))),
        fenced=draw(st.booleans()),
    )


@st.composite
def nearly_the_same(draw: st.DrawFn) -> tuple[ContractSpec, ContractSpec]:
    """Two contracts that differ in a few fields of their parameters."""
    old = draw(specs())
    other = {p.name: p for p in draw(specs()).inputs}
    fields = draw(st.lists(st.sampled_from([f.name for f in msgspec.structs.fields(Parameter)][1:]), max_size=3))
    changed = tuple(
        msgspec.structs.replace(p, **{name: getattr(other[p.name], name) for name in fields})
        if p.name in other
        else p
        for p in old.inputs
    )
    return old, msgspec.structs.replace(old, inputs=changed)


@given(specs())
def test_a_contract_is_compatible_with_itself(spec: ContractSpec) -> None:
    assert contract_changes(contract(spec), contract(spec)) == ()
    assert version_faults(contract(spec), contract(spec)) == ()


@given(st.one_of(nearly_the_same(), st.tuples(specs(), specs())), st.data())
def test_what_was_valid_before_a_compatible_change_is_valid_after_it(
    pair: tuple[ContractSpec, ContractSpec], data: st.DataObject
) -> None:
    old, new = pair
    assume(not is_breaking(contract_changes(contract(old), contract(new))))
    for parameter in old.inputs:
        for value in VALUES:
            if not value_faults(parameter, value, "x"):
                (after,) = [p for p in new.inputs if p.name == parameter.name]
                event(f"{parameter.type} to {after.type}")
                assert value_faults(after, value, "x") == []
    names = st.dictionaries(st.sampled_from("xyz"), st.sampled_from(VALUES))
    inputs = data.draw(names)
    if not input_faults(old, inputs, "inputs"):
        assert input_faults(new, inputs, "inputs") == []


@given(specs(), specs())
def test_what_comes_out_after_a_compatible_change_could_come_out_before(
    old: ContractSpec, new: ContractSpec
) -> None:
    old = msgspec.structs.replace(old, inputs=())
    new = msgspec.structs.replace(new, inputs=(), timeout=old.timeout, fenced=old.fenced)
    assume(not is_breaking(contract_changes(contract(old), contract(new))))
    known = {parameter.name: parameter for parameter in new.outputs}
    for parameter in old.outputs:
        for value in VALUES:
            if not value_faults(known[parameter.name], value, "x"):
                assert value_faults(parameter, value, "x") == []


POOL = [
    ContractSpec(inputs=(Parameter(name="x", type=kind, required=required, **bounds),))
    for kind in ("string", "duration", "integer", "number")
    for required in (False, True)
    for bounds in (
        *({}, {"default": 1}, {"enum": (1, 2)}, {"enum": (1,)}, {"minimum": 0.0, "maximum": 5.0}),
        *({"minimum": 1.0}, {"pattern": "^a"}, {"max_length": 2}, {"max_length": 1, "pattern": "^a"}),
    )
]


BOUNDS: tuple[dict[str, Any], ...] = (
    *({}, {"enum": ("a", "ab")}, {"enum": ("a",)}, {"enum": (1, 2)}, {"enum": (1,)}, {"enum": ("5m",)}),
    *(
        {"pattern": "^a"},
        {"pattern": "m$"},
        {"max_length": 1},
        {"max_length": 2},
        {"max_length": 1, "pattern": "^a"},
    ),
    *({"minimum": 0.0}, {"minimum": 1.0}, {"maximum": 1.0}, {"maximum": 5.0}, {"minimum": 1.0, "maximum": 2.0}),
)
ONES = [Parameter(name="x", type=kind, **bounds) for kind in TYPES for bounds in BOUNDS]


def test_no_value_falls_between_two_declarations_that_are_called_compatible() -> None:
    """In every pair of 112 declarations, as an input and as an output."""
    valid = [{n for n, value in enumerate(VALUES) if not value_faults(one, value, "x")} for one in ONES]
    taking = [contract(ContractSpec(inputs=(one,))) for one in ONES]
    giving = [contract(ContractSpec(outputs=(one,))) for one in ONES]
    changed = 0
    for i, j in itertools.product(range(len(ONES)), repeat=2):
        if not is_breaking(contract_changes(taking[i], taking[j])):
            changed += i != j
            assert valid[i] <= valid[j], (ONES[i], ONES[j])
        if not is_breaking(contract_changes(giving[i], giving[j])):
            assert valid[j] <= valid[i], (ONES[i], ONES[j])
    assert changed > len(ONES)


def test_two_compatible_changes_make_a_compatible_one() -> None:
    fits = {
        (i, j)
        for i, one in enumerate(POOL)
        for j, other in enumerate(POOL)
        if not is_breaking(contract_changes(contract(one), contract(other)))
    }
    chains = [(i, k) for i, j in fits for also, k in fits if j == also]
    assert len(chains) > len(POOL)
    assert [chain for chain in chains if chain not in fits] == []


BASE = ContractSpec(
    inputs=(Parameter(name="n", type="integer", maximum=9.0), Parameter(name="must", required=True)),
    outputs=(Parameter(name="was", required=True),),
    rbac=Rbac(permissions=(Permission(api_groups=("",), resources=("pods",), verbs=("get", "list")),)),
    dependencies=Dependencies(secrets=("git",)),
    idempotent=True,
    reversible=True,
    fenced=True,
)
N, MUST = BASE.inputs


def inputs(*parameters: Parameter) -> dict[str, Any]:
    return {"inputs": parameters}


def may(*permissions: Permission) -> dict[str, Any]:
    return {"rbac": Rbac(permissions=permissions)}


R = msgspec.structs.replace


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (inputs(N), ["breaking spec.inputs.must"]),
        (inputs(N, MUST, Parameter(name="new")), ["compatible spec.inputs.new"]),
        (inputs(N, MUST, Parameter(name="new", required=True)), ["breaking spec.inputs.new"]),
        (inputs(N, R(MUST, required=False)), ["compatible spec.inputs.must"]),
        (inputs(R(N, required=True), MUST), ["breaking spec.inputs.n"]),
        (inputs(R(N, default=3), MUST), ["breaking spec.inputs.n.default"]),
        (inputs(R(N, type="number"), MUST), ["compatible spec.inputs.n.type"]),
        (inputs(R(N, type="string"), MUST), ["breaking spec.inputs.n.type"]),
        (inputs(R(N, maximum=5.0), MUST), ["breaking spec.inputs.n.maximum"]),
        (inputs(R(N, maximum=None), MUST), ["compatible spec.inputs.n.maximum"]),
        (inputs(N, R(MUST, secret=True)), ["breaking spec.inputs.must.secret"]),
        (inputs(N, R(MUST, enum=("a",))), ["breaking spec.inputs.must.enum"]),
        (inputs(N, R(MUST, pattern="^a")), ["breaking spec.inputs.must.pattern"]),
        ({"outputs": ()}, ["breaking spec.outputs.was"]),
        ({"outputs": (R(BASE.outputs[0], required=False),)}, ["breaking spec.outputs.was"]),
        ({"outputs": (R(BASE.outputs[0], max_length=9),)}, ["compatible spec.outputs.was.maxLength"]),
        ({"outputs": (R(BASE.outputs[0], secret=True),)}, ["breaking spec.outputs.was.secret"]),
        (
            may(Permission(api_groups=("",), resources=("pods",), verbs=("get", "list", "delete"))),
            ["breaking spec.rbac.permissions"],
        ),
        (
            may(Permission(api_groups=("",), resources=("pods",), verbs=("get",))),
            ["compatible spec.rbac.permissions"],
        ),
        (
            may(Permission(api_groups=("",), resources=("pods",), verbs=("get", "list"), resource_names=("a",))),
            ["compatible spec.rbac.permissions", "compatible spec.rbac.permissions"],
        ),
        (
            may(Permission(api_groups=("",), resources=("pods",), verbs=("get", "list"), cluster=True)),
            ["breaking spec.rbac.permissions", "breaking spec.rbac.permissions"],
        ),
        ({"dependencies": Dependencies(secrets=("git", "npm"))}, ["breaking spec.dependencies.secrets"]),
        ({"dependencies": Dependencies()}, ["compatible spec.dependencies.secrets"]),
        ({"timeout": "300s"}, []),
        ({"timeout": "1m"}, ["breaking spec.timeout"]),
        ({"max_timeout": "1h"}, ["compatible spec.maxTimeout"]),
        ({"fenced": False}, ["breaking spec.fenced"]),
        ({"idempotent": False}, ["breaking spec.idempotent"]),
        ({"reversible": False}, ["breaking spec.reversible"]),
        ({"resources": Resources(limits={"memory": "1Gi"})}, ["compatible spec.resources"]),
        ({"description": "Better words."}, []),
    ],
)
def test_each_change_is_told_with_what_it_means(changed: dict[str, Any], told: list[str]) -> None:
    assert effects(BASE, R(BASE, **changed)) == told


def test_another_action_is_no_new_version_of_this_one() -> None:
    changes = contract_changes(contract(), contract(name="team/other"))
    assert [change.path for change in changes] == ["metadata.name"]
    assert is_breaking(changes)


@pytest.mark.parametrize(
    ("before", "after", "change", "told"),
    [
        ("1.2.3", "1.2.3", {}, ""),
        ("1.2.3", "1.2.4", {}, ""),
        ("1.2.3", "2.0.0", {"fenced": False}, ""),
        ("v1.2.3", "1.3.0", {"fenced": False}, "Make it 2.0.0, or take the breaking changes back."),
        ("1.2.3", "1.2.3", {"max_timeout": "1h"}, "Make it 1.3.0."),
        ("1.2.3", "1.2.3", {"fenced": False}, "Make it 2.0.0."),
        ("1.2.3", "1.2.2", {}, "Give it a higher one."),
        ("0.2.3", "0.2.4", {"fenced": False}, "Make it 0.3.0, or take the breaking changes back."),
        ("0.2.3", "0.3.0", {"fenced": False}, ""),
        ("2.0.0-rc.2", "2.0.0-rc.10", {}, ""),
        ("2.0.0", "2.0.0-rc.1", {}, "Give it a higher one."),
    ],
)
def test_the_version_must_say_what_changed(before: str, after: str, change: dict[str, Any], told: str) -> None:
    faults = version_faults(contract(BASE, before), contract(R(BASE, **change), after))
    assert [fault.mend for fault in faults] == ([told] if told else [])


@pytest.mark.parametrize(
    ("version", "breaking", "wanted"),
    [
        ("1.4.2", True, "2.0.0"),
        ("v1.4.2-rc.1", False, "1.5.0"),
        ("0.4.2", True, "0.5.0"),
        ("0.4.2", False, "0.4.3"),
    ],
)
def test_the_next_version_is_the_least_that_tells(version: str, breaking: bool, wanted: str) -> None:
    assert next_version(version, breaking=breaking) == wanted
