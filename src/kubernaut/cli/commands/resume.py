"""`kubernaut resume`."""

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


@click.command("resume")
@execution_argument("wfe")
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
    """Let steps start again.

    Takes back what suspend asked for.
    """
    from kubernaut.cli.asking import hold
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, namespace)
    return speak(hold(current_terminal(), where, name, "resume", reason, wait=wait, seconds=timeout))
