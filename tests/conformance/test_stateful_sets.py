"""StatefulSets: names that stay, one after the other, each with its claims."""

from typing import Any

from .api import Json
from .programs import FOR_EVER
from .work import Work, is_ready, names, owner, uids

PATH = "apps/v1/statefulsets"
NEXT = f"{FOR_EVER} # next"
UNBORN = "example.com/does-not-exist:1"
HASH = "controller-revision-hash"


def body(work: Work, replicas: int, program: str = FOR_EVER, **spec: Any) -> Json:
    return work.workload("StatefulSet", "db", program, replicas=replicas, serviceName="db", **spec)


async def run(work: Work, replicas: int = 2, program: str = FOR_EVER, **spec: Any) -> Json:
    await work.make(PATH, body(work, replicas, program, **spec))
    return await work.until(f"{PATH}/db", lambda s: s["status"].get("availableReplicas") == replicas)


async def change(work: Work, program: str, **spec: Any) -> Json:
    return await work.patch(f"{PATH}/db", spec={"template": work.template("db", program), **spec})


def programs(pods: list[Json]) -> list[str]:
    return [pod["spec"]["containers"][0]["command"][2] for pod in pods]


async def test_pods_have_names_and_labels_of_their_own(work: Work) -> None:
    made = await run(work)
    first, second = await work.until_pods(2, is_ready, app="db")
    assert names([first, second]) == ["db-0", "db-1"]
    labels = second["metadata"]["labels"]
    assert labels["statefulset.kubernetes.io/pod-name"] == "db-1"
    assert labels["apps.kubernetes.io/pod-index"] == "1"
    assert labels[HASH] == made["status"]["currentRevision"] == made["status"]["updateRevision"]
    assert (second["spec"]["hostname"], second["spec"]["subdomain"]) == ("db-1", "db")
    assert owner(second)["uid"] == made["metadata"]["uid"]


async def test_a_stateful_set_counts_what_it_runs(work: Work) -> None:
    status = (await run(work))["status"]
    parts = ("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas")
    assert [status[part] for part in parts] == [2, 2, 2, 2, 2]
    assert (status["observedGeneration"], status["collisionCount"]) == (1, 0)


async def test_a_pod_comes_only_when_all_before_it_are_ready(work: Work) -> None:
    template = {"readinessGates": [{"conditionType": "example.com/told"}]}
    await work.make(PATH, body(work, 2, template=template))
    await work.until_phase("db-0", "Running")
    await work.settle(1)
    assert names(await work.live(app="db")) == ["db-0"]


async def test_parallel_ones_come_all_at_once(work: Work) -> None:
    template = {"container": {"image": UNBORN}}
    await work.make(PATH, body(work, 3, podManagementPolicy="Parallel", template=template))
    pods = await work.until_pods(3, app="db")
    assert names(pods) == ["db-0", "db-1", "db-2"]


async def test_a_pod_that_goes_comes_back_under_its_name(work: Work) -> None:
    await run(work)
    before = await work.get("v1/pods/db-0")
    await work.api.delete("v1/pods/db-0")
    after = await work.until(
        "v1/pods/db-0", lambda pod: is_ready(pod) and pod["metadata"]["uid"] not in uids([before])
    )
    assert after["metadata"]["labels"][HASH] == before["metadata"]["labels"][HASH]


async def test_the_highest_goes_first(work: Work) -> None:
    await run(work, 3)
    await work.patch(f"{PATH}/db", spec={"replicas": 1})
    seen: list[list[str]] = []

    def is_done(found: Json) -> bool:
        live = [pod for pod in found["items"] if not pod["metadata"].get("deletionTimestamp")]
        seen.append(names(live))
        return len(found["items"]) == 1

    await work.until("v1/pods?labelSelector=app=db", is_done)
    assert ["db-0"] in seen
    assert all(live in (["db-0", "db-1", "db-2"], ["db-0", "db-1"], ["db-0"]) for live in seen)


