"""Steps that name images of their own: their contracts come from a real registry, or from a layout."""

import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controllers.bench import EXECUTIONS, NAMESPACE, Bench, open_bench, step, steps_of
from kubernaut.api.contract import ActionContract, ContractMeta, ContractSpec, Dependencies, Parameter
from kubernaut.api.meta import to_object
from kubernaut.api.names import IMAGE_LABEL_CONTRACT
from kubernaut.cluster import Json, kinds
from kubernaut.controllers.registries import RegistrySettings
from kubernaut.oci import (
    ImageLayout,
    ImageRecipe,
    LayerFile,
    Reference,
    RegistryClient,
    build_image,
    build_layer,
    push_image,
    sha256,
)
from kubernaut.planning.facts import Limits
from registries import run_registry

from .test_door import lone, until_action_ended

pytestmark = [pytest.mark.journey]

FENCED = ContractSpec(inputs=(Parameter(name="does"), Parameter(name="n", type="integer")), fenced=True)


def contract(spec: ContractSpec = FENCED, name: str = "team/own") -> Json:
    whole = ActionContract(metadata=ContractMeta(name=name, version="1.0.0"), spec=spec)
    return dict(to_object(whole))


def build(layout: ImageLayout, label: str | None) -> str:
    """Digest of an image that carries this contract."""
    layer = build_layer(layout, [LayerFile("act", 0o755, content=b"#!/bin/sh\n")])
    labels = {} if label is None else {IMAGE_LABEL_CONTRACT: label}
    return build_image(layout, [layer], ImageRecipe(entrypoint=("/act",), labels=labels)).digest


def labelled(document: Json) -> str:
    return msgspec.json.encode(document).decode()


@dataclass
class Place:
    """A registry and a cluster whose controller reads from it."""

    bench: Bench
    registry: str
    layout: ImageLayout

    async def push(self, label: str | None) -> str:
        """An image by digest, which the node can run."""
        digest = build(self.layout, label)
        repository = Reference(self.registry, "team/own")
        async with RegistryClient() as client:
            await push_image(client, self.layout, digest, repository)
        image = str(repository.with_digest(digest))
        self.bench.node.scripted.register(image, self.bench.play)
        return image


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[Place]:
    (tmp_path / "cluster").mkdir()
    async with open_bench(tmp_path / "cluster", limits=Limits()) as bench, run_registry(tmp_path) as address:
        yield Place(bench, address, ImageLayout.create(tmp_path / "layout"))


async def alone(bench: Bench, name: str, image: str, spec: ContractSpec = FENCED, **more: Any) -> Json:
    """A single action of an image of its own, once it has ended: its status."""
    asked = {
        "actionType": "team/own",
        "image": image,
        "serviceAccountName": "default",
        "contract": msgspec.to_builtins(spec),
        "inputs": {"n": 3},
        "timeout": "5m",
    }
    await bench.admin.create(kinds.ACTION_EXECUTIONS, lone(name, **asked | more), NAMESPACE)
    ended = await until_action_ended(bench, name)
    return dict(ended["status"])


def own(image: str, action: str = "team/own", **inputs: Any) -> Json:
    return step("own", type=action, image=image, inputs=inputs)


@pytest.mark.peer
@pytest.mark.parametrize("action", ["team/own", "test/script"])
async def test_an_image_runs_by_the_contract_that_its_registry_holds(place: Place, action: str) -> None:
    image = await place.push(labelled(contract(name=action)))
    async with place.bench.controller():
        await place.bench.submit("run", [own(image, action, n=3)])
        ended = await place.bench.until_ended("run")
        await place.bench.submit("bad", [own(image, action, n="three")])
        bad = await place.bench.until_ended("bad")
    status = ended["status"]
    assert (status["phase"], steps_of(ended)["own"]["executed"]) == ("Completed", "yes")
    [pin] = status["actions"]
    assert (pin["image"], pin["serviceAccountName"]) == (image, "default")
    assert sum(place.bench.effects.values()) == 1
    assert "spec.steps[0].inputs.n: must be of type integer" in bad["status"]["message"]


