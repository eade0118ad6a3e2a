"""The layers of kubernaut's own images: what is in them, and a cache so that they are packed once.

A layer's key is made of everything that decides its bytes; the same key gives the same layer.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path

import msgspec

from kubernaut.oci import Descriptor, ImageLayout, Layer, LayerFile, build_layer, files_below, sha256

CODE_FOLDER = "opt/kubernaut/src"
LIBRARY_FOLDER = "opt/kubernaut/lib"

# Raised when the rules below change what goes into a layer.
_RECIPE = 2
_LEFT_OUT = re.compile(r"(^|/)(__pycache__|tests?|\.hash)(/|$)|\.(pyc|pyx|pxd|pyi|c|h|cpp)$")
_CACHES = frozenset({"__pycache__", ".git", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache"})
REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")
# Hash pycs that are never checked against their source: an image's files do not change, and starting is faster.
_COMPILE = (
    "import compileall, py_compile, sys\n"
    "mode = py_compile.PycInvalidationMode.UNCHECKED_HASH\n"
    "done = compileall.compile_dir(sys.argv[1], ddir=sys.argv[2], quiet=1, workers=1, invalidation_mode=mode)\n"
    "sys.exit(0 if done else 1)\n"
)


class _Kept(msgspec.Struct, frozen=True):
    media_type: str
    digest: str
    size: int
    diff_id: str


class LayerCache:
    """Layers by key, in a folder that outlives the process and may be deleted at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._layout = ImageLayout.create(folder / "layers")

    def layer(self, key: str, files: Callable[[], Iterable[LayerFile]], layout: ImageLayout) -> Layer:
        """The layer of that key in `layout`; `files` is asked for only when it is not in the cache."""
        record = self.folder / "keys" / sha256(f"{_RECIPE} {zlib.ZLIB_RUNTIME_VERSION} {key}".encode())[7:]
        layer = self._kept(record)
        if layer is None:
            layer = build_layer(self._layout, files())
            described = layer.descriptor
            kept = _Kept(described.media_type, described.digest, described.size, layer.diff_id)
            record.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(record, msgspec.json.encode(kept))
        source, target = self._layout.require(layer.descriptor), layout.path(layer.descriptor.digest)
        if not target.exists():
            _link(source, target)
        return layer

    def _kept(self, record: Path) -> Layer | None:
        try:
            kept = msgspec.json.decode(record.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError):
            return None
        layer = Layer(Descriptor(media_type=kept.media_type, digest=kept.digest, size=kept.size), kept.diff_id)
        path = self._layout.path(kept.digest)
        return layer if path.exists() and path.stat().st_size == kept.size else None


def required_distributions(roots: Sequence[str]) -> list[metadata.Distribution]:
    """The installed distributions that these need, themselves included, by name.

    Requirements of extras, and those that are not installed because their marker does not hold here, are left out.
    """
    found: dict[str, metadata.Distribution] = {}
    todo = list(roots)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for requirement in found[name].requires or ():
            named = REQUIREMENT.match(requirement)
            if named is not None and "extra ==" not in requirement:
                todo.append(named[1])
    return [found[name] for name in sorted(found)]


def library_key(distributions: Sequence[metadata.Distribution]) -> str:
    """Decides the bytes of a layer of installed packages."""
    versions = " ".join(f"{d.name}=={d.version}" for d in distributions)
    return f"libraries {sys.implementation.cache_tag} {sys.version_info[:3]} {os.uname().machine} {versions}"


def library_files(distributions: Sequence[metadata.Distribution], staging: Path) -> list[LayerFile]:
    """Installed packages, compiled, without their tests, stubs and C sources."""
    for distribution in distributions:
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if ".." in file.parts or _LEFT_OUT.search(str(file)) or not source.is_file():
                continue
            if ".dist-info" in file.parts[0] and file.name not in {"METADATA", "entry_points.txt", "LICENSE"}:
                continue  # RECORD and INSTALLER tell of this machine
            _copy(source, staging / file)
    return _compiled(staging, f"/{LIBRARY_FOLDER}", LIBRARY_FOLDER)


def code_files(package: Path, rooms: Sequence[str], staging: Path) -> list[LayerFile]:
    """Rooms of this package, compiled; an empty list of rooms means all of it."""
    for source in code_sources(package, rooms):
        _copy(source, staging / package.name / source.relative_to(package))
    return _compiled(staging, f"/{CODE_FOLDER}", CODE_FOLDER)


def folder_files(sources: Path, staging: Path, prefix: str) -> list[LayerFile]:
    """Everything below a folder, compiled, without caches."""
    for source in sorted(p for p in sources.rglob("*") if p.is_file() and not _CACHES & set(p.parts)):
        _copy(source, staging / source.relative_to(sources))
    return _compiled(staging, f"/{prefix}", prefix)


def code_sources(package: Path, rooms: Sequence[str]) -> list[Path]:
    """The files of the rooms, and those beside them."""
    inside = [package / room for room in rooms] if rooms else [p for p in package.iterdir() if p.is_dir()]
    found = [p for p in package.iterdir() if p.is_file()]
    for folder in inside:
        found += [p for p in folder.rglob("*") if p.is_file()]
    return sorted(p for p in found if "__pycache__" not in p.parts)


def code_key(package: Path, rooms: Sequence[str]) -> str:
    """Decides the bytes of a layer of this package's code: names and contents of all files."""
    parts = [f"{p.relative_to(package)} {sha256(p.read_bytes())}" for p in code_sources(package, rooms)]
    return f"code {sys.implementation.cache_tag} {sys.version_info[:3]} {sha256('|'.join(parts).encode())}"


def staging_folder(cache: LayerCache) -> "tempfile.TemporaryDirectory[str]":
    """A folder for putting files together, gone afterwards."""
    cache.folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=cache.folder, prefix="staging-")


def compile_folder(folder: Path, shown_as: str) -> None:
    """Compile all Python files below a folder; tracebacks show them as below `shown_as`."""
    # In a process of its own, with fixed hashes: what is interned here must not show in the bytes.
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", _COMPILE, str(folder), shown_as],
        check=True,
        env={"PYTHONHASHSEED": "0", "PATH": os.defpath},
    )


def _compiled(staging: Path, shown_as: str, prefix: str) -> list[LayerFile]:
    compile_folder(staging, shown_as)
    return files_below(staging, prefix)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _write_whole(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)
