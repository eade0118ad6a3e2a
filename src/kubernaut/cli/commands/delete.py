"""`kubernaut delete`."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import (
    Where,
    cluster_options,
    completed,
    in_namespace,
    namespace_option,
    selector_option,
    timeout_option,
    wait_option,
)
from kubernaut.cli.output import Json, parts, value_at
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Cluster, ResourceKind


@click.command("delete")
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=completed("executions", "wfe", "ae"))
@namespace_option
@selector_option
@click.option("--dry-run", is_flag=True, help="Tell what would be deleted and stopped, but change nothing.")
@wait_option("Until they are gone; what is stopped meanwhile is told.")
@timeout_option
@cluster_options
def command(
    names: tuple[str, ...],
    namespace: str | None,
    selector: str,
    dry_run: bool,
    wait: bool,
    timeout: float | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Delete executions; what runs is stopped first.

    An execution that has ended goes at once, with its ActionExecutions, Jobs and logs. One that runs is stopped:
    its running steps end, nothing new starts, `finally` runs, then it goes. What was done stays done. NAME is a
    WorkflowExecution's, or ae/NAME of a single action; with -l all WorkflowExecutions with these labels.
    """
    from kubernaut.cli.session import speak

    if bool(names) == bool(selector):
        raise click.UsageError("say which: by NAME or by -l", click.get_current_context())
    where = Where(kubeconfig, context, namespace)
    return speak(_delete(current_terminal(), where, names, selector, dry_run=dry_run, wait=wait, seconds=timeout))


async def _delete(
    terminal: Terminal,
    where: Where,
    names: tuple[str, ...],
    selector: str,
    *,
    dry_run: bool,
    wait: bool,
    seconds: float | None,
) -> int:
    from kubernaut.cli.lookup import parse_target
    from kubernaut.cli.session import connected, fetch, fetch_all
    from kubernaut.cluster import NotFound, kinds

    namespace = where.namespace_or_default
    async with connected(where, terminal) as cluster:
        if selector:
            workflows = await fetch_all(cluster, kinds.WORKFLOW_EXECUTIONS, namespace, selector)
            found = [(kinds.WORKFLOW_EXECUTIONS, one) for one in workflows]
        else:
            targets = [parse_target(name) for name in names]
            found = [(kind, await fetch(cluster, kind, name, namespace)) for kind, name in targets]
        for kind, one in found:
            _check(kind, one)
        if not found:
            terminal.remark(f"no workflowexecutions with these labels in namespace {namespace}")
        for kind, one in found:
            metadata = one["metadata"]
            with contextlib.suppress(NotFound):  # somebody else was faster
                await cluster.delete(kind, metadata["name"], namespace, uid=metadata["uid"], dry_run=dry_run)
            terminal.say(_told(one, dry_run=dry_run))
        if wait and not dry_run:
            for kind, one in found:
                await _until_gone(terminal, cluster, kind, one, seconds)
    return Exit.SUCCEEDED


def _check(kind: "ResourceKind", found: Json) -> None:
    """Raises CommandFailed where deleting would take the knowledge of what runs away."""
    from kubernaut.cli.advice import has_ended, phase_of
    from kubernaut.cluster import kinds

    name, place = found["metadata"]["name"], in_namespace(found["metadata"].get("namespace", ""))
    if kind is kinds.ACTION_DEFINITIONS:
        raise CommandFailed(
            f"{name} is an action of the catalogue, not an execution",
            mend=f"Take it out of the catalogue with: kubectl delete ad {name}",
            code=Exit.USAGE,
        )
    if kind is not kinds.ACTION_EXECUTIONS:
        return
    workflow = value_at(found, "spec.workflowRef.name")
    if workflow:
        raise CommandFailed(
            f"{name} is a step of the WorkflowExecution {workflow}, and goes with it",
            mend=f"Delete the whole: kubernaut delete {workflow}{place}",
        )
    if not has_ended(found) and phase_of(found) == "Running":
        raise CommandFailed(
            f"{name} runs, and without it nobody would know how it ended",
            mend=f"Stop it first: kubernaut cancel ae/{name} --wait{place}",
        )


def _told(found: Json, *, dry_run: bool) -> str:
    from kubernaut.cli.advice import has_ended

    name = found["metadata"]["name"]
    suffix = " (dry run)" if dry_run else ""
    if has_ended(found) or not value_at(found, "metadata.finalizers"):
        return f"{name} deleted{suffix}"
    running = [step["name"] for step in parts(found, "status.steps") if step.get("phase") == "Running"]
    verb = "is" if len(running) == 1 else "are"
    stopped = f"{', '.join(running)} {verb} stopped" if running else "nothing new starts"
    finally_ = ", then `finally` runs" if parts(found, "spec.finally") else ""
    return f"{name} goes when it has come to rest: {stopped}{finally_}{suffix}"


async def _until_gone(
    terminal: Terminal, cluster: "Cluster", kind: "ResourceKind", deleted: Json, seconds: float | None
) -> None:
    from contextlib import aclosing

    from kubernaut.cli.following import Progress, waiting
    from kubernaut.cli.session import versions_of

    name, namespace = deleted["metadata"]["name"], deleted["metadata"]["namespace"]
    progress = Progress(terminal)
    progress.note(deleted)
    async with (
        waiting(terminal, kind, name, namespace, seconds),
        aclosing(versions_of(cluster, kind, name, namespace, was_there=True)) as versions,
    ):
        async for found in versions:
            if found is None or found["metadata"]["uid"] != deleted["metadata"]["uid"]:
                terminal.say(f"{name} is gone")
                return
            progress.show(found)
