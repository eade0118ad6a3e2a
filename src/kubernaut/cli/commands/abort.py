"""`kubernaut abort`."""

from pathlib import Path

import click

from kubernaut.cli.options import (
    Where,
    cluster_options,
    execution_argument,
    namespace_option,
    reason_option,
    timeout_option,
    wait_option,
)
from kubernaut.cli.terminal import current_terminal


@click.command("abort")
@execution_argument("wfe", "ae")
@namespace_option
@reason_option
@wait_option("Follow the execution to its end.")
@timeout_option
@cluster_options
def command(
    name: str,
    namespace: str | None,
    reason: str,
    wait: bool,
    timeout: float | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Stop an execution at once.

    Running steps are killed and `finally` does not run; what became of a step that was killed may be unknown. The
    same as cancel --abort. NAME is a WorkflowExecution's, or ae/NAME of a single action.
    """
    from kubernaut.cli.asking import stop
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, namespace)
    return speak(stop(current_terminal(), where, name, "abort", reason, wait=wait, seconds=timeout))
