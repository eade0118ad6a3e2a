"""Images moved between a registry and a layout folder, and contracts read from either."""

from typing import Protocol

from kubernaut.api.contract import ActionContract
from kubernaut.api.meta import Frozen
from kubernaut.api.names import CORE_API, IMAGE_LABEL_CONTRACT
from kubernaut.oci.client import MANIFEST_LIMIT, RegistryClient
from kubernaut.oci.errors import ContentInvalid, ContractMissing, ContractTooNew
from kubernaut.oci.layout import AnyManifest, ImageLayout, first_for_linux
from kubernaut.oci.media import INDEX_TYPES, Descriptor, ImageConfig, Index, Manifest, from_json
from kubernaut.oci.reference import Reference

CONTRACT_LIMIT = 64 << 10
"""Bytes of a contract at most: every run that uses it carries a copy in its status."""


class _Head(Frozen, frozen=True, kw_only=True):
    """What says of which format the rest is."""

    api_version: str = CORE_API
    kind: str = "ActionContract"


class ImageSource(Protocol):
    """Where one image's manifests and small blobs come from; both are checked against their digests."""

    async def read_manifest(self, digest: str) -> bytes: ...
    async def read_blob(self, blob: Descriptor, limit: int) -> bytes: ...


class RegistryImages:
    """One repository of a registry as an `ImageSource`."""

    def __init__(self, client: RegistryClient, repository: Reference) -> None:
        self._client = client
        self._repository = repository

    async def read_manifest(self, digest: str) -> bytes:
        return (await self._client.fetch_manifest(self._repository.with_digest(digest))).content

    async def read_blob(self, blob: Descriptor, limit: int) -> bytes:
        return await self._client.fetch_blob(self._repository, blob, limit)


async def read_config(source: ImageSource, digest: str) -> ImageConfig:
    """The configuration of the image with this digest; of an index, that of its first Linux image.

    Raises ContentInvalid, and what the source raises.
    """
    content = await source.read_manifest(digest)
    probe = from_json(content, AnyManifest, "a manifest or index")
    if probe.is_index:
        return await read_config(source, first_for_linux(probe.manifests, digest).digest)
    manifest = from_json(content, Manifest, "a manifest")
    return from_json(
        await source.read_blob(manifest.config, MANIFEST_LIMIT), ImageConfig, "an image configuration"
    )


async def read_contract(source: ImageSource, digest: str) -> ActionContract:
    """The action contract of an image, without pulling its layers: two small requests.

    Raises ContractMissing when the image carries none, ContractTooNew when it is of another version of the format,
    ContentInvalid when it is not an ActionContract, and what the source raises.
    """
    label = (await read_config(source, digest)).labels.get(IMAGE_LABEL_CONTRACT)
    if label is None:
        raise ContractMissing(f"the image carries no contract: it has no label {IMAGE_LABEL_CONTRACT}")
    if (size := len(label.encode())) > CONTRACT_LIMIT:
        raise ContentInvalid(f"the image's contract has {size} bytes: at most {CONTRACT_LIMIT} are read")
    what = f"an action contract (the image's label {IMAGE_LABEL_CONTRACT})"
    head = from_json(label, _Head, what)
    if head.kind != "ActionContract":
        raise ContentInvalid(f"not {what}: its kind is {head.kind[:100]!r}")
    if head.api_version != CORE_API:
        # Before the rest is looked at: what another version means by it is not known.
        raise ContractTooNew(f"the image's contract is of {head.api_version[:100]!r}; known here is {CORE_API}")
    return from_json(label, ActionContract, what)


async def pull_image(client: RegistryClient, reference: Reference, layout: ImageLayout) -> Descriptor:
    """Copy an image into the layout, named by the reference's text; what is there already is not moved.

    Of an index, only the first image for Linux. Raises RegistryError, ContentInvalid.
    """
    fetched = await client.fetch_manifest(reference)
    if fetched.descriptor.media_type in INDEX_TYPES:
        entry = first_for_linux(from_json(fetched.content, Index, "an index").manifests, str(reference))
        fetched = await client.fetch_manifest(reference.with_digest(entry.digest))
    manifest = from_json(fetched.content, Manifest, "a manifest")
    for blob in (manifest.config, *manifest.layers):
        if not layout.has(blob.digest):
            await layout.receive(blob, client.stream_blob(reference, blob))
    descriptor = layout.write(fetched.content, fetched.descriptor.media_type)
    layout.name(str(reference), descriptor)
    return descriptor


async def push_image(
    client: RegistryClient,
    layout: ImageLayout,
    digest: str,
    reference: Reference,
    *,
    mount_from: str | None = None,
) -> Descriptor:
    """Copy an image from the layout to the reference's repository and tag. Raises RegistryError.

    `mount_from` is another repository of that registry that may hold its layers already.
    """
    content = layout.read(digest)
    manifest = from_json(content, Manifest, "a manifest")
    for blob in (*manifest.layers, manifest.config):
        await client.push_blob(reference, blob, layout.require(blob), mount_from=mount_from)
    return await client.push_manifest(reference, content, manifest.media_type)
