"""`kubernaut cancel`."""

from pathlib import Path

import click

from kubernaut.cli.options import Where, cluster_options, namespace_option, timeout_option
from kubernaut.cli.terminal import Terminal, current_terminal


@click.command("cancel")
@click.argument("name")
@namespace_option
@click.option("--abort", is_flag=True, help="Stop at once: running steps are killed, `finally` does not run.")
@click.option("--reason", default="", help="Why; stays on the record.")
@click.option("--wait", is_flag=True, help="Follow the execution to its end.")
@timeout_option
@cluster_options
def command(
    name: str,
    namespace: str | None,
    abort: bool,
    reason: str,
    wait: bool,
    timeout: float | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Stop an execution.

    Running steps are stopped, nothing new starts, `finally` runs. What has been done stays done.
    """
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, namespace)
    return speak(
        _cancel(current_terminal(), where, name, "abort" if abort else "cancel", reason, timeout if wait else 0)
    )


async def _cancel(
    terminal: Terminal, where: Where, name: str, what: str, reason: str, seconds: float | None
) -> int:
    from kubernaut.cli.exits import Exit
    from kubernaut.cli.following import exit_for, follow
    from kubernaut.cli.requests import ask
    from kubernaut.cli.session import connected, fetch
    from kubernaut.cluster import kinds

    kind, namespace = kinds.WORKFLOW_EXECUTIONS, where.namespace_or_default
    async with connected(where, terminal) as cluster:
        found = await fetch(cluster, kind, name, namespace)
        ended = exit_for(found)
        if ended is not None and ended not in (Exit.WAITING, Exit.INDETERMINATE):
            terminal.say(f"{name} has already ended: {found['status']['phase']}")
            return Exit.SUCCEEDED
        await ask(cluster, name, namespace, what, reason)
        terminal.say(f"asked {name} to {what}")
        if seconds == 0:
            return Exit.SUCCEEDED
        code = await follow(terminal, cluster, kind, name, namespace, seconds)
    return Exit.SUCCEEDED if code is Exit.CANCELLED else code
