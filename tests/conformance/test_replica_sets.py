"""ReplicaSets: which pods are theirs, and how many there are."""

from typing import Any

from .api import Json
from .work import Work, is_ready, names, owner, uids

PATH = "apps/v1/replicasets"


async def run(work: Work, replicas: int = 2, **spec: Any) -> Json:
    await work.make(PATH, work.workload("ReplicaSet", "web", replicas=replicas, **spec))
    return await work.until(f"{PATH}/web", lambda rs: rs["status"].get("availableReplicas", 0) == replicas)


async def test_a_replica_set_counts_what_it_runs(work: Work) -> None:
    status = (await run(work))["status"]
    parts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    assert [status[part] for part in parts] == [2, 2, 2, 2, 1]


async def test_a_pod_that_goes_is_replaced_by_another(work: Work) -> None:
    await run(work)
    before = await work.live(app="web")
    await work.api.delete(f"v1/pods/{before[0]['metadata']['name']}")
    after = await work.until_pods(2, is_ready, app="web")
    assert len(uids(before) & uids(after)) == 1


async def test_a_pod_without_an_owner_is_adopted_and_counted(work: Work) -> None:
    await work.make("v1/pods", work.pod("stray", metadata={"labels": {"app": "web"}}, restartPolicy="Always"))
    await work.until_ready("stray")
    made = await run(work)
    pods = await work.until_pods(2, app="web")
    assert "stray" in names(pods)
    stray = await work.get("v1/pods/stray")
    assert owner(stray) == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "web",
        "uid": made["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


async def test_a_pod_that_has_an_owner_is_left_to_it(work: Work) -> None:
    first = await run(work, 1)
    body = work.workload("ReplicaSet", "other", replicas=1)
    body["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    body["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    other = await work.make(PATH, body)
    pods = await work.until_pods(2, is_ready, app="web")
    assert {owner(pod)["uid"] for pod in pods} == {first["metadata"]["uid"], other["metadata"]["uid"]}


async def test_a_pod_that_is_no_longer_selected_is_let_go_and_replaced(work: Work) -> None:
    """How an ailing pod is kept for a look while another takes its place."""
    await run(work, 1)
    (pod,) = await work.live(app="web")
    name = pod["metadata"]["name"]
    await work.patch(f"v1/pods/{name}", metadata={"labels": {"app": "quarantined"}})
    (fresh,) = await work.until_pods(1, is_ready, app="web")
    assert fresh["metadata"]["name"] != name
    released = await work.until(f"v1/pods/{name}", lambda found: not owner(found))
    assert released["metadata"]["uid"] == pod["metadata"]["uid"]


async def test_orphaned_pods_go_on_without_an_owner(work: Work) -> None:
    await run(work)
    before = await work.live(app="web")
    await work.api.delete(f"{PATH}/web", {"propagationPolicy": "Orphan"})
    await work.until_gone(f"{PATH}/web")
    after = await work.live(app="web")
    assert uids(after) == uids(before)
    assert all(owner(pod) == {} for pod in after)


async def test_when_there_are_too_many_the_cheapest_goes(work: Work) -> None:
    await run(work, 3)
    pods = await work.live(app="web")
    cheap = pods[1]["metadata"]["name"]
    note = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    await work.patch(f"v1/pods/{cheap}", metadata={"annotations": note})
    await work.settle(1)
    await work.patch(f"{PATH}/web", spec={"replicas": 2})
    assert cheap not in names(await work.until_pods(2, app="web"))


async def test_when_there_are_too_many_one_without_a_node_goes_first(work: Work) -> None:
    await run(work, 1)
    before = await work.live(app="web")
    await work.patch(f"{PATH}/web", spec={"template": {"spec": {"schedulerName": "nobody"}}, "replicas": 2})
    await work.until_pods(2, app="web")
    await work.patch(f"{PATH}/web", spec={"replicas": 1})
    assert uids(await work.until_pods(1, app="web")) == uids(before)


async def test_a_change_of_the_template_is_for_pods_to_come(work: Work) -> None:
    await run(work, 1)
    before = await work.live(app="web")
    annotated = {"metadata": {"annotations": {"new": "yes"}}}
    await work.patch(f"{PATH}/web", spec={"template": annotated, "replicas": 2})
    after = await work.until_pods(2, app="web")
    kept = next(pod for pod in after if pod["metadata"]["uid"] in uids(before))
    fresh = next(pod for pod in after if pod is not kept)
    assert "new" not in kept["metadata"].get("annotations", {})
    assert fresh["metadata"]["annotations"]["new"] == "yes"


async def test_events_tell_of_pods_made_and_taken_away(work: Work) -> None:
    await run(work, 1)
    (pod,) = await work.live(app="web")
    await work.patch(f"{PATH}/web", spec={"replicas": 0})
    name = pod["metadata"]["name"]
    path = "v1/events?fieldSelector=involvedObject.kind=ReplicaSet,involvedObject.name=web"
    found = await work.until(path, lambda events: len(events["items"]) >= 2)
    told = {(event["reason"], event["message"]) for event in found["items"]}
    assert told == {("SuccessfulCreate", f"Created pod: {name}"), ("SuccessfulDelete", f"Deleted pod: {name}")}
