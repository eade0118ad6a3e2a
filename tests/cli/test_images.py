"""The images that kubernaut builds of its own actions."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from action_worlds import LEASE, RUNS, TARGETS, action_world
from kubernaut.actions import SHIPPED
from kubernaut.actions.scale_deployment import scale_deployment
from kubernaut.api.names import CONTRACT_PATH, IMAGE_LABEL_CONTRACT
from kubernaut.cli.images import build_action_images, build_controller_image, check_contract
from kubernaut.oci import ContentInvalid, ImageLayout, read_contract, unpack_image
from peers import peer

pytestmark = pytest.mark.journey


async def test_every_shipped_action_becomes_an_image_whose_contract_is_read_without_its_layers(
    tmp_path: Path,
) -> None:
    built = build_action_images(tmp_path / "layout", cache=tmp_path / "cache", base="slim")
    assert len(built) == len(SHIPPED)
    layout = ImageLayout(tmp_path / "layout")
    for image in built:
        contract = await read_contract(layout, image.image.digest)
        assert contract == image.contract
        assert image.tag == f"v{contract.metadata.version}"
        assert layout.images()[f"{image.name}:{image.tag}"].digest == image.image.digest
        assert str(image.reference("r.io/a")) == f"r.io/a/{image.name}:{image.tag}@{image.image.digest}"


def test_the_contract_file_and_the_label_say_the_same(tmp_path: Path) -> None:
    (image,) = build_action_images(
        tmp_path / "layout", cache=tmp_path / "cache", base="slim", modules=[SHIPPED[0]]
    )
    config = unpack_image(ImageLayout(tmp_path / "layout"), image.image.digest, tmp_path / "root")
    document = (tmp_path / "root" / CONTRACT_PATH.lstrip("/")).read_bytes()
    assert yaml.safe_load(document) == json.loads(config.labels[IMAGE_LABEL_CONTRACT])
    with pytest.raises(ContentInvalid, match="differ"):
        check_contract(
            document.replace(b"deployment", b"statefulset"), config.labels[IMAGE_LABEL_CONTRACT].encode()
        )


def test_a_slim_image_runs_with_the_python_of_the_machine_wherever_it_lies(tmp_path: Path) -> None:
    (image,) = build_action_images(
        tmp_path / "layout", cache=tmp_path / "cache", base="slim", modules=[SHIPPED[0]]
    )
    config = unpack_image(ImageLayout(tmp_path / "layout"), image.image.digest, tmp_path / "root")
    assert config.config is not None
    assert config.config.entrypoint == ("python3", "/action-entrypoint")
    assert config.labels["ai.kubernaut.runtime"] == image.runtime == "host-python"
    done = subprocess.run(
        [sys.executable, str(tmp_path / "root/action-entrypoint")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 64
    assert "no inputs" in done.stderr


def test_building_again_gives_the_same_digests_with_or_without_the_cache(tmp_path: Path) -> None:
    first = build_action_images(tmp_path / "l1", cache=tmp_path / "c1", base="slim")
    again = build_action_images(tmp_path / "l2", cache=tmp_path / "c1", base="slim")
    anew = build_action_images(tmp_path / "l3", cache=tmp_path / "c3", base="slim")
    assert [i.image for i in first] == [i.image for i in again] == [i.image for i in anew]


@pytest.mark.peer
@pytest.mark.long
@pytest.mark.timeout(240)
def test_complete_images_are_reproducible_down_to_the_digest(tmp_path: Path) -> None:
    peer("dpkg-deb")
    first = build_action_images(tmp_path / "l1", cache=tmp_path / "c1", base="debian")
    again = build_action_images(tmp_path / "l2", cache=tmp_path / "c2", base="debian")
    assert [i.image for i in first] == [i.image for i in again]
    assert all(i.runtime == "bundled" and i.size_bytes < 40_000_000 for i in first)


@pytest.mark.peer
@pytest.mark.timeout(180)
async def test_a_complete_image_needs_nothing_of_the_machine_and_really_acts(
    tmp_path: Path, image_cache: Path
) -> None:
    bwrap = peer("bwrap")
    peer("dpkg-deb")
    (image,) = await asyncio.to_thread(
        build_action_images, tmp_path / "layout", cache=image_cache, base="debian", modules=[SHIPPED[0]]
    )
    root = tmp_path / "root"
    await asyncio.to_thread(unpack_image, ImageLayout(tmp_path / "layout"), image.image.digest, root)
    async with action_world(tmp_path) as world:
        await world.deploy(replicas=1)
        await world.settled()
        await world.arm()
        permissions = scale_deployment.contract.spec.rbac.permissions
        await world.allow("runner-0", permissions, TARGETS)
        await world.allow_runner("runner-0")
        account = tmp_path / "account"
        account.mkdir()
        (account / "token").write_text(world.dev.token_of("runner-0"))
        (account / "ca.crt").write_bytes(world.dev.certificate_authority)
        log = tmp_path / "termination-log"
        log.touch()
        variables = {
            "ACTION_INPUTS": json.dumps({"namespace": TARGETS, "deployment": "payment", "replicas": 4}),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(world.dev.port),
            "KUBERNAUT_NAMESPACE": RUNS,
            "KUBERNAUT_LEASE": LEASE,
            "KUBERNAUT_ATTEMPT": "1",
        }
        process = await asyncio.create_subprocess_exec(
            *(bwrap, "--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
            *("--unshare-user", "--uid", "65532", "--unshare-pid", "--clearenv"),
            *("--ro-bind", str(account), "/var/run/secrets/kubernetes.io/serviceaccount"),
            *("--bind", str(log), "/dev/termination-log"),
            *(part for key, value in variables.items() for part in ("--setenv", key, value)),
            "/action-entrypoint",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if b"No permissions to create new namespace" in err or b"Operation not permitted" in err:
            pytest.skip("bubblewrap may not make namespaces here")
        assert process.returncode == 0, err.decode()
        assert json.loads(out.splitlines()[-1]) == {"previousReplicas": 1, "actualReplicas": 4}
        assert (await world.deployment())["spec"]["replicas"] == 4
        message = msgspec.json.decode(log.read_bytes())
        assert (message["executed"], message["outcome"]) == ("yes", "succeeded")


@pytest.mark.peer
@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_controllers_image_starts_kubernaut(tmp_path: Path, image_cache: Path) -> None:
    bwrap = peer("bwrap")
    peer("dpkg-deb")
    image = build_controller_image(tmp_path / "layout", cache=image_cache, base="debian")
    root = tmp_path / "root"
    unpack_image(ImageLayout(tmp_path / "layout"), image.image.digest, root)
    command = [bwrap, "--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    done = subprocess.run(
        [*command, "--unshare-all", "--uid", "65532", "--clearenv", "/kubernaut", "controller", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No permissions to create new namespace" in done.stderr:
        pytest.skip("bubblewrap may not make namespaces here")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
