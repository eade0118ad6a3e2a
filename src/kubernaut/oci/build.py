"""Images made from files, the same bytes each time.

A layer is a gzip-packed tar with sorted entries, no times, no owners; a configuration has no dates. The same files
give the same digests wherever the same zlib packs them (`diff_id`, the digest before packing, is the same
everywhere).
"""

import gzip
import hashlib
import io
import platform
import stat
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

import msgspec

from kubernaut.oci.errors import ContentInvalid
from kubernaut.oci.layout import ImageLayout
from kubernaut.oci.media import (
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    Platform,
    RootFs,
    RunConfig,
    to_json,
)

_GZIP_LEVEL = 6
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One entry of a layer. Exactly one of `content`, `source`, `link` is given; none of them is a folder."""

    path: str
    mode: int = 0o644
    content: bytes | None = None
    source: Path | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that lies in a layout."""

    descriptor: Descriptor
    diff_id: str


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """What is said about an image besides its layers."""

    entrypoint: tuple[str, ...]
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    working_dir: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


def host_architecture() -> str:
    """This machine's architecture as images name it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def files_below(folder: Path, prefix: str = "") -> list[LayerFile]:
    """Everything in a folder as layer entries below `prefix`; special files are left out.

    Modes are reduced to 755 and 644, so that a umask or a checkout cannot change a digest.
    """
    found: list[LayerFile] = []
    for path in sorted(folder.rglob("*")):
        name = str(PurePosixPath(prefix) / path.relative_to(folder).as_posix())
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            found.append(LayerFile(name, 0o777, link=str(path.readlink())))
        elif stat.S_ISDIR(status.st_mode):
            found.append(LayerFile(name, 0o755))
        elif stat.S_ISREG(status.st_mode):
            found.append(LayerFile(name, 0o755 if status.st_mode & 0o111 else 0o644, source=path))
    return found


def build_layer(layout: ImageLayout, files: Iterable[LayerFile]) -> Layer:
    """Pack files into a layer and store it. Raises ContentInvalid for two different entries at one path."""
    entries = _with_folders(files)
    with layout.writing() as blob:
        packed = gzip.GzipFile("", "wb", compresslevel=_GZIP_LEVEL, fileobj=_as_file(blob), mtime=0)
        plain = _Hashing(packed)
        with tarfile.open(fileobj=_as_file(plain), mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(entries):
                _add(tar, path, entries[path])
        packed.close()
        digest = blob.keep()
        descriptor = Descriptor(media_type=OCI_LAYER_GZIP, digest=digest, size=blob.size)
    return Layer(descriptor, plain.digest)


def build_image(layout: ImageLayout, layers: Iterable[Layer], recipe: ImageRecipe) -> Descriptor:
    """Store configuration and manifest of an image; the layers lie in the layout already."""
    layers = tuple(layers)
    config = ImageConfig(
        architecture=host_architecture(),
        os="linux",
        config=RunConfig(
            user=recipe.user,
            env=tuple(f"{key}={value}" for key, value in sorted(recipe.env.items())) or None,
            entrypoint=recipe.entrypoint,
            working_dir=recipe.working_dir,
            labels=recipe.labels or None,
        ),
        rootfs=RootFs(diff_ids=tuple(layer.diff_id for layer in layers), type="layers"),
    )
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=layout.write(to_json(config), OCI_CONFIG),
        layers=tuple(layer.descriptor for layer in layers),
        annotations=recipe.annotations,
    )
    written = layout.write(to_json(manifest), OCI_MANIFEST)
    return msgspec.structs.replace(written, platform=Platform(architecture=config.architecture, os="linux"))


def _with_folders(files: Iterable[LayerFile]) -> dict[str, LayerFile]:
    entries: dict[str, LayerFile] = {}
    for file in files:
        path = PurePosixPath(file.path.lstrip("/"))
        if not path.parts or ".." in path.parts:
            raise ContentInvalid(f"{file.path!r} is not a path of a file in an image")
        for parent in path.parents:
            if parent.parts and not _is_folder(entries.setdefault(str(parent), LayerFile(str(parent), 0o755))):
                raise ContentInvalid(f"{str(parent)!r} is both a folder and a file")
        known = entries.get(str(path))
        if known is not None and _is_folder(known) != _is_folder(file):
            raise ContentInvalid(f"{file.path!r} is both a folder and a file")
        entries[str(path)] = file
    return entries


def _is_folder(file: LayerFile) -> bool:
    return file.content is None and file.source is None and file.link is None


def _add(tar: tarfile.TarFile, path: str, file: LayerFile) -> None:
    entry = tarfile.TarInfo(path)
    entry.mode = file.mode
    if file.link is not None:
        entry.type = tarfile.SYMTYPE
        entry.linkname = file.link
        tar.addfile(entry)
    elif file.source is not None:
        with file.source.open("rb") as content:
            entry.size = file.source.stat().st_size
            tar.addfile(entry, content)
    elif file.content is not None:
        entry.size = len(file.content)
        tar.addfile(entry, io.BytesIO(file.content))
    else:
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)


class _Writes(Protocol):
    def write(self, part: bytes, /) -> int: ...


def _as_file(sink: _Writes) -> IO[bytes]:
    # gzip and tarfile (in stream mode) only ever call write(); their annotations ask for a whole file.
    return sink  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


class _Hashing:
    """Passes bytes on and hashes them: the digest of a layer before it is packed."""

    def __init__(self, sink: _Writes) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, part: bytes) -> int:
        self._hash.update(part)
        return self._sink.write(part)
