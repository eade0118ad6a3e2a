"""What starts containers: the one interface that real, scripted and simulated runtimes keep."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kubernaut.devcluster.node.images import Image
from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.mounts import Mount
from kubernaut.devcluster.objects import Object

SIGTERM, SIGKILL = 15, 9


class StartRefused(Exception):
    """The container cannot be started as asked; ends as `StartError`, exit code 128."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that a runtime needs to know of one start of one container."""

    pod: Object
    name: str
    image_name: str
    image: Image | None
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    working_dir: str
    mounts: tuple[Mount, ...]
    folder: Path
    """Belongs to this start alone: for a writable root, sockets and the like."""
    termination_path: str
    """Where the container writes its termination message."""
    termination_file: Path
    """Where that file lies on the host."""
    user: tuple[int, int] = (0, 0)
    read_only_root: bool = False
    capabilities: tuple[str, ...] = ()
    """Names without `CAP_`; all others are taken away, where the runtime can."""
    privileged: bool = False
    hostname: str = ""
    memory_limit: int | None = None
    """Bytes; of real processes, and of models that say what they need."""
    on_ready: Callable[[bool], None] = lambda _ready: None
    """To be told when the running container becomes ready, or is no longer."""


class Running(Protocol):
    """One container under way."""

    @property
    def out_of_memory(self) -> bool:
        """Whether it was killed because it outgrew its memory limit."""
        ...

    async def wait(self) -> int:
        """Its exit code; 128 + signal when it was killed. The log is complete by then."""
        ...

    def signal(self, number: int) -> None:
        """SIGTERM or SIGKILL; nothing when it has ended."""
        ...

    @property
    def is_probed(self) -> bool:
        """Whether probes and hooks are for it. What only pretends says itself when it is ready."""
        ...

    async def execute(self, argv: tuple[str, ...]) -> tuple[int, bytes]:
        """Run a command inside: its exit code and what it wrote. Raises OSError when it cannot be started.

        Cancelled, it kills the command.
        """
        ...


class Runtime(Protocol):
    """One way of running containers."""

    @property
    def name(self) -> str:
        """As told in the node's status and in notices."""
        ...

    @property
    def notice(self) -> str:
        """What a user must know about its isolation; empty when there is nothing to warn of."""
        ...

    def start_delay(self, pod: Object) -> float:
        """Seconds that go by before `start`, as a simulation may want them."""
        ...

    async def start(self, spec: ContainerSpec, log: ContainerLog) -> Running:
        """Raises StartRefused."""
        ...
