"""`kubernaut lint`."""

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import output_option, verbose
from kubernaut.cli.terminal import current_terminal


@click.command("lint")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@output_option("text", "json")
@verbose
def command(files: tuple[str, ...], output: str) -> int:
    """Check files as the door would, without a cluster.

    FILE is YAML or JSON, a folder of such, or - for standard input. Knows the actions in the box, and those
    whose ActionDefinitions stand in the files. Other kinds of object are passed over.
    """
    from kubernaut.cli.linting import faults_in, is_ours, shipped_catalogue
    from kubernaut.cli.manifests import read_manifests

    terminal = current_terminal()
    manifests = read_manifests(files)
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
