"""`kubernaut action install`."""

from pathlib import Path

import click

from kubernaut.cli.options import Where, cluster_options, offered_files
from kubernaut.cli.terminal import current_terminal


@click.command("install")
@click.argument("source", metavar="PATH|IMAGE", shell_complete=offered_files)
@click.option(
    "--registry", metavar="HOST/PATH", help="Push the image there first. An embedded cluster needs none."
)
@click.option(
    "-t",
    "--target-namespace",
    "targets",
    multiple=True,
    metavar="NAMESPACE",
    help="Let it touch this namespace; * means all, which is the default at an embedded cluster. Repeatable.",
)
@click.option("--force", is_flag=True, help="Though the version does not say what changed in the contract.")
@click.option("--dry-run", is_flag=True, help="Let the cluster judge it, but change nothing.")
@cluster_options
def command(
    source: str,
    registry: str | None,
    targets: tuple[str, ...],
    force: bool,
    dry_run: bool,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Put an action of your own into a cluster's catalogue.

    From the folder in which you write it, or from an image in a registry. Its account and its permissions are made
    from its contract. A cluster of `kubernaut dev` gets the image itself, without a registry.
    """
    from kubernaut.cli.authoring import Wanted, install
    from kubernaut.cli.session import speak

    wanted = Wanted(source, registry, targets, force, dry_run)
    speak(install(current_terminal(), Where(kubeconfig, context), wanted))
