"""What a container says may be nested as deep as it likes: what it did is read all the same."""

import json

import pytest

from kubernaut.engines.job.outcome import outcome_of


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("levels", [65, 200, 900, 1800])
@pytest.mark.parametrize("place", ['"outputs": {"x": %s}', '"rollback": {"x": %s}', '"changes": [{"before": %s}]'])
def test_a_message_that_is_too_deep_still_says_what_was_executed(place: str, levels: int) -> None:
    said = f'{{"v": 1, "executed": "no", "reason": "Refused", "message": "why", {place % nested(levels)}}}'
    outcome = outcome_of(said, "", 65, None)
    assert (outcome.executed, outcome.reason) == ("no", "Refused")
    assert outcome.message == "What it gave is nested more than 64 levels deep, and was left out. why"
    assert (outcome.outputs, outcome.rollback, outcome.changes) == ({}, None, ())


def test_what_just_fits_is_kept() -> None:
    outcome = outcome_of(f'{{"v": 1, "outputs": {{"x": {nested(63)}}}}}', "", 0, None)
    assert json.dumps(outcome.outputs["x"]) == nested(63)
    assert outcome.message == ""


@pytest.mark.parametrize("levels", [64, 900, 5000, 30_000])
def test_a_printed_line_that_is_too_deep_is_no_output(levels: int) -> None:
    line = f'{{"x": {nested(levels)}}}'
    log = f'{{"x": 1}}\nROLLBACK_INFO: {{"y": 2}}\n{line}\nROLLBACK_INFO: {line}\n'
    outcome = outcome_of("", log, 0, None)
    assert (outcome.outputs, outcome.rollback) == ({"x": 1}, {"y": 2})
