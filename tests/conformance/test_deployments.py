"""Deployments: what a rollout leaves behind, and what it never does on the way."""

from typing import Any

import pytest

from .api import Json
from .programs import FOR_EVER
from .work import Work, condition, holds, is_ready, names, owner, uids

PATH = "apps/v1/deployments"
SETS = "apps/v1/replicasets"
REVISION = "deployment.kubernetes.io/revision"
NEXT = f"{FOR_EVER} # next"
NEVER_READY = "example.com/does-not-exist:1"


async def deploy(work: Work, replicas: int = 1, program: str = FOR_EVER, **spec: Any) -> Json:
    """Made, and all of it available."""
    made = await work.make(PATH, work.workload("Deployment", "web", program, replicas=replicas, **spec))
    return await rolled(work, made["metadata"]["generation"])


async def rolled(work: Work, generation: int) -> Json:
    def is_done(found: Json) -> bool:
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = [status.get(part, 0) for part in ("replicas", "updatedReplicas", "availableReplicas")]
        complete = holds(found, "Progressing", "True", "NewReplicaSetAvailable")
        return status["observedGeneration"] >= generation and counts == [wanted] * 3 and complete

    return await work.until(f"{PATH}/web", is_done)


async def change(work: Work, program: str, **spec: Any) -> Json:
    """Another template."""
    wanted = work.template("web", program)
    return await work.patch(f"{PATH}/web", spec={"template": wanted, **spec})


async def sets(work: Work) -> list[Json]:
    """Oldest revision first."""
    found = await work.all(SETS, app="web")
    return sorted(found, key=lambda rs: int(rs["metadata"]["annotations"][REVISION]))


async def test_a_deployment_runs_its_pods_through_a_replica_set(work: Work) -> None:
    made = await deploy(work, 2)
    (replica_set,) = await sets(work)
    hashed = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{hashed}"
    assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": hashed}
    reference = owner(replica_set)
    assert (reference["kind"], reference["uid"]) == ("Deployment", made["metadata"]["uid"])
    pods = await work.until_pods(2, is_ready, app="web")
    assert {owner(pod)["uid"] for pod in pods} == {replica_set["metadata"]["uid"]}
    assert all(pod["metadata"]["name"].startswith(f"web-{hashed}-") for pod in pods)
    status = made["status"]
    assert (status["readyReplicas"], status["availableReplicas"]) == (2, 2)
    assert "unavailableReplicas" not in status


async def test_conditions_say_that_a_rollout_is_over_and_the_pods_are_there(work: Work) -> None:
    made = await deploy(work)
    available, progressing = condition(made, "Available"), condition(made, "Progressing")
    assert (available["reason"], available["message"]) == (
        "MinimumReplicasAvailable",
        "Deployment has minimum availability.",
    )
    (replica_set,) = await sets(work)
    name = replica_set["metadata"]["name"]
    assert progressing["message"] == f'ReplicaSet "{name}" has successfully progressed.'
    assert progressing["lastUpdateTime"] >= progressing["lastTransitionTime"]


async def test_each_template_is_a_revision_and_the_older_ones_are_kept_empty(work: Work) -> None:
    await deploy(work)
    changed = await change(work, NEXT)
    done = await rolled(work, changed["metadata"]["generation"])
    assert done["metadata"]["annotations"][REVISION] == "2"
    old, new = await sets(work)
    assert [rs["metadata"]["annotations"][REVISION] for rs in (old, new)] == ["1", "2"]
    assert (old["spec"]["replicas"], new["spec"]["replicas"]) == (0, 1)
    assert new["spec"]["template"]["spec"]["containers"][0]["command"][2] == NEXT


async def test_going_back_to_an_older_template_uses_its_replica_set_again(work: Work) -> None:
    """As `kubectl rollout undo` does."""
    await deploy(work)
    (first,) = await sets(work)
    changed = await change(work, NEXT)
    await rolled(work, changed["metadata"]["generation"])
    back = await change(work, FOR_EVER)
    done = await rolled(work, back["metadata"]["generation"])
    assert done["metadata"]["annotations"][REVISION] == "3"
    newest = (await sets(work))[-1]
    assert newest["metadata"]["uid"] == first["metadata"]["uid"]
    notes = newest["metadata"]["annotations"]
    assert notes["deployment.kubernetes.io/revision-history"] == "1"
    assert len(await sets(work)) == 2


