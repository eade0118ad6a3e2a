"""The contract that an image carries: read whole, or refused with the reason."""

import json
from typing import Any

import pytest

from kubernaut.api.names import IMAGE_LABEL_CONTRACT
from kubernaut.oci import (
    ContentInvalid,
    ContractMissing,
    ContractTooNew,
    ImageLayout,
    ImageRecipe,
    LayerFile,
    build_image,
    build_layer,
    read_contract,
)

DOCUMENT: dict[str, Any] = {
    "apiVersion": "kubernaut.ai/v1alpha1",
    "kind": "ActionContract",
    "metadata": {"name": "test/act", "version": "1.2.3"},
    "spec": {"inputs": [{"name": "n", "type": "integer"}], "fenced": True},
}


def image_with(layout: ImageLayout, label: str | None) -> str:
    layer = build_layer(layout, [LayerFile("act", 0o755, content=b"")])
    labels = {} if label is None else {IMAGE_LABEL_CONTRACT: label}
    return build_image(layout, [layer], ImageRecipe(entrypoint=("/act",), labels=labels)).digest


async def test_a_contract_is_read_whole(layout: ImageLayout) -> None:
    contract = await read_contract(layout, image_with(layout, json.dumps(DOCUMENT)))
    assert (contract.metadata.name, contract.metadata.version) == ("test/act", "1.2.3")
    assert contract.spec.inputs[0].type == "integer"


async def test_an_image_without_a_contract_says_so(layout: ImageLayout) -> None:
    with pytest.raises(ContractMissing, match=r"it has no label ai\.kubernaut\.action-contract"):
        await read_contract(layout, image_with(layout, None))


async def test_a_contract_of_another_version_is_not_guessed_at(layout: ImageLayout) -> None:
    newer = {**DOCUMENT, "apiVersion": "kubernaut.ai/v2", "spec": {"inputs": {"n": "integer"}}}
    with pytest.raises(ContractTooNew, match=r"'kubernaut.ai/v2'; known here is kubernaut.ai/v1alpha1"):
        await read_contract(layout, image_with(layout, json.dumps(newer)))


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("", "not an action contract"),
        ("[]", "Expected `object`"),
        (json.dumps({**DOCUMENT, "kind": "Pod"}), "its kind is 'Pod'"),
        (json.dumps({**DOCUMENT, "spec": {"timeout": 5}}), "Expected `str`"),
        (json.dumps({**DOCUMENT, "spec": {"timeout": "soon"}}), "timeout"),
        (json.dumps({**DOCUMENT, "metadata": {"name": "test/act"}}), "version"),
        (json.dumps({**DOCUMENT, "x": "y" * 65536}), "at most 65536 are read"),
        (json.dumps({**DOCUMENT, "x": 1})[:-1] + ',"y":' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
    ],
    ids=["empty", "list", "kind", "type", "form", "lacking", "large", "deep"],
)
async def test_what_is_no_contract_is_refused_with_the_reason(layout: ImageLayout, label: str, words: str) -> None:
    with pytest.raises(ContentInvalid, match=words):
        await read_contract(layout, image_with(layout, label))
