"""`kubernaut action list`."""

from pathlib import Path

import click

from kubernaut.cli.options import (
    Where,
    all_namespaces_option,
    cluster_options,
    namespace_option,
    output_option,
    selector_option,
)
from kubernaut.cli.output import FORMATS, print_objects, value_at
from kubernaut.cli.terminal import Terminal, current_terminal


@click.command("list")
@namespace_option
@all_namespaces_option
@selector_option
@output_option(*FORMATS)
@cluster_options
def command(
    namespace: str | None,
    everywhere: bool,
    selector: str,
    output: str,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """List the single actions that were run.

    Those of workflows are listed by `kubernaut get ae`, the actions that could be run by `kubernaut catalog list`.
    """
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, None if everywhere else namespace)
    speak(_list(current_terminal(), where, selector, output, everywhere=everywhere))


async def _list(terminal: Terminal, where: Where, selector: str, output: str, *, everywhere: bool) -> None:
    from kubernaut.cli.session import connected, fetch_all
    from kubernaut.cluster import kinds
    from kubernaut.concurrency import SystemClock

    place = None if everywhere else where.namespace_or_default
    async with connected(where, terminal) as cluster:
        found = await fetch_all(cluster, kinds.ACTION_EXECUTIONS, place, selector)
    alone = [one for one in found if not value_at(one, "spec.workflowRef.name")]
    if not alone and output in ("table", "wide"):
        terminal.remark(f"no single actions in {f'namespace {place}' if place else 'any namespace'}")
    print_objects(terminal, alone, output, SystemClock().now(), single=False)
