"""Every scenario in the box comes as it is written, and cannot come so by itself."""

import re
from pathlib import Path

import pytest

from kubernaut.testing.playing import run_scenario
from kubernaut.testing.scenario import Scenario, read_scenarios, shipped_scenarios

FOLDER = shipped_scenarios()
ALL = read_scenarios(FOLDER)
REMEDIES = [one for one in ALL if one.expectation.mended]
QUICK = {"crashloop", "node-notready", "bad-weather", "prompt-injection", "too-complex-waits"}
"""Of each kind one; together the others take half a minute, and are played by `make test-all`."""
NO_ACTION = ("Failed", "WaitingApproval")
STORIES = 37
"""Of the demo scenarios of the project that kubernaut is measured by."""

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]
each = pytest.mark.parametrize("scenario", ALL, ids=lambda one: one.name)


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(one, marks=() if one.name in QUICK else pytest.mark.long, id=one.name) for one in ALL],
)
async def test_it_comes_as_it_is_written(scenario: Scenario) -> None:
    result = await run_scenario(scenario)
    assert result.is_as_expected, "\n".join(map(str, result.failures))
    assert set(result.phases) == {*scenario.expectation.workflows}


@pytest.mark.long
@pytest.mark.parametrize("scenario", REMEDIES, ids=lambda one: one.name)
async def test_without_its_workflow_it_is_not_mended_within_an_hour(scenario: Scenario) -> None:
    result = await run_scenario(scenario, workflows=[])
    assert {verdict.part for verdict in result.failures} == {"mended"}, "\n".join(map(str, result.verdicts))
    assert result.simulated_seconds >= 3600


@each
def test_it_could_fail(scenario: Scenario) -> None:
    """Something is ill that is then not so any more, or something must stay as it is."""
    expected = scenario.expectation
    assert expected.workflows
    if expected.mended:
        assert expected.ill
    else:
        assert expected.untouched
        assert {end.phase for end in expected.workflows.values()} <= {*NO_ACTION}


def stories_of(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"Story (\d+) of the demo", (folder / "README.md").read_text())]


def test_at_least_twenty_of_the_demo_stories_are_told() -> None:
    told = [number for one in ALL for number in stories_of(FOLDER / one.name)]
    assert len(set(told)) == len(told) >= 20
    assert set(told) <= set(range(1, STORIES + 1))


def test_some_end_in_no_action_and_some_wait_for_a_person() -> None:
    ends = [end.phase for one in REMEDIES + ALL for end in one.expectation.workflows.values()]
    assert {"Completed", *NO_ACTION} <= set(ends)
    untouched = [one.name for one in ALL if one.expectation.untouched and not one.expectation.mended]
    assert len(untouched) >= 4


@each
def test_its_readme_is_ten_lines_that_tell_how_to_play_it(scenario: Scenario) -> None:
    lines = (FOLDER / scenario.name / "README.md").read_text().splitlines()
    assert 10 <= len(lines) <= 14
    assert f"$ kubernaut scenario run {scenario.name}" in lines
    for word in ("**Ill:**", "**Workflow:**", "**Expected:**"):
        assert any(line.startswith(word) for line in lines)


def test_all_are_listed_where_people_look() -> None:
    listed = re.findall(r"^\| \[([a-z0-9-]+)\]\(\1/\)", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert listed == [one.name for one in ALL]
