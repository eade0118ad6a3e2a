"""Secrets and ConfigMaps that the catalogue gives an action; contracts that change while runs are under way."""

from typing import Any

import pytest

from controllers.bench import EXECUTIONS, IMAGE, NAMESPACE, Bench, step, steps_of
from kubernaut.cluster import Json, kinds

pytestmark = pytest.mark.journey

GIT = {"metadata": {"name": "git"}, "stringData": {"token": "hunter2-hunter2"}}
SETTINGS = {"metadata": {"name": "settings"}, "data": {"level": "high"}}


async def redefine(bench: Bench, **contract: Any) -> None:
    """The catalogue's entry of test/script, changed."""
    body = {"spec": {"contract": contract}}
    await bench.admin.patch(kinds.ACTION_DEFINITIONS, "test-script", None, body, "merge")


async def depend(bench: Bench) -> None:
    await redefine(bench, dependencies={"secrets": ["git"], "configMaps": ["settings"]})


async def test_what_the_catalogue_names_is_there_for_the_action(bench: Bench) -> None:
    await depend(bench)
    await bench.admin.create(kinds.SECRETS, GIT, NAMESPACE)
    await bench.admin.create(kinds.CONFIG_MAPS, SETTINGS, NAMESPACE)
    async with bench.controller():
        await bench.submit("run", [step("uses", "hold")])
        environment = await bench.until_acting("uses")
        [start] = bench.started
        secret = start.files[environment["KUBERNAUT_SECRET_DIR_GIT"]] / "token"
        assert secret.read_text() == "hunter2-hunter2"
        assert (start.files["/run/kubernaut/configmaps/settings"] / "level").read_text() == "high"
        bench.go.set()
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"
    assert "hunter2" not in str(bench.objects(EXECUTIONS))


@pytest.mark.parametrize(("there", "missing"), [(SETTINGS, "Secret git"), (GIT, "ConfigMap settings")])
async def test_what_is_missing_is_told_at_once_and_waited_for(bench: Bench, there: Json, missing: str) -> None:
    await depend(bench)
    kind, other, late = (
        (kinds.CONFIG_MAPS, kinds.SECRETS, GIT)
        if there is SETTINGS
        else (kinds.SECRETS, kinds.CONFIG_MAPS, SETTINGS)
    )
    await bench.admin.create(kind, there, NAMESPACE)
    async with bench.controller():
        began = bench.clock.monotonic()
        await bench.submit("run", [step("uses")])
        told = await bench.until("run", lambda w: steps_of(w).get("uses", {}).get("reason") == "MountFailed")
        assert bench.clock.monotonic() - began < 5
        assert steps_of(told)["uses"]["phase"] == "Running"
        waiting = await bench.until_object(EXECUTIONS, lambda e: e.get("status", {}).get("waiting"))
        assert waiting["status"]["waiting"]["message"].startswith(f"It waits for the {missing}")
        await bench.admin.create(other, late, NAMESPACE)
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"


async def test_what_never_comes_fails_the_step_only_at_its_deadline(bench: Bench) -> None:
    await depend(bench)
    async with bench.controller():
        await bench.submit("run", [step("uses", timeout="2s")])
        ended = await bench.until_ended("run")
    record = steps_of(ended)["uses"]
    assert (record["phase"], record["executed"]) == ("TimedOut", "no")
    assert "It waits for the" in record["message"]
    assert not bench.effects


async def test_a_run_under_way_keeps_to_the_contract_that_it_was_let_in_by(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit(
            "old", [step("first", "hold"), step("second", "succeed", "first", inputs={"text": "a"})]
        )
        await bench.until_acting("first")
        # A new major: another image, `text` is gone, another input is required.
        inputs = [{"name": "does"}, {"name": "reason", "required": True}]
        image = "registry.example/test@sha256:" + "c" * 64
        bench.node.scripted.register(image, bench.play)
        body = {"spec": {"image": image, "version": "2.0.0", "contract": {"inputs": inputs}}}
        await bench.admin.patch(kinds.ACTION_DEFINITIONS, "test-script", None, body, "merge")
        await bench.submit("new", [step("first", inputs={"text": "a"})])
        refused = await bench.until_ended("new")
        bench.go.set()
        ended = await bench.until_ended("old")
    assert refused["status"]["phase"] == "Failed"
    assert "spec.steps[0].inputs.text" in refused["status"]["message"]
    assert "inputs.reason" in refused["status"]["message"]
    assert ended["status"]["phase"] == "Completed"
    for execution in bench.executions("old").values():
        assert execution["spec"]["image"] == IMAGE
        assert "text" in [parameter["name"] for parameter in execution["spec"]["contract"]["inputs"]]