@pytest.mark.peer
async def test_a_single_action_runs_an_image_by_the_contract_that_its_registry_holds(place: Place) -> None:
    image = await place.push(labelled(contract()))
    async with place.bench.controller():
        ended = await alone(place.bench, "alone", image)
        wrong = await alone(place.bench, "wrong", image, inputs={"n": "three"})
        claimed = await alone(place.bench, "claimed", image, ContractSpec(inputs=FENCED.inputs, idempotent=True))
        dressed = await alone(place.bench, "dressed", image, actionType="team/other")
    assert (ended["phase"], ended["executed"]) == ("Succeeded", "yes")
    assert sum(place.bench.effects.values()) == 1
    assert "spec.inputs.n: must be of type integer" in wrong["message"]
    assert "spec.contract: is not the contract of this image" in claimed["message"]
    assert "spec.image: the image's contract is that of team/own, not of team/other" in dressed["message"]


@pytest.mark.peer
async def test_a_single_action_is_refused_what_nobody_could_approve_and_what_no_registry_has(place: Place) -> None:
    open_to_all = ContractSpec(inputs=FENCED.inputs)
    image = await place.push(labelled(contract(open_to_all)))
    greedy = ContractSpec(inputs=FENCED.inputs, fenced=True, dependencies=Dependencies(secrets=("git",)))
    async with place.bench.controller():
        unfenced = await alone(place.bench, "unfenced", image, open_to_all)
        absent = await alone(place.bench, "absent", f"{place.registry}/team/own@{sha256(b'another')}")
        asking = await alone(place.bench, "asking", await place.push(labelled(contract(greedy))), greedy)
    assert "spec.image: takes no fence" in unfenced["message"]
    assert "spec.image: the image is not in its registry" in absent["message"]
    assert "asks for the Secret git, which the catalogue does not give" in asking["message"]
    assert not place.bench.started


@pytest.mark.peer
@pytest.mark.parametrize(
    ("label", "words"),
    [
        (None, "the image carries no contract"),
        ("{", "the image's contract is invalid"),
        (labelled({**contract(), "apiVersion": "kubernaut.ai/v2"}), "is of 'kubernaut.ai/v2'; known here is"),
        (labelled(contract(name="team/other")), "the image's contract is that of team/other, not of team/own"),
        (
            labelled(contract(ContractSpec(timeout="1h", max_timeout="5m", fenced=True))),
            "the image's contract is broken: contract.timeout is above maxTimeout",
        ),
        ("absent", "the image is not in its registry"),
    ],
    ids=["none", "invalid", "newer", "another's", "broken", "absent"],
)
async def test_what_a_registry_cannot_give_is_refused_with_the_reason(
    place: Place, label: str | None, words: str
) -> None:
    image = await place.push(label)
    if label == "absent":
        image = f"{place.registry}/team/own@{sha256(b'another')}"
    async with place.bench.controller():
        await place.bench.submit("run", [own(image)])
        ended = await place.bench.until_ended("run")
    assert ended["status"]["reason"] == "Refused"
    assert ended["status"]["message"].startswith("spec.steps[0].image: ")
    assert words in ended["status"]["message"]
    assert not place.bench.started


@pytest.mark.peer
async def test_an_image_without_a_fence_waits_for_an_approval_and_says_why(place: Place) -> None:
    image = await place.push(labelled(contract(ContractSpec(inputs=FENCED.inputs))))
    async with place.bench.controller():
        await place.bench.submit("run", [own(image)])
        held = await place.bench.until_phase("run", "WaitingApproval")
    assert "the images of own take no fence" in held["status"]["message"]
    assert not place.bench.started


