"""`kubernaut probe`."""

from pathlib import Path

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import (
    Duration,
    Where,
    cluster_options,
    completed,
    namespace_option,
    output_option,
    settings_options,
)
from kubernaut.cli.terminal import current_terminal


@click.command("probe")
@click.option(
    "-f", "--file", "path", default="", metavar="FILE", help="YAML file of probes, or - for standard input."
)
@click.option(
    "--action", default="", metavar="TYPE", help="The probes of an action in the box.",
    shell_complete=completed("action_types"),
)  # fmt: skip
@click.option(
    "--execution", default="", metavar="AE", help="Take action, inputs and outputs from this ActionExecution."
)
@click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input. Repeatable.")
@click.option(
    "--inputs-file", type=click.Path(path_type=Path, dir_okay=False), help="YAML or JSON file of inputs by name."
)
@click.option("--result", "results", multiple=True, metavar="NAME=VALUE", help="An output. Repeatable.")
@click.option(
    "--part",
    type=click.Choice(["preconditions", "postconditions", "all"]),
    help="Which to ask. Default: all of a file; of an action the preconditions, with outputs the postconditions.",
)
@click.option("--name", "names", multiple=True, metavar="PROBE", help="Only this one. Repeatable.")
@click.option("--watch", is_flag=True, help="Look again until each has passed, failed or timed out.")
@click.option("--timeout", type=Duration(), help="With --watch: stop after this long.")
@click.option("--lint", is_flag=True, help="Only say what is wrong in the file; needs no cluster.")
@output_option("text", "json", "yaml")
@settings_options
@namespace_option
@cluster_options
def command(
    path: str,
    action: str,
    execution: str,
    inputs: tuple[str, ...],
    inputs_file: Path | None,
    results: tuple[str, ...],
    part: str | None,
    names: tuple[str, ...],
    watch: bool,
    timeout: float | None,
    lint: bool,
    output: str,
    file: Path | None,
    assignments: tuple[str, ...],
    preset: str | None,
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Ask pre- and postconditions of a cluster, now or until they hold.

    What a file of probes holds is told in docs/probes.md. Exits with 0 when all required probes passed, 1 when one
    failed, 10 when none failed but one could not be answered, 5 when --timeout came first, 3 when the file is
    faulty. Changes nothing, and asks with your permissions.
    """
    from kubernaut.cli.commands.settings import load
    from kubernaut.cli.probing import Wanted, lint_file, probe
    from kubernaut.cli.session import speak

    if sum(map(bool, (path, action, execution))) == 0 or (action and (path or execution)):
        mend = "Write -f FILE, --action TYPE or --execution AE; a file goes with an execution."
        raise CommandFailed("what shall be asked?", mend=mend, code=Exit.USAGE)
    if timeout is not None and not watch:
        raise CommandFailed("--timeout belongs to --watch", code=Exit.USAGE)
    terminal = current_terminal()
    wanted = Wanted(
        path, action, execution, inputs, inputs_file, results, part or "", names, watch, timeout, output
    )
    if lint:
        return lint_file(terminal, wanted)
    settings = load(terminal, file, assignments, preset).settings
    return speak(probe(terminal, Where(kubeconfig, context, namespace), wanted, settings.probes))
