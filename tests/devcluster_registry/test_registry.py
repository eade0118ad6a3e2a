"""The cluster's own registry: what clients of others' making and our own push, they and nodes get back."""

import asyncio
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from kubernaut.devcluster.registry import FolderStore, Registry
from kubernaut.oci import (
    Descriptor,
    ImageLayout,
    ImageRecipe,
    LayerFile,
    NotInRegistry,
    Reference,
    RegistryClient,
    RegistryRefused,
    build_image,
    build_layer,
    pull_image,
    push_image,
    sha256,
)
from kubernaut.oci.media import OCI_INDEX, OCI_MANIFEST, to_json
from peers import peer

pytestmark = pytest.mark.timeout(20)
CONTENT = b"some bytes\n" * 1000


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncGenerator[Registry]:
    made = Registry(FolderStore(tmp_path / "store"))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def an_image(folder: Path, content: bytes = CONTENT) -> tuple[ImageLayout, Descriptor]:
    layout = ImageLayout.create(folder)
    image = build_image(
        layout, [build_layer(layout, [LayerFile("file", content=content)])], ImageRecipe(entrypoint=())
    )
    layout.name("one:1", image)
    return layout, image


def reference(registry: Registry, text: str = "team/one:1") -> Reference:
    return Reference.parse(f"{registry.host}/{text}")


async def push(registry: Registry, folder: Path, text: str = "team/one:1") -> Descriptor:
    layout, image = an_image(folder)
    async with RegistryClient() as client:
        return await push_image(client, layout, image.digest, reference(registry, text))


async def test_what_is_pushed_comes_back_by_tag_and_by_digest_after_a_restart_too(
    registry: Registry, tmp_path: Path
) -> None:
    pushed = await push(registry, tmp_path / "images")
    await registry.stop()
    again = Registry(FolderStore(tmp_path / "store"))
    await again.start()
    async with RegistryClient() as client:
        for wanted in (reference(again), reference(again, "team/one").with_digest(pushed.digest)):
            fetched = ImageLayout.create(tmp_path / f"back-{wanted.target[:3]}")
            assert (await pull_image(client, wanted, fetched)).digest == pushed.digest
            assert fetched.manifest(pushed.digest).layers
        assert await client.list_tags(reference(again)) == ["1"]
    await again.stop()


async def test_a_blob_in_pieces_and_one_mounted_from_elsewhere(registry: Registry, tmp_path: Path) -> None:
    blob = Descriptor(media_type="application/octet-stream", digest=sha256(CONTENT), size=len(CONTENT))
    async with RegistryClient() as client:
        assert await client.push_blob(reference(registry, "a"), blob, CONTENT, chunk_bytes=999)
        assert await client.fetch_blob(reference(registry, "a"), blob) == CONTENT
        # A repository does not give what it never got, though the bytes are here.
        assert not await client.has_blob(reference(registry, "b"), blob.digest)
        assert not await client.push_blob(reference(registry, "b"), blob, b"", mount_from="a")
        assert await client.has_blob(reference(registry, "b"), blob.digest)


async def test_what_is_not_what_it_says_is_refused(registry: Registry, tmp_path: Path) -> None:
    wrong = Descriptor(media_type="application/octet-stream", digest=sha256(b"other"), size=len(CONTENT))
    async with RegistryClient() as client:
        with pytest.raises(RegistryRefused, match="another digest"):
            await client.push_blob(reference(registry), wrong, CONTENT)
        assert not await client.has_blob(reference(registry), wrong.digest)
        with pytest.raises(NotInRegistry, match="blob unknown"):
            await client.push_manifest(
                reference(registry),
                to_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": wrong, "layers": []}),
            )
        with pytest.raises(RegistryRefused, match="not a manifest"):
            await client.push_manifest(reference(registry), b"no json")
        with pytest.raises(NotInRegistry):
            await client.resolve(reference(registry, "team/never:1"))


async def test_nothing_outside_the_store_can_be_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    async with aiohttp.ClientSession() as session:
        for path in (
            "/v2/a/blobs/..%2F..%2F..%2Fsecret",
            "/v2/..%2F..%2Fsecret/tags/list",
            "/v2/a/manifests/..%2F..%2F..%2Fsecret",
            "/v2/a/blobs/uploads/..%2F..%2Fsecret",
        ):
            async with session.get(URL(f"http://{registry.host}{path}", encoded=True)) as response:
                assert response.status == 404


