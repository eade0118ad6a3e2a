"""The client, the layout and the builder against docker-registry and skopeo, which others wrote."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from kubernaut.api.contract import ActionContract, ContractMeta, ContractSpec
from kubernaut.api.names import IMAGE_LABEL_CONTRACT
from kubernaut.oci import (
    ContractMissing,
    Credential,
    Descriptor,
    ImageLayout,
    ImageRecipe,
    LayerFile,
    NotInRegistry,
    Reference,
    RegistryClient,
    RegistryImages,
    RegistryUnauthorised,
    StaticCredentials,
    build_image,
    build_layer,
    pull_image,
    push_image,
    read_contract,
    sha256,
    unpack_image,
)
from peers import peer
from registries import run_registry

pytestmark = [pytest.mark.peer, pytest.mark.journey]

CONTRACT = ActionContract(
    metadata=ContractMeta(name="test/act", version="1.2.3"), spec=ContractSpec(description="d")
)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncGenerator[str]:
    async with run_registry(tmp_path) as address:
        yield address


@pytest.fixture
async def closed_registry(tmp_path: Path) -> AsyncGenerator[str]:
    async with run_registry(tmp_path, login=True) as address:
        yield address


def build(layout: ImageLayout, *, labels: dict[str, str] | None = None) -> Descriptor:
    lower = build_layer(layout, [LayerFile("usr/lib/text", content=b"lower\n" * 100_000)])
    upper = build_layer(
        layout, [LayerFile("act", 0o755, content=b"#!/bin/sh\n"), LayerFile("usr/.wh.none", content=b"")]
    )
    label = {IMAGE_LABEL_CONTRACT: msgspec.json.encode(CONTRACT).decode()} if labels is None else labels
    return build_image(layout, [lower, upper], ImageRecipe(entrypoint=("/act",), user="65532", labels=label))


async def test_an_image_comes_back_from_a_registry_as_it_went_there(
    registry: str, layout: ImageLayout, tmp_path: Path
) -> None:
    image = build(layout)
    async with RegistryClient() as client:
        reference = Reference(registry, "actions/act", "v1")
        assert (await push_image(client, layout, image.digest, reference)).digest == image.digest
        assert (await client.resolve(reference)).digest == image.digest
        other = ImageLayout.create(tmp_path / "other")
        pulled = await pull_image(client, reference.with_digest(image.digest), other)
        assert await client.list_tags(reference) == ["v1"]
        assert await client.push_blob(reference, image, layout.path(image.digest)) in {True, False}
    assert pulled.digest == image.digest
    unpack_image(other, pulled.digest, tmp_path / "root")
    assert (tmp_path / "root/usr/lib/text").read_bytes() == b"lower\n" * 100_000


async def test_a_contract_is_read_by_digest_without_pulling_layers(registry: str, layout: ImageLayout) -> None:
    image, bare = build(layout), build(layout, labels={})
    repository = Reference(registry, "actions/act")
    async with RegistryClient() as client:
        for digest in (image.digest, bare.digest):
            await push_image(client, layout, digest, repository)
        source = RegistryImages(client, repository)
        assert await read_contract(source, image.digest) == CONTRACT
        assert await read_contract(layout, image.digest) == CONTRACT
        with pytest.raises(ContractMissing):
            await read_contract(source, bare.digest)
        with pytest.raises(NotInRegistry):
            await read_contract(source, sha256(b"another"))


@pytest.mark.parametrize("chunk_bytes", [None, 1 << 20])
async def test_large_blobs_go_whole_or_in_chunks(registry: str, tmp_path: Path, chunk_bytes: int | None) -> None:
    content = bytes(range(256)) * 12_345
    path = tmp_path / "blob"
    path.write_bytes(content)
    blob = Descriptor(media_type="application/octet-stream", digest=sha256(content), size=len(content))
    reference = Reference(registry, "big/blob")
    async with RegistryClient() as client:
        assert await client.push_blob(reference, blob, path, chunk_bytes=chunk_bytes)
        assert not await client.push_blob(reference, blob, path)
        assert await client.fetch_blob(reference, blob, limit=len(content)) == content
        elsewhere = Reference(registry, "small/copy")
        assert not await client.push_blob(elsewhere, blob, path, mount_from="big/blob")
        assert await client.has_blob(elsewhere, blob.digest)


async def test_a_login_is_used_when_asked_for_and_missing_when_not_given(
    closed_registry: str, layout: ImageLayout
) -> None:
    image = build(layout)
    reference = Reference(closed_registry, "actions/act", "v1")
    known = StaticCredentials({closed_registry: Credential("user", "pa:ss")})
    async with RegistryClient(known) as client:
        await push_image(client, layout, image.digest, reference)
        assert (await client.fetch_manifest(reference)).descriptor.digest == image.digest
    wrong = StaticCredentials({closed_registry: Credential("user", "no")})
    async with RegistryClient() as client:
        with pytest.raises(RegistryUnauthorised, match="wants a login"):
            await client.resolve(reference)
    async with RegistryClient(wrong) as client:
        with pytest.raises(RegistryUnauthorised, match="401"):
            await client.resolve(reference)


async def test_skopeo_reads_our_layout_and_our_registry_image_and_agrees_on_the_digest(
    registry: str, layout: ImageLayout, tmp_path: Path
) -> None:
    skopeo = peer("skopeo")
    image = build(layout)
    layout.name("v1", image)
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    copied = await asyncio.to_thread(
        subprocess.run,
        [
            *(skopeo, "copy", "--policy", str(policy), "--dest-tls-verify=false"),
            *(f"oci:{layout.folder}:v1", f"docker://{registry}/by/skopeo:v1"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert copied.returncode == 0, copied.stderr
    async with RegistryClient() as client:
        assert (await client.resolve(Reference(registry, "by/skopeo", "v1"))).digest == image.digest
        other = ImageLayout.create(tmp_path / "other")
        await pull_image(client, Reference(registry, "by/skopeo", "v1"), other)
    umoci = peer("umoci")
    other.name("v1", image)
    unpacked = await asyncio.to_thread(
        subprocess.run,
        [umoci, "unpack", "--rootless", "--image", f"{other.folder}:v1", str(tmp_path / "bundle")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert unpacked.returncode == 0, unpacked.stderr
    assert (tmp_path / "bundle/rootfs/act").read_bytes() == b"#!/bin/sh\n"
    shutil.rmtree(tmp_path / "bundle")
