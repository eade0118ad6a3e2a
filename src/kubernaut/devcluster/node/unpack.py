"""Image layers laid out as one folder, safely.

Nothing of an archive may reach outside its folder: names are resolved part by part against what
has been laid out so far, and a link on the way is never followed.
Source of the rules: OCI image specification, layer.md (whiteouts, hard links).
"""

import gzip
import os
import shutil
import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, cast

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_GZIP_MAGIC = b"\x1f\x8b"
_LARGEST = 4 * 2**30


class LayerRefused(Exception):
    """A layer that is no tar archive, is too large when unpacked, or tries to leave its folder."""


def unpack(layers: Iterable[bytes], root: Path) -> None:
    """Lay the layers out, lowest first, in an existing folder. Raises LayerRefused.

    Devices and sockets are left out: a container gets its own. Owners are not kept.
    """
    left = _LARGEST
    for layer in layers:
        try:
            with tarfile.open(fileobj=_open(layer), mode="r|") as archive:
                left = _lay_out(archive, root, left)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise LayerRefused(f"not a readable layer: {error}") from error


def _open(layer: bytes) -> IO[bytes]:
    if layer.startswith(_GZIP_MAGIC):
        return cast(IO[bytes], gzip.open(BytesIO(layer)))
    return BytesIO(layer)


def _lay_out(archive: tarfile.TarFile, root: Path, left: int) -> int:
    laid: set[Path] = set()  # an opaque whiteout hides lower layers only, not its own
    for member in archive:
        left -= member.size
        if left < 0:
            raise LayerRefused(f"larger than {_LARGEST} bytes when unpacked")
        name = PurePosixPath(member.name)
        target = _inside(root, name)
        if name.name == _OPAQUE:
            _clear(target.parent, laid)
        elif name.name.startswith(_WHITEOUT):
            _remove(_inside(root, name.with_name(name.name.removeprefix(_WHITEOUT))))
        else:
            _write(archive, member, target, root)
            laid.add(target)
    return left


def _inside(root: Path, name: PurePosixPath) -> Path:
    """Where a name lies, its parents made; a parent that is a link is replaced by a folder."""
    parts = [part for part in name.parts if part not in {"/", "."}]
    if ".." in parts:
        raise LayerRefused(f"{name} leaves the image")
    here = root
    for part in parts[:-1]:
        here = _enter(here / part, root, name)
    return here / parts[-1] if parts else here


def _enter(folder: Path, root: Path, name: PurePosixPath) -> Path:
    # Links to folders inside the image (/lib -> usr/lib) are common and may be followed; one that
    # leads out is refused, so that no later entry can be written through it.
    if folder.is_symlink():
        resolved = Path(os.path.realpath(folder))
        target = os.readlink(folder)
        if target.startswith("/"):
            resolved = Path(os.path.realpath(root / target.lstrip("/")))
        if not resolved.is_relative_to(os.path.realpath(root)):
            raise LayerRefused(f"{name} passes through a link that leaves the image")
        resolved.mkdir(parents=True, exist_ok=True)
        return resolved
    if not folder.is_dir():
        folder.unlink(missing_ok=True)
        folder.mkdir()
    return folder


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, root: Path) -> None:
    if member.isdir():
        if target.is_symlink() or not target.is_dir():
            _remove(target)
            target.mkdir()
        target.chmod(member.mode & 0o777 | 0o700)
        return
    _remove(target)
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        source = _inside(root, PurePosixPath(member.linkname))
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
        else:
            target.hardlink_to(source)
    elif member.isfile():
        content = archive.extractfile(member)
        assert content is not None
        with target.open("xb") as file:
            shutil.copyfileobj(content, file)
        # Set-uid bits have no place here: the folder lies on somebody's own machine.
        target.chmod(member.mode & 0o777 | 0o400)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _clear(folder: Path, keep: set[Path]) -> None:
    for entry in folder.iterdir():
        if entry in keep or any(kept.is_relative_to(entry) for kept in keep):
            continue
        _remove(entry)
