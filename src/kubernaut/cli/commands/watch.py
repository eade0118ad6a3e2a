"""`kubernaut watch`."""

from pathlib import Path

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.options import (
    Where,
    all_namespaces_option,
    cluster_options,
    completed,
    namespace_option,
    selector_option,
    timeout_option,
)
from kubernaut.cli.terminal import Terminal, current_terminal


@click.command("watch")
@click.argument("target", metavar="[NAME]", required=False, shell_complete=completed("executions", "wfe", "ae"))
@namespace_option
@all_namespaces_option
@selector_option
@timeout_option
@cluster_options
def command(
    target: str | None,
    namespace: str | None,
    everywhere: bool,
    selector: str,
    timeout: float | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Follow one execution to its end, or all of them.

    NAME is a WorkflowExecution's, or ae/NAME; the exit code tells how it ended. Without NAME all of the namespace
    are shown, until Ctrl-C or --timeout. A terminal shows a picture that is drawn anew, a pipe gets a line for
    every change.
    """
    from kubernaut.cli.session import speak

    if target and (everywhere or selector):
        raise click.UsageError("-A and -l go without NAME", click.get_current_context())
    where = Where(kubeconfig, context, namespace)
    return speak(_watch(current_terminal(), where, target, selector, timeout, everywhere=everywhere))


async def _watch(
    terminal: Terminal, where: Where, target: str | None, selector: str, seconds: float | None, *, everywhere: bool
) -> int:
    from kubernaut.cli.lookup import missing_namespace, parse_target
    from kubernaut.cli.session import connected

    async with connected(where, terminal) as cluster:
        if target is None:
            from kubernaut.cli.overview import watch_all

            place = None if everywhere else where.namespace_or_default
            nowhere = await missing_namespace(cluster, place) if place else None
            if nowhere is not None:
                raise nowhere
            await watch_all(terminal, cluster, place, selector, seconds)
            return Exit.SUCCEEDED
        from kubernaut.cli.following import follow

        kind, name = parse_target(target)
        return await follow(terminal, cluster, kind, name, where.namespace_or_default, seconds)
