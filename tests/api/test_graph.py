"""Dependency graphs: every edge is seen, cycles are named truly, size does not matter."""

import time
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubernaut.api.graph import descendants, find_cycles, graph_of, steps_in_cel, without
from kubernaut.api.workflow import Step


def step(name: str, *after: str, when: tuple[str, ...] = (), **inputs: str) -> Step:
    return Step(name=name, action_type="a/b", run_after=after, when=when, inputs=inputs)


def test_edges_come_from_run_after_inputs_and_conditions() -> None:
    steps = [
        step("a"),
        step("b-1"),
        step("c"),
        step(
            "d", "a", x="$(steps.b-1.outputs.n)", when=("steps.c.phase == 'Failed'", "steps['b-1'].outputs.n > 0")
        ),
    ]
    graph = graph_of(steps)
    assert graph.waits_for["d"] == {"a", "b-1", "c"}
    assert graph.uses_outputs_of["d"] == {"b-1"}
    assert graph.order == ("a", "b-1", "c", "d")


@pytest.mark.parametrize(
    "later",
    [step("z", "a"), step("z", x="$(steps.a.outputs.n)"), step("z", when=("steps.a.phase == 'Failed'",))],
    ids=["runAfter", "input", "condition"],
)
def test_each_way_of_naming_a_step_alone_is_an_edge(later: Step) -> None:
    assert graph_of([later, step("a")]).waits_for["z"] == {"a"}


def test_steps_of_equal_depth_come_in_the_order_of_the_spec() -> None:
    assert graph_of([step("c"), step("z", "c"), step("a"), step("b")]).topological == ("c", "a", "b", "z")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("steps.a.phase == 'x'", {"a"}),
        ("steps['a-b'].outputs.n > 1 || steps[\"c\"].phase == 'y'", {"a-b", "c"}),
        ("steps . a . phase", {"a"}),
        ("mysteps.a.phase", set()),
        ("steps.exists(s, steps[s].phase == 'x')", set()),
        ("true", set()),
    ],
)
def test_steps_are_found_in_conditions(expression: str, names: set[str]) -> None:
    assert steps_in_cel(expression) == names


def test_finally_steps_wait_only_for_each_other() -> None:
    graph = without(graph_of([step("f", x="$(steps.a.outputs.n)"), step("g", "f", "a")]), ["a"])
    assert graph.waits_for == {"f": frozenset(), "g": frozenset({"f"})}
    assert graph.uses_outputs_of["f"] == {"a"}
    assert graph.topological == ("f", "g")


def test_descendants_are_all_that_wait_directly_or_not() -> None:
    graph = graph_of([step("d", "c"), step("a"), step("b", "a"), step("c", "b"), step("e")])
    assert descendants(graph, "b") == {"b", "c", "d"}
    assert descendants(graph, "e") == {"e"}


@pytest.mark.parametrize(
    ("edges", "cycles"),
    [
        ({"a": ["a"]}, [("a",)]),
        ({"a": ["b"], "b": ["a"]}, [("a", "b")]),
        ({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"], "y": ["x"]}, [("a", "b", "c")]),
        ({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}, [("a", "b"), ("c", "d")]),
        ({"a": ["unknown"], "b": ["a"]}, []),
        ({}, []),
    ],
    ids=["itself", "two", "with a tail", "two knots", "unknown names", "nothing"],
)
def test_cycles_are_named_without_what_merely_depends_on_them(
    edges: dict[str, list[str]], cycles: list[tuple[str, ...]]
) -> None:
    assert find_cycles(edges) == cycles


names = st.sampled_from("abcdefgh")
any_edges = st.dictionaries(names, st.lists(names, max_size=3), max_size=8)


@given(any_edges)
def test_every_named_cycle_is_one_and_none_is_missed(edges: Mapping[str, list[str]]) -> None:
    found = find_cycles(edges)
    for cycle in found:
        for name, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            assert following in edges[name]
    assert bool(found) == has_cycle(edges)


def has_cycle(edges: Mapping[str, list[str]]) -> bool:
    left = {name: {e for e in following if e in edges} for name, following in edges.items()}
    while free := [name for name, following in left.items() if not following]:
        left = {name: following - set(free) for name, following in left.items() if name not in free}
    return bool(left)


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=30), st.randoms())
def test_the_topological_order_holds_every_step_after_all_it_waits_for(
    edges: list[list[int]], random: Random
) -> None:
    steps = [step(f"s{n}", *{f"s{e}" for e in after if e < n}) for n, after in enumerate(edges)]
    random.shuffle(steps)
    graph = graph_of(steps)
    assert sorted(graph.topological) == sorted(graph.order)
    place = {name: index for index, name in enumerate(graph.topological)}
    assert all(place[edge] < place[name] for name in graph.order for edge in graph.waits_for[name])


@pytest.mark.timeout(20)
@pytest.mark.parametrize("form", ["chain", "layers", "one cycle"])
def test_ten_thousand_steps_need_no_recursion_and_little_time(form: str) -> None:
    size = 10_000
    if form == "layers":
        edges = {
            f"s{n}": [f"s{m}" for m in range(max(0, n // 50 * 50 - 50), n // 50 * 50)][:5] for n in range(size)
        }
    else:
        edges = {f"s{n}": [f"s{n - 1}"] if n else [] for n in range(size)}
    if form == "one cycle":
        edges["s0"] = [f"s{size - 1}"]
    began = time.process_time()
    cycles = find_cycles(edges)
    graph = graph_of([step(name, *after) for name, after in edges.items()])
    assert [len(cycle) for cycle in cycles] == ([size] if form == "one cycle" else [])
    assert len(graph.topological) == (0 if form == "one cycle" else size)
    assert time.process_time() - began < 5