async def test_a_change_of_size_is_no_revision(work: Work) -> None:
    await deploy(work)
    await work.api.patch(f"{PATH}/web/scale", {"spec": {"replicas": 3}})
    done = await rolled(work, 2)
    assert done["metadata"]["annotations"][REVISION] == "1"
    assert len(await sets(work)) == 1
    scale = await work.get(f"{PATH}/web/scale")
    assert scale["status"] == {"replicas": 3, "selector": "app=web"}


async def test_no_more_old_revisions_are_kept_than_asked_for(work: Work) -> None:
    await deploy(work, 0, revisionHistoryLimit=1)
    for number in (2, 3):
        await change(work, f"{FOR_EVER} # {number}")
        await work.until(f"{PATH}/web", lambda d, n=number: d["metadata"]["annotations"][REVISION] == str(n))
    await work.until(f"{SETS}?labelSelector=app=web", lambda found: len(found["items"]) == 2)
    assert [rs["metadata"]["annotations"][REVISION] for rs in await sets(work)] == ["2", "3"]


async def test_a_paused_deployment_keeps_its_template_but_follows_its_size(work: Work) -> None:
    await deploy(work)
    await work.patch(f"{PATH}/web", spec={"paused": True})
    await work.until(f"{PATH}/web", lambda d: holds(d, "Progressing", "Unknown", "DeploymentPaused"))
    changed = await change(work, NEXT, replicas=2)
    generation = changed["metadata"]["generation"]
    paused = await work.until(f"{PATH}/web", lambda d: d["status"].get("availableReplicas") == 2)
    assert paused["status"]["observedGeneration"] == generation
    assert paused["status"].get("updatedReplicas", 0) == 0
    assert condition(paused, "Progressing")["message"] == "Deployment is paused"
    assert len(await sets(work)) == 1


async def test_a_resumed_deployment_rolls_out_what_it_was_given_while_paused(work: Work) -> None:
    await deploy(work, paused=False)
    await work.patch(f"{PATH}/web", spec={"paused": True})
    await change(work, NEXT)
    resumed = await work.patch(f"{PATH}/web", spec={"paused": None})
    await rolled(work, resumed["metadata"]["generation"])
    assert len(await sets(work)) == 2


