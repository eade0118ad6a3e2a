"""An image's layers laid over each other in a folder, as a container's root file system.

Nothing in an image is trusted: every path is resolved inside the folder, as a chroot would, so that neither
`..` nor a symbolic link can lead out of it; device files are left out and set-id bits dropped. Ownership is not
kept: the unpacking user owns the files. Source of the rules for whiteouts: OCI image specification 1.1, layer.md.
"""

import contextlib
import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import IO, cast

from kubernaut.oci.errors import ContentInvalid
from kubernaut.oci.layout import ImageLayout
from kubernaut.oci.media import (
    DOCKER_LAYER_GZIP,
    OCI_LAYER_GZIP,
    OCI_LAYER_TAR,
    Descriptor,
    ImageConfig,
)

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LINK_LIMIT = 40
_GZIP_TYPES = frozenset({OCI_LAYER_GZIP, DOCKER_LAYER_GZIP})


def unpack_image(
    layout: ImageLayout,
    digest: str,
    folder: Path,
    *,
    limit_bytes: int = 4 << 30,
    shared: Path | None = None,
) -> ImageConfig:
    """Lay an image's files into `folder` (made when absent) and return its configuration.

    shared: a folder that keeps what lies below the topmost layer, for images that have that in common. The
        files are then hard links: nobody may ever write into them.

    Raises ContentInvalid when a layer is damaged, is of an unknown kind, or the image would unpack to more than
    `limit_bytes`; the folder is then incomplete and the caller removes it.
    """
    manifest = layout.manifest(digest)
    config = layout.config(manifest)
    diff_ids = config.rootfs.diff_ids if config.rootfs is not None else ()
    if len(diff_ids) != len(manifest.layers):
        raise ContentInvalid(f"{digest}: {len(manifest.layers)} layers, but {len(diff_ids)} diff ids")
    folder.mkdir(parents=True, exist_ok=True)
    layers = list(zip(manifest.layers, diff_ids, strict=True))
    if shared is not None and len(layers) > 1:
        limit_bytes -= _lay_shared(layout, layers[:-1], folder, limit_bytes, shared)
        layers = layers[-1:]
    _lay_all(layout, layers, folder, limit_bytes)
    return config


_Layers = list[tuple[Descriptor, str]]


def _lay_all(layout: ImageLayout, layers: _Layers, folder: Path, limit_bytes: int) -> int:
    size = 0
    for layer, diff_id in layers:
        size += _unpack_layer(layout, layer, diff_id, folder, limit_bytes - size)
    return size


def _lay_shared(layout: ImageLayout, layers: _Layers, folder: Path, limit_bytes: int, shared: Path) -> int:
    """Link the common part into the folder, making it first where it is not there; bytes unpacked for it."""
    kept = shared / hashlib.sha256(" ".join(diff_id for _, diff_id in layers).encode()).hexdigest()
    size = 0
    if not kept.is_dir():
        shared.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=shared, prefix=".unpacking-"))
        try:
            size = _lay_all(layout, layers, beside, limit_bytes)
            beside.chmod(0o755)
            with contextlib.suppress(OSError):  # somebody else was faster: theirs is the same
                beside.rename(kept)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(kept, folder, symlinks=True, copy_function=_link_or_copy, dirs_exist_ok=True)
    return size


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or too many links
        shutil.copy2(source, target, follow_symlinks=False)


def _unpack_layer(layout: ImageLayout, layer: Descriptor, diff_id: str, folder: Path, budget: int) -> int:
    if layer.media_type not in _GZIP_TYPES and layer.media_type != OCI_LAYER_TAR:
        raise ContentInvalid(f"{layer.digest}: cannot unpack a layer of type {layer.media_type!r}")
    with layout.require(layer).open("rb") as raw:
        packed = layer.media_type in _GZIP_TYPES
        plain = _Counting(cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw, budget)
        try:
            with tarfile.open(fileobj=cast(IO[bytes], plain), mode="r|") as tar:
                _Layer(folder).lay(tar)
            plain.drain()
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ContentInvalid(f"{layer.digest}: damaged layer: {error}") from error
    if plain.digest != diff_id:
        # Of the plain bytes: this also stands for the digest of the packed ones, which were unpacked to them.
        raise ContentInvalid(f"{layer.digest}: unpacks to {plain.digest}, the configuration says {diff_id}")
    return plain.size


