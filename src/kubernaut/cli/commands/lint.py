"""`kubernaut lint`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import Where, cluster_options, offered_files, output_option
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cli.linting import Found
    from kubernaut.cli.manifests import Manifest


@click.command("lint")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=offered_files)
@output_option("text", "json")
@click.option("--online", is_flag=True, help="Ask the cluster for its catalogue, and registries for contracts.")
@cluster_options
def command(
    files: tuple[str, ...], output: str, online: bool, kubeconfig: Path | None, context: str | None
) -> int:
    """Check files as the door would, without a cluster.

    FILE is YAML or JSON, a folder of such, or - for standard input. Knows the actions in the box, and those
    whose ActionDefinitions stand in the files. Other kinds of object are passed over.
    """
    from kubernaut.cli.linting import faults_in, is_ours, shipped_catalogue
    from kubernaut.cli.manifests import read_manifests

    terminal = current_terminal()
    manifests = read_manifests(files)
    if online:
        found = _faults_online(terminal, manifests, Where(kubeconfig, context))
    else:
        found = faults_in(manifests, shipped_catalogue(), is_offline=True)
    if output == "json":
        import json

        terminal.say(json.dumps([item.to_json() for item in found], indent=2))
    else:
        for item in found:
            terminal.say(str(item))
    ours = sum(map(is_ours, manifests))
    if found:
        terminal.remark(f"{len(found)} fault{'s' * (len(found) > 1)} in {ours} document{'s' * (ours != 1)}")
        return Exit.REFUSED
    if not ours:
        raise CommandFailed("nothing of kubernaut's stands in these files", code=Exit.USAGE)
    others = f"; {len(manifests) - ours} of other kinds passed over" if len(manifests) > ours else ""
    terminal.remark(f"nothing wrong in {ours} document{'s' * (ours > 1)}{others}")
    return Exit.SUCCEEDED


def _faults_online(terminal: Terminal, manifests: "list[Manifest]", where: Where) -> "list[Found]":
    from kubernaut.cli.foreign import read_foreign
    from kubernaut.cli.linting import catalogue_of, faults_in, shipped_catalogue
    from kubernaut.cli.session import connected, speak

    async def ask() -> "list[Found]":
        async with connected(where, terminal) as cluster:
            catalogue = await catalogue_of(cluster)
        if catalogue is None:
            terminal.remark("you may not read the catalogue of this cluster: the actions in the box are assumed")
            catalogue = shipped_catalogue()
        foreign = await read_foreign(terminal, manifests, catalogue)
        return faults_in(manifests, catalogue, is_offline=True, foreign=foreign)

    return speak(ask())
