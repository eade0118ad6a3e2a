"""No policy hangs, kills or spies on who asks it: it ends in a clear denial, and the next question is answered."""

import asyncio
import os

import pytest

from kubernaut.safety.rego import Limits, RegoEngine, judge
from kubernaut.safety.rego.functions import ALLOWED, BANNED

from .policies import HEAD, SHORT, faults_of, loaded, policies

# Each goes through a process of its own, whose start a busy machine makes slow.
pytestmark = pytest.mark.journey

LOOP = """
r := numbers.range(1, 3000)
deny contains "x" if { input.hostile; some a in r; some b in r; some c in r; a * b * c == -1 }
"""
GROWING = 'a0 := "xxxxxxxxxx"\n' + "".join(
    f'a{n + 1} := concat("", [a{n}, a{n}, a{n}, a{n}, a{n}, a{n}, a{n}, a{n}, a{n}, a{n}])\n' for n in range(9)
)
HOSTILE = {
    "cross product": LOOP,
    "range": 'deny contains "x" if { input.hostile; count(numbers.range(1, 100000000)) > 0 }',
    "sprintf": 'deny contains "x" if { input.hostile; sprintf("%2000000000d", [1]) != "" }',
    "exponential text": GROWING + 'deny contains "x" if { input.hostile; a9 != "" }',
    "many answers": 'deny contains sprintf("%d", [x]) if { input.hostile; some x in numbers.range(1, 9000000) }',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_evaluation_ends_as_a_denial_and_the_next_one_works(text: str) -> None:
    async with loaded(f"{HEAD}allow if true\n{text}", limits=SHORT) as engine:
        verdict = await judge(engine, {"hostile": True})
        assert not verdict.allowed
        assert any(word in verdict.reason for word in ("longer than 0.5 s", "MiB of memory", "killed the process"))
        assert (await judge(engine, {})).allowed
        assert engine.restarts == 1


async def test_deep_literals_and_inputs_end_as_a_refusal() -> None:
    deep = "[" * 3000 + "]" * 3000
    (fault,) = await faults_of(f"{HEAD}deny contains x if x := {deep}\n", limits=Limits(load_seconds=2))
    assert "killed the process" in fault or "longer than" in fault or "nested" in fault or "column" in fault
    async with loaded(f"{HEAD}allow if true\n", limits=SHORT) as engine:
        document: dict[str, object] = {}
        for _ in range(900):
            document = {"d": document}
        assert not (await judge(engine, document)).allowed
        assert (await judge(engine, {})).allowed


async def test_recursion_is_refused_at_load_with_its_line() -> None:
    functions = f"{HEAD}allow if f(1)\n\nf(x) := g(x)\n\ng(x) := f(x)\n"
    assert await faults_of(functions) == [
        "a.rego:4:1: the function f calls itself. Rego has no recursion.",
        "a.rego:6:1: the function g calls itself. Rego has no recursion.",
    ]
    (fault,) = await faults_of(f"{HEAD}deny contains 1 if b\nb if c\nc if b\n")
    assert "depends on itself" in fault


@pytest.mark.parametrize("name", sorted(BANNED))
async def test_what_speaks_to_the_outside_is_refused_at_load(name: str) -> None:
    (fault,) = await faults_of(f'{HEAD}deny contains "x" if {{\n\tinput.a\n\t{name}({{}})\n}}\n')
    assert fault.startswith(f"a.rego:4:2: {name} cannot be called: ")


async def test_no_function_outside_the_list_can_be_called_not_even_through_with() -> None:
    assert await faults_of(f"{HEAD}allow if {'http.sent({})'}\n") == [
        "a.rego:2:10: http.sent cannot be called: there is no such function here."
    ]
    (fault,) = await faults_of(f"{HEAD}allow if count([]) == 0 with count as http.send\n")
    assert "http.send cannot be called" in fault
    (fault,) = await faults_of(f"{HEAD}import data.lib\nallow if lib.f(1)\n")
    assert "there is no function data.lib.f in this set" in fault
    (fault,) = await faults_of(f'{HEAD}allow if starts_with(input.a, "b")\n')
    assert fault.endswith("Did you mean startswith?")


async def test_every_function_that_is_allowed_is_one_that_the_engine_has() -> None:
    async with loaded(f"{HEAD}allow if true\n") as engine:
        # Not through the loader, which would refuse it: this asks the engine itself.
        listed = (await engine.query("opa.runtime().builtins", {})).values[0]
        assert set(listed) >= ALLOWED - {"print"}  # which is no function but a statement
        runtime = (await engine.query("opa.runtime()", {})).values[0]
        assert not runtime.get("env")
        assert os.environ["PATH"] not in str(runtime)  # noqa: TID251


async def test_a_question_that_is_cancelled_leaves_no_answer_behind() -> None:
    async with loaded(f"{HEAD}allow if input.a\n{LOOP}") as engine:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(judge(engine, {"hostile": True}), 0.1)
        assert (await judge(engine, {"a": 1})).allowed


async def test_questions_asked_at_once_get_their_own_answers() -> None:
    async with loaded(f'{HEAD}allow if true\nwarn contains sprintf("%d", [input.n])\n') as engine:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(judge(engine, {"n": n})) for n in range(20)]
        assert [task.result().warnings[0].message for task in asked] == [str(n) for n in range(20)]


async def test_closing_ends_the_process() -> None:
    engine = await RegoEngine.load(policies(f"{HEAD}allow if true\n"))
    process = engine._worker._process
    assert process is not None
    await engine.aclose()
    assert process.returncode is not None
