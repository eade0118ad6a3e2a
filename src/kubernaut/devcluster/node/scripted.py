"""Action images played by Python functions, for tests: no process, no file system.

A script is registered for an image, by digest or by the whole reference. Nothing but tests does so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.runtime import SIGKILL, SIGTERM, ContainerSpec
from kubernaut.devcluster.objects import Object


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """How a scripted container ended."""

    exit_code: int = 0
    log: str = ""
    termination_message: str = ""


@dataclass(frozen=True, slots=True)
class ScriptStart:
    """What a script is given: all that a process would find."""

    environment: Mapping[str, str]
    pod: Object
    container: str
    argv: tuple[str, ...]
    files: Mapping[str, Path]
    """Mount path -> folder or file on the host, for volumes and the ServiceAccount's token."""
    log: Callable[[str], None]
    """Writes to the log while the script is running; newlines are the script's own."""
    terminated: asyncio.Event
    """Set by SIGTERM. A script that never looks is killed when the grace period is over."""


Script: TypeAlias = Callable[[ScriptStart], Awaitable[ScriptResult]]
Execute: TypeAlias = Callable[[ScriptStart, tuple[str, ...]], Awaitable[tuple[int, bytes]]]
"""Plays a command in the container: its exit code and output. Raises OSError when it cannot be started."""


class Scripted:
    """The runtime of images for which a script is registered."""

    name = "scripted"
    notice = ""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}
        self._executes: dict[str, Execute] = {}
        self.started: list[ScriptStart] = []
        """Every start, in order: at-most-once is a promise that tests count here."""

    def register(self, image: str, script: Script, execute: Execute | None = None) -> None:
        """`image` is a digest (`sha256:...`) or a whole reference. With `execute`, probes and hooks are for it."""
        self._scripts[image] = script
        if execute is not None:
            self._executes[image] = execute

    def knows(self, image: str) -> bool:
        return self._find(image) is not None

    def start_delay(self, pod: Object) -> float:
        return 0.0

    async def start(self, spec: ContainerSpec, log: ContainerLog) -> "RunningScript":
        script = self._find(spec.image_name)
        assert script is not None
        start = ScriptStart(
            environment=dict(spec.environment),
            pod=spec.pod,
            container=spec.name,
            argv=spec.argv,
            files={str(mount.path): mount.source for mount in spec.mounts},
            log=lambda text: log.write(text.encode()),
            terminated=asyncio.Event(),
        )
        self.started.append(start)
        _, _, digest = spec.image_name.partition("@")
        execute = self._executes.get(spec.image_name) or self._executes.get(digest)
        return RunningScript(script, start, spec.termination_file, log, execute)

    def _find(self, image: str) -> Script | None:
        _, _, digest = image.partition("@")
        return self._scripts.get(image) or self._scripts.get(digest)


class RunningScript:
    """A script under way, in the task that waits for it."""

    out_of_memory = False

    def __init__(
        self,
        script: Script,
        start: ScriptStart,
        termination_file: Path,
        log: ContainerLog,
        execute: Execute | None = None,
    ) -> None:
        self._script = script
        self._start = start
        self._termination_file = termination_file
        self._log = log
        self._killed = asyncio.Event()
        self._execute = execute

    @property
    def is_probed(self) -> bool:
        return self._execute is not None

    async def execute(self, argv: tuple[str, ...]) -> tuple[int, bytes]:
        if self._execute is None:
            raise OSError("the script plays no commands")
        return await self._execute(self._start, argv)

    async def wait(self) -> int:
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._run())
            killed = group.create_task(self._killed.wait())
            await asyncio.wait((work, killed), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            killed.cancel()
        return 128 + SIGKILL if work.cancelled() else work.result()

    async def _run(self) -> int:
        result = await self._script(self._start)
        if result.log:
            self._log.write(result.log.encode())
        if result.termination_message:
            self._termination_file.write_text(result.termination_message)
        return result.exit_code

    def signal(self, number: int) -> None:
        if number == SIGTERM:
            self._start.terminated.set()
        else:
            self._killed.set()
