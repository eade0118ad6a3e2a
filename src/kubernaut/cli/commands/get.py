"""`kubernaut get`."""

from pathlib import Path
from typing import NamedTuple

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import (
    Where,
    all_namespaces_option,
    cluster_options,
    completed,
    namespace_option,
    output_option,
    selector_option,
)
from kubernaut.cli.output import FORMATS, print_objects
from kubernaut.cli.terminal import Terminal, current_terminal


class _Wanted(NamedTuple):
    words: tuple[str, ...]
    everywhere: bool
    selector: str
    sort_by: str
    output: str


@click.command("get")
@click.argument("words", nargs=-1, metavar="[KIND] [NAME]...", shell_complete=completed("kinds_and_executions"))
@namespace_option
@all_namespaces_option
@selector_option
@click.option(
    "--sort-by", default="", metavar="PATH", help="Order by what stands there: .metadata.creationTimestamp."
)
@output_option(*FORMATS)
@cluster_options
def command(
    words: tuple[str, ...],
    namespace: str | None,
    everywhere: bool,
    selector: str,
    sort_by: str,
    output: str,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """List executions, or print one.

    KIND is wfe (WorkflowExecution, the default), ae (ActionExecution), ad (ActionDefinition) or apr
    (ApprovalRequest).
    """
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, None if everywhere else namespace)
    speak(_get(current_terminal(), where, _Wanted(words, everywhere, selector, sort_by, output)))


async def _get(terminal: Terminal, where: Where, wanted: _Wanted) -> None:
    from kubernaut.cli.lookup import kind_named, nearest_kind, parse_target
    from kubernaut.cli.session import connected, fetch, fetch_all
    from kubernaut.cli.sorting import parse_path, sorted_by
    from kubernaut.cluster import kinds
    from kubernaut.concurrency import SystemClock

    kind = kind_named(wanted.words[0]) if wanted.words else kinds.WORKFLOW_EXECUTIONS
    names = wanted.words[1:] if kind is not None else wanted.words
    if kind is None and len(names) > 1 and nearest_kind(names[0]):
        mend = f"Did you mean {nearest_kind(names[0])}? There are wfe, ae, ad and apr."
        raise CommandFailed(f"there is no kind {names[0]!r}", mend=mend, code=Exit.USAGE)
    kind = kind or kinds.WORKFLOW_EXECUTIONS
    if names and wanted.everywhere:
        raise CommandFailed("a name belongs to one namespace", mend="Leave out -A.", code=Exit.USAGE)
    if names and wanted.selector:
        raise CommandFailed("-l chooses among all, a name is chosen", mend="Leave out -l.", code=Exit.USAGE)
    if wanted.sort_by:
        parse_path(wanted.sort_by)
    namespace = where.namespace_or_default
    async with connected(where, terminal) as cluster:
        if names:
            try:
                objects = [await fetch(cluster, *parse_target(name, kind), namespace) for name in names]
            except CommandFailed as failure:
                if len(wanted.words) == 1 and "/" not in names[0] and nearest_kind(names[0]):
                    failure.mend = f"Did you mean the kind {nearest_kind(names[0])}? {failure.mend}"
                raise
        else:
            place = None if wanted.everywhere else namespace
            objects = await fetch_all(cluster, kind, place, wanted.selector)
    if wanted.sort_by:
        objects = sorted_by(objects, wanted.sort_by)
    if not objects and wanted.output in ("table", "wide"):
        place = "any namespace" if wanted.everywhere else f"namespace {namespace}"
        labelled = " with these labels" if wanted.selector else ""
        told = f"no {kind.plural}{labelled}"
        terminal.remark(f"{told} in {place}" if kind.namespaced else told)
    print_objects(terminal, objects, wanted.output, SystemClock().now(), single=len(names) == 1)
