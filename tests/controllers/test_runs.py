"""Whole runs through the loops: what a user sees of each way in which a workflow goes."""

import json

import pytest

from controllers.bench import NAMESPACE, SECRET, UNFENCED_IMAGE, Bench, inputs_of, step, steps_of
from kubernaut.cluster import kinds

pytestmark = pytest.mark.timeout(20)

QUICK = {"limit": 2, "backoff": {"base": "10ms", "cap": "20ms"}}


async def test_a_single_step_runs_once_and_its_outputs_are_kept(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("one", [step("only")])
        ended = await bench.until_ended("one")
    record = steps_of(ended)["only"]
    assert ended["status"]["phase"] == "Completed"
    assert (record["phase"], record["executed"], record["outputs"]["value"]) == ("Succeeded", "yes", 1)
    assert list(bench.effects.values()) == [1]


async def test_writes_stay_within_the_budget(bench: Bench) -> None:
    async with bench.controller():
        for name, count, most in (("one", 1, 9), ("three", 3, 9 + 2 * 6)):
            bench.cluster.requests.reset()
            chain = [step(f"s{i}", "succeed", *([f"s{i - 1}"] if i else [])) for i in range(count)]
            await bench.submit(name, chain)
            await bench.until_ended(name)
            ours = bench.cluster.requests.writes("controller")
            runners = [c for c in bench.cluster.requests.writes("devcluster-admin") if c.kind.startswith("leases")]
            assert len(ours) + len(runners) == most, [(c.verb, c.kind, c.name) for c in [*ours, *runners]]


async def test_outputs_reach_the_inputs_of_later_steps_with_their_type(bench: Bench) -> None:
    chain = [
        step("first"),
        step("second", inputs={"from": "$(steps.first.outputs.value)", "text": "<$(steps.first.outputs.text)>"}),
    ]
    async with bench.controller():
        await bench.submit("chain", chain)
        await bench.until_ended("chain")
    given = inputs_of(bench.started[1])
    assert (given["from"], given["text"]) == (1, "<attempt 1>")


async def test_outputs_too_large_for_a_status_reach_later_steps(bench: Bench) -> None:
    chain = [
        step("first", "overflow"),
        step("second", inputs={"from": "$(steps.first.outputs.value)", "text": "$(steps.first.outputs.text)"}),
    ]
    async with bench.controller():
        await bench.submit("large", chain)
        ended = await bench.until_ended("large")
    assert ended["status"]["phase"] == "Completed"
    given = inputs_of(bench.started[1])
    assert (given["from"], len(given["text"])) == (41, 5000)
    assert "xxxx" not in json.dumps(ended["status"])


async def test_inputs_too_large_for_the_environment_come_as_a_file(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("large", [step("only", inputs={"text": "y" * 70_000})])
        ended = await bench.until_ended("large")
    assert ended["status"]["phase"] == "Completed"
    assert "ACTION_INPUTS" not in bench.started[0].environment
    assert len(inputs_of(bench.started[0])["text"]) == 70_000


async def test_a_secret_is_mounted_as_a_file_and_never_copied(bench: Bench) -> None:
    await bench.admin.create(kinds.SECRETS, {"metadata": {"name": "s"}, "stringData": {"k": SECRET}}, NAMESPACE)
    secret = {"secretKeyRef": {"name": "s", "key": "k"}}
    async with bench.controller():
        await bench.submit("secret", [step("only", inputs={"token": secret})])
        await bench.until_ended("secret")
    start = bench.started[0]
    folder = start.files[start.environment["KUBERNAUT_SECRETS_DIR"]]
    assert (folder / "token").read_text() == SECRET
    for kind in ("jobs.batch", "pods", "actionexecutions.execution.kubernaut.ai", "events"):
        assert SECRET not in json.dumps(bench.objects(kind))


async def test_secrets_that_an_action_says_reach_no_status_and_no_event(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("leak", [step("only", "leak")])
        ended = await bench.until_ended("leak")
    said = json.dumps([ended, bench.objects("actionexecutions.execution.kubernaut.ai")])
    assert steps_of(ended)["only"]["reason"] == "Broken"
    assert f"password={SECRET}" not in said
    assert f"password={SECRET}" not in json.dumps(bench.objects("events"))


async def test_a_failed_step_that_is_not_critical_leaves_a_partial_success(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("partial", [step("broken", "fail", critical=False), step("other")])
        ended = await bench.until_ended("partial")
    assert ended["status"]["phase"] == "PartiallyCompleted"
    assert steps_of(ended)["other"]["phase"] == "Succeeded"


async def test_a_failed_critical_step_skips_the_rest_and_runs_finally(bench: Bench) -> None:
    steps = [step("broken", "fail"), step("next", "succeed", "broken")]
    async with bench.controller():
        await bench.submit("failing", steps, **{"finally": [step("evidence")]})
        ended = await bench.until_ended("failing")
    phases = {name: record["phase"] for name, record in steps_of(ended).items()}
    assert ended["status"]["phase"] == "Failed"
    assert phases == {"broken": "Failed", "next": "Skipped", "evidence": "Succeeded"}
    assert steps_of(ended)["broken"]["executed"] == "yes"


async def test_when_chooses_what_runs(bench: Bench) -> None:
    steps = [
        step("ask"),
        step("small", "succeed", when=["steps.ask.outputs.value < 5"]),
        step("large", "succeed", when=["steps.ask.outputs.value >= 5"]),
    ]
    for later in steps[1:]:
        later["runAfter"] = ["ask"]
    async with bench.controller():
        await bench.submit("choice", steps)
        ended = await bench.until_ended("choice")
    assert ended["status"]["phase"] == "Completed"
    assert [steps_of(ended)[name]["phase"] for name in ("small", "large")] == ["Succeeded", "Skipped"]
    assert len(bench.started) == 2


async def test_what_changed_nothing_is_tried_again_and_every_attempt_recorded(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("flaky", [step("only", "refuse-once", retry=QUICK)])
        ended = await bench.until_ended("flaky")
    attempts = bench.executions("flaky")["only"]["status"]["attempts"]
    assert [(a["number"], a["executed"], a.get("succeeded")) for a in attempts] == [
        (1, "no", False),
        (2, "yes", True),
    ]
    assert steps_of(ended)["only"]["outputs"]["value"] == 2
    assert steps_of(ended)["only"]["attempts"] == 2


@pytest.mark.parametrize(("does", "executed"), [("fail", "yes"), ("die", "unknown")])
async def test_what_may_have_changed_something_is_never_tried_again(
    bench: Bench, does: str, executed: str
) -> None:
    async with bench.controller():
        await bench.submit("once", [step("only", does, retry=QUICK)])
        ended = await bench.until_ended("once")
    record = steps_of(ended)["only"]
    assert (record["phase"], record["executed"], record["attempts"]) == ("Failed", executed, 1)
    assert list(bench.effects.values()) == [1]


async def test_that_nothing_was_changed_is_said_only_once_nobody_can_begin_any_more(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("refused", [step("only", "refuse")])
        ended = await bench.until_ended("refused")
    assert (steps_of(ended)["only"]["reason"], steps_of(ended)["only"]["executed"]) == ("DryRunRefused", "no")
    [fence] = bench.objects("leases.coordination.k8s.io")
    assert fence["spec"]["holderIdentity"] == "void"


async def test_an_idempotent_action_is_tried_again_whatever_it_had_done(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("idem", [step("only", "fail-once", type="test/idempotent", retry=QUICK)])
        ended = await bench.until_ended("idem")
    assert ended["status"]["phase"] == "Completed"
    assert list(bench.effects.values()) == [2]


async def test_an_image_without_a_fence_is_released_once_and_never_tried_again(bench: Bench) -> None:
    seen: list[tuple[bool, bool]] = []

    async def look() -> None:
        def holds(job: dict[str, object]) -> bool:
            recorded = bool(bench.executions("plain")["only"].get("status", {}).get("attempts"))
            seen.append((bool(job["spec"].get("suspend")), recorded))  # type: ignore[attr-defined]
            return not seen[-1][0]

        await bench.until_object("jobs.batch", holds)

    async with bench.controller():
        await bench.submit("plain", [step("only", "die", type="test/plain", retry=QUICK)])
        await look()
        ended = await bench.until_ended("plain")
    record = steps_of(ended)["only"]
    assert seen[0][0], "its Job is made suspended"
    assert seen[-1] == (False, True), "released only after the start was recorded"
    assert (record["phase"], record["executed"], record["attempts"]) == ("Failed", "unknown", 1)
    assert len(bench.started) == 1
    assert bench.started[0].pod["spec"]["containers"][0]["image"] == UNFENCED_IMAGE


async def test_outputs_of_an_image_without_our_runner_are_its_last_json_line(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("plain", [step("only", "print", type="test/plain")])
        ended = await bench.until_ended("plain")
    assert steps_of(ended)["only"]["outputs"] == {"value": 7, "text": "printed"}


async def test_steps_that_share_a_workspace_get_one_claim_that_goes_at_the_end(bench: Bench) -> None:
    steps = [step("left", "hold", usesWorkspace=True), step("right", "hold", usesWorkspace=True)]
    async with bench.controller():
        bench.cluster.requests.reset()
        await bench.submit("shared", steps)
        await bench.until_acting("left")
        await bench.until_acting("right")
        [claim] = bench.objects("persistentvolumeclaims")
        bench.go.set()
        ended = await bench.until_ended("shared")
        await bench.until_none("persistentvolumeclaims")
    assert claim["metadata"]["name"] == "shared-workspace"
    assert ended["status"]["phase"] == "Completed"
    created = [c for c in bench.cluster.requests.writes("controller") if "persistentvolumeclaims" in c.kind]
    assert [c.verb for c in created] == ["create", "delete"]
    assert bench.started[0].files["/workspace"] == bench.started[1].files["/workspace"]


async def test_never_more_steps_at_once_than_the_workflow_allows(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("wide", [step(f"s{i}") for i in range(8)], parallelism=2)
        ended = await bench.until_ended("wide")
    assert ended["status"]["phase"] == "Completed"
    assert len(bench.started) == 8
    assert bench.most_together <= 2
