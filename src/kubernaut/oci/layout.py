"""A folder of images: the OCI image layout, read and written.

Source of the format: OCI image specification 1.1, image-layout.md. Blobs are named by their digest, so
writing one twice does no harm; files appear whole (written beside, then renamed).
"""

import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kubernaut.oci.errors import ContentInvalid, NotInRegistry
from kubernaut.oci.media import (
    INDEX_TYPES,
    OCI_INDEX,
    REF_NAME,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    check_digest,
    describe,
    from_json,
    to_json,
)
from kubernaut.oci.reference import is_digest

_LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'


class ImageLayout:
    """One layout folder.

    Reads verify digests: a damaged blob raises ContentInvalid, an absent one NotInRegistry.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path) -> "ImageLayout":
        """Make the folder a layout, unless it is one already."""
        (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        if not (folder / "oci-layout").exists():
            _write_whole(folder / "oci-layout", _LAYOUT_FILE)
        if not (folder / "index.json").exists():
            _write_whole(folder / "index.json", to_json(Index((), schema_version=2, media_type=OCI_INDEX)))
        return cls(folder)

    def images(self) -> dict[str, Descriptor]:
        """The named images: `org.opencontainers.image.ref.name` -> manifest."""
        return {d.annotations[REF_NAME]: d for d in self._index().manifests if REF_NAME in d.annotations}

    def name(self, name: str, manifest: Descriptor) -> None:
        """Give a manifest that is in the layout a name, taking the name from another that had it."""
        entry = Descriptor(
            media_type=manifest.media_type,
            digest=manifest.digest,
            size=manifest.size,
            annotations={REF_NAME: name},
            platform=manifest.platform,
        )
        others = [d for d in self._index().manifests if d.annotations.get(REF_NAME) != name]
        entries = sorted([*others, entry], key=lambda d: (d.annotations.get(REF_NAME, ""), d.digest))
        content = to_json(Index(tuple(entries), schema_version=2, media_type=OCI_INDEX))
        _write_whole(self.folder / "index.json", content)

    def path(self, digest: str) -> Path:
        """Where the blob lies, there or not. Raises ContentInvalid for text that is no digest."""
        if not is_digest(digest):
            raise ContentInvalid(f"{digest!r} is not a digest")
        algorithm, _, hexadecimal = digest.partition(":")
        return self.folder / "blobs" / algorithm / hexadecimal

    def has(self, digest: str) -> bool:
        """Is the blob in the layout?"""
        return self.path(digest).exists()

    def read(self, digest: str) -> bytes:
        """A blob, checked."""
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise NotInRegistry(f"{digest}: not in the image layout {self.folder}") from error
        check_digest(content, digest)
        return content

    def require(self, blob: Descriptor) -> Path:
        """The path of a blob that is in the layout, with the size described; its content is not read.

        Raises NotInRegistry, ContentInvalid.
        """
        path = self.path(blob.digest)
        if not path.exists():
            raise NotInRegistry(f"{blob.digest}: not in the image layout {self.folder}")
        if (size := path.stat().st_size) != blob.size:
            raise ContentInvalid(f"{blob.digest} has {size} bytes in {self.folder}, described are {blob.size}")
        return path

    def write(self, content: bytes, media_type: str) -> Descriptor:
        """Store a blob."""
        descriptor = describe(content, media_type)
        if not self.has(descriptor.digest):
            _write_whole(self.path(descriptor.digest), content)
        return descriptor

    @contextmanager
    def writing(self) -> Generator["BlobWriter"]:
        """Write a blob whose digest is known only at its end: `BlobWriter.keep()` stores it."""
        writer = BlobWriter(self)
        try:
            yield writer
        finally:
            writer.discard()

    async def receive(self, blob: Descriptor, parts: AsyncGenerator[bytes] | AsyncIterator[bytes]) -> None:
        """Store a blob from a stream. Raises ContentInvalid unless size and digest are as described."""
        with self.writing() as writer:
            async for part in parts:
                writer.write(part)
                if writer.size > blob.size:
                    raise ContentInvalid(f"{blob.digest}: more than the {blob.size} bytes described")
            if writer.digest != blob.digest or writer.size != blob.size:
                raise ContentInvalid(
                    f"received {writer.size} bytes with digest {writer.digest},"
                    f" expected {blob.size} with {blob.digest}"
                )
            writer.keep()

    def manifest(self, digest: str) -> Manifest:
        """An image's manifest; of an index, that of the first Linux entry."""
        content = self.read(digest)
        index = from_json(content, AnyManifest, "a manifest or index")
        if index.is_index:
            return self.manifest(first_for_linux(index.manifests, digest).digest)
        return from_json(content, Manifest, "a manifest")

    def config(self, manifest: Manifest) -> ImageConfig:
        """An image's configuration."""
        return from_json(self.read(manifest.config.digest), ImageConfig, "an image configuration")

    async def read_manifest(self, digest: str) -> bytes:
        """For `ImageSource`."""
        return self.read(digest)

    async def read_blob(self, blob: Descriptor, limit: int) -> bytes:
        """For `ImageSource`."""
        if blob.size > limit:
            raise ContentInvalid(f"{blob.digest} has {blob.size} bytes; at most {limit} are read here")
        return self.read(blob.digest)

    def _index(self) -> Index:
        try:
            content = (self.folder / "index.json").read_bytes()
        except FileNotFoundError as error:
            raise NotInRegistry(f"{self.folder} is not an image layout: it has no index.json") from error
        return from_json(content, Index, "an image layout's index")


class AnyManifest(Index, frozen=True, rename="camel"):
    """Enough of a manifest or an index to tell which it is."""

    manifests: tuple[Descriptor, ...] = ()

    @property
    def is_index(self) -> bool:
        """Does it only point to other manifests?"""
        return self.media_type in INDEX_TYPES or bool(self.manifests)


def first_for_linux(manifests: tuple[Descriptor, ...], name: str) -> Descriptor:
    """Of an index's entries the first that is an image for Linux (attestations are for `unknown`)."""
    for entry in manifests:
        if entry.platform is None or entry.platform.os in {"linux", ""}:
            return entry
    raise ContentInvalid(f"{name}: an index without an image for Linux")


class BlobWriter:
    """Bytes on their way into a layout."""

    def __init__(self, layout: ImageLayout) -> None:
        self._layout = layout
        folder = layout.folder / "blobs" / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".incoming-")
        self._path = Path(name)
        self._file: BinaryIO = os.fdopen(handle, "wb")
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """Of what was written up to now."""
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, part: bytes) -> int:
        """Add bytes; returns how many, as files do."""
        self._hash.update(part)
        self.size += len(part)
        return self._file.write(part)

    def flush(self) -> None:
        """As files do."""
        self._file.flush()

    def keep(self) -> str:
        """Store what was written under its digest, which is returned."""
        self._file.close()
        self._path.chmod(0o644)
        self._path.replace(self._layout.path(self.digest))
        return self.digest

    def discard(self) -> None:
        """Forget it, unless it was kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
