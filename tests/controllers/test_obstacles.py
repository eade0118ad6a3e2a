"""What keeps an action from getting going: told at once with its reason, failed only when its time is over."""

from typing import Any

import pytest

from controllers.bench import EXECUTIONS, NAMESPACE, Bench, step, steps_of
from kubernaut.cluster import Json, kinds

pytestmark = pytest.mark.timeout(20)

MISSING_IMAGE = "registry.example/missing@sha256:" + "c" * 64
SECRET_INPUT = {"token": {"secretKeyRef": {"name": "missing", "key": "k"}}}


async def cordon(bench: Bench) -> None:
    [node] = bench.cluster.store.list("nodes").items
    body = {"spec": {"unschedulable": True}}
    await bench.admin.patch(kinds.NODES, node["metadata"]["name"], None, body, "merge")


async def allow(bench: Bench, what: str, number: str) -> None:
    body = {"metadata": {"name": "tight"}, "spec": {"hard": {what: number}}}
    await bench.admin.create(kinds.RESOURCE_QUOTAS, body, NAMESPACE)


async def without_image(bench: Bench) -> Json:
    definition = {"image": MISSING_IMAGE}
    await bench.admin.patch(kinds.ACTION_DEFINITIONS, "test-script", None, {"spec": definition}, "merge")
    return {}


async def without_secret(bench: Bench) -> Json:
    return {"inputs": SECRET_INPUT}


async def without_node(bench: Bench) -> Json:
    await cordon(bench)
    return {}


async def without_account(bench: Bench) -> Json:
    account = {"serviceAccountName": "missing"}
    await bench.admin.patch(kinds.ACTION_DEFINITIONS, "test-script", None, {"spec": account}, "merge")
    return {}


async def without_room_for_pods(bench: Bench) -> Json:
    await allow(bench, "count/pods", "0")
    return {}


async def without_room_for_jobs(bench: Bench) -> Json:
    await allow(bench, "count/jobs.batch", "0")
    return {}


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        (without_image, "ImagePullFailed"),
        (without_secret, "MountFailed"),
        (without_node, "Unschedulable"),
        (without_account, "ServiceAccountMissing"),
        (without_room_for_pods, "QuotaExceeded"),
        (without_room_for_jobs, "QuotaExceeded"),
    ],
)
async def test_an_obstacle_is_told_at_once_and_fails_the_step_only_at_its_deadline(
    bench: Bench, obstacle: Any, reason: str
) -> None:
    more = await obstacle(bench)
    async with bench.controller():
        began = bench.clock.monotonic()
        await bench.submit("run", [step("stuck", timeout="3s", **more)])
        told = await bench.until("run", lambda w: steps_of(w).get("stuck", {}).get("reason"))
        assert bench.clock.monotonic() - began < 5
        record = steps_of(told)["stuck"]
        assert (record["phase"], record["reason"]) == ("Running", reason)
        waiting = await bench.until_object(EXECUTIONS, lambda e: e.get("status", {}).get("waiting"))
        assert waiting["status"]["waiting"]["reason"] == reason
        ended = await bench.until_ended("run")
    record = steps_of(ended)["stuck"]
    assert (record["phase"], record["executed"]) == ("TimedOut", "no")
    assert reason in f"{record['reason']}: {record['message']}"
    # "It changed nothing" is only said once nobody can begin any more.
    [fence] = bench.objects("leases.coordination.k8s.io")
    assert fence["spec"]["holderIdentity"] == "void"
    assert not bench.effects


async def test_an_obstacle_that_is_cleared_away_is_no_failure(bench: Bench) -> None:
    await cordon(bench)
    async with bench.controller():
        await bench.submit("run", [step("stuck")])
        await bench.until("run", lambda w: steps_of(w).get("stuck", {}).get("reason") == "Unschedulable")
        [node] = bench.cluster.store.list("nodes").items
        body = {"spec": {"unschedulable": False}}
        await bench.admin.patch(kinds.NODES, node["metadata"]["name"], None, body, "merge")
        ended = await bench.until_ended("run")
    assert ended["status"]["phase"] == "Completed"
    assert steps_of(ended)["stuck"].get("reason", "") == ""


async def test_an_evicted_action_fails_as_evicted_and_nobody_knows_what_it_did(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("evicted", "linger")])
        await bench.until_acting("evicted")
        await bench.until_object("leases.coordination.k8s.io", lambda lease: lease["spec"].get("holderIdentity"))
        [pod] = bench.objects("pods")
        name = pod["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        await bench.admin.create(kinds.PODS, eviction, NAMESPACE, name=name, subresource="eviction")
        ended = await bench.until_ended("run")
    record = steps_of(ended)["evicted"]
    assert (record["phase"], record["reason"], record["executed"]) == ("Failed", "Evicted", "unknown")


async def test_a_killed_action_fails_with_its_exit_code(bench: Bench) -> None:
    async with bench.controller():
        await bench.submit("run", [step("killed", "die")])
        ended = await bench.until_ended("run")
    [attempt] = bench.executions("run")["killed"]["status"]["attempts"]
    assert attempt["exitCode"] == 137
    assert "137" in steps_of(ended)["killed"]["message"]
