"""Today's planner on facts of another day: which decisions have changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from kubernaut.planning.facts import WorkflowFacts
from kubernaut.planning.recording import (
    Facts,
    Recorded,
    Recording,
    RecordingInvalid,
    decide_on,
    facts_from_wire,
    turn_to_wire,
)
from kubernaut.planning.telling import WORKFLOW, Sentence, differences, sentences
from kubernaut.planning.workflow import steps_to_ask

Limits: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Changed:
    """What is decided differently about one thing in one turn."""

    turn: int
    at: datetime
    of: str
    """`WorkflowExecution NAME`, `ActionExecution NAME`."""
    about: str
    """The step, or `the workflow`."""
    before: tuple[str, ...]
    """What was decided then; empty where nothing was."""
    after: tuple[str, ...]
    """What is decided today; empty where nothing is."""
    why: tuple[str, ...]
    """What then's and today's planner give as reasons, and what else is known."""


def replay(recording: Recording, limits: Limits | None = None) -> list[Changed]:
    """Every changed decision. `limits` takes the place of recorded fields of `Limits`.

    Raises RecordingInvalid where facts lack what a decision needs.
    """
    found: list[Changed] = []
    for recorded in recording.turns:
        try:
            facts = facts_from_wire(recorded.of, recorded.facts)
        except msgspec.ValidationError as error:
            raise RecordingInvalid(f"the facts of turn {recorded.turn} cannot be read: {error}") from None
        except (KeyError, RecursionError) as error:
            raise RecordingInvalid(f"the facts of turn {recorded.turn} do not fit together: {error}") from None
        if limits:
            facts = _with_limits(facts, limits)
        found += _compared(recorded, facts)
    return found


def _with_limits(facts: Facts, limits: Limits) -> Facts:
    changed = replace(facts.limits, **limits)
    # Twice, for the type of each.
    if isinstance(facts, WorkflowFacts):
        return replace(facts, limits=changed)
    return replace(facts, limits=changed)


def _compared(recorded: Recorded, facts: Facts) -> list[Changed]:
    unasked = steps_to_ask(facts)[0] if isinstance(facts, WorkflowFacts) else []
    of = f"{recorded.of} {recorded.name}"
    found = [
        Changed(
            recorded.turn,
            facts.now,
            of,
            step.name,
            ("its condition was not asked for",),
            ("its condition is asked for",),
            (f"when: {' && '.join(step.when)}; the recording holds no answer",),
        )
        for step in unasked
    ]
    then = _told(recorded, facts)
    try:
        today = turn_to_wire(decide_on(facts))
    except Exception as error:  # noqa: BLE001 - a planner that fails on these facts is what is looked for
        said = f"the planner fails: {type(error).__name__}: {error}"
        before = tuple(one.says for one in then)
        return [*found, Changed(recorded.turn, facts.now, of, WORKFLOW, before, (said,), ())]
    if today == recorded.decided:
        return found
    now = sentences(facts, today)
    gone = [one for one in then if one not in now]
    new = [one for one in now if one not in then]
    for about in dict.fromkeys(one.about for one in (*gone, *new)):
        found.append(_changed(recorded, facts, about, gone, new))
    if not gone and not new:
        why = tuple(differences(recorded.decided, today))
        same = ("the same",), ("the same, in other words or another order",)
        found.append(Changed(recorded.turn, facts.now, of, WORKFLOW, *same, why))
    return found


def _told(recorded: Recorded, facts: Facts) -> list[Sentence]:
    try:
        return sentences(facts, recorded.decided)
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordingInvalid(f"the decision of turn {recorded.turn} cannot be read: {error!r}") from None


def _changed(recorded: Recorded, facts: Facts, about: str, gone: list[Sentence], new: list[Sentence]) -> Changed:
    before = [one for one in gone if one.about == about]
    after = [one for one in new if one.about == about]
    why = [f"then: {one.why}" for one in before if one.why]
    why += [f"today: {one.why}" for one in after if one.why]
    return Changed(
        recorded.turn,
        facts.now,
        f"{recorded.of} {recorded.name}",
        about,
        tuple(one.says for one in before),
        tuple(one.says for one in after),
        tuple(why),
    )