@pytest.mark.peer
async def test_a_closed_registry_lets_the_controller_in_only_with_a_login(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    async with open_bench(tmp_path / "cluster") as bench, run_registry(tmp_path, login=True) as address:
        async with bench.controller():
            await bench.submit("run", [own(f"{address}/team/own@{sha256(b'x')}")])
            ended = await bench.until_ended("run")
        (tmp_path / "config.json").write_text(f'{{"auths": {{"{address}": {{"auth": "dXNlcjpwYTpzcw=="}}}}}}')
        registries = RegistrySettings(docker_configs=(tmp_path / "config.json",))
        bench.settings = replace(bench.settings, registries=registries)
        async with bench.controller():
            await bench.submit("again", [own(f"{address}/team/own@{sha256(b'x')}")])
            again = await bench.until_ended("again")
    assert "does not let the controller in" in ended["status"]["message"]
    assert "the setting registry.dockerConfig" in ended["status"]["message"]
    assert "the image is not in its registry" in again["status"]["message"]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def test_a_registry_that_is_away_is_waited_for_told_of_at_once_and_refused_in_the_end(bench: Bench) -> None:
    image = f"127.0.0.1:{closed_port()}/team/own@{sha256(b'x')}"
    async with bench.controller():
        begun = bench.clock.monotonic()
        await bench.submit("run", [own(image)])
        waiting = await bench.until_phase("run", "Validating")
        assert bench.clock.monotonic() - begun < 5
        bench.clock.skipped += 121
        await bench.nudge("run")
        ended = await bench.until_ended("run")
    assert waiting["status"]["reason"] == "RegistryUnreachable"
    assert "127.0.0.1" in waiting["status"]["message"]
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Failed", "Refused")
    assert "it was waited for 120 s" in ended["status"]["message"]


async def until_action_says(bench: Bench, name: str, reason: str) -> Json:
    def holds(execution: Json) -> bool:
        return bool(execution["metadata"]["name"] == name and execution.get("status", {}).get("reason") == reason)

    return await bench.until_object(EXECUTIONS, holds)


async def test_a_single_action_waits_for_its_registry_says_so_and_is_refused_in_the_end(bench: Bench) -> None:
    image = f"127.0.0.1:{closed_port()}/team/own@{sha256(b'x')}"
    asked = {"actionType": "team/own", "image": image, "contract": msgspec.to_builtins(FENCED), "inputs": {"n": 3}}
    async with bench.controller():
        for name in ("patient", "stopped"):
            await bench.admin.create(kinds.ACTION_EXECUTIONS, lone(name, timeout="5m", **asked), NAMESPACE)
        waiting = await until_action_says(bench, "patient", "RegistryUnreachable")
        stop = {"spec": {"stop": {"reason": "Cancelled", "at": "2030-01-01T00:00:00Z", "message": "no more"}}}
        await until_action_says(bench, "stopped", "RegistryUnreachable")
        await bench.admin.patch(kinds.ACTION_EXECUTIONS, "stopped", NAMESPACE, stop)
        stopped = await until_action_ended(bench, "stopped")
        bench.clock.skipped += 121
        nudge = {"metadata": {"annotations": {"nudged": "yes"}}}
        await bench.admin.patch(kinds.ACTION_EXECUTIONS, "patient", NAMESPACE, nudge)
        ended = await until_action_ended(bench, "patient")
    assert waiting["status"]["phase"] == "Pending"
    assert (stopped["status"]["phase"], stopped["status"]["executed"]) == ("Cancelled", "no")
    assert (ended["status"]["phase"], ended["status"]["reason"]) == ("Failed", "Refused")
    assert "it was waited for 120 s" in ended["status"]["message"]


async def test_who_waits_for_a_registry_can_be_cancelled(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [own(f"127.0.0.1:{closed_port()}/team/own@{sha256(b'x')}")])
        await bench.until_phase("run", "Validating")
        await bench.ask("run", "cancel")
        assert (await bench.until_ended("run"))["status"]["phase"] == "Cancelled"


@pytest.mark.peer
async def test_a_run_goes_on_when_its_registry_comes_back(tmp_path: Path) -> None:
    """The registry is away at first: the name that it will have is known, its port is not yet open."""
    (tmp_path / "cluster").mkdir()
    layout = ImageLayout.create(tmp_path / "layout")
    digest, port = build(layout, labelled(contract())), closed_port()
    async with open_bench(tmp_path / "cluster") as bench:
        image = f"127.0.0.1:{port}/team/own@{digest}"
        bench.node.scripted.register(image, bench.play)
        async with bench.controller():
            await bench.submit("run", [own(image)])
            await bench.until_phase("run", "Validating")
            async with run_registry(tmp_path, port=port) as address:
                async with RegistryClient() as client:
                    await push_image(client, layout, digest, Reference(address, "team/own"))
                bench.clock.skipped += 30
                await bench.nudge("run")
                ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"


async def test_an_image_in_a_layout_that_the_controller_knows_needs_no_registry(tmp_path: Path) -> None:
    layout = ImageLayout.create(tmp_path / "layout")
    image = f"nowhere.invalid/team/own@{build(layout, labelled(contract()))}"
    (tmp_path / "cluster").mkdir()
    registries = RegistrySettings(layouts=(layout.folder,))
    async with open_bench(tmp_path / "cluster", registries=registries) as bench:
        bench.node.scripted.register(image, bench.play)
        async with bench.controller():
            await bench.submit("run", [own(image, n=1)])
            ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"
