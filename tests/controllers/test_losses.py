"""Actions that are lost on the way: out of memory, evicted, without a node, out of time.

Each has a reason of its own, and a verdict that never claims more than the fence proves.
"""

from pathlib import Path

import pytest

from controllers.bench import NAMESPACE, Bench, open_bench, step, steps_of
from devcluster_node.layouts import python_image
from kubernaut.cluster import Json, kinds
from kubernaut.devcluster.resources import LEASES, NODES, PODS
from kubernaut.devcluster.workloads import LossSettings

pytestmark = pytest.mark.timeout(30)

GLUTTON = """
from kubernaut.sdk import Inputs, Outputs, Run, action
from kubernaut.sdk.entrypoint import main


class Meal(Inputs):
    early: bool


class Nothing(Outputs):
    pass


@action("test/glutton", version="1.0.0", description="Eats all memory, before its change or in it.")
async def glutton(inputs: Meal, run: Run) -> Nothing:
    if inputs.early or not run.is_dry_run:
        eaten = bytearray(10**9)
    return Nothing()


main("__main__")
"""


async def define_glutton(bench: Bench, folder: Path) -> None:
    """A real process, by the real runner."""
    digest = python_image(folder / "images", GLUTTON)
    bench.node.register_images(folder / "images")
    limits = {"requests": {"memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    contract = {"inputs": [{"name": "early", "type": "boolean"}], "fenced": True, "resources": limits}
    spec = {
        "actionType": "test/glutton",
        "image": f"local/action@{digest}",
        "version": "1.0.0",
        "serviceAccountName": "default",
        "contract": contract,
    }
    await bench.admin.create(kinds.ACTION_DEFINITIONS, {"metadata": {"name": "test-glutton"}, "spec": spec})
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]}
    await bench.admin.create(kinds.ROLES, {"metadata": {"name": "runner"}, "rules": [rule]}, NAMESPACE)
    binding = {
        "metadata": {"name": "runner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runner"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": NAMESPACE}],
    }
    await bench.admin.create(kinds.ROLE_BINDINGS, binding, NAMESPACE)


@pytest.mark.parametrize(("early", "executed"), [(True, "no"), (False, "unknown")])
async def test_an_action_that_runs_out_of_memory_says_so_and_whether_it_had_begun(
    bench: Bench, tmp_path: Path, early: bool, executed: str
) -> None:
    await define_glutton(bench, tmp_path)
    async with bench.controller():
        meal = {"name": "eat", "actionType": "test/glutton", "inputs": {"early": early}}
        await bench.submit("run", [meal])
        ended = await bench.until_ended("run")
    record = steps_of(ended)["eat"]
    assert (record["phase"], record["reason"], record["executed"]) == ("Failed", "OOMKilled", executed)
    [attempt] = bench.executions("run")["eat"]["status"]["attempts"]
    assert attempt["exitCode"] == 137
    [fence] = bench.objects(LEASES)
    assert (fence["spec"]["holderIdentity"] == "void") == early


async def until_held(bench: Bench) -> None:
    await bench.until_object(LEASES, lambda lease: lease["spec"].get("holderIdentity"))


async def evict(bench: Bench) -> None:
    [pod] = bench.objects(PODS)
    name = pod["metadata"]["name"]
    eviction: Json = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    await bench.admin.create(kinds.PODS, eviction, NAMESPACE, name=name, subresource="eviction")


@pytest.mark.parametrize(("does", "executed"), [("wait", "no"), ("linger", "unknown")])
async def test_an_evicted_action_says_so_and_whether_it_had_begun(bench: Bench, does: str, executed: str) -> None:
    async with bench.controller():
        await bench.submit("run", [step("evicted", does)])
        await bench.until_acting("evicted")
        if does == "linger":
            await until_held(bench)
        await evict(bench)
        ended = await bench.until_ended("run")
    record = steps_of(ended)["evicted"]
    assert (record["phase"], record["reason"], record["executed"]) == ("Failed", "Evicted", executed)


@pytest.mark.parametrize(("does", "executed"), [("wait", "no"), ("linger", "unknown")])
async def test_an_action_on_a_node_that_is_deleted_is_lost_with_it(
    tmp_path: Path, does: str, executed: str
) -> None:
    quick = LossSettings(collect=0.1, quarantine=0.2)
    async with open_bench(tmp_path, quick) as bench, bench.controller():
        await bench.submit("run", [step("lost", does)])
        await bench.until_acting("lost")
        if does == "linger":
            await until_held(bench)
        await bench.admin.delete(kinds.NODES, bench.node.name)
        ended = await bench.until_ended("run")
        record = steps_of(ended)["lost"]
        assert (record["phase"], record["reason"], record["executed"]) == ("Failed", "NodeLost", executed)


@pytest.mark.parametrize(("does", "executed"), [("wait", "no"), ("linger", "unknown")])
async def test_an_action_whose_node_falls_silent_is_given_up_after_its_deadline(
    tmp_path: Path, does: str, executed: str
) -> None:
    quick = LossSettings(look=0.1, grace=0.5)
    async with open_bench(tmp_path, quick) as bench, bench.controller():
        await bench.submit("run", [step("lost", does, timeout="3s")])
        await bench.until_acting("lost")
        if does == "linger":
            await until_held(bench)
        await bench.node.stop()
        # The pod is to end at its deadline, but nobody is there to end it.
        await bench.until_object("jobs.batch", lambda job: (job.get("status") or {}).get("conditions"))
        assert steps_of(bench.get("run"))["lost"]["phase"] == "Running"
        bench.clock.skipped += 200
        await bench.nudge("run")
        if does == "linger":
            await bench.until_object("jobs.batch", lambda job: job["metadata"].get("deletionTimestamp"))
            bench.clock.skipped += 200
            await bench.nudge("run")
        wanted = ("TimedOut", "DeadlineExceeded") if does == "wait" else ("Indeterminate", "NodeLost")
        told = await bench.until_step("run", "lost", wanted[0])
        record = steps_of(told)["lost"]
        assert (record["phase"], record["reason"], record["executed"]) == (*wanted, executed)
        [node] = bench.cluster.store.list(NODES).items
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "Unknown"


@pytest.mark.parametrize(("does", "executed"), [("wait", "no"), ("linger", "unknown")])
async def test_an_action_that_is_out_of_time_says_so_and_whether_it_had_begun(
    bench: Bench, does: str, executed: str
) -> None:
    async with bench.controller():
        await bench.submit("run", [step("slow", does, timeout="2s")])
        ended = await bench.until_ended("run")
    record = steps_of(ended)["slow"]
    assert (record["phase"], record["reason"], record["executed"]) == ("TimedOut", "DeadlineExceeded", executed)
    [fence] = bench.objects(LEASES)
    assert (fence["spec"]["holderIdentity"] == "void") == (executed == "no")
