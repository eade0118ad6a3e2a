"""`kubernaut logs`."""

from pathlib import Path
from typing import NamedTuple

import click

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.options import (
    Where,
    cluster_options,
    completed,
    execution_argument,
    in_namespace,
    namespace_option,
)
from kubernaut.cli.output import Json, part, parts, value_at
from kubernaut.cli.terminal import Terminal, current_terminal


class _Wanted(NamedTuple):
    target: str
    step: str
    follow: bool
    tail: int | None


@click.command("logs")
@execution_argument("wfe", "ae")
@click.option("-s", "--step", default="", help="Only this step's.", shell_complete=completed("steps_of"))
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is written, until the execution rests.")
@click.option("--tail", type=click.IntRange(min=0), help="Only that many lines of each pod.")
@namespace_option
@cluster_options
def command(
    name: str,
    step: str,
    follow: bool,
    tail: int | None,
    namespace: str | None,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Print what the actions of an execution wrote.

    NAME is a WorkflowExecution's, or ae/NAME. Of pods that are gone, the recorded end is printed. With --follow
    the steps that start later are read too.
    """
    from kubernaut.cli.session import speak

    wanted = _Wanted(name, step, follow, tail)
    speak(_logs(current_terminal(), Where(kubeconfig, context, namespace), wanted))


async def _logs(terminal: Terminal, where: Where, wanted: _Wanted) -> None:
    from kubernaut.api import names
    from kubernaut.cli.following import waiting
    from kubernaut.cli.lookup import parse_target
    from kubernaut.cli.session import connected, fetch, fetch_all
    from kubernaut.cli.tailing import Tails
    from kubernaut.cluster import kinds

    kind, name = parse_target(wanted.target)
    namespace = where.namespace_or_default
    is_workflow = kind is kinds.WORKFLOW_EXECUTIONS
    async with connected(where, terminal) as cluster:
        found = await fetch(cluster, kind, name, namespace)
        label = names.LABEL_WORKFLOW if is_workflow else names.LABEL_EXECUTION
        selector = f"{label}={names.label_value(name)}"
        if wanted.step:
            _check_step(found, wanted.step)
            selector += f",{names.LABEL_STEP}={names.label_value(wanted.step)}"
        prefixed = wanted.follow and is_workflow and not wanted.step
        tails = Tails(terminal, cluster, namespace, selector, wanted.tail, prefixed=prefixed)
        if wanted.follow and found.get("status", {}).get("completedAt") is None:
            async with waiting(terminal, kind, name, namespace, None):
                await tails.follow(kind, name, wanted.step)
            return
        pods = await tails.print_now()
        executions = (
            await fetch_all(cluster, kinds.ACTION_EXECUTIONS, namespace, selector) if is_workflow else [found]
        )
    alive = {part(pod, "metadata.labels").get(names.LABEL_EXECUTION) for pod in pods}
    gone = [one for one in executions if names.label_value(one["metadata"]["name"]) not in alive]
    recorded = [_print_recorded(terminal, execution) for execution in gone]
    if not pods and not any(recorded):
        what = f"step {wanted.step!r} of {name}" if wanted.step else name
        raise CommandFailed(
            f"{what} has written nothing yet, or its pods are gone",
            mend=f"See how it stands: kubernaut describe {wanted.target}{in_namespace(namespace)}",
        )


def _check_step(found: Json, step: str) -> None:
    from difflib import get_close_matches

    steps = [str(one["name"]) for one in (*parts(found, "spec.steps"), *parts(found, "spec.finally"))]
    if step in steps:
        return
    name = found["metadata"]["name"]
    if not steps:
        raise CommandFailed(f"{name} is a single action without steps", mend="Leave out --step.", code=Exit.USAGE)
    close = get_close_matches(step, steps, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(steps[:20])}"
    raise CommandFailed(f"{name} has no step {step!r}", mend=hint, code=Exit.USAGE)


def _print_recorded(terminal: Terminal, execution: Json) -> bool:
    tail = value_at(execution, "status.logTail")
    if not tail:
        return False
    title = part(execution, "spec").get("step") or execution["metadata"]["name"]
    terminal.remark(f"{title}: the pod is gone; this is the recorded end of its log")
    terminal.say(str(tail).rstrip())
    return True
