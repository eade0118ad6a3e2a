"""Whole stories, with every part of the engine in them: crashes change nothing, writes are few."""

import pytest

from kubernaut.api.workflow import StepPhase, WorkflowExecution, WorkflowPhase

from .makers import retry, step, workflow
from .stories import Crash, Fate, Script, end_of, tell

pytestmark = pytest.mark.timeout(60)

a, b, c = step("a"), step("b", after=("a",)), step("c", after=("b",))
f = step("f")

STORIES: dict[str, tuple[WorkflowExecution, Script]] = {
    "one step": (workflow(a), {}),
    "one step that fails": (workflow(a, finally_=(f,)), {"a": ("fails late",)}),
    "chain": (workflow(a, b, c), {}),
    "diamond": (workflow(a, step("b"), step("c", uses=("a", "b"), uses_workspace=True)), {}),
    "diamond, one at a time": (workflow(a, step("b"), step("c", uses=("a", "b")), parallelism=1), {}),
    "refused, then done": (workflow(step("a", retry=retry(2))), {"a": ("refuses", "fails cleanly", "succeeds")}),
    "killed early, then done": (workflow(step("a", retry=retry(1))), {"a": ("dies early", "succeeds")}),
    "killed late is not repeated": (workflow(step("a", retry=retry(3)), b), {"a": ("dies late",)}),
    "idempotent, killed late": (
        workflow(step("a", action="test/idempotent", retry=retry(1))),
        {"a": ("dies late", "succeeds")},
    ),
    "hangs": (workflow(a, finally_=(f,)), {"a": ("hangs",)}),
    "never starts": (workflow(step("a", retry=retry(1))), {"a": ("hopeless",)}),
    "without a fence": (workflow(step("a", action="test/unfenced"), b), {}),
    "without a fence, killed": (
        workflow(step("a", action="test/unfenced", retry=retry(3))),
        {"a": ("dies late",)},
    ),
    "five steps": (
        workflow(
            a,
            step("b", critical=False, retry=retry(1)),
            step("c", after=("a",), when=("steps.a.phase == Succeeded",)),
            step("d", uses=("b",)),
            step("e", after=("b", "c")),
            finally_=(step("f", when=("steps.d.phase == Skipped",)),),
        ),
        {"b": ("fails cleanly", "fails late")},
    ),
}

every_story = pytest.mark.parametrize(("asked", "script"), STORIES.values(), ids=STORIES.keys())


@every_story
@pytest.mark.parametrize("is_away_long", [False, True], ids=["back at once", "long away"])
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_write_changes_nothing(
    asked: WorkflowExecution, script: Script, is_after: bool, is_away_long: bool
) -> None:
    if is_away_long and ("hopeless",) in script.values():
        pytest.skip("nobody looked before the deadline, and then it is a timeout")
    undisturbed = tell(asked, script)
    for write in range(undisturbed.attempted):
        crashed = tell(asked, script, Crash(write, is_after, is_away_long))
        assert end_of(crashed) == end_of(undisturbed), f"crash at write {write} of {undisturbed.writes}"
        assert sorted(crashed.world.effects) == sorted(undisturbed.world.effects)


def chain(length: int, **more: bool) -> WorkflowExecution:
    names = [f"s{n}" for n in range(length)]
    return workflow(*(step(n, after=names[max(0, i - 1) : i], **more) for i, n in enumerate(names)))  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1, 2, 5, 10])
def test_writes_stay_within_nine_for_one_step_and_six_for_each_further_one(length: int) -> None:
    story = tell(chain(length))
    assert story.world.the_workflow.status.phase == WorkflowPhase.COMPLETED
    assert len(story.writes) <= 9 + 6 * (length - 1), story.writes


def test_a_finally_step_costs_no_more_writes_than_any_other() -> None:
    assert len(tell(workflow(a, finally_=(f,))).writes) <= 9 + 6


def test_steps_that_run_at_once_cost_no_more_writes_than_a_chain() -> None:
    asked = workflow(*(step(f"s{n}") for n in range(5)))
    assert len(tell(asked).writes) <= 9 + 6 * 4


def test_an_image_without_a_fence_costs_no_more_writes() -> None:
    assert len(tell(workflow(step("a", action="test/unfenced"))).writes) <= 9


@pytest.mark.parametrize(
    ("fates", "phase", "executed", "attempts"),
    [
        (("succeeds",), StepPhase.SUCCEEDED, "yes", 1),
        (("refuses", "succeeds"), StepPhase.SUCCEEDED, "yes", 2),
        (("refuses",), StepPhase.FAILED, "no", 3),
        (("fails cleanly",), StepPhase.FAILED, "no", 3),
        (("dies early",), StepPhase.FAILED, "no", 3),
        (("hopeless",), StepPhase.FAILED, "no", 3),
        (("fails late",), StepPhase.FAILED, "yes", 1),
        (("dies late",), StepPhase.FAILED, "unknown", 1),
        (("hangs",), StepPhase.TIMED_OUT, "unknown", 1),
        (("refuses", "dies late"), StepPhase.FAILED, "unknown", 2),
    ],
    ids=str,
)
def test_how_an_attempt_ends_decides_what_is_said_and_whether_there_is_another(
    fates: tuple[Fate, ...], phase: StepPhase, executed: str, attempts: int
) -> None:
    story = tell(workflow(step("a", retry=retry(2))), {"a": fates})
    (record,) = story.world.the_workflow.status.steps
    assert (record.phase, record.executed, record.attempts) == (phase, executed, attempts)
