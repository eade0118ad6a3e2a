"""Playing scenarios at the command line: which ones, and how each expectation is told."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.output import Json, print_data, span
from kubernaut.cli.session import speak
from kubernaut.cli.terminal import Terminal
from kubernaut.telemetry import set_up_logging
from kubernaut.testing.playing import Result, Verdict, run_scenario
from kubernaut.testing.scenario import (
    Scenario,
    ScenarioInvalid,
    find_scenario,
    read_scenarios,
    shipped_scenarios,
)

if TYPE_CHECKING:
    from kubernaut.sdk.declare import AnyAction

OWN = Path("scenarios")
"""Looked into before the scenarios in the box."""


def scenarios_in(folder: Path | None) -> list[Scenario]:
    """All of a folder; without one those in the box, and those of ./scenarios, which win. Raises CommandFailed."""
    try:
        if folder is not None:
            found = read_scenarios(folder)
        else:
            by_name = {one.name: one for place in (shipped_scenarios(), OWN) for one in read_scenarios(place)}
            found = [by_name[name] for name in sorted(by_name)]
    except ScenarioInvalid as error:
        raise _refused(error) from None
    if not found:
        raise CommandFailed(
            f"there is no scenario in {folder or shipped_scenarios()}",
            mend="A scenario is a folder with an expectation.yaml; see docs/simulator.md.",
            code=Exit.USAGE,
        )
    return found


def scenario_named(name: str, folder: Path | None) -> Scenario:
    """Raises CommandFailed."""
    try:
        return find_scenario(name, folder or OWN)
    except ScenarioInvalid as error:
        raise _refused(error) from None


def perform(
    terminal: Terminal,
    scenario: Scenario,
    workflows: Sequence[Json] | None = None,
    *,
    actions: "Sequence[AnyAction] | None" = None,
    tells: bool = False,
) -> Result:
    """One scenario, on a cluster made for it. With `tells` each expectation is a line at once."""

    def tell(verdict: Verdict) -> None:
        terminal.say(line_of(terminal, verdict))

    with _quiet(terminal):
        return speak(run_scenario(scenario, workflows=workflows, actions=actions, tell=tell if tells else None))


@contextmanager
def _quiet(terminal: Terminal) -> Generator[None]:
    """What the controller says of bad weather is no news here, unless it is asked for."""
    if terminal.verbose:
        set_up_logging("info", "console")
        yield
        return
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def line_of(terminal: Terminal, verdict: Verdict) -> str:
    """An expectation, and below it what was found instead."""
    mark = ("✗" if verdict.found else "✓") if terminal.has_unicode else ("-" if verdict.found else "+")
    colour = "red" if verdict.found else "green"
    line = f"  {terminal.paint(mark, colour)} {verdict.part + ':':<10} {verdict.expected}"
    return f"{line}\n               but {verdict.found}" if verdict.found else line


def summary_of(terminal: Terminal, result: Result) -> str:
    """One line."""
    word = terminal.paint("as expected", "green")
    if not result.is_as_expected:
        word = terminal.paint("not as expected", "red")
    return f"{word} ({span(result.simulated_seconds)} of the cluster's time in {span(result.real_seconds)})"


def to_json(result: Result) -> dict[str, Any]:
    """For programs."""
    return {
        "name": result.name,
        "asExpected": result.is_as_expected,
        "workflows": result.phases,
        "simulatedSeconds": round(result.simulated_seconds, 3),
        "realSeconds": round(result.real_seconds, 3),
        "verdicts": [
            {"part": one.part, "expected": one.expected, "asExpected": not one.found, "found": one.found}
            for one in result.verdicts
        ],
    }


def print_results(terminal: Terminal, results: Sequence[Result], output: str) -> None:
    """json or yaml."""
    print_data(terminal, [to_json(one) for one in results], output)


def _refused(error: ScenarioInvalid) -> CommandFailed:
    return CommandFailed(str(error), mend="See them with: kubernaut scenario list", code=Exit.USAGE)
