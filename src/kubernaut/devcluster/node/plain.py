"""Containers as plain processes, where nothing better is to be had. No isolation whatever.

The command runs out of the image's unpacked folder. Since nothing can be mounted, paths of the
container are rewritten to where the files really lie, in the command, in PYTHONPATH, PATH and in
variables that hold exactly such a path.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.processes import Command, RunningProcess, dying_with_parent, start_process
from kubernaut.devcluster.node.programs import find_program, with_host_packages, with_host_python
from kubernaut.devcluster.node.runtime import ContainerSpec, StartRefused
from kubernaut.devcluster.objects import Object

TERMINATION_LOG = "KUBERNAUT_TERMINATION_LOG"
SERVICEACCOUNT_DIR = "KUBERNAUT_SERVICEACCOUNT_DIR"
SERVICEACCOUNT = PurePosixPath("/var/run/secrets/kubernetes.io/serviceaccount")
_SEARCH_PATHS = frozenset({"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"})


class Plain:
    """Runs each container as a process group of the host, as the user who runs the cluster."""

    name = "plain"
    notice = (
        "containers run as plain processes of this machine, without isolation: they see its files "
        "and may change them; install bubblewrap to give them a sandbox"
    )

    def start_delay(self, pod: Object) -> float:
        return 0.0

    async def start(self, spec: ContainerSpec, log: ContainerLog) -> RunningProcess:
        """Raises StartRefused."""
        assert spec.image is not None
        root = spec.image.rootfs
        if not spec.read_only_root:
            root = spec.folder / "root"
            await asyncio.to_thread(shutil.copytree, spec.image.rootfs, root, symlinks=True)
        places = _Places(spec, root)
        argv, environment = list(spec.argv) or [""], dict(spec.environment)
        if spec.image.uses_host_python:
            argv, environment = with_host_python(argv), with_host_packages(environment)
        if not Path(argv[0]).is_absolute() or places.host(argv[0]) != argv[0]:
            argv[0] = str(find_program(argv[0], environment, [root, Path("/")]))
        argv = [argv[0], *(places.host(part) for part in argv[1:])]
        log.write(f"kubernaut: {self.notice}\n".encode())
        made = _environment(spec, environment, places)

        def enter(asked: tuple[str, ...], pid: int | None) -> Command:
            own = with_host_python(asked) if spec.image and spec.image.uses_host_python else asked
            command = dying_with_parent(places.command(own, environment, root))
            return Command(command, made, places.folder(spec.working_dir))

        return await start_process(
            dying_with_parent(argv),
            made,
            log,
            enter=enter,
            working_dir=places.folder(spec.working_dir),
            memory_limit=spec.memory_limit,
        )


class _Places:
    """Where a container's paths lie on the host: in a volume, in the image, or nowhere."""

    def __init__(self, spec: ContainerSpec, root: Path) -> None:
        self._root = root
        self._mounts = sorted(spec.mounts, key=lambda m: -len(m.path.parts))

    def host(self, text: str) -> str:
        if not text.startswith("/"):
            return text
        path = PurePosixPath(text)
        for mount in self._mounts:
            if path.is_relative_to(mount.path):
                return str(mount.source / path.relative_to(mount.path))
        inside = self._root / text.lstrip("/")
        return str(inside) if text != "/" and os.path.lexists(inside) else text

    def command(self, argv: Sequence[str], environment: Mapping[str, str], root: Path) -> list[str]:
        """A command with its paths rewritten. Raises OSError when there is no such program."""
        try:
            program = find_program(argv[0] if argv else "", environment, [root, Path("/")])
        except StartRefused as error:
            raise OSError(str(error)) from error
        return [str(program), *(self.host(part) for part in argv[1:])]

    def folder(self, text: str) -> Path:
        """A working directory; the image's root where there is no such folder."""
        found = Path(self.host(text))
        return found if text != "/" and found.is_dir() else self._root


def _environment(spec: ContainerSpec, given: Mapping[str, str], places: _Places) -> dict[str, str]:
    made: dict[str, str] = {}
    for key, value in given.items():
        if key in _SEARCH_PATHS:
            parts = value.split(":")
            both = [places.host(part) for part in parts] + (parts if key == "PATH" else [])
            made[key] = ":".join(dict.fromkeys(both))
        else:
            made[key] = places.host(value)
    made[TERMINATION_LOG] = str(spec.termination_file)
    account = next((m for m in spec.mounts if m.path == SERVICEACCOUNT), None)
    if account is not None:
        made[SERVICEACCOUNT_DIR] = str(account.source)
    return made
