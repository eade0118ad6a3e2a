"""Jobs: what counts, what ends them, and what they say about it."""

from typing import Any

import pytest

from .api import Json
from .programs import FOR_EVER, MESSAGE_FILE, STUBBORN, container
from .work import Work, condition, ended, holds, is_going, is_ready, names, owner

PATH = "batch/v1/jobs"
BROKEN = "trap 'exit 1' TERM; sleep 100000 & wait"
"""Runs until it is told to stop, which is a failure."""
TRACKING = "batch.kubernetes.io/job-tracking"


async def start(work: Work, program: str, *, restart: str = "Never", pod: Json | None = None, **spec: Any) -> Json:
    template = work.template("job", program, restartPolicy=restart, **(pod or {}))
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"}}
    return await work.make(PATH, {**body, "spec": {"template": template, **spec}})


async def over(work: Work) -> Json:
    return await work.until(f"{PATH}/run", lambda job: holds(job, "Complete") or holds(job, "Failed"))


def order(job: Json) -> list[str]:
    return [c["type"] for c in job["status"]["conditions"]]


async def pods(work: Work) -> list[Json]:
    return await work.all("v1/pods", **{"batch.kubernetes.io/job-name": "run"})


# -- success ---------------------------------------------------------------------------------------


async def test_a_job_whose_pod_succeeds_is_complete(work: Work) -> None:
    await start(work, "exit 0")
    job = await over(work)
    assert order(job) == ["SuccessCriteriaMet", "Complete"]
    for said in job["status"]["conditions"]:
        assert (said["status"], said["reason"]) == ("True", "CompletionsReached")
        assert said["message"] == "Reached expected number of succeeded pods"
    status = job["status"]
    assert status["succeeded"] == 1
    assert "failed" not in status
    assert "active" not in status
    assert status["startTime"] <= status["completionTime"]
    assert (status["ready"], status["terminating"], status["uncountedTerminatedPods"]) == (0, 0, {})


async def test_pods_carry_the_jobs_labels_and_its_reference(work: Work) -> None:
    job = await start(work, FOR_EVER)
    (pod,) = await work.until_pods(1)
    uid = job["metadata"]["uid"]
    labels = pod["metadata"]["labels"]
    assert labels == {
        "app": "job",
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "run",
        "controller-uid": uid,
        "job-name": "run",
    }
    assert (owner(pod)["kind"], owner(pod)["uid"]) == ("Job", uid)
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert pod["metadata"]["generateName"] == "run-"


async def test_a_running_job_counts_what_is_active_and_ready(work: Work) -> None:
    await start(work, FOR_EVER, parallelism=2, completions=2)
    job = await work.until(f"{PATH}/run", lambda j: j["status"].get("ready") == 2)
    assert job["status"]["active"] == 2
    assert "conditions" not in job["status"]


async def test_no_more_pods_run_at_once_than_parallelism_says(work: Work) -> None:
    await start(work, "sleep 1", parallelism=2, completions=5)
    active: list[int] = []

    def is_over(job: Json) -> bool:
        active.append(job["status"].get("active", 0))
        return holds(job, "Complete")

    job = await work.until(f"{PATH}/run", is_over)
    assert max(active) == 2
    assert job["status"]["succeeded"] == 5
    assert len(await pods(work)) == 5


async def test_parallelism_may_change_while_it_runs(work: Work) -> None:
    await start(work, FOR_EVER, parallelism=1, completions=3)
    await work.until(f"{PATH}/run", lambda j: j["status"].get("active") == 1)
    await work.patch(f"{PATH}/run", spec={"parallelism": 3})
    await work.until(f"{PATH}/run", lambda j: j["status"].get("active") == 3)
    await work.patch(f"{PATH}/run", spec={"parallelism": 1})
    await work.until_pods(1)
    job = await work.until(f"{PATH}/run", lambda j: j["status"].get("active") == 1)
    assert "failed" not in job["status"]


async def test_a_queue_without_completions_ends_when_all_are_done_after_one_success(work: Work) -> None:
    await start(work, "sleep 1", parallelism=2)
    job = await over(work)
    assert "completions" not in job["spec"]
    assert job["status"]["succeeded"] == 2


# -- failure ---------------------------------------------------------------------------------------


async def test_a_failure_beyond_the_back_off_limit_fails_the_job(work: Work) -> None:
    await start(work, "exit 3", backoffLimit=0)
    job = await over(work)
    assert order(job) == ["FailureTarget", "Failed"]
    for said in job["status"]["conditions"]:
        assert said["reason"] == "BackoffLimitExceeded"
        assert said["message"] == "Job has reached the specified backoff limit"
    assert job["status"]["failed"] == 1
    assert "completionTime" not in job["status"]
    (pod,) = await pods(work)
    assert ended(pod)["exitCode"] == 3


