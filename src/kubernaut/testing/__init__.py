"""What authors of actions and workflows test with: embedded clusters, where the real controller and actions work.

Belongs here: the few names below, scenarios, and the pytest plugin. Does not belong here: what kubernaut's own
tests need besides.

    async def test_it() -> None:
        async with trial_of(label_pod) as trial:
            await trial.add(pod)
            report = await trial.run({"namespace": "shop", "pod": "web", "key": "seen"})
            assert report.succeeded, report.message
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernaut.testing.checks import Check
    from kubernaut.testing.playing import Result, Verdict, play, run_scenario
    from kubernaut.testing.scenario import Scenario, ScenarioInvalid, find_scenario, read_scenario
    from kubernaut.testing.stage import NotInTime, Stage, open_stage
    from kubernaut.testing.trial import Report, Trial, trial_of

__all__ = [
    "Check",
    "NotInTime",
    "Report",
    "Result",
    "Scenario",
    "ScenarioInvalid",
    "Stage",
    "Trial",
    "Verdict",
    "find_scenario",
    "open_stage",
    "play",
    "read_scenario",
    "run_scenario",
    "trial_of",
]

_PLACES = {
    "Check": "checks",
    "NotInTime": "stage",
    "Report": "trial",
    "Result": "playing",
    "Scenario": "scenario",
    "ScenarioInvalid": "scenario",
    "Stage": "stage",
    "Trial": "trial",
    "Verdict": "playing",
    "find_scenario": "scenario",
    "open_stage": "stage",
    "play": "playing",
    "read_scenario": "scenario",
    "run_scenario": "playing",
    "trial_of": "trial",
}


def __getattr__(name: str) -> Any:
    # Only what is used is loaded: pytest imports this package in every run where kubernaut is installed.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