async def test_tags_come_in_pages_and_signatures_are_found_by_what_they_sign(
    registry: Registry, tmp_path: Path
) -> None:
    pushed = await push(registry, tmp_path / "images")
    base = f"http://{registry.host}/v2/team/one"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/manifests/1") as response:
            manifest = await response.read()
        for tag in ("a", "b", "c"):
            url = f"{base}/manifests/{tag}"
            async with session.put(url, data=manifest, headers={"Content-Type": OCI_MANIFEST}) as response:
                assert response.status == 201
        async with session.get(f"{base}/tags/list?n=2") as response:
            assert (await response.json())["tags"] == ["1", "a"]
            following = response.links["next"]["url"]
        async with session.get(following) as response:
            assert (await response.json())["tags"] == ["b", "c"]
            assert "next" not in response.links
        empty = b"{}"
        async with session.post(f"{base}/blobs/uploads/?digest={sha256(empty)}", data=empty) as response:
            assert response.status == 201
        config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(empty), "size": 2}
        subject = {"mediaType": OCI_MANIFEST, "digest": pushed.digest, "size": pushed.size}
        signature = to_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "config": config,
                "layers": [config],
                "subject": subject,
            }
        )
        url = f"{base}/manifests/{sha256(signature)}"
        async with session.put(url, data=signature, headers={"Content-Type": OCI_MANIFEST}) as response:
            assert response.headers["OCI-Subject"] == pushed.digest
        async with session.get(f"{base}/referrers/{pushed.digest}") as response:
            assert response.content_type == OCI_INDEX
            assert [m["digest"] for m in (await response.json(content_type=None))["manifests"]] == [
                sha256(signature)
            ]
        async with session.get(f"{base}/referrers/{pushed.digest}?artifactType=other") as response:
            assert (await response.json(content_type=None))["manifests"] == []
        async with session.delete(f"{base}/manifests/{pushed.digest}") as response:
            assert response.status == 202
        async with session.get(f"{base}/tags/list") as response:
            assert (await response.json())["tags"] == []


@pytest.mark.peer
async def test_skopeo_pushes_to_it_and_reads_from_it(registry: Registry, tmp_path: Path) -> None:
    skopeo = peer("skopeo")
    _, image = an_image(tmp_path / "images")
    there = f"docker://127.0.0.1:{registry.port}/by/skopeo:1"
    copy = [skopeo, "copy", "--quiet", "--insecure-policy"]

    async def run(*command: str) -> bytes:
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=15)
        assert done.returncode == 0, done.stderr
        return done.stdout

    await run(*copy, "--dest-tls-verify=false", f"oci:{tmp_path / 'images'}:one:1", there)
    assert image.digest.encode() in await run(skopeo, "inspect", "--tls-verify=false", there)
    await run(*copy, "--src-tls-verify=false", there, f"oci:{tmp_path / 'back'}:one:1")
    assert ImageLayout(tmp_path / "back").has(image.digest)
    async with RegistryClient() as client:
        assert (await client.resolve(reference(registry, "by/skopeo:1"))).digest == image.digest


async def finished(folder: Path, *command: str) -> str:
    """The output of a program that ends well, run in this folder."""
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        check=False,
        timeout=30,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "COSIGN_PASSWORD": ""},
    )
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, text
    return text


@pytest.mark.peer
@pytest.mark.journey
async def test_oras_pushes_attaches_discovers_and_pulls(registry: Registry, tmp_path: Path) -> None:
    oras = peer("oras")
    there = f"{registry.host}/team/artifact:1"
    (tmp_path / "report.txt").write_text("found nothing\n")
    file = "report.txt:text/plain"
    await finished(tmp_path, oras, "push", "--plain-http", there, file)
    await finished(tmp_path, oras, "attach", "--plain-http", "--artifact-type", "example/report", there, file)
    assert "example/report" in await finished(tmp_path, oras, "discover", "--plain-http", there)
    (tmp_path / "back").mkdir()
    await finished(tmp_path, oras, "pull", "--plain-http", "-o", "back", there)
    assert (tmp_path / "back" / "report.txt").read_text() == "found nothing\n"


@pytest.mark.peer
@pytest.mark.journey
@pytest.mark.long
async def test_cosign_signs_and_verifies_what_lies_in_it(registry: Registry, tmp_path: Path) -> None:
    cosign = peer("cosign")
    pushed = await push(registry, tmp_path / "images")
    there = f"{registry.host}/team/one@{pushed.digest}"
    plain = ["--allow-http-registry", "--allow-insecure-registry"]
    # From 3.0 on it would ask a server on the Internet which services to sign with.
    newer = "--use-signing-config" in await finished(tmp_path, cosign, "sign", "--help")
    offline = ["--tlog-upload=false", *(["--use-signing-config=false"] if newer else [])]
    await finished(tmp_path, cosign, "generate-key-pair")
    await finished(tmp_path, cosign, "sign", "--yes", "--key", "cosign.key", *offline, *plain, there)
    verify = [cosign, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", *plain]
    assert pushed.digest in await finished(tmp_path, *verify, there)
    other = await push(registry, tmp_path / "other", "team/other:1")
    with pytest.raises(AssertionError, match="no signatures found"):
        await finished(tmp_path, *verify, f"{registry.host}/team/other@{other.digest}")
