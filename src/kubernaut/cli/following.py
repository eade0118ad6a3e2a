"""Following an execution to its end: a line for every change, and the exit code that its end stands for."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from kubernaut.cli.advice import has_ended, next_commands
from kubernaut.cli.exits import Exit
from kubernaut.cli.failures import CommandFailed
from kubernaut.cli.lookup import short_name
from kubernaut.cli.options import in_namespace
from kubernaut.cli.output import Json, colour_of, moment, part, parts, span, took, value_at
from kubernaut.cli.screen import Line, drawn
from kubernaut.cli.session import versions_of
from kubernaut.cli.terminal import Terminal
from kubernaut.cluster import Cluster, ResourceKind, kinds
from kubernaut.concurrency import SystemClock

if TYPE_CHECKING:
    from kubernaut.cli.drawing import Place

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


@asynccontextmanager
async def waiting(
    terminal: Terminal, kind: ResourceKind, name: str, namespace: str, seconds: float | None
) -> AsyncGenerator[None]:
    """Around every wait: after so many seconds, or an interrupt, it says that the execution goes on, and how to
    follow it. Raises CommandFailed when the seconds run out.
    """
    again = f"kubernaut watch {shown_target(kind, name)}{in_namespace(namespace)}"
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise CommandFailed(
            f"{name} has not ended within {span(seconds or 0)}; it goes on",
            mend=f"Follow it with: {again}",
            code=Exit.TIMED_OUT,
        ) from None
    except asyncio.CancelledError:  # Ctrl-C: the event loop cancels what it runs
        terminal.remark(
            f"{name} goes on; follow it with: {again}, stop it with: {again.replace('watch', 'cancel', 1)}"
        )
        raise


async def follow(
    terminal: Terminal,
    cluster: Cluster,
    kind: ResourceKind,
    name: str,
    namespace: str,
    seconds: float | None = None,
) -> Exit:
    """Prints every change until the end. Raises CommandFailed when the seconds run out."""
    progress = Drawing(terminal) if terminal.is_live and kind is kinds.WORKFLOW_EXECUTIONS else Progress(terminal)
    async with (
        waiting(terminal, kind, name, namespace, seconds),
        progress,
        aclosing(versions_of(cluster, kind, name, namespace)) as versions,
    ):
        found = await _last(versions, progress)
    if found is None:
        raise CommandFailed(f"{kind.kind} {name!r} was deleted while it was watched")
    progress.show_end(found)
    code = exit_for(found)
    assert code is not None, "it was followed until there was one"
    if code is not Exit.SUCCEEDED:
        for one in next_commands(found):
            terminal.remark(f"next: {one.command}  ({one.purpose})")
    return code


async def _last(versions: AsyncGenerator[Json | None, None], progress: "Progress") -> Json | None:
    """Shows every version until the execution has come to rest; None where it was deleted before."""
    async for found in versions:
        if found is None:
            return None
        progress.show(found)
        if exit_for(found) is not None and (has_ended(found) or _is_heard(found)):
            return found
    raise AssertionError("versions end with None")


def _is_heard(found: Json) -> bool:
    """Whether the controller has seen what was last asked of it."""
    seen = value_at(found, "status.observedGeneration") or 0
    return int(seen) >= int(value_at(found, "metadata.generation") or 0)


def shown_target(kind: ResourceKind, name: str) -> str:
    """As it would be typed: a WorkflowExecution needs no kind before its name."""
    return name if kind is kinds.WORKFLOW_EXECUTIONS else f"{short_name(kind)}/{name}"


class Progress:
    """Prints what changed from one version of an execution to the next."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._told: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def show(self, found: Json) -> None:
        alone = [part(found, "status")] if found["kind"] == "ActionExecution" else []
        for step in parts(found, "status.steps") or alone:
            self._show_step(step, found)

    def note(self, found: Json) -> None:
        """Takes a version as known: only what changes after it is shown."""
        for step in parts(found, "status.steps"):
            self._told[str(step["name"])] = _state(step)

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
        if self._told.get(name, "Pending") == _state(step) or (phase == "Pending" and not details):
            return
        self._told[name] = _state(step)
        self._terminal.say(
            f"{_since_start(step, found):>8}  {self._terminal.paint(phase.ljust(13), colour_of(phase))} {name}"
            + (f"  {details}" if details else "")
        )


class Drawing(Progress):
    """Draws the steps, what waits for what, and how far each is; on a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(terminal)
        self._found: Json | None = None
        self._places: list[Place] = []
        self._stack = AsyncExitStack()
        self._changed = asyncio.Event()
        self._clock = SystemClock()

    async def __aenter__(self) -> Self:
        self._changed = await self._stack.enter_async_context(drawn(self._terminal, self._picture))
        return self

    async def __aexit__(self, *reason: Any) -> None:
        await self._stack.__aexit__(*reason)

    def show(self, found: Json) -> None:
        from kubernaut.cli.drawing import places_of

        self._places = self._places or places_of(found)
        self._found = found
        self._changed.set()

    def show_end(self, found: Json) -> None:
        """The head line has said how it ended; what remains is why."""
        if value_at(found, "status.message"):
            self._terminal.say(f"  {found['status']['message']}")

    def _picture(self, height: int) -> Sequence[Line]:
        from kubernaut.cli.drawing import workflow_picture

        if self._found is None:
            return []
        plain = not self._terminal.has_unicode
        return workflow_picture(self._found, self._places, self._clock.now(), height, plain=plain)


def _state(step: Json) -> str:
    return f"{step.get('phase') or 'Pending'} {_details(step)}"


def _details(step: Json) -> str:
    told: list[str] = []
    attempts = step.get("attempts")  # a number on a step, a list on an ActionExecution
    count = attempts if isinstance(attempts, int) else len(parts(step, "attempts"))
    if count > 1:
        told.append(f"attempt {count}")
    if step.get("phase") == "Succeeded":
        told += [
            f"{key}={shown(value)}"
            for key, value in sorted(part(step, "outputs").items())
            if value not in ("", [])
        ]
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
