"""`kubernaut approve`."""

from pathlib import Path

import click

from kubernaut.cli.options import (
    Where,
    cluster_options,
    execution_argument,
    impersonation_options,
    namespace_option,
    reason_option,
    timeout_option,
    wait_option,
)
from kubernaut.cli.terminal import current_terminal


@click.command("approve")
@execution_argument("wfe", "apr")
@click.option("--plan", default="", metavar="HASH", help="Only if this is the plan: as `describe` tells it.")
@namespace_option
@reason_option
@wait_option("Follow the execution to its end.")
@timeout_option
@impersonation_options
@cluster_options
def command(
    name: str,
    plan: str,
    namespace: str | None,
    reason: str,
    wait: bool,
    timeout: float | None,
    as_user: str,
    as_groups: tuple[str, ...],
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Agree to the plan of a workflow that waits for it.

    The plan is printed. It may be read before: `kubernaut describe NAME` tells what would be done, and the hash
    for --plan, which makes sure that this very plan is meant. Whoever asked for a workflow cannot approve it.
    """
    from kubernaut.cli.deciding import decide
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, namespace, as_user, as_groups)
    return speak(decide(current_terminal(), where, name, "approve", reason, plan, wait=wait, seconds=timeout))
