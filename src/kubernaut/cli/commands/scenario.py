"""`kubernaut scenario`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.testing.playing import Result

F = TypeVar("F", bound=Callable[..., Any])


def from_option(function: F) -> F:
    """`--from`; a command gets `folder`."""
    return click.option(
        "--from",
        "folder",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="FOLDER",
        help="Where scenarios of yours are. Default: ./scenarios, then those in the box.",
    )(function)


@click.group("scenario")
def command() -> None:
    """Play remediations in the flight simulator."""


@command.command("list")
@from_option
@output_option("table", "json", "yaml", "name")
@verbose
def list_(folder: Path | None, output: str) -> None:
    """List the scenarios that there are: those in the box, and yours."""
    from kubernaut.cli.output import format_table, print_data
    from kubernaut.cli.simulating import scenarios_in

    terminal, found = current_terminal(), scenarios_in(folder)
    if output == "name":
        for one in found:
            terminal.say(one.name)
    elif output == "table":
        rows = [[one.name, one.ends, one.expectation.story] for one in found]
        terminal.say(format_table(terminal, ["Name", "Ends", "Story"], rows))
    else:
        told = [{"name": one.name, "story": one.expectation.story, "ends": one.ends} for one in found]
        print_data(terminal, told, output)


@command.command("run")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="All that there are.")
@from_option
@output_option("text", "json", "yaml")
@verbose
def run(names: tuple[str, ...], everything: bool, folder: Path | None, output: str) -> int:
    """Play scenarios: what is well falls ill, a workflow runs, and each expectation is looked at.

    NAME is a scenario by its name, or the path of its folder. Each is played on a cluster made for it, in virtual
    time: an hour passes in seconds. The controller and the actions are the real ones; the exit code is 0 only when
    everything came as it was expected.
    """
    from kubernaut.cli.simulating import perform, print_results, scenario_named, scenarios_in

    terminal = current_terminal()
    if everything == bool(names):
        raise CommandFailed("name scenarios, or say --all", mend="See: kubernaut scenario list", code=Exit.USAGE)
    wanted = scenarios_in(folder) if everything else [scenario_named(name, folder) for name in names]
    results: list[Result] = []
    for number, scenario in enumerate(wanted, 1):
        if output == "text" and not everything:
            terminal.say(f"{scenario.name}: {scenario.expectation.story}")
        result = perform(terminal, scenario, tells=output == "text" and not everything)
        results.append(result)
        if output == "text":
            _tell(terminal, result, f"{number}/{len(wanted)} " if everything else "")
    if output != "text":
        print_results(terminal, results, output)
    elif everything:
        _tell_all(terminal, results)
    return Exit.SUCCEEDED if all(one.is_as_expected for one in results) else Exit.FAILED


def _tell(terminal: Terminal, result: "Result", number: str) -> None:
    from kubernaut.cli.simulating import line_of, summary_of

    terminal.say(f"{number}{result.name}: {summary_of(terminal, result)}")
    if number:
        for verdict in result.failures:
            terminal.say(line_of(terminal, verdict))


def _tell_all(terminal: Terminal, results: "list[Result]") -> None:
    from kubernaut.cli.output import span

    fine = sum(one.is_as_expected for one in results)
    simulated, real = sum(one.simulated_seconds for one in results), sum(one.real_seconds for one in results)
    terminal.say(f"{fine} of {len(results)} as expected; {span(simulated)} of the clusters' time in {span(real)}")
