"""`kubernaut version`."""

from pathlib import Path

import click

import kubernaut
from kubernaut.cli.options import Where, cluster_options
from kubernaut.cli.terminal import Terminal, current_terminal


@click.command("version")
@click.option("--cluster", "of_cluster", is_flag=True, help="Also ask the cluster for its versions.")
@cluster_options
def command(of_cluster: bool, kubeconfig: Path | None, context: str | None) -> None:
    """Print the version, and the cluster's with --cluster."""
    terminal = current_terminal()
    terminal.say(f"kubernaut {kubernaut.__version__}")
    if of_cluster:
        from kubernaut.cli.session import speak

        speak(_ask(terminal, Where(kubeconfig, context)))


async def _ask(terminal: Terminal, where: Where) -> None:
    from kubernaut.api import names
    from kubernaut.cli.lookup import OUR_KINDS
    from kubernaut.cli.session import connected
    from kubernaut.cluster import Forbidden, NotFound, crd_annotation

    async with connected(where, terminal) as cluster:
        version = await cluster.version()
        terminal.say(f"Kubernetes {version.get('gitVersion', 'of unknown version')}")
        for kind in OUR_KINDS:
            try:
                found = await crd_annotation(cluster, kind, names.ANNOTATION_SCHEMA_VERSION)
                told = f"schema {found or 'unknown'} (this program: {names.SCHEMA_VERSION})"
            except NotFound:
                told = "not installed"
            except Forbidden:
                told = "you may not look"
            terminal.say(f"{kind.resource}: {told}")
