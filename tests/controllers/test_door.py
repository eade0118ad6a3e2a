"""What is not let in: refused with every fault, held for an approval; and what a retry or a lone action may do."""

from typing import Any

import pytest

from controllers.bench import EXECUTIONS, IMAGE, NAMESPACE, WORKFLOWS, Bench, step, steps_of
from kubernaut.cluster import Json, kinds

pytestmark = pytest.mark.timeout(20)

LEASES = "leases.coordination.k8s.io"


async def test_a_refused_run_names_all_its_faults_and_creates_nothing(bench: Bench) -> None:
    bad = [step("a", inputs={"from": "many"}), step("b", type="test/unknown"), step("c", "succeed", "nobody")]
    async with bench.controller():
        await bench.submit("bad", bad)
        ended = await bench.until_ended("bad")
    status = ended["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Refused")
    for path in ("spec.steps[0].inputs.from", "spec.steps[1].actionType", "spec.steps[2].runAfter"):
        assert path in status["message"]
    assert not any(bench.objects(kind) for kind in (EXECUTIONS, LEASES, "jobs.batch"))
    assert "finalizers" not in ended["metadata"]


@pytest.mark.parametrize("spec", [{"requiresApproval": True}, {}], ids=["asked for", "eleven steps"])
async def test_what_needs_an_approval_waits_and_nothing_is_created(bench: Bench, spec: Json) -> None:
    async with bench.controller() as controller:
        steps = [step(f"s{i}") for i in range(1 if spec else 11)]
        await bench.submit("held", steps, **spec)
        held = await bench.until_phase("held", "WaitingApproval")
        await bench.submit("other", [step("only")])
        await bench.until_ended("other")
        assert not bench.executions("held")
        assert len(controller.workflow_loop.queue) == 0
        await bench.ask("held", "cancel")
        ended = await bench.until_ended("held")
    assert held["status"]["approvalStatus"] == "Pending"
    assert ended["status"]["phase"] == "Cancelled"


async def test_a_retry_keeps_what_succeeded_and_runs_the_rest(bench: Bench) -> None:
    def chain(does: str) -> list[Json]:
        last = step("last", does, "first", inputs={"from": "$(steps.first.outputs.value)"})
        return [step("first"), last, step("other")]

    async with bench.controller():
        await bench.submit("run", chain("fail"))
        assert (await bench.until_ended("run"))["status"]["phase"] == "Failed"
        await bench.submit("again", chain("succeed"), retryOf={"name": "run"})
        ended = await bench.until_ended("again")
        await bench.submit("from", chain("succeed"), retryOf={"name": "again", "fromStep": "first"})
        whole = await bench.until_ended("from")
    assert ended["status"]["phase"] == whole["status"]["phase"] == "Completed"
    assert steps_of(ended)["first"]["keptFrom"] == "run"
    assert "last" in bench.executions("again")
    assert "first" not in bench.executions("again")
    assert set(bench.executions("from")) == {"first", "last"}


async def test_a_retry_of_what_does_not_exist_is_refused(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("again", [step("only")], retryOf={"name": "never"})
        ended = await bench.until_ended("again")
    assert "spec.retryOf" in ended["status"]["message"]


def lone(name: str, **spec: Any) -> Json:
    return {
        "apiVersion": "execution.kubernaut.ai/v1alpha1",
        "kind": "ActionExecution",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


async def submit_alone(bench: Bench, name: str, **more: Any) -> None:
    definition = await bench.admin.get(kinds.ACTION_DEFINITIONS, "test-script")
    contract = definition["spec"]["contract"]
    spec = {"actionType": "test/script", "image": IMAGE, "contract": contract, "serviceAccountName": "default"}
    await bench.admin.create(kinds.ACTION_EXECUTIONS, lone(name, **spec | more), NAMESPACE)


async def until_action_ended(bench: Bench, name: str) -> Json:
    def holds(execution: Json) -> bool:
        return execution["metadata"]["name"] == name and bool(execution.get("status", {}).get("completedAt"))

    return await bench.until_object(EXECUTIONS, holds)


async def test_an_action_without_a_workflow_runs_behind_a_fence(bench: Bench) -> None:
    async with bench.controller():
        await submit_alone(bench, "alone", inputs={"does": "succeed"})
        ended = await until_action_ended(bench, "alone")
    assert (ended["status"]["phase"], ended["status"]["executed"]) == ("Succeeded", "yes")
    [fence] = bench.objects(LEASES)
    assert fence["metadata"]["uid"] == ended["status"]["fence"]
    assert bench.effects == {"alone": 1}


async def test_an_action_that_breaks_its_contract_is_refused_and_nothing_is_created(bench: Bench) -> None:
    async with bench.controller():
        await submit_alone(bench, "bad", inputs={"from": "many", "colour": "blue"})
        ended = await until_action_ended(bench, "bad")
    status = ended["status"]
    assert (status["phase"], status["reason"], status["executed"]) == ("Failed", "Refused", "no")
    assert "spec.inputs.from" in status["message"]
    assert "spec.inputs.colour" in status["message"]
    assert not bench.objects(LEASES)
    assert not bench.objects("jobs.batch")


async def test_an_action_with_an_image_of_which_nothing_is_known_does_not_run(bench: Bench) -> None:
    def is_told(execution: Json) -> bool:
        return bool(execution.get("status", {}).get("reason") == "RegistryUnreachable")

    async with bench.controller():
        await submit_alone(bench, "own", image="127.0.0.1:1/x@sha256:" + "d" * 64)
        await bench.until_object(EXECUTIONS, is_told)
    assert not bench.started


async def test_an_action_that_names_a_run_which_never_started_it_does_not_run(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("only", "hold")])
        await bench.until_acting("only")
        uid = bench.get("run")["metadata"]["uid"]
        await submit_alone(bench, "intruder", workflowRef={"name": "run", "uid": uid}, step="only")
        bench.go.set()
        await bench.until_ended("run")
        await bench.submit("later", [step("only")])
        await bench.until_ended("later")
    assert "intruder" not in bench.effects
    assert len(bench.objects(WORKFLOWS)) == 2
