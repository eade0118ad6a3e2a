"""DaemonSets: one pod for each node that fits, and no other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from .api import Json
from .nodes import a_node_that_runs, bare_node, remove_node
from .programs import FOR_EVER
from .work import Work, is_ready, owner, uids

PATH = "apps/v1/daemonsets"
NEXT = f"{FOR_EVER} # next"
HASH = "controller-revision-hash"
NUMBERS = (
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "numberReady",
    "numberAvailable",
    "updatedNumberScheduled",
    "numberMisscheduled",
)


@pytest.fixture
async def node(work: Work) -> AsyncIterator[str]:
    """A Node object of the case's own, on which nothing runs; labelled with the namespace."""
    name = await bare_node(work)
    yield name
    await remove_node(work, name)


def on(name: str) -> Json:
    return {"nodeSelector": {"kubernetes.io/hostname": name}}


async def run(work: Work, template: Json | None = None, **spec: Any) -> Json:
    """On one node that runs pods."""
    where = template or on(await a_node_that_runs(work))
    await work.make(PATH, work.workload("DaemonSet", "agent", template=where, **spec))
    return await work.until(f"{PATH}/agent", lambda d: d["status"].get("numberAvailable") == 1)


async def make(work: Work, name: str, **template: Any) -> Json:
    """For a node on which nothing runs."""
    return await work.make(PATH, work.workload("DaemonSet", "agent", template={**on(name), **template}))


async def test_a_pod_runs_on_each_node_that_fits(work: Work) -> None:
    made = await run(work)
    status = made["status"]
    assert [status.get(number) for number in NUMBERS] == [1, 1, 1, 1, 1, 0]
    assert status["observedGeneration"] == 1
    (pod,) = await work.until_pods(1, is_ready, app="agent")
    assert (owner(pod)["kind"], owner(pod)["uid"]) == ("DaemonSet", made["metadata"]["uid"])
    assert pod["metadata"]["generateName"] == "agent-"


async def test_a_pod_is_tied_to_its_node_and_bears_that_nodes_ills(work: Work, node: str) -> None:
    await make(work, node)
    (pod,) = await work.until_pods(1, app="agent")
    affinity = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    assert affinity["nodeSelectorTerms"] == [{"matchFields": [field]}]
    borne = {(t["key"], t["effect"]) for t in pod["spec"]["tolerations"] if t["operator"] == "Exists"}
    assert borne == {
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    }
    assert all("tolerationSeconds" not in t for t in pod["spec"]["tolerations"])


async def test_a_pod_that_goes_is_replaced(work: Work) -> None:
    await run(work)
    (before,) = await work.live(app="agent")
    await work.api.delete(f"v1/pods/{before['metadata']['name']}")
    (after,) = await work.until_pods(1, lambda pod: is_ready(pod) and pod["metadata"]["uid"] not in uids([before]))
    assert after["spec"]["nodeName"] == before["spec"]["nodeName"]


async def test_a_pod_that_has_failed_is_replaced(work: Work, node: str) -> None:
    await make(work, node)
    (pod,) = await work.until_pods(1, app="agent")
    name = pod["metadata"]["name"]
    answer = await work.api.patch(f"v1/pods/{name}/status", {"status": {"phase": "Failed"}})
    assert answer.code == 200
    await work.until_gone(f"v1/pods/{name}")
    await work.until_pods(1, lambda found: found["metadata"]["uid"] not in uids([pod]), app="agent")


async def test_a_new_template_replaces_the_pods(work: Work) -> None:
    await run(work)
    before = await work.live(app="agent")
    template = work.template("agent", NEXT)
    await work.patch(f"{PATH}/agent", spec={"template": template})
    path = "v1/pods?labelSelector=app=agent"

    def is_done(found: Json) -> bool:
        live = [p for p in found["items"] if not p["metadata"].get("deletionTimestamp")]
        return [p["spec"]["containers"][0]["command"][2] for p in live] == [NEXT] and is_ready(live[0])

    await work.until(path, is_done)
    done = await work.until(f"{PATH}/agent", lambda d: d["status"].get("updatedNumberScheduled") == 1)
    assert done["status"]["observedGeneration"] == 2
    assert not uids(before) & uids(await work.live(app="agent"))


async def test_each_template_is_kept_as_a_revision(work: Work, node: str) -> None:
    made = await make(work, node)
    (pod,) = await work.until_pods(1, app="agent")
    await work.patch(f"{PATH}/agent", spec={"template": work.template("agent", NEXT)})
    path = "apps/v1/controllerrevisions"
    found = await work.until(path, lambda revisions: len(revisions["items"]) == 2)
    first, second = sorted(found["items"], key=lambda revision: int(revision["revision"]))
    assert (first["revision"], second["revision"]) == (1, 2)
    assert first["metadata"]["labels"][HASH] == pod["metadata"]["labels"][HASH]
    assert first["metadata"]["name"] == f"agent-{pod['metadata']['labels'][HASH]}"
    assert owner(first)["uid"] == made["metadata"]["uid"]
    assert first["data"]["spec"]["template"]["$patch"] == "replace"


