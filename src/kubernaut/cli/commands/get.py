"""`kubernaut get`."""

from pathlib import Path

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import Where, cluster_options, namespace_option, output_option
from kubernaut.cli.output import FORMATS, print_objects
from kubernaut.cli.terminal import Terminal, current_terminal


@click.command("get")
@click.argument("words", nargs=-1, metavar="[KIND] [NAME]...")
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option("-l", "--selector", default="", help="Only those with these labels.")
@output_option(*FORMATS)
@cluster_options
def command(
    words: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    output: str,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """List executions, or print one.

    KIND is wfe (WorkflowExecution, the default), ae (ActionExecution) or ad (ActionDefinition).
    """
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, None if all_namespaces else namespace)
    speak(_get(current_terminal(), where, words, selector, output, all_namespaces))


async def _get(
    terminal: Terminal, where: Where, words: tuple[str, ...], selector: str, output: str, everywhere: bool
) -> None:
    from kubernaut.cli.lookup import kind_named, parse_target
    from kubernaut.cli.session import connected, fetch, fetch_all
    from kubernaut.cluster import kinds
    from kubernaut.concurrency import SystemClock

    kind = kind_named(words[0]) if words else kinds.WORKFLOW_EXECUTIONS
    wanted = words[1:] if kind is not None else words
    kind = kind or kinds.WORKFLOW_EXECUTIONS
    if wanted and everywhere:
        raise CommandFailed("a name belongs to one namespace", mend="Leave out -A.", code=Exit.USAGE)
    namespace = where.namespace_or_default
    async with connected(where, terminal) as cluster:
        if wanted:
            objects = [await fetch(cluster, *parse_target(name, kind), namespace) for name in wanted]
        else:
            objects = await fetch_all(cluster, kind, None if everywhere else namespace, selector)
    if not objects and output in ("table", "wide"):
        place = "any namespace" if everywhere else f"namespace {namespace}"
        terminal.remark(f"no {kind.plural} in {place}" if kind.namespaced else f"no {kind.plural}")
    print_objects(terminal, objects, output, SystemClock().now(), single=len(wanted) == 1)
