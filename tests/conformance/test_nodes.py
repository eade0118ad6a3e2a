"""Nodes: what they say of themselves, cordons, taints, and where pods may go."""

from collections.abc import AsyncIterator

import pytest

from .api import Json
from .nodes import NODES, a_node_that_runs, bare_node, remove_node
from .work import Work, condition, holds

CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


@pytest.fixture
async def node(work: Work) -> AsyncIterator[str]:
    name = await bare_node(work)
    yield name
    await remove_node(work, name)


def on(name: str) -> Json:
    return {"kubernetes.io/hostname": name}


def taints(node: Json) -> list[Json]:
    """Without the times at which they came."""
    return [
        {key: value for key, value in taint.items() if key != "timeAdded"}
        for taint in node["spec"].get("taints", [])
    ]


async def test_a_node_says_how_it_is(work: Work) -> None:
    found = await work.get(f"{NODES}/{await a_node_that_runs(work)}")
    told = {c["type"]: (c["status"], c["reason"]) for c in found["status"]["conditions"]}
    expected = {
        "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
        "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID"),
        "Ready": ("True", "KubeletReady"),
    }
    assert expected.items() <= told.items()
    assert condition(found, "Ready")["lastHeartbeatTime"]
    assert {"cpu", "memory", "pods"} <= set(found["status"]["allocatable"]) & set(found["status"]["capacity"])
    assert found["metadata"]["labels"]["kubernetes.io/os"] == "linux"


async def test_a_node_keeps_a_lease(work: Work) -> None:
    name = await a_node_that_runs(work)
    lease = await work.get(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}")
    assert lease["spec"]["holderIdentity"] == name
    assert lease["spec"]["leaseDurationSeconds"] == 40
    later = await work.until(
        f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}",
        lambda found: found["spec"]["renewTime"] > lease["spec"]["renewTime"],
    )
    assert later["metadata"]["ownerReferences"][0]["kind"] == "Node"


async def test_a_cordon_is_also_a_taint_while_it_lasts(work: Work, node: str) -> None:
    await work.patch(f"{NODES}/{node}", spec={"unschedulable": True})
    found = await work.until(f"{NODES}/{node}", lambda n: CORDON in taints(n))
    assert taints(found) == [CORDON]
    await work.patch(f"{NODES}/{node}", spec={"unschedulable": None})
    await work.until(f"{NODES}/{node}", lambda n: not taints(n))


async def test_a_cordoned_node_gets_no_new_pods(work: Work, node: str) -> None:
    await work.patch(f"{NODES}/{node}", spec={"unschedulable": True})
    await work.until(f"{NODES}/{node}", lambda n: CORDON in taints(n))
    await work.make("v1/pods", work.pod("waits", nodeSelector=on(node)))
    found = await work.until("v1/pods/waits", lambda p: holds(p, "PodScheduled", "False", "Unschedulable"))
    assert "1 node(s) were unschedulable" in condition(found, "PodScheduled")["message"]
    await work.patch(f"{NODES}/{node}", spec={"unschedulable": None})
    await work.until("v1/pods/waits", lambda p: p["spec"].get("nodeName") == node)


async def test_a_tolerated_cordon_keeps_nobody_away(work: Work, node: str) -> None:
    await work.patch(f"{NODES}/{node}", spec={"unschedulable": True})
    tolerations = [{"key": CORDON["key"], "operator": "Exists", "effect": "NoSchedule"}]
    await work.make("v1/pods", work.pod("bears", nodeSelector=on(node), tolerations=tolerations))
    await work.until("v1/pods/bears", lambda p: p["spec"].get("nodeName") == node)


async def test_a_taint_keeps_away_what_does_not_tolerate_it(work: Work, node: str) -> None:
    taint = {"key": "example.com/own", "value": "a", "effect": "NoSchedule"}
    await work.patch(f"{NODES}/{node}", spec={"taints": [taint]})
    await work.make("v1/pods", work.pod("waits", nodeSelector=on(node)))
    equal = [{"key": "example.com/own", "operator": "Equal", "value": "a"}]
    await work.make("v1/pods", work.pod("bears", nodeSelector=on(node), tolerations=equal))
    await work.until("v1/pods/bears", lambda p: p["spec"].get("nodeName") == node)
    found = await work.until("v1/pods/waits", lambda p: holds(p, "PodScheduled", "False", "Unschedulable"))
    assert "node(s) had untolerated taint(s)" in condition(found, "PodScheduled")["message"]


