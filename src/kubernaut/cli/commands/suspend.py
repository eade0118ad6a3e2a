"""`kubernaut suspend`."""

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


@click.command("suspend")
@execution_argument("wfe")
@namespace_option
@reason_option
@wait_option("Until no step runs any more.")
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
    """Let nothing new start.

    Steps that run go on to their end. The time limit of the execution goes on too.
    """
    from kubernaut.cli.asking import hold
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, namespace)
    return speak(hold(current_terminal(), where, name, "suspend", reason, wait=wait, seconds=timeout))
