"""`kubernaut watch`."""

from pathlib import Path

import click

from kubernaut.cli.options import Where, cluster_options, namespace_option, timeout_option
from kubernaut.cli.terminal import Terminal, current_terminal


@click.command("watch")
@click.argument("target", metavar="NAME")
@namespace_option
@timeout_option
@cluster_options
def command(
    target: str, namespace: str | None, timeout: float | None, kubeconfig: Path | None, context: str | None
) -> int:
    """Follow one execution to its end.

    NAME is a WorkflowExecution's, or ae/NAME. The exit code tells how it ended.
    """
    from kubernaut.cli.session import speak

    return speak(_watch(current_terminal(), Where(kubeconfig, context, namespace), target, timeout))


async def _watch(terminal: Terminal, where: Where, target: str, seconds: float | None) -> int:
    from kubernaut.cli.following import follow
    from kubernaut.cli.lookup import parse_target
    from kubernaut.cli.session import connected

    kind, name = parse_target(target)
    async with connected(where, terminal) as cluster:
        return await follow(terminal, cluster, kind, name, where.namespace_or_default, seconds)
