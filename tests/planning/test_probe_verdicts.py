"""Verdicts on probes: over all small histories they are what the definition says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import get_args

import pytest

from kubernaut.api.probes import Mode, Outcome
from kubernaut.planning.probes import (
    Judgement,
    Observation,
    Pace,
    Progress,
    Ruled,
    Ruling,
    judge,
    observed,
    ruling,
)

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
MODES: tuple[Mode, ...] = get_args(Mode)
Look = tuple[int, Outcome]
"""Seconds after the beginning, and what was seen."""

INTERVAL, UNSEEN = 2, 7  # more than three intervals
TIMEOUT = 5


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def pace(mode: Mode, stabilization: int, timeout: int = TIMEOUT) -> Pace:
    return Pace(mode, timedelta(seconds=timeout), timedelta(seconds=INTERVAL), timedelta(seconds=stabilization))


def seen(how: Pace, looks: tuple[Look, ...]) -> Progress:
    progress = Progress(BEGAN)
    for seconds, outcome in looks:
        progress = observed(how, progress, Observation(at(seconds), outcome))
    return progress


def histories(most: int = 4) -> Iterator[tuple[Look, ...]]:
    """All of up to so many looks, each soon after the one before it or so late that something was not seen."""
    for count in range(1, most + 1):
        for steps in product(product((INTERVAL, UNSEEN), OUTCOMES), repeat=count):
            seconds, looks = -INTERVAL, list[Look]()
            for gap, outcome in steps:
                seconds += gap
                looks.append((seconds, outcome))
            yield tuple(looks)


def by_definition(mode: Mode, stabilization: int, looks: tuple[Look, ...]) -> Outcome | None:
    """From the whole history, without anything remembered."""
    for number, (seconds, outcome) in enumerate(looks):
        if outcome == "failed" and mode != "after":
            return "failed"
        if mode == "throughout":
            continue
        run = number  # the first of the looks from which on it held, each soon after the one before
        while outcome == "passed" and run > 0 and looks[run - 1][1] == "passed":
            if looks[run][0] - looks[run - 1][0] > 3 * INTERVAL:
                break
            run -= 1
        if outcome == "passed" and seconds - looks[run][0] >= stabilization:
            return "passed"
        if seconds >= TIMEOUT:
            if outcome != "passed":
                return outcome
            if seconds >= TIMEOUT + 2 * stabilization:
                return "inconclusive"
    return None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stabilization", [0, 3])
def test_the_verdict_is_what_the_definition_says(mode: Mode, stabilization: int) -> None:
    how = pace(mode, stabilization)
    for looks in histories():
        assert seen(how, looks).final == by_definition(mode, stabilization, looks), looks


@pytest.mark.parametrize("mode", ["before", "after"])
def test_a_probe_passes_only_by_a_look_that_passed(mode: Mode) -> None:
    for stabilization in (0, 3):
        how = pace(mode, stabilization)
        for looks in histories(3):
            progress = seen(how, looks)
            if progress.final == "passed":
                assert progress.last is not None
                assert progress.last.outcome == "passed"


@pytest.mark.parametrize("mode", MODES)
def test_a_verdict_is_never_taken_back(mode: Mode) -> None:
    how = pace(mode, 3)
    for looks in histories(3):
        progress = seen(how, looks)
        if progress.final is not None:
            for outcome in OUTCOMES:
                assert observed(how, progress, Observation(at(90), outcome)) == progress
            assert ruling(how, progress, at(99), over=True).outcome == progress.final


def follow(how: Pace, outcomes: list[Outcome]) -> tuple[Outcome | None, list[float]]:
    """Looks exactly when the ruling says so; the last outcome repeats."""
    progress, moment, looks = Progress(BEGAN), BEGAN, list[float]()
    while len(looks) < 20:
        outcome = outcomes[min(len(looks), len(outcomes) - 1)]
        looks.append((moment - BEGAN).total_seconds())
        progress = observed(how, progress, Observation(moment, outcome))
        now = ruling(how, progress, moment)
        if now.outcome is not None:
            return now.outcome, looks
        assert now.look_again is not None
        assert now.look_again > moment, "it would look again and again at once"
        moment = now.look_again
    return None, looks


@pytest.mark.parametrize("stabilization", [0, 1, 3, 5])
def test_whoever_looks_when_told_to_comes_to_a_verdict(stabilization: int) -> None:
    for mode in ("before", "after"):
        for outcomes in product(OUTCOMES, repeat=4):
            verdict, looks = follow(pace(mode, stabilization), list(outcomes))
            assert verdict is not None, (mode, outcomes)
            # It is looked at when time is up, and nobody looks on for longer than it may take to hold.
            assert looks[-1] <= TIMEOUT + 2 * stabilization
            assert all(later - earlier <= INTERVAL for earlier, later in pairwise(looks))


def test_it_is_looked_at_when_time_is_up_and_not_only_after_that() -> None:
    assert follow(pace("after", 0), ["failed"]) == ("failed", [0, 2, 4, 5])
    assert follow(pace("after", 1), ["passed"]) == ("passed", [0, 1])


def test_what_begins_to_hold_in_the_last_moment_may_show_that_it_lasts() -> None:
    assert follow(pace("after", 3), ["failed", "failed", "failed", "passed"]) == ("passed", [0, 2, 4, 5, 7, 8])


def test_three_intervals_between_two_looks_are_not_too_many() -> None:
    how = pace("after", 6, timeout=60)
    assert seen(how, ((0, "passed"), (6, "passed"))).final == "passed"
    assert seen(how, ((0, "passed"), (7, "passed"))).final is None


def test_flapping_is_told_as_that() -> None:
    progress = seen(pace("after", 3), ((0, "passed"), (2, "failed"), (4, "passed"), (6, "failed")))
    assert (progress.final, progress.reason) == ("failed", "Flapping")
    steady = seen(pace("after", 3), ((0, "failed"), (2, "failed"), (6, "failed")))
    assert (steady.final, steady.reason) == ("failed", "Failed")


def at_the_end(looks: tuple[Look, ...], end: int) -> Ruling:
    how = pace("throughout", 0, timeout=6)
    return ruling(how, seen(how, looks), at(end), over=True)


def test_throughout_passes_only_where_somebody_looked_all_the_time() -> None:
    steady: tuple[Look, ...] = ((0, "passed"), (2, "passed"), (4, "passed"))
    assert at_the_end(steady, 6).outcome == "passed"
    assert at_the_end((), 6) == Ruling("inconclusive", reason="NeverAsked")
    assert at_the_end(steady, 60) == Ruling("inconclusive", reason="Unobserved")
    assert at_the_end((*steady, (14, "passed")), 15) == Ruling("inconclusive", reason="Unobserved")
    assert at_the_end(((20, "passed"),), 21) == Ruling("inconclusive", reason="Unobserved")


def test_throughout_bears_a_short_time_without_an_answer() -> None:
    short: tuple[Look, ...] = ((0, "passed"), (2, "inconclusive"), (4, "passed"))
    assert at_the_end(short, 5).outcome == "passed"
    unknown: tuple[Look, ...] = tuple((second, "inconclusive") for second in range(2, 10, 2))
    assert at_the_end(((0, "passed"), *unknown, (10, "passed")), 11).reason == "Unobserved"
    later: tuple[Look, ...] = ((10, "passed"), (12, "inconclusive"), (14, "passed"))
    assert at_the_end(((0, "passed"), *unknown, *later), 15).reason == "Unobserved"
    assert at_the_end(((0, "passed"), (2, "inconclusive")), 3) == Ruling("inconclusive", reason="Inconclusive")


RULINGS = [Ruling(outcome, None if outcome else at(9)) for outcome in (None, *OUTCOMES)]


def test_nothing_goes_on_that_a_required_probe_has_not_passed() -> None:
    for parts in product(product(RULINGS, (True, False)), repeat=3):
        ruled = [Ruled(f"p{n}", required, one) for n, (one, required) in enumerate(parts)]
        found = judge(ruled)
        needed = {one.ruling.outcome for one in ruled if one.required}
        everything = {one.ruling.outcome for one in ruled}
        if "failed" in needed:
            expected = "failed"
        elif None in everything:
            expected = "waiting"
        else:
            expected = "inconclusive" if "inconclusive" in needed else "passed"
        assert found.outcome == expected
        assert (found.look_again == at(9)) == (expected == "waiting")
        lost = [one for one in ruled if one.ruling.outcome not in (None, "passed")]
        assert found.objections == tuple(one.name for one in lost if one.required)
        assert found.warnings == tuple(one.name for one in lost if not one.required)
    assert judge([]) == Judgement("passed")