async def test_a_failed_pod_is_replaced_after_ten_seconds(work: Work) -> None:
    await start(work, "exit 1", backoffLimit=1)
    job = await over(work)
    assert job["status"]["failed"] == 2
    first, second = sorted(await pods(work), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    assert second["metadata"]["creationTimestamp"] > ended(first)["finishedAt"]


async def test_failure_of_one_takes_the_others_along(work: Work) -> None:
    """FailureTarget comes at once, Failed when the last pod has ended."""
    program = "trap 'sleep 3; exit 0' TERM; sleep 100000 & wait"
    await start(
        work,
        program,
        parallelism=2,
        completions=2,
        activeDeadlineSeconds=2,
        pod={"terminationGracePeriodSeconds": 10},
    )
    ending = await work.until(f"{PATH}/run", lambda j: holds(j, "FailureTarget"))
    assert order(ending) == ["FailureTarget"]
    assert ending["status"]["terminating"] == 2
    job = await over(work)
    assert order(job) == ["FailureTarget", "Failed"]


async def test_a_job_past_its_deadline_fails_and_its_pods_go(work: Work) -> None:
    await start(work, FOR_EVER, activeDeadlineSeconds=2)
    job = await over(work)
    for said in job["status"]["conditions"]:
        assert said["reason"] == "DeadlineExceeded"
        assert said["message"] == "Job was active longer than specified deadline"
    assert await work.until_pods(0) == []
    assert job["status"]["failed"] == 1


async def test_containers_restarted_in_place_count_against_the_limit(work: Work) -> None:
    await start(work, "exit 1", restart="OnFailure", backoffLimit=0)
    job = await over(work)
    assert condition(job, "Failed")["reason"] == "BackoffLimitExceeded"


async def test_a_container_that_fails_once_may_succeed_in_place(work: Work) -> None:
    mount = {"volumeMounts": [{"name": "state", "mountPath": "/state"}]}
    program = "test -e /state/x && exit 0; echo 1 > /state/x; exit 1"
    pod = {"volumes": [{"name": "state", "emptyDir": {}}], "container": mount}
    await start(work, program, restart="OnFailure", pod=pod, backoffLimit=3)
    job = await over(work)
    assert job["status"]["succeeded"] == 1
    assert "failed" not in job["status"]
    (found,) = await pods(work)
    assert found["status"]["containerStatuses"][0]["restartCount"] == 1


# -- pod failure policy ----------------------------------------------------------------------------


def on_codes(action: str, *values: int, operator: str = "In", **more: Any) -> Json:
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(values), **more}}


async def test_an_exit_code_may_fail_the_job_at_once(work: Work) -> None:
    rules = [on_codes("FailJob", 42)]
    await start(work, "exit 42", backoffLimit=6, podFailurePolicy={"rules": rules})
    job = await over(work)
    (pod,) = await pods(work)
    name = f"{work.api.namespace}/{pod['metadata']['name']}"
    for said in job["status"]["conditions"]:
        assert said["reason"] == "PodFailurePolicy"
        text = f"Container main for pod {name} failed with exit code 42 matching FailJob rule at index 0"
        assert said["message"] == text
    assert job["status"]["failed"] == 1


async def test_the_first_rule_that_matches_decides(work: Work) -> None:
    rules = [on_codes("Count", 42), on_codes("FailJob", 1, operator="NotIn")]
    await start(work, "exit 42", backoffLimit=0, podFailurePolicy={"rules": rules})
    assert condition(await over(work), "Failed")["reason"] == "BackoffLimitExceeded"


async def test_a_rule_may_mean_one_container(work: Work) -> None:
    rules = [on_codes("FailJob", 42, containerName="first"), on_codes("FailJob", 42, containerName="main")]
    first = container("exit 0", work.image, "first")
    await start(work, "exit 42", podFailurePolicy={"rules": rules}, pod={"initContainers": [first]})
    assert condition(await over(work), "Failed")["message"].endswith("rule at index 1")


async def test_a_rule_for_a_container_that_there_is_not_is_refused(work: Work) -> None:
    rules = [on_codes("FailJob", 42, containerName="other")]
    template = work.template("job", "exit 0", restartPolicy="Never")
    spec = {"template": template, "podFailurePolicy": {"rules": rules}}
    refused = await work.api.post(PATH, {"metadata": {"name": "run"}, "spec": spec})
    assert refused.code == 422
    assert refused.causes == [
        (
            "spec.podFailurePolicy.rules[0].onExitCodes.containerName",
            "FieldValueInvalid",
            'Invalid value: "other": must be one of the container or initContainer names in the pod template',
        )
    ]


