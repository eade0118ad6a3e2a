"""`lint --online` and `run` know the contracts of images that files name, as far as they can be read from here."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
import yaml

from kubernaut.api.contract import ActionContract, ContractMeta, ContractSpec, Parameter
from kubernaut.api.meta import to_object
from kubernaut.api.names import IMAGE_LABEL_CONTRACT
from kubernaut.cli.examples import example
from kubernaut.cli.exits import Exit
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

pytestmark = [pytest.mark.journey, pytest.mark.peer]

SPEC = ContractSpec(inputs=(Parameter(name="n", type="integer", required=True),), fenced=True)
CONTRACT = ActionContract(metadata=ContractMeta(name="team/own", version="1.0.0"), spec=SPEC)


async def pushed(folder: Path, registry: str) -> str:
    layout = ImageLayout.create(folder / "layout")
    layer = build_layer(layout, [LayerFile("act", 0o755, content=b"#!/bin/sh\n")])
    labels = {IMAGE_LABEL_CONTRACT: msgspec.json.encode(to_object(CONTRACT)).decode()}
    digest = build_image(layout, [layer], ImageRecipe(entrypoint=("/act",), labels=labels)).digest
    repository = Reference(registry, "team/own")
    async with RegistryClient() as client:
        await push_image(client, layout, digest, repository)
    return str(repository.with_digest(digest))


def workflow(folder: Path, image: str, n: object, name: str = "foreign") -> str:
    document = {
        "apiVersion": "workflowexecution.kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": name},
        "spec": {"steps": [{"name": "own", "actionType": "team/own", "image": image, "inputs": {"n": n}}]},
    }
    (folder / "w.yaml").write_text(yaml.safe_dump(document))
    return str(folder / "w.yaml")


async def test_the_contract_of_an_own_image_counts_before_anything_is_submitted(
    kubernaut: Kubernaut, shared: Path, tmp_path: Path
) -> None:
    async with run_registry(tmp_path) as registry:
        image = await pushed(tmp_path, registry)
        where = ("--kubeconfig", str(shared))
        good = await asyncio.to_thread(kubernaut, "lint", "--online", workflow(tmp_path, image, 3), *where)
        offline = await asyncio.to_thread(kubernaut, "lint", workflow(tmp_path, image, "three"))
        bad = await asyncio.to_thread(kubernaut, "lint", "--online", workflow(tmp_path, image, "three"), *where)
        ran = await asyncio.to_thread(kubernaut, "run", "-f", str(tmp_path / "w.yaml"), *where)
        missing = f"{registry}/team/own@{sha256(b'x')}"
        absent = await asyncio.to_thread(kubernaut, "lint", "--online", workflow(tmp_path, missing, 3), *where)
    assert (good.code, good.out) == (Exit.SUCCEEDED, "")
    assert offline.code == Exit.SUCCEEDED  # nothing is known of the image
    assert bad.code == ran.code == Exit.REFUSED
    for said in (bad.out, ran.err):
        assert "spec.steps[0].inputs.n: must be of type integer" in said
    assert absent.code == Exit.REFUSED
    assert "spec.steps[0].image: the image is not in its registry" in absent.out


async def test_an_image_that_cannot_be_read_from_here_is_left_to_the_controller(
    kubernaut: Kubernaut, shared: Path, tmp_path: Path
) -> None:
    file = workflow(tmp_path, f"127.0.0.1:9/team/own@{sha256(b'x')}", 3, "out-of-reach")
    linted = await asyncio.to_thread(kubernaut, "lint", "--online", file, "--kubeconfig", str(shared))
    ran = await asyncio.to_thread(kubernaut, "run", "-f", file, "--dry-run", "--kubeconfig", str(shared))
    assert linted.code == Exit.REFUSED
    assert "spec.steps[0].image: the image's contract cannot be read now" in linted.out
    assert ran.code == Exit.SUCCEEDED
    assert "the controller looks for itself" in ran.err


async def test_an_image_that_lies_in_the_embedded_cluster_runs_under_any_name(
    kubernaut: Kubernaut, shared: Path, tmp_path: Path
) -> None:
    where = ("--kubeconfig", str(shared))
    listed = await asyncio.to_thread(kubernaut, "get", "ad", "-o", "json", *where)
    [image] = [
        item["spec"]["image"]
        for item in json.loads(listed.out)["items"]
        if item["spec"]["actionType"] == "kubernetes/scale_deployment"
    ]
    document = yaml.safe_load(example("scale.yaml").read_text())
    document["metadata"] = {"name": "under-another-name"}
    document["spec"]["steps"][0]["image"] = f"127.0.0.1:9/mirror/scale@{image.partition('@')[2]}"
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(document))
    ran = await asyncio.to_thread(kubernaut, "run", "-f", str(tmp_path / "w.yaml"), "--wait", *where)
    assert ran.code == Exit.SUCCEEDED, ran
