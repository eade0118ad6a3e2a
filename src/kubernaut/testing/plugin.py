"""The pytest plugin: fixtures for authors of workflows and actions, in their own repositories.

pytest loads this file in every run where kubernaut is installed, so nothing is imported until a fixture is used.
docs/simulator.md shows each.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from kubernaut.sdk.declare import AnyAction
    from kubernaut.testing.playing import Result
    from kubernaut.testing.stage import Stage
    from kubernaut.testing.trial import Trial


class PlayScenario(Protocol):
    """What `kubernaut_scenario` is."""

    def __call__(
        self,
        name: str | Path,
        workflow: str | Path | Sequence[Mapping[str, Any]] | None = None,
        *,
        actions: "Sequence[AnyAction]" = (),
    ) -> "Result":
        """Play a scenario to its end; the test fails where not all came as it was expected.

        name: of one in `scenarios/` beside pytest's rootdir or in the box, or a folder of one.
        workflow: a file, or objects, in place of the scenario's own workflows; an empty list submits none.
        actions: of yours, besides those in the box.

        Raises ScenarioInvalid.
        """
        ...


class OpenStage(Protocol):
    """What `kubernaut_stage` is."""

    def __call__(self, *, actions: "Sequence[AnyAction]" = ()) -> "AbstractAsyncContextManager[Stage]":
        """A cluster in virtual time with kubernaut at work in it; `actions` of yours besides those in the box."""
        ...


@pytest.fixture
def kubernaut_scenario(request: pytest.FixtureRequest) -> PlayScenario:
    """Plays a scenario, with its own workflow or with yours."""
    own = request.config.rootpath / "scenarios"

    def play_it(
        name: str | Path,
        workflow: str | Path | Sequence[Mapping[str, Any]] | None = None,
        *,
        actions: "Sequence[AnyAction]" = (),
    ) -> "Result":
        import asyncio

        from kubernaut.testing.playing import run_scenario
        from kubernaut.testing.scenario import find_scenario, read_scenario
        from kubernaut.testing.stage import shipped_actions

        scenario = read_scenario(name) if isinstance(name, Path) else find_scenario(name, own)
        playing = run_scenario(scenario, workflows=_workflows(workflow), actions=[*shipped_actions(), *actions])
        result = asyncio.run(playing)
        if not result.is_as_expected:
            told = "\n".join(f"  {'but' if one.found else 'as expected'}: {one}" for one in result.verdicts)
            pytest.fail(f"scenario {scenario.name} did not come as it was expected:\n{told}", pytrace=False)
        return result

    return play_it


@pytest.fixture
def kubernaut_stage(tmp_path: Path) -> OpenStage:
    """Opens a cluster in virtual time: `async with kubernaut_stage() as stage`."""

    def open_it(*, actions: "Sequence[AnyAction]" = ()) -> "AbstractAsyncContextManager[Stage]":
        from kubernaut.testing.stage import open_stage, shipped_actions

        return open_stage(tmp_path / "kubernaut", actions=[*shipped_actions(), *actions])

    return open_it


@pytest.fixture
def kubernaut_trial() -> "Callable[[AnyAction], AbstractAsyncContextManager[Trial]]":
    """Tries one action of yours: `async with kubernaut_trial(label_pod) as trial`."""

    def try_it(action: "AnyAction") -> "AbstractAsyncContextManager[Trial]":
        from kubernaut.testing.trial import trial_of

        return trial_of(action)

    return try_it


def _workflows(
    given: str | Path | Sequence[Mapping[str, Any]] | None,
) -> "list[dict[str, Any]] | None":
    """As the scenarios' own are read. Raises ScenarioInvalid for a file without a workflow."""
    from kubernaut.testing.scenario import ScenarioInvalid, placed, read_objects

    if given is None:
        return None
    if not isinstance(given, str | Path):
        return [placed(dict(one)) for one in given]
    found = [one for one in read_objects(Path(given)) if one["kind"] == "WorkflowExecution"]
    if not found:
        raise ScenarioInvalid(f"{given}: there is no WorkflowExecution in it")
    return found