async def test_a_disruption_may_be_ignored(work: Work) -> None:
    """The pod is replaced, and is not counted."""
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    await start(work, BROKEN, backoffLimit=0, podFailurePolicy={"rules": [rule]})
    (pod,) = await work.until_pods(1, is_ready)
    await evict(work, pod)
    (fresh,) = await work.until_pods(1, lambda p: is_ready(p) and p["metadata"]["uid"] != pod["metadata"]["uid"])
    job = await work.get(f"{PATH}/run")
    assert fresh["metadata"]["uid"] != pod["metadata"]["uid"]
    assert "failed" not in job["status"]
    assert "conditions" not in job["status"]


async def test_a_disruption_may_fail_the_job(work: Work) -> None:
    rule = {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    await start(work, BROKEN, podFailurePolicy={"rules": [rule]})
    (pod,) = await work.until_pods(1, is_ready)
    await evict(work, pod)
    job = await over(work)
    name = f"{work.api.namespace}/{pod['metadata']['name']}"
    text = f"Pod {name} has condition DisruptionTarget matching FailJob rule at index 0"
    assert condition(job, "Failed")["message"] == text


async def evict(work: Work, pod: Json) -> None:
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    answer = await work.api.post(f"v1/pods/{name}/eviction", body)
    assert answer.code == 201, answer.body


# -- replacement -----------------------------------------------------------------------------------

SLOW = "trap 'sleep 4; exit 1' TERM; sleep 100000 & wait"
SLOWER = "trap 'sleep 20; exit 1' TERM; sleep 100000 & wait"
"""Longer than the ten seconds that a replacement waits."""


async def test_a_terminating_pod_is_replaced_at_once_by_default(work: Work) -> None:
    job = await start(work, SLOWER, pod={"terminationGracePeriodSeconds": 30})
    assert job["spec"]["podReplacementPolicy"] == "TerminatingOrFailed"
    (pod,) = await work.until_pods(1, is_ready)
    await work.api.delete(f"v1/pods/{pod['metadata']['name']}")
    found = await work.until("v1/pods", lambda pods: len(pods["items"]) == 2)
    assert sum(is_going(pod) for pod in found["items"]) == 1
    job = await work.until(f"{PATH}/run", lambda j: j["status"].get("failed") == 1)
    assert job["status"]["active"] == 1


async def test_a_terminating_pod_is_replaced_when_it_has_failed_where_that_is_asked_for(work: Work) -> None:
    await start(work, SLOW, pod={"terminationGracePeriodSeconds": 10}, podReplacementPolicy="Failed")
    (pod,) = await work.until_pods(1, is_ready)
    await work.api.delete(f"v1/pods/{pod['metadata']['name']}")
    job = await work.until(f"{PATH}/run", lambda j: j["status"].get("terminating") == 1)
    assert "active" not in job["status"]
    assert "failed" not in job["status"]
    assert names(await pods(work)) == [pod["metadata"]["name"]]
    job = await work.until(f"{PATH}/run", lambda j: j["status"].get("active") == 1)
    assert (job["status"]["failed"], job["status"]["terminating"]) == (1, 0)


async def test_a_failure_policy_replaces_only_what_has_failed(work: Work) -> None:
    job = await start(work, FOR_EVER, podFailurePolicy={"rules": [on_codes("FailJob", 42)]})
    assert job["spec"]["podReplacementPolicy"] == "Failed"


# -- suspension ------------------------------------------------------------------------------------


async def test_a_suspended_job_starts_nothing_and_says_so(work: Work) -> None:
    await start(work, FOR_EVER, suspend=True)
    job = await work.until(f"{PATH}/run", lambda j: holds(j, "Suspended", "True", "JobSuspended"))
    assert condition(job, "Suspended")["message"] == "Job suspended"
    assert "startTime" not in job["status"]
    assert await pods(work) == []


async def test_a_resumed_job_starts_its_pods_and_its_time(work: Work) -> None:
    await start(work, FOR_EVER, suspend=True, activeDeadlineSeconds=60)
    await work.until(f"{PATH}/run", lambda j: holds(j, "Suspended"))
    await work.patch(f"{PATH}/run", spec={"suspend": False})
    job = await work.until(f"{PATH}/run", lambda j: j["status"].get("ready") == 1)
    assert condition(job, "Suspended")["message"] == "Job resumed"
    assert (condition(job, "Suspended")["status"], condition(job, "Suspended")["reason"]) == (
        "False",
        "JobResumed",
    )
    assert job["status"]["startTime"] >= condition(job, "Suspended")["lastTransitionTime"]


async def test_suspending_takes_running_pods_away_without_counting_them(work: Work) -> None:
    await start(work, FOR_EVER)
    await work.until(f"{PATH}/run", lambda j: j["status"].get("ready") == 1)
    await work.patch(f"{PATH}/run", spec={"suspend": True})
    await work.until("v1/pods", lambda found: not found["items"])
    job = await work.until(f"{PATH}/run", lambda j: holds(j, "Suspended") and not j["status"].get("terminating"))
    assert "failed" not in job["status"]
    assert "active" not in job["status"]
    assert "startTime" not in job["status"]


# -- afterwards ------------------------------------------------------------------------------------


async def test_a_finished_job_goes_when_its_time_to_live_is_over(work: Work) -> None:
    await start(work, "exit 0", ttlSecondsAfterFinished=2)
    await over(work)
    await work.until_gone(f"{PATH}/run")
    await work.until("v1/pods", lambda found: not found["items"])


async def test_pods_are_held_until_they_are_counted(work: Work) -> None:
    """A pod that is deleted while it runs counts as failed, although nobody else saw it end."""
    await start(work, FOR_EVER, backoffLimit=3)
    (pod,) = await work.until_pods(1, is_ready)
    assert TRACKING in pod["metadata"]["finalizers"]
    await work.api.delete(f"v1/pods/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
    job = await work.until(f"{PATH}/run", lambda j: j["status"].get("failed") == 1)
    assert job["status"]["uncountedTerminatedPods"] == {}
    await work.until_gone(f"v1/pods/{pod['metadata']['name']}")


async def test_pods_of_a_finished_job_are_let_go(work: Work) -> None:
    await start(work, "exit 0")
    await over(work)
    found = await work.until(
        "v1/pods", lambda pods: all(not p["metadata"].get("finalizers") for p in pods["items"])
    )
    assert len(found["items"]) == 1


async def test_deleting_a_job_with_its_pods_leaves_nothing(work: Work) -> None:
    await start(work, FOR_EVER)
    await work.until_pods(1, is_ready)
    await work.api.delete(f"{PATH}/run", {"propagationPolicy": "Background"})
    await work.until("v1/pods", lambda found: not found["items"])


async def test_an_orphaned_pod_runs_on_and_may_be_deleted(work: Work) -> None:
    """The finalizer goes with the Job."""
    await start(work, FOR_EVER)
    (pod,) = await work.until_pods(1, is_ready)
    await work.api.delete(f"{PATH}/run", {"propagationPolicy": "Orphan"})
    await work.until_gone(f"{PATH}/run")
    path = f"v1/pods/{pod['metadata']['name']}"
    left = await work.until(path, lambda found: not found["metadata"].get("finalizers"))
    assert owner(left) == {}
    await work.api.delete(path)
    await work.until_gone(path)


async def test_events_tell_the_story_of_a_job(work: Work) -> None:
    await start(work, "exit 0")
    await over(work)
    path = "v1/events?fieldSelector=involvedObject.kind=Job,involvedObject.name=run"
    found = await work.until(path, lambda events: len(events["items"]) >= 2)
    (pod,) = await pods(work)
    told = {(event["reason"], event["message"]) for event in found["items"]}
    assert told == {
        ("SuccessfulCreate", f"Created pod: {pod['metadata']['name']}"),
        ("Completed", "Job completed"),
    }


# -- indexed ---------------------------------------------------------------------------------------


async def test_an_indexed_job_gives_each_pod_its_number(work: Work) -> None:
    program = f"echo $JOB_COMPLETION_INDEX > {MESSAGE_FILE}"
    await start(work, program, completionMode="Indexed", completions=3, parallelism=3)
    job = await over(work)
    assert job["status"]["completedIndexes"] == "0-2"
    by_number = {
        pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: pod for pod in await pods(work)
    }
    assert sorted(by_number) == ["0", "1", "2"]
    for number, pod in by_number.items():
        assert pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == number
        assert pod["metadata"]["name"].startswith(f"run-{number}-")
        assert pod["spec"]["hostname"] == f"run-{number}"


async def test_the_template_of_a_job_may_not_change(work: Work) -> None:
    await start(work, FOR_EVER)
    refused = await work.api.patch(f"{PATH}/run", {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}})
    assert refused.code == 422
    assert refused.causes[0][0] == "spec.template"
    assert refused.causes[0][2].endswith("field is immutable")


@pytest.mark.parametrize(("code", "failed"), [(0, False), (1, True), (130, True)])
async def test_the_exit_code_of_its_container_decides(work: Work, code: int, failed: bool) -> None:
    await start(work, f"exit {code}", backoffLimit=0)
    job = await over(work)
    assert holds(job, "Failed") == failed


async def test_a_pod_that_ignores_its_end_is_killed_and_counted_then(work: Work) -> None:
    await start(
        work, STUBBORN, podReplacementPolicy="Failed", backoffLimit=0, pod={"terminationGracePeriodSeconds": 2}
    )
    (pod,) = await work.until_pods(1, is_ready)
    await work.api.delete(f"v1/pods/{pod['metadata']['name']}")
    job = await over(work)
    assert condition(job, "Failed")["reason"] == "BackoffLimitExceeded"
    assert job["status"]["failed"] == 1
