"""How a container's file system is put together from folders. PURE but for looking at folders.

Trees are laid over each other: the image, and for images without an interpreter of their own the
host below it. Nothing can be written into a read-only tree to hang a mount on, so folders on the
way to a mount point are made anew (in memory) and their entries bound one by one.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the host at a path of the container."""

    source: Path
    path: PurePosixPath
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder whose entries appear at the container's root."""

    root: Path
    read_only: bool = True
    only: frozenset[str] | None = None
    """Entries of the root that appear; None for all."""


def bind_trees(trees: Sequence[Tree], mounts: Iterable[Mount]) -> list[str]:
    """Arguments for bubblewrap: the trees, the first on top, open where a mount needs it."""
    points = {mount.path for mount in mounts}
    arguments: list[str] = []
    roots = [(tree, tree.root) for tree in trees]
    _open_folder(roots, PurePosixPath("/"), points, arguments)
    return arguments


def _open_folder(
    layers: Sequence[tuple[Tree, Path]],
    here: PurePosixPath,
    points: set[PurePosixPath],
    arguments: list[str],
) -> None:
    names: dict[str, list[tuple[Tree, Path]]] = {}
    for tree, folder in layers:
        for entry in _entries(folder):
            if str(here) != "/" or tree.only is None or entry in tree.only:
                names.setdefault(entry, []).append((tree, folder / entry))
    for name, found in sorted(names.items()):
        _bind_entry(found, here / name, points, arguments)


def _bind_entry(
    found: Sequence[tuple[Tree, Path]],
    path: PurePosixPath,
    points: set[PurePosixPath],
    arguments: list[str],
) -> None:
    tree, top = found[0]
    if path in points:
        return
    if top.is_symlink():
        arguments += ["--symlink", os.readlink(top), str(path)]
        return
    folders = [(t, p) for t, p in found if p.is_dir() and not p.is_symlink()]
    passed = any(path in point.parents for point in points)
    if top.is_dir() and (len(folders) > 1 or passed):
        arguments += ["--dir", str(path)]
        _open_folder(folders, path, points, arguments)
        return
    arguments += ["--ro-bind" if tree.read_only else "--bind", str(top), str(path)]


def _entries(folder: Path) -> list[str]:
    try:
        return [entry for entry in os.listdir(folder) if os.access(folder / entry, os.R_OK)]
    except PermissionError:
        return []


def bind_mounts(mounts: Iterable[Mount]) -> list[str]:
    """Arguments for bubblewrap: outer mounts before the ones inside them."""
    arguments: list[str] = []
    for mount in sorted(mounts, key=lambda m: len(m.path.parts)):
        arguments += ["--ro-bind" if mount.read_only else "--bind", str(mount.source), str(mount.path)]
    return arguments
