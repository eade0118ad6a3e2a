"""Telling one story to its end: pods do what a script says, the controller may die at any one write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from datetime import timedelta
from typing import Any, Literal

from msgspec.structs import replace

from kubernaut.api.action import Waiting
from kubernaut.api.workflow import WorkflowExecution

from .happenings import (
    deadline_of_job,
    ended,
    execution_of,
    past_deadline,
    takes_fence,
    time_passes,
    with_effect,
)
from .makers import START
from .world import (
    Pod,
    World,
    carry_out_next,
    crash,
    is_settled,
    look,
    loops_of,
    outcome,
    pending_of,
    taken_up,
    with_job,
    without_job,
    without_pods_of,
)

Fate = Literal[
    "succeeds", "refuses", "dies early", "fails cleanly", "fails late", "dies late", "hangs", "hopeless"
]
Script = Mapping[str, tuple[Fate, ...]]
"""What becomes of each attempt of a step; the last word counts for all further ones. Others succeed."""


@dataclass(frozen=True)
class Crash:
    """The controller dies at a write: before it reached the API server, or before its answer came back."""

    at: int
    is_after: bool = False
    is_away_long: bool = False
    """It comes back only when everything that runs has ended, ten minutes later."""


@dataclass
class Story:
    world: World
    script: Script
    crash: Crash | None = None
    writes: list[str] = field(default_factory=list[str])
    """Every write that reached the API server: ours and the runners'."""
    attempted: int = 0


def tell(
    workflow: WorkflowExecution,
    script: Script | None = None,
    crash: Crash | None = None,
    until: Callable[[World], object] = is_settled,
) -> Story:
    """The story until its end, or until something holds and nothing else is due."""
    story = Story(World(now=START, workflow=workflow), script or {}, crash)
    for _ in range(600):
        if _controllers(story) or _cluster(story):
            continue
        moved = next(iter(time_passes(story.world)), None)
        if moved is None or until(story.world):
            return story
        story.world = moved[1]
    raise AssertionError("the story does not end")


def _controllers(story: Story) -> bool:
    has_moved = False
    for loop in loops_of(story.world):
        if pending_of(story.world, loop) is None:
            story.world = look(story.world, loop)
        while (pending := pending_of(story.world, loop)) is not None:
            has_moved = True
            if _dies_here(story, is_after=False):
                return True
            before = story.world
            story.world = carry_out_next(before, loop)
            if _has_written(before, story.world):
                story.writes.append(f"{loop or 'workflow'}: {type(pending.changes[0]).__name__}")
            if _dies_here(story, is_after=True):
                return True
            story.attempted += 1
    return has_moved


def _has_written(before: World, after: World) -> bool:
    return replace(before, pending=()) != replace(after, pending=())


def _dies_here(story: Story, *, is_after: bool) -> bool:
    planned = story.crash
    if planned is None or (planned.at, planned.is_after) != (story.attempted, is_after):
        return False
    story.crash = None
    story.world = crash(story.world)
    if planned.is_away_long:
        while _cluster(story):
            pass
        story.world = replace(story.world, now=story.world.now + timedelta(minutes=10))
        while _cluster(story):
            pass
    return True


def _cluster(story: Story) -> bool:
    """One thing that happens without the controllers, if any is due."""
    world = story.world
    for key, job in world.jobs.items():
        begun = taken_up(world, key)
        if begun is not None:
            story.world = begun
            return True
        deadline = deadline_of_job(world, key)
        if job.is_being_deleted:
            story.world = without_job(without_pods_of(world, key), key)
            return True
        if deadline is not None and world.now >= deadline:
            story.world = past_deadline(world, key, job)
            return True
    for index, pod in enumerate(world.pods):
        after = _pod(story, index, pod)
        if after is not None:
            story.world = after
            return True
    return False


def _pod(story: Story, index: int, pod: Pod) -> World | None:
    world = story.world
    fate = _fate(story, pod)
    match pod.stage:
        case "waiting":
            return _begins(world, index, pod, fate)
        case "up" if fate == "refuses":
            return ended(world, index, outcome(pod, "no", 64))
        case "up" if fate == "dies early":
            return ended(world, index, outcome(pod, None, 137))
        case "up" if pod.execution in world.fences:
            story.writes.append("runner: takes the fence")
            return takes_fence(world, index, pod)
        case "holding" if fate == "fails cleanly":
            return ended(world, index, outcome(pod, "no", 66))
        case "up" | "holding":
            return with_effect(world, index, pod)
        case "changed":
            return _ends(world, index, pod, fate)


def _begins(world: World, index: int, pod: Pod, fate: Fate) -> World | None:
    job = world.jobs.get(pod.job)
    if fate != "hopeless":
        return replace(world, pods=(*world.pods[:index], replace(pod, stage="up"), *world.pods[index + 1 :]))
    if job is None or job.is_hopeless:
        return None
    never = Waiting(reason="InvalidImageName", message="never")
    return with_job(world, pod.job, with_fields(job, is_hopeless=True, waiting=never))


def _ends(world: World, index: int, pod: Pod, fate: Fate) -> World | None:
    said: Any = "yes" if pod.execution in world.fences else None
    match fate:
        case "hangs":
            return None
        case "succeeds":
            return ended(world, index, outcome(pod, said, 0, {"n": 1}))
        case "fails late":
            return ended(world, index, outcome(pod, said, 70))
        case _:
            return ended(world, index, outcome(pod, None, 137))


def _fate(story: Story, pod: Pod) -> Fate:
    execution = execution_of(story.world, pod.job)
    fates = story.script.get(execution.spec.step if execution else "", ("succeeds",))
    return fates[min(pod.attempt, len(fates)) - 1]


def end_of(story: Story) -> Any:
    """What a user sees at the end, without the moments at which things happened."""
    status = story.world.the_workflow.status
    steps = [(r.name, r.phase, r.reason, r.executed, r.attempts, dict(r.outputs), r.message) for r in status.steps]
    return status.phase, status.reason, status.message, status.progress, steps
