"""The images that the node can really run: registered layouts, unpacked once per digest.

An image that is not registered here is simulated; see `simulated`.
"""

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from kubernaut.oci import Descriptor, ImageError, ImageLayout, Reference, ReferenceInvalid, unpack_image
from kubernaut.oci.media import RunConfig

RUNTIME_LABEL = "ai.kubernaut.runtime"
HOST_PYTHON = "host-python"
"""Value of the label on images that bring code but no interpreter."""


class PullFailed(Exception):
    """The image cannot be had, or its content cannot be used; `reason` is the kubelet's word for it."""

    def __init__(self, message: str, reason: str = "ErrImagePull") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Image:
    """An image that lies unpacked in a folder."""

    name: str
    digest: str
    config: RunConfig
    rootfs: Path
    """Shared by all containers of the image: never written to."""

    @property
    def uses_host_python(self) -> bool:
        return (self.config.labels or {}).get(RUNTIME_LABEL) == HOST_PYTHON

    @property
    def environment(self) -> dict[str, str]:
        pairs = (entry.partition("=") for entry in self.config.env or ())
        return {name: value for name, _, value in pairs}


class Images:
    """Known images by digest and by name; their root folders are made on first use."""

    def __init__(self, cache: Path) -> None:
        """`cache` may be shared between clusters and outlive them: entries are named by digest."""
        self._cache = cache
        self._layouts: list[tuple[ImageLayout, str]] = []
        self._unpacking: dict[str, asyncio.Lock] = {}
        self._ready: dict[str, Image] = {}
        self._pulled: dict[str, str] | None = None
        """Whole reference -> digest, of what was pulled from registries; None before it has been read."""

    @property
    def pulled(self) -> ImageLayout:
        """Where images from registries are kept."""
        return ImageLayout.create(self._cache / "pulled")

    def note_pulled(self, reference: Reference, manifest: Descriptor) -> None:
        """An image has been pulled under this name."""
        name = _whole(reference)
        self._known_pulled()[name] = manifest.digest
        self.pulled.name(name, manifest)

    def has_pulled(self, text: str) -> bool:
        """Whether an image of this name has been pulled before, and not been there from the start."""
        try:
            return _whole(Reference.parse(text)) in self._known_pulled()
        except ReferenceInvalid:
            return False

    def _known_pulled(self) -> dict[str, str]:
        if self._pulled is None:
            self._pulled = {}
            if (self._cache / "pulled").is_dir():
                self._pulled = {name: found.digest for name, found in self.pulled.images().items()}
        return self._pulled

    def register(self, folder: Path, repository: str = "") -> None:
        """Make a layout's images known; names in it without a registry are meant within `repository`.

        A layout registered later wins where names meet. Raises ImageError when it is no layout.
        """
        layout = ImageLayout(folder)
        layout.images()
        self._layouts.insert(0, (layout, repository))

    def find(self, text: str) -> tuple[ImageLayout, str] | None:
        """The layout and manifest digest that an image reference means; None when it is not here."""
        try:
            wanted = Reference.parse(text)
        except ReferenceInvalid:
            return None
        for layout, repository in self._layouts:
            if wanted.digest is not None:
                if layout.has(wanted.digest):
                    return layout, wanted.digest
                continue
            for name, manifest in layout.images().items():
                if _means(name, repository, wanted):
                    return layout, manifest.digest
        digest = self._known_pulled().get(_whole(wanted))
        return (self.pulled, digest) if digest else None

    async def pull(self, text: str) -> Image | None:
        """The image, unpacked; None when it is unknown here. Raises PullFailed."""
        found = self.find(text)
        if found is None:
            return None
        layout, digest = found
        async with self._unpacking.setdefault(digest, asyncio.Lock()):
            if digest not in self._ready:
                try:
                    self._ready[digest] = await asyncio.to_thread(self._prepare, text, layout, digest)
                except (ImageError, OSError) as error:
                    raise PullFailed(f"{text}: {error}") from error
        return self._ready[digest]

    def _prepare(self, text: str, layout: ImageLayout, digest: str) -> Image:
        config = layout.config(layout.manifest(digest)).config or RunConfig()
        rootfs = self._cache / digest.replace(":", "-")
        if not rootfs.is_dir():
            self._unpack_whole(layout, digest, rootfs)
        return Image(text, digest, config, rootfs)

    def _unpack_whole(self, layout: ImageLayout, digest: str, rootfs: Path) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=self._cache, prefix=".unpacking-"))
        try:
            beside.chmod(0o755)
            unpack_image(layout, digest, beside, shared=self._cache / "shared")
            # Another cluster with the same cache may have been faster: its folder is as good.
            if not rootfs.is_dir():
                os.rename(beside, rootfs)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _whole(reference: Reference) -> str:
    return str(reference if reference.tag or reference.digest else replace(reference, tag="latest"))


def _means(name: str, repository: str, wanted: Reference) -> bool:
    full = name
    if repository and "/" not in name:
        # A layout may name its images by tag alone, or as `name:tag` below the repository.
        full = f"{repository}/{name}" if ":" in name else f"{repository}:{name}"
    try:
        known = Reference.parse(full)
    except ReferenceInvalid:
        return False
    same_place = (known.registry, known.repository) == (wanted.registry, wanted.repository)
    return same_place and (known.tag or "latest") == (wanted.tag or "latest")
