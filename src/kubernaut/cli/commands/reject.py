"""`kubernaut reject`."""

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


@click.command("reject")
@execution_argument("wfe", "apr")
@click.option("--plan", default="", metavar="HASH", help="Only if this is the plan: as `describe` tells it.")
@namespace_option
@reason_option
@wait_option("Until the workflow has ended.")
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
    """Refuse the plan of a workflow that waits for an approval.

    The workflow ends as Failed (Rejected), and nothing of it has run. NAME is a WorkflowExecution's, or apr/NAME.
    """
    from kubernaut.cli.deciding import decide
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, namespace, as_user, as_groups)
    return speak(decide(current_terminal(), where, name, "reject", reason, plan, wait=wait, seconds=timeout))
