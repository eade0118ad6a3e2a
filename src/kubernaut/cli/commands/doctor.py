"""`kubernaut doctor`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed, failure_from
from kubernaut.cli.options import SYSTEM_NAMESPACE, Where, cluster_options, namespace_option
from kubernaut.cli.output import moment, value_at
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Cluster


class Finding(NamedTuple):
    """One thing that was looked at."""

    is_well: bool
    text: str
    mend: str = ""


@click.command("doctor")
@namespace_option
@cluster_options
def command(namespace: str | None, kubeconfig: Path | None, context: str | None) -> int:
    """Find out why it does not work.

    Looks at the connection, the installation, the controller and your permissions; changes nothing.
    """
    from kubernaut.cli.session import speak

    return speak(examine(current_terminal(), Where(kubeconfig, context, namespace)))


async def examine(terminal: Terminal, where: Where) -> int:
    """Prints every finding; the exit code of the worst."""
    from kubernaut.cli.session import connected
    from kubernaut.cluster import ClusterError

    worst = Exit.SUCCEEDED
    try:
        async with connected(where, terminal) as cluster:
            async for finding in findings(cluster, where.namespace_or_default):
                _tell(terminal, finding)
                if not finding.is_well:
                    worst = Exit.FAILED
    except ClusterError as error:
        failure = failure_from(error)
        assert failure is not None, "every ClusterError has words"
        # It need not be told to look further here.
        _tell(terminal, Finding(False, failure.message, failure.mend.partition(" Look further with")[0]))
        worst = failure.code
    return worst


def _tell(terminal: Terminal, finding: Finding) -> None:
    sign = terminal.paint("ok  ", "green") if finding.is_well else terminal.paint("BAD ", "red")
    terminal.say(f"{sign} {finding.text}")
    if finding.mend and not finding.is_well:
        terminal.say(f"     {finding.mend}")


async def findings(cluster: "Cluster", namespace: str) -> AsyncIterator[Finding]:
    """Everything that was looked at, in the order in which one thing needs the other."""
    version = await cluster.version()
    yield Finding(True, f"{cluster.connection.server} answers: Kubernetes {version.get('gitVersion')}")
    yield await _installation(cluster)
    yield await _namespace(cluster, namespace)
    yield await _controller(cluster)
    yield await _catalogue(cluster)
    async for finding in _permissions(cluster, namespace):
        yield finding


async def _installation(cluster: "Cluster") -> Finding:
    from kubernaut.cli.session import require_installation

    try:
        await require_installation(cluster)
    except CommandFailed as failure:
        return Finding(False, failure.message, failure.mend)
    return Finding(True, "kubernaut's kinds are installed and new enough")


async def _namespace(cluster: "Cluster", namespace: str) -> Finding:
    from kubernaut.cluster import Forbidden, NotFound, kinds

    try:
        await cluster.get(kinds.NAMESPACES, namespace)
    except NotFound:
        return Finding(False, f"there is no namespace {namespace}", "Make it with: kubernaut install --apply")
    except Forbidden:
        return Finding(True, f"namespace {namespace}: you may not look at it, which is fine")
    return Finding(True, f"namespace {namespace} is there")


async def _controller(cluster: "Cluster") -> Finding:
    from kubernaut.cluster import Forbidden, NotFound, kinds
    from kubernaut.concurrency import SystemClock

    mend = "Install it with: kubernaut install --apply   or run it here with: kubernaut controller"
    try:
        lease = await cluster.get(kinds.LEASES, "kubernaut-controller", SYSTEM_NAMESPACE)
    except NotFound:
        return Finding(False, "no controller has ever run here: nothing will be carried out", mend)
    except Forbidden:
        return Finding(True, "the controller's lease: you may not look at it")
    holder = value_at(lease, "spec.holderIdentity")
    renewed = moment(value_at(lease, "spec.renewTime"))
    silence = (SystemClock().now() - renewed).total_seconds() if renewed else None
    if not holder or silence is None:
        return Finding(False, "no controller leads at the moment: nothing is carried out", mend)
    if silence > float(value_at(lease, "spec.leaseDurationSeconds") or 15):
        return Finding(False, f"the controller {holder} has been silent for {silence:.0f} s", mend)
    return Finding(True, f"the controller {holder} leads")


async def _catalogue(cluster: "Cluster") -> Finding:
    from kubernaut.cli.session import fetch_all
    from kubernaut.cluster import Forbidden, kinds

    try:
        definitions = await fetch_all(cluster, kinds.ACTION_DEFINITIONS, None)
    except CommandFailed as failure:
        return Finding(False, failure.message, failure.mend)
    except Forbidden:
        return Finding(True, "the action catalogue: you may not look at it")
    if not definitions:
        return Finding(False, "the action catalogue is empty", "Fill it with: kubernaut install --apply")
    return Finding(True, f"the catalogue has {len(definitions)} actions")


async def _permissions(cluster: "Cluster", namespace: str) -> AsyncIterator[Finding]:
    from kubernaut.cluster import Access, kinds, may_i

    kind = kinds.WORKFLOW_EXECUTIONS
    for verb in ("create", "get", "list", "watch", "patch"):
        verdict = await may_i(cluster, Access(verb, kind.plural, kind.group, namespace))
        if not verdict.allowed:
            why = f" ({verdict.reason})" if verdict.reason else ""
            yield Finding(
                False, f"you may not {verb} {kind.plural} in {namespace}{why}", "Ask for that permission."
            )
            return
    yield Finding(True, f"you may create, follow and cancel executions in {namespace}")
