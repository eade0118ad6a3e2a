"""Following an execution to its end: a line for every change, and the exit code that its end stands for."""

import asyncio
from contextlib import aclosing
from typing import Any

from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.output import Json, colour_of, moment, part, parts, span, took, value_at
from kubernaut.cli.session import short_name, versions_of
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, ResourceKind

_ENDS = {
    "Completed": Exit.SUCCEEDED,
    "PartiallyCompleted": Exit.SUCCEEDED,
    "Succeeded": Exit.SUCCEEDED,
    "Failed": Exit.FAILED,
    "RolledBack": Exit.FAILED,
    "TimedOut": Exit.TIMED_OUT,
    "Cancelled": Exit.CANCELLED,
    "Aborted": Exit.CANCELLED,
    # No ends, but nothing moves any more until a person acts.
    "WaitingApproval": Exit.WAITING,
    "Indeterminate": Exit.INDETERMINATE,
}
_REFUSED = "Refused"


def exit_for(found: Json) -> Exit | None:
    """The exit code of an execution that has ended or waits for a person; None while it moves."""
    status = part(found, "status")
    if status.get("phase") == "Failed" and status.get("reason") == _REFUSED:
        return Exit.REFUSED
    return _ENDS.get(str(status.get("phase")))


async def follow(
    terminal: Terminal,
    cluster: Cluster,
    kind: ResourceKind,
    name: str,
    namespace: str,
    seconds: float | None = None,
) -> Exit:
    """Prints every change until the end. Raises CommandFailed when the seconds run out."""
    progress = Progress(terminal)
    try:
        async with asyncio.timeout(seconds):
            async with aclosing(versions_of(cluster, kind, name, namespace)) as versions:
                async for found in versions:
                    if found is None:
                        raise CommandFailed(f"{kind.kind} {name!r} was deleted while it was watched")
                    progress.show(found)
                    code = exit_for(found)
                    if code is not None:
                        progress.show_end(found)
                        return code
    except TimeoutError:
        raise CommandFailed(
            f"{name} has not ended within {span(seconds or 0)}; it goes on",
            mend=f"Follow it with: kubernaut watch {short_name(kind)}/{name} -n {namespace}",
            code=Exit.TIMED_OUT,
        ) from None
    raise AssertionError("versions end with None")


class Progress:
    """Prints what changed from one version of an execution to the next."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._told: dict[str, str] = {}

    def show(self, found: Json) -> None:
        alone = [part(found, "status")] if found["kind"] == "ActionExecution" else []
        for step in parts(found, "status.steps") or alone:
            self._show_step(step, found)

    def show_end(self, found: Json) -> None:
        status: Json = found["status"]
        phase = str(status["phase"])
        line = f"{found['metadata']['name']} {self._terminal.paint(phase, colour_of(phase))}"
        duration = took(status.get("startedAt"), status.get("completedAt"))
        self._terminal.say(f"{line} in {duration}" if duration else line)
        if status.get("message"):
            self._terminal.say(f"  {status['message']}")

    def _show_step(self, step: Json, found: Json) -> None:
        name = str(step.get("name") or found["metadata"]["name"])
        phase = str(step.get("phase") or "Pending")
        details = _details(step)
        if self._told.get(name, "Pending") == f"{phase} {details}" or (phase == "Pending" and not details):
            return
        self._told[name] = f"{phase} {details}"
        self._terminal.say(
            f"{_since_start(step, found):>8}  {self._terminal.paint(phase.ljust(13), colour_of(phase))} {name}"
            + (f"  {details}" if details else "")
        )


def _details(step: Json) -> str:
    told: list[str] = []
    attempts = step.get("attempts")  # a number on a step, a list on an ActionExecution
    count = attempts if isinstance(attempts, int) else len(parts(step, "attempts"))
    if count > 1:
        told.append(f"attempt {count}")
    if step.get("phase") == "Succeeded":
        told += [f"{key}={shown(value)}" for key, value in sorted(part(step, "outputs").items())]
    elif step.get("reason") or step.get("message"):
        told.append(": ".join(str(step[key]) for key in ("reason", "message") if step.get(key)))
    return " ".join(told)


def shown(value: Any) -> str:
    """An output's value, short enough for a line."""
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def _since_start(step: Json, found: Json) -> str:
    """When this happened, counted from the beginning of the execution."""
    start = moment(value_at(found, "status.startedAt"))
    happened = moment(step.get("completedAt") or step.get("startedAt"))
    return f"+{span((happened - start).total_seconds())}" if start and happened else ""
