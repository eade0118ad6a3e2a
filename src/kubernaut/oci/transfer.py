"""Images moved between a registry and a layout folder, and contracts read from either."""

from typing import Protocol

import msgspec

from kubernaut.api.contract import ActionContract
from kubernaut.api.names import IMAGE_LABEL_CONTRACT
from kubernaut.oci.client import MANIFEST_LIMIT, RegistryClient
from kubernaut.oci.errors import ContentInvalid, ContractMissing
from kubernaut.oci.layout import AnyManifest, ImageLayout, first_for_linux
from kubernaut.oci.media import INDEX_TYPES, Descriptor, ImageConfig, Index, Manifest, from_json
from kubernaut.oci.reference import Reference


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

    Raises ContractMissing when the image carries none, ContentInvalid when it is not an ActionContract, and
    what the source raises.
    """
    label = (await read_config(source, digest)).labels.get(IMAGE_LABEL_CONTRACT)
    if label is None:
        raise ContractMissing(f"{digest}: the image has no label {IMAGE_LABEL_CONTRACT}")
    try:
        return msgspec.json.decode(label, type=ActionContract)
    except msgspec.DecodeError as error:
        raise ContentInvalid(f"{digest}: label {IMAGE_LABEL_CONTRACT} is no ActionContract: {error}") from error


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
