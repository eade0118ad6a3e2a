"""Values nested thousands of levels deep, wherever they come from: one clear word, and everybody else goes on.

A real API server takes 10,000 levels. No client of ours could send them, so they are put into its answers.
"""

import json
import re
from typing import Any

import pytest

from controllers.bench import Bench, step, steps_of
from controllers.test_door import submit_alone, until_action_ended
from kubernaut.cluster import Json, ServerError, client, kinds

pytestmark = [pytest.mark.journey]

LEVELS = [70, 300, 700, 930, 5000]


def deepen(monkeypatch: pytest.MonkeyPatch, levels: int) -> None:
    """In every answer of the API server the text DEEP becomes a value of so many levels, DEEP<n> one of n."""
    read = client._object  # pyright: ignore[reportPrivateUsage]

    def deep(found: re.Match[bytes]) -> bytes:
        wanted = int(found[1] or levels)
        return b'{"a":' * wanted + b"1" + b"}" * wanted

    def deepened(body: bytes, request: Any) -> Json:
        return read(re.sub(rb'"DEEP(\d*)"', deep, body), request)

    monkeypatch.setattr(client, "_object", deepened)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("place", ["parameters", "inputs"])
async def test_a_workflow_with_deep_values_is_refused_and_others_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str, levels: int
) -> None:
    deepen(monkeypatch, levels)
    given: dict[str, Any] = {"inputs": {"text": "DEEP"}} if place == "inputs" else {}
    await bench.submit("deep", [step("only", **given)], parameters={"p": "DEEP"} if not given else {})
    async with bench.controller():
        await bench.submit("other", [step("only")])
        ended = await bench.until_ended("deep")
        assert (await bench.until_ended("other"))["status"]["phase"] == "Completed"
    assert ended["status"]["reason"] == "Refused"
    assert "nested" in ended["status"]["message"]


async def test_no_depth_is_just_right_to_be_read_and_not_to_be_judged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Around the end of Python's stack, where one level more or less decides which function it ends in."""
    deepen(monkeypatch, 0)
    levels = range(900, 1000, 1)
    async with bench.controller():
        for n in levels:
            await bench.submit(f"deep-{n}", [step("only")], parameters={"p": f"DEEP{n}"})
        ended = [await bench.until_ended(f"deep-{n}") for n in levels]
    assert {(one["status"]["reason"], "nested" in one["status"]["message"]) for one in ended} == {
        ("Refused", True)
    }


@pytest.mark.parametrize("levels", LEVELS)
async def test_an_action_with_deep_inputs_is_refused_and_others_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, levels: int
) -> None:
    deepen(monkeypatch, levels)
    await submit_alone(bench, "deep", inputs={"text": "DEEP"})
    async with bench.controller():
        await submit_alone(bench, "other", inputs={"does": "succeed"})
        ended = await until_action_ended(bench, "deep")
        assert (await until_action_ended(bench, "other"))["status"]["phase"] == "Succeeded"
    assert "nested" in ended["status"]["message"]


async def test_one_deep_object_that_is_asked_for_is_refused_and_not_handed_out_in_part(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    deepen(monkeypatch, 5000)
    created = await bench.submit("deep", [step("only")], parameters={"p": "DEEP"})
    with pytest.raises(ServerError, match="nested more than 128 levels deep"):
        await bench.admin.get(kinds.WORKFLOW_EXECUTIONS, "deep", created["metadata"]["namespace"])


@pytest.mark.parametrize("does", ["deep", "deep-print", "deep-overflow"])
async def test_an_action_that_gives_deep_outputs_ends_and_says_so(bench: Bench, does: str) -> None:
    using = step("using", "succeed", inputs={"text": "$(steps.only.outputs.text)"}, critical=False)
    async with bench.controller():
        await bench.submit("run", [step("only", does), using])
        ended = await bench.until_ended("run")
    only, after = steps_of(ended)["only"], steps_of(ended)["using"]
    assert (only["phase"], only["executed"]) == ("Succeeded", "yes")
    assert "outputs" not in only
    assert (after["phase"], after["reason"]) == ("Failed", "InvalidInputs")
    assert "was not given by the step that should have" in after["message"]
    if does == "deep":
        [found] = [e for e in bench.executions("run").values() if e["spec"]["step"] == "only"]
        assert "nested more than 64 levels deep, and was left out" in json.dumps(found["status"])
