"""Every task has an owner, a name and an end."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any


class TaskEnded(Exception):
    """A task that should run for as long as its supervisor has returned: a bug, or a lost watch."""


class Supervisor:
    """A TaskGroup whose tasks have names and know whether they may end.

    If one task fails, all are cancelled and leaving the block raises an ExceptionGroup; each
    exception carries a note that names its task. `stop` ends all tasks and the block quietly.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def __aenter__(self) -> "Supervisor":
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._group.__aexit__(kind, error, trace)

    @property
    def names(self) -> list[str]:
        """The names of the tasks that run now."""
        return sorted(task.get_name() for task in self._tasks)

    def start(self, name: str, work: Coroutine[Any, Any, object], *, eternal: bool = False) -> asyncio.Task[None]:
        """Run the work under this name; an eternal task that returns raises TaskEnded."""
        guarded = self._guard(name, work, eternal)
        try:
            task = self._group.create_task(guarded, name=name)
        except RuntimeError:  # the group is closing; unstarted coroutines would warn
            guarded.close()
            work.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task cancelled before its first step never reaches `work`, which would warn.
        task.add_done_callback(lambda _: work.close())
        return task

    def stop(self) -> None:
        """Cancel every task; for the orderly end of a process, after its queues are drained."""
        self._stopping = True
        for task in list(self._tasks):
            task.cancel()

    async def _guard(self, name: str, work: Coroutine[Any, Any, object], eternal: bool) -> None:
        try:
            await work
        except Exception as error:
            error.add_note(f"in task {name!r}")
            raise
        if eternal and not self._stopping:
            raise TaskEnded(f"task {name!r} should never end, but it returned")
