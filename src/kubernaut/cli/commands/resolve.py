"""`kubernaut resolve`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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
    reason_option,
    timeout_option,
    wait_option,
)
from kubernaut.cli.output import Json, part, parts, value_at
from kubernaut.cli.terminal import Terminal, current_terminal

if TYPE_CHECKING:
    from kubernaut.cluster import Cluster


@click.command("resolve")
@execution_argument("wfe")
@click.option("-s", "--step", help="Which one, where several are unknown.", shell_complete=completed("steps_of"))
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "failed"]),
    help="What really happened. Without it, everything that is known is printed.",
)
@namespace_option
@reason_option
@wait_option("Follow the execution to its end.")
@timeout_option
@cluster_options
def command(
    name: str,
    step: str | None,
    outcome: str | None,
    namespace: str | None,
    reason: str,
    wait: bool,
    timeout: float | None,
    kubeconfig: Path | None,
    context: str | None,
) -> int:
    """Say what became of a step of which nobody knows.

    A step is Indeterminate when its action may have changed something and its end was never recorded: a node
    died, somebody deleted its Job. It is never run again by itself. Look at the target, then say `succeeded` (what
    waits for the step goes on, without its outputs) or `failed` (the execution goes on as after any failure).
    """
    from kubernaut.cli.session import speak

    where = Where(kubeconfig, context, namespace)
    return speak(
        _resolve(current_terminal(), where, name, step or "", outcome or "", reason, wait=wait, seconds=timeout)
    )


async def _resolve(
    terminal: Terminal,
    where: Where,
    target: str,
    step: str,
    outcome: str,
    reason: str,
    *,
    wait: bool,
    seconds: float | None,
) -> int:
    from kubernaut.cli.advice import has_ended
    from kubernaut.cli.following import follow
    from kubernaut.cli.lookup import parse_workflow
    from kubernaut.cli.requests import ask
    from kubernaut.cli.session import connected, fetch
    from kubernaut.cluster import kinds

    kind, name, namespace = (
        kinds.WORKFLOW_EXECUTIONS,
        parse_workflow(target, "resolved"),
        where.namespace_or_default,
    )
    async with connected(where, terminal) as cluster:
        found = await fetch(cluster, kind, name, namespace)
        record = _meant(found, step, in_namespace(namespace))
        if not outcome:
            await _tell(terminal, cluster, found, record)
            return Exit.INDETERMINATE
        await ask(cluster, name, namespace, "resolve", reason, step=record["name"], outcome=outcome)
        terminal.say(f"said of step {record['name']} of {name}: {outcome}")
        if has_ended(found):
            terminal.remark(f"It has ended; go on with: kubernaut retry {name}{in_namespace(namespace)}")
            return Exit.SUCCEEDED
        return await follow(terminal, cluster, kind, name, namespace, seconds) if wait else Exit.SUCCEEDED


def _meant(found: Json, step: str, place: str) -> Json:
    """The record of the step that is to be resolved. Raises CommandFailed."""
    from kubernaut.cli.advice import unknown_steps

    name = found["metadata"]["name"]
    unknown = {record["name"]: record for record in unknown_steps(found)}
    listed = ", ".join(unknown) or "none"
    if step and step in unknown:
        return unknown[step]
    if step:
        records = {record["name"]: record for record in parts(found, "status.steps")}
        if step not in records:
            raise CommandFailed(
                f"{name} has no step {step!r}", mend=f"Of unknown outcome: {listed}", code=Exit.USAGE
            )
        raise CommandFailed(
            f"what became of step {step} is known: {records[step].get('phase') or 'Pending'}",
            mend=f"Of unknown outcome: {listed}",
        )
    if not unknown:
        raise CommandFailed(
            f"{name} has no step of unknown outcome", mend=f"See how it stands: kubernaut describe {name}{place}"
        )
    if len(unknown) > 1:
        raise CommandFailed(
            f"{name} has {len(unknown)} steps of unknown outcome",
            mend=f"Say which with --step: {listed}",
            code=Exit.USAGE,
        )
    return next(iter(unknown.values()))


async def _tell(terminal: Terminal, cluster: "Cluster", found: Json, record: Json) -> None:
    from kubernaut.cluster import ClusterError, kinds

    metadata = found["metadata"]
    execution: Json = {}
    try:
        execution = await cluster.get(
            kinds.ACTION_EXECUTIONS,
            str(part(record, "execution").get("name") or record["name"]),
            metadata["namespace"],
        )
    except ClusterError:  # it may be the very thing that is gone
        terminal.remark("its ActionExecution is gone")
    for line in _known(record, execution):
        terminal.say(line)
    typed = f"kubernaut resolve {metadata['name']} --step {record['name']}{in_namespace(metadata['namespace'])}"
    terminal.remark("Look at the target, then say what happened:")
    for outcome in ("succeeded", "failed"):
        terminal.remark(f"  {typed} --outcome {outcome}")


def _known(record: Json, execution: Json) -> Iterator[str]:
    from kubernaut.cli.following import shown

    yield f"step {record['name']}: {record.get('reason', '')}: {record.get('message', '')}"
    for key, value in part(execution, "spec.inputs").items():
        yield f"  input {key}: {shown(value)}"
    for attempt in parts(execution, "status.attempts"):
        told = " ".join(str(attempt[key]) for key in ("reason", "message") if attempt.get(key))
        yield f"  attempt {attempt['number']}: may have run: {attempt.get('executed', 'unknown')} {told}".rstrip()
    for change in parts(execution, "status.changes"):
        place = "/".join(str(change[key]) for key in ("kind", "namespace", "name") if change.get(key))
        yield f"  changed {place}: {shown(change.get('before'))} -> {shown(change.get('after'))}"
    if value_at(execution, "status.logTail"):
        yield "  the end of its log:"
        yield from (f"    {line}" for line in str(execution["status"]["logTail"]).splitlines())
