"""Containers in bubblewrap: own root, own processes, the host's network, no privileges.

The host's network is shared because the API server listens on loopback alone.
"""

import asyncio
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from kubernaut.devcluster.node.images import Image
from kubernaut.devcluster.node.logs import ContainerLog
from kubernaut.devcluster.node.mounts import Mount, Tree, bind_mounts, bind_trees
from kubernaut.devcluster.node.processes import Command, RunningProcess, kill_group, start_group, start_process
from kubernaut.devcluster.node.programs import (
    find_program,
    host_packages,
    resolve_in,
    with_host_packages,
    with_host_python,
)
from kubernaut.devcluster.node.runtime import ContainerSpec, StartRefused
from kubernaut.devcluster.objects import Object

_SYSTEM = frozenset({"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"})
_NETWORK = ("/etc/resolv.conf", "/etc/hosts")
# Of the host's /etc only what programs need to start, never passwords or keys.
_ETC = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)


class Bubblewrap:
    """Runs each container in a sandbox that `bwrap` makes."""

    name = "bubblewrap"
    notice = ""

    def __init__(self, program: str) -> None:
        self._program = program

    @classmethod
    async def find(cls) -> "Bubblewrap | None":
        """bubblewrap, when it is installed and this machine lets it make sandboxes."""
        program = shutil.which("bwrap")
        if program is None:
            return None
        command = [program, *_isolation("trial", (65532, 65532))]
        command += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "true"]
        trial = await start_group(command)
        try:
            return cls(program) if await trial.wait() == 0 else None
        finally:
            kill_group(trial)
            await trial.wait()

    def start_delay(self, pod: Object) -> float:
        return 0.0

    async def start(self, spec: ContainerSpec, log: ContainerLog) -> RunningProcess:
        """Raises StartRefused."""
        assert spec.image is not None
        if spec.privileged:
            raise StartRefused("a sandbox of bubblewrap cannot give a container privileges")
        root = await asyncio.to_thread(_root_of, spec, spec.image)
        argv, environment, roots = list(spec.argv), dict(spec.environment), [spec.image.rootfs]
        borrows = spec.image.uses_host_python
        if borrows:
            argv, environment = with_host_python(argv), with_host_packages(environment)
            roots.append(Path("/"))
        find_program(argv[0] if argv else "", environment, roots)
        # Variables that steer the dynamic linker are for the container, not for bwrap.
        own = {key: value for key, value in environment.items() if not key.startswith("LD_")}
        linker = [
            part
            for key, value in environment.items()
            if key.startswith("LD_")
            for part in ("--setenv", key, value)
        ]
        command = [
            self._program,
            *_isolation(spec.hostname, spec.user),
            *("--info-fd", "{info}"),
            *linker,
            *_capabilities(spec.capabilities),
            *_file_system(spec, root),
            *("--chdir", spec.working_dir, "--", *argv),
        ]

        def enter(argv: tuple[str, ...], pid: int | None) -> Command:
            if pid is None:
                raise OSError("the container's process is not known yet")
            inside = [sys.executable, "-I", "-S", inside_path, str(pid), spec.working_dir, "{errors}"]
            return Command([*inside, *(with_host_python(argv) if borrows else argv)], own)

        inside_path = str(Path(__file__).with_name("inside.py"))
        return await start_process(command, own, log, enter=enter, info=True, memory_limit=spec.memory_limit)


def _isolation(hostname: str, user: tuple[int, int]) -> list[str]:
    return [
        "--die-with-parent",
        # As in a real container the program is process 1: it gets the signals itself.
        "--as-pid-1",
        *("--unshare-user", "--uid", str(user[0]), "--gid", str(user[1])),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--hostname", hostname),
    ]


def _capabilities(names: Iterable[str]) -> list[str]:
    # They count within the sandbox alone: towards the machine nobody in it has any.
    return ["--cap-drop", "ALL", *(part for name in names for part in ("--cap-add", f"CAP_{name}"))]


def _root_of(spec: ContainerSpec, image: Image) -> Tree:
    if spec.read_only_root:
        return Tree(image.rootfs)
    # A copy for each start: simple, and cheap for images of a few files.
    copy = spec.folder / "root"
    shutil.copytree(image.rootfs, copy, symlinks=True)
    return Tree(copy, read_only=False)


def _file_system(spec: ContainerSpec, root: Tree) -> list[str]:
    assert spec.image is not None
    mounts, trees = list(spec.mounts), [root]
    taken = {mount.path for mount in mounts}
    borrowed = list(_NETWORK)
    if spec.image.uses_host_python:
        trees.append(Tree(Path("/"), only=_SYSTEM))
        borrowed += [*_ETC, *_python_folders()]
    for path in dict.fromkeys(borrowed):
        if Path(path).exists() and PurePosixPath(path) not in taken:
            mounts.append(Mount(Path(path), PurePosixPath(path), read_only=True))
    mounts.append(Mount(spec.termination_file, PurePosixPath(spec.termination_path)))
    tmp = [] if PurePosixPath("/tmp") in taken else ["--tmpfs", "/tmp"]
    own = [*("--proc", "/proc", "--dev", "/dev"), *tmp]
    missing = resolve_in(spec.image.rootfs, spec.working_dir) is None
    working_dir = ["--dir", spec.working_dir] if missing else []
    closed = ["--remount-ro", "/"] if spec.read_only_root else []
    return [*bind_trees(trees, _points(mounts)), *own, *bind_mounts(mounts), *working_dir, *closed]


def _points(mounts: Iterable[Mount]) -> list[Mount]:
    own = [Mount(Path("/"), PurePosixPath(path)) for path in ("/proc", "/dev", "/tmp")]
    return [*mounts, *own]


def _python_folders() -> list[str]:
    """Where the running interpreter and our own package lie, outside the system's folders."""
    found = [sys.prefix, sys.base_prefix, str(Path(sys.base_prefix).resolve()), *host_packages()]
    executable = Path(sys.executable)
    found.append(str(executable.resolve().parent.parent))
    return [path for path in found if len(Path(path).parts) > 1 and Path(path).parts[1] not in _SYSTEM]