class _Layer:
    """One layer on its way into the folder."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        self._laid: set[Path] = set()

    def lay(self, tar: tarfile.TarFile) -> None:
        for entry in tar:
            parts = [part for part in entry.name.split("/") if part not in {"", "."}]
            if ".." in parts:
                raise ContentInvalid(f"layer entry {entry.name!r} leads upwards")
            if not parts:
                continue
            parent = self._inside(parts[:-1])
            if parts[-1] == _OPAQUE:
                self._empty(parent)
            elif parts[-1].startswith(_WHITEOUT):
                self._remove(parent / _plain_name(parts[-1]))
            else:
                self._place(tar, entry, parent / parts[-1])

    def _place(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
        self._laid.add(target)
        if entry.isdir():
            if target.is_symlink() or not target.is_dir():
                self._remove(target)
                target.mkdir()
            # The unpacking user must be able to go on writing below it.
            target.chmod((entry.mode & 0o777) | 0o700)
            return
        if not (entry.isreg() or entry.issym() or entry.islnk()):
            return
        self._remove(target)
        if entry.issym():
            target.symlink_to(entry.linkname)
        elif entry.islnk():
            source = self._inside([p for p in entry.linkname.split("/") if p not in {"", "."}], create=False)
            os.link(source, target, follow_symlinks=False)
        else:
            content = tar.extractfile(entry)
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as file:
                if content is not None:
                    shutil.copyfileobj(content, file, 1 << 18)
            target.chmod(entry.mode & 0o777)

    def _inside(self, parts: list[str], *, create: bool = True) -> Path:
        """The real place of a path, links followed as if the folder were the root."""
        at = self._root
        todo = list(reversed(parts))
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                at = at if at == self._root else at.parent
                continue
            step = at / part
            # The last part of a hard link's source may itself be a link: that is what is linked.
            if step.is_symlink() and (create or todo):
                links += 1
                if links > _LINK_LIMIT:
                    raise ContentInvalid(f"layer entry {'/'.join(parts)!r}: too many symbolic links")
                target = str(step.readlink())
                at = self._root if target.startswith("/") else at
                todo += reversed(target.split("/"))
                continue
            if create and not step.is_dir():
                self._remove(step)
                step.mkdir(mode=0o755)
            at = step
        if not create and not (at.exists() or at.is_symlink()):
            raise ContentInvalid(f"layer has a hard link to {'/'.join(parts)!r}, which is not there")
        return at

    def _empty(self, folder: Path) -> None:
        # An opaque whiteout hides what lower layers laid, never what this layer did, in whatever order.
        for child in folder.iterdir():
            if child not in self._laid and not any(child in laid.parents for laid in self._laid):
                self._remove(child)

    def _remove(self, path: Path) -> None:
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)


def _plain_name(whiteout: str) -> str:
    name = whiteout.removeprefix(_WHITEOUT)
    if name in {"", ".", ".."}:
        raise ContentInvalid(f"layer entry {whiteout!r} hides no file")
    return name


class _Counting:
    """Reads on, hashing and counting; too many bytes end it (a small layer can unpack to terabytes)."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        self._source = source
        self._limit = limit
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def read(self, size: int = -1) -> bytes:
        part = self._source.read(size)
        self.size += len(part)
        if self.size > self._limit:
            raise ContentInvalid("the image unpacks to more bytes than are allowed")
        self._hash.update(part)
        return part

    def drain(self) -> None:
        while self.read(1 << 18):
            pass
