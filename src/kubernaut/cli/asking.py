"""cancel, abort, suspend, resume: is there anything to ask for, asking, and waiting for what comes of it."""

from contextlib import aclosing

from kubernaut.cli.advice import has_ended, is_suspended, phase_of, was_asked
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.following import follow, waiting
from kubernaut.cli.lookup import parse_target, parse_workflow
from kubernaut.cli.options import Where, in_namespace
from kubernaut.cli.output import Json, parts, value_at
from kubernaut.cli.requests import ask, stop_action
from kubernaut.cli.session import connected, fetch, versions_of
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, kinds

_SAID = {
    "cancel": "running steps are stopped, nothing new starts",
    "abort": "running steps are killed, nothing new starts, `finally` does not run",
    "suspend": "running steps go on, nothing new starts",
    "resume": "steps start again",
}


async def stop(
    terminal: Terminal, where: Where, target: str, what: str, reason: str, *, wait: bool, seconds: float | None
) -> int:
    """Cancels or aborts. Exit code 0 when it ended so, or had ended before."""
    kind, name = parse_target(target)
    namespace = where.namespace_or_default
    async with connected(where, terminal) as cluster:
        found = await fetch(cluster, kind, name, namespace)
        if has_ended(found):
            terminal.say(f"{name} has already ended: {phase_of(found)}")
            return Exit.SUCCEEDED
        if kind is kinds.ACTION_EXECUTIONS:
            await _stop_action(terminal, cluster, found, what, reason)
        elif was_asked(found, "abort") or was_asked(found, what):
            terminal.say(f"{name} was asked to {'abort' if was_asked(found, 'abort') else what} already")
        else:
            await ask(cluster, name, namespace, what, reason)
            last = ", then `finally` runs" if what == "cancel" and parts(found, "spec.finally") else ""
            terminal.say(f"asked {name} to {what}: {_SAID[what]}{last}")
        if not wait:
            return Exit.SUCCEEDED
        code = await follow(terminal, cluster, kind, name, namespace, seconds)
    return Exit.SUCCEEDED if code is Exit.CANCELLED else code


async def _stop_action(terminal: Terminal, cluster: Cluster, found: Json, what: str, reason: str) -> None:
    name, place = found["metadata"]["name"], in_namespace(found["metadata"]["namespace"])
    workflow = value_at(found, "spec.workflowRef.name")
    if workflow:
        raise CommandFailed(
            f"{name} is a step of the WorkflowExecution {workflow}, which decides about it",
            mend=f"Stop the whole: kubernaut {what} {workflow}{place}",
        )
    if value_at(found, "spec.stop") is not None:
        terminal.say(f"{name} was asked to stop already")
        return
    await stop_action(cluster, found, what, reason)
    terminal.say(f"asked {name} to {what}: it is {'killed' if what == 'abort' else 'stopped'}")


async def hold(
    terminal: Terminal, where: Where, target: str, what: str, reason: str, *, wait: bool, seconds: float | None
) -> int:
    """Suspends or resumes; asking for what is so already changes nothing."""
    kind, name = kinds.WORKFLOW_EXECUTIONS, parse_workflow(target, "suspended" if what == "suspend" else "resumed")
    namespace = where.namespace_or_default
    place = in_namespace(namespace)
    async with connected(where, terminal) as cluster:
        found = await fetch(cluster, kind, name, namespace)
        if has_ended(found):
            raise CommandFailed(
                f"{name} has ended ({phase_of(found)}): there is nothing to {what}",
                mend=f"See what can be done: kubernaut describe {name}{place}",
            )
        if is_suspended(found) is (what == "suspend"):
            terminal.say(f"{name} is suspended already" if what == "suspend" else f"{name} is not suspended")
        else:
            await ask(cluster, name, namespace, what, reason)
            terminal.say(f"asked {name} to {what}: {_SAID[what]}")
        if what == "suspend":
            if wait:
                await _until_quiet(terminal, cluster, name, namespace, seconds)
            terminal.remark(f"Go on with: kubernaut resume {name}{place}")
            return Exit.SUCCEEDED
        return await follow(terminal, cluster, kind, name, namespace, seconds) if wait else Exit.SUCCEEDED


async def _until_quiet(
    terminal: Terminal, cluster: Cluster, name: str, namespace: str, seconds: float | None
) -> None:
    kind = kinds.WORKFLOW_EXECUTIONS
    async with (
        waiting(terminal, kind, name, namespace, seconds),
        aclosing(versions_of(cluster, kind, name, namespace)) as versions,
    ):
        async for found in versions:
            if found is None:
                raise CommandFailed(f"{name} was deleted while it was watched")
            running = [step["name"] for step in parts(found, "status.steps") if step.get("phase") == "Running"]
            if has_ended(found):
                terminal.say(f"{name} has ended: {phase_of(found)}")
                return
            if value_at(found, "status.suspended") and not running:
                terminal.say(f"{name} is suspended; nothing runs")
                return
