"""Images from registries: pulled for real, with the pod's credentials, once for all nodes of the cluster.

From which registries is a choice: a cluster for trying things must not fetch every image that a manifest names.
Registries on this machine's loopback, the cluster's own among them, are always meant.
"""

import asyncio
import ipaddress
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubernaut.devcluster.node.environment import content_of
from kubernaut.devcluster.node.images import Images, PullFailed
from kubernaut.devcluster.objects import Object
from kubernaut.oci import (
    Credential,
    Credentials,
    DockerCredentials,
    ImageError,
    ImageLayout,
    NotInRegistry,
    Reference,
    RegistryClient,
    StaticCredentials,
    host_architecture,
    pull_image,
)
from kubernaut.oci.credentials import read_credentials
from kubernaut.oci.layout import first_for_linux
from kubernaut.oci.media import INDEX_TYPES, Descriptor, Index, Manifest, from_json

_FILES = (".dockerconfigjson", ".dockercfg")


@dataclass(frozen=True, slots=True)
class PullSettings:
    """From where a cluster's nodes pull."""

    registries: Collection[str] = ()
    """Hosts, with port as in references, besides those on loopback; "*" means all."""
    plain_http: Collection[str] = ()
    docker_configs: Sequence[Path] = ()
    """The nodes' own credentials: files as `docker login` writes them."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull has brought."""

    digest: str
    size: int
    """Bytes of its layers, packed."""
    seconds: float


class Puller:
    """Brings images from registries into the folder that `images` finds them in."""

    def __init__(self, images: Images, settings: PullSettings) -> None:
        self._images = images
        self._settings = settings
        self._pulling: dict[str, asyncio.Lock] = {}

    def is_meant(self, image: str) -> bool:
        """Whether an image is to be pulled really, by its name."""
        try:
            registry = Reference.parse(image).registry
        except ImageError:
            return False
        hosts = self._settings.registries
        return registry in hosts or "*" in hosts or is_loopback(registry)

    async def pull(self, image: str, credentials: Credentials) -> Pulled:
        """Bring it, or find that it is here as the registry has it. Raises PullFailed."""
        begun = time.monotonic()
        reference = Reference.parse(image)
        async with self._pulling.setdefault(str(reference), asyncio.Lock()):
            try:
                async with RegistryClient(credentials, plain_http=self._settings.plain_http) as client:
                    manifest = await self._pull(client, reference)
            except NotInRegistry as error:
                said = f'failed to resolve reference "{image}": {image}: not found'
                raise PullFailed(f'failed to pull and unpack image "{image}": {said}') from error
            except (ImageError, OSError) as error:
                raise PullFailed(f'failed to pull and unpack image "{image}": {error}') from error
        layout = self._images.pulled
        layers = from_json(layout.read(manifest.digest), Manifest, "a manifest").layers
        return Pulled(manifest.digest, sum(layer.size for layer in layers), time.monotonic() - begun)

    async def _pull(self, client: RegistryClient, reference: Reference) -> Descriptor:
        wanted = reference
        found = await client.fetch_manifest(reference)
        if found.descriptor.media_type in INDEX_TYPES:
            index = from_json(found.content, Index, "an index")
            wanted = reference.with_digest(_own(index.manifests, str(reference)).digest)
        layout: ImageLayout = self._images.pulled
        manifest = await pull_image(client, wanted, layout)
        self._images.note_pulled(reference, manifest)
        return manifest

    def credentials_for(self, secrets: Sequence[Object]) -> Credentials:
        """A pod's pull secrets first, then the nodes' own. Raises PullFailed for a Secret that is none."""
        found: list[StaticCredentials] = []
        for secret in secrets:
            values = content_of(secret)
            content = next((values[name] for name in _FILES if name in values), None)
            if content is not None:
                try:
                    found.append(read_credentials(content))
                except ImageError as error:
                    raise PullFailed(f"Secret {secret['metadata']['name']}: {error}") from error
        return _Chain((*found, DockerCredentials(self._settings.docker_configs)))


@dataclass(frozen=True, slots=True)
class _Chain:
    sources: Sequence[Credentials]

    async def find(self, registry: str) -> Credential | None:
        for source in self.sources:
            if (found := await source.find(registry)) is not None:
                return found
        return None


def is_loopback(registry: str) -> bool:
    """Is the registry of this name on this machine?"""
    host = registry.rpartition(":")[0] if registry.rpartition(":")[2].isdigit() else registry
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _own(entries: tuple[Descriptor, ...], name: str) -> Descriptor:
    """Of an index's entries the one for this machine; else the first for Linux, which may still run."""
    for entry in entries:
        platform = entry.platform
        if platform and platform.os == "linux" and platform.architecture == host_architecture():
            return entry
    return first_for_linux(entries, name)
