"""Which program a container's command means. Looks at folders, starts nothing."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from kubernaut.devcluster.node.runtime import StartRefused

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON = re.compile(r"(?:/usr(?:/local)?/bin/)?python3?(?:\.\d+)?")
_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.-][A-Za-z0-9_.-]*)\))")


def expand(text: str, known: Mapping[str, str]) -> str:
    """Kubernetes' `$(NAME)`; unknown names stay as they are, `$$` stands for one `$`."""

    def value_of(found: re.Match[str]) -> str:
        if found.group(1) == "$":
            return "$"
        return known.get(found.group(2), found.group(0))

    return _REFERENCE.sub(value_of, text)


def with_host_python(argv: Sequence[str]) -> list[str]:
    """The command with a bare `python3` taken to be the interpreter that we run in."""
    if argv and _PYTHON.fullmatch(argv[0]):
        return [sys.executable, *argv[1:]]
    return list(argv)


def with_host_packages(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with our own package, and those it needs, at the end of PYTHONPATH.

    An interpreter finds them by itself when they are installed; not when they were on the path of the
    program that runs the cluster.
    """
    given = environment.get("PYTHONPATH", "").split(":")
    parts = [part for part in given if part] + host_packages()
    return {**environment, "PYTHONPATH": ":".join(dict.fromkeys(parts))}


def host_packages() -> list[str]:
    """The folders that hold our own package and its dependencies."""
    own = Path(__file__).resolve().parents[3]
    return list(dict.fromkeys((str(own), str(Path(msgspec.__file__).resolve().parents[1]))))


def find_program(program: str, environment: Mapping[str, str], roots: Sequence[Path]) -> Path:
    """Where the program lies in one of the folders that make up the root, by its own name.

    Raises StartRefused, in a container runtime's words, when it is missing or not executable.
    """
    if not program:
        raise StartRefused("no command specified")
    if "/" in program:
        candidates = [program]
    else:
        folders = environment.get("PATH", DEFAULT_PATH).split(":")
        candidates = [f"{folder}/{program}" for folder in folders if folder]
    for candidate in candidates:
        for root in roots:
            found = resolve_in(root, candidate)
            if found is not None and found.is_file() and os.access(found, os.X_OK):
                return _by_own_name(root, candidate, found)
    where = "no such file or directory" if "/" in program else "executable file not found in $PATH"
    raise StartRefused(f'exec: "{program}": {where}')


def _by_own_name(root: Path, candidate: str, found: Path) -> Path:
    # Programs like busybox look at the name they were called by; an absolute link, though, would
    # lead to the host's files.
    named = root / candidate.lstrip("/")
    return named if named.resolve() == found.resolve() else found


def resolve_in(root: Path, path: str) -> Path | None:
    """A container's path as one of the host, links followed as if `root` were `/`."""
    here, left, hops = root, list(PurePosixPath(path).parts), 0
    while left:
        part = left.pop(0)
        if part == "/":
            here = root
            continue
        if part == "..":
            here = here if here == root else here.parent
            continue
        here /= part
        if here.is_symlink():
            hops += 1
            if hops > 40:
                return None
            left = [*PurePosixPath(os.readlink(here)).parts, *left]
            here = here.parent
    return here if here.exists() else None
