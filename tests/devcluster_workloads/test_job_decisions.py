"""What the Job controller decides, factor by factor."""

from typing import Any

from kubernaut.devcluster.workloads.changes import Create, Delete, Merge, SetStatus, Tell, Turn
from kubernaut.devcluster.workloads.job import JobFacts, decide_job, seconds_until_removal

from .worlds import NOW, meta, owned_by, pod, text

UID = "job-uid"


def job(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta("run", UID),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}},
            **spec,
        },
        "status": status if status is not None else {"startTime": text(10)},
    }


def mine(name: str = "p", **more: Any) -> dict[str, Any]:
    return pod(name, owned_by("Job", UID), tracked=True, **more)


def decide(the_job: dict[str, Any], *pods: dict[str, Any]) -> Turn:
    return decide_job(JobFacts(NOW, the_job, pods))


def status_of(turn: Turn) -> dict[str, Any]:
    return dict(next(c.status for c in turn.changes if isinstance(c, SetStatus)))


def conditions_of(turn: Turn) -> list[tuple[str, str]]:
    return [(c["type"], c["reason"]) for c in status_of(turn).get("conditions", [])]


def untracked(turn: Turn) -> bool:
    return any(isinstance(c, Merge) and c.patch == {"metadata": {"finalizers": None}} for c in turn.changes)


def test_a_new_job_gets_one_tracked_and_labelled_pod() -> None:
    (created,) = [c for c in decide(job()).changes if isinstance(c, Create)]
    found = created.body["metadata"]
    assert found["generateName"] == "run-"
    assert found["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert found["labels"]["batch.kubernetes.io/job-name"] == "run"
    assert found["labels"]["batch.kubernetes.io/controller-uid"] == UID
    assert found["ownerReferences"][0]["controller"] is True


def test_a_running_pod_is_counted_and_the_deadline_looked_at_in_time() -> None:
    turn = decide(job(activeDeadlineSeconds=30), mine(ready=True))
    status = status_of(turn)
    assert (status["active"], status["ready"], status["terminating"]) == (1, 1, 0)
    assert turn.look_again == 20


def test_success_is_told_first_by_criteria_and_then_by_complete() -> None:
    turn = decide(job(), mine(phase="Succeeded", exit_code=0))
    assert conditions_of(turn) == [
        ("SuccessCriteriaMet", "CompletionsReached"),
        ("Complete", "CompletionsReached"),
    ]
    assert status_of(turn)["succeeded"] == 1
    assert status_of(turn)["completionTime"] == text()
    assert "active" not in status_of(turn)
    assert untracked(turn)


def test_one_failure_ends_a_job_without_back_off() -> None:
    turn = decide(job(), mine(phase="Failed", exit_code=1))
    assert conditions_of(turn) == [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ]
    assert status_of(turn)["failed"] == 1
    assert not any(isinstance(c, Create) for c in turn.changes)


def test_a_failed_pod_is_replaced_only_after_its_back_off() -> None:
    turn = decide(job(backoffLimit=2), mine(phase="Failed", exit_code=1))
    assert not any(isinstance(c, Create) for c in turn.changes)
    assert turn.look_again == 9  # it ended a second ago
    assert conditions_of(turn) == []


def test_past_the_deadline_pods_are_deleted_and_failed_waits_for_their_end() -> None:
    late = job({"startTime": text(31)}, activeDeadlineSeconds=30)
    turn = decide(late, mine())
    assert [c.name for c in turn.changes if isinstance(c, Delete)] == ["p"]
    assert conditions_of(turn) == [("FailureTarget", "DeadlineExceeded")]
    assert status_of(turn)["terminating"] == 1
    # Counted at once, so that a pod that never had a node need not be waited for.
    assert status_of(turn)["failed"] == 1
    assert untracked(turn)

    going = mine(deleting=True)
    del going["metadata"]["finalizers"]
    assert not decide(job(status_of(turn), activeDeadlineSeconds=30), going).changes

    at_last = decide(job(status_of(turn), activeDeadlineSeconds=30))
    assert conditions_of(at_last)[-1] == ("Failed", "DeadlineExceeded")
    assert status_of(at_last)["failed"] == 1


def test_a_pod_that_was_going_already_when_its_job_ends_is_counted_too() -> None:
    turn = decide(job({"startTime": text(31)}, activeDeadlineSeconds=30), mine(deleting=True))
    assert (status_of(turn)["failed"], status_of(turn)["terminating"]) == (1, 1)
    assert untracked(turn)


def test_an_exit_code_can_fail_the_job_at_once_and_says_which_rule() -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [64, 65]}}
    turn = decide(job(backoffLimit=6, podFailurePolicy={"rules": [rule]}), mine(phase="Failed", exit_code=65))
    assert conditions_of(turn)[-1] == ("Failed", "PodFailurePolicy")
    said = status_of(turn)["conditions"][-1]["message"]
    assert said == ("Container main for pod ns/p failed with exit code 65 matching FailJob rule at index 0")


def test_not_in_never_matches_success() -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [5]}}
    turn = decide(job(backoffLimit=6, podFailurePolicy={"rules": [rule]}), mine(phase="Failed", exit_code=0))
    assert conditions_of(turn) == []


def test_a_disruption_can_fail_the_job() -> None:
    rule = {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    disrupted = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
    turn = decide(
        job(podFailurePolicy={"rules": [rule]}), mine(phase="Failed", exit_code=137, conditions=disrupted)
    )
    assert conditions_of(turn)[-1] == ("Failed", "PodFailurePolicy")


def test_an_ignored_failure_is_not_counted() -> None:
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    turn = decide(
        job(podFailurePolicy={"rules": [rule]}), mine(phase="Failed", exit_code=137, conditions=disrupted)
    )
    assert "failed" not in status_of(turn)
    assert conditions_of(turn) == []


def test_a_terminating_pod_is_not_replaced_before_it_failed() -> None:
    turn = decide(job(backoffLimit=6), mine(deleting=True))
    assert not any(isinstance(c, Create) for c in turn.changes)
    assert status_of(turn)["terminating"] == 1
    assert "failed" not in status_of(turn)


def test_a_suspended_job_takes_its_pods_away_uncounted_and_forgets_its_start() -> None:
    turn = decide(job(suspend=True), mine())
    assert [c.name for c in turn.changes if isinstance(c, Delete)] == ["p"]
    assert untracked(turn)
    assert conditions_of(turn) == [("Suspended", "JobSuspended")]
    assert "startTime" not in status_of(turn)
    assert any(isinstance(c, Tell) and c.reason == "Suspended" for c in turn.changes)

    resumed = decide(job(status_of(turn)))
    assert any(isinstance(c, Create) for c in resumed.changes)


def test_a_finished_job_lets_go_of_its_pods_and_does_nothing_else() -> None:
    done = job({"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": text()}]})
    turn = decide(done, mine(phase="Succeeded"))
    assert len(turn.changes) == 1
    assert untracked(turn)


def test_a_refused_pod_still_starts_the_clock() -> None:
    fresh = job({})
    turn = decide_job(JobFacts(NOW, fresh, [], refusal="exceeded quota"))
    assert status_of(turn)["startTime"] == text()


def test_time_to_live_counts_from_the_end_and_may_come_later() -> None:
    ended = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": text(10)}]}
    assert seconds_until_removal(job(ended), NOW) is None
    assert seconds_until_removal(job(ended, ttlSecondsAfterFinished=60), NOW) == 50
    assert seconds_until_removal(job(ended, ttlSecondsAfterFinished=0), NOW) == 0
    assert seconds_until_removal(job(ttlSecondsAfterFinished=0), NOW) is None
