"""`kubernaut action run`: images that the catalogue does not have, and what an action waits for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from kubernaut.api.contract import ActionContract, ContractMeta, ContractSpec, Parameter
from kubernaut.api.meta import to_object
from kubernaut.api.names import IMAGE_LABEL_CONTRACT
from kubernaut.cli.exits import Exit
from kubernaut.cli.output import value_at
from kubernaut.cli.session import speak
from kubernaut.cluster import Cluster, NotFound, kinds
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
from registries import run_registry

from .conftest import Kubernaut
from .test_sessions import NAMESPACE

pytestmark = [pytest.mark.journey, pytest.mark.timeout(60)]

OWN = ContractSpec(inputs=(Parameter(name="n", type="integer", required=True),), fenced=True)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncGenerator[str]:
    async with run_registry(tmp_path) as address:
        yield address


async def push(registry: str, folder: Path) -> str:
    """An image of nobody's catalogue, by digest."""
    layout = ImageLayout.create(folder / "layout")
    contract = ActionContract(metadata=ContractMeta(name="team/own", version="1.0.0"), spec=OWN)
    layer = build_layer(layout, [LayerFile("act", 0o755, content=b"#!/bin/sh\n")])
    labels = {IMAGE_LABEL_CONTRACT: msgspec.json.encode(to_object(contract)).decode()}
    digest = build_image(layout, [layer], ImageRecipe(entrypoint=("/act",), labels=labels)).digest
    repository = Reference(registry, "team/own")
    async with RegistryClient() as client:
        await push_image(client, layout, digest, repository)
    return str(repository.with_digest(digest))


@pytest.mark.peer
async def test_an_image_of_ones_own_is_judged_by_the_contract_that_it_carries(
    registry: str, at_cluster: Kubernaut, tmp_path: Path
) -> None:
    image = await push(registry, tmp_path)

    async def run(*words: str) -> tuple[int, str, str]:
        said = await asyncio.to_thread(at_cluster, "action", "run", *words)
        return said.code, said.out, said.err

    tried = await run("--image", image, "-i", "n=3", "--name", "own", "--dry-run")
    assert tried == (Exit.SUCCEEDED, "actionexecution/own created (dry run)\n", "")
    code, _, told = await run("--image", image, "-i", "n=three")
    assert (code, "spec.inputs.n: must be of type integer" in told) == (Exit.REFUSED, True)
    assert f"kubernaut action contract show {image}" in told
    code, _, told = await run("team/other", "--image", image, "-i", "n=3")
    assert (code, "is that of team/own, not of team/other" in told) == (Exit.REFUSED, True)
    code, _, told = await run("--image", f"{registry}/team/own@{sha256(b'absent')}")
    assert (code, "the image is not in its registry" in told) == (Exit.REFUSED, True)
    code, _, told = await run("--image", f"{registry}/team/own:latest")
    assert (code, "does not name the image by digest" in told) == (Exit.USAGE, True)


def test_what_an_action_waits_for_is_named_with_the_command_that_makes_it(
    shared: Path, at_cluster: Kubernaut
) -> None:
    async def prepare() -> None:
        async with Cluster.connect(shared) as cluster:
            [found] = [
                one
                for one in (await cluster.list(kinds.ACTION_DEFINITIONS)).items
                if one["spec"]["actionType"] == "kubernetes/collect_diagnostics"
            ]
            spec = found["spec"] | {"actionType": "test/needy"}
            spec["contract"] = spec["contract"] | {"dependencies": {"secrets": ["git-login"]}}
            body = {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": {"name": "test-needy"}}
            await cluster.create(kinds.ACTION_DEFINITIONS, body | {"spec": spec})

    async def until_it_waits() -> None:
        async with Cluster.connect(shared) as cluster:
            found = await cluster.get(kinds.ACTION_EXECUTIONS, "needy", NAMESPACE)
            if value_at(found, "status.waiting"):
                return
            version = found["metadata"]["resourceVersion"]
            watching = cluster.watch(kinds.ACTION_EXECUTIONS, NAMESPACE, resource_version=version)
            async with aclosing(watching) as events:
                async for event in events:
                    is_it = event.object["metadata"]["name"] == "needy"
                    if is_it and value_at(event.object, "status.waiting"):
                        return

    async def tidy() -> None:
        async with Cluster.connect(shared) as cluster:
            for kind, name, namespace in (
                (kinds.ACTION_EXECUTIONS, "needy", NAMESPACE),
                (kinds.ACTION_DEFINITIONS, "test-needy", None),
            ):
                try:
                    await cluster.delete(kind, name, namespace)
                except NotFound:
                    continue

    make = f"kubectl create secret generic git-login -n {NAMESPACE} --from-literal=KEY=VALUE"
    speak(prepare())
    try:
        inputs = ["-i", "namespace=production", "-i", "deployment=payment-service"]
        said = at_cluster("action", "run", "test/needy", *inputs, "--name", "needy")
        assert said.code == Exit.SUCCEEDED
        assert "it needs the Secret git-login" in said.err
        assert make in said.err
        speak(until_it_waits())
        told = at_cluster("describe", "ae/needy").out
        assert f"The Secret git-login is not in namespace {NAMESPACE}. Make it with: {make}" in told
    finally:
        speak(tidy())
