"""`kubernaut logs`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import Where, cluster_options, namespace_option
from kubernaut.cli.output import Json, part, value_at
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Cluster


@click.command("logs")
@click.argument("target", metavar="NAME")
@click.option("-s", "--step", help="Only this step's.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is written, until the pods end.")
@click.option("--tail", type=click.IntRange(min=0), help="Only that many lines of each pod.")
@namespace_option
@cluster_options
def command(
    target: str,
    step: str | None,
    follow: bool,
    tail: int | None,
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Print what the actions of an execution wrote.

    NAME is a WorkflowExecution's, or ae/NAME. Of pods that are gone, the recorded end is printed.
    """
    from kubernaut.cli.session import speak

    speak(_logs(current_terminal(), Where(kubeconfig, context, namespace), target, step, follow, tail))


async def _logs(
    terminal: Terminal, where: Where, target: str, step: str | None, follow: bool, tail: int | None
) -> None:
    from kubernaut.api import names
    from kubernaut.cli.lookup import parse_target
    from kubernaut.cli.session import connected, fetch, fetch_all
    from kubernaut.cluster import kinds

    kind, name = parse_target(target)
    namespace = where.namespace_or_default
    async with connected(where, terminal) as cluster:
        found = await fetch(cluster, kind, name, namespace)
        label = names.LABEL_WORKFLOW if kind is kinds.WORKFLOW_EXECUTIONS else names.LABEL_EXECUTION
        selector = f"{label}={names.label_value(name)}"
        if step:
            selector += f",{names.LABEL_STEP}={names.label_value(step)}"
        pods = (await cluster.list(kinds.PODS, namespace, label_selector=selector)).items
        pods.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        for pod in pods:
            await _print_pod(terminal, cluster, namespace, pod, follow, tail, prefixed=len(pods) > 1)
        if kind is kinds.ACTION_EXECUTIONS:
            executions = [found]
        else:
            executions = await fetch_all(cluster, kinds.ACTION_EXECUTIONS, namespace, selector)
    printed = bool(pods)
    alive = {
        value_at(pod, "metadata.labels") and pod["metadata"]["labels"].get(names.LABEL_EXECUTION) for pod in pods
    }
    for execution in executions:
        if names.label_value(execution["metadata"]["name"]) not in alive:
            printed |= _print_recorded(terminal, execution)
    if not printed:
        wanted = f"step {step!r} of {name}" if step else name
        raise CommandFailed(
            f"{wanted} has written nothing yet, or its pods are gone",
            mend=f"See how it stands: kubernaut describe {target} -n {namespace}",
        )


async def _print_pod(
    terminal: Terminal,
    cluster: "Cluster",
    namespace: str,
    pod: Json,
    follow: bool,
    tail: int | None,
    *,
    prefixed: bool,
) -> None:
    from kubernaut.api import names
    from kubernaut.cluster import BadRequest, NotFound

    labels = part(pod, "metadata.labels")
    title = f"{labels.get(names.LABEL_STEP) or pod['metadata']['name']}[{labels.get(names.LABEL_ATTEMPT, '1')}]"
    prefix = f"{terminal.paint(title, 'cyan')}  " if prefixed else ""
    name = str(pod["metadata"]["name"])
    rest = ""
    try:
        if not follow:
            rest = await cluster.logs(namespace, name, names.ACTION_CONTAINER, tail_lines=tail)
        else:
            async for piece in cluster.follow_logs(namespace, name, names.ACTION_CONTAINER, tail_lines=tail):
                *lines, rest = (rest + piece).split("\n")
                for line in lines:
                    terminal.say(prefix + line)
    except (BadRequest, NotFound) as error:  # its container has not started, or the pod has just gone
        terminal.remark(f"{title}: {error.message}")
    for line in rest.splitlines():
        terminal.say(prefix + line)


def _print_recorded(terminal: Terminal, execution: Json) -> bool:
    tail = value_at(execution, "status.logTail")
    if not tail:
        return False
    title = part(execution, "spec").get("step") or execution["metadata"]["name"]
    terminal.remark(f"{title}: the pod is gone; this is the recorded end of its log")
    terminal.say(str(tail).rstrip())
    return True
