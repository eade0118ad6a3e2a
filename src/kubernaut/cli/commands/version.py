"""`kubernaut version`."""

import click

import kubernaut
from kubernaut.cli.options import cluster_options
from kubernaut.cli.terminal import current_terminal


@click.command("version")
@click.option("--cluster", "of_cluster", is_flag=True, help="Also ask the cluster for its version.")
@cluster_options
def command(of_cluster: bool, kubeconfig: object, context: str | None) -> None:
    """Print the version, and the cluster's with --cluster."""
    terminal = current_terminal()
    terminal.say(f"kubernaut {kubernaut.__version__}")
