"""What a pod's security context does to its containers."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from kubernaut.devcluster.node.bubblewrap import Bubblewrap
from kubernaut.devcluster.node.users import capabilities_of
from kubernaut.devcluster.resources import CONFIG_MAPS, PODS
from peers import peer

from .layouts import busybox_image, make_layout
from .worlds import World, ended, make_world, state_of, waiting_reason

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    peer("bwrap")
    runtime = await Bubblewrap.find()
    assert runtime is not None
    async with make_world(tmp_path, runtime=runtime) as made:
        yield made


async def run(world: World, folder: Path, command: str, context: dict[str, Any], **more: Any) -> str:
    busybox_image(folder / "images", entrypoint=("/bin/sh", "-c", command))
    world.node.register_images(folder / "images")
    container = {"securityContext": context, **more.pop("container", {})}
    world.create_pod("pod", image="local/busybox:1", container=container, **more)
    await world.until_phase("pod", "Succeeded", "Failed")
    return await world.log("pod")


async def test_user_and_group_are_the_containers_then_the_pods(world: World, tmp_path: Path) -> None:
    pods = {"runAsUser": 1000, "runAsGroup": 3000}
    said = await run(world, tmp_path, "id", {"runAsUser": 2000}, securityContext=pods)
    assert said.startswith("uid=2000 gid=3000")


async def test_a_closed_root_cannot_be_written_and_its_volumes_can(world: World, tmp_path: Path) -> None:
    mounts = {"volumeMounts": [{"name": "work", "mountPath": "/work"}]}
    volumes: list[dict[str, Any]] = [{"name": "work", "emptyDir": {}}]
    command = "touch /x || echo closed; touch /work/x && echo open"
    context = {"readOnlyRootFilesystem": True, "runAsUser": 1000}
    pods = {"fsGroup": 2000}
    said = await run(world, tmp_path, command, context, container=mounts, volumes=volumes, securityContext=pods)
    assert said.splitlines()[-2:] == ["closed", "open"]


@pytest.mark.parametrize(
    ("context", "user", "said"),
    [
        ({"runAsNonRoot": True, "runAsUser": 0}, "65532", "container's runAsUser breaks non-root policy"),
        ({"runAsNonRoot": True}, "", "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True}, "nobody", "container has runAsNonRoot and image has non-numeric user (nobody)"),
        ({"capabilities": {"add": ["FLY"]}}, "", 'unknown capability "CAP_FLY"'),
    ],
)
async def test_what_must_not_be_is_told_and_nothing_is_started(
    world: World, tmp_path: Path, context: dict[str, Any], user: str, said: str
) -> None:
    make_layout(tmp_path / "images", "local/some:1", [], entrypoint=("/never",), user=user)
    world.node.register_images(tmp_path / "images")
    world.create_pod("pod", image="local/some:1", container={"securityContext": context})
    pod = await world.until(PODS, "pod", lambda p: waiting_reason(p) == "CreateContainerConfigError")
    assert state_of(pod)["waiting"]["message"].startswith(said)


async def test_root_has_the_usual_capabilities_and_what_is_dropped_is_gone(world: World, tmp_path: Path) -> None:
    command = (
        "while read name value; do case $name in CapEff:|NoNewPrivs:) echo $value;; esac; done < /proc/1/status"
    )
    context = {"capabilities": {"drop": ["ALL"], "add": ["CHOWN", "CAP_KILL"]}}
    said = await run(world, tmp_path, command, context)
    assert [int(text, 16) for text in said.split()] == [1 << 0 | 1 << 5, 1]


async def test_nobody_is_privileged(world: World, tmp_path: Path) -> None:
    await run(world, tmp_path, "id", {"privileged": True})
    assert ended(world.get(PODS, "pod"))["reason"] == "StartError"


def test_capabilities_are_those_of_containerd_with_what_is_added_and_without_what_is_dropped() -> None:
    def held(user: int = 0, **asked: list[str]) -> set[str]:
        return set(capabilities_of({"securityContext": {"capabilities": asked}}, user))

    usual = held()
    assert "CHOWN" in usual
    assert "SYS_ADMIN" not in usual
    assert held(drop=["ALL"]) == set()
    assert held(drop=["CHOWN"]) == usual - {"CHOWN"}
    assert held(add=["SYS_TIME"], drop=["ALL"]) == {"SYS_TIME"}
    assert "SYS_ADMIN" in held(add=["ALL"], drop=["CHOWN"])
    assert "CHOWN" not in held(add=["ALL"], drop=["CHOWN"])
    # As in Kubernetes: they are a right of root, others would need them on the file.
    assert held(user=1000, add=["CHOWN"]) == set()


async def test_a_missing_configmap_is_waited_for_and_an_optional_one_is_not(world: World, tmp_path: Path) -> None:
    busybox_image(tmp_path / "images", entrypoint=("/bin/sh", "-c", "echo $A-$B"))
    world.node.register_images(tmp_path / "images")
    optional = {"configMapRef": {"name": "nowhere", "optional": True}}
    env_from = [optional, {"configMapRef": {"name": "settings"}}]
    world.create_pod("pod", image="local/busybox:1", container={"envFrom": env_from})
    pod = await world.until(PODS, "pod", lambda p: waiting_reason(p) == "CreateContainerConfigError")
    assert state_of(pod)["waiting"]["message"] == 'configmap "settings" not found'
    world.create(CONFIG_MAPS, {"metadata": {"name": "settings"}, "data": {"A": "1", "B": "2"}})
    await world.until_phase("pod", "Succeeded")
    assert await world.log("pod") == "1-2\n"