async def test_a_soft_taint_keeps_nobody_away(work: Work, node: str) -> None:
    taint = {"key": "example.com/own", "effect": "PreferNoSchedule"}
    await work.patch(f"{NODES}/{node}", spec={"taints": [taint]})
    await work.make("v1/pods", work.pod("goes", nodeSelector=on(node)))
    await work.until("v1/pods/goes", lambda p: p["spec"].get("nodeName") == node)


async def test_a_taint_that_evicts_sends_pods_away(work: Work, node: str) -> None:
    await work.make("v1/pods", work.pod("goes", nodeSelector=on(node)))
    bears = [{"key": "example.com/own", "operator": "Exists", "effect": "NoExecute"}]
    await work.make("v1/pods", work.pod("stays", nodeSelector=on(node), tolerations=bears))
    for name in ("goes", "stays"):
        await work.until(f"v1/pods/{name}", lambda p: p["spec"].get("nodeName") == node)
    await work.patch(f"{NODES}/{node}", spec={"taints": [{"key": "example.com/own", "effect": "NoExecute"}]})
    gone = await work.until("v1/pods/goes", lambda p: p["metadata"].get("deletionTimestamp"))
    told = condition(gone, "DisruptionTarget")
    assert told["reason"] == "DeletionByTaintManager"
    assert told["message"] == "Taint manager: deleting due to NoExecute taint"
    assert "deletionTimestamp" not in (await work.get("v1/pods/stays"))["metadata"]


async def test_a_pod_may_bear_an_evicting_taint_for_a_while(work: Work, node: str) -> None:
    bears = [{"key": "example.com/own", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}]
    await work.make("v1/pods", work.pod("stays", nodeSelector=on(node), tolerations=bears))
    await work.until("v1/pods/stays", lambda p: p["spec"].get("nodeName") == node)
    await work.patch(f"{NODES}/{node}", spec={"taints": [{"key": "example.com/own", "effect": "NoExecute"}]})
    await work.settle(1)
    assert "deletionTimestamp" not in (await work.get("v1/pods/stays"))["metadata"]
    await work.until("v1/pods/stays", lambda p: p["metadata"].get("deletionTimestamp"))


async def test_a_pod_that_asks_for_too_much_waits(work: Work, node: str) -> None:
    resources = {"resources": {"requests": {"cpu": "5"}}}
    await work.make("v1/pods", work.pod("big", nodeSelector=on(node), container=resources))
    found = await work.until("v1/pods/big", lambda p: holds(p, "PodScheduled", "False", "Unschedulable"))
    assert "1 Insufficient cpu" in condition(found, "PodScheduled")["message"]
    assert found["status"]["phase"] == "Pending"


async def test_a_pod_that_no_node_suits_waits_and_goes_when_one_does(work: Work, node: str) -> None:
    await work.make("v1/pods", work.pod("picky", nodeSelector={"kubernaut-test": work.api.namespace}))
    found = await work.until("v1/pods/picky", lambda p: holds(p, "PodScheduled", "False", "Unschedulable"))
    assert "node(s) didn't match Pod's node affinity/selector" in condition(found, "PodScheduled")["message"]
    await work.patch(f"{NODES}/{node}", metadata={"labels": {"kubernaut-test": work.api.namespace}})
    await work.until("v1/pods/picky", lambda p: p["spec"].get("nodeName") == node)


async def test_scheduling_gates_hold_a_pod_until_they_are_lifted(work: Work, node: str) -> None:
    gates = [{"name": "example.com/wait"}]
    await work.make("v1/pods", work.pod("gated", nodeSelector=on(node), schedulingGates=gates))
    found = await work.until("v1/pods/gated", lambda p: holds(p, "PodScheduled", "False", "SchedulingGated"))
    assert condition(found, "PodScheduled")["message"] == "Scheduling is blocked due to non-empty scheduling gates"
    await work.patch("v1/pods/gated", spec={"schedulingGates": []})
    await work.until("v1/pods/gated", lambda p: p["spec"].get("nodeName") == node)
