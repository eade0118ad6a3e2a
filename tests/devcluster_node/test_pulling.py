"""Images from registries: by tag and digest, as the pull policy wants it, with a pod's own credentials."""

import base64
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from kubernaut.devcluster.node.plain import Plain
from kubernaut.devcluster.node.pulling import is_loopback
from kubernaut.devcluster.registry import FolderStore, Registry
from kubernaut.devcluster.resources import EVENTS, JOBS, PODS, SECRETS
from kubernaut.oci import (
    Credential,
    ImageError,
    ImageLayout,
    Reference,
    RegistryClient,
    StaticCredentials,
    push_image,
)
from kubernaut.oci.credentials import read_credentials
from registries import run_registry

from .layouts import python_image
from .worlds import NAMESPACE, World, make_world, state_of, waiting_reason

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with make_world(tmp_path / "world", runtime=Plain()) as made:
        yield made


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncGenerator[str]:
    made = Registry(FolderStore(tmp_path / "registry"))
    await made.start()
    try:
        yield made.host
    finally:
        await made.stop()


async def push(folder: Path, name: str, says: str, credential: Credential | None = None) -> str:
    """An image that says something, as `name`; returns its digest."""
    layout = folder / f"images-{says}"
    digest = python_image(layout, f"print({says!r})")
    reference = Reference.parse(name)
    credentials = StaticCredentials({reference.registry: credential} if credential else {})
    async with RegistryClient(credentials) as client:
        return (await push_image(client, ImageLayout(layout), digest, reference)).digest


async def said(world: World, name: str, image: str, policy: str) -> str:
    world.create_pod(name, image=image, container={"imagePullPolicy": policy})
    await world.until_phase(name, "Succeeded", "Failed")
    return (await world.log(name)).splitlines()[-1]


def messages(world: World, about: str, reason: str) -> list[str]:
    events = world.store.list(EVENTS, NAMESPACE).items
    return [e["message"] for e in events if e["involvedObject"]["name"] == about and e["reason"] == reason]


async def test_always_sees_a_tag_that_was_moved_and_if_not_present_does_not(
    world: World, registry: str, tmp_path: Path
) -> None:
    image = f"{registry}/team/app:1"
    digest = await push(tmp_path, image, "first")
    assert await said(world, "one", image, "IfNotPresent") == "first"
    assert world.get(PODS, "one")["status"]["containerStatuses"][0]["imageID"] == digest
    assert messages(world, "one", "Pulling") == [f'Pulling image "{image}"']
    assert messages(world, "one", "Pulled")[0].startswith(f'Successfully pulled image "{image}" in ')
    await push(tmp_path, image, "second")
    assert await said(world, "two", image, "IfNotPresent") == "first"
    assert messages(world, "two", "Pulled") == [f'Container image "{image}" already present on machine']
    assert await said(world, "three", image, "Always") == "second"
    # By digest it is what it was.
    assert await said(world, "four", f"{registry}/team/app@{digest}", "IfNotPresent") == "first"
    assert await said(world, "five", image, "Never") == "second"


async def test_never_pulls_nothing_and_says_so(world: World, registry: str, tmp_path: Path) -> None:
    image = f"{registry}/team/app:1"
    world.create_pod("web", image=image, container={"imagePullPolicy": "Never"})
    pod = await world.until(PODS, "web", lambda p: waiting_reason(p) == "ErrImageNeverPull")
    told = f'Container image "{image}" is not present with pull policy of Never'
    assert state_of(pod)["waiting"]["message"] == told
    assert messages(world, "web", "ErrImageNeverPull") == [told]
    assert "Error: ErrImageNeverPull" in messages(world, "web", "Failed")


async def test_what_is_not_there_is_an_error_and_then_a_back_off(world: World, registry: str) -> None:
    world.create_job("run", f"{registry}/team/missing:1")
    await world.until(JOBS, "run", lambda job: job["status"].get("active"))
    (pod,) = world.pods()
    name = pod["metadata"]["name"]
    pod = await world.until(PODS, name, lambda p: waiting_reason(p) == "ErrImagePull")
    assert state_of(pod)["waiting"]["message"].endswith("not found")
    await world.until(PODS, name, lambda p: waiting_reason(p) == "ImagePullBackOff")


@pytest.mark.peer
@pytest.mark.journey
async def test_a_private_image_needs_the_pods_secret(world: World, tmp_path: Path) -> None:
    async with run_registry(tmp_path, login=True) as address:
        image = f"{address}/team/private:1"
        await push(tmp_path, image, "secret", Credential("user", "pa:ss"))
        world.create_pod("open", image=image)
        pod = await world.until(PODS, "open", lambda p: waiting_reason(p) == "ErrImagePull")
        assert "wants a login" in state_of(pod)["waiting"]["message"]
        world.create_pod("lost", image=image, imagePullSecrets=[{"name": "login"}])
        await world.until_event("FailedToRetrieveImagePullSecret", "lost")
        auth = base64.b64encode(b"user:pa:ss").decode()
        config = json.dumps({"auths": {f"https://{address}/v2/": {"auth": auth}}})
        body = {"metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson"}
        world.create(SECRETS, {**body, "stringData": {".dockerconfigjson": config}})
        world.create_pod("known", image=image, imagePullSecrets=[{"name": "login"}])
        await world.until_phase("known", "Succeeded")


async def test_other_registries_are_not_asked_unless_that_is_wanted(world: World) -> None:
    world.create_pod("web", image="registry.example.com/team/app:1", restartPolicy="Always")
    await world.until_phase("web", "Running")
    assert "simulated" in await world.log("web")


@pytest.mark.parametrize(
    ("registry", "is_here"),
    [
        ("localhost:5000", True),
        ("localhost", True),
        ("127.0.0.1:80", True),
        ("[::1]:5000", True),
        ("docker.io", False),
        ("localhost.example.com", False),
        ("10.0.0.1:5000", False),
    ],
)
def test_which_registries_are_on_this_machine(registry: str, is_here: bool) -> None:
    assert is_loopback(registry) is is_here


async def test_both_kinds_of_pull_secrets_are_read_and_helpers_are_not_run() -> None:
    new = b'{"auths": {"https://index.docker.io/v1/": {"username": "u", "password": "p"}}, "credsStore": "evil"}'
    old = b'{"https://host:5000/v1/": {"auth": "dTpw"}}'
    assert await read_credentials(new).find("docker.io") == Credential("u", "p")
    assert await read_credentials(old).find("host:5000") == Credential("u", "p")
    assert await read_credentials(new).find("elsewhere") is None
    with pytest.raises(ImageError, match="no credentials"):
        read_credentials(b"[]")