async def test_on_delete_leaves_pods_until_somebody_deletes_them(work: Work, node: str) -> None:
    body = work.workload("DaemonSet", "agent", template=on(node), updateStrategy={"type": "OnDelete"})
    await work.make(PATH, body)
    (before,) = await work.until_pods(1, app="agent")
    await work.patch(f"{PATH}/agent", spec={"template": work.template("agent", NEXT)})
    await work.until(f"{PATH}/agent", lambda d: d["status"].get("observedGeneration") == 2)
    await work.settle(1)
    assert uids(await work.live(app="agent")) == uids([before])
    await work.api.delete(f"v1/pods/{before['metadata']['name']}", {"gracePeriodSeconds": 0})
    (after,) = await work.until_pods(1, lambda pod: pod["metadata"]["uid"] not in uids([before]), app="agent")
    assert after["spec"]["containers"][0]["command"][2] == NEXT


async def test_a_cordoned_node_keeps_and_gets_its_pod(work: Work, node: str) -> None:
    await work.patch(f"/api/v1/nodes/{node}", spec={"unschedulable": True})
    await make(work, node)
    (pod,) = await work.until_pods(1, app="agent")
    await work.until(f"v1/pods/{pod['metadata']['name']}", lambda p: p["spec"].get("nodeName") == node)
    found = await work.until(f"{PATH}/agent", lambda d: d["status"]["desiredNumberScheduled"] == 1)
    assert found["status"]["numberMisscheduled"] == 0


async def test_a_node_with_a_taint_gets_a_pod_only_if_it_is_tolerated(work: Work, node: str) -> None:
    taint = {"key": "example.com/special", "value": "yes", "effect": "NoSchedule"}
    await work.patch(f"/api/v1/nodes/{node}", spec={"taints": [taint]})
    await make(work, node)
    await work.until(f"{PATH}/agent", lambda d: d["status"].get("observedGeneration") == 1)
    await work.settle(1)
    assert await work.live(app="agent") == []
    assert (await work.get(f"{PATH}/agent"))["status"]["desiredNumberScheduled"] == 0
    tolerations = [{"key": "example.com/special", "operator": "Exists"}]
    await work.patch(f"{PATH}/agent", spec={"template": {"spec": {"tolerations": tolerations}}})
    await work.until_pods(1, app="agent")


async def test_a_taint_that_comes_later_keeps_the_pod_but_says_it_is_misplaced(work: Work, node: str) -> None:
    await make(work, node)
    (pod,) = await work.until_pods(1, app="agent")
    await work.until(f"v1/pods/{pod['metadata']['name']}", lambda p: p["spec"].get("nodeName"))
    taint = {"key": "example.com/special", "value": "yes", "effect": "NoSchedule"}
    await work.patch(f"/api/v1/nodes/{node}", spec={"taints": [taint]})
    # The controller need not look because of the taint alone.
    await work.patch(f"{PATH}/agent", spec={"minReadySeconds": 1})
    found = await work.until(f"{PATH}/agent", lambda d: d["status"]["numberMisscheduled"] == 1)
    assert found["status"]["desiredNumberScheduled"] == 0
    assert uids(await work.live(app="agent")) == uids([pod])


async def test_a_node_that_no_longer_fits_loses_its_pod(work: Work, node: str) -> None:
    chosen = {"nodeSelector": {"kubernaut-test": work.api.namespace}}
    await work.patch(f"/api/v1/nodes/{node}", metadata={"labels": {"kubernaut-test": work.api.namespace}})
    await work.make(PATH, work.workload("DaemonSet", "agent", template=chosen))
    await work.until_pods(1, app="agent")
    await work.patch(f"/api/v1/nodes/{node}", metadata={"labels": {"kubernaut-test": None}})
    await work.until_pods(0, app="agent")
    await work.until(f"{PATH}/agent", lambda d: d["status"]["desiredNumberScheduled"] == 0)


async def test_a_node_that_comes_gets_its_pod(work: Work) -> None:
    chosen = {"nodeSelector": {"kubernaut-test": work.api.namespace}}
    await work.make(PATH, work.workload("DaemonSet", "agent", template=chosen))
    await work.until(f"{PATH}/agent", lambda d: d["status"].get("observedGeneration") == 1)
    assert await work.live(app="agent") == []
    name = await bare_node(work, {"kubernaut-test": work.api.namespace})
    try:
        (pod,) = await work.until_pods(1, app="agent")
        assert name in str(pod["spec"]["affinity"])
    finally:
        await remove_node(work, name)


async def test_deleting_a_daemon_set_takes_its_pods_along(work: Work) -> None:
    await run(work)
    await work.api.delete(f"{PATH}/agent")
    await work.until("v1/pods?labelSelector=app=agent", lambda found: not found["items"])
