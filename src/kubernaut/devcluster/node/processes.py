"""Processes that are a container: started in a group of their own, logged, ended for certain."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubernaut.concurrency import SystemClock
from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.memory import outgrown, tree_of
from kubernaut.devcluster.node.runtime import StartRefused

_CHUNK = 2**16
# A descendant that left the process group may keep the pipe open for ever.
_LAST_WORDS = 1.0
_DIE_WITH_PARENT = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9)\n"  # PR_SET_PDEATHSIG, SIGKILL
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command as the host starts it."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    working_dir: Path | None = None


Enter = Callable[[tuple[str, ...], int | None], Command]
"""(a container's command, the host's number of its first process) -> what to start on the host.

`{errors}` in it becomes a descriptor for the words why the command could not be started. Raises OSError.
"""


class RunningProcess:
    """One process group, and the pid inside it that signals are meant for."""

    is_probed = True

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        log: ContainerLog,
        info: int | None,
        memory_limit: int | None,
        enter: Enter,
    ) -> None:
        self.out_of_memory = False
        self._enter = enter
        self._process = process
        self._log = log
        self._info = info
        self._memory_limit = memory_limit
        self._target: int | None = None
        self._ended = False

    async def wait(self) -> int:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_copy(stdout, self._log))
                code = await self._wait_within_memory(group)
                self._ended = True
                kill_group(self._process)
                await asyncio.wait((reading,), timeout=_LAST_WORDS)
                reading.cancel()
        finally:
            self.kill_now()
            if self._info is not None:
                os.close(self._info)
                self._info = None
            # Also when cancelled: an unreaped child would outlive the event loop.
            await self._process.wait()
        return 128 - code if code < 0 else code

    async def _wait_within_memory(self, group: asyncio.TaskGroup) -> int:
        if self._memory_limit is None:
            return await self._process.wait()
        watching = group.create_task(self._watch_memory(self._memory_limit))
        try:
            return await self._process.wait()
        finally:
            watching.cancel()

    async def _watch_memory(self, limit: int) -> None:
        # Processes live in real time, whatever the cluster's clock says.
        await outgrown(self._process.pid, limit, SystemClock())
        self.out_of_memory = True
        # As a control group does it: all of them, also those that left the process group.
        for pid in tree_of(self._process.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def signal(self, number: int) -> None:
        if self._ended:
            return
        with contextlib.suppress(ProcessLookupError):
            if (inner := self._inner()) is not None:
                os.kill(inner, number)
            else:
                os.killpg(self._process.pid, number)

    async def execute(self, argv: tuple[str, ...]) -> tuple[int, bytes]:
        """Run a command inside. Raises OSError."""
        command = self._enter(argv, self._inner())
        reader, writer = os.pipe()
        try:
            try:
                process = await start_group(
                    [str(writer) if part == "{errors}" else part for part in command.argv],
                    command.environment,
                    working_dir=command.working_dir,
                    pass_fds=(writer,),
                    output=asyncio.subprocess.PIPE,
                )
            finally:
                os.close(writer)
            code, output = await _finished(process)
            os.set_blocking(reader, False)
            # What keeps the other end open has been started.
            with contextlib.suppress(BlockingIOError):
                if why := os.read(reader, _CHUNK):
                    raise OSError(why.decode(errors="replace"))
        finally:
            os.close(reader)
        return code, output

    def kill_now(self) -> None:
        """For the end of the node: no waiting, no code."""
        if not self._ended:
            self._ended = True
            kill_group(self._process)

    def _inner(self) -> int | None:
        """The container's first process, where a sandbox stands between it and us."""
        if self._target is None and self._info is not None:
            with contextlib.suppress(BlockingIOError, ValueError, KeyError):
                self._target = int(json.loads(os.read(self._info, 4096))["child-pid"])
        return self._target


async def _finished(process: asyncio.subprocess.Process) -> tuple[int, bytes]:
    """Exit code and the beginning of the output; when cancelled the whole group is killed."""
    assert process.stdout is not None
    try:
        output = await process.stdout.read(_CHUNK)
        while await process.stdout.read(_CHUNK):
            pass  # what is too long is not kept, and must not block the command
        code = await process.wait()
    finally:
        kill_group(process)
        await process.wait()
    return (128 - code if code < 0 else code), output


async def _copy(stream: asyncio.StreamReader, log: ContainerLog) -> None:
    while chunk := await stream.read(_CHUNK):
        log.write(chunk)


async def start_group(
    argv: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    working_dir: Path | None = None,
    pass_fds: Sequence[int] = (),
    output: int = asyncio.subprocess.DEVNULL,
) -> asyncio.subprocess.Process:
    """Start a process as leader of a group. Raises OSError; when cancelled the whole group is killed.

    asyncio itself would kill the leader alone; and bwrap's child, when bwrap dies before it has mapped
    the user, waits for ever.
    """
    starting = asyncio.ensure_future(  # noqa: TID251 - awaited on each way out
        asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            cwd=working_dir,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        process = await starting
        kill_group(process)
        await process.wait()
        raise


def kill_group(process: asyncio.subprocess.Process) -> None:
    """SIGKILL for a process and all that it has started, unless they left its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def start_process(
    argv: Sequence[str],
    environment: Mapping[str, str],
    log: ContainerLog,
    *,
    enter: Enter,
    working_dir: Path | None = None,
    info: bool = False,
    memory_limit: int | None = None,
) -> RunningProcess:
    """Start it; with `info` argv's `{info}` becomes a descriptor to which a sandbox tells its child.

    Raises StartRefused when the program cannot be started.
    """
    reader, writer = os.pipe() if info else (None, None)
    try:
        process = await start_group(
            [str(writer) if part == "{info}" else part for part in argv],
            environment,
            working_dir=working_dir,
            pass_fds=(writer,) if writer is not None else (),
            output=asyncio.subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        if reader is not None:
            os.close(reader)
        raise StartRefused(str(error)) from error
    finally:
        if writer is not None:
            os.close(writer)
    if reader is not None:
        os.set_blocking(reader, False)
    return RunningProcess(process, log, reader, memory_limit, enter)


def dying_with_parent(argv: Sequence[str]) -> list[str]:
    """The same command, killed by the kernel when the process that starts it ends in any way."""
    if (setpriv := shutil.which("setpriv")) is not None:
        return [setpriv, "--pdeathsig", "KILL", "--", *argv]
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *argv]
