"""`kubernaut cancel`."""

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


@click.command("cancel")
@execution_argument("wfe", "ae")
@namespace_option
@click.option("--abort", is_flag=True, help="Stop at once: running steps are killed, `finally` does not run.")
@reason_option
@wait_option("Follow the execution to its end.")
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

    Running steps are stopped, nothing new starts, `finally` runs. What has been done stays done. NAME is a
    WorkflowExecution's, or ae/NAME of a single action.
    """
    from kubernaut.cli.asking import stop
    from kubernaut.cli.session import speak

    what = "abort" if abort else "cancel"
    where = Where(kubeconfig, context, namespace)
    return speak(stop(current_terminal(), where, name, what, reason, wait=wait, seconds=timeout))
