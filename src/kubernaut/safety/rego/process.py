"""The worker process as seen by the one who started it: frames, a deadline, a new one when it is gone.

In this process a policy could hang or kill everything: recursion overflows the engine's stack, a cross product
never ends, a large range aborts. There it costs one process of 30 MB and an answer that says so.
"""

import asyncio
import importlib.util
import json
import signal
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernaut.concurrency import Clock, SystemClock

Json = dict[str, Any]

_MOST_ANSWER = 16 * 2**20
_GRACE_SECONDS = 10
"""How much later than the deadline a worker without a parent ends itself."""
# The engine's allocator would take a gigabyte of address space for itself, and the limit would mean nothing.
# The worker takes this out of its environment, which then is empty.
_ENVIRONMENT = {"MIMALLOC_ARENA_RESERVE": "16384"}
# The folders of our package without what their __init__ files load, and the one folder that holds the engine.
_START = """
import sys, types
home, engine = sys.argv[2:4]
for name in ("kubernaut", "kubernaut.safety", "kubernaut.safety.rego"):
    module = types.ModuleType(name)
    module.__path__ = [home + name.removeprefix("kubernaut").replace(".", "/")]
    sys.modules[name] = module
sys.path.append(engine)
from kubernaut.safety.rego.worker import main
main()
"""


@dataclass(frozen=True)
class Limits:
    """What one answer may cost."""

    seconds: float = 5.0
    load_seconds: float = 10.0
    """For starting a process and compiling a set in it."""
    memory: int = 512 * 2**20
    """Bytes of address space (RLIMIT_AS): the engine alone takes about 60 MB of it."""


class WorkerFailed(Exception):
    """The worker gave no answer; the next request goes to a new one."""


class WorkerProcess:
    """One worker at a time, one request at a time.

    `greeting` is asked of each new worker before anything else, which is how it gets its policies back.
    """

    def __init__(self, limits: Limits, clock: Clock | None = None) -> None:
        self.greeting: Json | None = None
        self.started = 0
        self._limits = limits
        self._clock = clock or SystemClock()
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def ask(self, request: Mapping[str, Any]) -> Json:
        """The worker's answer. Raises WorkerFailed when it is late, dies or says too much."""
        async with self._turn:
            if self._process is None:
                self._process = await self._start()
                if self.greeting is not None and request is not self.greeting:
                    await self._within_limits(self._process, self.greeting)
            return await self._within_limits(self._process, request)

    async def aclose(self) -> None:
        """Ends the worker; it may be asked again, and then starts anew."""
        async with self._turn:
            await self._end()

    async def _within_limits(self, process: Process, request: Mapping[str, Any]) -> Json:
        is_late = False
        seconds = self._limits.load_seconds if request is self.greeting else self._limits.seconds

        async def kill_when_late() -> None:
            nonlocal is_late
            await self._clock.sleep(seconds)
            is_late = True
            _kill(process)

        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(kill_when_late())
                try:
                    return await _exchange(process, request)
                except (OSError, EOFError, ValueError) as error:
                    await self._end(is_dead=not isinstance(error, ValueError))
                    message = self._told(process, error, late=seconds if is_late else 0)
                finally:
                    watch.cancel()
        except BaseException:
            # Cancelled in the middle of an answer: the next one who asks must not get it.
            await self._end()
            raise
        raise WorkerFailed(message)

    def _told(self, process: Process, error: Exception, *, late: float) -> str:
        if late:
            return f"the policies took longer than {late:g} s and were stopped"
        if isinstance(error, ValueError):
            return str(error)
        code = process.returncode or 0
        if code in (70, -signal.SIGABRT):
            return f"the policies used more than {self._limits.memory // 2**20} MiB of memory and were stopped"
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        why = "is there recursion or very deep nesting in them?"
        return f"the policies killed the process that evaluates them ({how}): {why}"

    async def _start(self) -> Process:
        self.started += 1
        home = Path(__file__).parents[2]
        found = importlib.util.find_spec("regorus")
        if found is None or found.origin is None:
            raise WorkerFailed("the Rego engine is not installed: pip install gordon-to-regorus")
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            "-c",
            _START,
            str(self._limits.memory),
            str(home),
            str(Path(found.origin).parents[1]),
            str(int(max(self._limits.seconds, self._limits.load_seconds)) + _GRACE_SECONDS),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_ENVIRONMENT,
        )

    async def _end(self, *, is_dead: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # Killing what has died already would take its exit code away from the event loop.
        if not is_dead:
            _kill(process)
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        # What it said before it ended is read to the end, or the pipe would stay open.
        if process.stdout is not None:
            await process.stdout.read()


async def _exchange(process: Process, request: Mapping[str, Any]) -> Json:
    assert process.stdin is not None
    assert process.stdout is not None
    body = json.dumps(request).encode()
    process.stdin.write(struct.pack(">I", len(body)) + body)
    await process.stdin.drain()
    (size,) = struct.unpack(">I", await process.stdout.readexactly(4))
    if size > _MOST_ANSWER:
        most = _MOST_ANSWER // 2**20
        raise ValueError(f"the policies gave an answer of {size // 2**20} MiB: at most {most} are read")
    answer: Json = json.loads(await process.stdout.readexactly(size))
    return answer


def _kill(process: Process) -> None:
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:  # it was quicker
            return
