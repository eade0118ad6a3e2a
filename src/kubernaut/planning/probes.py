"""What probes come to: the verdict on one from what was observed over time, and on all of them together.

Evaluators look (`safety.probes`); nobody waits in here: a ruling that is not final says when to look again. What
is kept between two looks (`Progress`) is small and of fixed size, however often somebody looks.

- before: the first answer decides; a look without an answer is repeated until `timeout`.
- after: passes once it has held for `stabilization`, which it must have begun by `timeout`; else it is what it was
  at `timeout`.
- throughout: the first failure fails it; unanswered for longer than `timeout` it is inconclusive at the end.

Time in which nobody looked does not count as time in which it held.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from kubernaut.api.duration import from_duration
from kubernaut.api.probes import Mode, Outcome, Probe

DEFAULT_TIMEOUT = {"before": 30.0, "after": 120.0, "throughout": 30.0}
"""Seconds, by mode (DD-002: preconditions 30 s, postconditions 2 m)."""
_UNSEEN = 3
"""So many intervals between two looks, and what was in between is unknown."""


@dataclass(frozen=True)
class Observation:
    """What one look found, and why it says so."""

    at: datetime
    outcome: Outcome
    reason: str = ""
    """CamelCase."""
    message: str = ""
    mend: str = ""
    evidence: Any = None
    """JSON, bounded and without secrets."""
    input_hash: str = ""
    """sha256 of what was looked at."""


@dataclass(frozen=True)
class Pace:
    """When a probe is asked."""

    mode: Mode
    timeout: timedelta
    interval: timedelta
    stabilization: timedelta = timedelta()


@dataclass(frozen=True)
class Progress:
    """What is remembered of all looks."""

    began: datetime
    looks: int = 0
    changes: int = 0
    """How often one answer followed another one: flapping."""
    held_since: datetime | None = None
    """Since when it has held without a break."""
    unknown_since: datetime | None = None
    """Since when there was no answer."""
    was_unknown_for: timedelta = timedelta()
    """The longest such time."""
    last: Observation | None = None
    final: Outcome | None = None
    reason: str = ""
    """Of the final outcome."""


@dataclass(frozen=True)
class Ruling:
    """The outcome; None while it is open, and then the moment to look again."""

    outcome: Outcome | None
    look_again: datetime | None = None
    reason: str = ""
    """Passed, Failed, Inconclusive, Flapping, NeverAsked, Unobserved; Waiting or Holding while it is open."""


def pace_of(probe: Probe, mode: Mode) -> Pace:
    """Raises ValueError for a text that is no duration."""
    timeout = from_duration(probe.timeout) if probe.timeout else DEFAULT_TIMEOUT[mode]
    return Pace(
        mode,
        timedelta(seconds=timeout),
        timedelta(seconds=from_duration(probe.interval)),
        timedelta(seconds=from_duration(probe.stabilization)),
    )


def observed(pace: Pace, progress: Progress, seen: Observation) -> Progress:
    """What is remembered after one more look; a final outcome stays whatever is seen later."""
    if progress.final is not None:
        return progress
    last = progress.last
    previous = progress.began if last is None else last.at
    was_unseen = seen.at - previous > _UNSEEN * pace.interval
    passed, unknown = seen.outcome == "passed", seen.outcome == "inconclusive"
    held_since = (seen.at if was_unseen else progress.held_since or seen.at) if passed else None
    # Also the time between the last answer and the first look without one is time of which nothing is known.
    unknown_since = progress.unknown_since
    if unknown_since is None and (unknown or was_unseen):
        unknown_since = previous
    gap = seen.at - unknown_since if unknown_since is not None else timedelta()
    after = replace(
        progress,
        looks=progress.looks + 1,
        changes=progress.changes + (last is not None and last.outcome != seen.outcome),
        held_since=held_since,
        unknown_since=unknown_since if unknown else None,
        was_unknown_for=max(progress.was_unknown_for, gap),
        last=seen,
    )
    outcome, reason = _decided(pace, after, seen)
    return replace(after, final=outcome, reason=reason) if outcome is not None else after


def ruling(pace: Pace, progress: Progress, now: datetime, *, over: bool = False) -> Ruling:
    """The verdict so far. `over`: what a `throughout` probe guards has ended."""
    if progress.final is not None:
        return Ruling(progress.final, reason=progress.reason)
    if over and pace.mode == "throughout":
        return _at_the_end(pace, progress, now)
    last = progress.last
    if last is None:
        return Ruling(None, now, "Waiting")
    # A look at the deadline, and when it has held for long enough, not an interval after that.
    moments = [last.at + pace.interval]
    if pace.mode != "throughout":
        moments.append(progress.began + pace.timeout)
    if progress.held_since is not None:
        moments.append(progress.held_since + pace.stabilization)
    again = min(moment for moment in moments if moment > last.at)
    return Ruling(None, max(again, now), "Holding" if progress.held_since is not None else "Waiting")


def _decided(pace: Pace, progress: Progress, seen: Observation) -> tuple[Outcome | None, str]:
    if seen.outcome == "failed" and pace.mode != "after":
        return "failed", "Failed"
    if pace.mode == "throughout":
        return None, ""
    if progress.held_since is not None and seen.at - progress.held_since >= pace.stabilization:
        return "passed", "Passed"
    deadline = progress.began + pace.timeout
    if seen.at < deadline:
        return None, ""
    if seen.outcome == "inconclusive":
        return "inconclusive", "Inconclusive"
    if seen.outcome == "failed":
        return "failed", "Flapping" if progress.changes > 1 else "Failed"
    # It holds, and may show that it lasts; it is not taken back because nobody looked while there was time.
    return (None, "") if seen.at < deadline + 2 * pace.stabilization else ("inconclusive", "Unobserved")


def _at_the_end(pace: Pace, progress: Progress, now: datetime) -> Ruling:
    last = progress.last
    if last is None:
        return Ruling("inconclusive", reason="NeverAsked")
    # What nobody saw at the end is unknown like any other time.
    gap = now - (progress.unknown_since or last.at)
    if max(progress.was_unknown_for, gap) > max(pace.timeout, _UNSEEN * pace.interval):
        return Ruling("inconclusive", reason="Unobserved")
    if last.outcome == "inconclusive":
        return Ruling("inconclusive", reason="Inconclusive")
    return Ruling("passed", reason="Passed")


# -- all of them ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ruled:
    """One probe and its ruling."""

    name: str
    required: bool
    ruling: Ruling


Together = Literal["passed", "failed", "inconclusive", "waiting"]


@dataclass(frozen=True)
class Judgement:
    """What all probes of one kind say: whether to go on, why not, and when to look again."""

    outcome: Together
    """passed: go on. failed or inconclusive: do not."""
    objections: tuple[str, ...] = ()
    """Required probes that did not pass."""
    warnings: tuple[str, ...] = ()
    """Others that did not pass."""
    look_again: datetime | None = None


def judge(ruled: Sequence[Ruled]) -> Judgement:
    """Nothing is passed that a required probe has not passed; a failure need not wait for the others."""
    lost = [one for one in ruled if one.ruling.outcome in ("failed", "inconclusive")]
    objections = tuple(one.name for one in lost if one.required)
    warnings = tuple(one.name for one in lost if not one.required)
    if any(one.required and one.ruling.outcome == "failed" for one in lost):
        return Judgement("failed", objections, warnings)
    open_ = [one.ruling for one in ruled if one.ruling.outcome is None]
    if open_:
        moments = [one.look_again for one in open_ if one.look_again is not None]
        return Judgement("waiting", objections, warnings, min(moments, default=None))
    return Judgement("inconclusive" if objections else "passed", objections, warnings)