async def test_the_observed_generation_is_that_of_the_spec_that_was_worked_on(work: Work) -> None:
    made = await deploy(work)
    assert (made["metadata"]["generation"], made["status"]["observedGeneration"]) == (1, 1)
    changed = await work.patch(f"{PATH}/web", spec={"minReadySeconds": 1})
    assert changed["metadata"]["generation"] == 2
    await work.until(f"{PATH}/web", lambda d: d["status"]["observedGeneration"] == 2)
    labelled = await work.patch(f"{PATH}/web", metadata={"labels": {"a": "b"}})
    assert labelled["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("surge", "unavailable", "most", "least"), [(1, 0, 4, 3), (0, 1, 3, 2), ("34%", "0%", 5, 3)]
)
async def test_a_rollout_keeps_to_its_bounds(
    work: Work, surge: int | str, unavailable: int | str, most: int, least: int
) -> None:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    await deploy(work, 3, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    await change(work, NEXT)
    counts: list[tuple[int, int]] = []

    def is_done(found: Json) -> bool:
        live = [rs["status"] for rs in found["items"]]
        counts.append((sum(s["replicas"] for s in live), sum(s.get("availableReplicas", 0) for s in live)))
        new = [rs for rs in found["items"] if rs["metadata"]["annotations"][REVISION] == "2"]
        old = [rs for rs in found["items"] if rs not in new]
        return new[0]["status"].get("availableReplicas") == 3 and old[0]["status"]["replicas"] == 0

    await work.until(f"{SETS}?labelSelector=app=web", is_done)
    assert max(total for total, _ in counts) <= most
    assert min(available for _, available in counts) >= least


async def test_the_annotations_of_replica_sets_tell_the_bounds(work: Work) -> None:
    """Shares of a surge are rounded up."""
    await deploy(work, 3)
    (replica_set,) = await sets(work)
    notes = replica_set["metadata"]["annotations"]
    assert notes["deployment.kubernetes.io/desired-replicas"] == "3"
    assert notes["deployment.kubernetes.io/max-replicas"] == "4"


async def test_recreate_starts_nothing_before_the_last_old_pod_is_gone(work: Work) -> None:
    slow = "trap 'sleep 2; exit 0' TERM; sleep 100000 & wait"
    await deploy(work, 1, slow, strategy={"type": "Recreate"}, template={"terminationGracePeriodSeconds": 10})
    changed = await change(work, NEXT)
    seen: list[int] = []

    def is_replaced(found: Json) -> bool:
        seen.append(sum(pod["status"]["phase"] not in {"Succeeded", "Failed"} for pod in found["items"]))
        return any(pod["spec"]["containers"][0]["command"][2] == NEXT for pod in found["items"])

    await work.until("v1/pods?labelSelector=app=web", is_replaced)
    assert max(seen) == 1
    await rolled(work, changed["metadata"]["generation"])


async def test_a_rollout_without_progress_is_told_after_its_deadline(work: Work) -> None:
    template = {"container": {"image": NEVER_READY}}
    body = work.workload("Deployment", "web", replicas=1, progressDeadlineSeconds=2, template=template)
    await work.make(PATH, body)
    late = await work.until(f"{PATH}/web", lambda d: holds(d, "Progressing", "False"))
    (replica_set,) = await sets(work)
    told = condition(late, "Progressing")
    assert told["reason"] == "ProgressDeadlineExceeded"
    assert told["message"] == f'ReplicaSet "{replica_set["metadata"]["name"]}" has timed out progressing.'
    assert condition(late, "Available")["reason"] == "MinimumReplicasUnavailable"
    assert late["status"]["unavailableReplicas"] == 1


async def test_a_pod_is_available_only_when_it_was_ready_for_long_enough(work: Work) -> None:
    body = work.workload("Deployment", "web", replicas=1, minReadySeconds=3)
    await work.make(PATH, body)
    ready = await work.until(f"{PATH}/web", lambda d: d["status"].get("readyReplicas") == 1)
    assert ready["status"].get("availableReplicas", 0) == 0
    assert holds(ready, "Available", "False")
    await work.until(f"{PATH}/web", lambda d: d["status"].get("availableReplicas") == 1)


async def test_an_abandoned_replica_set_is_adopted_by_a_new_deployment_of_its_template(work: Work) -> None:
    await deploy(work)
    (before,) = await sets(work)
    pods = await work.live(app="web")
    await work.api.delete(f"{PATH}/web", {"propagationPolicy": "Orphan"})
    await work.until_gone(f"{PATH}/web")
    (orphan,) = await sets(work)
    assert owner(orphan) == {}
    again = await deploy(work)
    (after,) = await sets(work)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert owner(after)["uid"] == again["metadata"]["uid"]
    assert uids(await work.live(app="web")) == uids(pods)


async def test_deleting_a_deployment_takes_its_replica_sets_and_pods_along(work: Work) -> None:
    await deploy(work, 2)
    await work.api.delete(f"{PATH}/web")
    await work.until("v1/pods?labelSelector=app=web", lambda found: not found["items"])
    assert await sets(work) == []


async def test_restarting_is_a_new_revision_by_an_annotation_of_the_template(work: Work) -> None:
    """As `kubectl rollout restart` does."""
    await deploy(work)
    before = await work.live(app="web")
    note = {"kubectl.kubernetes.io/restartedAt": "2030-01-01T00:00:00Z"}
    changed = await work.patch(f"{PATH}/web", spec={"template": {"metadata": {"annotations": note}}})
    done = await rolled(work, changed["metadata"]["generation"])
    assert done["metadata"]["annotations"][REVISION] == "2"
    assert not set(names(before)) & set(names(await work.live(app="web")))


async def test_pods_that_a_quota_forbids_are_told_by_replica_set_and_deployment(work: Work) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    await work.make("v1/resourcequotas", quota)
    await work.until("v1/resourcequotas/none", lambda q: q["status"]["hard"] == {"pods": "0"})
    await work.make(PATH, work.workload("Deployment", "web", replicas=1))
    found = await work.until(f"{PATH}/web", lambda d: holds(d, "ReplicaFailure", "True", "FailedCreate"))
    assert "exceeded quota: none" in condition(found, "ReplicaFailure")["message"]
    (replica_set,) = await sets(work)
    assert holds(replica_set, "ReplicaFailure", "True", "FailedCreate")