async def test_a_new_template_reaches_the_highest_first_and_in_the_end_all(work: Work) -> None:
    was = await run(work, 2)
    await change(work, NEXT)
    seen: list[list[bool]] = []

    def is_done(found: Json) -> bool:
        by_name = {pod["metadata"]["name"]: programs([pod])[0] == NEXT for pod in found["items"]}
        if len(by_name) == 2:
            seen.append([by_name["db-0"], by_name["db-1"]])
        return bool(by_name) and all(by_name.values()) and len(by_name) == 2

    await work.until("v1/pods?labelSelector=app=db", is_done)
    assert [True, False] not in seen
    done = await work.until(
        f"{PATH}/db", lambda s: s["status"]["currentRevision"] == s["status"]["updateRevision"]
    )
    assert done["status"]["updateRevision"] != was["status"]["updateRevision"]
    assert done["status"]["currentReplicas"] == 2


async def test_those_below_the_partition_keep_the_old_template(work: Work) -> None:
    await run(work, 3)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    await change(work, NEXT, updateStrategy=rolling)
    await work.until("v1/pods/db-2", lambda pod: is_ready(pod) and programs([pod]) == [NEXT])
    found = await work.until(f"{PATH}/db", lambda s: s["status"].get("updatedReplicas") == 1)
    assert found["status"]["currentRevision"] != found["status"]["updateRevision"]
    await work.api.delete("v1/pods/db-0")
    await work.until_pods(3, is_ready, app="db")
    assert programs(await work.until_pods(3, app="db")) == [FOR_EVER, FOR_EVER, NEXT]


async def test_on_delete_leaves_pods_until_somebody_deletes_them(work: Work) -> None:
    await run(work, 2, updateStrategy={"type": "OnDelete"})
    await change(work, NEXT)
    await work.until(f"{PATH}/db", lambda s: s["status"]["observedGeneration"] == 2)
    await work.settle(1)
    assert programs(await work.until_pods(2, app="db")) == [FOR_EVER, FOR_EVER]
    await work.api.delete("v1/pods/db-0")
    await work.until("v1/pods/db-0", lambda pod: programs([pod]) == [NEXT])


async def test_ordinals_may_start_elsewhere(work: Work) -> None:
    await run(work, 2, ordinals={"start": 5})
    assert names(await work.live(app="db")) == ["db-5", "db-6"]


async def test_what_may_not_change_is_refused_and_named(work: Work) -> None:
    await work.make(PATH, body(work, 0))
    refused = await work.api.patch(f"{PATH}/db", {"spec": {"serviceName": "other"}})
    assert refused.code == 422
    text = (
        "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' "
        "are forbidden"
    )
    assert refused.causes == [("spec", "FieldValueForbidden", text)]


# -- claims ----------------------------------------------------------------------------------------

CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}


async def test_each_pod_has_a_claim_that_outlives_it_and_its_set(work: Work) -> None:
    await run(work, 1, volumeClaimTemplates=[CLAIM])
    claim = await work.until("v1/persistentvolumeclaims/data-db-0", lambda c: c["status"]["phase"] == "Bound")
    pod = await work.get("v1/pods/db-0")
    volume = next(v for v in pod["spec"]["volumes"] if v["name"] == "data")
    assert volume["persistentVolumeClaim"]["claimName"] == "data-db-0"
    assert claim["metadata"]["labels"] == {"app": "db"}
    await work.api.delete("v1/pods/db-0")
    await work.until("v1/pods/db-0", lambda p: is_ready(p) and p["metadata"]["uid"] != pod["metadata"]["uid"])
    await work.api.delete(f"{PATH}/db")
    await work.until("v1/pods?labelSelector=app=db", lambda found: not found["items"])
    left = await work.get("v1/persistentvolumeclaims/data-db-0")
    assert left["metadata"]["uid"] == claim["metadata"]["uid"]


async def test_claims_go_with_the_set_where_that_is_asked_for(work: Work) -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    await run(work, 1, volumeClaimTemplates=[CLAIM], persistentVolumeClaimRetentionPolicy=policy)
    path = "v1/persistentvolumeclaims/data-db-0"
    await work.until(path, lambda c: c["metadata"].get("ownerReferences", [{}])[0].get("kind") == "StatefulSet")
    await work.api.delete(f"{PATH}/db")
    await work.until_gone(path)


async def test_deleting_a_set_takes_its_pods_along(work: Work) -> None:
    await run(work, 1)
    await work.api.delete(f"{PATH}/db")
    await work.until("v1/pods?labelSelector=app=db", lambda found: not found["items"])
