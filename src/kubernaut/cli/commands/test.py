"""`kubernaut test`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.commands.scenario import from_option
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import offered_files, output_option, verbose
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubernaut.cli.manifests import Manifest
    from kubernaut.cli.output import Json
    from kubernaut.sdk.declare import AnyAction
    from kubernaut.testing.playing import Result


@click.command("test")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=offered_files)
@click.option("-s", "--scenario", "names", multiple=True, required=True, metavar="NAME", help="Repeatable.")
@click.option(
    "-a",
    "--action",
    "packages",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="An action that you write, besides those in the box. Repeatable.",
)
@from_option
@output_option("text", "json", "yaml")
@verbose
def command(
    files: tuple[str, ...], names: tuple[str, ...], packages: tuple[Path, ...], folder: Path | None, output: str
) -> int:
    """Try workflows of yours in the flight simulator.

    FILE is YAML or JSON, a folder of such, or - for standard input. The WorkflowExecutions in it are submitted in
    place of the scenario's own, and are to mend what these mend: each expectation is told, and what was found
    instead. A workflow whose name the scenario does not know is to end as the scenario's own does. The exit code
    is 0 only when everything came as it was expected.
    """
    from kubernaut.cli.manifests import read_manifests
    from kubernaut.cli.simulating import perform, print_results, scenario_named, summary_of

    terminal = current_terminal()
    manifests, own = read_manifests(files), [_load(terminal, package) for package in packages]
    workflows = _workflows(manifests)
    scenarios = [scenario_named(name, folder) for name in names]
    actions = _judge(terminal, manifests, own)
    results: list[Result] = []
    for scenario in scenarios:
        if output == "text":
            terminal.say(f"{scenario.name}: {scenario.expectation.story}")
        result = perform(terminal, scenario, workflows, actions=actions, tells=output == "text")
        results.append(result)
        if output == "text":
            terminal.say(f"{scenario.name}: {summary_of(terminal, result)}")
    if output != "text":
        print_results(terminal, results, output)
    return Exit.SUCCEEDED if all(one.is_as_expected for one in results) else Exit.FAILED


def _workflows(manifests: "Sequence[Manifest]") -> "list[Json]":
    from kubernaut.cli.options import EXECUTION_NAMESPACE
    from kubernaut.cli.output import part

    found = [one.document for one in manifests if one.kind == "WorkflowExecution"]
    if not found:
        raise CommandFailed("there is no WorkflowExecution in these files", code=Exit.USAGE)
    return [{**one, "metadata": {**part(one, "metadata"), "namespace": EXECUTION_NAMESPACE}} for one in found]


def _load(terminal: Terminal, folder: Path) -> "AnyAction":
    """Raises CommandFailed for one that is not written with the SDK."""
    from kubernaut.cli.authoring import refuse_broken
    from kubernaut.cli.packages import SdkPackage

    package, _ = refuse_broken(terminal, folder)
    if not isinstance(package, SdkPackage):
        raise CommandFailed(
            f"{folder} is not written with the SDK: only such actions can be played in virtual time",
            mend="Try it at a real or embedded cluster: kubernaut action run --local",
            code=Exit.REFUSED,
        )
    return package.load()


def _judge(terminal: Terminal, manifests: "Sequence[Manifest]", own: "list[AnyAction]") -> "list[AnyAction]":
    """The actions that are to be had. Raises CommandFailed for what the door would refuse."""
    from kubernaut.cli.linting import catalogue_with, faults_in, refuse_faults
    from kubernaut.testing.stage import shipped_actions

    catalogue = catalogue_with([action.contract for action in own])
    refuse_faults(terminal, faults_in(manifests, catalogue, is_offline=True))
    return [*shipped_actions(), *own]
