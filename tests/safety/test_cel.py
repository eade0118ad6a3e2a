from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubernaut.planning.facts import WhenVerdict
from kubernaut.safety import check_cel, evaluate_when

VARIABLES = {
    "params": {"replicas": 5, "name": "payment", "labels": ["a", "b"], "nothing": None},
    "steps": {
        "drain": {"phase": "Succeeded", "outputs": {"pods": 3}},
        "patch-canary": {"phase": "Failed", "outputs": {}},
    },
    "workflow": {"name": "w", "namespace": "n", "uid": "u"},
}


def holds(expression: str) -> bool:
    verdict = evaluate_when((expression,), VARIABLES)
    assert verdict.error == ""
    return verdict.holds


def error(expression: str) -> str:
    verdict = evaluate_when((expression,), VARIABLES)
    assert not verdict.holds
    assert verdict.expression == expression
    return verdict.error


@pytest.mark.parametrize(
    "expression",
    [
        "params.replicas == 5",
        "params.replicas > 4.5",
        "steps.drain.outputs.pods >= 3",
        "steps['patch-canary'].phase == 'Failed'",
        "workflow.name == 'w'",
        "!has(params.absent)",
        "params.?absent.orValue(3) == 3",
        "params.labels.exists(x, x == 'b')",
        "params.nothing == null",
        "params.name.upperAscii().matches('^PAY')",
        "steps.exists(s, steps[s].phase == 'Failed')",
    ],
)
def test_conditions_see_params_steps_and_workflow(expression: str) -> None:
    assert check_cel(expression) is None
    assert holds(expression)


def test_the_first_expression_that_does_not_hold_is_named() -> None:
    asked = ("params.replicas == 5", "params.replicas == 6", "params.absent == 1")
    assert evaluate_when(asked, VARIABLES) == WhenVerdict(holds=False, expression="params.replicas == 6")


def test_no_expressions_hold() -> None:
    assert evaluate_when((), VARIABLES) == WhenVerdict(holds=True)


def test_a_missing_key_is_an_error_and_says_what_to_write() -> None:
    assert error("params.absent == 1") == (
        "there is no absent here: ask has(...) first, or write .?absent.orValue(...)"
    )
    assert "there is no lost here" in error("steps.lost.phase == 'Failed'")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("params.replicas ==", "1:19: it ends too early"),
        ("params.replicas > 1 &&\n  params.replicas = 4", "2:19: token recognition error at: '= ' (write ==)"),
        ("params.a and params.b", "(write &&)"),
        ("stepz.a.phase == 'x'", "1:1: stepz.a.phase is unknown: there are params, steps and workflow"),
        ("quantity('1') == 1", "1:1: quantity is no function"),
        ("steps.patch-canary.phase == 'x'", "write steps['patch-canary'] for a name with a hyphen"),
        ("1 + 1", "1:1: it gives int, not true or false"),
        ("", "1:1: it is empty"),
        ("(" * 60 + "true" + ")" * 60, "nested too deeply"),
        ("true" + " " * 1100, "at most 1024"),
        ("\ud800", "half a character"),
    ],
)
def test_what_does_not_compile_is_told_with_line_and_column(expression: str, said: str) -> None:
    told = check_cel(expression)
    assert told is not None
    assert said in told
    assert told.split(":")[0].isdigit()
    assert error(expression) == told


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("params.replicas", "it gives int, not true or false"),
        ("params.name + 1 == 2", "types do not go together"),
        ("params.replicas / 0 == 1", "divide by zero"),
        ("params.name.matches('(')", "invalid regular expression"),
    ],
)
def test_what_fails_only_with_values_is_told_plainly(expression: str, said: str) -> None:
    assert check_cel(expression) is None
    assert said in error(expression)


def test_numbers_beyond_64_bits_are_an_error_not_a_crash() -> None:
    verdict = evaluate_when(("params.n > 1",), {"params": {"n": 2**70}, "steps": {}, "workflow": {}})
    assert verdict.error == "a number in it or in its data is too large"


def doubling(levels: int, start: str) -> str:
    names = [start, *(f"v{level}" for level in range(levels))]
    opened = "".join(f"[{old}+{old}].all({new}," for old, new in pairwise(names))
    return f"{opened}size({names[-1]}) > 0{')' * levels}"


def test_an_expression_that_doubles_its_values_at_each_level_never_fills_the_memory() -> None:
    assert "too many" in (check_cel(doubling(20, "params.s")) or "")
    large = {"params": {"s": "x" * 1_000_000, "l": list(range(5_000))}, "steps": {}, "workflow": {}}
    assert "too long" in evaluate_when((doubling(3, "params.s"),), large).error
    assert "too long" in evaluate_when(("params.l.all(x, params.l == params.l)",), large).error
    assert "too long" in evaluate_when(("params.l.all(x, params.l.all(y, x + y >= 0))",), large).error


def test_a_text_that_is_joined_to_itself_is_refused_before_it_fills_the_memory() -> None:
    large = {"params": {"s": "x" * 16_000_000}, "steps": {}, "workflow": {}}
    assert "too long" in evaluate_when((f"({'params.s+' * 4}params.s) == ''",), large).error
    assert evaluate_when(("params.s == ''",), large).error == ""


def test_what_other_steps_gave_does_not_count_against_a_condition() -> None:
    steps = {f"s{n}": {"phase": "Succeeded", "outputs": {"l": list(range(5_000))}} for n in range(200)}
    steps["mine"] = {"phase": "Succeeded", "outputs": {"l": [1, 2, 3]}}
    variables = {"params": {}, "steps": steps, "workflow": {}}
    assert evaluate_when(("steps.mine.outputs.l.exists(x, x == 3)",), variables) == WhenVerdict(holds=True)


def test_macros_cannot_be_hidden_in_what_only_looks_like_text() -> None:
    hidden = "'''a'b''' == 'c' || " + " || ".join(["params.labels.all(x, true)"] * 4) + " == 'd'"
    assert "too many" in (check_cel(hidden) or "")


def test_a_condition_over_five_hundred_steps_is_answered() -> None:
    steps = {f"step-{n}": {"phase": "Succeeded", "outputs": {"text": "x" * 100}} for n in range(500)}
    variables = {"params": {}, "steps": steps, "workflow": {}}
    assert evaluate_when(("steps.all(s, steps[s].phase == 'Succeeded')",), variables).holds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PIECES = st.sampled_from(
    [
        "params",
        "steps",
        "workflow",
        ".x",
        "['x']",
        ".all(v, ",
        ")",
        "(",
        "==",
        "'",
        '"',
        "1",
        "x",
        "&&",
        "!",
        "?",
        ":",
    ]
)


@pytest.mark.timeout(30)
@settings(deadline=None, max_examples=60)
@given(st.text(max_size=40) | st.lists(PIECES, max_size=12).map("".join), JSON)
def test_whatever_is_written_and_given_nothing_is_raised(expression: str, value: object) -> None:
    check_cel(expression)
    verdict = evaluate_when((expression,), {"params": {"x": value}, "steps": {}, "workflow": {"name": "w"}})
    assert verdict.holds in (True, False)
